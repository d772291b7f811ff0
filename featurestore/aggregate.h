/* SPDX-License-Identifier: Apache-2.0 */
/* aggregate - the state of one feature of one key: a block of bytes of fixed length, what an event
 * does to it, and its value at a time.
 *
 *     kind                       state
 *     attribute                  value (float), time
 *     count sum mean min max     time, then tiles: u32; double; double and u32; double; double
 *     distinct                   time, then tiles of 2^precision registers (HyperLogLog)
 *     decayed                    value (float), time
 *     last                       count, then entries: time and number of an id (u32) or a double
 *     since                      time
 *     interval                   first time, newest time, count
 *     ratio                      none
 *
 * Times are seconds since the epoch, at least 1: 0 is "nothing yet".  Time is cut into tiles of
 * `tile_s`; a window is made of the newest tiles up to the one that "now" is in, so that it covers
 * between all but one tile and all of its length (a sawtooth).  Tile number modulo tile count is
 * its place.  An event counts however late it comes while the window holds its time, and the order
 * of events makes no difference but to `last` among equal times, to attributes (the one applied
 * last counts) and to how sums of numbers that are no integers are rounded.
 *
 * A value depends on the state and on "now" alone; a state on the readings in their order alone.
 *
 * Threads: no state of its own.  aggregate_read*, aggregate_merge and aggregate_list* are for
 * readers of the hot path (aggregate_read.c, aggregate_merge.c and the kernels), as long as nobody
 * writes to the bytes. */
#ifndef FEATURESTORE_AGGREGATE_H
#define FEATURESTORE_AGGREGATE_H

#include <string.h>

#include "featurestore/definitions.h"

/* What one event says to one feature. */
struct reading {
    uint32_t time_s; /* at least 1 */
    uint32_t id;     /* number of the item, category or brand, for a list of these */
    double number;
    uint64_t hash; /* of the id, for `distinct` */
};

struct aggregate_value {
    double number;    /* NaN: none, though there may have been one */
    uint32_t as_of_s; /* time of the newest event that counts; 0: there never was one */
};

/* One feature in several rows: what depends on it and on "now" alone is worked out once. */
enum { AGGREGATE_COLUMN_MAX = 32 };
struct aggregate_column {
    double number[AGGREGATE_COLUMN_MAX]; /* NaN, too, where there never was one */
    uint32_t as_of_s[AGGREGATE_COLUMN_MAX];
};

uint32_t aggregate_bytes(const struct definition *definition);
void aggregate_init(const struct definition *definition, uint8_t *state);
void aggregate_add(const struct definition *definition, uint8_t *state,
                   const struct reading *reading);
/* Of an attribute; NaN takes it away. */
void aggregate_set(const struct definition *definition, uint8_t *state, double value,
                   uint32_t time_s);
/* Whether bytes from a file can be a state. */
bool aggregate_check(const struct definition *definition, const uint8_t *state);

/* Which tiles of a count are in the window, four to a load; the last four may overlap those before
 * them. */
enum { AGGREGATE_LANES = 4, AGGREGATE_LOADS_MAX = 26 };
_Static_assert(AGGREGATE_LOADS_MAX *AGGREGATE_LANES >= DEFINITION_TILES_MAX &&
                   AGGREGATE_LOADS_MAX % 2 == 0,
               "loads come in twos");
struct aggregate_plan {
    uint32_t tile_s, tile_count; /* what it is made for */
    uint32_t load_count;
    uint32_t at[AGGREGATE_LOADS_MAX]; /* where in the state a load begins */
    /* A tile counts when the newest event is newer; with the highest bit turned, so that they are
     * in the order of signed numbers. */
    int32_t newer_than[AGGREGATE_LOADS_MAX * AGGREGATE_LANES];
};

/* A time to which values are read, and the plans that were last made for it. */
enum { AGGREGATE_PLANS_MAX = 4 };
struct aggregate_when {
    uint32_t now_s;
    uint32_t plan_count; /* ever made: the oldest one gives way */
    struct aggregate_plan plan[AGGREGATE_PLANS_MAX];
};
static inline void aggregate_when_init(struct aggregate_when *when, uint32_t now_s)
{
    when->now_s = now_s;
    when->plan_count = 0;
}

/* A block holds the states of all features of a key, this one's at definition->offset; one of
 * zeros holds nothing of any.  At most AGGREGATE_COLUMN_MAX blocks. */
void aggregate_read_column(const struct definition *definition, const uint8_t *const *block,
                           uint32_t count, struct aggregate_when *when,
                           struct aggregate_column *ret_column);
