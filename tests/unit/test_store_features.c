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
#include "tests/support/durable_rig.h"
#include "tests/support/feature_rig.h"

#define NOW_MS  DURABLE_RIG_NOW_MS
#define WAIT_NS UINT64_C(60000000000)

static struct durable_rig rig;
static struct rand rng;

#define SEVEN_DAYS \
    "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"}"
#define HEAT "\"item.heat\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1d\"}"
#define SEEN \
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 3}"
#define PAIRS "\"user_item.since\": {\"kind\": \"since\", \"events\": [\"view\"]}"
#define QUERY "\"query.views\": {\"kind\": \"count\", \"events\": [\"view\"]}"

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 5000,
                                        .people_max = 20000,
                                        .history_items_max = 30,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 100,
                                        .feature_rows_max = 100000};
    rand_init(&rng, 3);
    durable_rig_create(&rig, &limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    durable_rig_destroy(&rig);
    return 0;
}

/* Recovered. */
static void open_store(const char *features)
{
    struct store_recovery recovery;
    durable_rig_open(&rig, features);
    durable_rig_recover(&rig, &recovery);
    if (recovery.state != STORE_RECOVERED)
        fail_msg("%s", rig.err.text);
}

static unsigned below(uint32_t bound)
{
    return (unsigned)rand_below(&rng, bound);
}

/* The catalogue stays as it is: features by category and brand are filled by today's. */
static void send(uint32_t batches)
{
    for (uint32_t b = 0; b < batches; b++) {
        for (uint32_t i = 0; i < 500; i++) {
            char json[256];
            snprintf(json, sizeof json,
                     "{\"type\":\"view\",\"%s\":\"p%u\",\"query\":\"q%u\",\"ts\":%lld,\"items\":"
                     "[{\"id\":\"i%u\"}]}",
                     below(3) == 0 ? "anon" : "user", below(200), below(50),
                     (long long)(NOW_MS - below(900000000)), below(100));
            events_add_json(&rig.events, json);
        }
        durable_rig_submit(&rig);
    }
}

static uint32_t redefine(const char *features)
{
    uint32_t new_count = 0;
    struct definitions *definitions = feature_rig_parse(features, &rig.err);
    if (feature_rig_redefine(rig.store, &definitions, &new_count, &rig.err) != ERR_OK)
        fail_msg("%s", rig.err.text);
    assert_null(definitions);
    return new_count;
}

/* The state of a store that had these definitions from the first event on. */
static uint64_t hash_of_a_replay(const char *features)
{
    char kept[sizeof rig.checkpoint_dir];
    durable_rig_close(&rig);
    memcpy(kept, rig.checkpoint_dir, sizeof kept);
    temp_dir_path(&rig.dir, "elsewhere", rig.checkpoint_dir);
    open_store(features);
    uint64_t replayed = durable_rig_hash(&rig);
    memcpy(rig.checkpoint_dir, kept, sizeof kept);
    return replayed;
}

static void test_what_is_new_is_filled_from_the_log(void **state)
{
    (void)state;
    open_store(SEVEN_DAYS);
    send(10);
    assert_int_equal(redefine(SEVEN_DAYS "," HEAT "," SEEN "," PAIRS "," QUERY), 4);
    send(1);
    uint64_t filled = durable_rig_hash(&rig);
    assert_true(filled == hash_of_a_replay(SEVEN_DAYS "," HEAT "," SEEN "," PAIRS "," QUERY));
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
    open_store(SEVEN_DAYS);
    send(20);
    assert_int_equal(pthread_create(&thread, NULL, send_meanwhile, &sender), 0);
    assert_int_equal(redefine(SEVEN_DAYS "," HEAT "," PAIRS), 2);
    assert_int_equal(redefine(HEAT "," PAIRS "," QUERY "," SEEN), 2);
    atomic_store(&sender.stop, true);
    pthread_join(thread, NULL);
    uint64_t filled = durable_rig_hash(&rig);
    assert_true(filled == hash_of_a_replay(HEAT "," PAIRS "," QUERY "," SEEN));
}

static void *ask_for_sums(void *arg)
{
    struct sender *asker = arg;
    struct store_stats stats;
    while (!atomic_load(&asker->stop)) {
        store_stats(rig.store, &stats);
        assert_in_range(stats.feature_rows, 0, 100000);
    }
    return NULL;
}

/* What is no longer in force is freed meanwhile. */
static void test_sums_may_be_asked_for_while_definitions_change(void **state)
{
    (void)state;
    struct sender asker = {false};
    pthread_t thread;
    open_store(SEVEN_DAYS);
    send(1);
    assert_int_equal(pthread_create(&thread, NULL, ask_for_sums, &asker), 0);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(redefine(SEVEN_DAYS "," HEAT), i == 0 ? 1 : 2);
        assert_int_equal(redefine(PAIRS), 1);
    }
    atomic_store(&asker.stop, true);
    pthread_join(thread, NULL);
}

static void wait_for_checkpoint(void)
{
    struct store_checkpoint_stats stats;
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
    do {
        sched_yield();
        store_checkpoint_stats(rig.store, &stats);
    } while (stats.written == 0 && stats.failures == 0 && clock_now_ns(clock_system()) < end_ns);
    assert_int_equal(stats.written, 1);
}

static void test_a_start_with_other_definitions_fills_what_the_checkpoint_lacks(void **state)
{
    (void)state;
    static const char *const next[] = {
        SEVEN_DAYS "," HEAT "," PAIRS,                    /* the same */
        SEVEN_DAYS "," HEAT "," PAIRS "," SEEN "," QUERY, /* two more */
        SEEN,                                             /* one of them, alone */
        "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"14d\"}",
        "",
    };
    open_store(SEVEN_DAYS "," HEAT "," PAIRS);
    send(4);
    wait_for_checkpoint();
    send(2);
    for (uint32_t i = 0; i < sizeof next / sizeof next[0]; i++) {
        durable_rig_close(&rig);
        open_store(next[i]);
        uint64_t started = durable_rig_hash(&rig);
        assert_true(started == hash_of_a_replay(next[i]));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_new_is_filled_from_the_log),
        TEST(test_what_happens_while_it_is_filled_is_counted_once),
        TEST(test_sums_may_be_asked_for_while_definitions_change),
        TEST(test_a_start_with_other_definitions_fills_what_the_checkpoint_lacks),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
