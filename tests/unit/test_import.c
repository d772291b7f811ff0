/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "base/cursor.h"
#include "base/pack.h"
#include "featurestore/event.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"
#include "tools/ctl/import.h"

/* A daemon that counts, remembers ids up to ID_MAX and answers as it is told. */
enum { SCRIPT_MAX = 16, EVENTS_MAX = 8192 };

struct fake {
    struct clock_manual clock;
    enum import_answer script[SCRIPT_MAX]; /* answers of the first calls; then all is taken */
    uint32_t script_count, calls;
    bool is_overloaded;    /* for good */
    uint64_t reject_every; /* each n-th event is rejected; 0: none */
    uint32_t batch_events_max;
    size_t batch_bytes_max;
    uint64_t paused_us;
    uint32_t pauses;
    uint32_t count;
    uint64_t ids[EVENTS_MAX];
    volatile sig_atomic_t stop;
    uint32_t stop_after_calls; /* 0: never */
};

static bool is_new(struct fake *fake, uint64_t id)
{
    for (uint32_t i = 0; i < fake->count; i++) {
        if (fake->ids[i] == id)
            return false;
    }
    assert_true(fake->count < EVENTS_MAX);
    fake->ids[fake->count++] = id;
    return true;
}

static void take_event(struct fake *fake, struct cursor *cursor, uint32_t index,
                       struct import_reply *reply)
{
    struct text key;
    struct text id;
    uint32_t pairs;
    struct cursor event = *cursor;
    cursor_skip(cursor, NULL);
    assert_true(cursor_map(&event, &pairs) && cursor_text(&event, &key) && text_is(key, "id"));
    assert_true(cursor_text(&event, &id));
    char copy[65];
    uint64_t number = strtoull(text_copy(id, copy, sizeof copy), NULL, 10);
    if (fake->reject_every > 0 && number % fake->reject_every == 0) {
        reply->rejected++;
        if (reply->described < IMPORT_DESCRIBED_MAX) {
            reply->rejection[reply->described].index = index;
            strcpy(reply->rejection[reply->described++].message, "items: no place left");
        }
    } else if (is_new(fake, number)) {
        reply->accepted++;
    } else {
        reply->duplicate++;
    }
}

static enum import_answer fake_send(void *ctx, const void *events, size_t len,
                                    struct import_reply *ret_reply, struct err *err)
{
    struct fake *fake = ctx;
    uint32_t count;
    uint32_t call = fake->calls++;
    enum import_answer answer = call < fake->script_count ? fake->script[call] : IMPORT_TAKEN;
    if (fake->is_overloaded)
        answer = IMPORT_LATER;
    if (fake->stop_after_calls > 0 && fake->calls == fake->stop_after_calls)
        fake->stop = 1;
    if (answer != IMPORT_TAKEN) {
        err_set(err, ERR_IO, "answer %d", (int)answer);
        return answer;
    }
    assert_int_equal(cursor_check(events, len, UINT32_MAX, err), ERR_OK);
    struct cursor cursor = cursor_of(events, len);
    assert_true(cursor_array(&cursor, &count));
    fake->batch_events_max = count > fake->batch_events_max ? count : fake->batch_events_max;
    fake->batch_bytes_max = len > fake->batch_bytes_max ? len : fake->batch_bytes_max;
    memset(ret_reply, 0, sizeof *ret_reply);
    for (uint32_t i = 0; i < count; i++)
        take_event(fake, &cursor, i, ret_reply);
    return IMPORT_TAKEN;
}

static void fake_pause(void *ctx, uint64_t us)
{
    struct fake *fake = ctx;
    fake->paused_us += us;
    fake->pauses++;
    clock_manual_advance_ns(&fake->clock, us * 1000);
}

struct fixture {
    struct temp_dir dir;
    struct fake fake;
    struct import_job job;
    struct import_result result;
    struct err err;
    char path[2 * TEMP_DIR_BYTES], map_path[2 * TEMP_DIR_BYTES], errors_path[2 * TEMP_DIR_BYTES];
    char *messages;
    size_t messages_len;
};

