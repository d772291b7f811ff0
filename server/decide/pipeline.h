/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline - the state of one decision in progress, passed from stage to stage.
 *
 * In order:
 *   subject.c     who asks, their history, excluded items              -> history, blocked, filters
 *   rules.c       filters, boosts, pins and limits of the slot
 *   sources.c     natural scores of each source, by row of its model   -> scratch
 *   sources_neighbors.c   lists of neighbors, summed by item number     -> scratch
 *   sources_listed.c      the same for sources that score by item number -> scratch
 *   sources_embeddings.c  the query vector of an embeddings source
 *   retrieve.c    the best items by factors                            -> found[]
 *   candidates.c, compete.c, compete_by_number.c
 *                 the best of all items by blended score               -> chosen[]
 *   naturals.c    each source's score for the chosen items
 *   rank.c        the ranker's score over named features
 *   select.c      the order in which the chosen are shown: quotas, marginal relevance
 *   emit.c        items into the answer, with pins and limits
 *   ladder.c      the lower levels: cached, generic, static
 * and, around these:
 *   recommend.c, similar.c, rank.c, price.c   the sequence for each operation
 *   trial.c       which versions on trial take part, and how well they do
 *   pipeline.c    shared helpers: level, time, uses of models
 *
 * A "natural" score is a source's own score of an item, before the slot's weight; "dense" sources
 * have one for every item, the others keep sums in the worker's scratch.
 *
 * Threads: one owner; everything lives in the worker's arena and scratch. */
#ifndef SERVER_DECIDE_PIPELINE_H
#define SERVER_DECIDE_PIPELINE_H

#include <float.h>

#include "base/top.h"
#include "server/decide/costs.h"
#include "server/decide/decide.h"

/* A set of item numbers: open addressing, linear probing, at most half full. */
struct item_set {
    uint32_t *slot; /* number + 1; 0 is free */
    uint32_t mask;
};

/* Fibonacci hashing spreads dense item numbers over the table. */
static inline uint32_t pipeline_spread(uint32_t item)
{
    return item * 2654435769u >> 7;
}

struct filters {
    bool present;
    int32_t min_stock; /* 0: any */
    bool needs_record; /* items without a catalogue record do not pass */
    const uint32_t *category;
    uint32_t category_count;
    bool any_category;
    const uint32_t *brand;
    uint32_t brand_count;
    bool any_brand;
    int64_t min_price_minor, max_price_minor;
    bool by_marks; /* the store's item flags (marks) decide everything */
};

struct candidate {
    uint32_t item;
    float score;
    float blend;     /* weighted sum of the sources */
    float plain;     /* the score before boosts */
    uint8_t source;  /* which contributed most to the blend; set only if there are quotas */
    uint8_t fate;    /* enum fate */
    bool is_brought; /* added for its source's quota, not one of the best */
};

/* Why a candidate was shown or not. */
enum fate {
    FATE_OPEN,
    FATE_SHOWN,
    FATE_KEPT_PLACE, /* shown in a place reserved for its source */
    FATE_LIMIT,
    FATE_QUOTA
};

struct rules;       /* rules.c */
struct page_values; /* page_values.h */

struct pipeline {
    const struct decide_env *env;
    struct worker *worker;
    struct arena *arena;
    const struct request *request;
    const struct policy_slot *slot;
    const struct snapshot_variant *variant;
    uint32_t trials; /* bit set of the trials that take part in this decision */
    const struct slot_models *models;
    struct worker_scratch *scratch;
    const struct list_set *lists;

    bool is_hidden; /* the person does not allow `personalize`: use nothing about them */
    struct history history;
    const uint32_t *seed; /* item numbers */
    uint32_t seed_count;
    const uint32_t *cart; /* item numbers */
    uint32_t cart_count;
    struct item_set blocked;
    struct filters filters;
    struct rules *rules; /* in the arena; NULL: the slot has none */

    /* By place in the scratch: the number of sums listed in `touched`; or, if so many are non-zero
     * that listing them does not pay, the length of the prefix that contains them. */
    uint32_t touched_count[SNAPSHOT_PLACES_MAX];
    uint32_t summed_items[SNAPSHOT_PLACES_MAX];
    bool scored[POLICY_SOURCES_MAX];         /* the source's scores are available */
    const float *vector[POLICY_SOURCES_MAX]; /* of the person, for factors and embeddings */

