/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas-openblas.h>
#include <math.h>
#include <string.h>

#include "models/sieve.h"

enum { BLOCK_GROUPS = 16, GROUP = DOT_INT8_GROUP, QUAD = 4, NOTES_AHEAD = 8, LINE_FLOATS = 16 };

#define LIMIT_MAX 1e9f

struct sieve_note {
    uint32_t row, key;
    float upper, estimate;
};

/* ---- vectors --------------------------------------------------------------------------------- */

float sieve_largest(const float *vector, uint32_t dim)
{
    float largest = 0.0f;
    for (uint32_t k = 0; k < dim; k++) {
        float magnitude = fabsf(vector[k]);
        largest = magnitude > largest ? magnitude : largest;
    }
    return largest;
}

float sieve_length(const float *vector, uint32_t dim)
{
    double sum = 0.0;
    for (uint32_t k = 0; k < dim; k++)
        sum += (double)vector[k] * (double)vector[k];
    return (float)sqrt(sum);
}

/* As rintf, of at most 2^22, without a call where the processor of the build has no instruction:
 * behind 1.5 * 2^23 a float has no room for a fraction. */
static inline float nearest_whole(float value)
{
    const float shift = 0x1.8p23f;
    return (value + shift) - shift;
}

float sieve_to_whole(const float *vector, uint32_t dim, float largest, int8_t *ret_whole,
                     float *ret_rest)
{
    double rest = 0.0;
    float step = largest / 127.0f;
    for (uint32_t k = 0; k < dim; k++) {
        float whole = step > 0.0f ? nearest_whole(vector[k] / step) : 0.0f;
        whole = whole < -127.0f ? -127.0f : whole > 127.0f ? 127.0f : whole;
        double left = (double)vector[k] - (double)step * (double)whole;
        rest += left * left;
        ret_whole[k] = (int8_t)whole;
    }
    *ret_rest = (float)sqrt(rest);
    return step;
}

/* ---- bounds ---------------------------------------------------------------------------------- */

void sieve_vector_set(struct sieve_vector *vector, const float *floats, uint32_t dim)
{
    float rest = 0.0f;
    memset(vector->whole, 0, sizeof vector->whole);
    vector->step = sieve_to_whole(floats, dim, sieve_largest(floats, dim), vector->whole, &rest);
    vector->length = sieve_length(floats, dim);
    vector->per_rest = vector->length + rest;
    vector->per_length = rest + SIEVE_ROUNDING * vector->length;
}

static void set_vector(struct sieve_scan *scan, const struct sieve *sieve, const float *vector)
{
    scan->sieve = sieve;
    scan->vector = vector;
    sieve_vector_set(&scan->asked, vector, sieve->dim);
}

/* How far a product may be from the one of whole numbers. */
static inline float slack_of(const struct sieve_scan *scan, const struct sieve_group *group)
{
    if (group->length == 0.0f) /* zeros are exact */
        return 0.0f;
    return scan->asked.per_rest * group->rest + scan->asked.per_length * group->length + SIEVE_TINY;
}

/* The least product of whole numbers with which a row of the group is looked at; two below what
 * the division says, for its rounding. */
static inline int32_t limit_of(const struct sieve_scan *scan, const struct sieve_group *group,
                               float least)
{
    float unit = scan->asked.step * group->step;
    float missing = least - (scan->sieve->floats == NULL ? 0.0f : slack_of(scan, group));
    if (!(unit > 0.0f))
        return missing <= 0.0f ? INT32_MIN : INT32_MAX;
    float limit = missing / unit;
    if (!(limit > -LIMIT_MAX))
        return INT32_MIN;
    return limit < LIMIT_MAX ? (int32_t)floorf(limit) - 2 : INT32_MAX;
}

/* ---- filters --------------------------------------------------------------------------------- */

static inline uint32_t key_of(const struct sieve_filter *filter, uint32_t row)
{
    return filter->key == NULL ? row : filter->key[row];
}

