/* SPDX-License-Identifier: Apache-2.0 */
/* Keys that appear twice in a free-form map of an event.  JSON refuses them; a MessagePack event
 * that had them would be exported as JSON that no import takes. */
#include "base/hash.h"
#include "featurestore/event_read.h"

enum { FEW_KEYS = 16 }; /* so many are compared with each other; more go into a table */

static enum err_code given_twice(const struct event_read *read, const char *field, struct text key)
{
    uint32_t len = key.len < 64 ? key.len : 64;
    while (!text_is_utf8(key.ptr, len)) /* it was cut within a character */
        len--;
    return err_set(read->err, ERR_BAD_INPUT, "%s: '%.*s' is given twice", field, (int)len, key.ptr);
}

static struct text next_key(struct cursor *pairs)
{
    struct text key = {0};
    bool is_text = cursor_text(pairs, &key);
    ASSERT(is_text); /* cursor_check wants texts */
    cursor_skip(pairs, NULL);
    return key;
}

static enum err_code check_few(const struct event_read *read, const char *field,
                               struct cursor pairs, uint32_t count)
{
    struct text seen[FEW_KEYS];
    for (uint32_t i = 0; i < count; i++) {
        seen[i] = next_key(&pairs);
        for (uint32_t k = 0; k < i; k++) {
            if (text_equal(seen[k], seen[i]))
                return given_twice(read, field, seen[i]);
        }
    }
    return ERR_OK;
}

/* By a table with open addressing, at most half full. */
static enum err_code check_many(const struct event_read *read, const char *field,
                                struct cursor pairs, uint32_t count)
{
    uint32_t slot_count = 4 * FEW_KEYS;
    while (slot_count < 2 * count)
        slot_count *= 2;
    size_t mark = arena_mark(read->arena);
    struct text *slot = ARENA_NEW(read->arena, struct text, slot_count);
    if (slot == NULL)
        return err_set(read->err, ERR_NOMEM, "%s: no memory for %u keys", field, count);
    for (uint32_t i = 0; i < slot_count; i++)
        slot[i].ptr = NULL;
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++) {
        struct text key = next_key(&pairs);
        uint32_t at = (uint32_t)hash_text(key, 0) & (slot_count - 1);
        while (slot[at].ptr != NULL && !text_equal(slot[at], key))
            at = (at + 1) & (slot_count - 1);
        if (slot[at].ptr != NULL)
            rc = given_twice(read, field, key);
        slot[at] = key;
    }
    arena_rewind(read->arena, mark);
    return rc;
}

enum err_code event_check_keys(const struct event_read *read, const char *field, struct text raw)
{
    struct cursor cursor = cursor_of((const uint8_t *)raw.ptr, raw.len);
    uint32_t count = 0;
    enum err_code rc = ERR_OK;
    /* Going into each map and array, and over anything else, passes every value at any depth. */
    while (cursor.at < cursor.end && rc == ERR_OK) {
        if (cursor_map(&cursor, &count))
            rc = count <= FEW_KEYS ? check_few(read, field, cursor, count)
                                   : check_many(read, field, cursor, count);
        else if (!cursor_array(&cursor, &count))
            cursor_skip(&cursor, NULL);
    }
    return rc;
}