static void setup(struct fixture *f, const char *name, const char *content)
{
    memset(f, 0, sizeof *f);
    temp_dir_create(&f->dir);
    temp_dir_write_text(&f->dir, name, content);
    clock_manual_init(&f->fake.clock, 1, INT64_C(1600000000000));
    f->job = (struct import_job){.path = temp_dir_path(&f->dir, name, f->path),
                                 .since_ms = INT64_MIN,
                                 .before_ms = INT64_MAX,
                                 .errors_max = UINT64_MAX,
                                 .stop = &f->fake.stop};
}

static enum err_code run(struct fixture *f)
{
    struct import_link link = {&f->fake, &f->fake.clock.clock, fake_send, fake_pause};
    struct progress progress;
    free(f->messages);
    f->job.messages = open_memstream(&f->messages, &f->messages_len);
    progress_start_on(&progress, "importing", "lines", f->job.messages, false,
                      &f->fake.clock.clock);
    enum err_code rc = import_run(&f->job, &link, &progress, &f->result, &f->err);
    fclose(f->job.messages);
    return rc;
}

static void teardown(struct fixture *f)
{
    free(f->messages);
    temp_dir_remove(&f->dir);
}

/* Events 1..count, one a line, a second apart from 2020-01-01. */
static char *many(uint32_t count)
{
    struct buffer buffer = {0};
    size_t len;
    for (uint32_t i = 1; i <= count; i++)
        buffer_put_fmt(&buffer, "{\"id\":\"%u\",\"type\":\"view\",\"ts\":%llu,\"user\":\"u\"}\n", i,
                       1577836800000ULL + i * 1000ULL);
    char *text = buffer_take(&buffer, &len);
    assert_non_null(text);
    return text;
}

static void test_every_line_is_counted_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, "f.csv", "n,u,q\n1,a,1\n2,,1\n3,a,0\n4,a,x\n5,a\n6,a,2\n7,,0\n6,a,2\n");
    temp_dir_write_text(
        &f.dir, "m.json",
        "{\"keep\": [{\"name\": \"known\", \"column\": \"u\", \"not_empty\": true}, "
        "{\"name\": \"some\", \"column\": \"q\", \"above\": 0}], \"events\": {\"id\": "
        "\"{n}\", \"type\": \"view\", \"user\": \"{u}\"}}");
    f.job.reader.map_path = temp_dir_path(&f.dir, "m.json", f.map_path);
    f.job.errors_path = temp_dir_path(&f.dir, "errors", f.errors_path);
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.result.lines, 8);
    assert_int_equal(f.result.kept, 3);
    assert_int_equal(f.result.rule_count, 2);
    assert_string_equal(f.result.rule[0].name, "known");
    assert_int_equal(f.result.rule[0].count, 2);
    assert_int_equal(f.result.rule[1].count, 1);
    assert_int_equal(f.result.errors, 2);
    assert_int_equal(f.result.accepted, 2);
    assert_int_equal(f.result.duplicate, 1);
    assert_int_equal(f.result.rejected, 0);
    assert_non_null(strstr(f.messages, "f.csv: line 5, field q: expected a number, got 'x'\n"));
    FILE *errors = fopen(f.errors_path, "r");
    char text[256] = "";
    assert_non_null(errors);
    assert_true(fread(text, 1, sizeof text - 1, errors) > 0);
    fclose(errors);
    assert_string_equal(text, "line 5, field q: expected a number, got 'x'\n"
                              "line 6, field q: missing, the line has 2 fields of 3\n");
    teardown(&f);
}

