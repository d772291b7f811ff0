/* SPDX-License-Identifier: Apache-2.0 */
/* Looks up the rows of the person and of windows of items.  Reaching a row takes several dependent
 * loads that may all miss the cache.  The look-up is therefore split into steps: each prefetches
 * what the next one reads, for all items of a window.  A step is taken whenever a feature is read,
 * so that memory latency overlaps with computation.  The steps of one window are completed before
 * those of the next begin. */
#include "featurestore/feature_reader.h"
#include "featurestore/store_internal.h"

/* Steps are per key, except names, which are per feature_right.  A pair takes two: its slot in the
 * index, then its row, whose key confirms the match. */
enum step {
    STEP_NAMES,        /* asks for the numbers of categories and brands */
    STEP_PLACES,       /* asks for where the address of a row is, or the number of a pair */
    STEP_NAMED_PLACES, /* the same by category and brand */
    STEP_ROWS,         /* finds rows that are no pairs: */
    STEP_ROW_LINES,    /* and asks for them, a line at a time */
    STEP_PAIRS,        /* finds rows of pairs, and asks for them */
    STEP_PAIR_ROWS,    /* finds the blocks of pairs: */
    STEP_PAIR_LINES,   /* and asks for them */
    STEP_NONE
};

enum { LINE_BYTES = 64, FETCHED_BYTES_MAX = 512 };

/* The block of a key without a row: all zeros. */
static const uint8_t no_row[DEFINITION_BLOCK_BYTES_MAX];

static inline void fetch(const void *memory)
{
    __builtin_prefetch(memory);
}

static inline enum feature_key lowest(uint32_t bits)
{
    return (enum feature_key)__builtin_ctz(bits);
}

static inline bool has(uint32_t bits, uint32_t bit)
{
    return (bits >> bit & 1) != 0;
}

/* Groups of keys, by how their rows are found. */
enum {
    ALONE = 1 << KEY_user | 1 << KEY_query | 1 << KEY_slot,
    BY_CATEGORY = 1 << KEY_category | 1 << KEY_user_category | 1 << KEY_query_category |
                  1 << KEY_slot_category,
    BY_BRAND = 1 << KEY_brand | 1 << KEY_user_brand | 1 << KEY_query_brand | 1 << KEY_slot_brand,
    BY_NAME = BY_CATEGORY | BY_BRAND,
    OF_NO_PAIR = (1 << KEY_user_item) - 1
};

/* ---- names ----------------------------------------------------------------------------------- */

/* The column entry with the category or brand number + 1, 0: none; NULL: there is no entry. */
static const _Atomic(uint32_t) *name_of(const struct feature_reader *reader,
                                        enum feature_right right, uint32_t item)
{
    const struct item_page *page = item == IDMAP_NONE ? NULL : store_item_page(reader->store, item);
    if (page == NULL)
        return NULL;
    uint32_t at = item & (ITEM_PAGE_SLOTS - 1);
    return right == RIGHT_CATEGORY ? &page->category[at] : &page->brand[at];
}

static void fetch_names(const struct feature_reader *reader, const struct feature_window *window,
                        enum feature_right right)
{
    for (uint32_t i = 0; i < window->count; i++)
        fetch(name_of(reader, right, window->item[i]));
}

/* Columns mirror the records.  Relaxed: each number is independent of other data. */
static const uint32_t *find_names(const struct feature_reader *reader,
                                  struct feature_window *window, enum feature_right right)
{
    uint32_t *number = right == RIGHT_CATEGORY ? window->category : window->brand;
    for (uint32_t i = 0; !has(window->named, right) && i < window->count; i++) {
        const _Atomic(uint32_t) *name = name_of(reader, right, window->item[i]);
        number[i] =
            name == NULL ? IDMAP_NONE : atomic_load_explicit(name, memory_order_relaxed) - 1;
    }
    window->named |= 1u << right;
    return number;
}

/* ---- one kind of key in a window ------------------------------------------------------------- */