    /* Factor sources.  found: the results of each, unless `adds_all`, when all items are summed.
     * unseen: an upper bound on what all of them together add to an item that none of them found.
     * unseen_sources, indexed_sources: how many did not return everything, how many have an index.
     */
    bool adds_all;
    struct factors_found found[POLICY_SOURCES_MAX];
    float unseen;
    bool found_is_exact; /* the found score of an item is all that factors add to it */
    /* By factor source: products computed for other slots of the page; NULL: none. */
    struct page_values *products[POLICY_SOURCES_MAX];
    /* A superset of the items that pass the filters, bits by number; NULL: all, or not worth it. */
    const uint64_t *allowed;
    uint32_t allowed_count;
    bool looked_at_filters;
    uint32_t unseen_sources, indexed_sources;

    bool goes_on;             /* as a fallback, continues the answer of another slot */
    uint32_t goes_on_at;      /* which has this many items */
    struct candidate *chosen; /* best blend first */
    uint32_t chosen_count;
    /* By source: natural scores of chosen[0..natural_count), computed on demand. */
    const float *natural[POLICY_SOURCES_MAX];
    uint32_t natural_count[POLICY_SOURCES_MAX];
    bool ranked;       /* scores are the ranker's */
    double *kept_rows; /* what the ranker saw of each chosen item; NULL unless kept */
    bool explains;
    bool no_room; /* something was skipped because the arena is full */

    const struct price_context *context; /* of the request, for price rules */

    struct decision *out;
    uint32_t wanted;
    uint64_t stage_began_ns;
    uint64_t cost_began_ns;
    uint64_t model_began_ns;
};

/* ---- subject.c */
bool subject_resolve(struct pipeline *p); /* false: the arena is full */
/* Whether an item may be shown, and if not, the first check that it fails. */
enum standing {
    STANDING_ELIGIBLE,
    STANDING_BLOCKED,
    STANDING_NO_RECORD,
    STANDING_DELETED,
    STANDING_STOCK,
    STANDING_SEEN,
    STANDING_ASKED_FILTER, /* of the request */
    STANDING_FILTER        /* of the slot */
};
enum standing standing_of(const struct pipeline *p, uint32_t item);
bool eligible(const struct pipeline *p, uint32_t item);
bool subject_blocks(const struct pipeline *p, uint32_t item); /* STANDING_BLOCKED */
/* The category suggested by the request or the person; IDMAP_NONE: none. */
uint32_t subject_category(const struct pipeline *p);
/* Position of the item in the history, + 1; 0: not in the history. */
uint32_t subject_position(const struct pipeline *p, uint32_t item);
/* The same for many items.  note stores the positions in scratch->upper, which must be zero; noted
 * looks one up; forget restores the zeros. */
void subject_note_positions(const struct pipeline *p);
uint32_t subject_noted_position(const struct pipeline *p, uint32_t item);
void subject_forget_positions(const struct pipeline *p);

/* Sets the reader up for the person, query and slot of the request. */
void pipeline_read_features(const struct pipeline *p, struct feature_reader *reader);

/* ---- rules.c */
bool rules_begin(struct pipeline *p); /* after subject_resolve; false: the arena is full */
const char *rules_refusing(const struct pipeline *p, uint32_t item); /* the first filter, or NULL */
/* Conditions that the filters in force imply on catalogue columns; a necessary, not a sufficient,
 * condition for passing them. */
#define RULES_NAMES_MAX 8
struct rules_names {
    bool is_needed;
    uint32_t number[RULES_NAMES_MAX], count;
};
struct rules_range {
    bool is_needed;
    int64_t min, max;
};
struct rules_needed {
    struct rules_names category, brand;
    struct rules_range price, stock;
};
void rules_need(const struct pipeline *p, struct rules_needed *ret_needed);
/* The value of an expression of the slot for the item; false: unknown. */
bool rules_number(const struct pipeline *p, const struct expr *expr, uint32_t item,
                  double *ret_number);
/* Whether it was shown to the person too recently (the slot's `seen`). */
bool rules_seen(const struct pipeline *p, uint32_t item);
bool rules_boost(const struct pipeline *p); /* whether the slot has boosts or freshness */
float rules_boosted(struct pipeline *p, uint32_t item, float score);
/* The effect of each boost on the score: at most one entry for each boost of the slot, and one for
 * freshness. */
uint32_t rules_explain(struct pipeline *p, uint32_t item, float score,
                       struct decision_why *ret_why);
/* Whether the limits per category and brand allow one more item like this. */
bool rules_have_room(const struct pipeline *p, uint32_t item);
void rules_note(const struct pipeline *p, uint32_t place, uint32_t item); /* counts a shown item */
/* The pin due at the next place, or `at_the_end` the next remaining one. */
bool rules_next_pin(const struct pipeline *p, bool at_the_end, uint32_t *ret_item,
                    const char **ret_label);
