/* SPDX-License-Identifier: Apache-2.0 */
#include "models/ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/background.h"
#include "base/rand.h"
#include "models/ids_internal.h"

#define IDS_COUNT_MAX (UINT32_C(1) << 30)

enum { REST_ROWS = 2048 };

static uint64_t count_lines(const uint8_t *bytes, size_t len)
{
    uint64_t count = 0;
    const uint8_t *at = bytes;
    const uint8_t *end = bytes + len;
    while (at < end) {
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        count++;
        at = line_end == NULL ? end : line_end + 1;
    }
    return count;
}

/* Slots at a load of at most a half, so that a search is short and ends. */
static uint64_t slot_count_for(uint64_t count)
{
    uint64_t slots = 2;
    while (slots < 2 * count)
        slots *= 2;
    return slots;
}

static enum err_code add(const char *name, struct ids *ids, uint32_t row, struct text id,
                         struct err *err)
{
    if (id.len == 0)
        return err_set(err, ERR_CORRUPT, "%s: line %u is blank", name, row + 1);
    if (!text_is_id(id))
        return err_set(err, ERR_CORRUPT,
                       "%s: line %u: expected an id of 1..%d bytes of UTF-8 without controls, got "
                       "%u bytes",
                       name, row + 1, ID_BYTES_MAX, id.len);
    uint64_t at = hash_text(id, ids->seed) & ids->slot_mask;
    while (ids->slot[at] != IDS_NO_ROW) {
        if (text_equal(ids->text[ids->slot[at]], id))
            return err_set(err, ERR_CORRUPT, "%s: line %u: '%.*s' stands on line %u already", name,
                           row + 1, (int)id.len, id.ptr, ids->slot[at] + 1);
        at = (at + 1) & ids->slot_mask;
    }
    ids->text[row] = id;
    ids->slot[at] = row;
    return ERR_OK;
}

static enum err_code add_all(const char *name, struct ids *ids, const uint8_t *bytes, size_t len,
                             struct err *err)
{
    const uint8_t *at = bytes;
    const uint8_t *end = bytes + len;
    for (uint32_t row = 0; row < ids->count; row++) {
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL)
            line_end = end;
        size_t id_len = (size_t)(line_end - at);
        struct text id = {(const char *)at, id_len > UINT32_MAX ? UINT32_MAX : (uint32_t)id_len};
        enum err_code rc = add(name, ids, row, id, err);
        if (rc != ERR_OK)
            return rc;
        at = line_end == end ? end : line_end + 1;
        if (row % REST_ROWS == 0)
            background_rest();
    }
    return ERR_OK;
}

/* Some editors put it before UTF-8, where it would be part of the first id. */
static bool has_byte_order_mark(const uint8_t *bytes, size_t len)
{
    return len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0;
}

enum err_code ids_open(const char *name, uint8_t *bytes, size_t len, uint64_t expected_count,
                       struct ids **ret_ids, struct err *err)
{
    uint64_t count = count_lines(bytes, len);
    if (has_byte_order_mark(bytes, len))
        return err_set(err, ERR_CORRUPT, "%s: begins with a byte order mark, expected an id", name);
    if (expected_count != UINT64_MAX && count != expected_count)
        return err_set(err, ERR_CORRUPT, "%s: expected %llu ids, got %llu", name,
                       (unsigned long long)expected_count, (unsigned long long)count);
    if (count > IDS_COUNT_MAX)
        return err_set(err, ERR_LIMIT, "%s: %llu ids, at most %u are allowed", name,
                       (unsigned long long)count, IDS_COUNT_MAX);
    uint64_t slot_count = slot_count_for(count);
    struct ids *ids = calloc(1, sizeof *ids);
    struct text *text = malloc((count + 1) * sizeof *text);
    uint32_t *slot = malloc(slot_count * sizeof *slot);
    enum err_code rc = ERR_OK;
    if (ids == NULL || text == NULL || slot == NULL) {
        rc = err_set(err, ERR_NOMEM, "%s: out of memory for %llu ids", name,
                     (unsigned long long)count);
        goto out;
    }
    memset(slot, 0xff, slot_count * sizeof *slot);
    /* Keyed anew each time: ids that collide on purpose cannot be prepared. */
    *ids = (struct ids){.count = (uint32_t)count,
                        .slot_mask = slot_count - 1,
                        .seed = rand_seed_system(),
                        .text = text,
                        .slot = slot,
                        .memory_bytes = sizeof *ids + (count + 1) * sizeof *text +
                                        slot_count * sizeof *slot + len};
    rc = add_all(name, ids, bytes, len, err);
    if (rc != ERR_OK)
        goto out;
    ids->bytes = bytes;
    *ret_ids = ids;
    ids = NULL;
    text = NULL;
    slot = NULL;
out:
    free(slot);
    free(text);
    free(ids);
    return rc;
}

void ids_close(struct ids **ids)
{
    struct ids *old = *ids;
    if (old == NULL)
        return;
    free(old->slot);
    free(old->text);
    free(old->bytes);
    free(old);
    *ids = NULL;
}

uint32_t ids_count(const struct ids *ids)
{
    return ids->count;
}

const struct text *ids_all(const struct ids *ids)
{
    return ids->text;
}

uint64_t ids_bytes(const struct ids *ids)
{
    return ids->memory_bytes;
}
