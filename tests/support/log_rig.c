/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/log_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "tests/support/disk_fault.h"

#define NOW_MS INT64_C(1700000000000)

struct clock_manual log_rig_clock;
struct temp_dir log_rig_dir;
struct event_log *log_rig_log;
struct event_log_options log_rig_options;
struct err log_rig_err;

int log_rig_set_up(void **state)
{
    (void)state;
    temp_dir_create(&log_rig_dir);
    clock_manual_init(&log_rig_clock, 1, NOW_MS);
    log_rig_options = (struct event_log_options){
        .dir = log_rig_dir.path, .bytes_max = EVENT_LOG_BYTES_MIN, .clock = &log_rig_clock.clock};
    return event_log_open(&log_rig_options, &log_rig_log, &log_rig_err) == ERR_OK ? 0 : -1;
}

int log_rig_tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    event_log_close(&log_rig_log);
    temp_dir_remove(&log_rig_dir);
    return 0;
}

void log_rig_reopen(void)
{
    event_log_close(&log_rig_log);
    assert_int_equal(event_log_open(&log_rig_options, &log_rig_log, &log_rig_err), ERR_OK);
}

/* An event whose bytes and fields follow from its number. */
static void log_rig_make(uint64_t number, char *bytes, struct event_record *ret_record)
{
    size_t len = 20 + number % 700;
    memset(bytes, (int)('a' + number % 26), len);
    *ret_record = (struct event_record){.arrival_ms = NOW_MS + (int64_t)number,
                                        .skew_ms = (int32_t)(number % 2000) - 1000,
                                        .type = (enum event_type)(number % EVENT_TYPE_COUNT),
                                        .event = {bytes, (uint32_t)len}};
}

void log_rig_add(uint64_t first, uint64_t count)
{
    char bytes[1000];
    struct event_record record;
    for (uint64_t i = first; i < first + count; i++) {
        log_rig_make(i, bytes, &record);
        assert_int_equal(event_log_reserve(log_rig_log, record.event.len, &log_rig_err), ERR_OK);
        event_log_add(log_rig_log, &record);
    }
}

void log_rig_check(uint64_t first, uint64_t last)
{
    struct event_log_reader reader;
    char bytes[1000];
    assert_int_equal(event_log_read_begin(log_rig_log, 1, &reader, &log_rig_err), ERR_OK);
    for (uint64_t i = first; i <= last; i++) {
        struct event_record want, got;
        log_rig_make(i, bytes, &want);
        assert_int_equal(event_log_read_next(&reader, &got, &log_rig_err), ERR_OK);
        assert_int_equal(got.sequence, i);
        assert_int_equal(got.arrival_ms, want.arrival_ms);
        assert_int_equal(got.skew_ms, want.skew_ms);
        assert_int_equal(got.origin, 0);
        assert_int_equal(got.type, want.type);
        assert_int_equal(got.event.len, want.event.len);
        assert_memory_equal(got.event.ptr, want.event.ptr, want.event.len);
    }
    struct event_record none;
    assert_int_equal(event_log_read_next(&reader, &none, &log_rig_err), ERR_NOT_FOUND);
    event_log_read_end(&reader);
    struct event_log_stats stats;
    event_log_stats(log_rig_log, &stats);
    assert_int_equal(stats.first_sequence, last == 0 ? 0 : first);
    assert_int_equal(stats.last_sequence, last);
}
