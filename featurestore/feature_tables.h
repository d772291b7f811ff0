/* SPDX-License-Identifier: Apache-2.0 */
/* feature_tables - the defined features with their values.
 *
 * One table for each kind of key, in which a row holds the states of all features of one key
 * (featurestore/feature_rows.h); users and anonymous ids have separate tables.  Definitions and
 * tables are published together, as a set.
 *
 * Changes are staged: the next set is built beside the one in force, filled from the log, and
 * updated by every event like that one, so that readers may use either; then it takes over.  States
 * of unchanged definitions are kept: a table without changes is shared by both sets, otherwise its
 * states are copied row by row.
 *
 * An event is prepared first: its effects on features are put into new blocks, which may fail for
 * lack of memory; feature_tables_commit publishes them and cannot fail.  A key beyond a limit
 * (feature_rows_max pairs, queries or slots of each kind; items_max, people_max) is dropped and
 * counted; the event itself is not rejected for it.
 *
 * A definition that is being filled ignores live events (FEATURES_LIVE) until it has been given all
 * earlier ones (FEATURES_FILLING), so that it sees events in order.
 *
 * A feature's number is permanent, even across reloads: models are bound to it.
 * Threads: the store thread; feature_set_of, feature_query_ids and feature_slot_ids on any. */
#ifndef FEATURESTORE_FEATURE_TABLES_H
#define FEATURESTORE_FEATURE_TABLES_H

#include "featurestore/definitions.h"
#include "featurestore/feature_input.h"
#include "featurestore/feature_rows.h"

struct store;

#define FEATURE_NUMBERS_MAX 4096 /* names ever defined while the daemon runs */

/* Tables are numbered by their keys; the last one is that of anonymous ids, by KEY_user. */
enum { FEATURE_TABLE_ANON = FEATURE_KEY_COUNT, FEATURE_TABLE_COUNT };

struct feature_set {
    struct definitions *definitions;                /* owned */
    struct feature_rows *rows[FEATURE_TABLE_COUNT]; /* owned by the newest set; NULL: none */
    uint32_t first[FEATURE_KEY_COUNT], count[FEATURE_KEY_COUNT]; /* definitions of a key */
    uint32_t number_count;
    uint32_t *index;  /* owned: of a definition by its number; IDMAP_NONE when it is gone */
    bool *is_filling; /* owned: by index; of the writer */
    bool any_is_filling;
};

/* A block that waits for the commit. */
struct feature_pending {
    struct feature_rows *rows;
    bool is_staged;
    uint32_t table, number;
    _Atomic(const uint8_t *) *slot;
    uint8_t *block;
};

struct feature_tables {
    _Atomic(struct feature_set *) set; /* owned; never NULL */
    struct feature_set *staged;        /* owned; NULL: none */
    const struct definitions *next;    /* borrowed: declared, and not yet in force; NULL: none */
    uint32_t rows_max;
    struct idmap *names; /* of features, by number */
    /* Made when a feature needs them, with readers at work; never replaced. */
    _Atomic(struct idmap *) query_ids, slot_ids;
    _Atomic uint64_t dropped;

    /* of the event that is prepared */
    struct feature_item *item;       /* owned, EVENT_ITEMS_MAX places */
    bool *wants;                     /* owned, DEFINITIONS_MAX places */
    struct feature_pending *pending; /* owned */
    uint32_t pending_count;
};

MUST_CHECK enum err_code feature_tables_create(uint32_t rows_max,
                                               struct feature_tables **ret_tables, struct err *err);
void feature_tables_destroy(struct feature_tables **tables); /* no readers left; NULL is fine */

static inline const struct feature_set *feature_set_of(const struct feature_tables *tables)
{
    return atomic_load_explicit(&tables->set, memory_order_acquire);
}

/* NULL while no feature needs them.  Acquire: whoever sees one sees what it was made of. */
static inline struct idmap *feature_query_ids(const struct feature_tables *tables)
{
    return atomic_load_explicit(&tables->query_ids, memory_order_acquire);
}
static inline struct idmap *feature_slot_ids(const struct feature_tables *tables)
{
    return atomic_load_explicit(&tables->slot_ids, memory_order_acquire);
}

