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
#include <time.h>

#include "base/rcu.h"
#include "tests/support/feature_rig.h"

enum { DEADLINE_S = 30 };

struct reader {
    const struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t turns; /* that did not find them */
    bool found;
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
        pthread_mutex_lock(&reader->lock);
        reader->turns += !found;
        reader->found = found;
        pthread_cond_signal(&reader->changed);
        pthread_mutex_unlock(&reader->lock);
    }
    return NULL;
}

/* Nothing but the turn is waited for: the lock orders what was written before the reader began. */
static void wait_for(struct reader *reader, bool found)
{
    struct timespec until;
    int failed = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += DEADLINE_S;
    pthread_mutex_lock(&reader->lock);
    while (failed == 0 && (found ? !reader->found : reader->turns == 0))
        failed = pthread_cond_timedwait(&reader->changed, &reader->lock, &until);
    pthread_mutex_unlock(&reader->lock);
    assert_int_equal(failed, 0);
}

static void test_queries_and_slots_appear_to_readers_at_work(void **state)
{
    struct store_rig rig;
    pthread_t thread;
    (void)state;
    feature_rig_create(&rig);
    struct reader reader = {
        .store = rig.store, .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    assert_int_equal(pthread_create(&thread, NULL, read_until_found, &reader), 0);
    wait_for(&reader, false);
    (void)feature_rig_define(&rig,
                             "\"query.searches\": {\"kind\": \"count\", \"events\": [\"search\"]},"
                             "\"slot.seen\": {\"kind\": \"count\", \"events\": [\"impression\"]}");
    store_rig_apply_json(&rig, "{\"type\": \"search\", \"user\": \"u\", \"query\": \"Boots\"}");
    store_rig_apply_json(&rig, "{\"type\": \"impression\", \"user\": \"u\", \"list\": \"home\","
                               " \"items\": [{\"id\": \"shoe\"}]}");
    wait_for(&reader, true);
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
