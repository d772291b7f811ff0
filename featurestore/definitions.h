/* SPDX-License-Identifier: Apache-2.0 */
/* definitions - the features computed from events: features.json, parsed and checked.
 *
 * A feature is named KEY.NAME, where KEY says what the value belongs to ("user.views_7d",
 * "user_category.views").  docs/features.md describes each kind.  A definition has the size of its
 * state and the offset in the block of a key (featurestore/aggregate.h).
 *
 * `state_hash` covers everything that determines the state (kind, events, conditions, value,
 * window, half-life, ...), and nothing that is applied on reading (default, max_age, prior):
 * definitions with the same name and hash keep their state across a reload.
 *
 * Threads: created on any; immutable afterwards.  Limits: the constants below. */
#ifndef FEATURESTORE_DEFINITIONS_H
#define FEATURESTORE_DEFINITIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/text.h"
#include "featurestore/event.h"

#define DEFINITIONS_MAX             256
#define DEFINITIONS_FILE_BYTES_MAX  ((size_t)1 << 20)
#define DEFINITION_NAME_BYTES       65 /* with the terminating NUL */
#define DEFINITION_CONDITIONS_MAX   4
#define DEFINITION_CUSTOM_TYPES_MAX 8
#define DEFINITION_VALUES_MAX       16 /* of a condition, or named by an attribute */
#define DEFINITION_PARTS_MAX        4  /* of the lower half of a ratio */
#define DEFINITION_TILES_MAX        100
#define DEFINITION_LAST_MAX         100
#define DEFINITION_PRECISION_MAX    12    /* of distinct: 2^12 registers */
#define DEFINITION_STATE_BYTES_MAX  16384 /* of one feature */
#define DEFINITION_BLOCK_BYTES_MAX  65536 /* of all features of one key */

/* Whose value it is; the pairs are of who asks with what is shown. */
#define FEATURE_KEYS(X) \
    X(user)             \
    X(item)             \
    X(category)         \
    X(brand)            \
    X(query)            \
    X(slot)             \
    X(user_item)        \
    X(user_category)    \
    X(user_brand)       \
    X(query_item)       \
    X(query_category)   \
    X(query_brand)      \
    X(slot_item)        \
    X(slot_category)    \
    X(slot_brand)

enum feature_key {
#define X(name) KEY_##name,
    FEATURE_KEYS(X)
#undef X
        FEATURE_KEY_COUNT
};
#define FEATURE_KEY_IS_PAIR(key) ((key) >= KEY_user_item)

/* name, whether it is made of tiles of a window, bytes of a tile */
#define FEATURE_KINDS(X)   \
    X(attribute, false, 0) \
    X(count, true, 4)      \
    X(sum, true, 8)        \
    X(mean, true, 12)      \
    X(min, true, 8)        \
    X(max, true, 8)        \
    X(distinct, true, 0)   \
    X(decayed, false, 0)   \
    X(last, false, 0)      \
    X(since, false, 0)     \
    X(interval, false, 0)  \
    X(ratio, false, 0)

enum feature_kind {
#define X(name, tiled, bytes) FEATURE_KIND_##name,
    FEATURE_KINDS(X)
#undef X
        FEATURE_KIND_COUNT
};

/* What of an event goes into the feature. */
enum feature_value_source {
    VALUE_ONE, /* each event counts 1 */
    VALUE_PRICE,
    VALUE_QTY,
    VALUE_AMOUNT, /* price x qty */
    VALUE_POS,
    VALUE_TOTAL,
    VALUE_PROP, /* a number of `props`, or an attribute, by name */
    VALUE_COST, /* of the catalogue, like the next */
    VALUE_STOCK,
    /* those from here on are ids */
    VALUE_ITEM,
    VALUE_CATEGORY,
    VALUE_BRAND,
    VALUE_USER,
    VALUE_SESSION,
    VALUE_QUERY
};

