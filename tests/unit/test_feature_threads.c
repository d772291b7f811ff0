/* SPDX-License-Identifier: Apache-2.0 */
/* Readers that ask by query and slot while features by these are defined for the first time: under
 * ThreadSanitizer this is the proof that they may. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/rcu.h"
#include "tests/support/feature_rig.h"

enum { DEADLINE_S = 30, TURNS = 100 };

struct reader {
    const struct store *store;
    /* Relaxed, both: what orders reader and writer must be what is tested, and nothing else. */
    _Atomic uint32_t turns;
    _Atomic bool found;
};

/* Until it knows both. */
static void *read_until_found(void *arg)
{
    struct reader *reader = arg;
    const struct feature_asker asker = {.query = TEXT_LITERAL("boots"),
                                        .slot = TEXT_LITERAL("home")};
    bool found = false;
    while (!found) {
        struct feature_reader features;
        rcu_read_begin();
        feature_reader_begin(&features, reader->store, &asker);
        found = features.query != IDMAP_NONE && features.slot != IDMAP_NONE;
        rcu_read_end();
        atomic_fetch_add_explicit(&reader->turns, 1, memory_order_relaxed);
    }
    atomic_store_explicit(&reader->found, true, memory_order_relaxed);
    return NULL;
}

/* A lock would order what must not be ordered here; so it looks again and again. */
static void wait_for_turns(struct reader *reader)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + DEADLINE_S * UINT64_C(1000000000);
    uint32_t wanted = atomic_load_explicit(&reader->turns, memory_order_relaxed) + TURNS;
    while (atomic_load_explicit(&reader->turns, memory_order_relaxed) < wanted &&
           !atomic_load_explicit(&reader->found, memory_order_relaxed)) {
        assert_true(clock_now_ns(clock_system()) < until_ns);
        sched_yield();
    }
}

static void test_queries_and_slots_appear_to_readers_at_work(void **state)
{
    struct store_rig rig;
    struct err err = {.text = ""};
    const struct feature_set *set = NULL;
    uint32_t new_count = 0;
    bool is_done = false;
    pthread_t thread;
    (void)state;
    feature_rig_create(&rig);
    struct reader reader = {.store = rig.store};
    assert_int_equal(pthread_create(&thread, NULL, read_until_found, &reader), 0);
    wait_for_turns(&reader);
    struct definitions *definitions =
        feature_rig_parse("\"query.searches\": {\"kind\": \"count\", \"events\": [\"search\"]},"
                          "\"slot.seen\": {\"kind\": \"count\", \"events\": [\"impression\"]}",
                          &err);
    assert_int_equal(store_declare_features(rig.store, definitions, &err), ERR_OK);
    assert_int_equal(store_stage_features(rig.store, &definitions, &set, &new_count, &err), ERR_OK);
    wait_for_turns(&reader); /* the maps are there, and nothing else told the reader */
    while (!is_done)
        assert_int_equal(store_fill_features(rig.store, &is_done, &err), ERR_OK);
    store_adopt_features(rig.store);
    store_rig_apply_json(&rig, "{\"type\": \"search\", \"user\": \"u\", \"query\": \"Boots\"}");
    store_rig_apply_json(&rig, "{\"type\": \"impression\", \"user\": \"u\", \"list\": \"home\","
                               " \"items\": [{\"id\": \"shoe\"}]}");
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(
        feature_rig_value(&rig, "query.searches", (struct feature_rig_of){.query = "boots"}) == 1);
    assert_true(feature_rig_value(&rig, "slot.seen", (struct feature_rig_of){.slot = "home"}) == 1);
    store_rig_destroy(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queries_and_slots_appear_to_readers_at_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
