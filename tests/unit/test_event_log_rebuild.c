/* SPDX-License-Identifier: Apache-2.0 */
/* A log that is written anew holds what it held, changed where that was wanted, and nothing of what
 * was changed or deleted; whatever fails on the way leaves the log as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "featurestore/event_log_rebuild.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/disk_fault.h"
#include "tests/support/file_search.h"
#include "tests/support/temp_dir.h"

#define NOW_MS INT64_C(1700000000000)

static struct clock_manual now;
static struct temp_dir dir;
static struct event_log *event_log;
static struct event_log_options options;
static struct err err;
static uint32_t padding; /* of each record */

enum { RECORD_MAX = 4000 };

static int set_up(void **state)
{
    (void)state;
    padding = 0;
    temp_dir_create(&dir);
    clock_manual_init(&now, 1, NOW_MS);
    options = (struct event_log_options){
        .dir = dir.path, .bytes_max = EVENT_LOG_BYTES_MIN, .clock = &now.clock};
    return event_log_open(&options, &event_log, &err) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    event_log_close(&event_log);
    temp_dir_remove(&dir);
    return 0;
}

static uint32_t make(uint64_t number, char buf[RECORD_MAX])
{
    memset(buf, 'x', RECORD_MAX);
    int len = snprintf(buf, RECORD_MAX, "%s-%llu-", number % 3 == 0 ? "SECRET" : "other",
                       (unsigned long long)number);
    buf[len] = 'x';
    return 30 + (uint32_t)(number % 500) + padding;
}

static void add(uint64_t first, uint64_t count)
{
    char bytes[RECORD_MAX];
    for (uint64_t i = first; i < first + count; i++) {
        const struct event_record record = {.arrival_ms = NOW_MS + (int64_t)i,
                                            .skew_ms = (int32_t)i,
                                            .type = EVENT_view,
                                            .event = {bytes, make(i, bytes)}};
        assert_int_equal(event_log_reserve(event_log, record.event.len, &err), ERR_OK);
        event_log_add(event_log, &record);
        if (i % 2000 == 0)
            assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
    }
    assert_int_equal(event_log_commit(event_log, &err), ERR_OK);
}

static bool is_secret(const struct event_record *record)
{
    return record->event.len > 6 && memcmp(record->event.ptr, "SECRET", 6) == 0;
}

/* ctx: how many it changed */
static enum err_code hide_secrets(void *ctx, struct event_record *record, struct err *why)
{
    uint32_t *count = ctx;
    (void)why;
    if (!is_secret(record))
        return ERR_OK;
    record->event = text_of("gone");
    record->erased = true;
    ++*count;
    return ERR_OK;
}

/* first..last, with secrets or without them */
static void check_holds(uint64_t first, uint64_t last, bool hidden)
{
    struct event_log_reader reader;
    struct event_record record;
    char bytes[RECORD_MAX];
    assert_int_equal(event_log_read_begin(event_log, 1, &reader, &err), ERR_OK);
    for (uint64_t i = first; i <= last; i++) {
        assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_OK);
        assert_int_equal(record.sequence, i);
        assert_int_equal(record.arrival_ms, NOW_MS + (int64_t)i);
        assert_int_equal(record.skew_ms, i);
        assert_int_equal(record.type, EVENT_view);
        assert_int_equal(record.erased, hidden && i % 3 == 0);
        struct text want = {bytes, make(i, bytes)};
        assert_true(text_equal(record.event, hidden && i % 3 == 0 ? text_of("gone") : want));
    }
    assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
    struct event_log_stats stats;
    event_log_stats(event_log, &stats);
    assert_int_equal(stats.first_sequence, last == 0 ? 0 : first);
    assert_int_equal(stats.last_sequence, last);
}

static void copy_near(struct event_log_rebuild *rebuild)
{
    bool is_near = false;
    while (!is_near)
        assert_int_equal(event_log_rebuild_step(rebuild, &is_near, &err), ERR_OK);
}

