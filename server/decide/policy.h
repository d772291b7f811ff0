/* SPDX-License-Identifier: Apache-2.0 */
/* policy - what merchandisers set per slot: where candidates come from, how they are blended and
 * filtered, which models rank and price.  Parsed from policies.json (docs/policies.md), checked as
 * a whole, immutable afterwards.
 *
 * The score of a candidate is the sum over sources of weight * natural score (docs/policies.md
 * defines these).  Sources that need more than a model and the person use a list built ahead of
 * requests (lists.h).
 *
 * Filters, boosts, pins and the limits per category and brand are applied in rules.c.
 *
 * Threads: parsed on main or loader, then read by any.  Limits: 64 slots, 16 sources a slot. */
#ifndef SERVER_DECIDE_POLICY_H
#define SERVER_DECIDE_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "featurestore/store_items.h"
#include "models/bundle.h"
#include "models/decision_features.h"
#include "server/decide/decision.h"
#include "server/decide/policy_fields.h"

#define POLICY_SLOTS_MAX      64
#define POLICY_SOURCES_MAX    16
#define POLICY_COUNT_MAX      1000 /* candidates of one source */
#define POLICY_HISTORY_MAX    1000 /* the store's limit for a history */
#define POLICY_RULES_MAX      100  /* filters of a slot, and as many boosts */
#define POLICY_PINS_MAX       50
#define POLICY_PLACE_MAX      200 /* of a pin */
#define POLICY_LISTS_MAX      64  /* for all slots together, editors' lists included */
#define POLICY_LIST_ITEMS_MAX 1000

enum policy_source_kind {
#define X(name) SOURCE_##name,
    DECISION_SOURCES(X)
#undef X
        SOURCE_KIND_COUNT
};

const char *policy_source_name(enum policy_source_kind kind);

/* Sums neighbor lists of a model. */
static inline bool policy_adds_neighbors(enum policy_source_kind kind)
{
    return kind == SOURCE_neighbors || kind == SOURCE_cart;
}
/* Searches its model's rows by a vector of the person. */
static inline bool policy_has_vector(enum policy_source_kind kind)
{
    return kind == SOURCE_factors || kind == SOURCE_embeddings;
}
/* Keeps its natural scores in an array by item number. */
static inline bool policy_sums_items(enum policy_source_kind kind)
{
    return policy_adds_neighbors(kind) || kind == SOURCE_list || kind == SOURCE_candidates ||
           kind == SOURCE_trending || kind == SOURCE_new || kind == SOURCE_repeat ||
           kind == SOURCE_content;
}

struct policy_source {
    enum policy_source_kind kind;
    char label[MODEL_NAME_BYTES + 8]; /* "list: summer", as explanations have it */
    char model[MODEL_NAME_BYTES];     /* "": none */
    enum store_window window;         /* popular */
    float weight;
    uint32_t count;       /* candidates taken from it */
    uint32_t history;     /* neighbors, content, embeddings: how many of the newest items count */
    uint32_t half_life_s; /* the same sources: half-life of a history item's weight; 0: none */
    uint32_t list;        /* index into the policy set's lists, for sources that have one */
    uint32_t at_least, at_most; /* quota of this source in the answer; 0: no limit */
    /* repeat: seconds between purchases of the item, and since the last one; owned, NULL: not
     * given. */
    struct expr *interval, *since;
};

/* A list that is built ahead of requests for a source. */
enum policy_list_kind { LIST_EDITOR, LIST_TRENDING, LIST_NEW, LIST_CONTENT };
enum policy_by { BY_ALL, BY_CATEGORY, BY_SEGMENT };

struct policy_list {
    enum policy_list_kind kind;
    char name[MODEL_NAME_BYTES]; /* of an editor's list; of the attribute that defines segments */
    enum policy_by by;           /* trending: one list for each category or segment */
    enum store_window window, baseline; /* trending */
    uint32_t max_age_s;                 /* new */
    const struct text *item;            /* editor's list: ids; owned, with their texts */
    uint32_t item_count;
};

enum policy_bought { BOUGHT_EXCLUDE, BOUGHT_ALLOW };

/* Common to filters, boosts and pins: in force within a period, if the condition is true. */
struct policy_rule {
    char label[MODEL_NAME_BYTES + 16]; /* "boost: own brand", as explanations have it */
    struct expr *when;                 /* owned; NULL: always */
    int64_t from_ms, until_ms;
};

