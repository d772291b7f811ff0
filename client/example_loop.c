/* SPDX-License-Identifier: Apache-2.0 */
#include <decide.h>
#include <poll.h>
#include <stdio.h>

static void on_reply(struct decide_reply *reply, void *argument)
{
    int *pending_count = argument;
    printf("%s %s: %zu items\n", decide_status_name(reply->status),
           reply->level == NULL ? "-" : reply->level, reply->item_count);
    decide_reply_free(reply);
    --*pending_count;
}

int main(int argc, char **argv)
{
    struct decide_options options = decide_options_default();
    if (argc > 1)
        options.urls = argv[1];
    char error[DECIDE_ERROR_BYTES];
    struct decide_client *client = NULL;
    if (decide_client_create(&options, &client, error) != DECIDE_OK) {
        fprintf(stderr, "%s\n", error);
        return 1;
    }
    static const char *const users[] = {"u1", "u2", "u3"};
    int pending_count = 0;
    for (int i = 0; i < 3; i++) { /* all three are in flight at once */
        struct decide_request request = {.user = users[i], .n = 3, .timeout_us = 20000};
        if (decide_submit(client, "recommend", &request, on_reply, &pending_count) != 0)
            pending_count++;
    }
    struct pollfd fds[] = {{.fd = decide_fd(client), .events = POLLIN}}; /* beside your own */
    while (pending_count > 0 && poll(fds, 1, -1) >= 0)
        if (fds[0].revents != 0)
            decide_process(client); /* calls on_reply */
    decide_client_destroy(&client);
    return 0;
}