static void test_batches_keep_the_limits(void **state)
{
    (void)state;
    struct fixture f;
    char *lines = many(2 * EVENT_BATCH_MAX + 1);
    setup(&f, "f.ndjson", lines);
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.fake.calls, 3);
    assert_int_equal(f.fake.batch_events_max, EVENT_BATCH_MAX);
    assert_int_equal(f.result.accepted, 2 * EVENT_BATCH_MAX + 1);
    assert_int_equal(f.result.line_done, 2 * EVENT_BATCH_MAX + 1);
    teardown(&f);
    free(lines);

    struct buffer buffer = {0};
    size_t len;
    enum { BIG_COUNT = 40, BIG_BYTES = 30000 };
    char *big = malloc(BIG_BYTES + 1);
    assert_non_null(big);
    memset(big, 'x', BIG_BYTES);
    big[BIG_BYTES] = '\0';
    for (int i = 1; i <= BIG_COUNT; i++) {
        buffer_put_fmt(&buffer,
                       "{\"id\":\"%d\",\"type\":\"view\",\"user\":\"u\",\"props\":{\"x\":\"", i);
        buffer_put_str(&buffer, big);
        buffer_put_str(&buffer, "\"}}\n");
    }
    lines = buffer_take(&buffer, &len);
    setup(&f, "f.ndjson", lines);
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.result.accepted, BIG_COUNT);
    assert_true(f.fake.batch_bytes_max <= EVENT_BATCH_BYTES_MAX);
    assert_true(f.fake.batch_bytes_max > EVENT_BATCH_BYTES_MAX - BIG_BYTES - 100);
    teardown(&f);
    free(lines);
    free(big);
}

static void test_rejections_name_their_lines(void **state)
{
    (void)state;
    struct fixture f;
    char *lines = many(1000);
    char *bad = malloc(strlen(lines) + 64);
    strcpy(stpcpy(bad, "\n{\"id\":\"x\",\"type\":\"viev\"}\n"),
           lines); /* two lines before event 1 */
    setup(&f, "f.ndjson", bad);
    f.fake.reject_every = 7;
    f.job.errors_path = temp_dir_path(&f.dir, "errors", f.errors_path);
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.result.rejected, 142);
    assert_int_equal(f.result.errors, 143);
    assert_int_equal(f.result.accepted, 1000 - 142);
    assert_non_null(strstr(f.messages, ": line 2, field type: there is no type 'viev'\n"));
    assert_non_null(strstr(f.messages, ": line 9, rejected: items: no place left\n"));
    assert_non_null(strstr(f.messages, ": line 16, rejected: items: no place left\n"));
    char *text = calloc(1, 65536);
    FILE *errors = fopen(f.errors_path, "r");
    assert_true(text != NULL && errors != NULL && fread(text, 1, 65535, errors) > 0);
    fclose(errors);
    assert_non_null(strstr(text, "line 702, rejected: items: no place left\n"));
    assert_non_null(strstr(text, "lines 3 to 1002: 42 more were rejected\n"));
    free(text);
    size_t shown = 0;
    for (const char *at = f.messages; (at = strstr(at, "decidectl: ")) != NULL; at++)
        shown++;
    assert_int_equal(shown, IMPORT_SHOWN_MAX + 1);
    teardown(&f);
    free(bad);
    free(lines);
}

static void test_overload_is_waited_out(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, "f.ndjson", "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n");
    for (uint32_t i = 0; i < 10; i++)
        f.fake.script[i] = IMPORT_LATER;
    f.fake.script_count = 10;
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.fake.pauses, 10);
    assert_int_equal(f.fake.paused_us, 10000 * 127 + 3 * 1000000);
    assert_int_equal(f.result.accepted, 1);
    teardown(&f);
}

static void test_what_cannot_be_sent_ends_the_import(void **state)
{
    (void)state;
    static const struct {
        enum import_answer first, second;
        uint32_t calls, pauses;
    } cases[] = {
        {IMPORT_REFUSED, IMPORT_TAKEN, 1, 0},
        {IMPORT_LATER, IMPORT_REFUSED, 2, 1},
    };
    char *lines = many(3 * EVENT_BATCH_MAX);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        setup(&f, "f.ndjson", lines);
        f.fake.script[0] = cases[i].first;
        f.fake.script[1] = cases[i].second;
        f.fake.script_count = 2;
        assert_int_equal(run(&f), ERR_IO);
        assert_non_null(strstr(f.err.text, "f.ndjson: answer"));
        assert_int_equal(f.fake.calls, cases[i].calls);
        assert_int_equal(f.fake.pauses, cases[i].pauses);
        assert_int_equal(f.result.accepted, 0);
        assert_int_equal(f.result.line_done, 0);
        teardown(&f);
    }
    free(lines);
}

