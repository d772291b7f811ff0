/* SPDX-License-Identifier: Apache-2.0 */
/* feature_reader - features by name: the store's own, and those that features.json defines.
 *
 * A reader is made for one who asks (a person, a query, a slot), then moved from item to item; it
 * finds each row once.  Windows and ages end at the watermark.  A value that is not there, or older
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

/* Finds a feature by its name.  `name` of the result is valid until rcu_read_end; its id as long as
 * the store, also when the feature is defined anew or no longer. */
bool feature_find(const struct store *store, struct text name, struct feature *ret_feature);
/* All features, one after the other: *at begins at 0. */
bool feature_next(const struct store *store, uint32_t *at, struct feature *ret_feature);

/* Texts may be absent. */
struct feature_asker {
    struct text user, anon, query, slot;
    const struct history *history; /* as store_history gives it; NULL: none */
};

struct feature_reader {
    const struct store *store;
    const struct feature_set *set;
    const struct history *history;
    uint32_t now_s;
    bool is_anon;
    uint32_t person, query, slot; /* numbers; IDMAP_NONE: unknown */
    uint32_t item, category, brand;
    uint32_t found; /* bit by key: `block` was looked up */
    const uint8_t *block[FEATURE_KEY_COUNT];
};

void feature_reader_begin(struct feature_reader *reader, const struct store *store,
                          const struct feature_asker *asker);
/* IDMAP_NONE: no item. */
void feature_reader_item(struct feature_reader *reader, uint32_t item);

double feature_value(struct feature_reader *reader, const struct feature *feature);

struct feature_detail {
    double value;
    enum feature_status status;
    int64_t as_of_ms;                    /* of the newest event that it comes from; 0: unknown */
    const struct definition *definition; /* NULL: the store's own */
    const uint8_t *list;                 /* state of a list (featurestore/aggregate.h), or NULL */
};
void feature_describe(struct feature_reader *reader, const struct feature *feature,
                      struct feature_detail *ret_detail);

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