struct policy_boost {
    struct policy_rule rule;
    bool adds;           /* else it multiplies */
    struct expr *amount; /* owned */
};

struct policy_pin {
    struct policy_rule rule;
    uint32_t place;   /* from 1 */
    struct text item; /* id; owned */
};

/* Maximal marginal relevance (Carbonell and Goldstein 1998): the next item maximises
 * lambda * score - (1 - lambda) * similarity to the items already chosen. */
enum policy_likeness { LIKE_CATEGORY, LIKE_CONTENT, LIKE_FACTORS };

struct policy_mmr {
    float lambda;   /* 1: disabled */
    uint32_t depth; /* how many of the best candidates take part */
    enum policy_likeness likeness;
    uint32_t list; /* LIKE_CONTENT */
};

/* Raises new items: score * (1 + boost * 2^(-age / half_life)). */
struct policy_freshness {
    float boost; /* 0: disabled */
    uint32_t half_life_s;
};

/* Items shown to the person recently are not shown again. */
struct policy_seen {
    uint32_t within_s;  /* 0: disabled */
    struct expr *since; /* seconds since the item was last shown; owned */
};

/* What to do if the slot's own sources give too few items. */
struct policy_fallback {
    uint32_t fewer_than; /* 0: no fallback */
    uint32_t slot;       /* continues the answer; POLICY_NO_SLOT: answer at `level` */
    enum level level;
    char slot_name[MODEL_NAME_BYTES];
};
#define POLICY_NO_SLOT UINT32_MAX

/* Stages with a time limit; see policy_slot.stage_ns. */
enum policy_stage {
    STAGE_OF_SOURCES,
    STAGE_OF_FACTORS,
    STAGE_OF_RANKER,
    STAGE_OF_MMR,
    POLICY_STAGE_COUNT
};

struct policy_slot {
    char name[MODEL_NAME_BYTES];
    uint32_t source_count;
    struct policy_source source[POLICY_SOURCES_MAX];
    enum policy_bought bought;
    int32_t min_stock;             /* items whose stock is known to be less are not shown */
    bool catalogue_only;           /* items without a catalogue record are not shown */
    bool repeats;                  /* may repeat items of earlier slots of the page */
    char ranker[MODEL_NAME_BYTES]; /* linear, trees, mlp or blend; "" for none */
    char prices[MODEL_NAME_BYTES]; /* prices model, "" for none */
    enum store_window generic_window;
    struct policy_rule *filter; /* an item is shown if all hold; owned, as boosts and pins are */
    struct policy_boost *boost;
    struct policy_pin *pin; /* by place */
    uint32_t filter_count, boost_count, pin_count;
    uint32_t per_category, per_brand; /* maximum number of items of each; 0: no limit */
    struct policy_mmr mmr;
    struct policy_freshness freshness;
    struct policy_seen seen;
    struct policy_fallback fallback;
    uint32_t stage_ns[POLICY_STAGE_COUNT]; /* time limits; 0: none */
    bool has_quotas;                       /* of any source */
    uint32_t scopes;                       /* POLICY_SCOPE_*, the union over all expressions */
};

struct policy_set {
    uint32_t slot_count;
    struct policy_slot slot[POLICY_SLOTS_MAX];
    uint32_t default_slot;
    char version[MODEL_NAME_BYTES]; /* "version" of the file, "builtin" for the one below */
    struct policy_fields fields;    /* used by all expressions */
    uint32_t list_count;
    struct policy_list list[POLICY_LISTS_MAX]; /* editors' lists first */
};

/* ERR_BAD_INPUT names line, column and path:
 * "policies.json:12:9: slots.home.sources[1].weight: must be 0..1000 (got -1)".
 * `store` provides the defined features; NULL: no store, so any well-formed feature name is
 * accepted. */
MUST_CHECK enum err_code policy_parse(const char *name, const char *bytes, size_t len,
                                      const struct store *store, struct policy_set **ret_set,
                                      struct err *err);
/* Used if no file is configured: slots over the first model of each kind by name ("*"), so that a
 * pushed model works at once. */
MUST_CHECK enum err_code policy_builtin(struct policy_set **ret_set, struct err *err);
void policy_destroy(struct policy_set **set);
/* The default slot if there is none of that name.  Hot path. */
uint32_t policy_slot_index(const struct policy_set *set, struct text name);

#endif
