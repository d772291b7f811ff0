/* SPDX-License-Identifier: Apache-2.0 */
/* Two states of one feature as one. */
#include <math.h>

#include "featurestore/aggregate.h"

static void put(uint8_t *state, uint32_t at, const void *value, size_t bytes)
{
    memcpy(state + at, value, bytes);
}

static void put_u32(uint8_t *state, uint32_t at, uint32_t value)
{
    put(state, at, &value, sizeof value);
}

static void add_count(uint8_t *state, uint32_t at, uint32_t more)
{
    uint32_t count = aggregate_u32(state, at);
    put_u32(state, at, more > UINT32_MAX - count ? UINT32_MAX : count + more);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

static void merge_tile(const struct definition *definition, uint8_t *tile, const uint8_t *other)
{
    enum feature_kind kind = definition->kind;
    if (kind == FEATURE_KIND_count) {
        add_count(tile, 0, aggregate_u32(other, 0));
        return;
    }
    if (kind == FEATURE_KIND_distinct) {
        for (uint32_t i = 0; i < definition_tile_bytes(definition); i++)
            tile[i] = other[i] > tile[i] ? other[i] : tile[i];
        return;
    }
    double value = aggregate_double(tile, 0), more = aggregate_double(other, 0);
    if (kind == FEATURE_KIND_min)
        value = value < more || isnan(more) ? value : more;
    else if (kind == FEATURE_KIND_max)
        value = value > more || isnan(more) ? value : more;
    else
        value += more;
    put(tile, 0, &value, sizeof value);
    if (kind == FEATURE_KIND_mean)
        add_count(tile, 8, aggregate_u32(other, 8));
}

/* The number of the tile that is at a place when `last` is the newest one. */
static int64_t tile_at(const struct definition *definition, uint32_t last, uint32_t place)
{
    uint32_t newest = aggregate_place(definition, last);
    uint32_t back = newest >= place ? newest - place : newest + definition->tile_count - place;
    return (int64_t)last - back;
}

static void merge_tiles(const struct definition *definition, uint8_t *state, const uint8_t *other)
{
    uint32_t last_s = aggregate_u32(state, 0), other_s = aggregate_u32(other, 0);
    uint32_t last = aggregate_tile(definition, last_s);
    uint32_t other_last = aggregate_tile(definition, other_s);
    uint32_t bytes = definition_tile_bytes(definition);
    for (uint32_t place = 0; place < definition->tile_count; place++) {
        int64_t mine = tile_at(definition, last, place);
        int64_t theirs = tile_at(definition, other_last, place);
        uint32_t at = AGGREGATE_TILES_AT + place * bytes;
        if (mine == theirs)
            merge_tile(definition, state + at, other + at);
        else if (theirs > mine)
            put(state, at, other + at, bytes);
    }
    put_u32(state, 0, last_s > other_s ? last_s : other_s);
}

/* ---- the other kinds ------------------------------------------------------------------------- */

static void merge_decayed(const struct definition *definition, uint8_t *state, const uint8_t *other)
{
    uint32_t last_s = aggregate_u32(state, 4), other_s = aggregate_u32(other, 4);
    double mine = (double)aggregate_float(state, 0), theirs = (double)aggregate_float(other, 0);
    uint32_t newest_s = last_s > other_s ? last_s : other_s;
    mine *= aggregate_decay((newest_s - last_s) * definition->halvings_per_s);
    theirs *= aggregate_decay((newest_s - other_s) * definition->halvings_per_s);
    float sum = (float)(mine + theirs);
    put(state, 0, &sum, sizeof sum);
    put_u32(state, 4, newest_s);
}

/* Newest first; its own before the other's of the same time. */
static void merge_last(const struct definition *definition, uint8_t *state, const uint8_t *other)
{
    uint8_t mine[DEFINITION_LAST_MAX * AGGREGATE_ENTRY_BYTES_MAX];
    uint32_t bytes = aggregate_entry_bytes(definition), count = 0, a = 0, b = 0;
    uint32_t mine_count = aggregate_list_count(state), other_count = aggregate_list_count(other);
    const uint8_t *theirs = other + AGGREGATE_LIST_AT;
    memcpy(mine, state + AGGREGATE_LIST_AT, mine_count * bytes);
    for (; count < definition->last_count && (a < mine_count || b < other_count); count++) {
        bool is_mine = b == other_count || (a < mine_count && aggregate_u32(mine, a * bytes) >=
                                                                  aggregate_u32(theirs, b * bytes));
        const uint8_t *entry = is_mine ? mine + a++ * bytes : theirs + b++ * bytes;
        put(state, AGGREGATE_LIST_AT + count * bytes, entry, bytes);
    }
    put_u32(state, 0, count);
}

static void merge_interval(uint8_t *state, const uint8_t *other)
{
    if (aggregate_u32(other, 0) < aggregate_u32(state, 0))
        put_u32(state, 0, aggregate_u32(other, 0));
    if (aggregate_u32(other, 4) > aggregate_u32(state, 4))
        put_u32(state, 4, aggregate_u32(other, 4));
    add_count(state, 8, aggregate_u32(other, 8));
}

static void merge_attribute(uint8_t *state, const uint8_t *other)
{
    if (aggregate_u32(other, 4) > aggregate_u32(state, 4))
        memcpy(state, other, 8);
}

/* Where a state tells whether there is anything in it: 0 there is nothing. */
static uint32_t has_any(const struct definition *definition, const uint8_t *state)
{
    switch (definition->kind) {
    case FEATURE_KIND_attribute:
    case FEATURE_KIND_decayed: return aggregate_u32(state, 4);
    case FEATURE_KIND_interval: return aggregate_u32(state, 8);
    default: return aggregate_u32(state, 0);
    }
}

void aggregate_merge(const struct definition *definition, uint8_t *state, const uint8_t *other)
{
    ASSERT(definition->kind != FEATURE_KIND_ratio);
    if (!has_any(definition, other))
        return;
    if (!has_any(definition, state)) {
        memcpy(state, other, definition->bytes);
        return;
    }
    switch (definition->kind) {
    case FEATURE_KIND_attribute: merge_attribute(state, other); break;
    case FEATURE_KIND_decayed: merge_decayed(definition, state, other); break;
    case FEATURE_KIND_last: merge_last(definition, state, other); break;
    case FEATURE_KIND_interval: merge_interval(state, other); break;
    case FEATURE_KIND_since:
        if (aggregate_u32(other, 0) > aggregate_u32(state, 0))
            memcpy(state, other, 4);
        break;
    default: merge_tiles(definition, state, other); break;
    }
}
