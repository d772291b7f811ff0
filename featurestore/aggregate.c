/* SPDX-License-Identifier: Apache-2.0 */
/* What events do to the state of a feature. */
#include "featurestore/aggregate.h"

#include <math.h>

static void put(uint8_t *state, uint32_t at, const void *value, size_t bytes)
{
    memcpy(state + at, value, bytes);
}

static void put_u32(uint8_t *state, uint32_t at, uint32_t value)
{
    put(state, at, &value, sizeof value);
}

static void put_double(uint8_t *state, uint32_t at, double value)
{
    put(state, at, &value, sizeof value);
}

uint32_t aggregate_bytes(const struct definition *definition)
{
    if (definition_is_tiled(definition))
        return AGGREGATE_TILES_AT + definition->tile_count * definition_tile_bytes(definition);
    switch (definition->kind) {
    case FEATURE_KIND_attribute:
    case FEATURE_KIND_decayed: return 8;
    case FEATURE_KIND_last:
        return AGGREGATE_LIST_AT + definition->last_count * aggregate_entry_bytes(definition);
    case FEATURE_KIND_since: return 4;
    case FEATURE_KIND_interval: return 12;
    default: return 0;
    }
}

/* An empty tile of min or max holds NaN. */
static void clear_tile(const struct definition *definition, uint8_t *tile)
{
    if (definition->kind == FEATURE_KIND_min || definition->kind == FEATURE_KIND_max)
        put_double(tile, 0, (double)NAN);
    else
        memset(tile, 0, definition_tile_bytes(definition));
}

