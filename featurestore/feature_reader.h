/* SPDX-License-Identifier: Apache-2.0 */
/* feature_reader - features by name: the store's own, and those that features.json defines.
 *
 * A reader is made for one who asks (a person, a query, a slot), then moved from items to items; it
 * finds each row once, and reads a feature of many items faster than many features of one.  Windows
 * and ages end at the watermark.  A value that is not there, or older
 * than the feature's max_age, is the feature's default; without one it is NaN, and a model puts its
 * own default there.
 *
 *     PRESENT   computed from events, and young enough
 *     DEFAULT   nothing to compute it from; the default
 *     STALE     older than max_age; the default, or NaN
 *     MISSING   nothing to compute it from, and no default: NaN
 *
 * Threads: inside rcu_read_begin/end, on the stack of one thread; wait-free, allocates nothing. */
#ifndef FEATURESTORE_FEATURE_READER_H
#define FEATURESTORE_FEATURE_READER_H

#include "featurestore/feature_tables.h"
#include "featurestore/store.h"

enum feature_status { FEATURE_PRESENT, FEATURE_DEFAULT, FEATURE_STALE, FEATURE_MISSING };
const char *feature_status_name(enum feature_status status);

/* Finds a feature that is in force by its name.  `name` of the result is valid until rcu_read_end;
 * its id as long as the store, also when the feature is defined anew or no longer. */
bool feature_find(const struct store *store, struct text name, struct feature *ret_feature);
/* The same for what is bound to it: while definitions are declared, one that will be in force.  On
 * the thread that declares. */
bool feature_bind(const struct store *store, struct text name, struct feature *ret_feature);
/* All features, one after the other: *at begins at 0. */
bool feature_next(const struct store *store, uint32_t *at, struct feature *ret_feature);

/* Texts may be absent. */
struct feature_asker {
    struct text user, anon, query, slot;
    const struct history *history; /* as store_history gives it; NULL: none */
    const struct feature_set *set; /* NULL: those in force */
};

enum { FEATURE_ITEMS_MAX = AGGREGATE_COLUMN_MAX }; /* that a reader stands at */

struct feature_reader {
    const struct store *store;
    const struct feature_set *set;
    const struct history *history;
    uint32_t now_s;
    bool is_anon;
    uint32_t person, query, slot; /* numbers; IDMAP_NONE: unknown */
    uint32_t item_count;          /* at least 1 */
    uint32_t item[FEATURE_ITEMS_MAX], category[FEATURE_ITEMS_MAX], brand[FEATURE_ITEMS_MAX];
    uint32_t found; /* bit by key: its blocks were looked up */
    const uint8_t *block[FEATURE_KEY_COUNT][FEATURE_ITEMS_MAX];
};

void feature_reader_begin(struct feature_reader *reader, const struct store *store,
                          const struct feature_asker *asker);
/* IDMAP_NONE: no item. */
void feature_reader_item(struct feature_reader *reader, uint32_t item);
/* As many items, 1..FEATURE_ITEMS_MAX.  The rows of `keys` (bits by feature_key) are looked up at
 * once, so that the waits for memory overlap; others when they are asked for. */
void feature_reader_items(struct feature_reader *reader, const uint32_t *item, uint32_t count,
                          uint32_t keys);

/* Of the first item. */
double feature_value(struct feature_reader *reader, const struct feature *feature);
/* Of each item, the i-th in ret_value[i * stride]; to the bit what feature_value gives for it. */
void feature_values(struct feature_reader *reader, const struct feature *feature, double *ret_value,
                    size_t stride);

struct feature_detail {
    double value;
    enum feature_status status;
    int64_t as_of_ms;                    /* of the newest event that it comes from; 0: unknown */
    const struct definition *definition; /* NULL: the store's own */
    const uint8_t *list;                 /* state of a list (featurestore/aggregate.h), or NULL */
};
/* Of the first item. */
void feature_describe(struct feature_reader *reader, const struct feature *feature,
                      struct feature_detail *ret_detail);

/* ---- feature_reader_rows.c: the blocks of each item; one of zeros where there is no row. */
const uint8_t *const *feature_reader_blocks(struct feature_reader *reader, enum feature_key key);

/* What has to be known for the feature to have a value: who asks, and which item. */
static inline enum feature_left feature_asks_for(const struct feature *feature)
{
    if (feature->subject == FEATURE_DEFINED)
        return feature_left_of((enum feature_key)feature->key);
    return feature->subject == FEATURE_USER ? LEFT_PERSON : LEFT_NONE;
}

static inline bool feature_needs_item(const struct feature *feature)
{
    return feature->subject == FEATURE_ITEM ||
           (feature->subject == FEATURE_DEFINED &&
            feature_right_of((enum feature_key)feature->key) != RIGHT_NONE);
}

#endif