static void test_patience_ends_after_a_minute(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, "f.ndjson", "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n");
    f.fake.is_overloaded = true;
    assert_int_equal(run(&f), ERR_IO);
    assert_in_range(f.fake.paused_us * 1000, IMPORT_PATIENCE_NS,
                    IMPORT_PATIENCE_NS + UINT64_C(1000000000));
    assert_int_equal(f.result.accepted, 0);
    teardown(&f);
}

/* Stopped in the middle and begun again: nothing is lost, nothing counts twice. */
static void test_resumes_from_a_line_or_from_the_start(void **state)
{
    (void)state;
    enum { COUNT = 2 * EVENT_BATCH_MAX + 500 };
    char *lines = many(COUNT);
    for (int from_start = 0; from_start < 2; from_start++) {
        struct fixture f;
        setup(&f, "f.ndjson", lines);
        f.fake.stop_after_calls = 1;
        assert_int_equal(run(&f), ERR_IO);
        assert_non_null(strstr(f.err.text, "interrupted"));
        uint64_t done = f.result.line_done;
        assert_in_range(done, EVENT_BATCH_MAX, COUNT - 1);
        assert_int_equal(f.fake.count, done);
        assert_int_equal(f.result.accepted, done);

        f.fake.stop = 0;
        f.fake.stop_after_calls = 0;
        f.job.from_line = from_start ? 0 : done + 1;
        assert_int_equal(run(&f), ERR_OK);
        assert_int_equal(f.fake.count, COUNT);
        assert_int_equal(f.result.accepted, COUNT - done);
        assert_int_equal(f.result.duplicate, from_start ? done : 0);
        assert_int_equal(f.result.lines, from_start ? COUNT : COUNT - done);
        teardown(&f);
    }
    free(lines);
}

static void test_since_and_before_choose_by_event_time(void **state)
{
    (void)state;
    struct fixture f;
    char *lines = many(100);
    setup(&f, "f.ndjson", lines);
    f.job.since_ms = INT64_C(1577836810000);
    f.job.before_ms = INT64_C(1577836815000);
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.result.kept, 5);
    assert_int_equal(f.result.outside, 95);
    assert_int_equal(f.fake.ids[0], 10);
    assert_int_equal(f.fake.ids[4], 14);
    teardown(&f);
    free(lines);
}

static void test_too_many_errors_end_the_import(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, "f.ndjson",
          "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\nx\nx\nx\n"
          "{\"id\":\"2\",\"type\":\"view\",\"user\":\"u\"}\n");
    f.job.errors_max = 2;
    assert_int_equal(run(&f), ERR_LIMIT);
    assert_non_null(strstr(f.err.text, "stopped after 3 errors"));
    assert_int_equal(f.result.accepted, 1); /* what was good before is not lost */
    f.job.errors_max = 3;
    assert_int_equal(run(&f), ERR_OK);
    assert_int_equal(f.result.accepted, 1);
    assert_int_equal(f.result.duplicate, 1);
    teardown(&f);
}

static void test_a_file_that_cannot_be_read(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, "f.ndjson.gz", "\x1f\x8b\x08");
    assert_int_equal(run(&f), ERR_BAD_INPUT);
    assert_non_null(strstr(f.err.text, "the gzip data breaks off at byte 3"));
    f.job.path = "/nonexistent.ndjson";
    assert_int_equal(run(&f), ERR_NOT_FOUND);
    f.job.path = f.path;
    temp_dir_write_text(&f.dir, "f.ndjson.gz", "");
    f.job.errors_path = "/nonexistent/errors";
    assert_int_equal(run(&f), ERR_IO);
    assert_int_equal(f.fake.calls, 0);
    teardown(&f);
}

/* ---- replies and reports ----------------------------------------------------------------------
 */