/* The set takes the definitions over; its rows are its owner's, since the next set may have them.
 */
MUST_CHECK enum err_code feature_set_create(const struct feature_tables *tables,
                                            struct definitions *definitions,
                                            struct feature_set **ret_set, struct err *err);
void feature_set_destroy(struct feature_set **set);

/* Gives numbers to all names, so that models can be bound before the definitions are in force. */
MUST_CHECK enum err_code feature_tables_declare(struct feature_tables *tables,
                                                const struct definitions *definitions,
                                                struct err *err);
/* Makes the set that comes next; takes the definitions over on success.  With `fill` the states
 * that begin anew wait to be filled; *ret_new_count says how many they are.  ERR_NOMEM, ERR_LIMIT:
 * nothing changed. */
MUST_CHECK enum err_code feature_tables_stage(struct store *store, struct definitions *definitions,
                                              bool fill, uint32_t *ret_new_count, struct err *err);
/* What is staged is in force from now on; waits for readers. */
void feature_tables_adopt(struct store *store);
void feature_tables_unstage(struct feature_tables *tables); /* nobody reads it; none is fine */

enum feature_part { FEATURES_LIVE, FEATURES_FILLING };

/* ERR_NOMEM; nothing is prepared then. */
MUST_CHECK enum err_code feature_tables_prepare(struct store *store, const struct event *event,
                                                uint32_t time_s, enum feature_part part,
                                                struct err *err);
void feature_tables_commit(struct store *store); /* what was prepared */
void feature_tables_cancel(struct store *store);
/* What was filled takes part from now on. */
void feature_tables_filled(struct feature_tables *tables);
/* Of people who were erased, in the tables that the set in force has and `old` has not. */
void feature_tables_erase_new(struct store *store, const struct feature_set *old);

/* The set that is being filled, if any is. */
static inline struct feature_set *feature_tables_filling(const struct feature_tables *tables)
{
    return tables->staged != NULL ? tables->staged
                                  : atomic_load_explicit(&tables->set, memory_order_relaxed);
}

uint64_t feature_tables_bytes(const struct feature_tables *tables);
uint64_t feature_tables_row_count(const struct feature_tables *tables);

/* The two halves of a pair. */
static inline uint64_t feature_pair(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 32 | right;
}
/* A person as the left half: users and anonymous ids are told apart by the lowest bit. */
static inline uint32_t feature_person(uint32_t number, bool is_anon)
{
    return number << 1 | is_anon;
}

/* ---- what a key is made of ------------------------------------------------------------------- */

enum feature_left { LEFT_NONE, LEFT_PERSON, LEFT_QUERY, LEFT_SLOT };
enum feature_right { RIGHT_NONE, RIGHT_ITEM, RIGHT_CATEGORY, RIGHT_BRAND };

static inline enum feature_left feature_left_of(enum feature_key key)
{
    if (key == KEY_user || (key >= KEY_user_item && key <= KEY_user_brand))
        return LEFT_PERSON;
    if (key == KEY_query || (key >= KEY_query_item && key <= KEY_query_brand))
        return LEFT_QUERY;
    return key == KEY_slot || key >= KEY_slot_item ? LEFT_SLOT : LEFT_NONE;
}

static inline enum feature_right feature_right_of(enum feature_key key)
{
    switch (key) {
    case KEY_item:
    case KEY_user_item:
    case KEY_query_item:
    case KEY_slot_item: return RIGHT_ITEM;
    case KEY_category:
    case KEY_user_category:
    case KEY_query_category:
    case KEY_slot_category: return RIGHT_CATEGORY;
    case KEY_brand:
    case KEY_user_brand:
    case KEY_query_brand:
    case KEY_slot_brand: return RIGHT_BRAND;
    default: return RIGHT_NONE;
    }
}

#endif
