/* SPDX-License-Identifier: Apache-2.0 */
/* store_rows - the rows of a checkpoint.
 *
 *   kind           number          bytes
 *   ROW_STATE      0               watermark (u64); capacity, count, next (u32) of event ids
 *   ROW_CATEGORY, ROW_BRAND, ROW_ITEM_ID, ROW_USER_ID, ROW_ANON_ID
 *                  of the id       the id; empty: of a person who was erased
 *   ROW_ITEM       of the item     record and windows
 *   ROW_USER, ROW_ANON
 *                  of the person   history
 *   ROW_USER_PROFILE, ROW_ANON_PROFILE
 *                  of the person   attributes, links
 *   ROW_QUERY_ID   of the id       the key of the query; the query, where an older version wrote it
 *   ROW_SLOT_ID    of the id       the id
 *   ROW_FEATURE_LAYOUT
 *                  of the table    for each feature: name, state hash (u64), bytes (u32)
 *   ROW_FEATURES + table
 *                  of the row      both halves of a pair (u32, u32), or nothing; states
 *   ROW_EVENT_IDS  of 1,024 places key (u64) and time of arrival in seconds (u32) of each
 *
 * Numbers are those of the store that wrote the checkpoint; the reading store assigns its own. */
#ifndef FEATURESTORE_STORE_ROWS_H
#define FEATURESTORE_STORE_ROWS_H

#include "featurestore/checkpoint.h"
#include "featurestore/store_internal.h"

enum store_row {
    ROW_STATE = 1,
    ROW_CATEGORY,
    ROW_BRAND,
    ROW_ITEM_ID,
    ROW_USER_ID,
    ROW_ANON_ID,
    ROW_ITEM,
    ROW_USER,
    ROW_ANON,
    ROW_USER_PROFILE,
    ROW_ANON_PROFILE,
    ROW_QUERY_ID,
    ROW_SLOT_ID,
    ROW_FEATURE_LAYOUT,
    ROW_FEATURES, /* of the first table, and then of the others */
    ROW_EVENT_IDS = ROW_FEATURES + FEATURE_TABLE_COUNT,
    ROW_END
};

/* What a row of an item begins with: no record, one as of before `added_s`, one with it. */
enum { ROW_RECORD_NONE, ROW_RECORD_PLAIN, ROW_RECORD_ADDED };

/* Writes the row as it is now; nothing for one that holds nothing. */
void store_row_write(const struct store *store, enum store_row kind, uint32_t number,
                     struct checkpoint_block *block);
/* The ids that number rows of that kind; NULL: none do. */
struct idmap *store_row_ids(const struct store *store, enum store_row kind);
/* How many rows of that kind there are now. */
uint32_t store_row_count(const struct store *store, enum store_row kind);

/* New numbers for old ones: IDMAP_NONE for those that the file did not name. */
struct store_numbers {
    uint32_t *number; /* owned */
    uint32_t count;
    uint32_t same_count; /* the first so many have the number that they had: all, as a rule */
};

/* Where the file has the state of a feature, and where it goes: a definition by its index, or
 * IDMAP_NONE when it is not defined any more. */
struct feature_place {
    uint32_t index, bytes;
};

struct feature_layout {
    bool is_known;
    struct feature_place *place; /* owned */
    uint32_t count, block_bytes;
};

/* The event ids that the file remembers. */
struct store_event_ids {
    bool is_known; /* false: an older version wrote it, and the log has them */
    struct dedup_span span;
    uint32_t found;
    uint64_t *key;    /* owned, span.count: oldest first */
    uint32_t *time_s; /* owned, beside it */
};

struct store_numbering {
    struct store_event_ids event_ids;
    struct store_numbers of[ROW_END]; /* by kind of the id rows */
    struct feature_layout layout[FEATURE_TABLE_COUNT];
};

void store_numbering_deinit(struct store_numbering *numbering);
/* Takes in an id row or a layout, and leaves others alone.  ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code store_row_read_id(struct store *store, const struct checkpoint_row *row,
                                           struct store_numbering *numbering, struct err *err);
/* Takes in any other row, after all ids.  The same errors. */
MUST_CHECK enum err_code store_row_read(struct store *store, const struct checkpoint_row *row,
                                        const struct store_numbering *numbering, struct err *err);

/* ---- store_profile_rows.c: the same for profiles */
void store_profile_row_write(const struct people *people, enum store_row kind, uint32_t number,
                             struct checkpoint_block *block);
MUST_CHECK enum err_code store_profile_row_read(struct store *store,
                                                const struct checkpoint_row *row,
                                                const struct store_numbering *numbering,
                                                struct err *err);
/* ERR_CORRUPT, naming the row. */
MUST_CHECK enum err_code store_row_corrupt(const struct checkpoint_row *row, const char *what,
                                           struct err *err);
/* The number here of that id in the file; false when the file does not name it.  IDMAP_NONE for a
 * person who was erased while the file was written: rows of theirs are passed over. */
MUST_CHECK bool store_row_number(const struct store_numbering *numbering, enum store_row ids,
                                 uint32_t old, uint32_t *ret_number);

/* ---- store_rows_event_ids.c: event ids, as of the checkpoint that is written */
uint32_t store_event_id_row_of(uint32_t place);
uint32_t store_event_id_row_count(const struct store *store);
void store_event_id_span_write(const struct store *store, struct checkpoint_block *block);
void store_event_id_row_write(const struct store *store, uint32_t number,
                              struct checkpoint_block *block);
void store_event_ids_deinit(struct store_event_ids *ids);
/* From ROW_STATE, which comes first. */
MUST_CHECK enum err_code store_event_id_span_read(const struct checkpoint_row *row,
                                                  struct store_event_ids *ids, struct err *err);
MUST_CHECK enum err_code store_event_id_row_read(const struct checkpoint_row *row,
                                                 struct store_event_ids *ids, struct err *err);
/* All of them were there. */
MUST_CHECK enum err_code store_event_ids_check(const struct store_event_ids *ids, struct err *err);
/* Remembers those of the checkpoint that was read, but for the newest, whose records the log has.
 */
void store_event_ids_take(struct store *store, uint64_t in_log);

/* ---- store_rows_features.c: the rows of features */
uint32_t store_feature_row_count(const struct store *store, enum store_row kind);
void store_feature_row_write(const struct store *store, enum store_row kind, uint32_t number,
                             struct checkpoint_block *block);
MUST_CHECK enum err_code store_feature_layout_read(struct store *store,
                                                   const struct checkpoint_row *row,
                                                   struct store_numbering *numbering,
                                                   struct err *err);
MUST_CHECK enum err_code store_feature_row_read(struct store *store,
                                                const struct checkpoint_row *row,
                                                const struct store_numbering *numbering,
                                                struct err *err);
/* Marks the definitions that no layout names as waiting to be filled. */
void store_features_fill_others(struct store *store, const struct store_numbering *numbering);

#endif
