/* SPDX-License-Identifier: Apache-2.0 */
/* The store and its log: what was acknowledged is there after it was opened again, and the state is
 * the same, however it came about; a disk that is full or fails is told to those who wait. */
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

#include "base/rand.h"
#include "base/rcu.h"
#include "featurestore/store.h"
#include "featurestore/store_items.h"
#include "featurestore/store_people.h"
#include "tests/support/disk_fault.h"
#include "tests/support/durable_rig.h"

#define NOW_MS  DURABLE_RIG_NOW_MS
#define DAY_MS  INT64_C(86400000)
#define WAIT_NS UINT64_C(20000000000)

static struct durable_rig rig;
static int64_t sent_at_ms; /* of the batches to come; 0: not said */

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 1000,
                                        .history_items_max = 8,
                                        .queue_events_max = 4000,
                                        .dedup_events_max = 500,
                                        .prices_max = 8};
    durable_rig_create(&rig, &limits);
    rig.checkpoints.dir = NULL; /* all of the log is replayed */
    durable_rig_open(&rig, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    durable_rig_destroy(&rig);
    return 0;
}

struct outcome {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    struct store_batch_result result;
    char error[ERR_TEXT_BYTES];
};

static void on_done(void *ctx, const struct store_batch_result *result)
{
    struct outcome *outcome = ctx;
    pthread_mutex_lock(&outcome->mutex);
    outcome->result = *result;
    snprintf(outcome->error, sizeof outcome->error, "%s", result->error);
    outcome->done = true;
    pthread_cond_signal(&outcome->changed);
    pthread_mutex_unlock(&outcome->mutex);
}

