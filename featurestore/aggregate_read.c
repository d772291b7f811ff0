/* SPDX-License-Identifier: Apache-2.0 */
/* The value of a feature at a time. */
#include <math.h>

#include "featurestore/aggregate.h"

double aggregate_decay(double halvings)
{
    if (halvings > 1000.0)
        return 0.0;
    if (halvings == 0.0)
        return 1.0;
    uint32_t whole = (uint32_t)halvings;
    /* 2^(1/2 - rest) / sqrt(2): the exponential series to the 8th power, in pairs (Estrin), so that
     * no step waits for all before it. */
    double x = (0.5 - (halvings - whole)) * 0.69314718055994530942;
    double x2 = x * x, x4 = x2 * x2;
    double low = (1.0 + x) + (1.0 / 2 + x * (1.0 / 6)) * x2;
    double high = (1.0 / 24 + x * (1.0 / 120)) + (1.0 / 720 + x * (1.0 / 5040)) * x2;
    double sum = low + high * x4 + x4 * x4 * (1.0 / 40320);
    uint64_t bits = (uint64_t)(1023 - whole) << 52; /* 2^-whole */
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * 0.70710678118654752440 * scale;
}

uint32_t aggregate_list_count(const uint8_t *state)
{
    return aggregate_u32(state, 0);
}

uint32_t aggregate_list_id(const uint8_t *state, uint32_t index)
{
    return aggregate_u32(state, AGGREGATE_LIST_AT + index * 8 + 4);
}

