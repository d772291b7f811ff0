/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of features in a checkpoint.  A state is written as it is in memory, which is little-endian
 * on every machine that this runs on; what is read is checked before anybody sees it. */
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_erase.h"
#include "featurestore/store_rows.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "states go to files as they are");

static enum feature_key key_of(uint32_t table)
{
    return table == FEATURE_TABLE_ANON ? KEY_user : (enum feature_key)table;
}

static const struct feature_rows *rows_of(const struct store *store, uint32_t table)
{
    return feature_set_of(store->features)->rows[table];
}

/* The kind of the ids that number the rows of a table, or one half of its pairs. */
static enum store_row left_ids(uint32_t table, bool is_anon)
{
    switch (feature_left_of(key_of(table))) {
    case LEFT_PERSON: return is_anon || table == FEATURE_TABLE_ANON ? ROW_ANON_ID : ROW_USER_ID;
    case LEFT_QUERY: return ROW_QUERY_ID;
    default: return ROW_SLOT_ID;
    }
}

static enum store_row right_ids(uint32_t table)
{
    switch (feature_right_of(key_of(table))) {
    case RIGHT_CATEGORY: return ROW_CATEGORY;
    case RIGHT_BRAND: return ROW_BRAND;
    default: return ROW_ITEM_ID;
    }
}

static enum store_row row_ids(uint32_t table)
{
    return feature_left_of(key_of(table)) != LEFT_NONE ? left_ids(table, false) : right_ids(table);
}

