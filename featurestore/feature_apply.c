/* SPDX-License-Identifier: Apache-2.0 */
/* An event becomes new blocks of features. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_checkpoint.h"

/* The event that is prepared. */
struct input {
    struct store *store;
    struct feature_tables *tables;
    const struct feature_set *set;
    const struct feature_set *beside; /* the one in force, while `set` is staged; or NULL */
    const struct event *event;
    struct feature_names names;
    uint32_t time_s;
    bool is_anon;
    uint32_t person, query, slot; /* numbers; IDMAP_NONE: none, or dropped */
    uint32_t pending_first;       /* of the table that is worked on */
    struct err *err;
};

static void drop(struct feature_tables *tables)
{
    uint64_t dropped = atomic_load_explicit(&tables->dropped, memory_order_relaxed);
    atomic_store_explicit(&tables->dropped, dropped + 1, memory_order_relaxed);
}

/* What has no room is dropped, not refused. */
static enum err_code drop_on_limit(struct feature_tables *tables, enum err_code rc,
                                   uint32_t *number)
{
    if (rc == ERR_OK || rc == ERR_NOMEM)
        return rc;
    *number = IDMAP_NONE;
    drop(tables);
    return ERR_OK;
}

static enum err_code add_id(struct input *input, struct idmap *ids, struct text id,
                            uint32_t *ret_number)
{
    *ret_number = IDMAP_NONE;
    if (id.len == 0 || ids == NULL)
        return ERR_OK;
    return drop_on_limit(input->tables, idmap_add(ids, id, ret_number, NULL, input->err),
                         ret_number);
}

/* ---- who and what ---------------------------------------------------------------------------- */

static enum err_code resolve_left(struct input *input, uint32_t lefts)
{
    const struct event *event = input->event;
    struct store *store = input->store;
    char buf[FEATURE_QUERY_KEY_BYTES];
    enum err_code rc = ERR_OK;
    input->person = input->query = input->slot = IDMAP_NONE;
    if ((lefts & 1u << LEFT_PERSON) != 0) {
        input->is_anon = event->user.ptr == NULL;
        struct people *people = input->is_anon ? &store->anons : &store->users;
        rc = add_id(input, people->ids, input->is_anon ? event->anon : event->user, &input->person);
    }
    if (rc == ERR_OK && (lefts & 1u << LEFT_QUERY) != 0)
        rc = add_id(input, feature_query_ids(input->tables), feature_query_key(event->query, buf),
                    &input->query);
    if (rc == ERR_OK && (lefts & 1u << LEFT_SLOT) != 0)
        rc = add_id(input, feature_slot_ids(input->tables), event->list, &input->slot);
    return rc;
}

static enum err_code resolve_items(struct input *input)
{
    const struct event *event = input->event;
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < event->item_count && rc == ERR_OK; i++) {
        struct feature_item *item = &input->tables->item[i];
        *item = (struct feature_item){IDMAP_NONE, IDMAP_NONE, IDMAP_NONE};
        rc = add_id(input, input->store->item_ids, event->items[i].id, &item->item);
        const struct item *record =
            item->item == IDMAP_NONE ? NULL : store_item(input->store, item->item);
        if (record == NULL)
            continue;
        item->category = record->category;
        item->brand = record->brand;
    }
    return rc;
}

static uint32_t left_number(const struct input *input, enum feature_key key)
{
    switch (feature_left_of(key)) {
    case LEFT_PERSON: return input->person;
    case LEFT_QUERY: return input->query;
    case LEFT_SLOT: return input->slot;
    default: return IDMAP_NONE;
    }
}

