/* SPDX-License-Identifier: Apache-2.0 */
/* Everything about one person, a line for each thing:
 *
 *   {"part":"profile", ...}, {"part":"history", ...}, {"part":"features", ...}
 *   {"part":"event", "through", "sequence", "arrival_ms", "event"}, the oldest first
 *   {"part":"decision", ..., "decision"}, likewise
 *   {"part":"end", "events", "decisions"}, so that a file that was cut is known */
#include <inttypes.h>
#include <stdlib.h>

#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/export.h"

struct person_export {
    struct export_run *run;
    struct buffer buffer;
    const char *part; /* of the records that come now: "event", "decision" */
    uint64_t count;   /* of these */
};

/* Of a reply, and no business of the person. */
static bool is_frame(struct text key)
{
    return text_is(key, "ok") || text_is(key, "took_us") || text_is(key, "part");
}

static int put_value(struct buffer *buffer, struct cursor value)
{
    struct text raw;
    struct err err = {.text = ""};
    char *json = NULL;
    size_t len = 0;
    cursor_skip(&value, &raw);
    if (transcode_to_json((const uint8_t *)raw.ptr, raw.len, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail("export", "%s", err.text);
    buffer_put(buffer, json, len);
    free(json);
    return EXIT_FINE;
}

/* The pairs of a map, after "part". */
static int write_part(struct person_export *person, const char *part, struct cursor map)
{
    struct buffer *buffer = &person->buffer;
    uint32_t count = 0;
    int code = EXIT_FINE;
    (void)cursor_map(&map, &count);
    buffer_put_str(buffer, "{\"part\":\"");
    buffer_put_str(buffer, part);
    buffer_put_char(buffer, '"');
    for (uint32_t i = 0; i < count && code == EXIT_FINE; i++) {
        struct cursor key_at = map;
        struct text key = {NULL, 0};
        (void)cursor_text(&map, &key);
        struct cursor value = value_next(&map);
        if (is_frame(key))
            continue;
        buffer_put_char(buffer, ',');
        code = put_value(buffer, key_at);
        buffer_put_char(buffer, ':');
        if (code == EXIT_FINE)
            code = put_value(buffer, value);
    }
    buffer_put_str(buffer, "}\n");
    return code == EXIT_FINE ? export_flush(person->run, buffer) : code;
}

static int write_record(void *ctx, struct cursor record)
{
    struct person_export *person = ctx;
    person->count++;
    person->run->exported++;
    return write_part(person, person->part, record);
}

static int write_known(struct person_export *person, const char *part)
{
    struct export_run *run = person->run;
    struct decide_reply *reply = NULL;
    uint8_t bytes[512];
    struct pack body = pack_into(bytes, sizeof bytes);
    const struct export_job *job = run->job;
    pack_map(&body, 1u + (job->user != NULL) + (job->anon != NULL));
    ctl_pack_person(&body, job->user, job->anon);
    pack_key(&body, "part");
    pack_str(&body, part);
    if (body.overflow)
        return ctl_usage("export", "the id is too long");
    int code = ctl_call(run->ctl, "person", &body, run->ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    code = write_part(person, part, ctl_map(reply));
    decide_reply_free(reply);
    return code;
}

/* Which logs the daemon keeps. */
static int find_logs(struct export_run *run, bool *ret_events, bool *ret_decisions)
{
    struct decide_reply *reply = NULL;
    struct cursor log;
    int code = ctl_call(run->ctl, "status", NULL, run->ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    *ret_events = value_find(ctl_map(reply), "log", &log);
    *ret_decisions = value_find(ctl_map(reply), "decision_log", &log);
    decide_reply_free(reply);
    return EXIT_FINE;
}

static int write_records(struct person_export *person, const char *what, const char *part,
                         bool is_kept, uint64_t *ret_count)
{
    person->part = part;
    person->count = 0;
    int code = is_kept ? export_each(person->run, what, NULL, write_record, person) : EXIT_FINE;
    *ret_count = person->count;
    return code;
}

int export_person(struct export_run *run)
{
    struct person_export person = {.run = run};
    bool has_events = false, has_decisions = false;
    uint64_t events = 0, decisions = 0;
    int code = find_logs(run, &has_events, &has_decisions);
    if (code == EXIT_FINE)
        code = write_known(&person, "profile");
    if (code == EXIT_FINE)
        code = write_known(&person, "history");
    if (code == EXIT_FINE)
        code = write_known(&person, "features");
    if (code == EXIT_FINE)
        code = write_records(&person, "events", "event", has_events, &events);
    if (code == EXIT_FINE)
        code = write_records(&person, "decisions", "decision", has_decisions, &decisions);
    if (code == EXIT_FINE) {
        buffer_put_fmt(&person.buffer,
                       "{\"part\":\"end\",\"events\":%" PRIu64 ",\"decisions\":%" PRIu64 "}\n",
                       events, decisions);
        code = export_flush(run, &person.buffer);
    }
    buffer_deinit(&person.buffer);
    return code;
}