static inline void aggregate_read(const struct definition *definition, const uint8_t *block,
                                  uint32_t now_s, struct aggregate_value *ret_value)
{
    struct aggregate_when when;
    struct aggregate_column column;
    aggregate_when_init(&when, now_s);
    aggregate_read_column(definition, &block, 1, &when, &column);
    *ret_value = (struct aggregate_value){column.number[0], column.as_of_s[0]};
}

/* ---- aggregate_merge.c: puts what `other` holds of the same feature of another key into `state`,
 * as if the events of both had come to one.  Own entries of a list come before others of the same
 * time, and an attribute is replaced by a newer one. */
void aggregate_merge(const struct definition *definition, uint8_t *state, const uint8_t *other);

/* Entries of a list, newest first. */
uint32_t aggregate_list_count(const uint8_t *state);
uint32_t aggregate_list_id(const uint8_t *state, uint32_t index);
void aggregate_list_set_id(uint8_t *state, uint32_t index, uint32_t id);
double aggregate_list_number(const uint8_t *state, uint32_t index);

/* ---- what both files of it share ------------------------------------------------------------- */

enum {
    AGGREGATE_TILES_AT = 4,
    AGGREGATE_LIST_AT = 4,
    AGGREGATE_ENTRY_BYTES_MAX = 12,
    AGGREGATE_LIST_BYTES_MAX = AGGREGATE_LIST_AT + DEFINITION_LAST_MAX * AGGREGATE_ENTRY_BYTES_MAX
};

static inline uint32_t aggregate_u32(const uint8_t *state, uint32_t at)
{
    uint32_t value;
    memcpy(&value, state + at, sizeof value);
    return value;
}

static inline double aggregate_double(const uint8_t *state, uint32_t at)
{
    double value;
    memcpy(&value, state + at, sizeof value);
    return value;
}

static inline float aggregate_float(const uint8_t *state, uint32_t at)
{
    float value;
    memcpy(&value, state + at, sizeof value);
    return value;
}

/* A choice without a branch: nothing foretells which rows have a value. */
static inline double aggregate_either(bool first, double yes, double no)
{
    uint64_t mask = -(uint64_t)first, yes_bits, no_bits;
    memcpy(&yes_bits, &yes, sizeof yes_bits);
    memcpy(&no_bits, &no, sizeof no_bits);
    yes_bits = (yes_bits & mask) | (no_bits & ~mask);
    memcpy(&yes, &yes_bits, sizeof yes);
    return yes;
}

static inline uint32_t aggregate_entry_bytes(const struct definition *definition)
{
    return definition_is_list_of_ids(definition) ? 8 : AGGREGATE_ENTRY_BYTES_MAX;
}

/* number / divisor by the divisor's reciprocal, 2^64 / divisor rounded up: exact for 32 bits. */
static inline uint32_t aggregate_divided(uint32_t number, uint64_t reciprocal)
{
    __extension__ typedef unsigned __int128 uint128;
    return (uint32_t)((uint128)number * reciprocal >> 64);
}

/* The number of the tile that a time is in. */
static inline uint32_t aggregate_tile(const struct definition *definition, uint32_t time_s)
{
    return aggregate_divided(time_s, definition->tile_reciprocal);
}

/* Its place among the tiles. */
static inline uint32_t aggregate_place(const struct definition *definition, uint32_t tile)
{
    return tile - definition->tile_count * aggregate_divided(tile, definition->count_reciprocal);
}

/* 2^-halvings for halvings >= 0, without libm so that it is the same on every machine; the error is
 * below 2^-31. */
double aggregate_decay(double halvings);

/* ---- kernels: what is computed of many rows at once ------------------------------------------ */

struct aggregate_rows {
    const uint8_t *const *block;
    uint32_t count, offset; /* of the state in a block */
};
static inline const uint8_t *aggregate_state(const struct aggregate_rows *rows, uint32_t i)
{
    return rows->block[i] + rows->offset;
}

/* They give the same bits. */
struct aggregate_kernel {
    const char *name;
    /* 2^-halvings of each of `count` numbers in place; numbers up to a multiple of four are read
     * and written. */
    void (*decay)(double *halvings, uint32_t count);
    /* Sums of tiles. */
    void (*count)(const struct aggregate_plan *plan, const struct aggregate_rows *rows,
                  struct aggregate_column *ret_column);
};
extern const struct aggregate_kernel aggregate_plain;
/* The fastest one that this processor has. */
const struct aggregate_kernel *aggregate_kernel(void);

#endif