static uint32_t right_number(const struct feature_item *item, enum feature_key key)
{
    switch (feature_right_of(key)) {
    case RIGHT_ITEM: return item->item;
    case RIGHT_CATEGORY: return item->category;
    case RIGHT_BRAND: return item->brand;
    default: return IDMAP_NONE;
    }
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static uint8_t *block_copy(const struct feature_set *set, enum feature_key key,
                           const struct feature_rows *rows, const uint8_t *old)
{
    uint8_t *block = slabs_alloc(rows->slabs, rows->block_bytes);
    if (block == NULL)
        return NULL;
    if (old != NULL) {
        memcpy(block, old, rows->block_bytes);
        return block;
    }
    for (uint32_t i = 0; i < set->count[key]; i++) {
        const struct definition *definition = &set->definitions->definition[set->first[key] + i];
        aggregate_init(definition, block + definition->offset);
    }
    return block;
}

/* The block of a row as it will be: one that this event made, or a copy.  NULL in *ret_block when
 * there is no room for the key. */
static enum err_code edit(struct input *input, uint32_t table, enum feature_key key,
                          uint32_t number, uint8_t **ret_block)
{
    struct feature_tables *tables = input->tables;
    struct feature_rows *rows = input->set->rows[table];
    for (uint32_t i = input->pending_first; i < tables->pending_count; i++) {
        if (tables->pending[i].number == number) {
            *ret_block = tables->pending[i].block;
            return ERR_OK;
        }
    }
    struct feature_pending *pending = &tables->pending[tables->pending_count];
    *pending = (struct feature_pending){
        .rows = rows, .is_staged = input->beside != NULL, .table = table, .number = number};
    pending->slot = feature_rows_slot(rows, number);
    if (pending->slot != NULL)
        pending->block = block_copy(input->set, key, rows,
                                    atomic_load_explicit(pending->slot, memory_order_relaxed));
    if (pending->slot == NULL || pending->block == NULL)
        return err_set(input->err, ERR_NOMEM, "out of memory for features");
    tables->pending_count++;
    *ret_block = pending->block;
    return ERR_OK;
}

/* A row, looked up when the first feature has something to say to it. */
struct row {
    enum feature_key key;
    uint32_t left, right;
    uint8_t *block;
    bool is_dropped;
};

static enum err_code row_open(struct input *input, struct row *row)
{
    bool is_anon = row->key == KEY_user && input->is_anon;
    uint32_t table = is_anon ? FEATURE_TABLE_ANON : (uint32_t)row->key;
    struct feature_rows *rows = input->set->rows[table];
    uint32_t number = row->left != IDMAP_NONE ? row->left : row->right;
    enum err_code rc = ERR_OK;
    if (rows == NULL) {
        number = IDMAP_NONE;
        drop(input->tables);
    } else if (FEATURE_KEY_IS_PAIR(row->key)) {
        uint32_t left = feature_left_of(row->key) == LEFT_PERSON
                            ? feature_person(row->left, input->is_anon)
                            : row->left;
        rc = feature_rows_add_pair(rows, feature_pair(left, row->right), &number, input->err);
        rc = drop_on_limit(input->tables, rc, &number);
    }
    row->is_dropped = number == IDMAP_NONE;
    return rc == ERR_OK && !row->is_dropped ? edit(input, table, row->key, number, &row->block)
                                            : rc;
}

/* ---- readings -------------------------------------------------------------------------------- */

static enum err_code apply_one(struct input *input, const struct definition *definition,
                               struct row *row, uint32_t at)
{
    struct reading reading = {.time_s = input->time_s};
    double attribute = NAN;
    bool is_attribute = definition->kind == FEATURE_KIND_attribute;
    const struct feature_item *item = at == IDMAP_NONE ? NULL : &input->tables->item[at];
    bool says = is_attribute
                    ? feature_attribute(definition, input->event, at, &attribute)
                    : feature_reading(definition, input->event, at, item, &input->names, &reading);
    if (!says)
        return ERR_OK;
    if (row->block == NULL && !row->is_dropped) {
        enum err_code rc = row_open(input, row);
        if (rc != ERR_OK)
            return rc;
    }
    if (row->block == NULL)
        return ERR_OK;
    if (is_attribute)
        aggregate_set(definition, row->block + definition->offset, attribute, input->time_s);
    else
        aggregate_add(definition, row->block + definition->offset, &reading);
    return ERR_OK;
}

/* All features of a key on one row.  `at` is the item that the row is of; without one, features of
 * items take in every item of the event. */
static enum err_code apply_row(struct input *input, struct row *row, uint32_t at)
{
    enum err_code rc = ERR_OK;
    uint32_t first = input->set->first[row->key];
    for (uint32_t i = first; i < first + input->set->count[row->key] && rc == ERR_OK; i++) {
        const struct definition *definition = &input->set->definitions->definition[i];
        if (!input->tables->wants[i])
            continue;
        if (at != IDMAP_NONE || !feature_is_of_items(definition)) {
            rc = apply_one(input, definition, row, at);
            continue;
        }
        for (uint32_t item = 0; item < input->event->item_count && rc == ERR_OK; item++)
            rc = apply_one(input, definition, row, item);
    }
    return rc;
}

static enum err_code apply_key(struct input *input, enum feature_key key)
{
    struct row row = {.key = key, .left = left_number(input, key), .right = IDMAP_NONE};
    enum err_code rc = ERR_OK;
    input->pending_first = input->tables->pending_count;
    if (feature_left_of(key) != LEFT_NONE && row.left == IDMAP_NONE)
        return ERR_OK;
    if (feature_right_of(key) == RIGHT_NONE)
        return apply_row(input, &row, IDMAP_NONE);
    for (uint32_t i = 0; i < input->event->item_count && rc == ERR_OK; i++) {
        row.right = right_number(&input->tables->item[i], key);
        row.block = NULL;
        row.is_dropped = false;
        if (row.right != IDMAP_NONE)
            rc = apply_row(input, &row, i);
    }
    return rc;
}

/* ---- the whole event ------------------------------------------------------------------------- */

/* Both sets have the rows of the key: what the event does to them is done. */
static bool is_shared(const struct input *input, enum feature_key key)
{
    return input->beside != NULL && input->set->rows[key] == input->beside->rows[key];
}

/* Marks the features that the event is for; returns their keys, as bits. */
static uint32_t find_wanted(struct input *input, enum feature_part part)
{
    const struct feature_set *set = input->set;
    uint32_t keys = 0;
    for (uint32_t i = 0; i < set->definitions->count; i++) {
        const struct definition *definition = &set->definitions->definition[i];
        bool wants = set->is_filling[i] == (part == FEATURES_FILLING) &&
                     !is_shared(input, definition->key) && feature_wants(definition, input->event);
        input->tables->wants[i] = wants;
        if (wants)
            keys |= 1u << definition->key;
    }
    return keys;
}

static enum err_code prepare(struct input *input, uint32_t keys)
{
    uint32_t lefts = 0;
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT; key++) {
        if ((keys >> key & 1) != 0)
            lefts |= 1u << feature_left_of((enum feature_key)key);
    }
    enum err_code rc = resolve_items(input);
    if (rc == ERR_OK)
        rc = resolve_left(input, lefts);
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT && rc == ERR_OK; key++) {
        if ((keys >> key & 1) != 0)
            rc = apply_key(input, (enum feature_key)key);
    }
    return rc;
}