/* Submits what is in `events`, and waits until it is acknowledged. */
static struct outcome *submit(enum store_ack ack)
{
    static struct outcome outcome;
    outcome =
        (struct outcome){.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    size_t len = events_end(&rig.events);
    struct store_batch batch = {
        .bytes = rig.events.bytes, .len = len, .ack = ack, .done = on_done, .ctx = &outcome};
    batch.sent_at_ms = sent_at_ms;
    enum err_code rc = store_submit(rig.store, &batch, &rig.err);
    events_begin(&rig.events);
    if (rc != ERR_OK)
        outcome.result.status = rc;
    pthread_mutex_lock(&outcome.mutex);
    while (rc == ERR_OK && !outcome.done)
        pthread_cond_wait(&outcome.changed, &outcome.mutex);
    pthread_mutex_unlock(&outcome.mutex);
    return &outcome;
}

static unsigned below(struct rand *rand, uint32_t bound)
{
    return (unsigned)rand_below(rand, bound);
}

static void add_random(struct rand *rand, uint32_t count)
{
    static const char *const types[] = {"view", "cart_add", "purchase", "dislike", "search"};
    for (uint32_t i = 0; i < count; i++) {
        char json[300];
        unsigned type = below(rand, 8), user = below(rand, 50);
        int64_t ts = NOW_MS - below(rand, 40) * DAY_MS - below(rand, 86400000);
        if (type == 5)
            snprintf(json, sizeof json,
                     "{\"type\":\"item_upsert\",\"currency\":\"EUR\",\"items\":[{\"id\":\"i%u\","
                     "\"price\":%u,\"stock\":%u,\"category\":\"c%u\",\"title\":\"t%u\"}]}",
                     below(rand, 100), below(rand, 9999), below(rand, 5), below(rand, 7),
                     below(rand, 1000));
        else if (type == 6)
            snprintf(json, sizeof json,
                     "{\"type\":\"user_upsert\",\"user\":\"p%u\",\"attributes\":{\"a\":%u}}", user,
                     below(rand, 1000));
        else if (type == 7)
            snprintf(json, sizeof json, "{\"type\":\"custom:quiz\",\"user\":\"p%u\",\"odd\":1}",
                     user);
        else
            snprintf(json, sizeof json,
                     "{\"type\":\"%s\",\"%s\":\"p%u\",\"ts\":%lld,\"items\":[{\"id\":\"i%u\"}]}",
                     types[type], user % 3 == 0 ? "anon" : "user", user, (long long)ts,
                     below(rand, 100));
        events_add_json(&rig.events, json);
    }
}

static void wait_for_recovery(void)
{
    struct store_recovery recovery;
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
}

static void test_state_after_recovery_is_the_state_before(void **state)
{
    (void)state;
    struct rand rand;
    uint64_t before_sequence, after_sequence;
    rand_init(&rand, 1);
    for (int i = 0; i < 40; i++) {
        add_random(&rand, 1 + below(&rand, 100));
        assert_int_equal(submit(i % 3 == 0 ? STORE_ACK_MEMORY : STORE_ACK_DISK)->result.status,
                         ERR_OK);
        clock_manual_advance_ns(&rig.clock, 3600 * UINT64_C(1000000000));
    }
    uint64_t before = store_state_hash(rig.store, &before_sequence);
    for (int i = 0; i < 2; i++) {
        durable_rig_close(&rig);
        durable_rig_open(&rig, NULL);
        /* A model may number items before, in any order. */
        struct text ids[] = {TEXT_LITERAL("zz"), TEXT_LITERAL("i7"), TEXT_LITERAL("i3")};
        uint32_t numbers[3];
        assert_int_equal(store_bind_items(rig.store, ids, 3, numbers, &rig.err), ERR_OK);
        wait_for_recovery();
        uint64_t after = store_state_hash(rig.store, &after_sequence);
        assert_int_equal(after_sequence, before_sequence);
        assert_true(after == before);
    }
    events_add(&rig.events, "view", "p1", "i1", NOW_MS);
    assert_int_equal(submit(STORE_ACK_DISK)->result.accepted, 1);
    assert_true(store_state_hash(rig.store, &after_sequence) != before);
    assert_int_equal(after_sequence, before_sequence + 1);
}

static void test_skew_is_kept_for_the_replay(void **state)
{
    (void)state;
    uint64_t sequence;
    struct history history;
    sent_at_ms = NOW_MS - 2 * DAY_MS; /* their clock is two days behind */
    events_add(&rig.events, "view", "u", "x", NOW_MS - 2 * DAY_MS - 5000);
    events_add_json(&rig.events, "{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"y\"}]}");
    assert_int_equal(submit(STORE_ACK_DISK)->result.accepted, 2);
    assert_true(store_history(rig.store, TEXT_LITERAL("u"), (struct text){0}, &history));
    assert_int_equal(history.last_s[0], NOW_MS / 1000);
    assert_int_equal(history.last_s[1], NOW_MS / 1000 - 5);
    assert_int_equal(store_watermark_ms(rig.store), NOW_MS);
    sent_at_ms = NOW_MS - EVENT_SKEW_MS_MAX - 1;
    assert_int_equal(submit(STORE_ACK_DISK)->result.status, ERR_BAD_INPUT);
    assert_string_equal(rig.err.text,
                        "sent_at: 604800001 ms away from the time of arrival, at most "
                        "604800000 ms are corrected");
    sent_at_ms = NOW_MS + EVENT_SKEW_MS_MAX;
    events_add(&rig.events, "view", "u", "z", NOW_MS + EVENT_SKEW_MS_MAX);
    assert_int_equal(submit(STORE_ACK_DISK)->result.accepted, 1);
    sent_at_ms = 0;
    uint64_t before = store_state_hash(rig.store, &sequence);
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    wait_for_recovery();
    assert_true(store_state_hash(rig.store, &sequence) == before);
}

static void test_only_what_was_accepted_is_logged(void **state)
{
    (void)state;
    struct event_log_stats stats;
    events_add_json(&rig.events,
                    "{\"id\":\"a\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
    events_add_json(&rig.events,
                    "{\"id\":\"a\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
    events_add_json(&rig.events, "{\"id\":\"b\",\"type\":\"nonsense\",\"user\":\"u\"}");
    events_add_json(&rig.events, "{\"id\":\"c\",\"type\":\"view\"}");
    struct outcome *outcome = submit(STORE_ACK_DISK);
    assert_int_equal(outcome->result.accepted, 1);
    assert_int_equal(outcome->result.duplicate, 1);
    assert_int_equal(outcome->result.rejected, 2);
    assert_int_equal(outcome->result.described, 2); /* kept over the commit */
    assert_int_equal(outcome->result.rejection[0].index, 2);
    assert_int_equal(outcome->result.rejection[1].index, 3);
    event_log_stats(store_log(rig.store), &stats);
    assert_int_equal(stats.last_sequence, 1);
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    events_add_json(&rig.events,
                    "{\"id\":\"a\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
    assert_int_equal(submit(STORE_ACK_DISK)->result.duplicate, 1); /* known from the log */
}

static void test_full_disk_is_told_and_over_by_itself(void **state)
{
    (void)state;
    struct event_log_stats stats;
    struct history history;
    uint64_t sequence;
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    events_add(&rig.events, "view", "p1", "i1", NOW_MS);
    struct outcome *outcome = submit(STORE_ACK_DISK);
    assert_int_equal(outcome->result.status, ERR_DISK_FULL);
    assert_true(strlen(outcome->error) > 0);
    assert_int_equal(store_durability(rig.store, &rig.err), STORE_DISK_FULL);
    /* Nothing is taken, and decisions go on. */
    events_add(&rig.events, "view", "p2", "i1", NOW_MS);
    assert_int_equal(submit(STORE_ACK_MEMORY)->result.status, ERR_DISK_FULL);
    rcu_read_begin();
    assert_true(store_history(rig.store, TEXT_LITERAL("p1"), (struct text){0}, &history));
    assert_false(store_history(rig.store, TEXT_LITERAL("p2"), (struct text){0}, &history));
    rcu_read_end();
    event_log_stats(store_log(rig.store), &stats);
    assert_int_equal(stats.gathered, 1);
    disk_fault_off();
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    while (store_durability(rig.store, NULL) != STORE_ON_DISK &&
           clock_now_ns(clock_system()) < end_ns)
        (void)store_state_hash(rig.store, &sequence);
    event_log_stats(store_log(rig.store), &stats);
    assert_int_equal(stats.last_sequence, 1);
    events_add(&rig.events, "view", "p2", "i1", NOW_MS);
    assert_int_equal(submit(STORE_ACK_DISK)->result.status, ERR_OK);
    uint64_t before = store_state_hash(rig.store, &sequence), after_sequence;
    assert_int_equal(sequence, 2);
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    wait_for_recovery();
    assert_true(store_state_hash(rig.store, &after_sequence) == before);
}

static void test_failing_sync_is_final(void **state)
{
    (void)state;
    disk_fault_after(DISK_FAULT_SYNC, 0, EIO);
    events_add(&rig.events, "view", "p1", "i1", NOW_MS);
    assert_int_equal(submit(STORE_ACK_DISK)->result.status, ERR_IO);
    disk_fault_off();
    assert_int_equal(store_durability(rig.store, &rig.err), STORE_LOG_FAILED);
    events_add(&rig.events, "view", "p2", "i1", NOW_MS);
    assert_int_equal(submit(STORE_ACK_MEMORY)->result.status, ERR_IO);
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    wait_for_recovery();
    assert_int_equal(store_durability(rig.store, &rig.err), STORE_ON_DISK);
    events_add(&rig.events, "view", "p2", "i1", NOW_MS);
    assert_int_equal(submit(STORE_ACK_DISK)->result.status, ERR_OK);
}

static void test_corrupt_record_stops_recovery(void **state)
{
    (void)state;
    struct store_recovery recovery;
    uint64_t sequence;
    durable_rig_close(&rig);
    struct event_log *event_log = NULL;
    assert_int_equal(event_log_open(&rig.log, &event_log, &rig.err), ERR_OK);
    struct event_record record = {.type = EVENT_view, .event = TEXT_LITERAL("\xc1 no MessagePack")};
    assert_int_equal(event_log_reserve(event_log, record.event.len, &rig.err), ERR_OK);
    event_log_add(event_log, &record);
    assert_int_equal(event_log_commit(event_log, &rig.err), ERR_OK);
    event_log_close(&event_log);
    durable_rig_open(&rig, NULL);
    (void)store_state_hash(rig.store, &sequence);
    do
        store_recovery(rig.store, &recovery, &rig.err);
    while (recovery.state == STORE_RECOVERING);
    assert_int_equal(recovery.state, STORE_RECOVERY_FAILED);
    assert_non_null(strstr(rig.err.text, "record 1"));
}

static void test_what_no_longer_fits_is_counted(void **state)
{
    (void)state;
    struct store_recovery recovery;
    for (int i = 0; i < 20; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%d", i);
        events_add(&rig.events, "view", user, "i1", NOW_MS);
    }
    assert_int_equal(submit(STORE_ACK_DISK)->result.accepted, 20);
    durable_rig_close(&rig);
    rig.limits.people_max = 15;
    durable_rig_open(&rig, NULL);
    wait_for_recovery();
    store_recovery(rig.store, &recovery, &rig.err);
    assert_int_equal(recovery.refused, 5);
    assert_int_equal(recovery.at_sequence, 20);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_state_after_recovery_is_the_state_before),
        T(test_skew_is_kept_for_the_replay),
        T(test_only_what_was_accepted_is_logged),
        T(test_full_disk_is_told_and_over_by_itself),
        T(test_failing_sync_is_final),
        T(test_corrupt_record_stops_recovery),
        T(test_what_no_longer_fits_is_counted),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