double aggregate_list_number(const uint8_t *state, uint32_t index)
{
    return aggregate_double(state, AGGREGATE_LIST_AT + index * 12 + 4);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* The places of the tiles that the window holds: `count` of them from `first` on, around the end.
 */
struct span {
    uint32_t first, count;
};

static struct span span_of(const struct definition *definition, uint32_t last_s, uint32_t now_s)
{
    uint32_t count = definition->tile_count;
    uint32_t last = aggregate_tile(definition, last_s);
    uint32_t now = now_s > last_s ? aggregate_tile(definition, now_s) : last;
    if (now - last >= count)
        return (struct span){0, 0};
    uint32_t held = count - (now - last);
    if (held > last + 1)
        held = last + 1;
    return (struct span){aggregate_place(definition, last + 1 - held), held};
}

static uint32_t next(const struct definition *definition, uint32_t place)
{
    return place + 1 == definition->tile_count ? 0 : place + 1;
}

static double read_count(const struct definition *definition, const uint8_t *tiles,
                         struct span span)
{
    uint64_t sum = 0;
    for (uint32_t i = 0, at = span.first; i < span.count; i++, at = next(definition, at))
        sum += aggregate_u32(tiles, at * 4);
    return (double)sum;
}

static double read_mean(const struct definition *definition, const uint8_t *tiles, struct span span)
{
    double sum = 0.0;
    uint64_t count = 0;
    for (uint32_t i = 0, at = span.first; i < span.count; i++, at = next(definition, at)) {
        sum += aggregate_double(tiles, at * 12);
        count += aggregate_u32(tiles, at * 12 + 8);
    }
    return count == 0 ? (double)NAN : sum / (double)count;
}

/* sum, min, max */
static double read_numbers(const struct definition *definition, const uint8_t *tiles,
                           struct span span)
{
    double result = definition->kind == FEATURE_KIND_sum ? 0.0 : (double)NAN;
    for (uint32_t i = 0, at = span.first; i < span.count; i++, at = next(definition, at)) {
        double value = aggregate_double(tiles, at * 8);
        switch (definition->kind) {
        case FEATURE_KIND_min: result = result < value || isnan(value) ? result : value; break;
        case FEATURE_KIND_max: result = result > value || isnan(value) ? result : value; break;
        default: result += value; break;
        }
    }
    return result;
}

static double alpha(uint32_t registers)
{
    switch (registers) {
    case 16: return 0.673;
    case 32: return 0.697;
    case 64: return 0.709;
    default: return 0.7213 / (1.0 + 1.079 / registers);
    }
}

/* Flajolet et al. 2007, with linear counting in the small range.  Hashes of 64 bits need no
 * correction of the large one. */
static double read_distinct(const struct definition *definition, const uint8_t *tiles,
                            struct span span)
{
    uint32_t registers = 1u << definition->precision;
    uint32_t empty = 0;
    double sum = 0.0;
    for (uint32_t r = 0; r < registers; r++) {
        uint8_t rank = 0;
        for (uint32_t i = 0, at = span.first; i < span.count; i++, at = next(definition, at)) {
            uint8_t value = tiles[at * registers + r];
            rank = value > rank ? value : rank;
        }
        empty += rank == 0;
        sum += 1.0 / (double)(UINT64_C(1) << (rank & 63));
    }
    double estimate = alpha(registers) * registers * registers / sum;
    if (estimate <= 2.5 * registers && empty > 0)
        estimate = registers * log((double)registers / empty);
    return estimate;
}

static double read_tiles(const struct definition *definition, const uint8_t *state, uint32_t last_s,
                         uint32_t now_s)
{
    const uint8_t *tiles = state + AGGREGATE_TILES_AT;
    struct span span = span_of(definition, last_s, now_s);
    switch (definition->kind) {
    case FEATURE_KIND_count: return read_count(definition, tiles, span);
    case FEATURE_KIND_mean: return read_mean(definition, tiles, span);
    case FEATURE_KIND_distinct: return read_distinct(definition, tiles, span);
    default: return read_numbers(definition, tiles, span);
    }
}

/* ---- all kinds ------------------------------------------------------------------------------- */

static struct aggregate_value read_last(const struct definition *definition, const uint8_t *state)
{
    if (aggregate_list_count(state) == 0)
        return (struct aggregate_value){(double)NAN, 0};
    double newest =
        definition_is_list_of_ids(definition) ? (double)NAN : aggregate_list_number(state, 0);
    return (struct aggregate_value){newest, aggregate_u32(state, AGGREGATE_LIST_AT)};
}

static struct aggregate_value read_interval(const uint8_t *state)
{
    uint32_t first_s = aggregate_u32(state, 0);
    uint32_t last_s = aggregate_u32(state, 4);
    uint32_t count = aggregate_u32(state, 8);
    double mean = count < 2 ? (double)NAN : (double)(last_s - first_s) / (double)(count - 1);
    return (struct aggregate_value){mean, last_s};
}

void aggregate_read(const struct definition *definition, const uint8_t *state, uint32_t now_s,
                    struct aggregate_value *ret_value)
{
    struct aggregate_value none = {(double)NAN, 0};
    uint32_t last_s = 0;
    switch (definition->kind) {
    case FEATURE_KIND_attribute:
        *ret_value =
            (struct aggregate_value){(double)aggregate_float(state, 0), aggregate_u32(state, 4)};
        break;
    case FEATURE_KIND_decayed:
        last_s = aggregate_u32(state, 4);
        *ret_value = none;
        if (last_s == 0)
            break;
        ret_value->as_of_s = last_s;
        ret_value->number = (double)aggregate_float(state, 0);
        if (now_s > last_s)
            ret_value->number *= aggregate_decay((now_s - last_s) * definition->halvings_per_s);
        break;
    case FEATURE_KIND_last: *ret_value = read_last(definition, state); break;
    case FEATURE_KIND_since:
        last_s = aggregate_u32(state, 0);
        *ret_value = none;
        if (last_s != 0)
            *ret_value =
                (struct aggregate_value){now_s > last_s ? (double)(now_s - last_s) : 0.0, last_s};
        break;
    case FEATURE_KIND_interval: *ret_value = read_interval(state); break;
    case FEATURE_KIND_ratio:
    case FEATURE_KIND_COUNT: *ret_value = none; break;
    default:
        last_s = aggregate_u32(state, 0);
        *ret_value = none;
        if (last_s != 0)
            *ret_value =
                (struct aggregate_value){read_tiles(definition, state, last_s, now_s), last_s};
        break;
    }
}
