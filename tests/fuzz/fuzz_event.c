/* SPDX-License-Identifier: Apache-2.0 */
/* An event that is accepted keeps the promises of its header; whatever it is, the cursor ends
 * behind it. */
#include <stdlib.h>

#include "featurestore/event.h"

#define ARRIVAL_MS INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_item(const struct event_item *item)
{
    ASSERT(text_is_id(item->id));
    ASSERT(item->qty >= 1 && item->qty <= 1000000);
    ASSERT(item->price_minor == EVENT_ABSENT || item->price_minor >= 0);
    ASSERT(item->cost_minor == EVENT_ABSENT || item->cost_minor >= 0);
    ASSERT(item->title.len <= EVENT_TITLE_BYTES_MAX);
    ASSERT(item->category.ptr == NULL || text_is_id(item->category));
    ASSERT(item->brand.ptr == NULL || text_is_id(item->brand));
}

static void check_event(const struct event *event)
{
    ASSERT(event->type < EVENT_TYPE_COUNT);
    ASSERT(text_is_id(event->id) && event->id.len <= EVENT_ID_BYTES_MAX);
    ASSERT(event->ts_ms >= 0 && event->ts_ms <= ARRIVAL_MS + EVENT_FUTURE_MS_MAX);
    bool catalogue = event->type == EVENT_item_upsert || event->type == EVENT_item_delete;
    ASSERT(catalogue || event->user.ptr != NULL || event->anon.ptr != NULL);
    ASSERT(event->item_count <= EVENT_ITEMS_MAX);
    ASSERT((event->consent_allowed & event->consent_denied) == 0);
    ASSERT((event->consent_allowed | event->consent_denied) <= CONSENT_ALL);
    for (uint32_t i = 0; i < event->item_count; i++)
        check_item(&event->items[i]);
}

/* What a strict reader accepts, a lenient one accepts, too, and a stored one whatever either does.
 */
static void check_rules(const uint8_t *data, size_t size, struct arena *arena)
{
    enum err_code rc[EVENT_STRICT + 1];
    for (uint32_t strictness = EVENT_STORED; strictness <= EVENT_STRICT; strictness++) {
        struct cursor cursor = cursor_of(data, size);
        struct event event;
        struct event_rules rules = {.strictness = (enum event_strictness)strictness,
                                    .arrival_ms = ARRIVAL_MS,
                                    .skew_ms = 5000,
                                    .age_ms_max = strictness == EVENT_STRICT ? 86400000 : 0};
        arena_reset(arena);
        rc[strictness] = event_decode_by(&cursor, &rules, arena, &event, NULL);
        ASSERT(rc[strictness] != ERR_OK || strictness != EVENT_STRICT || event.dropped == 0);
    }
    ASSERT(rc[EVENT_STRICT] != ERR_OK || rc[EVENT_LENIENT] == ERR_OK);
    ASSERT(rc[EVENT_LENIENT] != ERR_OK || rc[EVENT_STORED] == ERR_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err err;
    struct event event;
    struct arena arena;
    if (cursor_check(data, size, CURSOR_VALUES_MAX, &err) != ERR_OK ||
        arena_init(&arena, 1 << 16, &err) != ERR_OK)
        return 0;
    struct cursor cursor = cursor_of(data, size);
    enum err_code rc = event_decode(&cursor, ARRIVAL_MS, &arena, &event, &err);
    ASSERT(cursor_peek(&cursor) == CURSOR_END);
    if (rc == ERR_OK)
        check_event(&event);
    else
        ASSERT(err.code == rc && err.text[0] != '\0');
    check_rules(data, size, &arena);
    arena_deinit(&arena);
    return 0;
}
