/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/identity_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

const struct store_limits identity_rig_limits = {.items_max = 1000,
                                                 .people_max = 1000,
                                                 .history_items_max = 100,
                                                 .queue_events_max = 2000,
                                                 .link_anons_max = 4,
                                                 .link_users_max = 3,
                                                 .link_window_s = 7 * 86400};

static struct clock_manual identity_rig_clock;
struct store *identity_rig_store;
struct events identity_rig_events;
static struct err identity_rig_err;

struct store *identity_rig_make_store(const struct store_limits *with)
{
    struct store *made = NULL;
    clock_manual_init(&identity_rig_clock, 1, NOW_MS);
    assert_int_equal(store_create(with, &identity_rig_clock.clock, &made, &identity_rig_err),
                     ERR_OK);
    return made;
}

int identity_rig_set_up(void **state)
{
    (void)state;
    events_begin(&identity_rig_events);
    identity_rig_store = identity_rig_make_store(&identity_rig_limits);
    return 0;
}

int identity_rig_tear_down(void **state)
{
    (void)state;
    store_destroy(&identity_rig_store);
    return 0;
}

static const struct store_batch_result *identity_rig_apply(void)
{
    size_t len = events_end(&identity_rig_events);
    events_apply(identity_rig_store, &identity_rig_events, len, NOW_MS);
    retire_flush(&identity_rig_store->retire);
    events_begin(&identity_rig_events);
    return &identity_rig_store->result;
}

const char *identity_rig_rejection(void)
{
    const struct store_batch_result *result = identity_rig_apply();
    return result->rejected == 1 ? result->rejection[0].message : "accepted";
}

void identity_rig_add(const char *user, const char *anon, int64_t ts_ms, bool undo)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\":\"identify\",\"user\":\"%s\",\"anon\":\"%s\",\"ts\":%lld,\"undo\":%s}",
             user, anon, (long long)ts_ms, undo ? "true" : "false");
    events_add_json(&identity_rig_events, json);
}

void identity_rig_undo(const char *user, const char *anon)
{
    identity_rig_add(user, anon, NOW_MS, true);
    assert_string_equal(identity_rig_rejection(), "accepted");
}

void identity_rig_act(const char *type, const char *kind, const char *who, const char *item,
                      int64_t ts_ms)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\":\"%s\",\"%s\":\"%s\",\"ts\":%lld,\"items\":[{\"id\":\"%s\"}]}", type, kind,
             who, (long long)ts_ms, item);
    events_add_json(&identity_rig_events, json);
    assert_string_equal(identity_rig_rejection(), "accepted");
}

uint64_t identity_rig_hash(void)
{
    uint64_t sequence;
    return store_state_hash(identity_rig_store, &sequence);
}
