/* SPDX-License-Identifier: Apache-2.0 */
/* Features of people who were erased.  Their own row goes with them; those of pairs cannot be
 * reached any more, count for nothing, and are given back little by little. */
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

enum { ROWS_PER_SWEEP = 50000 };

static void clear_row(struct store *store, uint32_t table, uint32_t number)
{
    struct feature_rows *rows = feature_set_of(store->features)->rows[table];
    if (rows == NULL || feature_rows_block(rows, number) == NULL)
        return;
    store_keep(store, (enum store_row)(ROW_FEATURES + table), number);
    retire_block(&store->retire, feature_rows_clear(rows, number), rows->block_bytes);
}

void feature_tables_erase(struct store *store, uint32_t number, bool is_anon)
{
    uint32_t table = is_anon ? FEATURE_TABLE_ANON : KEY_user;
    const struct feature_set *staged = store->features->staged;
    clear_row(store, table, number);
    struct feature_rows *rows = staged == NULL ? NULL : staged->rows[table];
    if (rows != NULL && feature_rows_block(rows, number) != NULL)
        retire_block(&store->retire, feature_rows_clear(rows, number), rows->block_bytes);
}

static bool is_of_people(uint32_t table)
{
    return table < FEATURE_KEY_COUNT && FEATURE_KEY_IS_PAIR(table) &&
           feature_left_of((enum feature_key)table) == LEFT_PERSON;
}

bool feature_row_is_erased(const struct store *store, uint32_t table, uint32_t number)
{
    if (!is_of_people(table))
        return false;
    const struct feature_rows *rows = feature_set_of(store->features)->rows[table];
    uint32_t left = (uint32_t)(feature_rows_pair(rows, number) >> 32);
    const struct people *people = (left & 1) != 0 ? &store->anons : &store->users;
    return idmap_text(people->ids, left >> 1).len == 0;
}

struct sweep {
    struct erasure_sweep *at;
    bool has_more;
};

static void run_sweep(struct store *store, void *ctx)
{
    struct sweep *sweep = ctx;
    struct erasure_sweep *at = sweep->at;
    uint32_t looked = 0;
    for (; at->table < FEATURE_KEY_COUNT && looked < ROWS_PER_SWEEP; at->table++, at->row = 0) {
        uint32_t count =
            is_of_people(at->table)
                ? store_feature_row_count(store, (enum store_row)(ROW_FEATURES + at->table))
                : 0;
        for (; at->row < count && looked < ROWS_PER_SWEEP; at->row++, looked++) {
            if (feature_row_is_erased(store, at->table, at->row))
                clear_row(store, at->table, at->row);
        }
        if (at->row < count)
            break;
    }
    retire_flush(&store->retire);
    sweep->has_more = at->table < FEATURE_KEY_COUNT;
}

bool store_erasure_sweep(struct store *store, struct erasure_sweep *at)
{
    struct sweep sweep = {.at = at};
    store_ask(store, run_sweep, &sweep);
    return sweep.has_more;
}

void feature_tables_erase_new(struct store *store, const struct feature_set *old)
{
    const struct feature_set *set = feature_set_of(store->features);
    for (uint32_t table = 0; table < FEATURE_KEY_COUNT; table++) {
        if (!is_of_people(table) || set->rows[table] == old->rows[table])
            continue;
        uint32_t count = store_feature_row_count(store, (enum store_row)(ROW_FEATURES + table));
        for (uint32_t row = 0; row < count; row++) {
            if (feature_row_is_erased(store, table, row))
                clear_row(store, table, row);
        }
    }
}