struct way {
    const struct feature_rows *rows;   /* NULL: there are none, or what they are of is unknown */
    const struct feature_index *index; /* of pairs */
    const uint32_t *right;             /* NULL: the row is of who asks alone */
    uint32_t left;
    uint32_t count; /* of rows: those of who asks alone have one, whatever the items */
};

static uint32_t left_number(const struct feature_reader *reader, enum feature_key key)
{
    switch (feature_left_of(key)) {
    case LEFT_PERSON: return reader->person;
    case LEFT_QUERY: return reader->query;
    case LEFT_SLOT: return reader->slot;
    default: return IDMAP_NONE;
    }
}

static struct way way_of(const struct feature_reader *reader, struct feature_window *window,
                         enum feature_key key)
{
    bool by_anon = key == KEY_user && reader->is_anon;
    struct way way = {.rows = reader->set->rows[by_anon ? FEATURE_TABLE_ANON : (uint32_t)key],
                      .right = has(BY_NAME, key) ? find_names(reader, window, feature_right_of(key))
                                                 : window->item,
                      .left = left_number(reader, key),
                      .count = window->count};
    if (has(ALONE, key)) {
        way.right = NULL;
        way.count = 1;
    }
    if (feature_left_of(key) != LEFT_NONE && way.left == IDMAP_NONE)
        way.rows = NULL;
    if (way.rows == NULL || !FEATURE_KEY_IS_PAIR(key))
        return way;
    way.index = atomic_load_explicit(&way.rows->index, memory_order_acquire);
    if (atomic_load_explicit(&way.rows->pair_count, memory_order_acquire) == 0)
        way.rows = NULL;
    if (feature_left_of(key) == LEFT_PERSON)
        way.left = feature_person(way.left, reader->is_anon);
    return way;
}

static uint32_t row_number(const struct way *way, uint32_t at)
{
    return way->right == NULL ? way->left : way->right[at];
}

static uint64_t pair_of(const struct way *way, uint32_t at)
{
    return feature_pair(way->left, way->right[at]);
}

static void fetch_places(const struct feature_reader *reader, struct feature_window *window,
                         enum feature_key key)
{
    struct way way = way_of(reader, window, key);
    for (uint32_t i = 0; way.rows != NULL && i < way.count; i++) {
        if (way.index != NULL)
            fetch(&way.index->slot[feature_index_line(way.index, pair_of(&way, i))]);
        else if (row_number(&way, i) != IDMAP_NONE)
            fetch(feature_rows_place(way.rows, row_number(&way, i)));
    }
}

/* Until the block is known, its entry holds the pair's row.  A pair without a row now is not looked
 * up again when its block is needed. */
static void fetch_pairs(const struct feature_reader *reader, struct feature_window *window,
                        enum feature_key key)
{
    struct way way = way_of(reader, window, key);
    const uint8_t **row = window->block[key];
    for (uint32_t i = 0; i < way.count; i++) {
        const struct feature_pair_row *likely =
            way.rows == NULL ? &feature_no_pair
                             : feature_rows_likely(way.rows, way.index, pair_of(&way, i));
        row[i] = (const uint8_t *)likely;
        fetch(likely);
    }
    window->likely |= 1u << key;
}

/* `likely`: as set by fetch_pairs. */
static const uint8_t *block_of_pair(const struct way *way, const void *likely, uint64_t key)
{
    const struct feature_pair_row *row = likely;
    if ((row->key == key) | (row == &feature_no_pair))
        return atomic_load_explicit(&row->block, memory_order_acquire);
    uint32_t number = feature_rows_find_pair(way->rows, key);
    return number == IDMAP_NONE ? NULL : feature_rows_block(way->rows, number);
}

