/* SPDX-License-Identifier: Apache-2.0 */
/* A batch through libdecide. */
#include <stdio.h>
#include <string.h>

#include "base/cursor.h"
#include "tools/cli/value.h"
#include "tools/ctl/command.h"
#include "tools/ctl/import.h"

#define SEND_TIMEOUT_US UINT64_C(10000000) /* at least: a batch may wait in the store's queue */

static enum err_code parse_rejections(struct cursor map, struct import_reply *reply,
                                      struct err *err)
{
    struct cursor at;
    uint32_t count = value_array(map, "rejected", &at);
    for (uint32_t i = 0; i < count && i < IMPORT_DESCRIBED_MAX; i++) {
        struct cursor rejection = value_next(&at);
        int64_t index = value_int(rejection, "index", -1);
        struct text message = value_text(rejection, "message");
        if (index < 0 || index > UINT32_MAX)
            return err_set(err, ERR_BAD_INPUT, "the reply has a rejection without index");
        reply->rejection[i].index = (uint32_t)index;
        text_copy(message, reply->rejection[i].message, sizeof reply->rejection[i].message);
        reply->described++;
    }
    reply->rejected = (uint64_t)value_int(map, "rejected_total", count);
    return ERR_OK;
}

enum err_code import_parse_reply(const void *bytes, size_t len, struct import_reply *ret_reply,
                                 struct err *err)
{
    enum err_code rc = cursor_check(bytes, len, CURSOR_VALUES_MAX, err);
    if (rc != ERR_OK)
        return rc;
    struct cursor map = cursor_of(bytes, len);
    int64_t accepted = value_int(map, "accepted", -1);
    int64_t duplicate = value_int(map, "duplicate", -1);
    if (accepted < 0 || duplicate < 0)
        return err_set(err, ERR_BAD_INPUT, "the reply does not say how many events were accepted");
    memset(ret_reply, 0, sizeof *ret_reply);
    ret_reply->accepted = (uint64_t)accepted;
    ret_reply->duplicate = (uint64_t)duplicate;
    return parse_rejections(map, ret_reply, err);
}

static enum import_answer answer_of(const struct decide_reply *reply, const char *url,
                                    struct import_reply *ret_reply, struct err *err)
{
    const char *code = reply->error_code == NULL ? "" : reply->error_code;
    const char *message = reply->error_message == NULL ? "" : reply->error_message;
    switch (reply->status) {
    case DECIDE_OK:
        return import_parse_reply(reply->bytes, reply->bytes_len, ret_reply, err) == ERR_OK
                   ? IMPORT_TAKEN
                   : IMPORT_REFUSED;
    case DECIDE_REFUSED:
        err_set(err, ERR_IO, "%s refused: %s: %s", url, code, message);
        return strcmp(code, "overloaded") == 0 || strcmp(code, "draining") == 0 ? IMPORT_LATER
                                                                                : IMPORT_REFUSED;
    case DECIDE_TIMEOUT:
        err_set(err, ERR_TIMEOUT, "%s did not answer in time", url);
        return IMPORT_LATER;
    case DECIDE_UNREACHABLE:
        err_set(err, ERR_IO, "%s cannot be reached", url);
        return IMPORT_LATER; /* it was there when the import began */
    case DECIDE_PROTOCOL:
    case DECIDE_INVALID:
    case DECIDE_NOMEM:
    case DECIDE_CANCELLED: break;
    }
    err_set(err, ERR_IO, "%s: %s", url, decide_status_name(reply->status));
    return IMPORT_REFUSED;
}

enum import_answer import_send(void *ctx, const void *events, size_t len,
                               struct import_reply *ret_reply, struct err *err)
{
    struct ctl *ctl = ctx;
    uint64_t timeout_us = ctl->timeout_us > SEND_TIMEOUT_US ? ctl->timeout_us : SEND_TIMEOUT_US;
    struct decide_reply *reply = decide_events(ctl->client, events, len, timeout_us);
    enum import_answer answer = answer_of(reply, ctl->url, ret_reply, err);
    decide_reply_free(reply);
    return answer;
}
