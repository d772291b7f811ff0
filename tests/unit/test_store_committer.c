/* SPDX-License-Identifier: Apache-2.0 */
/* While a commit waits for the disk, events are applied and seen, and nobody is told too soon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "base/rcu.h"
#include "featurestore/store.h"
#include "featurestore/store_people.h"
#include "tests/support/disk_fault.h"
#include "tests/support/durable_rig.h"

#define NOW_MS DURABLE_RIG_NOW_MS

/* One batch each; all under the mutex. */
enum { BATCHES_MAX = 200 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t told;
    enum err_code status[BATCHES_MAX]; /* in the order in which they were told */
    uint32_t number[BATCHES_MAX];
} outcome = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static struct durable_rig rig;
static uint32_t numbers[BATCHES_MAX];

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 100000,
                                        .history_items_max = 8,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 100000};
    outcome.told = 0;
    durable_rig_create(&rig, &limits);
    durable_rig_open(&rig, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_release();
    disk_fault_off();
    durable_rig_destroy(&rig);
    return 0;
}

static void on_done(void *ctx, const struct store_batch_result *result)
{
    pthread_mutex_lock(&outcome.mutex);
    outcome.number[outcome.told] = *(const uint32_t *)ctx;
    outcome.status[outcome.told++] = result->status;
    pthread_cond_signal(&outcome.changed);
    pthread_mutex_unlock(&outcome.mutex);
}

static void submit(uint32_t number, enum store_ack ack)
{
    size_t len = events_end(&rig.events);
    numbers[number] = number;
    const struct store_batch batch = {.bytes = rig.events.bytes,
                                      .len = len,
                                      .ack = ack,
                                      .done = on_done,
                                      .ctx = &numbers[number]};
    assert_int_equal(store_submit(rig.store, &batch, &rig.err), ERR_OK);
    events_begin(&rig.events);
}

static void view(uint32_t number)
{
    char user[16];
    snprintf(user, sizeof user, "u%u", number);
    events_add(&rig.events, "view", user, "i", NOW_MS);
}

static void view_and_submit(uint32_t number, enum store_ack ack)
{
    view(number);
    submit(number, ack);
}

static uint32_t told_count(void)
{
    pthread_mutex_lock(&outcome.mutex);
    uint32_t told = outcome.told;
    pthread_mutex_unlock(&outcome.mutex);
    return told;
}

static void await_told(uint32_t count)
{
    pthread_mutex_lock(&outcome.mutex);
    while (outcome.told < count)
        pthread_cond_wait(&outcome.changed, &outcome.mutex);
    pthread_mutex_unlock(&outcome.mutex);
}

static bool is_seen(uint32_t number)
{
    char user[16];
    struct history history;
    snprintf(user, sizeof user, "u%u", number);
    rcu_read_begin();
    bool seen = store_history(rig.store, text_of(user), (struct text){0}, &history);
    rcu_read_end();
    return seen;
}

/* A batch that is acknowledged in memory: what came before it was applied. */
static void await_applied(uint32_t number)
{
    uint32_t told = told_count();
    view_and_submit(number, STORE_ACK_MEMORY);
    await_told(told + 1);
    assert_true(is_seen(number));
}

static void test_what_comes_during_a_commit_is_seen_and_not_acknowledged(void **state)
{
    (void)state;
    disk_fault_hold();
    view_and_submit(0, STORE_ACK_DISK);
    disk_fault_await_held();
    view_and_submit(1, STORE_ACK_DISK);
    view_and_submit(2, STORE_ACK_DISK);
    await_applied(3);
    assert_true(is_seen(0) && is_seen(1) && is_seen(2));
    assert_int_equal(told_count(), 1); /* the one in memory */
    disk_fault_release();
    await_told(4);
    for (uint32_t i = 1; i < 4; i++) {
        assert_int_equal(outcome.number[i], i - 1); /* in their order */
        assert_int_equal(outcome.status[i], ERR_OK);
    }
}

/* A duplicate of an event that is being committed is as safe as that one, and no sooner. */
static void test_a_duplicate_waits_for_the_commit(void **state)
{
    (void)state;
    events_add_json(&rig.events, "{\"id\":\"same\",\"type\":\"view\",\"user\":\"u0\","
                                 "\"items\":[{\"id\":\"i\"}]}");
    disk_fault_hold();
    submit(0, STORE_ACK_DISK);
    disk_fault_await_held();
    events_add_json(&rig.events, "{\"id\":\"same\",\"type\":\"view\",\"user\":\"u0\","
                                 "\"items\":[{\"id\":\"i\"}]}");
    submit(1, STORE_ACK_DISK);
    await_applied(2);
    assert_int_equal(told_count(), 1);
    disk_fault_release();
    await_told(3);
    assert_int_equal(durable_rig_sequence(&rig), 2);
}

/* What was applied beside a commit that fails is told the same, and goes to the log after it. */
static void test_a_commit_that_fails_fails_what_came_after_it(void **state)
{
    (void)state;
    struct store_recovery recovery;
    disk_fault_hold();
    view_and_submit(0, STORE_ACK_DISK);
    disk_fault_await_held();
    view_and_submit(1, STORE_ACK_DISK);
    await_applied(2);
    disk_fault_after(DISK_FAULT_SYNC, 0, ENOSPC);
    disk_fault_release();
    await_told(3);
    assert_int_equal(outcome.status[1], ERR_DISK_FULL);
    assert_int_equal(outcome.status[2], ERR_DISK_FULL);
    disk_fault_off();
    uint64_t hash = durable_rig_hash(&rig);
    durable_rig_close(&rig); /* commits what is left */
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    assert_int_equal(durable_rig_sequence(&rig), 3);
    assert_true(durable_rig_hash(&rig) == hash);
}

/* What somebody asks for waits for the commit, and finds all that was applied. */
static void *ask_hash(void *ctx)
{
    *(uint64_t *)ctx = durable_rig_sequence(&rig);
    return NULL;
}

static void test_who_asks_waits_for_the_commit(void **state)
{
    (void)state;
    pthread_t thread;
    uint64_t sequence = 0;
    disk_fault_hold();
    view_and_submit(0, STORE_ACK_DISK);
    disk_fault_await_held();
    await_applied(1);
    assert_int_equal(pthread_create(&thread, NULL, ask_hash, &sequence), 0);
    disk_fault_release();
    pthread_join(thread, NULL);
    assert_int_equal(sequence, 2);
}

/* Memory is not ahead of the disk by more than a bound. */
static void test_no_more_than_a_bound_is_applied_beside_a_commit(void **state)
{
    (void)state;
    enum { EVENTS = 400, BATCHES = 60 }; /* 24,000 events; 16,384 may be ahead */
    disk_fault_hold();
    view_and_submit(0, STORE_ACK_DISK);
    disk_fault_await_held();
    for (uint32_t batch = 1; batch <= BATCHES; batch++) {
        for (uint32_t i = 0; i < EVENTS; i++)
            view(batch * EVENTS + i);
        submit(batch, STORE_ACK_MEMORY);
    }
    await_told(16384 / EVENTS);
    assert_true(is_seen(16384 / EVENTS * EVENTS));
    assert_false(is_seen(BATCHES * EVENTS));
    disk_fault_release();
    await_told(BATCHES + 1);
    assert_true(is_seen(BATCHES * EVENTS));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_what_comes_during_a_commit_is_seen_and_not_acknowledged),
        T(test_a_duplicate_waits_for_the_commit),
        T(test_a_commit_that_fails_fails_what_came_after_it),
        T(test_who_asks_waits_for_the_commit),
        T(test_no_more_than_a_bound_is_applied_beside_a_commit),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
