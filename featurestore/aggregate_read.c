/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a feature at a time. */
#include <math.h>
#include <string.h>

#include "featurestore/aggregate.h"

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

/* ---- distinct -------------------------------------------------------------------------------- */

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

static double alpha(uint32_t registers)
{
    switch (registers) {
    case 16: return 0.673;
    case 32: return 0.697;
    case 64: return 0.709;
    default: return 0.7213 / (1.0 + 1.079 / registers);
    }
}

/* Sixteen registers at a time; there are at least so many. */
typedef uint8_t ranks __attribute__((vector_size(16)));
enum { RANKS = sizeof(ranks), REGISTERS_MAX = 1 << DEFINITION_PRECISION_MAX };

/* Up to this rank the sum of all 2^-rank is a whole multiple of 2^-RANK_WHOLE below 2^53: it is
 * added up in integers, to the bit what doubles would give. */
#define RANK_WHOLE 40
_Static_assert(DEFINITION_PRECISION_MAX + RANK_WHOLE <= 52, "the sum is exact");

static void largest_ranks(const struct definition *definition, const uint8_t *tiles,
                          struct span span, uint32_t registers, uint8_t *ret_rank)
{
    for (uint32_t r = 0; r < registers; r += RANKS) {
        ranks largest = {0};
        for (uint32_t i = 0, at = span.first; i < span.count; i++, at = next(definition, at)) {
            ranks held;
            memcpy(&held, tiles + at * registers + r, sizeof held);
            ranks is_larger = (ranks)(held > largest);
            largest = (held & is_larger) | (largest & ~is_larger);
        }
        memcpy(ret_rank + r, &largest, sizeof largest);
    }
}

static double sum_of_powers(const uint8_t *rank, uint32_t registers, uint32_t *ret_empty)
{
    uint64_t whole = 0;
    uint32_t empty = 0, beyond = 0;
    double sum = 0.0;
    for (uint32_t r = 0; r < registers; r++) {
        empty += rank[r] == 0;
        beyond |= rank[r] > RANK_WHOLE;
        whole += UINT64_C(1) << ((RANK_WHOLE - rank[r]) & 63);
    }
    *ret_empty = empty;
    if (!beyond)
        return (double)whole / (double)(UINT64_C(1) << RANK_WHOLE);
    for (uint32_t r = 0; r < registers; r++)
        sum += 1.0 / (double)(UINT64_C(1) << (rank[r] & 63));
    return sum;
}

/* Flajolet et al. 2007, with linear counting in the small range.  Hashes of 64 bits need no
 * correction of the large one. */
static double read_distinct(const struct definition *definition, const uint8_t *tiles,
                            struct span span)
{
    uint8_t rank[REGISTERS_MAX];
    uint32_t registers = 1u << definition->precision;
    uint32_t empty = 0;
    largest_ranks(definition, tiles, span, registers, rank);
    double sum = sum_of_powers(rank, registers, &empty);
    double estimate = alpha(registers) * registers * registers / sum;
    if (estimate <= 2.5 * registers && empty > 0)
        estimate = registers * log((double)registers / empty);
    return estimate;
}

/* ---- the other kinds ------------------------------------------------------------------------- */

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

static struct aggregate_value read_one(const struct definition *definition, const uint8_t *state,
                                       uint32_t now_s)
{
    if (definition->kind == FEATURE_KIND_last)
        return read_last(definition, state);
    if (definition->kind == FEATURE_KIND_interval)
        return read_interval(state);
    ASSERT(definition->kind == FEATURE_KIND_distinct);
    uint32_t last_s = aggregate_u32(state, 0);
    double number = last_s == 0 ? (double)NAN
                                : read_distinct(definition, state + AGGREGATE_TILES_AT,
                                                span_of(definition, last_s, now_s));
    return (struct aggregate_value){number, last_s};
}

/* ---- columns: no branch depends on what a row holds ------------------------------------------ */

static inline double if_ever(uint32_t as_of_s, double number)
{
    return aggregate_either(as_of_s != 0, number, (double)NAN);
}

static void attributes(const struct aggregate_rows *rows, struct aggregate_column *column)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *state = aggregate_state(rows, i);
        column->as_of_s[i] = aggregate_u32(state, 4);
        column->number[i] = if_ever(column->as_of_s[i], (double)aggregate_float(state, 0));
    }
}

/* What a place holds is of the newest tile that has it, up to the one of the newest event: it
 * counts when that event is no older than the tile of that place which the window holds. */