static void test_replies_are_read(void **state)
{
    (void)state;
    uint8_t bytes[512];
    struct import_reply reply;
    struct err err;
    struct pack pack = pack_into(bytes, sizeof bytes);
    pack_map(&pack, 5);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "accepted");
    pack_int(&pack, 5);
    pack_key(&pack, "duplicate");
    pack_int(&pack, 2);
    pack_key(&pack, "rejected");
    pack_array(&pack, 1);
    pack_map(&pack, 3);
    pack_key(&pack, "index");
    pack_int(&pack, 3);
    pack_key(&pack, "code");
    pack_str(&pack, "bad_request");
    pack_key(&pack, "message");
    pack_str(&pack, "ts: in the future");
    pack_key(&pack, "rejected_total");
    pack_int(&pack, 120);
    assert_int_equal(import_parse_reply(bytes, pack.used, &reply, &err), ERR_OK);
    assert_int_equal(reply.accepted, 5);
    assert_int_equal(reply.duplicate, 2);
    assert_int_equal(reply.rejected, 120);
    assert_int_equal(reply.described, 1);
    assert_int_equal(reply.rejection[0].index, 3);
    assert_string_equal(reply.rejection[0].message, "ts: in the future");
    for (size_t len = 0; len < pack.used; len++)
        assert_int_not_equal(import_parse_reply(bytes, len, &reply, &err), ERR_OK);
    assert_int_not_equal(import_parse_reply("\x80", 1, &reply, &err), ERR_OK);
}

static void test_reports(void **state)
{
    (void)state;
    struct import_job job = {.path = "f.csv", .since_ms = 0, .before_ms = INT64_MAX};
    struct import_result result = {.lines = 1000,
                                   .kept = 700,
                                   .outside = 50,
                                   .errors = 40,
                                   .accepted = 650,
                                   .duplicate = 30,
                                   .rejected = 20,
                                   .line_done = 1001,
                                   .seconds = 0.5,
                                   .rule_count = 1,
                                   .rule = {{"customer \"known\"", 210}}};
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);
    import_print(&job, &result, to);
    import_print_json(&job, &result, NULL, to);
    fclose(to);
    assert_string_equal(
        text,
        "f.csv: 1,000 lines in 0.5 s (2,000/s)\n"
        "  kept                                    700\n"
        "  left out                                260\n"
        "    customer \"known\"                      210\n"
        "    not in the time asked for              50\n"
        "  errors                                   40\n"
        "  accepted                                650\n"
        "  duplicate                                30\n"
        "  rejected                                 20\n"
        "{\"ok\":false,\"why\":null,\"file\":\"f.csv\",\"lines\":1000,\"kept\":700,\"left_out\":"
        "{\"customer \\\"known\\\"\":210,\"not in the time asked for\":50},\"errors\":40,"
        "\"accepted\":650,\"duplicate\":30,\"rejected\":20,\"next_line\":1002,\"seconds\":0.5,"
        "\"lines_per_s\":2000.0}\n");
    free(text);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, "f.ndjson", "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n");
    struct import_link link = {&f.fake, &f.fake.clock.clock, fake_send, fake_pause};
    f.job.messages = stderr;
    for (uint32_t n = 0;; n++) {
        struct progress progress;
        progress_start_on(&progress, "", "", stderr, false, &f.fake.clock.clock);
        alloc_fail_after(n);
        enum err_code rc = import_run(&f.job, &link, &progress, &f.result, &f.err);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n >= 4);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_int_equal(f.fake.calls, 0);
    }
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_line_is_counted_once),
        cmocka_unit_test(test_batches_keep_the_limits),
        cmocka_unit_test(test_rejections_name_their_lines),
        cmocka_unit_test(test_overload_is_waited_out),
        cmocka_unit_test(test_what_cannot_be_sent_ends_the_import),
        cmocka_unit_test(test_patience_ends_after_a_minute),
        cmocka_unit_test(test_resumes_from_a_line_or_from_the_start),
        cmocka_unit_test(test_since_and_before_choose_by_event_time),
        cmocka_unit_test(test_too_many_errors_end_the_import),
        cmocka_unit_test(test_a_file_that_cannot_be_read),
        cmocka_unit_test(test_replies_are_read),
        cmocka_unit_test(test_reports),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