void rules_begin_again(const struct pipeline *p); /* the answer has been emptied */
/* For a fallback slot: continues an answer begun under the rules of `from`, with its pins, and
 * counts the items that are already there. */
void rules_take_over(struct pipeline *p, const struct pipeline *from);

/* ---- sources.c */
void sources_score(struct pipeline *p, enum level level);
/* The weight of each of the newest history items for the source; in the arena, NULL: no room. */
const float *sources_history_weights(struct pipeline *p, uint32_t s, uint32_t *ret_count);
/* ---- sources_listed.c: sources whose scores are sums by item number */
void sources_list(struct pipeline *p);
/* Adds the items similar to these to the sums of a content source. */
void sources_sum_content(struct pipeline *p, uint32_t s, const uint32_t *item, const float *weight,
                         uint32_t count);
/* ---- sources_embeddings.c */
/* The weighted mean embedding of the newest history items and the seeds; NULL: none of them has
 * one, or there is no room. */
const float *sources_mean_embedding(struct pipeline *p, uint32_t s);
/* ---- sources.c */
/* Adds the neighbors of the given items to the sums of a place. */
void sources_sum_neighbors(struct pipeline *p, const struct model *model, uint32_t place,
                           const uint32_t *item, const float *weight, uint32_t count);
/* The items whose sums may be non-zero: item[0..count), or if `item` is NULL 0..count-1. */
struct summed {
    const uint32_t *item;
    uint32_t count;
};
struct summed sources_summed(const struct pipeline *p, uint32_t place);
void sources_clear(struct pipeline *p);
bool sources_have_vector(const struct pipeline *p); /* for any factor source */
/* The natural score of the item by dense source `s`; 0: it has none. */
float source_value(const struct pipeline *p, uint32_t s, uint32_t item);
/* The same for a source of any kind. */
float source_natural(const struct pipeline *p, uint32_t s, uint32_t item);
/* log(1 + score) / log(1 + best), 0..1 */
float source_popular(float score, float best);

/* ---- retrieve.c */
/* Finds the best items of each factor source.  False: no room for that, but all items can be summed
 * instead. */
bool retrieve_factors(struct pipeline *p, uint32_t depth);
/* Whether `top`, chosen among the found items and those of other sources, is certain to be the best
 * of all items. */
bool retrieve_is_enough(const struct pipeline *p, const struct top *top);
/* For explained decisions: records how `model` was searched; `found` is NULL if all items were
 * summed. */
void retrieve_tell(struct pipeline *p, const struct model *model,
                   const struct factors_found *found);
/* The same for each source of the slot, after candidates_choose. */
void retrieve_tell_all(struct pipeline *p);
/* The n best items for a person whose history is the seeds.  False: the model knows none of them.
 */
bool retrieve_similar(struct pipeline *p, const struct model *model, uint32_t n,
                      struct factors_found *ret_found);

/* Entries that explain one item: sources, ranker, boosts, freshness, and those of select.c. */
#define WHY_MAX(slot) (POLICY_SOURCES_MAX + 4 + (slot)->boost_count)

/* ---- candidates.c */
/* Chooses the best `depth` items by the weighted sum of their natural scores.  False: no source
 * that depends on the person has an item to show. */
bool candidates_choose(struct pipeline *p, uint32_t depth);
void candidates_boost(struct pipeline *p);
/* The source's score of the item as blended: 0 below the cut of a list. */
float candidates_natural(const struct pipeline *p, uint32_t s, uint32_t item);
/* Calls `take` for each item that may have a natural score by the source, in any order, until it
 * returns false. */
void candidates_each(const struct pipeline *p, uint32_t s, bool (*take)(void *ctx, uint32_t item),
                     void *ctx);
/* The contributions of each source, the ranker and each boost to the item; `candidate` NULL: it was
 * not chosen. */
void candidates_tell(struct pipeline *p, uint32_t item, const struct candidate *candidate,
                     struct decision_why **ret_why, uint32_t *ret_count);

/* ---- naturals.c: one value for each chosen item; NULL: no room */
/* The values of source_natural, cached in p->natural. */
const float *naturals_of(struct pipeline *p, uint32_t s);
/* Prefetches what a source of vectors reads for the item. */
void naturals_fetch(const struct pipeline *p, uint32_t s, uint32_t item);
/* The values of candidates_natural. */
const float *naturals_blended(struct pipeline *p, uint32_t s);

