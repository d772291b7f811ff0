/* SPDX-License-Identifier: Apache-2.0 */
/* The share of features in the hash of the state: rows count by their ids, not by their numbers. */
#include "featurestore/digest.h"
#include "featurestore/store_erase.h"
#include "featurestore/store_rows.h"

#define ROW_OF_FEATURES 100 /* a kind of row that store_hash.c has not */

static void put_left(struct digest *digest, const struct store *store, uint32_t table,
                     uint32_t number)
{
    const struct feature_tables *tables = store->features;
    bool is_pair = table < FEATURE_KEY_COUNT && FEATURE_KEY_IS_PAIR(table);
    bool is_anon = is_pair ? (number & 1) != 0 : table == FEATURE_TABLE_ANON;
    uint32_t person = is_pair ? number >> 1 : number;
    switch (feature_left_of(table == FEATURE_TABLE_ANON ? KEY_user : (enum feature_key)table)) {
    case LEFT_PERSON:
        digest_put_int(digest, is_anon);
        digest_put_name(digest, is_anon ? store->anons.ids : store->users.ids, person);
        break;
    case LEFT_QUERY: digest_put_name(digest, feature_query_ids(tables), number); break;
    case LEFT_SLOT: digest_put_name(digest, feature_slot_ids(tables), number); break;
    default: break;
    }
}

static const struct idmap *right_ids(const struct store *store, enum feature_value_source source)
{
    switch (source) {
    case VALUE_CATEGORY: return store->category_ids;
    case VALUE_BRAND: return store->brand_ids;
    default: return store->item_ids;
    }
}

static void put_right(struct digest *digest, const struct store *store, uint32_t table,
                      uint32_t number)
{
    if (table == FEATURE_TABLE_ANON)
        return;
    switch (feature_right_of((enum feature_key)table)) {
    case RIGHT_ITEM: digest_put_name(digest, store->item_ids, number); break;
    case RIGHT_CATEGORY: digest_put_name(digest, store->category_ids, number); break;
    case RIGHT_BRAND: digest_put_name(digest, store->brand_ids, number); break;
    default: break;
    }
}

static void put_state(struct digest *digest, const struct store *store,
                      const struct definition *definition, const uint8_t *state)
{
    digest_put_text(digest, text_of(definition->name));
    if (!definition_is_list_of_ids(definition)) {
        digest_put(digest, state, definition->bytes);
        return;
    }
    for (uint32_t i = 0; i < aggregate_list_count(state); i++) {
        digest_put(digest, state + AGGREGATE_LIST_AT + i * 8, 4);
        digest_put_name(digest, right_ids(store, definition->source), aggregate_list_id(state, i));
    }
}

static uint64_t hash_feature_row(const struct store *store, const struct feature_set *set,
                                 uint32_t table, uint32_t number, const uint8_t *block)
{
    struct digest digest = {ROW_OF_FEATURES};
    const struct feature_rows *rows = set->rows[table];
    bool is_pair = rows->pair_page != NULL;
    uint64_t pair = is_pair ? feature_rows_pair(rows, number) : feature_pair(number, number);
    digest_put_int(&digest, table);
    put_left(&digest, store, table, (uint32_t)(pair >> 32));
    put_right(&digest, store, table, (uint32_t)pair);
    for (uint32_t i = 0; i < set->definitions->count; i++) {
        const struct definition *definition = &set->definitions->definition[i];
        bool is_here =
            definition->key == (table == FEATURE_TABLE_ANON ? KEY_user : (enum feature_key)table);
        if (is_here && !set->is_filling[i])
            put_state(&digest, store, definition, block + definition->offset);
    }
    return digest.hash;
}

uint64_t store_hash_features(const struct store *store)
{
    uint64_t sum = 0;
    const struct feature_set *set = feature_set_of(store->features);
    for (uint32_t table = 0; table < FEATURE_TABLE_COUNT; table++) {
        const struct feature_rows *rows = set->rows[table];
        uint32_t count = store_feature_row_count(store, (enum store_row)(ROW_FEATURES + table));
        for (uint32_t i = 0; i < count; i++) {
            const uint8_t *block = feature_rows_block(rows, i);
            if (block != NULL && !feature_row_is_erased(store, table, i))
                sum += hash_feature_row(store, set, table, i, block);
        }
    }
    return sum;
}
