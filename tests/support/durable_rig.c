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
    temp_dir_path(&rig->dir, ERASE_LEDGER_NAME, rig->ledger_path);
    rig->has_ledger = false;
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
    if (rig->has_ledger)
        assert_int_equal(store_open_erasures(store, rig->ledger_path, NULL, NULL, err), ERR_OK);
    if (rig->gives_up)
        store_give_up_recovery(store);
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

static enum err_code strip_log(struct durable_rig *rig, const struct erasure_round *round)
{
    struct erase_strip *strip = NULL;
    struct event_log_rebuild *rebuild = NULL;
    bool is_near = false;
    struct event_log *log = store_log(rig->store);
    enum err_code rc = erase_strip_create(&round->set, &strip, &rig->err);
    if (rc == ERR_OK)
        rc = event_log_rebuild_begin(log, erase_strip_event, strip, &rebuild, &rig->err);
    while (rc == ERR_OK && !is_near)
        rc = event_log_rebuild_step(rebuild, &is_near, &rig->err);
    if (rc == ERR_OK)
        rc = store_erasure_swap(rig->store, rebuild, strip, &rig->err);
    event_log_rebuild_end(&rebuild);
    erase_strip_destroy(&strip);
    return rc;
}

enum err_code durable_rig_erase(struct durable_rig *rig)
{
    struct erasure_round round;
    struct erasure_sweep at = {0};
    enum err_code rc = store_erasure_begin(rig->store, &round, &rig->err);
    if (rc != ERR_OK)
        return rc;
    while (store_erasure_sweep(rig->store, &at))
        continue;
    do {
        rc = store_erasure_drop_checkpoints(rig->store, round.sequence, &rig->err);
        sched_yield();
    } while (rc == ERR_BUSY);
    if (rc == ERR_OK)
        rc = strip_log(rig, &round);
    if (rc == ERR_OK)
        rc = store_erasure_done(rig->store, round.request_last, &rig->err);
    store_erasure_deinit(&round);
    return rc;
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
