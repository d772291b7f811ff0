/* SPDX-License-Identifier: Apache-2.0 */
/* Other definitions: made beside those in force, filled, and put in their place. */
#include <string.h>

#include "base/rcu.h"
#include "featurestore/store_checkpoint.h"

static enum feature_key key_of_table(uint32_t table)
{
    return table == FEATURE_TABLE_ANON ? KEY_user : (enum feature_key)table;
}

static uint32_t rows_max_of(const struct store *store, uint32_t table)
{
    switch (table) {
    case KEY_user:
    case FEATURE_TABLE_ANON: return store->limits.people_max;
    case KEY_item:
    case KEY_category:
    case KEY_brand: return store->limits.items_max;
    default: return store->features->rows_max;
    }
}

/* The definition whose state it takes over, or NULL. */
static const struct definition *same_state(const struct feature_set *old,
                                           const struct definition *definition)
{
    const struct definition *same = definitions_find(old->definitions, text_of(definition->name));
    bool is_same = same != NULL && same->state_hash == definition->state_hash;
    return is_same && !old->is_filling[same - old->definitions->definition] ? same : NULL;
}

static uint8_t *block_converted(const struct feature_set *old, const struct feature_set *set,
                                struct slabs *slabs, enum feature_key key, const uint8_t *from)
{
    uint8_t *block = slabs_alloc(slabs, set->definitions->block_bytes[key]);
    for (uint32_t i = 0; block != NULL && i < set->count[key]; i++) {
        const struct definition *definition = &set->definitions->definition[set->first[key] + i];
        const struct definition *same = same_state(old, definition);
        aggregate_init(definition, block + definition->offset);
        if (same != NULL)
            memcpy(block + definition->offset, from + same->offset, same->bytes);
    }
    return block;
}

/* Copies every row that there is, with pairs under their old numbers. */
static enum err_code convert_rows(const struct feature_set *old, const struct feature_set *set,
                                  uint32_t table, struct feature_rows *rows, struct err *err)
{
    const struct feature_rows *from = old->rows[table];
    enum feature_key key = key_of_table(table);
    enum err_code rc = ERR_OK;
    uint32_t count = from->pair_page == NULL ? from->rows_max : from->pair_count;
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++) {
        uint32_t number = i;
        if (i % FEATURE_PAGE_ROWS == 0 && from->pair_page == NULL &&
            from->page[i >> FEATURE_PAGE_BITS] == NULL) {
            i += FEATURE_PAGE_ROWS - 1;
            continue;
        }
        if (from->pair_page != NULL)
            rc = feature_rows_add_pair(rows, feature_rows_pair(from, i), &number, err);
        const uint8_t *block = feature_rows_block(from, i);
        if (rc != ERR_OK || block == NULL)
            continue;
        _Atomic(const uint8_t *) *slot = feature_rows_slot(rows, number);
        uint8_t *converted =
            slot == NULL ? NULL : block_converted(old, set, rows->slabs, key, block);
        if (converted == NULL)
            rc = err_set(err, ERR_NOMEM, "out of memory for features");
        else
            feature_rows_publish(rows, slot, converted);
    }
    return rc;
}

static bool keeps_states(const struct feature_set *old, const struct feature_set *set,
                         enum feature_key key)
{
    bool keeps = false;
    for (uint32_t i = 0; i < set->count[key]; i++)
        keeps =
            keeps || same_state(old, &set->definitions->definition[set->first[key] + i]) != NULL;
    return keeps;
}

/* The rows of the next set: the old ones, or new ones with what is kept in them. */
static enum err_code make_rows(struct store *store, const struct feature_set *old,
                               struct feature_set *set, uint32_t table, struct err *err)
{
    enum feature_key key = key_of_table(table);
    uint32_t block_bytes = set->definitions->block_bytes[key];
    uint32_t rows_max = rows_max_of(store, table);
    bool is_same = set->definitions->layout_hash[key] == old->definitions->layout_hash[key];
    if (block_bytes == 0 || rows_max == 0)
        return ERR_OK;
    if (is_same && !old->any_is_filling) {
        set->rows[table] = old->rows[table];
        return ERR_OK;
    }
    enum err_code rc = feature_rows_create(store->slabs, block_bytes, rows_max,
                                           FEATURE_KEY_IS_PAIR(key), &set->rows[table], err);
    if (rc == ERR_OK && old->rows[table] != NULL && keeps_states(old, set, key))
        rc = convert_rows(old, set, table, set->rows[table], err);
    return rc;
}

