/* SPDX-License-Identifier: Apache-2.0 */
/* A list that takes long gives way while it is made: to commands, but not for ever, and to a stop.
 *
 * While it makes a list the loader asks reg_is_stopping and reg_has_commands now and then: the
 * linker puts functions of this test in their place, which let a stop or a command come at that
 * very moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rcu.h"
#include "server/control/registry_internal.h"
#include "tests/support/events.h"
#include "tests/support/registry_rig.h"

enum { COMMANDS_MAX = 16, WAIT_NS_MAX = 2000000000, ITEMS = 40 };

bool __wrap_reg_has_commands(struct registry *registry);
bool __real_reg_has_commands(struct registry *registry);
bool __wrap_reg_is_stopping(struct registry *registry);
bool __real_reg_is_stopping(struct registry *registry);

enum disturbance { DISTURB_NOT, DISTURB_WITH_COMMANDS, DISTURB_WITH_A_STOP };

/* What happens while the list is made; the loader's but for `disturbance`. */
static struct {
    struct registry_rig *rig;
    _Atomic enum disturbance disturbance;
    uint32_t commands_left, command_count;
    struct outcome outcome[COMMANDS_MAX];
    uint64_t listed[COMMANDS_MAX]; /* items of the list when the command was done */
    pthread_t stopper;
} moment;

/* ---- the store and its list ------------------------------------------------------------------ */

static void on_batch(void *ctx, const struct store_batch_result *result)
{
    const struct err err = {.text = "items were rejected"};
    outcome_done(ctx, result->rejected == 0 ? result->status : ERR_BAD_INPUT, &err);
}

/* Pairs of items that have a word to themselves, so that each is like the other. */
static void put_items(struct registry_rig *rig, uint32_t first, uint32_t count)
{
    static struct events events;
    struct outcome outcome;
    struct err err = {.text = ""};
    char json[128];
    events_begin(&events);
    for (uint32_t i = first; i < first + count; i++) {
        snprintf(json, sizeof json,
                 "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"i%u\",\"title\":\"word%u cup\"}]}",
                 i, i / 2);
        events_add_json(&events, json);
    }
    outcome_init(&outcome);
    const struct store_batch batch = {.bytes = events.bytes,
                                      .len = (uint32_t)events_end(&events),
                                      .done = on_batch,
                                      .ctx = &outcome};
    assert_int_equal(store_submit(rig->store, &batch, &err), ERR_OK);
    assert_int_equal(outcome_wait(&outcome), ERR_OK);
}

/* How many items have others that are like them. */
static uint64_t listed(const struct registry_rig *rig)
{
    rcu_read_begin();
    const struct list_set *set = snapshot_lists(serving_current(&rig->serving));
    uint64_t count = 0;
    for (uint32_t span = 0; span < set->list[0]->span_count; span++)
        count += set->list[0]->span[span].count > 0;
    rcu_read_end();
    return count;
}

static void wait_until_listed(const struct registry_rig *rig, uint64_t count)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + 10 * (uint64_t)WAIT_NS_MAX;
    while (listed(rig) != count) {
        if (clock_now_ns(clock_system()) > end_ns)
            fail_msg("the list has %llu items, expected %llu", (unsigned long long)listed(rig),
                     (unsigned long long)count);
        sched_yield();
    }
}

/* ---- what comes in between ------------------------------------------------------------------- */

static void command_done(void *ctx, enum err_code rc, const struct err *err)
{
    uint64_t *at = ctx;
    *at = listed(moment.rig);
    outcome_done(&moment.outcome[at - moment.listed], rc, err);
}

static void *stop(void *arg)
{
    registry_stop(arg);
    return NULL;
}

bool __wrap_reg_has_commands(struct registry *registry)
{
    if (atomic_load(&moment.disturbance) == DISTURB_WITH_COMMANDS && moment.commands_left > 0) {
        moment.commands_left--;
        registry_scan(registry, command_done, &moment.listed[moment.command_count++]);
    }
    return __real_reg_has_commands(registry);
}

bool __wrap_reg_is_stopping(struct registry *registry)
{
    if (atomic_load(&moment.disturbance) == DISTURB_WITH_A_STOP) {
        if (pthread_create(&moment.stopper, NULL, stop, registry) != 0)
            abort();
        while (!__real_reg_is_stopping(registry))
            sched_yield();
        atomic_store(&moment.disturbance, DISTURB_NOT);
    }
    return __real_reg_is_stopping(registry);
}

static int set_up(void **state)
{
    static char policies[2 * TEMP_DIR_BYTES];
    if (rig_set_up(state) != 0)
        return -1;
    struct registry_rig *rig = *state;
    temp_dir_write_text(&rig->dir, "policies.json",
                        "{\"version\": \"1\", \"default\": \"home\", \"slots\": {\"home\": "
                        "{\"sources\": [{\"source\": \"content\"}]}}}");
    rig->policies = temp_dir_path(&rig->dir, "policies.json", policies);
    rig_start(rig);
    atomic_store(&moment.disturbance, DISTURB_NOT);
    moment.rig = rig;
    moment.commands_left = moment.command_count = 0;
    for (int i = 0; i < COMMANDS_MAX; i++)
        outcome_init(&moment.outcome[i]);
    put_items(rig, 0, ITEMS);
    wait_until_listed(rig, ITEMS);
    return 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_a_command_is_done_before_the_list(void **state)
{
    struct registry_rig *rig = *state;
    moment.commands_left = 1;
    atomic_store(&moment.disturbance, DISTURB_WITH_COMMANDS);
    put_items(rig, ITEMS, ITEMS);
    assert_int_equal(outcome_wait(&moment.outcome[0]), ERR_OK);
    assert_int_equal(moment.listed[0], ITEMS); /* still the list of before */
    wait_until_listed(rig, 2 * (uint64_t)ITEMS);
}

/* Commands that never end do not keep the list from being made. */
static void test_it_gives_way_only_so_often(void **state)
{
    struct registry_rig *rig = *state;
    moment.commands_left = COMMANDS_MAX;
    atomic_store(&moment.disturbance, DISTURB_WITH_COMMANDS);
    put_items(rig, ITEMS, ITEMS);
    wait_until_listed(rig, 2 * (uint64_t)ITEMS);
    atomic_store(&moment.disturbance, DISTURB_NOT);
    rig_scan(rig);
    assert_in_range(moment.command_count, 2, COMMANDS_MAX - 1);
    for (uint32_t i = 0; i < moment.command_count; i++) {
        assert_int_equal(outcome_wait(&moment.outcome[i]), ERR_OK);
        assert_int_equal(moment.listed[i], ITEMS);
    }
}

static void test_a_stop_does_not_wait_for_it(void **state)
{
    struct registry_rig *rig = *state;
    atomic_store(&moment.disturbance, DISTURB_WITH_A_STOP);
    put_items(rig, ITEMS, ITEMS);
    while (atomic_load(&moment.disturbance) != DISTURB_NOT)
        sched_yield();
    assert_int_equal(pthread_join(moment.stopper, NULL), 0);
    assert_int_equal(listed(rig), ITEMS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_command_is_done_before_the_list, set_up,
                                        rig_tear_down),
        cmocka_unit_test_setup_teardown(test_it_gives_way_only_so_often, set_up, rig_tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_does_not_wait_for_it, set_up, rig_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