/* ---- select.c */
/* Whether candidate `a` ranks before `b`: by score, then by the smaller item number; candidates
 * added for a quota come last among equal scores, in the order of their source. */
bool select_before(const struct candidate *a, const struct candidate *b);
/* How many candidates beyond `depth` the quotas need. */
uint32_t select_extra(const struct pipeline *p);
/* After the best were chosen: determines the source of each, and adds items for unmet quotas. */
void select_prepare(struct pipeline *p, uint32_t capacity);
void select_emit(struct pipeline *p);

/* ---- rank.c */
/* False: no room.  If any score is not finite as a float, the candidates keep their order and
 * *ret_good is false. */
bool rank_candidates(struct pipeline *p, bool *ret_good);
/* The ranker's feature row of a candidate; NULL: it was not kept. */
const double *rank_features_of(const struct pipeline *p, const struct candidate *candidate);

/* ---- contributions.c: for explained decisions; the item must have its features */
void contributions_tell(struct pipeline *p, struct decision_item *item);

/* ---- price.c */
void price_items(struct pipeline *p);
void price_callers_items(struct pipeline *p);

/* ---- why_not.c: no effect unless the request has `why_not` */
void why_not_tell(struct pipeline *p); /* after the decision, before sources_clear */
/* With a fallback slot: before the sums of p are cleared for it. */
void why_not_hold(struct pipeline *p);
/* After the fallback slot, before its sums are cleared. */
void why_not_go_on(struct pipeline *other, const struct pipeline *p);

/* ---- ladder.c */
void ladder_descend(struct pipeline *p, enum level level, enum reason reason);
void ladder_fill_generic(struct pipeline *p);
void ladder_remember(const struct pipeline *p);

/* ---- emit.c */
/* Appends an item to the decision; false: it is full or already has the item.  The score is lowered
 * to that of the item before if necessary, so that sorting by score keeps the order. */
bool pipeline_emit(struct pipeline *p, uint32_t item, float score, const char *source);
/* Appends the remaining pins. */
void pipeline_emit_pins(struct pipeline *p);

/* ---- the operations: recommend.c, similar.c, rank.c */
void recommend_answer(struct pipeline *p);
void similar_answer(struct pipeline *p);
void rank_answer(struct pipeline *p);

/* ---- pipeline.c */
/* Clamps scores of models and callers to finite floats: a reply holds nothing else. */
static inline float finite_score(double score)
{
    if (score >= -(double)FLT_MAX && score <= (double)FLT_MAX)
        return (float)score;
    return score > 0.0 ? FLT_MAX : -FLT_MAX; /* NaN becomes -FLT_MAX */
}

/* A heap of the best `capacity` items; sets p->no_room if there is no room for it. */
static inline struct top pipeline_top(struct pipeline *p, uint32_t capacity)
{
    struct top top = top_make(p->arena, capacity);
    p->no_room = p->no_room || top.slot == NULL;
    return top;
}

/* `count` reduced to the current effort, but at least `least`; a reduction lowers the level. */
uint32_t pipeline_spare(struct pipeline *p, uint32_t count, uint32_t least);
/* The number of candidates for the slot's ranker and rules. */
uint32_t pipeline_depth(struct pipeline *p);
/* The best level that the mode and the remaining time allow, and the reason if it is not full. */
enum level pipeline_best_level(const struct pipeline *p, enum reason *ret_reason);
/* Caps the decision's level, and sets the reason if that lowers it. */
void pipeline_lower(struct pipeline *p, enum level level, enum reason reason);
/* Records that the stage was skipped or reduced because of `reason`, and lowers the level. */
void pipeline_leave_out(struct pipeline *p, enum left_out stage, enum reason reason);
/* How much of `count` the stage may do within its budget, at `item_ps` each. */
uint32_t pipeline_within_budget(const struct pipeline *p, enum policy_stage stage, uint32_t item_ps,
                                uint32_t count);
/* Whether there is time for these stages (bits by enum cost) before the deadline. */
bool pipeline_affords(const struct pipeline *p, uint32_t stages);
void pipeline_cost_begin(struct pipeline *p);
void pipeline_cost_learn(struct pipeline *p, enum cost stage); /* the time since then */
void pipeline_use_model(struct pipeline *p, const struct model *model);
/* Starts a use of a model.  False: its breaker is open; it must not be used, and the level drops.
 */
bool pipeline_model_begin(struct pipeline *p, const struct model *model);
void pipeline_model_end(struct pipeline *p, const struct model *model, bool good);
void pipeline_stage(struct pipeline *p,
                    uint32_t stage); /* records the time since the previous stage */

#endif