uint32_t store_feature_row_count(const struct store *store, enum store_row kind)
{
    if (kind == ROW_FEATURE_LAYOUT)
        return FEATURE_TABLE_COUNT;
    uint32_t table = kind - ROW_FEATURES;
    const struct feature_rows *rows = rows_of(store, table);
    if (rows == NULL)
        return 0;
    if (rows->pair_page != NULL)
        return atomic_load_explicit(&rows->pair_count, memory_order_relaxed);
    return store_row_count(store, row_ids(table));
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_layout(const struct store *store, uint32_t table, struct checkpoint_block *block)
{
    const struct feature_set *set = feature_set_of(store->features);
    enum feature_key key = key_of(table);
    if (set->rows[table] == NULL)
        return;
    size_t mark = checkpoint_row_open(block, ROW_FEATURE_LAYOUT, table);
    for (uint32_t i = 0; i < set->count[key]; i++) {
        const struct definition *definition = &set->definitions->definition[set->first[key] + i];
        if (definition->bytes == 0)
            continue;
        /* One that is being filled is not in the file: its bytes are skipped when it is read. */
        bool is_filling = set->is_filling[set->first[key] + i];
        checkpoint_put_text(block, text_of(is_filling ? "" : definition->name));
        checkpoint_put_u64(block, definition->state_hash);
        checkpoint_put_u32(block, definition->bytes);
    }
    checkpoint_row_close(block, mark);
}

void store_feature_row_write(const struct store *store, enum store_row kind, uint32_t number,
                             struct checkpoint_block *block)
{
    if (kind == ROW_FEATURE_LAYOUT) {
        put_layout(store, number, block);
        return;
    }
    const struct feature_rows *rows = rows_of(store, kind - ROW_FEATURES);
    const uint8_t *states = feature_rows_block(rows, number);
    if (states == NULL || feature_row_is_erased(store, kind - ROW_FEATURES, number))
        return;
    size_t mark = checkpoint_row_open(block, (uint8_t)kind, number);
    if (rows->pair_page != NULL) {
        uint64_t pair = feature_rows_pair(rows, number);
        checkpoint_put_u32(block, (uint32_t)(pair >> 32));
        checkpoint_put_u32(block, (uint32_t)pair);
    }
    buffer_put(&block->buffer, (const char *)states, rows->block_bytes);
    checkpoint_row_close(block, mark);
}

/* ---- layouts --------------------------------------------------------------------------------- */

static enum err_code add_place(struct feature_layout *layout, uint32_t index, uint32_t bytes,
                               struct err *err)
{
    struct feature_place *grown =
        realloc(layout->place, (layout->count + 1) * sizeof *layout->place);
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the layout of features");
    layout->place = grown;
    layout->place[layout->count++] = (struct feature_place){index, bytes};
    layout->block_bytes += bytes;
    return ERR_OK;
}

enum err_code store_feature_layout_read(struct store *store, const struct checkpoint_row *row,
                                        struct store_numbering *numbering, struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    const struct definitions *definitions = feature_set_of(store->features)->definitions;
    if (row->number >= FEATURE_TABLE_COUNT || numbering->layout[row->number].is_known)
        return store_row_corrupt(row, "expected the layout of another table", err);
    struct feature_layout *layout = &numbering->layout[row->number];
    layout->is_known = true;
    while (fields.at != fields.end) {
        struct text name;
        uint64_t state_hash;
        uint32_t bytes;
        if (!checkpoint_get_text(&fields, &name) || !checkpoint_get_u64(&fields, &state_hash) ||
            !checkpoint_get_u32(&fields, &bytes) || bytes > DEFINITION_STATE_BYTES_MAX ||
            layout->count == DEFINITIONS_MAX)
            return store_row_corrupt(row, "expected a layout", err);
        const struct definition *definition = definitions_find(definitions, name);
        bool is_same = definition != NULL && definition->state_hash == state_hash &&
                       definition->bytes == bytes && definition->key == key_of(row->number);
        uint32_t index = is_same ? (uint32_t)(definition - definitions->definition) : IDMAP_NONE;
        enum err_code rc = add_place(layout, index, bytes, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

void store_features_fill_others(struct store *store, const struct store_numbering *numbering)
{
    struct feature_set *set = atomic_load_explicit(&store->features->set, memory_order_relaxed);
    for (uint32_t i = 0; i < set->definitions->count; i++) {
        const struct definition *definition = &set->definitions->definition[i];
        const struct feature_layout *layout = &numbering->layout[definition->key];
        bool is_there = definition->bytes == 0;
        for (uint32_t p = 0; p < layout->count; p++)
            is_there = is_there || layout->place[p].index == i;
        set->is_filling[i] = !is_there;
        set->any_is_filling = set->any_is_filling || !is_there;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool translate_list(const struct definition *definition, uint8_t *state,
                           const struct store_numbering *numbering)
{
    enum store_row ids = definition->source == VALUE_ITEM       ? ROW_ITEM_ID
                         : definition->source == VALUE_CATEGORY ? ROW_CATEGORY
                                                                : ROW_BRAND;
    for (uint32_t i = 0; i < aggregate_list_count(state); i++) {
        uint32_t number;
        if (!store_row_number(numbering, ids, aggregate_list_id(state, i), &number))
            return false;
        aggregate_list_set_id(state, i, number);
    }
    return true;
}

/* A block of today's layout from one of the file's; false when a state cannot be one. */
static bool read_block(const struct feature_set *set, uint32_t table, const uint8_t *from,
                       const struct store_numbering *numbering, uint8_t *block)
{
    const struct feature_layout *layout = &numbering->layout[table];
    enum feature_key key = key_of(table);
    for (uint32_t i = 0; i < set->count[key]; i++) {
        const struct definition *definition = &set->definitions->definition[set->first[key] + i];
        aggregate_init(definition, block + definition->offset);
    }
    for (uint32_t p = 0; p < layout->count; from += layout->place[p].bytes, p++) {
        if (layout->place[p].index == IDMAP_NONE)
            continue;
        const struct definition *definition = &set->definitions->definition[layout->place[p].index];
        uint8_t *state = block + definition->offset;
        memcpy(state, from, definition->bytes);
        if (!aggregate_check(definition, state))
            return false;
        if (definition_is_list_of_ids(definition) && !translate_list(definition, state, numbering))
            return false;
    }
    return true;
}

/* The row that it becomes; IDMAP_NONE in *ret_number when there is no room for the pair. */
static enum err_code find_row(struct feature_rows *rows, uint32_t table,
                              const struct checkpoint_row *row, struct checkpoint_fields *fields,
                              const struct store_numbering *numbering, uint32_t *ret_number,
                              struct err *err)
{
    uint32_t left, right;
    if (rows->pair_page == NULL)
        return store_row_number(numbering, row_ids(table), row->number, ret_number)
                   ? ERR_OK
                   : store_row_corrupt(row, "expected features of a known id", err);
    if (!checkpoint_get_u32(fields, &left) || !checkpoint_get_u32(fields, &right))
        return store_row_corrupt(row, "expected a pair", err);
    bool is_person = feature_left_of(key_of(table)) == LEFT_PERSON;
    bool is_anon = is_person && (left & 1) != 0;
    uint32_t old = is_person ? left >> 1 : left;
    if (!store_row_number(numbering, left_ids(table, is_anon), old, &left) ||
        !store_row_number(numbering, right_ids(table), right, &right))
        return store_row_corrupt(row, "expected a pair of known ids", err);
    if (left == IDMAP_NONE) {
        *ret_number = IDMAP_NONE;
        return ERR_OK;
    }
    if (is_person)
        left = feature_person(left, is_anon);
    enum err_code rc = feature_rows_add_pair(rows, feature_pair(left, right), ret_number, err);
    if (rc != ERR_LIMIT)
        return rc;
    *ret_number = IDMAP_NONE;
    return ERR_OK;
}

enum err_code store_feature_row_read(struct store *store, const struct checkpoint_row *row,
                                     const struct store_numbering *numbering, struct err *err)
{
    uint32_t table = row->kind - (uint32_t)ROW_FEATURES;
    const struct feature_set *set = feature_set_of(store->features);
    struct feature_rows *rows = set->rows[table];
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    uint32_t number = IDMAP_NONE;
    if (!numbering->layout[table].is_known)
        return store_row_corrupt(row, "features without a layout", err);
    if (rows == NULL)
        return ERR_OK; /* no feature has this key any more */
    enum err_code rc = find_row(rows, table, row, &fields, numbering, &number, err);
    if (rc != ERR_OK || number == IDMAP_NONE)
        return rc;
    if ((size_t)(fields.end - fields.at) != numbering->layout[table].block_bytes)
        return store_row_corrupt(row, "its length is not that of the layout", err);
    _Atomic(const uint8_t *) *slot = feature_rows_slot(rows, number);
    uint8_t *block = slot == NULL ? NULL : slabs_alloc(rows->slabs, rows->block_bytes);
    if (block == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for features");
    if (!read_block(set, table, fields.at, numbering, block)) {
        slabs_free(rows->slabs, block, rows->block_bytes);
        return store_row_corrupt(row, "expected the states of features", err);
    }
    retire_block(&store->retire, feature_rows_publish(rows, slot, block), rows->block_bytes);
    return ERR_OK;
}
