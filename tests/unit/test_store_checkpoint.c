/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: written while events are applied, and by themselves; the state after a start is
 * always the state before.  See test_store_checkpoint_damage.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "featurestore/store.h"
#include "tests/support/checkpoint_rig.h"
#include "tests/support/durable_rig.h"

static void test_start_from_a_checkpoint(void **state)
{
    (void)state;
    checkpoint_rig_check(0);
    checkpoint_rig_fill(3, 300);
    uint64_t at = durable_rig_sequence(&checkpoint_rig);
    assert_int_equal(store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err), ERR_OK);
    struct store_checkpoint_stats stats = checkpoint_rig_wait(1);
    assert_int_equal(stats.written, 1);
    assert_int_equal(stats.sequence, at);
    checkpoint_rig_check(at); /* nothing behind it */
    checkpoint_rig_fill(2, 300);
    checkpoint_rig_check(at);
    for (int i = 0; i < 3; i++) { /* the older one goes when there are two */
        checkpoint_rig_fill(1, 400);
        at = durable_rig_sequence(&checkpoint_rig);
        assert_int_equal(store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err), ERR_OK);
        assert_int_equal(checkpoint_rig_wait((uint64_t)i + 1).written, i + 1);
        assert_int_equal(checkpoint_rig_files(checkpoint_rig.checkpoint_dir), 2);
    }
    checkpoint_rig_check(at);
    checkpoint_rig_fill(1, 500);
    checkpoint_rig_check(at);
}

/* Rows change before, at and after their turn. */
static void test_events_while_it_is_written(void **state)
{
    (void)state;
    checkpoint_rig_fill(20, 8000);
    for (uint64_t round = 1; round <= 3; round++) {
        uint64_t at = durable_rig_sequence(&checkpoint_rig);
        assert_int_equal(store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err), ERR_OK);
        struct store_checkpoint_stats stats;
        uint32_t batches = 0;
        do {
            checkpoint_rig_add(100, 8000);
            durable_rig_submit(&checkpoint_rig);
            batches++;
            store_checkpoint_stats(checkpoint_rig.store, &stats);
        } while (stats.written < round && stats.failures == 0 && batches < 5000);
        assert_int_equal(stats.written, round);
        assert_int_equal(stats.sequence, at);
        assert_true(batches > 1);
    }
    uint64_t last = 0;
    struct store_checkpoint_stats stats;
    store_checkpoint_stats(checkpoint_rig.store, &stats);
    last = stats.sequence;
    checkpoint_rig_check(last);
}

static void test_it_comes_by_itself(void **state)
{
    (void)state;
    struct store_recovery recovery;
    checkpoint_rig.checkpoints.events = 2500;
    checkpoint_rig_restart(&recovery);
    checkpoint_rig_fill(5, 100);
    assert_true(checkpoint_rig_wait(1).written >= 1);
    checkpoint_rig.checkpoints.events = UINT64_MAX;
    checkpoint_rig.checkpoints.interval_ms = 1000;
    checkpoint_rig_restart(&recovery);
    checkpoint_rig_fill(1, 100);
    (void)durable_rig_hash(&checkpoint_rig);
    clock_manual_advance_ns(&checkpoint_rig.clock, UINT64_C(2000000000));
    checkpoint_rig_fill(1, 100);
    assert_int_equal(checkpoint_rig_wait(1).written, 1);
}

static void test_lowered_limits(void **state)
{
    (void)state;
    struct store_recovery recovery;
    checkpoint_rig_fill(2, 400);
    (void)durable_rig_hash(&checkpoint_rig);
    assert_int_equal(store_checkpoint(checkpoint_rig.store, &checkpoint_rig.err), ERR_OK);
    assert_int_equal(checkpoint_rig_wait(1).written, 1);
    checkpoint_rig.limits.history_items_max = 2; /* the newest stay */
    checkpoint_rig_restart(&recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    checkpoint_rig.limits.people_max = 100;
    checkpoint_rig_restart(&recovery);
    assert_int_equal(recovery.state, STORE_RECOVERY_FAILED);
    assert_non_null(strstr(checkpoint_rig.err.text, "people_max"));
}

int main(void)
{
#define T(name) \
    cmocka_unit_test_setup_teardown(name, checkpoint_rig_set_up, checkpoint_rig_tear_down)
    const struct CMUnitTest tests[] = {
        T(test_start_from_a_checkpoint),
        T(test_events_while_it_is_written),
        T(test_it_comes_by_itself),
        T(test_lowered_limits),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