static bool passes(struct sieve_scan *scan, uint32_t key)
{
    const struct sieve_filter *filter = scan->filter;
    scan->reached++;
    if (filter->allowed != NULL &&
        (key >= filter->allowed_count || (filter->allowed[key / 64] >> (key % 64) & 1) == 0))
        return false;
    if (filter->admits != NULL && !filter->admits(filter->ctx, key))
        return false;
    scan->passed++;
    return true;
}

/* ---- scans ----------------------------------------------------------------------------------- */

bool sieve_scan_begin(struct sieve_scan *scan, const struct sieve *sieve, const float *vector,
                      uint32_t n, const struct sieve_filter *filter, struct arena *arena)
{
    static const struct sieve_filter everything;
    ASSERT(n > 0);
    uint32_t most = n < sieve->row_count ? n : sieve->row_count;
    scan->filter = filter == NULL ? &everything : filter;
    scan->best = top_make(arena, most);
    scan->lower = top_make(arena, most);
    scan->note_max = 4 * most + 768;
    scan->note = ARENA_NEW(arena, struct sieve_note, scan->note_max);
    scan->note_count = 0;
    scan->reached = scan->passed = 0;
    if (scan->best.slot == NULL || scan->lower.slot == NULL || scan->note == NULL)
        return false;
    set_vector(scan, sieve, vector);
    return true;
}

/* Can a row that scores at most this be among the best, next to those whose lower bounds are
 * known?  Not the same as top_wants: the row may itself be the last of those. */
static inline bool may_be_best(const struct sieve_scan *scan, float upper, uint32_t key)
{
    const struct top *lower = &scan->lower;
    const struct top_slot row = {upper, key};
    return lower->count < lower->capacity ||
           !top_before(lower->slot[0].score, lower->slot[0].key, &row);
}

static float exact_score(const struct sieve_scan *scan, uint32_t row)
{
    const struct sieve *sieve = scan->sieve;
    return cblas_sdot((int)sieve->dim, scan->vector, 1, sieve->floats + (size_t)row * sieve->dim,
                      1);
}

static void put(struct sieve_scan *scan, float score, uint32_t key)
{
    if (top_wants(&scan->best, score, key))
        top_put(&scan->best, score, key);
}

void sieve_scan_settle(struct sieve_scan *scan)
{
    const struct sieve *sieve = scan->sieve;
    for (uint32_t i = 0; i < scan->note_count; i++) {
        const struct sieve_note *note = &scan->note[i];
        if (sieve->floats != NULL && i + NOTES_AHEAD < scan->note_count) {
            const float *ahead = sieve->floats + (size_t)note[NOTES_AHEAD].row * sieve->dim;
            for (uint32_t k = 0; k < sieve->dim; k += LINE_FLOATS)
                __builtin_prefetch(ahead + k);
        }
        if (sieve->floats == NULL)
            put(scan, note->estimate, note->key);
        else if (may_be_best(scan, note->upper, note->key))
            put(scan, exact_score(scan, note->row), note->key);
    }
    scan->note_count = 0;
    memcpy(scan->lower.slot, scan->best.slot, scan->best.count * sizeof scan->best.slot[0]);
    scan->lower.count = scan->best.count;
}

void sieve_scan_row(struct sieve_scan *scan, uint32_t row)
{
    uint32_t key = key_of(scan->filter, row);
    ASSERT(scan->note_count == 0 && scan->sieve->floats != NULL);
    if (passes(scan, key))
        put(scan, exact_score(scan, row), key);
}

static void look_at(struct sieve_scan *scan, uint32_t group, uint32_t lane, int32_t product)
{
    const struct sieve *sieve = scan->sieve;
    uint32_t row = sieve->row[(size_t)group * GROUP + lane];
    if (row == SIEVE_NO_ROW)
        return;
    uint32_t key = key_of(scan->filter, row);
    float slack = sieve->floats == NULL ? 0.0f : slack_of(scan, &sieve->group[group]);
    float score = scan->asked.step * sieve->group[group].step * (float)product;
    if (!may_be_best(scan, score + slack, key) || !passes(scan, key))
        return;
    if (scan->note_count == scan->note_max) {
        sieve_scan_settle(scan);
        if (!may_be_best(scan, score + slack, key))
            return;
    }
    scan->note[scan->note_count++] = (struct sieve_note){row, key, score + slack, score};
    if (top_wants(&scan->lower, score - slack, key))
        top_put(&scan->lower, score - slack, key);
}

