/* SPDX-License-Identifier: Apache-2.0 */
#include <decide.h>
#include <stdio.h>

int main(void)
{
    static const char *const fallback[] = {"gift-card", "bestseller-1", "bestseller-2"};
    struct decide_options options = decide_options_default();
    options.urls = "tcp://127.0.0.1:7100"; /* comma-separated: they back each other up */
    options.fallback_items = fallback;
    options.fallback_count = 3;

    char error[DECIDE_ERROR_BYTES];
    struct decide_client *client = NULL;
    if (decide_client_create(&options, &client, error) != DECIDE_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    struct decide_request request = {.user = "u1", .n = 3, .timeout_us = 5000};
    struct decide_reply *reply = decide_recommend(client, &request); /* within 5 ms, always */
    if (reply->status != DECIDE_OK || reply->fallback)
        fprintf(stderr, "no answer: %s\n", reply->error_message);
    for (size_t i = 0; i < reply->item_count; i++)
        printf("%s %.3f\n", reply->items[i].id, reply->items[i].score);

    decide_reply_free(reply);
    decide_client_destroy(&client);
    return 0;
}
