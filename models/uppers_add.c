/* SPDX-License-Identifier: Apache-2.0 */
#include "models/uppers.h"

enum { GROUP = DOT_INT8_GROUP, QUAD = 4, BLOCK_GROUPS = 16 };

/* What the weight makes of the vector: a row's bound is
 * step * product * per_step + rest * per_rest + length * per_length + tiny. */
struct weighted {
    float per_step, per_rest, per_length, tiny;
};

static inline void add_group(const struct uppers *uppers, const struct weighted *weighted,
                             uint32_t first, const int32_t *restrict product,
                             float *restrict io_upper)
{
    const float *restrict step = uppers->step + first;
    const float *restrict rest = uppers->rest + first;
    const float *restrict length = uppers->length + first;
    for (uint32_t lane = 0; lane < GROUP; lane++)
        io_upper[lane] += weighted->per_step * step[lane] * (float)product[lane] +
                          (weighted->per_rest * rest[lane] + weighted->per_length * length[lane] +
                           weighted->tiny);
}

static void add_last(const struct uppers *uppers, const struct weighted *weighted, uint32_t first,
                     const int32_t *product, float *io_upper)
{
    float upper[GROUP] = {0.0f};
    add_group(uppers, weighted, first, product, upper);
    for (uint32_t lane = 0; first + lane < uppers->item_count; lane++)
        io_upper[first + lane] += upper[lane];
}

void uppers_add(const struct uppers *uppers, const float *vector, uint32_t dim, float weight,
                float *restrict io_upper)
{
    static const int32_t limit[BLOCK_GROUPS];
    int32_t product[BLOCK_GROUPS * GROUP];
    uint16_t mask[BLOCK_GROUPS];
    struct sieve_vector asked;
    sieve_vector_set(&asked, vector, dim);
    const struct weighted weighted = {weight * asked.step, weight * asked.per_rest,
                                      weight * asked.per_length, weight * SIEVE_TINY};
    uint32_t end = uppers->group_count;
    for (uint32_t first = 0; first < end; first += BLOCK_GROUPS) {
        uint32_t count = end - first < BLOCK_GROUPS ? end - first : BLOCK_GROUPS;
        uppers->dot(uppers->bytes + (size_t)first * uppers->quad_count * QUAD * GROUP, count,
                    uppers->quad_count, asked.whole, limit, product, mask);
        for (uint32_t g = 0; g < count; g++) {
            uint32_t item = (first + g) * GROUP;
            if (item + GROUP <= uppers->item_count)
                add_group(uppers, &weighted, item, product + (size_t)g * GROUP, io_upper + item);
            else
                add_last(uppers, &weighted, item, product + (size_t)g * GROUP, io_upper);
        }
    }
}
