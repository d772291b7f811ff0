/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/durable_rig.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs some of the above */
#include <cmocka.h>

#include "tests/support/feature_rig.h"

void durable_rig_create(struct durable_rig *rig, const struct store_limits *limits)
{
    temp_dir_create(&rig->dir);
    temp_dir_path(&rig->dir, "events", rig->log_dir);
    temp_dir_path(&rig->dir, "checkpoints", rig->checkpoint_dir);
    clock_manual_init(&rig->clock, 1, DURABLE_RIG_NOW_MS);
    events_begin(&rig->events);
    rig->limits = *limits;
    rig->log = (struct event_log_options){
        .dir = rig->log_dir, .bytes_max = UINT64_C(256) << 20, .clock = &rig->clock.clock};
    rig->checkpoints = (struct store_checkpoint_options){
        .dir = rig->checkpoint_dir, .events = UINT64_MAX, .interval_ms = UINT32_MAX};
    rig->store = NULL;
}

void durable_rig_destroy(struct durable_rig *rig)
{
    if (rig->store != NULL)
        durable_rig_close(rig);
    temp_dir_remove(&rig->dir);
}

void durable_rig_open(struct durable_rig *rig, const char *features)
{
    struct store *store = NULL;
    struct err *err = &rig->err;
    assert_int_equal(store_create(&rig->limits, &rig->clock.clock, &store, err), ERR_OK);
    if (features != NULL) {
        struct definitions *definitions = feature_rig_parse(features, err);
        assert_int_equal(store_define_features(store, &definitions, err), ERR_OK);
    }
    assert_int_equal(store_open_log(store, &rig->log, &rig->checkpoints, err), ERR_OK);
    assert_int_equal(store_start(store, err), ERR_OK);
    rig->store = store;
}

void durable_rig_close(struct durable_rig *rig)
{
    store_stop(rig->store);
    store_destroy(&rig->store);
}

void durable_rig_recover(struct durable_rig *rig, struct store_recovery *ret_recovery)
{
    do {
        sched_yield();
        store_recovery(rig->store, ret_recovery, &rig->err);
    } while (ret_recovery->state == STORE_RECOVERING);
}

void durable_rig_submit(struct durable_rig *rig)
{
    struct err refusal; /* its own: it may run beside the test */
    size_t len = events_end(&rig->events);
    struct store_batch batch = {.bytes = rig->events.bytes, .len = len, .ack = STORE_ACK_DISK};
    enum err_code rc;
    while ((rc = store_submit(rig->store, &batch, &refusal)) == ERR_BUSY)
        sched_yield();
    assert_int_equal(rc, ERR_OK);
    events_begin(&rig->events);
}

uint64_t durable_rig_hash(struct durable_rig *rig)
{
    uint64_t sequence;
    return store_state_hash(rig->store, &sequence);
}

uint64_t durable_rig_sequence(struct durable_rig *rig)
{
    uint64_t sequence;
    (void)store_state_hash(rig->store, &sequence);
    return sequence;
}
