/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a record holds: one of somebody who is erased is an event still, of nobody; one of
 * somebody else stays as it is; and there is nothing left to be done the second time. */
#include <stdlib.h>
#include <string.h>

#include "featurestore/erase_strip.h"

#define ARRIVAL_MS INT64_C(1700000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Erases the user "u" and the anonymous id "a", as those of the corpus are called. */
static void make_set(struct erase_set *set)
{
    static const uint8_t salt[ERASE_SALT_BYTES] = {7};
    struct err err;
    erase_set_init(set, salt);
    const struct erase_key user = erase_key_of(salt, ERASE_USER, text_of("u"));
    const struct erase_key anon = erase_key_of(salt, ERASE_ANON, text_of("a"));
    enum err_code rc = erase_set_add(set, &user, 10, &err);
    if (rc == ERR_OK)
        rc = erase_set_add(set, &anon, 10, &err);
    ASSERT(rc == ERR_OK);
}

static bool decode(const struct event_record *record, struct arena *arena, struct event *event)
{
    const struct event_rules rules = {.strictness = EVENT_STORED,
                                      .arrival_ms = record->arrival_ms,
                                      .skew_ms = record->skew_ms,
                                      .erased = record->erased};
    const uint8_t *bytes = (const uint8_t *)record->event.ptr;
    struct cursor cursor = cursor_of(bytes, record->event.len);
    arena_reset(arena);
    return cursor_check(bytes, record->event.len, CURSOR_VALUES_MAX, NULL) == ERR_OK &&
           event_decode_by(&cursor, &rules, arena, event, NULL) == ERR_OK;
}

static void check(struct erase_strip *strip, struct event_record record, const struct event *before)
{
    struct event after;
    struct arena arena;
    struct err err;
    uint32_t item_count = before->item_count;
    int64_t ts_ms = before->ts_ms;
    enum event_type type = before->type;
    bool changed = text_is(before->user, "u") || text_is(before->anon, "a");
    struct text original = record.event;
    enum err_code rc = erase_strip_event(strip, &record, &err);
    if (rc != ERR_OK) {
        ASSERT(rc == ERR_LIMIT); /* what was hardly short enough */
        return;
    }
    ASSERT(changed || record.event.ptr == original.ptr || type == EVENT_forget);
    uint8_t *copy = malloc(record.event.len);
    ASSERT(copy != NULL && arena_init(&arena, 1 << 20, &err) == ERR_OK);
    memcpy(copy, record.event.ptr, record.event.len);
    record.event.ptr = (const char *)copy;
    if (decode(&record, &arena, &after)) {
        ASSERT(after.type == type && after.ts_ms == ts_ms);
        ASSERT(!text_is(after.user, "u") && !text_is(after.anon, "a"));
        ASSERT(!record.erased || after.id.ptr == NULL);
        ASSERT(after.item_count == item_count || record.erased);
        struct text once = record.event;
        ASSERT(erase_strip_event(strip, &record, &err) == ERR_OK);
        ASSERT(record.event.ptr == once.ptr);
    } else {
        ASSERT(record.event.len > EVENT_BYTES_MAX); /* hardly short enough, too */
    }
    arena_deinit(&arena);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct erase_set set;
    struct erase_strip *strip = NULL;
    struct arena arena;
    struct event event;
    struct err err;
    const struct event_record record = {.sequence = 5,
                                        .arrival_ms = ARRIVAL_MS,
                                        .skew_ms = 1000,
                                        .event = {(const char *)data, (uint32_t)size}};
    make_set(&set);
    enum err_code rc = erase_strip_create(&set, &strip, &err);
    ASSERT(rc == ERR_OK && arena_init(&arena, 1 << 20, &err) == ERR_OK);
    struct event_record typed = record;
    if (decode(&record, &arena, &event)) {
        typed.type = event.type;
        check(strip, typed, &event);
    }
    arena_deinit(&arena);
    erase_strip_destroy(&strip);
    erase_set_deinit(&set);
    return 0;
}