void sieve_scan_list(struct sieve_scan *scan, uint32_t list)
{
    const struct sieve *sieve = scan->sieve;
    int32_t limit[BLOCK_GROUPS];
    int32_t product[BLOCK_GROUPS * GROUP];
    uint16_t mask[BLOCK_GROUPS];
    uint32_t end = sieve->first_group[list + 1];
    for (uint32_t first = sieve->first_group[list]; first < end; first += BLOCK_GROUPS) {
        uint32_t count = end - first < BLOCK_GROUPS ? end - first : BLOCK_GROUPS;
        float least = top_least(&scan->lower);
        float longest = sieve->group[first].length;
        if (longest * scan->asked.length * (1.0f + SIEVE_ROUNDING) + SIEVE_TINY < least)
            return; /* and the rest is shorter still */
        for (uint32_t g = 0; g < count; g++)
            limit[g] = limit_of(scan, &sieve->group[first + g], least);
        sieve->dot(sieve->bytes + (size_t)first * sieve->quad_count * QUAD * GROUP, count,
                   sieve->quad_count, scan->asked.whole, limit, product, mask);
        for (uint32_t g = 0; g < count; g++) {
            if (mask[g] != 0)
                __builtin_prefetch(sieve->row + (size_t)(first + g) * GROUP);
        }
        for (uint32_t g = 0; g < count; g++) {
            for (uint32_t left = mask[g]; left != 0; left &= left - 1) {
                uint32_t lane = (uint32_t)__builtin_ctz(left);
                look_at(scan, first + g, lane, product[g * GROUP + lane]);
            }
        }
    }
}

static void add_group(const struct sieve_scan *scan, uint32_t group, const int32_t *product,
                      float weight, const uint32_t *place_of_row, float *io_upper)
{
    const uint32_t *row = scan->sieve->row + (size_t)group * GROUP;
    float unit = weight * scan->asked.step * scan->sieve->group[group].step;
    float slack = weight * slack_of(scan, &scan->sieve->group[group]);
    float upper[GROUP];
    uint32_t count = GROUP;
    for (uint32_t lane = 0; lane < GROUP; lane++)
        upper[lane] = unit * (float)product[lane] + slack;
    while (row[count - 1] == SIEVE_NO_ROW) /* the last group of a list may not be full */
        count--;
    for (uint32_t lane = 0; lane < count; lane++)
        io_upper[place_of_row == NULL ? row[lane] : place_of_row[row[lane]]] += upper[lane];
}

void sieve_add_upper(const struct sieve *sieve, const float *vector, float weight,
                     const uint32_t *place_of_row, float *io_upper)
{
    struct sieve_scan scan;
    static const int32_t limit[BLOCK_GROUPS];
    int32_t product[BLOCK_GROUPS * GROUP];
    uint16_t mask[BLOCK_GROUPS];
    set_vector(&scan, sieve, vector);
    uint32_t end = sieve->first_group[sieve->list_count];
    for (uint32_t first = 0; first < end; first += BLOCK_GROUPS) {
        uint32_t count = end - first < BLOCK_GROUPS ? end - first : BLOCK_GROUPS;
        sieve->dot(sieve->bytes + (size_t)first * sieve->quad_count * QUAD * GROUP, count,
                   sieve->quad_count, scan.asked.whole, limit, product, mask);
        for (uint32_t g = 0; g < count; g++)
            add_group(&scan, first + g, product + (size_t)g * GROUP, weight, place_of_row,
                      io_upper);
    }
}
