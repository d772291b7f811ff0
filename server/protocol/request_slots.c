/* SPDX-License-Identifier: Apache-2.0 */
#include "server/protocol/request_read.h"

#define SLOT_KEYS(X) X(slot) X(n) X(seeds) X(exclude) X(filters)

enum slot_key {
#define X(name) SLOT_KEY_##name,
    SLOT_KEYS(X)
#undef X
        SLOT_KEY_COUNT
};

static const char *const slot_keys[SLOT_KEY_COUNT] = {
#define X(name) "slots." #name,
    SLOT_KEYS(X)
#undef X
};

static enum slot_key slot_key_parse(struct text text)
{
    static const struct text names[SLOT_KEY_COUNT] = {
#define X(name) {#name, sizeof(#name) - 1},
        SLOT_KEYS(X)
#undef X
    };
    for (uint32_t i = 0; i < SLOT_KEY_COUNT; i++) {
        if (text_equal(names[i], text))
            return (enum slot_key)i;
    }
    return SLOT_KEY_COUNT;
}

static enum err_code read_n(struct request_read *read, struct request_slot *slot)
{
    int64_t n = 0;
    enum err_code rc = read_int(read, "slots.n", 1, REQUEST_N_MAX, &n);
    if (rc == ERR_OK)
        slot->n = (uint32_t)n;
    return rc;
}

static enum err_code read_slot_value(struct request_read *read, enum slot_key key,
                                     struct request_slot *slot)
{
    switch (key) {
    case SLOT_KEY_slot: return read_id(read, slot_keys[key], &slot->slot);
    case SLOT_KEY_n: return read_n(read, slot);
    case SLOT_KEY_seeds: return read_ids(read, slot_keys[key], REQUEST_SEEDS_MAX, &slot->seeds);
    case SLOT_KEY_exclude:
        return read_ids(read, slot_keys[key], REQUEST_EXCLUDE_MAX, &slot->exclude);
    case SLOT_KEY_filters: slot->has_filters = true; return read_filters(read, &slot->filters);
    case SLOT_KEY_COUNT: break;
    }
    cursor_skip(&read->cursor, NULL);
    return ERR_OK;
}

static enum err_code read_slot(struct request_read *read, struct request_slot *slot)
{
    uint32_t pair_count = 0;
    uint32_t seen = 0;
    enum cursor_kind kind = cursor_peek(&read->cursor);
    *slot = (struct request_slot){
        .n = REQUEST_N_DEFAULT,
        .filters = {.min_price_minor = INT64_MIN, .max_price_minor = INT64_MAX}};
    if (!cursor_map(&read->cursor, &pair_count))
        return read_kind(read, "slots", "maps", kind);
    for (uint32_t i = 0; i < pair_count; i++) {
        struct text name;
        if (!cursor_text(&read->cursor, &name))
            return read_kind(read, "slots", "keys of text", cursor_peek(&read->cursor));
        enum slot_key key = slot_key_parse(name);
        if (key != SLOT_KEY_COUNT && (seen >> key & 1) != 0)
            return read_twice(read, name);
        seen |= key != SLOT_KEY_COUNT ? 1u << key : 0;
        enum err_code rc = read_slot_value(read, key, slot);
        if (rc != ERR_OK)
            return rc;
    }
    if ((seen >> SLOT_KEY_slot & 1) == 0)
        return read_fail(read, ERR_BAD_INPUT, "slots.slot: missing");
    return ERR_OK;
}

enum err_code read_slots(struct request_read *read, struct request *request)
{
    uint32_t count = 0;
    enum cursor_kind kind = cursor_peek(&read->cursor);
    if (!cursor_array(&read->cursor, &count))
        return read_kind(read, "slots", "an array", kind);
    if (count > REQUEST_SLOTS_MAX)
        return read_fail(read, ERR_LIMIT, "slots: more than 16");
    struct request_slot *slots = ARENA_NEW(read->arena, struct request_slot, count);
    if (slots == NULL)
        return read_fail(read, ERR_NOMEM, "slots: too large");
    for (uint32_t i = 0; i < count; i++) {
        enum err_code rc = read_slot(read, &slots[i]);
        if (rc != ERR_OK)
            return rc;
    }
    request->slots = slots;
    request->slot_count = count;
    return ERR_OK;
}