static void find_tile_begins(const struct definition *definition, uint32_t now_s,
                             uint32_t *ret_begin_s)
{
    uint32_t now = aggregate_tile(definition, now_s);
    uint32_t place = aggregate_place(definition, now);
    for (uint32_t back = 0; back < definition->tile_count; back++) {
        ret_begin_s[place] = back < now ? (now - back) * definition->tile_s : 0;
        place = place == 0 ? definition->tile_count - 1 : place - 1;
    }
}

static int32_t turned(uint32_t number)
{
    return (int32_t)(number ^ UINT32_C(0x80000000));
}

/* An event newer than nothing before the beginning is one at all. */
static int32_t limit_of(uint32_t begin_s)
{
    return turned(begin_s == 0 ? 0 : begin_s - 1);
}

static void make_plan(const struct definition *definition, uint32_t now_s,
                      struct aggregate_plan *ret_plan)
{
    uint32_t begin_s[DEFINITION_TILES_MAX];
    uint32_t tile_count = definition->tile_count;
    uint32_t last = tile_count < AGGREGATE_LANES ? 0 : tile_count - AGGREGATE_LANES;
    find_tile_begins(definition, now_s, begin_s);
    ret_plan->tile_s = definition->tile_s;
    ret_plan->tile_count = tile_count;
    ret_plan->load_count = (tile_count + AGGREGATE_LANES - 1) / AGGREGATE_LANES;
    /* One more for those who take two at a time: in it nothing counts. */
    for (uint32_t load = 0; load < (ret_plan->load_count + 1) / 2 * 2; load++) {
        uint32_t first = load * AGGREGATE_LANES;
        uint32_t at = first < last ? first : last;
        ret_plan->at[load] = AGGREGATE_TILES_AT + at * 4;
        for (uint32_t lane = 0; lane < AGGREGATE_LANES; lane++) {
            uint32_t tile = at + lane;
            bool counts = tile >= first && tile < tile_count;
            ret_plan->newer_than[first + lane] = counts ? limit_of(begin_s[tile]) : INT32_MAX;
        }
    }
}

static const struct aggregate_plan *plan_of(struct aggregate_when *when,
                                            const struct definition *definition)
{
    for (uint32_t i = 0; i < when->plan_count && i < AGGREGATE_PLANS_MAX; i++) {
        if (when->plan[i].tile_s == definition->tile_s &&
            when->plan[i].tile_count == definition->tile_count)
            return &when->plan[i];
    }
    struct aggregate_plan *plan = &when->plan[when->plan_count++ % AGGREGATE_PLANS_MAX];
    make_plan(definition, when->now_s, plan);
    return plan;
}

static void counts(const struct definition *definition, const struct aggregate_rows *rows,
                   struct aggregate_when *when, struct aggregate_column *column)
{
    aggregate_kernel()->count(plan_of(when, definition), rows, column);
    for (uint32_t i = 0; i < rows->count; i++)
        column->number[i] = if_ever(column->as_of_s[i], column->number[i]);
}

static void decayed(const struct definition *definition, const struct aggregate_rows *rows,
                    uint32_t now_s, struct aggregate_column *column)
{
    double factor[AGGREGATE_COLUMN_MAX];
    for (uint32_t i = 0; i < rows->count; i++) {
        uint32_t last_s = aggregate_u32(aggregate_state(rows, i), 4);
        column->as_of_s[i] = last_s;
        factor[i] = (now_s - (last_s < now_s ? last_s : now_s)) * definition->halvings_per_s;
    }
    for (uint32_t i = rows->count; i % 4 != 0; i++)
        factor[i] = 0.0; /* what is left of the last four */
    aggregate_kernel()->decay(factor, rows->count);
    for (uint32_t i = 0; i < rows->count; i++) {
        double value = (double)aggregate_float(aggregate_state(rows, i), 0) * factor[i];
        column->number[i] = if_ever(column->as_of_s[i], value);
    }
}

/* The tiles that the window holds, oldest first.  One of a row counts when the row's newest event
 * is no older than it. */
struct tile_order {
    uint32_t count;
    uint32_t place[DEFINITION_TILES_MAX], begin_s[DEFINITION_TILES_MAX];
};

static void order_tiles(const struct definition *definition, uint32_t now_s,
                        struct tile_order *ret_order)
{
    uint32_t end = aggregate_tile(definition, now_s) + 1;
    uint32_t count = end < definition->tile_count ? end : definition->tile_count;
    uint32_t place = aggregate_place(definition, end - count);
    ret_order->count = count;
    for (uint32_t i = 0; i < count; i++, place = next(definition, place)) {
        ret_order->place[i] = place;
        ret_order->begin_s[i] = (end - count + i) * definition->tile_s;
    }
}

