/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel of every processor: vectors of 16 bytes, which every x86-64 and aarch64 has. */
#include "featurestore/aggregate.h"

/* ---- powers of one half, two at a time ------------------------------------------------------- */

typedef double double2 __attribute__((vector_size(16)));
typedef int64_t mask2 __attribute__((vector_size(16)));

#define BOTH(number) ((double2){number, number})

static inline double2 chosen(mask2 mask, double2 yes, double2 no)
{
    return (double2)((mask & (mask2)yes) | (~mask & (mask2)no));
}

static inline double2 decay(double2 halvings)
{
    const double2 shift = BOTH(0x1p52); /* with it, the last bits are those of a whole number */
    mask2 is_far = halvings > BOTH(1000.0);
    mask2 is_none = halvings == BOTH(0.0);
    halvings = chosen(is_far, BOTH(0.0), halvings);
    double2 whole = (halvings + shift) - shift;
    whole -= chosen(whole > halvings, BOTH(1.0), BOTH(0.0));
    /* 2^(1/2 - rest) / sqrt(2): the exponential series to the 8th power, in pairs (Estrin), so that
     * no step waits for all before it. */
    double2 x = (BOTH(0.5) - (halvings - whole)) * BOTH(0.69314718055994530942);
    double2 x2 = x * x, x4 = x2 * x2;
    double2 low = (BOTH(1.0) + x) + (BOTH(1.0 / 2) + x * BOTH(1.0 / 6)) * x2;
    double2 high =
        (BOTH(1.0 / 24) + x * BOTH(1.0 / 120)) + (BOTH(1.0 / 720) + x * BOTH(1.0 / 5040)) * x2;
    double2 sum = low + high * x4 + x4 * x4 * BOTH(1.0 / 40320);
    const mask2 one = (mask2)BOTH(1.0);
    double2 scale = (double2)(one - ((mask2)(whole + shift) << 52)); /* 2^-whole */
    double2 result = sum * BOTH(0.70710678118654752440) * scale;
    return chosen(is_far, BOTH(0.0), chosen(is_none, BOTH(1.0), result));
}

double aggregate_decay(double halvings)
{
    return decay(BOTH(halvings))[0];
}

static void decay_all(double *halvings, uint32_t count)
{
    for (uint32_t i = 0; i < count; i += 2) {
        double2 two;
        memcpy(&two, halvings + i, sizeof two);
        two = decay(two);
        memcpy(halvings + i, &two, sizeof two);
    }
}

/* ---- counts ---------------------------------------------------------------------------------- */

typedef int32_t lanes __attribute__((vector_size(16)));
typedef uint64_t sums __attribute__((vector_size(16)));

static uint64_t add_lanes(const struct aggregate_plan *plan, const uint8_t *state, uint32_t last_s)
{
    const int32_t turned = (int32_t)(last_s ^ UINT32_C(0x80000000));
    const lanes last = {turned, turned, turned, turned};
    sums sum = {0, 0};
    for (uint32_t load = 0; load < plan->load_count; load++) {
        lanes held, newer_than;
        memcpy(&held, state + plan->at[load], sizeof held);
        memcpy(&newer_than, plan->newer_than + load * AGGREGATE_LANES, sizeof newer_than);
        held &= (lanes)(last > newer_than);
        sum += ((sums)held & UINT32_MAX) + ((sums)held >> 32);
    }
    return sum[0] + sum[1];
}

/* Fewer tiles than lanes: nothing is read beyond them. */
static uint64_t add_few(const struct aggregate_plan *plan, const uint8_t *state, uint32_t last_s)
{
    const int32_t turned = (int32_t)(last_s ^ UINT32_C(0x80000000));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < plan->tile_count; i++)
        sum += aggregate_u32(state, AGGREGATE_TILES_AT + i * 4) &
               -(uint32_t)(turned > plan->newer_than[i]);
    return sum;
}

static void count_all(const struct aggregate_plan *plan, const struct aggregate_rows *rows,
                      struct aggregate_column *ret_column)
{
    bool has_few = plan->tile_count < AGGREGATE_LANES;
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *state = aggregate_state(rows, i);
        uint32_t last_s = aggregate_u32(state, 0);
        uint64_t sum = has_few ? add_few(plan, state, last_s) : add_lanes(plan, state, last_s);
        ret_column->as_of_s[i] = last_s;
        ret_column->number[i] = (double)(int64_t)sum;
    }
}

const struct aggregate_kernel aggregate_plain = {"plain", decay_all, count_all};