static void test_the_new_log_takes_the_place_of_the_old_one(void **state)
{
    (void)state;
    struct event_log_rebuild *rebuild = NULL;
    uint32_t hidden = 0;
    char note[16];
    size_t len = 0;
    add(1, 20000);
    assert_int_equal(event_log_put_note(event_log, "note", "text", 4, &err), ERR_OK);
    assert_true(file_search(dir.path, "SECRET-") > 0);
    assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                     ERR_OK);
    copy_near(rebuild);
    add(20001, 5000); /* it is written to meanwhile, beyond what is copied and within a moment */
    copy_near(rebuild);
    add(25001, 100);
    check_holds(1, 25100, false);
    assert_int_equal(event_log_rebuild_swap(rebuild, &err), ERR_OK);
    assert_int_equal(event_log_rebuild_count(rebuild), 25100);
    event_log_rebuild_end(&rebuild);
    assert_null(rebuild);
    assert_int_equal(hidden, 25100 / 3);
    check_holds(1, 25100, true);
    assert_int_equal(file_search(dir.path, "SECRET-"), 0);
    assert_int_equal(file_search(dir.path, "rebuilt"), 0);
    assert_int_equal(event_log_get_note(event_log, "note", note, sizeof note, &len, &err), ERR_OK);
    assert_memory_equal(note, "text", 4);

    add(25101, 2); /* and it goes on */
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    struct event_log_stats stats;
    event_log_stats(event_log, &stats);
    assert_int_equal(stats.last_sequence, 25102);
}

static void test_an_empty_log_and_one_without_its_beginning(void **state)
{
    (void)state;
    struct event_log_rebuild *rebuild = NULL;
    uint32_t hidden = 0;
    assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                     ERR_OK);
    copy_near(rebuild);
    assert_int_equal(event_log_rebuild_swap(rebuild, &err), ERR_OK);
    event_log_rebuild_end(&rebuild);
    check_holds(1, 0, true);

    /* Deleted records go on lying in the file until it is written anew. */
    add(1, 400);
    options.retain_ms = 1000;
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    event_log_allow_prune(event_log, 300, 300);
    clock_manual_advance_ns(&now, UINT64_C(100000000000));
    for (int i = 0; i < 8; i++)
        assert_int_equal(event_log_prune(event_log, &err), ERR_OK);
    assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                     ERR_OK);
    copy_near(rebuild);
    assert_int_equal(event_log_rebuild_swap(rebuild, &err), ERR_OK);
    event_log_rebuild_end(&rebuild);
    check_holds(301, 400, true);
    assert_int_equal(file_search(dir.path, "SECRET-"), 0);
    assert_int_equal(file_search(dir.path, "other-1-"), 0);
}

static void test_pruning_may_overtake_it(void **state)
{
    (void)state;
    struct event_log_rebuild *rebuild = NULL;
    uint32_t hidden = 0;
    bool is_near = false;
    options.retain_ms = 1000;
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    padding = 1000;
    add(1, 8000); /* more than one step */
    assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                     ERR_OK);
    assert_int_equal(event_log_rebuild_step(rebuild, &is_near, &err), ERR_OK);
    assert_false(is_near);
    event_log_allow_prune(event_log, 7900, 7900);
    clock_manual_advance_ns(&now, UINT64_C(100000000000));
    add(8001, 4000); /* two commits, and each deletes twice as many as it adds */
    copy_near(rebuild);
    assert_int_equal(event_log_rebuild_swap(rebuild, &err), ERR_OK);
    assert_int_equal(event_log_rebuild_count(rebuild), 4100);
    event_log_rebuild_end(&rebuild);
    check_holds(7901, 12000, true);
}

static void test_a_reader_keeps_the_old_log_in_its_place(void **state)
{
    (void)state;
    struct event_log_rebuild *rebuild = NULL;
    struct event_log_reader reader;
    struct event_record record;
    uint32_t hidden = 0;
    add(1, 100);
    assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                     ERR_OK);
    copy_near(rebuild);
    assert_int_equal(event_log_read_begin(event_log, 1, &reader, &err), ERR_OK);
    assert_int_equal(event_log_rebuild_swap(rebuild, &err), ERR_BUSY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_OK);
    assert_true(is_secret(&record));
    event_log_read_end(&reader);
    assert_int_equal(event_log_rebuild_swap(rebuild, &err), ERR_OK);
    event_log_rebuild_end(&rebuild);
    check_holds(1, 100, true);
}

struct readers {
    _Atomic bool stop;
    _Atomic uint64_t mistakes, records;
};

static void *read_on(void *arg)
{
    struct readers *readers = arg;
    struct err why;
    while (!atomic_load(&readers->stop)) {
        struct event_log_reader reader;
        struct event_record record;
        uint64_t next = 1;
        if (event_log_read_begin(event_log, 1, &reader, &why) != ERR_OK) {
            atomic_fetch_add(&readers->mistakes, 1);
            break;
        }
        while (event_log_read_next(&reader, &record, &why) == ERR_OK) {
            bool fits = record.sequence == next &&
                        (is_secret(&record) || record.erased) == (record.sequence % 3 == 0);
            atomic_fetch_add(&readers->mistakes, !fits);
            next++;
        }
        atomic_fetch_add(&readers->records, next - 1);
        event_log_read_end(&reader);
    }
    return NULL;
}

