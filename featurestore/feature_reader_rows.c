/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of whoever asks and of many items.  Each step of the way to a row asks for the memory of
 * the next one, for all items and keys, before anything waits for it. */
#include "featurestore/feature_reader.h"
#include "featurestore/store_internal.h"

enum { LINE_BYTES = 64, FETCHED_BYTES_MAX = 512 };

/* What a key without a row holds. */
static const uint8_t no_row[DEFINITION_BLOCK_BYTES_MAX];

static inline void fetch(const void *memory)
{
    __builtin_prefetch(memory);
}

static void fetch_block(const uint8_t *block, uint32_t bytes)
{
    if (bytes > FETCHED_BYTES_MAX)
        bytes = FETCHED_BYTES_MAX;
    for (uint32_t at = 0; at < bytes; at += LINE_BYTES)
        fetch(block + at);
    fetch(block + bytes - 1);
}

/* ---- who and what ---------------------------------------------------------------------------- */

/* One kind of key, as the reader stands. */
struct way {
    enum feature_key key;
    const struct feature_rows *rows; /* NULL: there are none, or what they are of is unknown */
    const uint32_t *right;           /* NULL: the row is of who asks alone */
    uint32_t left;
    bool is_pair;
};

static const uint32_t *right_numbers(const struct feature_reader *reader, enum feature_key key)
{
    switch (feature_right_of(key)) {
    case RIGHT_ITEM: return reader->item;
    case RIGHT_CATEGORY: return reader->category;
    case RIGHT_BRAND: return reader->brand;
    default: return NULL;
    }
}

static uint32_t left_number(const struct feature_reader *reader, enum feature_key key)
{
    switch (feature_left_of(key)) {
    case LEFT_PERSON: return reader->person;
    case LEFT_QUERY: return reader->query;
    case LEFT_SLOT: return reader->slot;
    default: return IDMAP_NONE;
    }
}

static struct way way_of(const struct feature_reader *reader, enum feature_key key)
{
    bool by_anon = key == KEY_user && reader->is_anon;
    struct way way = {.key = key,
                      .rows = reader->set->rows[by_anon ? FEATURE_TABLE_ANON : (uint32_t)key],
                      .right = right_numbers(reader, key),
                      .left = left_number(reader, key),
                      .is_pair = FEATURE_KEY_IS_PAIR(key)};
    if (feature_left_of(key) != LEFT_NONE && way.left == IDMAP_NONE)
        way.rows = NULL;
    else if (way.is_pair && feature_left_of(key) == LEFT_PERSON)
        way.left = feature_person(way.left, reader->is_anon);
    return way;
}

/* Those of who asks alone have one row, whatever the items. */
static uint32_t row_count(const struct feature_reader *reader, const struct way *way)
{
    return way->right == NULL ? 1 : reader->item_count;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void fetch_first(const struct feature_reader *reader, const struct way *way)
{
    for (uint32_t i = 0; i < row_count(reader, way); i++) {
        if (way->right != NULL && way->right[i] == IDMAP_NONE)
            continue;
        if (way->is_pair)
            fetch(feature_rows_first_look(way->rows, feature_pair(way->left, way->right[i])));
        else
            fetch(feature_rows_place(way->rows, way->right == NULL ? way->left : way->right[i]));
    }
}

static void fetch_second(const struct feature_reader *reader, const struct way *way)
{
    for (uint32_t i = 0; way->is_pair && i < reader->item_count; i++) {
        if (way->right[i] != IDMAP_NONE)
            fetch(feature_rows_second_look(way->rows, feature_pair(way->left, way->right[i])));
    }
}

static const uint8_t *find_block(const struct way *way, uint32_t at)
{
    uint32_t number = way->right == NULL ? way->left : way->right[at];
    if (number != IDMAP_NONE && way->is_pair)
        number = feature_rows_find_pair(way->rows, feature_pair(way->left, number));
    const uint8_t *block = number == IDMAP_NONE ? NULL : feature_rows_block(way->rows, number);
    return block == NULL ? no_row : block;
}

static void find_blocks(struct feature_reader *reader, const struct way *way)
{
    uint32_t count = row_count(reader, way);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *block = way->rows == NULL ? no_row : find_block(way, i);
        reader->block[way->key][i] = block;
        if (block != no_row)
            fetch_block(block, way->rows->block_bytes);
    }
    for (uint32_t i = count; i < reader->item_count; i++)
        reader->block[way->key][i] = reader->block[way->key][0];
    reader->found |= 1u << way->key;
}

static void find_rows(struct feature_reader *reader, uint32_t keys)
{
    struct way way[FEATURE_KEY_COUNT];
    uint32_t count = 0;
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT; key++) {
        if (((keys & ~reader->found) >> key & 1) != 0)
            way[count++] = way_of(reader, (enum feature_key)key);
    }
    for (uint32_t w = 0; w < count; w++) {
        if (way[w].rows != NULL)
            fetch_first(reader, &way[w]);
    }
    for (uint32_t w = 0; w < count; w++) {
        if (way[w].rows != NULL)
            fetch_second(reader, &way[w]);
    }
    for (uint32_t w = 0; w < count; w++)
        find_blocks(reader, &way[w]);
}

/* ---- for readers ----------------------------------------------------------------------------- */

/* Bits of the keys that have nothing to do with the item. */
#define KEYS_WITHOUT_ITEM (1u << KEY_user | 1u << KEY_query | 1u << KEY_slot)

void feature_reader_items(struct feature_reader *reader, const uint32_t *item, uint32_t count,
                          uint32_t keys)
{
    ASSERT(count > 0 && count <= FEATURE_ITEMS_MAX);
    const struct item *record[FEATURE_ITEMS_MAX];
    reader->item_count = count;
    reader->found &= KEYS_WITHOUT_ITEM;
    memcpy(reader->item, item, count * sizeof *item);
    for (uint32_t i = 0; i < count; i++) {
        if (item[i] != IDMAP_NONE)
            fetch(store_item_slot(reader->store, item[i]));
    }
    for (uint32_t i = 0; i < count; i++) {
        record[i] = item[i] == IDMAP_NONE ? NULL : store_item(reader->store, item[i]);
        if (record[i] != NULL)
            fetch(&record[i]->category);
    }
    find_rows(reader, keys & 1u << KEY_item);
    for (uint32_t i = 0; i < count; i++) {
        reader->category[i] = record[i] == NULL ? IDMAP_NONE : record[i]->category;
        reader->brand[i] = record[i] == NULL ? IDMAP_NONE : record[i]->brand;
    }
    find_rows(reader, keys);
}

void feature_reader_item(struct feature_reader *reader, uint32_t item)
{
    feature_reader_items(reader, &item, 1, 0);
}

const uint8_t *const *feature_reader_blocks(struct feature_reader *reader, enum feature_key key)
{
    find_rows(reader, 1u << key);
    return reader->block[key];
}
