/* SPDX-License-Identifier: Apache-2.0 */
/* feature_reader - features by name: the store's own, and those that features.json defines.
 *
 * A reader is made for one who asks (a person, a query, a slot), then given a list of items, of
 * which it stands at a window.  It finds each row of a window once, and reads a feature of many
 * items faster than many features of one.  While features of one window are read, the rows of the
 * next one are looked up and fetched.
 *
 * Windows of time and ages end at the watermark.  A value that is not there, or older than the
 * feature's max_age, is the feature's default; without one it is NaN, and a model puts its own
 * default there.  A user's features, and those of pairs with the user, are read together with what
 * lies under the anonymous ids that are theirs alone (identify), the FEATURE_LINKS_MAX newest.
 *
 *     PRESENT   computed from events, and young enough
 *     DEFAULT   nothing to compute it from; the default
 *     STALE     older than max_age; the default, or NaN
 *     MISSING   nothing to compute it from, and no default: NaN
 *
 * Threads: inside rcu_read_begin/end, on the stack of one thread; wait-free, allocates nothing. */
#ifndef FEATURESTORE_FEATURE_READER_H
#define FEATURESTORE_FEATURE_READER_H

#include "featurestore/aggregate.h"
#include "featurestore/feature_tables.h"
#include "featurestore/features.h"
#include "featurestore/store_features.h"
#include "featurestore/store_people.h"

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
/* Those that feature_bind finds. */
bool feature_bind_next(const struct store *store, uint32_t *at, struct feature *ret_feature);

/* Texts may be absent. */
struct feature_asker {
    struct text user, anon, query, slot;
    const struct history *history; /* as store_history gives it; NULL: none */
    const struct feature_set *set; /* NULL: those in force */
};

enum { FEATURE_WINDOW_MAX = AGGREGATE_COLUMN_MAX }; /* items that a reader stands at */

/* Some items that follow each other in the list. */
struct feature_window {
    uint32_t first, count;
    uint32_t named; /* bit by feature_right: categories, brands were looked up */
    /* Bits by key: those whose blocks were found, and pairs whose rows are known, but for whether
     * they are theirs. */
    uint32_t found, likely;
    uint32_t item[FEATURE_WINDOW_MAX], category[FEATURE_WINDOW_MAX], brand[FEATURE_WINDOW_MAX];
    const uint8_t *block[FEATURE_KEY_COUNT][FEATURE_WINDOW_MAX];
};

enum { FEATURE_LINKS_MAX = 20 };

/* Keys that are of a person, by what they are paired with. */
enum feature_linked { LINKED_ALONE, LINKED_ITEM, LINKED_CATEGORY, LINKED_BRAND, LINKED_COUNT };

/* An anonymous id that is the user's, and its blocks for each item of the window; NULL: none. */
struct feature_link {
    uint32_t anon;
    const uint8_t *block[LINKED_COUNT][FEATURE_WINDOW_MAX];
};

struct feature_reader {
    const struct store *store;
    const struct feature_set *set;
    const struct history *history;
    struct aggregate_when when;
    bool is_anon;
    uint32_t person, query, slot; /* numbers; IDMAP_NONE: unknown */
    uint32_t found; /* of keys that have nothing to do with the item: blocks are in window[0] */

    const uint32_t *list; /* borrowed */
    uint32_t list_count;
    uint32_t keys; /* bits: of what is looked up ahead */
    struct feature_window window[2];
    uint32_t at; /* which of them it stands at; the other one is the next, or being made it */
    uint32_t link_count;
    uint32_t linked_keys; /* bit by feature_linked: the blocks were looked up, for this window */
    struct feature_link link[FEATURE_LINKS_MAX];
    uint8_t list_state[AGGREGATE_LIST_BYTES_MAX]; /* the one that was described last */
    /* what is done next, for which window, and what of that is left */
    uint32_t step, step_window, step_left, step_at;
};

void feature_reader_begin(struct feature_reader *reader, const struct store *store,
                          const struct feature_asker *asker);
/* A list of one; IDMAP_NONE: no item. */
void feature_reader_item(struct feature_reader *reader, uint32_t item);
/* A list of at least one item, which stays where it is until the next one; the reader stands at the
 * first ones, FEATURE_WINDOW_MAX at most.  The rows of `keys` (bits by feature_key) are looked up
 * together, so that the waits for memory overlap; others when they are asked for. */
void feature_reader_items(struct feature_reader *reader, const uint32_t *item, uint32_t count,
                          uint32_t keys);
/* Stands at `count` items of the list, 1..FEATURE_WINDOW_MAX, from `first` on.  Windows that follow
 * each other, of FEATURE_WINDOW_MAX items, are read fastest. */
void feature_reader_window(struct feature_reader *reader, uint32_t first, uint32_t count);

/* Of the window's first item. */
double feature_value(struct feature_reader *reader, const struct feature *feature);
/* The same of any item, wherever the reader stands, or IDMAP_NONE: a feature of the store's own,
 * not a defined one. */
double feature_value_builtin(const struct feature_reader *reader, const struct feature *feature,
                             uint32_t item);
/* Of each item of the window, the i-th in ret_value[i * stride]; to the bit what feature_value
 * gives for it. */
void feature_values(struct feature_reader *reader, const struct feature *feature, double *ret_value,
                    size_t stride);

struct feature_detail {
    double value;
    enum feature_status status;
    int64_t as_of_ms;                    /* of the newest event that it comes from; 0: unknown */
    const struct definition *definition; /* NULL: the store's own */
    const uint8_t *list;                 /* state of a list (featurestore/aggregate.h), or NULL */
};
/* Of the window's first item. */
void feature_describe(struct feature_reader *reader, const struct feature *feature,
                      struct feature_detail *ret_detail);

/* ---- feature_reader_rows.c */
/* The blocks of each item of the window; one of zeros where there is no row. */
const uint8_t *const *feature_reader_blocks(struct feature_reader *reader, enum feature_key key);
/* Numbers of what a key is paired with, for each item of the window. */
const uint32_t *feature_reader_numbers(struct feature_reader *reader, enum feature_right right);
/* Takes another step to the rows that are needed next. */
void feature_reader_go_ahead(struct feature_reader *reader);

/* ---- feature_reader_links.c */
void feature_reader_find_links(struct feature_reader *reader);
bool feature_reader_is_joined(const struct feature_reader *reader, enum feature_key key);
/* As aggregate_read_column, of the first `count` items; the key is joined. */
void feature_reader_join(struct feature_reader *reader, const struct definition *definition,
                         uint32_t count, struct aggregate_column *ret_column);
/* The state of a list for the window's first item, valid until the next call. */
const uint8_t *feature_reader_list(struct feature_reader *reader,
                                   const struct definition *definition);

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