void aggregate_init(const struct definition *definition, uint8_t *state)
{
    memset(state, 0, definition->bytes);
    for (uint32_t i = 0; definition_is_tiled(definition) && i < definition->tile_count; i++)
        clear_tile(definition, state + AGGREGATE_TILES_AT + i * definition_tile_bytes(definition));
    if (definition->kind == FEATURE_KIND_attribute) {
        float none = NAN;
        put(state, 0, &none, sizeof none);
    }
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* The tile of that time, after the windows were moved on; NULL when it is out of reach. */
static uint8_t *tile_for(const struct definition *definition, uint8_t *state, uint32_t time_s)
{
    uint32_t count = definition->tile_count;
    uint32_t bytes = definition_tile_bytes(definition);
    uint32_t last_s = aggregate_u32(state, 0);
    uint32_t last = aggregate_tile(definition, last_s);
    uint32_t tile = aggregate_tile(definition, time_s);
    uint8_t *tiles = state + AGGREGATE_TILES_AT;
    if (last_s != 0 && tile < last && last - tile >= count)
        return NULL;
    if (last_s != 0 && tile > last) {
        uint32_t steps = tile - last < count ? tile - last : count;
        for (uint32_t i = 0; i < steps; i++)
            clear_tile(definition, tiles + aggregate_place(definition, tile - i) * bytes);
    }
    if (time_s > last_s)
        put_u32(state, 0, time_s);
    return tiles + aggregate_place(definition, tile) * bytes;
}

/* Flajolet et al. 2007: the register holds the longest run of zeros, + 1, among the hashes. */
static void add_distinct(const struct definition *definition, uint8_t *tile, uint64_t hash)
{
    uint32_t precision = definition->precision;
    uint64_t rest = hash << precision | UINT64_C(1) << (precision - 1);
    uint8_t rank = (uint8_t)(__builtin_clzll(rest) + 1);
    uint8_t *place = &tile[hash >> (64 - precision)];
    if (rank > *place)
        *place = rank;
}

static void add_to_tile(const struct definition *definition, uint8_t *tile,
                        const struct reading *reading)
{
    double value = reading->number;
    double old = definition->kind == FEATURE_KIND_count || definition->kind == FEATURE_KIND_distinct
                     ? 0.0
                     : aggregate_double(tile, 0);
    switch (definition->kind) {
    case FEATURE_KIND_count:
        if (aggregate_u32(tile, 0) != UINT32_MAX)
            put_u32(tile, 0, aggregate_u32(tile, 0) + 1);
        break;
    case FEATURE_KIND_mean:
        put_u32(tile, 8, aggregate_u32(tile, 8) + 1);
        put_double(tile, 0, old + value);
        break;
    case FEATURE_KIND_sum: put_double(tile, 0, old + value); break;
    case FEATURE_KIND_min: put_double(tile, 0, old < value ? old : value); break;
    case FEATURE_KIND_max: put_double(tile, 0, old > value ? old : value); break;
    default: add_distinct(definition, tile, reading->hash); break;
    }
}

/* ---- the other kinds ------------------------------------------------------------------------- */

static void add_decayed(const struct definition *definition, uint8_t *state,
                        const struct reading *reading)
{
    double value = (double)aggregate_float(state, 0);
    uint32_t last_s = aggregate_u32(state, 4);
    uint32_t time_s = reading->time_s;
    if (time_s >= last_s) {
        value *= aggregate_decay((time_s - last_s) * definition->halvings_per_s);
        value += reading->number;
        put_u32(state, 4, time_s);
    } else {
        value += reading->number * aggregate_decay((last_s - time_s) * definition->halvings_per_s);
    }
    float rounded = (float)value;
    put(state, 0, &rounded, sizeof rounded);
}

/* Takes its place by time, before those of the same time; the oldest makes room. */
static void add_last(const struct definition *definition, uint8_t *state,
                     const struct reading *reading)
{
    uint32_t count = aggregate_list_count(state);
    uint32_t bytes = aggregate_entry_bytes(definition);
    uint8_t *entries = state + AGGREGATE_LIST_AT;
    uint32_t at = 0;
    while (at < count && aggregate_u32(entries, at * bytes) > reading->time_s)
        at++;
    if (at == definition->last_count)
        return;
    if (count < definition->last_count)
        put_u32(state, 0, ++count);
    memmove(entries + (at + 1) * bytes, entries + at * bytes, (count - 1 - at) * bytes);
    put_u32(entries, at * bytes, reading->time_s);
    if (bytes == 8)
        put_u32(entries, at * bytes + 4, reading->id);
    else
        put_double(entries, at * bytes + 4, reading->number);
}

static void add_interval(uint8_t *state, uint32_t time_s)
{
    uint32_t count = aggregate_u32(state, 8);
    if (count == 0 || time_s < aggregate_u32(state, 0))
        put_u32(state, 0, time_s);
    if (time_s > aggregate_u32(state, 4))
        put_u32(state, 4, time_s);
    if (count != UINT32_MAX)
        put_u32(state, 8, count + 1);
}

void aggregate_add(const struct definition *definition, uint8_t *state,
                   const struct reading *reading)
{
    ASSERT(reading->time_s > 0);
    if (definition_is_tiled(definition)) {
        uint8_t *tile = tile_for(definition, state, reading->time_s);
        if (tile != NULL)
            add_to_tile(definition, tile, reading);
        return;
    }
    switch (definition->kind) {
    case FEATURE_KIND_decayed: add_decayed(definition, state, reading); break;
    case FEATURE_KIND_last: add_last(definition, state, reading); break;
    case FEATURE_KIND_interval: add_interval(state, reading->time_s); break;
    case FEATURE_KIND_since:
        if (reading->time_s > aggregate_u32(state, 0))
            put_u32(state, 0, reading->time_s);
        break;
    default: break;
    }
}

void aggregate_set(const struct definition *definition, uint8_t *state, double value,
                   uint32_t time_s)
{
    ASSERT(definition->kind == FEATURE_KIND_attribute && time_s > 0);
    float rounded = (float)value;
    put(state, 0, &rounded, sizeof rounded);
    put_u32(state, 4, isnan(value) ? 0 : time_s);
}

void aggregate_list_set_id(uint8_t *state, uint32_t index, uint32_t id)
{
    put_u32(state, AGGREGATE_LIST_AT + index * 8 + 4, id);
}

/* ---- bytes from a file ----------------------------------------------------------------------- */

static bool check_tiles(const struct definition *definition, const uint8_t *state)
{
    const uint8_t *tiles = state + AGGREGATE_TILES_AT;
    uint32_t bytes = definition->tile_count * definition_tile_bytes(definition);
    for (uint32_t i = 0; definition->kind == FEATURE_KIND_distinct && i < bytes; i++) {
        if (tiles[i] > 64 - definition->precision + 1)
            return false;
    }
    return true;
}

static bool check_list(const struct definition *definition, const uint8_t *state)
{
    uint32_t count = aggregate_list_count(state);
    uint32_t bytes = aggregate_entry_bytes(definition);
    if (count > definition->last_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t time_s = aggregate_u32(state, AGGREGATE_LIST_AT + i * bytes);
        if (time_s == 0 ||
            (i > 0 && time_s > aggregate_u32(state, AGGREGATE_LIST_AT + (i - 1) * bytes)))
            return false;
    }
    return true;
}

bool aggregate_check(const struct definition *definition, const uint8_t *state)
{
    if (definition_is_tiled(definition))
        return check_tiles(definition, state);
    switch (definition->kind) {
    case FEATURE_KIND_last: return check_list(definition, state);
    case FEATURE_KIND_interval: return aggregate_u32(state, 0) <= aggregate_u32(state, 4);
    default: return true;
    }
}
