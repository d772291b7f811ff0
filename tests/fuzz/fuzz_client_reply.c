/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of a peer, taken for a frame and for a reply: either refused, or read within bounds. */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "client/reply.h"
#include "client/sp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t touch(const char *text)
{
    return text == NULL ? 0 : strlen(text);
}

static void read_reply(const uint8_t *data, size_t size, bool wants_items)
{
    static const char *const ids[] = {"a", "b", "c"};
    static const double scores[] = {3, 2, 1};
    static const struct client_stand_in list = {
        .level = "last_good", .ids = ids, .scores = scores, .count = 3};
    struct decide_reply *reply = NULL;
    if (client_reply_decode(data, size, wants_items, &reply) != DECIDE_OK)
        return;
    size_t sum = touch(reply->decision) + touch(reply->level) + touch(reply->reason) +
                 touch(reply->policy) + touch(reply->error_message);
    for (size_t i = 0; i < reply->item_count; i++)
        sum += touch(reply->items[i].id) + touch(reply->items[i].currency) +
               touch(reply->items[i].rule);
    ASSERT(sum <= size || reply->status == DECIDE_REFUSED);
    ASSERT(reply->bytes_len == size && memcmp(reply->bytes, data, size) == 0);
    ASSERT((reply->status == DECIDE_REFUSED) == (reply->error_code != NULL));
    /* The same bytes as a request: a fallback leaves out what it names, whatever else it says. */
    if (reply->status == DECIDE_REFUSED) {
        struct decide_reply *fallback =
            client_reply_stand_in(&list, client_reader_of(data, size), reply);
        ASSERT(fallback != NULL && fallback->item_count <= 3 && fallback->fallback);
        decide_reply_free(fallback);
    }
    decide_reply_free(reply);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int ipc = 0; ipc < 2; ipc++) {
        struct sp_message message;
        enum sp_state state = sp_parse(data, size, ipc == 1, DECIDE_REPLY_BYTES_MAX, &message);
        if (state == SP_MESSAGE) {
            ASSERT(message.frame_bytes <= size);
            ASSERT(message.body + message.body_bytes <= data + size);
        }
        if (state == SP_MORE)
            ASSERT(message.frame_bytes == 0 || message.frame_bytes > size);
    }
    read_reply(data, size, true);
    read_reply(data, size, false);
    return 0;
}
