/* SPDX-License-Identifier: Apache-2.0 */
/* sieve - maximum inner product search: screens the rows with an 8-bit copy, a quarter of the size,
 * and computes the survivors in float.  The result is exact: the same as computing all rows.
 *
 * Rows are kept in lists (one, or those of an index), sorted by length, longest first, in groups of
 * DOT_INT8_GROUP that share a quantisation step.  For a row v = s q + r (q integers, r the
 * quantisation error) and the query u = t p + w likewise:
 *   u v = (t p + w) v = t p (s q + r) + w v,   so by the Cauchy-Schwarz inequality
 *   |u v - t s (p q)| <= |t p| |r| + |w| |v|   and  |t p| <= |u| + |w|
 * A little is added for the rounding of the sums themselves (SIEVE_ROUNDING, SIEVE_TINY).  Rows
 * that pass are only noted; an upper bound must reach the n-th largest lower bound so far, and the
 * rows still in question at the end are computed in float.
 *
 * Threads: create and destroy on the loader; scans on any, each with a scan of its own.
 * Ownership: the floats stay the caller's. */
#ifndef MODELS_SIEVE_H
#define MODELS_SIEVE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/top.h"
#include "models/dot_int8.h"

#define SIEVE_DIM_MAX  516
#define SIEVE_NO_ROW   UINT32_MAX
#define SIEVE_ROUNDING 4e-5f  /* of |u| |v|: above SIEVE_DIM_MAX * FLT_EPSILON / 2, in any order */
#define SIEVE_TINY     1e-35f /* above what SIEVE_DIM_MAX products lose below FLT_MIN */

/* Of a group: the step between the whole numbers, the largest length of what they leave out, and
 * that of a row. */
struct sieve_group {
    float step, rest, length;
};

struct sieve {
    uint32_t dim, quad_count, row_count, list_count;
    const float *floats;       /* borrowed: row_count rows of dim; NULL: scores are estimates */
    int8_t *bytes;             /* owned; see dot_int8.h */
    struct sieve_group *group; /* owned */
    uint32_t *row;             /* owned: which row stands there, or SIEVE_NO_ROW */
    uint32_t *first_group;     /* owned: of each list, and one behind the last */
    dot_int8_fn dot;
};

/* `list_of_row` NULL: all rows are in one list.  ERR_NOMEM. */
MUST_CHECK enum err_code sieve_create(const float *floats, uint32_t row_count, uint32_t dim,
                                      const uint32_t *list_of_row, uint32_t list_count,
                                      struct sieve **ret_sieve, struct err *err);
void sieve_destroy(struct sieve **sieve);
uint64_t sieve_bytes(const struct sieve *sieve); /* memory held */
/* From now on scores are those of the bytes, and the floats are not needed any more. */
void sieve_forget_floats(struct sieve *sieve);

/* ---- hot path (sieve_scan.c) */

/* Which rows may be among the best.  Rows go by their keys: `key[row]`, or the row itself. */
struct sieve_filter {
    const uint32_t *key;     /* NULL: the row is its key */
    const uint64_t *allowed; /* bits by key, allowed_count of them; NULL: all are */
    uint32_t allowed_count;
    bool (*admits)(const void *ctx, uint32_t key); /* asked last; NULL: all are */
    const void *ctx;
};

/* A vector in whole numbers, with what its products may be off by: per_rest times what a row
 * leaves out, and per_length times its length. */
struct sieve_vector {
    int8_t whole[SIEVE_DIM_MAX];
    float step, length, per_rest, per_length;
};
void sieve_vector_set(struct sieve_vector *vector, const float *floats, uint32_t dim);

struct sieve_note;

struct sieve_scan {
    const struct sieve *sieve;
    const struct sieve_filter *filter;
    const float *vector;
    struct sieve_vector asked; /* the same in whole numbers */
    struct top best;           /* exact scores */
    struct top lower;          /* lower bounds of all rows so far */
    struct sieve_note *note;   /* rows that may be among the best */
    uint32_t note_count, note_max;
    uint64_t reached, passed; /* rows that came as far as the filter, and past it */
};

/* What a scan for n rows takes of its arena. */
#define SIEVE_SCAN_BYTES(n) ((size_t)(n)*80 + 12416)

/* False when the arena is full.  The filter and the vector stay the caller's until the end. */
bool sieve_scan_begin(struct sieve_scan *scan, const struct sieve *sieve, const float *vector,
                      uint32_t n, const struct sieve_filter *filter, struct arena *arena);
void sieve_scan_list(struct sieve_scan *scan, uint32_t list);
/* One row by itself, whether or not some list was scanned; not twice, nor with its list. */
void sieve_scan_row(struct sieve_scan *scan, uint32_t row);
/* Computes what is in question: scan->best has the best n of what was scanned, in no order; ties
 * go to the smaller key.  Further lists may follow. */
void sieve_scan_settle(struct sieve_scan *scan);

/* Adds to the place of each row (NULL: the row is its place) a number that weight times its product
 * with the vector does not exceed; the weight is not negative. */
void sieve_add_upper(const struct sieve *sieve, const float *vector, float weight,
                     const uint32_t *place_of_row, float *io_upper);

/* The vector in whole numbers -127..127 times the step that is returned, the largest of them being
 * `largest`; *ret_rest is the length of what they leave out. */
float sieve_to_whole(const float *vector, uint32_t dim, float largest, int8_t *ret_whole,
                     float *ret_rest);
float sieve_largest(const float *vector, uint32_t dim);
float sieve_length(const float *vector, uint32_t dim);

#endif
