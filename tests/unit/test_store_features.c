/* SPDX-License-Identifier: Apache-2.0 */
/* Features over restarts and reloads: what is new is filled from the log, and is then what it would
 * be had it always been there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rand.h"
#include "featurestore/definitions.h"
#include "featurestore/store_internal.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"

#define NOW_MS  INT64_C(1700000000000)
#define WAIT_NS UINT64_C(60000000000)

static struct clock_manual now;
static struct temp_dir dir;
static char log_dir[2 * TEMP_DIR_BYTES], checkpoint_dir[2 * TEMP_DIR_BYTES];
static struct store *store;
static struct events events;
static struct err err;
static struct rand rng;

#define VIEWS "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"}"
#define HEAT  "\"item.heat\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1d\"}"
#define SEEN \
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 3}"
#define PAIRS "\"user_item.since\": {\"kind\": \"since\", \"events\": [\"view\"]}"
#define QUERY "\"query.views\": {\"kind\": \"count\", \"events\": [\"view\"]}"

static struct definitions *parse(const char *features)
{
    static char file[4096];
    struct definitions *definitions = NULL;
    int len = snprintf(file, sizeof file, "{\"features\": {%s}}", features);
    if (definitions_parse("features.json", file, (size_t)len, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return definitions;
}

static void open_store(const char *features)
{
    const struct store_limits limits = {.items_max = 5000,
                                        .people_max = 20000,
                                        .history_items_max = 30,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 100,
                                        .feature_rows_max = 100000};
    const struct event_log_options options = {
        .dir = log_dir, .bytes_max = UINT64_C(256) << 20, .clock = &now.clock};
    const struct store_checkpoint_options checkpoints = {
        .dir = checkpoint_dir, .events = UINT64_MAX, .interval_ms = UINT32_MAX};
    struct store_recovery recovery;
    struct definitions *definitions = parse(features);
    assert_int_equal(store_create(&limits, &now.clock, &store, &err), ERR_OK);
    assert_int_equal(store_define_features(store, &definitions, &err), ERR_OK);
    assert_int_equal(store_open_log(store, &options, &checkpoints, &err), ERR_OK);
    assert_int_equal(store_start(store, &err), ERR_OK);
    do {
        sched_yield();
        store_recovery(store, &recovery, &err);
    } while (recovery.state == STORE_RECOVERING);
    if (recovery.state != STORE_RECOVERED)
        fail_msg("%s", err.text);
}

static void close_store(void)
{
    store_stop(store);
    store_destroy(&store);
}

static int set_up(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "events", log_dir);
    temp_dir_path(&dir, "checkpoints", checkpoint_dir);
    clock_manual_init(&now, 1, NOW_MS);
    rand_init(&rng, 3);
    events_begin(&events);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_store();
    temp_dir_remove(&dir);
    return 0;
}

static unsigned below(uint32_t bound)
{
    return (unsigned)rand_below(&rng, bound);
}

/* The catalogue stays as it is: features by category and brand are filled by today's. */
static void send(uint32_t batches)
{
    struct err refusal; /* its own: it may run beside the test */
    for (uint32_t b = 0; b < batches; b++) {
        for (uint32_t i = 0; i < 500; i++) {
            char json[256];
            snprintf(json, sizeof json,
                     "{\"type\":\"view\",\"%s\":\"p%u\",\"query\":\"q%u\",\"ts\":%lld,\"items\":"
                     "[{\"id\":\"i%u\"}]}",
                     below(3) == 0 ? "anon" : "user", below(200), below(50),
                     (long long)(NOW_MS - below(900000000)), below(100));
            events_add_json(&events, json);
        }
        size_t len = events_end(&events);
        struct store_batch batch = {.bytes = events.bytes, .len = len, .ack = STORE_ACK_DISK};
        enum err_code rc;
        while ((rc = store_submit(store, &batch, &refusal)) == ERR_BUSY)
            sched_yield();
        assert_int_equal(rc, ERR_OK);
        events_begin(&events);
    }
}

static uint64_t hash(void)
{
    uint64_t sequence;
    return store_state_hash(store, &sequence);
}

static uint32_t redefine(const char *features)
{
    uint32_t new_count = 0;
    struct definitions *definitions = parse(features);
    if (store_redefine_features(store, &definitions, &new_count, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_null(definitions);
    return new_count;
}

/* The state of a store that had these definitions from the first event on. */
static uint64_t hash_of_a_replay(const char *features)
{
    char kept[sizeof checkpoint_dir];
    close_store();
    memcpy(kept, checkpoint_dir, sizeof kept);
    temp_dir_path(&dir, "elsewhere", checkpoint_dir);
    open_store(features);
    uint64_t replayed = hash();
    memcpy(checkpoint_dir, kept, sizeof kept);
    return replayed;
}

static void test_what_is_new_is_filled_from_the_log(void **state)
{
    (void)state;
    open_store(VIEWS);
    send(10);
    assert_int_equal(redefine(VIEWS "," HEAT "," SEEN "," PAIRS "," QUERY), 4);
    send(1);
    uint64_t filled = hash();
    assert_true(filled == hash_of_a_replay(VIEWS "," HEAT "," SEEN "," PAIRS "," QUERY));
}

struct sender {
    _Atomic bool stop;
};

static void *send_meanwhile(void *arg)
{
    struct sender *sender = arg;
    for (int i = 0; i < 300 && !atomic_load(&sender->stop); i++)
        send(1);
    return NULL;
}

static void test_what_happens_while_it_is_filled_is_counted_once(void **state)
{
    (void)state;
    struct sender sender = {false};
    pthread_t thread;
    open_store(VIEWS);
    send(20);
    assert_int_equal(pthread_create(&thread, NULL, send_meanwhile, &sender), 0);
    assert_int_equal(redefine(VIEWS "," HEAT "," PAIRS), 2);
    assert_int_equal(redefine(HEAT "," PAIRS "," QUERY "," SEEN), 2);
    atomic_store(&sender.stop, true);
    pthread_join(thread, NULL);
    uint64_t filled = hash();
    assert_true(filled == hash_of_a_replay(HEAT "," PAIRS "," QUERY "," SEEN));
}

static void wait_for_checkpoint(void)
{
    struct store_checkpoint_stats stats;
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    assert_int_equal(store_checkpoint(store, &err), ERR_OK);
    do {
        sched_yield();
        store_checkpoint_stats(store, &stats);
    } while (stats.written == 0 && stats.failures == 0 && clock_now_ns(clock_system()) < end_ns);
    assert_int_equal(stats.written, 1);
}

static void test_a_start_with_other_definitions_fills_what_the_checkpoint_lacks(void **state)
{
    (void)state;
    static const char *const next[] = {
        VIEWS "," HEAT "," PAIRS,                    /* the same */
        VIEWS "," HEAT "," PAIRS "," SEEN "," QUERY, /* two more */
        SEEN,                                        /* one of them, alone */
        "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"14d\"}",
        "",
    };
    open_store(VIEWS "," HEAT "," PAIRS);
    send(4);
    wait_for_checkpoint();
    send(2);
    for (uint32_t i = 0; i < sizeof next / sizeof next[0]; i++) {
        close_store();
        open_store(next[i]);
        uint64_t started = hash();
        assert_true(started == hash_of_a_replay(next[i]));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_new_is_filled_from_the_log),
        TEST(test_what_happens_while_it_is_filled_is_counted_once),
        TEST(test_a_start_with_other_definitions_fills_what_the_checkpoint_lacks),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