static void sums(const struct tile_order *order, const struct aggregate_rows *rows,
                 struct aggregate_column *column)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *state = aggregate_state(rows, i);
        uint32_t last_s = aggregate_u32(state, 0);
        double sum = 0.0;
        for (uint32_t k = 0; k < order->count; k++) {
            double held = aggregate_double(state, AGGREGATE_TILES_AT + order->place[k] * 8);
            sum += aggregate_either(last_s >= order->begin_s[k], held, 0.0);
        }
        column->as_of_s[i] = last_s;
        column->number[i] = if_ever(last_s, sum);
    }
}

static void means(const struct tile_order *order, const struct aggregate_rows *rows,
                  struct aggregate_column *column)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *state = aggregate_state(rows, i);
        uint32_t last_s = aggregate_u32(state, 0);
        double sum = 0.0;
        uint64_t count = 0;
        for (uint32_t k = 0; k < order->count; k++) {
            uint32_t at = AGGREGATE_TILES_AT + order->place[k] * 12;
            bool in_window = last_s >= order->begin_s[k];
            sum += aggregate_either(in_window, aggregate_double(state, at), 0.0);
            count += in_window * (uint64_t)aggregate_u32(state, at + 8);
        }
        column->as_of_s[i] = last_s;
        column->number[i] = if_ever(last_s, sum / (double)count); /* 0 / 0: there is none */
    }
}

/* An empty tile holds NaN.  `sign` -1 for the largest. */
static void extremes(const struct tile_order *order, const struct aggregate_rows *rows, double sign,
                     struct aggregate_column *column)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        const uint8_t *state = aggregate_state(rows, i);
        uint32_t last_s = aggregate_u32(state, 0);
        double least = (double)NAN;
        for (uint32_t k = 0; k < order->count; k++) {
            double held = sign * aggregate_double(state, AGGREGATE_TILES_AT + order->place[k] * 8);
            bool in_window = last_s >= order->begin_s[k];
            least = aggregate_either(in_window & !isnan(held) & !(least < held), held, least);
        }
        column->as_of_s[i] = last_s;
        column->number[i] = if_ever(last_s, sign * least);
    }
}

static void numbers(const struct definition *definition, const struct aggregate_rows *rows,
                    uint32_t now_s, struct aggregate_column *column)
{
    struct tile_order order;
    order_tiles(definition, now_s, &order);
    switch (definition->kind) {
    case FEATURE_KIND_mean: means(&order, rows, column); break;
    case FEATURE_KIND_min: extremes(&order, rows, 1.0, column); break;
    case FEATURE_KIND_max: extremes(&order, rows, -1.0, column); break;
    default: sums(&order, rows, column); break;
    }
}

static void since(const struct aggregate_rows *rows, uint32_t now_s,
                  struct aggregate_column *column)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        uint32_t last_s = aggregate_u32(aggregate_state(rows, i), 0);
        column->as_of_s[i] = last_s;
        column->number[i] = if_ever(last_s, (double)(now_s - (last_s < now_s ? last_s : now_s)));
    }
}

void aggregate_read_column(const struct definition *definition, const uint8_t *const *block,
                           uint32_t count, struct aggregate_when *when,
                           struct aggregate_column *ret_column)
{
    ASSERT(count <= AGGREGATE_COLUMN_MAX && definition->kind != FEATURE_KIND_ratio);
    const struct aggregate_rows rows = {block, count, definition->offset};
    switch (definition->kind) {
    case FEATURE_KIND_attribute: attributes(&rows, ret_column); break;
    case FEATURE_KIND_count: counts(definition, &rows, when, ret_column); break;
    case FEATURE_KIND_decayed: decayed(definition, &rows, when->now_s, ret_column); break;
    case FEATURE_KIND_sum:
    case FEATURE_KIND_mean:
    case FEATURE_KIND_min:
    case FEATURE_KIND_max: numbers(definition, &rows, when->now_s, ret_column); break;
    case FEATURE_KIND_since: since(&rows, when->now_s, ret_column); break;
    default:
        for (uint32_t i = 0; i < count; i++) {
            struct aggregate_value value =
                read_one(definition, aggregate_state(&rows, i), when->now_s);
            ret_column->number[i] = value.number;
            ret_column->as_of_s[i] = value.as_of_s;
        }
        break;
    }
}
