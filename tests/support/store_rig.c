/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/store_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

void store_rig_create(struct store_rig *rig, const struct store_limits *limits)
{
    clock_manual_init(&rig->clock, 1, STORE_RIG_NOW_MS);
    events_begin(&rig->events);
    assert_int_equal(store_create(limits, &rig->clock.clock, &rig->store, &rig->err), ERR_OK);
}

void store_rig_destroy(struct store_rig *rig)
{
    store_destroy(&rig->store);
}

const struct store_batch_result *store_rig_apply(struct store_rig *rig)
{
    struct store *store = rig->store;
    size_t len = events_end(&rig->events);
    assert_int_equal(cursor_check(rig->events.bytes, len, CURSOR_VALUES_MAX, &rig->err), ERR_OK);
    events_apply(store, &rig->events, len, clock_wall_ms(&rig->clock.clock));
    store_refresh_all(store);
    retire_flush(&store->retire);
    events_begin(&rig->events);
    return &store->result;
}

void store_rig_apply_json(struct store_rig *rig, const char *json)
{
    events_add_json(&rig->events, json);
    const struct store_batch_result *result = store_rig_apply(rig);
    if (result->accepted != 1)
        fail_msg("%s: %s", json,
                 result->described > 0 ? result->rejection[0].message : "a duplicate");
}

uint32_t store_rig_item(const struct store_rig *rig, const char *id)
{
    uint32_t item = store_item_find(rig->store, text_of(id));
    assert_int_not_equal(item, IDMAP_NONE);
    return item;
}
