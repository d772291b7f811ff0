/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "tools/cli/value.h"
#include "tools/ctl/export.h"

#define EXPORT_TIMEOUT_US UINT64_C(30000000) /* at least: a page may come from a slow disk */

static int fetch(struct export_run *run, const char *what, const char *purpose, uint64_t from,
                 struct decide_reply **ret_reply)
{
    uint8_t bytes[1024];
    struct pack body = pack_into(bytes, sizeof bytes);
    const struct export_job *job = run->job;
    pack_map(&body, 2u + (purpose != NULL) + (job->user != NULL) + (job->anon != NULL));
    ctl_pack_person(&body, job->user, job->anon);
    pack_key(&body, "what");
    pack_str(&body, what);
    if (purpose != NULL) {
        pack_key(&body, "for");
        pack_str(&body, purpose);
    }
    pack_key(&body, "from");
    pack_uint(&body, from);
    return ctl_call_patiently(run->ctl, "export", &body, EXPORT_TIMEOUT_US, ret_reply);
}

static int each_of_page(struct cursor map, export_record_fn fn, void *ctx)
{
    struct cursor at;
    int code = EXIT_FINE;
    for (uint32_t n = value_array(map, "records", &at); n > 0 && code == EXIT_FINE; n--)
        code = fn(ctx, value_next(&at));
    return code;
}

int export_each(struct export_run *run, const char *what, const char *purpose, export_record_fn fn,
                void *ctx)
{
    uint64_t next = run->job->from;
    for (bool end = false; !end;) {
        struct decide_reply *reply = NULL;
        int code = fetch(run, what, purpose, next, &reply);
        if (reply == NULL)
            return code;
        struct cursor map = ctl_map(reply);
        uint64_t after = (uint64_t)value_int(map, "next", 0);
        end = value_bool(map, "end", false);
        code = each_of_page(map, fn, ctx);
        decide_reply_free(reply);
        if (code != EXIT_FINE)
            return code;
        if (!end && after <= next)
            return ctl_fail("export", "the daemon does not get beyond record %" PRIu64, next);
        next = after;
    }
    return EXIT_FINE;
}

int export_decision_of(struct cursor record, struct decision_record *ret_decision,
                       struct text *ret_bytes)
{
    struct err err = {.text = "it holds no decision"};
    struct cursor decision;
    bool found = value_find(record, "decision", &decision);
    if (found)
        cursor_skip(&decision, ret_bytes);
    if (!found || decision_record_read(*ret_bytes, ret_decision, &err) != ERR_OK)
        return ctl_fail("export", "record %" PRId64 ": %s", value_int(record, "sequence", 0),
                        err.text);
    return EXIT_FINE;
}

bool export_is_wanted(const struct export_job *job, int64_t time_ms)
{
    return time_ms >= job->since_ms && time_ms < job->before_ms;
}

int export_write(struct export_run *run, const char *text, size_t len)
{
    struct err err = {.text = ""};
    if (export_out_write(run->out, text, len, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    return EXIT_FINE;
}

int export_flush(struct export_run *run, struct buffer *buffer)
{
    if (buffer->failed)
        return ctl_fail("export", "out of memory for a line");
    int code = export_write(run, buffer->bytes, buffer->used);
    buffer->used = 0;
    return code;
}
