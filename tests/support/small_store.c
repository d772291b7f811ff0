/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/small_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "featurestore/store_internal.h"

struct store_rig small_store;

const struct store_limits small_store_limits = {.items_max = 1000,
                                                .people_max = 1000,
                                                .history_items_max = 4,
                                                .queue_events_max = 2000,
                                                .dedup_events_max = 100,
                                                .prices_max = 4};

int small_store_set_up(void **state)
{
    (void)state;
    store_rig_create(&small_store, &small_store_limits);
    return 0;
}

int small_store_tear_down(void **state)
{
    (void)state;
    store_rig_destroy(&small_store);
    return 0;
}

struct history small_store_history(const char *user)
{
    struct history history;
    assert_true(store_history(small_store.store, text_of(user), (struct text){0}, &history));
    return history;
}