static enum err_code make_map(uint32_t rows_max, _Atomic(struct idmap *) *ret_ids, struct err *err)
{
    struct idmap *ids = NULL;
    enum err_code rc = idmap_create(rows_max, &ids, err);
    if (rc == ERR_OK)
        atomic_store_explicit(ret_ids, ids, memory_order_release);
    return rc;
}

static enum err_code make_ids(struct feature_tables *tables, const struct feature_set *set,
                              struct err *err)
{
    enum err_code rc = ERR_OK;
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT && tables->rows_max > 0; key++) {
        enum feature_left left = feature_left_of((enum feature_key)key);
        if (set->count[key] == 0)
            continue;
        if (rc == ERR_OK && left == LEFT_QUERY && feature_query_ids(tables) == NULL)
            rc = make_map(tables->rows_max, &tables->query_ids, err);
        if (rc == ERR_OK && left == LEFT_SLOT && feature_slot_ids(tables) == NULL)
            rc = make_map(tables->rows_max, &tables->slot_ids, err);
    }
    return rc;
}

/* Destroys the rows that `set` has and `other` has not. */
static void destroy_rows(struct feature_set *set, const struct feature_set *other)
{
    for (uint32_t t = 0; t < FEATURE_TABLE_COUNT; t++) {
        if (set->rows[t] != other->rows[t])
            feature_rows_destroy(&set->rows[t]);
    }
}

static uint32_t mark_new(const struct feature_set *old, struct feature_set *set, bool fill)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->definitions->count; i++) {
        const struct definition *definition = &set->definitions->definition[i];
        bool is_new = definition->bytes > 0 && same_state(old, definition) == NULL;
        count += is_new;
        set->is_filling[i] = is_new && fill;
        set->any_is_filling = set->any_is_filling || set->is_filling[i];
    }
    return count;
}

enum err_code feature_tables_stage(struct store *store, struct definitions *definitions, bool fill,
                                   uint32_t *ret_new_count, struct err *err)
{
    struct feature_tables *tables = store->features;
    struct feature_set *old = atomic_load_explicit(&tables->set, memory_order_relaxed);
    struct feature_set *set = NULL;
    ASSERT(tables->staged == NULL);
    enum err_code rc = feature_tables_declare(tables, definitions, err);
    if (rc == ERR_OK)
        rc = feature_set_create(tables, definitions, &set, err);
    if (rc == ERR_OK)
        rc = make_ids(tables, set, err);
    for (uint32_t t = 0; t < FEATURE_TABLE_COUNT && rc == ERR_OK; t++)
        rc = make_rows(store, old, set, t, err);
    if (rc != ERR_OK) {
        if (set != NULL) {
            destroy_rows(set, old);
            set->definitions = NULL; /* the caller's still */
        }
        feature_set_destroy(&set);
        return rc;
    }
    *ret_new_count = mark_new(old, set, fill);
    tables->staged = set;
    return ERR_OK;
}

void feature_tables_adopt(struct store *store)
{
    struct feature_tables *tables = store->features;
    struct feature_set *old = atomic_load_explicit(&tables->set, memory_order_relaxed);
    struct feature_set *set = tables->staged;
    ASSERT(set != NULL);
    store_checkpoint_abandon(store); /* it counted rows of the old tables */
    tables->staged = NULL;
    /* Release: whoever sees the set sees all that stands in it. */
    atomic_store_explicit(&tables->set, set, memory_order_release);
    feature_tables_erase_new(store, old);
    rcu_wait();
    destroy_rows(old, set);
    feature_set_destroy(&old);
}

void feature_tables_unstage(struct feature_tables *tables)
{
    const struct feature_set *set = atomic_load_explicit(&tables->set, memory_order_relaxed);
    if (tables->staged == NULL)
        return;
    destroy_rows(tables->staged, set);
    feature_set_destroy(&tables->staged);
}