static void find_blocks(const struct feature_reader *reader, struct feature_window *window,
                        enum feature_key key)
{
    struct way way = way_of(reader, window, key);
    const uint8_t **block = window->block[key];
    for (uint32_t i = 0; i < way.count; i++) {
        const uint8_t *found = NULL;
        if (way.rows != NULL && way.index != NULL)
            found = block_of_pair(&way, block[i], pair_of(&way, i));
        else if (way.rows != NULL && row_number(&way, i) != IDMAP_NONE)
            found = feature_rows_block(way.rows, row_number(&way, i));
        block[i] = found == NULL ? no_row : found;
    }
    window->found |= 1u << key;
}

/* As far as it is fetched. */
static uint32_t head_bytes(const struct feature_reader *reader, enum feature_key key)
{
    uint32_t bytes = reader->set->definitions->block_bytes[key];
    return bytes < FETCHED_BYTES_MAX ? bytes : FETCHED_BYTES_MAX;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The object of a step. */
static uint32_t bits_of_step(uint32_t keys, enum step step)
{
    switch (step) {
    case STEP_NAMES:
        return (uint32_t)((keys & BY_CATEGORY) != 0) << RIGHT_CATEGORY |
               (uint32_t)((keys & BY_BRAND) != 0) << RIGHT_BRAND;
    case STEP_PLACES: return keys & ~(uint32_t)BY_NAME;
    case STEP_NAMED_PLACES: return keys & BY_NAME;
    case STEP_ROWS:
    case STEP_ROW_LINES: return keys & OF_NO_PAIR;
    default: return keys & ~(uint32_t)OF_NO_PAIR;
    }
}

/* Prefetches one cache line of each block; false after the last one. */
static bool fetch_line(struct feature_reader *reader, const struct feature_window *window,
                       enum feature_key key)
{
    uint32_t bytes = head_bytes(reader, key);
    uint32_t at = reader->step_at < bytes ? reader->step_at : bytes - 1;
    for (uint32_t i = 0; bytes > 0 && i < window->count; i++)
        fetch(window->block[key][i] + at);
    reader->step_at = at + 1 < bytes ? at + LINE_BYTES : 0;
    return at + 1 < bytes;
}

/* False: the step is not finished. */
static bool take(struct feature_reader *reader, struct feature_window *window, uint32_t bit)
{
    enum feature_key key = (enum feature_key)bit;
    bool is_found = reader->step != STEP_NAMES && has(window->found, bit);
    switch ((enum step)reader->step) {
    case STEP_NAMES: fetch_names(reader, window, (enum feature_right)bit); return true;
    case STEP_PLACES:
    case STEP_NAMED_PLACES:
        if (!is_found)
            fetch_places(reader, window, key);
        return true;
    case STEP_PAIRS:
        if (!is_found)
            fetch_pairs(reader, window, key);
        return true;
    case STEP_ROWS:
    case STEP_PAIR_ROWS:
        if (!is_found)
            find_blocks(reader, window, key);
        return true;
    default: return !fetch_line(reader, window, key);
    }
}

static void begin_window(struct feature_reader *reader, uint32_t at, uint32_t first, uint32_t count)
{
    struct feature_window *window = &reader->window[at];
    window->first = first;
    window->count = count;
    window->named = window->found = window->likely = 0;
    memcpy(window->item, reader->list + first, count * sizeof *window->item);
    reader->step_window = at;
    reader->step = STEP_NAMES;
    reader->step_left = bits_of_step(reader->keys, STEP_NAMES);
    reader->step_at = 0;
}

/* False: nothing is left to do for that window. */
static bool next_step(struct feature_reader *reader)
{
    while (reader->step_left == 0) {
        if (reader->step == STEP_NONE || ++reader->step == STEP_NONE)
            return false;
        reader->step_left = bits_of_step(reader->keys, (enum step)reader->step);
    }
    if (take(reader, &reader->window[reader->step_window], lowest(reader->step_left)))
        reader->step_left &= reader->step_left - 1;
    return true;
}

/* Prepares the window after the current one. */
static bool begin_next(struct feature_reader *reader)
{
    const struct feature_window *window = &reader->window[reader->at];
    uint32_t first = window->first + window->count, left = reader->list_count - first;
    if (reader->step_window != reader->at || left == 0)
        return false;
    begin_window(reader, 1 - reader->at, first,
                 left < FEATURE_WINDOW_MAX ? left : FEATURE_WINDOW_MAX);
    return true;
}

void feature_reader_go_ahead(struct feature_reader *reader)
{
    if (!next_step(reader) && begin_next(reader))
        next_step(reader);
}

/* ---- for readers ----------------------------------------------------------------------------- */

/* Completes the steps needed for features of items; those for pairs follow while these are read. */
static void begin_reading(struct feature_reader *reader)
{
    while (reader->step <= STEP_ROWS && next_step(reader))
        ;
}

void feature_reader_window(struct feature_reader *reader, uint32_t first, uint32_t count)
{
    ASSERT(count > 0 && count <= FEATURE_WINDOW_MAX);
    ASSERT(first < reader->list_count && count <= reader->list_count - first);
    const struct feature_window *here = &reader->window[reader->at];
    struct feature_window *next = &reader->window[1 - reader->at];
    if (first == here->first && count == here->count)
        return;
    bool is_next =
        reader->step_window != reader->at && first == next->first && count <= next->count;
    if (is_next)
        next->count = count;
    else
        begin_window(reader, 1 - reader->at, first, count);
    reader->at = 1 - reader->at;
    reader->linked_keys &= 1u << LINKED_ALONE;
    begin_reading(reader);
}

void feature_reader_items(struct feature_reader *reader, const uint32_t *item, uint32_t count,
                          uint32_t keys)
{
    ASSERT(count > 0);
    reader->list = item;
    reader->list_count = count;
    reader->keys = keys & ~(uint32_t)ALONE;
    reader->linked_keys &= 1u << LINKED_ALONE;
    begin_window(reader, reader->at, 0, count < FEATURE_WINDOW_MAX ? count : FEATURE_WINDOW_MAX);
    begin_reading(reader);
}

void feature_reader_item(struct feature_reader *reader, uint32_t item)
{
    feature_reader_items(reader, &item, 1, 0);
    reader->list = reader->window[reader->at].item; /* the parameter goes */
}

const uint32_t *feature_reader_numbers(struct feature_reader *reader, enum feature_right right)
{
    struct feature_window *window = &reader->window[reader->at];
    bool is_named = right == RIGHT_CATEGORY || right == RIGHT_BRAND;
    return is_named ? find_names(reader, window, right) : window->item;
}

static void find_now(struct feature_reader *reader, struct feature_window *window,
                     enum feature_key key)
{
    uint32_t bytes = head_bytes(reader, key);
    if (!has(window->likely, key)) {
        fetch_places(reader, window, key);
        if (FEATURE_KEY_IS_PAIR(key))
            fetch_pairs(reader, window, key);
    }
    find_blocks(reader, window, key);
    for (uint32_t i = 0; bytes > 0 && i < window->count; i++) {
        for (uint32_t at = 0; at < bytes; at += LINE_BYTES)
            fetch(window->block[key][i] + at);
        fetch(window->block[key][i] + bytes - 1);
    }
}

static const uint8_t *const *blocks_alone(struct feature_reader *reader, enum feature_key key)
{
    struct feature_window *window = &reader->window[0];
    if (!has(reader->found, key)) {
        find_blocks(reader, window, key);
        for (uint32_t i = 1; i < FEATURE_WINDOW_MAX; i++)
            window->block[key][i] = window->block[key][0];
        reader->found |= 1u << key;
    }
    return window->block[key];
}

const uint8_t *const *feature_reader_blocks(struct feature_reader *reader, enum feature_key key)
{
    if (has(ALONE, key))
        return blocks_alone(reader, key);
    struct feature_window *window = &reader->window[reader->at];
    if (!has(window->found, key))
        find_now(reader, window, key);
    return window->block[key];
}