static void test_readers_meet_one_log_or_the_other(void **state)
{
    (void)state;
    struct readers readers = {0};
    pthread_t thread;
    uint32_t hidden = 0;
    add(1, 300);
    assert_int_equal(pthread_create(&thread, NULL, read_on, &readers), 0);
    for (int i = 0; i < 8; i++) {
        struct event_log_rebuild *rebuild = NULL;
        assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                         ERR_OK);
        copy_near(rebuild);
        add(301 + (uint64_t)i, 1);
        while (event_log_rebuild_swap(rebuild, &err) != ERR_OK)
            assert_int_equal(err.code, ERR_BUSY);
        event_log_rebuild_end(&rebuild);
    }
    atomic_store(&readers.stop, true);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&readers.mistakes), 0);
    assert_true(atomic_load(&readers.records) > 0);
}

static enum err_code rebuild_all(void)
{
    struct event_log_rebuild *rebuild = NULL;
    uint32_t hidden = 0;
    bool is_near = false;
    enum err_code rc = event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err);
    while (rc == ERR_OK && !is_near)
        rc = event_log_rebuild_step(rebuild, &is_near, &err);
    if (rc == ERR_OK)
        rc = event_log_rebuild_swap(rebuild, &err);
    event_log_rebuild_end(&rebuild);
    return rc;
}

static void test_whatever_fails_leaves_a_whole_log(void **state)
{
    (void)state;
    add(1, 100);
    for (int call = DISK_FAULT_WRITE; call <= DISK_FAULT_SYNC; call++) {
        bool is_done = false;
        for (uint32_t n = 0; !is_done; n++) {
            disk_fault_after((enum disk_fault_call)call, n, EIO);
            is_done = rebuild_all() == ERR_OK;
            disk_fault_off();
            if (is_done)
                break;
            assert_int_equal(err.code, ERR_IO);
            event_log_close(&event_log);
            assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
            struct event_log_reader reader;
            struct event_record record;
            assert_int_equal(event_log_read_begin(event_log, 3, &reader, &err), ERR_OK);
            assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_OK);
            bool is_new = record.erased;
            event_log_read_end(&reader);
            check_holds(1, 100, is_new);
        }
        check_holds(1, 100, true);
        event_log_close(&event_log);
        temp_dir_remove(&dir);
        temp_dir_create(&dir);
        assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
        add(1, 100);
    }
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = rebuild_all();
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        check_holds(1, 100, false);
    }
}

static void test_no_room_for_a_second_log(void **state)
{
    (void)state;
    struct event_log_rebuild *rebuild = NULL;
    uint32_t hidden = 0;
    add(1, 100);
    options.disk_reserve_bytes = UINT64_C(1) << 60;
    event_log_close(&event_log);
    assert_int_equal(event_log_open(&options, &event_log, &err), ERR_OK);
    assert_int_equal(event_log_rebuild_begin(event_log, hide_secrets, &hidden, &rebuild, &err),
                     ERR_DISK_FULL);
    assert_null(rebuild);
}

static void test_what_a_crash_left_is_removed(void **state)
{
    (void)state;
    add(1, 10);
    temp_dir_write_text(&dir, "rebuilt/data.mdb", "SECRET-");
    assert_int_equal(event_log_rebuild_clean(event_log, &err), ERR_OK);
    assert_int_equal(file_search(dir.path, "rebuilt"), 0);
    temp_dir_write_text(&dir, "rebuilt/data.mdb", "SECRET-");
    assert_int_equal(rebuild_all(), ERR_OK);
    assert_int_equal(file_search(dir.path, "SECRET-"), 0);
    check_holds(1, 10, true);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_new_log_takes_the_place_of_the_old_one),
        TEST(test_an_empty_log_and_one_without_its_beginning),
        TEST(test_pruning_may_overtake_it),
        TEST(test_a_reader_keeps_the_old_log_in_its_place),
        TEST(test_readers_meet_one_log_or_the_other),
        TEST(test_whatever_fails_leaves_a_whole_log),
        TEST(test_no_room_for_a_second_log),
        TEST(test_what_a_crash_left_is_removed),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