/* A value of `props` or of an attribute: a text, or a number (a boolean is 1 or 0). */
struct definition_value {
    const char *text; /* NULL: the number; texts point into the definitions' file, as below */
    double number;
};

struct definition_condition {
    const char *prop;
    double at_least, at_most, above, below; /* -inf and inf when not given; or */
    uint32_t value_count;                   /* it is one of these */
    struct definition_value value[DEFINITION_VALUES_MAX];
};

/* A part of a ratio: a definition of the same key by its index, or a feature of the store's own. */
struct definition_part {
    bool is_builtin;
    uint32_t id;
};

/* What is looked at only when there is an event: kept apart, so that reading finds definitions
 * close together. */
struct definition_lists {
    uint32_t custom_count;
    const char *custom[DEFINITION_CUSTOM_TYPES_MAX]; /* of `custom:NAME`: the name */
    uint32_t condition_count;
    struct definition_condition condition[DEFINITION_CONDITIONS_MAX];
    uint32_t value_count; /* of an attribute: the numbers that its texts stand for */
    struct definition_value value[DEFINITION_VALUES_MAX];
};

struct definition {
    /* What reading needs. */
    enum feature_key key;
    enum feature_kind kind;
    enum feature_value_source source;
    uint32_t offset, bytes; /* of the state in the block of its key; 0 bytes for a ratio */
    uint32_t tile_s,
        tile_count;            /* window = tile_s x tile_count; all time is one tile without end */
    uint64_t tile_reciprocal;  /* 2^64 / tile_s, rounded up; 0: all time */
    uint64_t count_reciprocal; /* 2^64 / tile_count, rounded up; 0: one tile */
    double halvings_per_s;     /* 1 / half_life_s */
    uint32_t half_life_s;
    uint32_t last_count;
    uint32_t precision; /* distinct: 2^precision registers */
    uint32_t max_age_s; /* 0: none */
    double fallback;    /* NaN: none */
    struct definition_part upper, lower[DEFINITION_PARTS_MAX];
    uint32_t lower_count;
    double prior_hits, prior_misses;

    /* What goes into it. */
    uint64_t types;       /* bit by enum event_type */
    const char *property; /* of VALUE_PROP, or the name of the attribute */
    struct definition_lists *lists;

    uint64_t state_hash;
    char name[DEFINITION_NAME_BYTES];
};

struct definitions {
    char version[65];
    char sha256[SHA256_HEX_BYTES]; /* of the file; "": none at all */
    uint32_t count;
    struct definition *definition;           /* owned; sorted by name */
    struct definition_lists *lists;          /* owned; in the order of the file */
    uint32_t block_bytes[FEATURE_KEY_COUNT]; /* 0: no feature has that key */
    uint64_t layout_hash[FEATURE_KEY_COUNT]; /* of names, state hashes and places */
    cJSON *file;                             /* owned: the texts are in it */
};

/* `name` stands in messages.  ERR_BAD_INPUT "features.json: features.user.views: window: ...". */
MUST_CHECK enum err_code definitions_parse(const char *name, const char *bytes, size_t len,
                                           struct definitions **ret_definitions, struct err *err);
MUST_CHECK enum err_code
definitions_parse_file(const char *path, struct definitions **ret_definitions, struct err *err);
/* None at all. */
MUST_CHECK enum err_code definitions_empty(struct definitions **ret_definitions, struct err *err);
void definitions_destroy(struct definitions **definitions);

/* NULL when there is none. */
const struct definition *definitions_find(const struct definitions *definitions, struct text name);

const char *feature_key_name(enum feature_key key);
const char *feature_kind_name(enum feature_kind kind);
/* The value is a list of ids: it can be shown, not ranked by. */
bool definition_is_list_of_ids(const struct definition *definition);
bool definition_is_tiled(const struct definition *definition);
uint32_t definition_tile_bytes(const struct definition *definition);

#endif