static enum err_code prepare_set(struct input *input, const struct feature_set *set,
                                 enum feature_part part)
{
    const struct feature_set *in_force =
        atomic_load_explicit(&input->tables->set, memory_order_relaxed);
    input->set = set;
    input->beside = set == in_force ? NULL : in_force;
    if (part == FEATURES_FILLING && !set->any_is_filling)
        return ERR_OK;
    uint32_t keys = find_wanted(input, part);
    return keys == 0 ? ERR_OK : prepare(input, keys);
}

enum err_code feature_tables_prepare(struct store *store, const struct event *event,
                                     uint32_t time_s, enum feature_part part, struct err *err)
{
    struct feature_tables *tables = store->features;
    struct input input = {
        .store = store,
        .tables = tables,
        .event = event,
        .names = {store->item_ids, store->category_ids, store->brand_ids},
        .time_s = time_s > 0 ? time_s : 1,
        .err = err,
    };
    ASSERT(tables->pending_count == 0);
    enum err_code rc = ERR_OK;
    if (part == FEATURES_LIVE)
        rc = prepare_set(&input, feature_set_of(tables), part);
    if (rc == ERR_OK && (part == FEATURES_FILLING || tables->staged != NULL))
        rc = prepare_set(&input, feature_tables_filling(tables), part);
    if (rc != ERR_OK)
        feature_tables_cancel(store);
    return rc;
}

void feature_tables_commit(struct store *store)
{
    struct feature_tables *tables = store->features;
    for (uint32_t i = 0; i < tables->pending_count; i++) {
        struct feature_pending *pending = &tables->pending[i];
        if (!pending->is_staged) /* a checkpoint holds what is in force */
            store_keep(store, (enum store_row)(ROW_FEATURES + pending->table), pending->number);
        retire_block(&store->retire,
                     feature_rows_publish(pending->rows, pending->slot, pending->block),
                     pending->rows->block_bytes);
    }
    tables->pending_count = 0;
}

void feature_tables_cancel(struct store *store)
{
    struct feature_tables *tables = store->features;
    for (uint32_t i = 0; i < tables->pending_count; i++) {
        const struct feature_pending *pending = &tables->pending[i];
        slabs_free(store->slabs, pending->block, pending->rows->block_bytes);
    }
    tables->pending_count = 0;
}
