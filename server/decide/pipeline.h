/* SPDX-License-Identifier: Apache-2.0 */
/* pipeline - one decision while it is being made: what the stages pass on to each other.
 *
 *   subject.c     who asks, what they did, which items are out        -> history, blocked, filters
 *   rules.c       filters, boosts, pins and limits of the slot
 *   sources.c     natural scores of each source over its model's rows -> scratch
 *   sources_embeddings.c  the direction in which a source of embeddings looks
 *   sources_listed.c  ... of those that bring items by number -> scratch
 *   retrieve.c    the best items by factors                           -> found[]
 *   candidates.c, compete.c, compete_by_number.c
 *                 the best of all items by their blended scores       -> chosen[]
 *   naturals.c    what each source gives to the chosen
 *   select.c      the order in which the chosen are shown: quotas, marginal relevance
 *   rank.c        the ranker's score over named features
 *   emit.c        items into the answer, with pins and limits
 *   ladder.c      the lower levels: cached, generic, static
 *   trial.c       which versions on trial take part, and how they do
 *   recommend.c, similar.c, rank.c, price.c
 *                 the order of all this, per operation
 *   pipeline.c    what they share: level, time, uses of models
 *
 * Threads: one owner; everything lives in the worker's arena and scratch. */
#ifndef SERVER_DECIDE_PIPELINE_H
#define SERVER_DECIDE_PIPELINE_H

#include <float.h>

#include "base/top.h"
#include "server/decide/costs.h"
#include "server/decide/decide.h"

/* Item numbers that may not be shown: open addressing, linear probing, at most half full. */
struct item_set {
    uint32_t *slot; /* number + 1; 0 is free */
    uint32_t mask;
};

/* Fibonacci hashing: item numbers are dense, their products are not. */
static inline uint32_t pipeline_spread(uint32_t item)
{
    return item * 2654435769u >> 7;
}

struct filters {
    bool present;
    int32_t min_stock; /* 0: none is needed */
    bool needs_record; /* an item without a catalogue record cannot pass */
    const uint32_t *category;
    uint32_t category_count;
    bool any_category;
    const uint32_t *brand;
    uint32_t brand_count;
    bool any_brand;
    int64_t min_price_minor, max_price_minor;
    bool by_marks; /* what the store's marks say of an item is all there is to ask */
};

struct candidate {
    uint32_t item;
    float score;
    float blend;     /* of the sources */
    float plain;     /* the score before boosts */
    uint8_t source;  /* which gave most to the blend; where there are quotas */
    uint8_t fate;    /* enum fate */
    bool is_brought; /* for the quota of its source, by which it is not among the best */
};

/* What became of a candidate. */
enum fate {
    FATE_OPEN,
    FATE_SHOWN,
    FATE_KEPT_PLACE, /* shown in a place that was kept for its source */
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
    uint32_t trials; /* bits: the trials that this decision is made with */
    const struct slot_models *models;
    struct worker_scratch *scratch;
    const struct list_set *lists;

    bool is_hidden; /* the person does not allow `personalize`: nothing of them goes in */
    struct history history;
    const uint32_t *seed; /* item numbers that the caller named */
    uint32_t seed_count;
    const uint32_t *cart; /* item numbers */
    uint32_t cart_count;
    struct item_set blocked;
    struct filters filters;
    struct rules *rules; /* in the arena; NULL: the slot has none */

    /* By place in the scratch: how many items of the sums were noted as touched, or, when so many
     * are that noting them does not pay, over how many items the sums reach. */
    uint32_t touched_count[SNAPSHOT_PLACES_MAX];
    uint32_t summed_items[SNAPSHOT_PLACES_MAX];
    bool scored[POLICY_SOURCES_MAX]; /* the source's dense scores are there, or can be had */
    const float *vector[POLICY_SOURCES_MAX]; /* of the person, for factors and embeddings */

    /* Sources of factors: what each found, unless `adds_all`; what all together give at most to an
     * item that none of them found; how many left something unseen, and how many have an index. */
    bool adds_all;
    struct factors_found found[POLICY_SOURCES_MAX];
    float unseen;
    bool found_is_exact; /* what was found of an item is all that factors give to it */
    /* By source of factors: what slots of the page computed of the vector; NULL: it is computed. */
    struct page_values *products[POLICY_SOURCES_MAX];
    /* Items that filters may pass, bits by number; NULL: all, or not worth it. */
    const uint64_t *allowed;
    uint32_t allowed_count;
    bool looked_at_filters;
    uint32_t unseen_sources, indexed_sources;

    bool goes_on;             /* with the answer of another slot, which has too few items */
    uint32_t goes_on_at;      /* behind so many items */
    struct candidate *chosen; /* best blend first */
    uint32_t chosen_count;
    /* By source: the natural scores of the first of them, once they were asked for. */
    const float *natural[POLICY_SOURCES_MAX];
    uint32_t natural_count[POLICY_SOURCES_MAX];
    bool ranked;       /* scores are the ranker's */
    double *kept_rows; /* what the ranker saw of each chosen item; NULL unless kept */
    bool explains;
    bool no_room; /* something was left out because the arena is full */

    const struct price_context *context; /* of the request, for price rules */

    struct decision *out;
    uint32_t wanted;
    uint64_t stage_began_ns;
    uint64_t cost_began_ns;
    uint64_t model_began_ns;
};

/* ---- subject.c */
bool subject_resolve(struct pipeline *p); /* false: the arena is full */
/* Whether an item may be shown, and if not, what it fails at first. */
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
/* The category that the request or the person points at; IDMAP_NONE: none. */
uint32_t subject_category(const struct pipeline *p);
/* Position of the item in the history, + 1; 0 when the person did nothing with it. */
uint32_t subject_position(const struct pipeline *p, uint32_t item);
/* The same for many items: between the two others, in scratch->upper, which is zero before and
 * after. */
void subject_note_positions(const struct pipeline *p);
uint32_t subject_noted_position(const struct pipeline *p, uint32_t item);
void subject_forget_positions(const struct pipeline *p);

/* For who asks. */
void pipeline_read_features(const struct pipeline *p, struct feature_reader *reader);

/* ---- rules.c */
bool rules_begin(struct pipeline *p); /* after subject_resolve; false: the arena is full */
const char *rules_refusing(const struct pipeline *p, uint32_t item); /* the first filter, or NULL */
/* What filters in force want of an item, as far as columns of the catalogue say it. */
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
/* The number that an expression of the slot gives for the item; false: it is not known. */
bool rules_number(const struct pipeline *p, const struct expr *expr, uint32_t item,
                  double *ret_number);
/* It was shown to the person too short a time ago. */
bool rules_seen(const struct pipeline *p, uint32_t item);
bool rules_boost(const struct pipeline *p); /* has the slot boosts? */
float rules_boosted(struct pipeline *p, uint32_t item, float score);
/* What each boost did to the score; at most one for each boost of the slot, and one for freshness.
 */
uint32_t rules_explain(struct pipeline *p, uint32_t item, float score,
                       struct decision_why *ret_why);
/* By the limits per category and brand. */
bool rules_have_room(const struct pipeline *p, uint32_t item);
void rules_note(const struct pipeline *p, uint32_t place, uint32_t item); /* it is there now */
/* The pin whose turn it is at the next place, or behind the last one. */
bool rules_next_pin(const struct pipeline *p, bool at_the_end, uint32_t *ret_item,
                    const char **ret_label);
void rules_begin_again(const struct pipeline *p); /* the answer is empty again */
/* These rules go on with an answer that those of `from` began: with their pins, and counting what
 * is there. */
void rules_take_over(struct pipeline *p, const struct pipeline *from);

/* ---- sources.c */
void sources_score(struct pipeline *p, enum level level);
/* How loudly each of the newest items of the history speaks to the source; in the arena, NULL
 * without room. */
const float *sources_history_weights(struct pipeline *p, uint32_t s, uint32_t *ret_count);
/* ---- sources_listed.c: those that bring items by number */
void sources_list(struct pipeline *p);
/* What is like these items, into the sums of a source of content. */
void sources_sum_content(struct pipeline *p, uint32_t s, const uint32_t *item, const float *weight,
                         uint32_t count);
/* ---- sources_embeddings.c */
/* What the newest items of the history and the seeds have in common; NULL where nothing is known of
 * them, or there is no room. */
const float *sources_mean_embedding(struct pipeline *p, uint32_t s);
/* ---- sources.c */
/* neighbors of the items given, into the sums of a place */
void sources_sum_neighbors(struct pipeline *p, const struct model *model, uint32_t place,
                           const uint32_t *item, const float *weight, uint32_t count);
/* The items of those sums that may be other than zero: item[0..count), or 0..count-1 when NULL. */
struct summed {
    const uint32_t *item;
    uint32_t count;
};
struct summed sources_summed(const struct pipeline *p, uint32_t place);
void sources_clear(struct pipeline *p);
bool sources_have_vector(const struct pipeline *p); /* of any source of factors */
/* The natural score that dense source `s` gives to the item; 0 where it has none. */
float source_value(const struct pipeline *p, uint32_t s, uint32_t item);
/* The same for a source of any kind. */
float source_natural(const struct pipeline *p, uint32_t s, uint32_t item);
/* log(1 + score) / log(1 + best), 0..1 */
float source_popular(float score, float best);

/* ---- retrieve.c */
/* Finds the best items of each source of factors.  False without room for it where all items can
 * be added up instead. */
bool retrieve_factors(struct pipeline *p, uint32_t depth);
/* Whether `top`, the best of what was found and of what other sources brought, is the best of all.
 */
bool retrieve_is_enough(const struct pipeline *p, const struct top *top);
/* For decisions that are explained: how `model` was searched, and what was found if it was not by
 * adding up all. */
void retrieve_tell(struct pipeline *p, const struct model *model,
                   const struct factors_found *found);
/* The same of each source of the slot, once the best were chosen. */
void retrieve_tell_all(struct pipeline *p);
/* The n best items for who would act on the seeds.  False when the model knows none of them. */
bool retrieve_similar(struct pipeline *p, const struct model *model, uint32_t n,
                      struct factors_found *ret_found);

/* Reasons of one item: sources, ranker, boosts, freshness, and what select.c adds. */
#define WHY_MAX(slot) (POLICY_SOURCES_MAX + 4 + (slot)->boost_count)

/* ---- candidates.c */
/* Chooses the best `depth` items by the weighted sum of their natural scores.  False when no source
 * that knows the person has an item to show. */
bool candidates_choose(struct pipeline *p, uint32_t depth);
void candidates_boost(struct pipeline *p);
/* What the source gives to the item as it is blended: nothing below the cut of a list. */
float candidates_natural(const struct pipeline *p, uint32_t s, uint32_t item);
/* The items of a source that may have a natural score, in any order, until `take` says no. */
void candidates_each(const struct pipeline *p, uint32_t s, bool (*take)(void *ctx, uint32_t item),
                     void *ctx);
/* What each source, the ranker and each boost gave to the item; `candidate` NULL: it was not
 * chosen. */
void candidates_tell(struct pipeline *p, uint32_t item, const struct candidate *candidate,
                     struct decision_why **ret_why, uint32_t *ret_count);

/* ---- naturals.c: of each of the chosen; NULL without room */
/* What source_natural gives; stays in p->natural. */
const float *naturals_of(struct pipeline *p, uint32_t s);
/* Asks for the memory of what a source of vectors reads of the item. */
void naturals_fetch(const struct pipeline *p, uint32_t s, uint32_t item);
/* What candidates_natural gives. */
const float *naturals_blended(struct pipeline *p, uint32_t s);

/* ---- select.c */
/* Whether `a` comes before `b`, both of the chosen: by score, of equal ones by the smaller number;
 * but what was brought for a quota stands last among equal scores, in the order of its source. */
bool select_before(const struct candidate *a, const struct candidate *b);
/* How many places the chosen need beyond `depth` for quotas. */
uint32_t select_extra(const struct pipeline *p);
/* Of which source each of the chosen is, and what is missing for quotas; after the best were
 * chosen.
 */
void select_prepare(struct pipeline *p, uint32_t capacity);
void select_emit(struct pipeline *p);

/* ---- rank.c */
/* False without room.  A score that no float holds (inf, NaN) is none: then the candidates stand as
 * they did, and *ret_good is false. */
bool rank_candidates(struct pipeline *p, bool *ret_good);
/* What the ranker saw of a candidate; NULL when that was not kept. */
const double *rank_features_of(const struct pipeline *p, const struct candidate *candidate);

/* ---- contributions.c: for an item that has its features, when the decision is explained */
void contributions_tell(struct pipeline *p, struct decision_item *item);

/* ---- price.c */
void price_items(struct pipeline *p);
void price_callers_items(struct pipeline *p);

/* ---- why_not.c: for requests that ask about an item; others are left as they are */
void why_not_tell(struct pipeline *p); /* after the decision, before sources_clear */
/* Before the sums of p are cleared for another policy that goes on with the answer. */
void why_not_hold(struct pipeline *p);
/* After that policy, before its sums are cleared. */
void why_not_go_on(struct pipeline *other, const struct pipeline *p);

/* ---- ladder.c */
void ladder_descend(struct pipeline *p, enum level level, enum reason reason);
void ladder_fill_generic(struct pipeline *p);
void ladder_remember(const struct pipeline *p);

/* ---- emit.c */
/* Appends an item to the decision; false when it is full or has the item already.  Scores never
 * rise from one item to the next, so that sorting by them keeps the order. */
bool pipeline_emit(struct pipeline *p, uint32_t item, float score, const char *source);
/* The pins that are left, behind the last item. */
void pipeline_emit_pins(struct pipeline *p);

/* ---- the operations: recommend.c, similar.c, rank.c */
void recommend_answer(struct pipeline *p);
void similar_answer(struct pipeline *p);
void rank_answer(struct pipeline *p);

/* ---- pipeline.c */
/* Models and callers may bring in what no float holds; a reply holds finite numbers alone. */
static inline float finite_score(double score)
{
    if (score >= -(double)FLT_MAX && score <= (double)FLT_MAX)
        return (float)score;
    return score > 0.0 ? FLT_MAX : -FLT_MAX; /* NaN is the worst */
}

/* A heap of the best; notes when there is no room for it. */
static inline struct top pipeline_top(struct pipeline *p, uint32_t capacity)
{
    struct top top = top_make(p->arena, capacity);
    p->no_room = p->no_room || top.slot == NULL;
    return top;
}

/* As much of `count` as the effort allows, but at least `least`; less than that lowers the level.
 */
uint32_t pipeline_spare(struct pipeline *p, uint32_t count, uint32_t least);
/* How many candidates the ranker and the rules of the slot get. */
uint32_t pipeline_depth(struct pipeline *p);
/* The level that the mode and the time left allow, and why it is not full. */
enum level pipeline_best_level(const struct pipeline *p, enum reason *ret_reason);
/* The decision is no better than `level`, because of `reason`. */
void pipeline_lower(struct pipeline *p, enum level level, enum reason reason);
/* The stage is left out, or does less, because of `reason`; the answer tells. */
void pipeline_leave_out(struct pipeline *p, enum left_out stage, enum reason reason);
/* How much of `count` the stage may do within its budget, at `item_ps` each. */
uint32_t pipeline_within_budget(const struct pipeline *p, enum policy_stage stage, uint32_t item_ps,
                                uint32_t count);
/* Whether there is time for these stages (bits by enum cost) before the deadline. */
bool pipeline_affords(const struct pipeline *p, uint32_t stages);
void pipeline_cost_begin(struct pipeline *p);
void pipeline_cost_learn(struct pipeline *p, enum cost stage); /* the time since then */
void pipeline_use_model(struct pipeline *p, const struct model *model);
/* A use of a model: false when its breaker keeps it from being used, and the level falls. */
bool pipeline_model_begin(struct pipeline *p, const struct model *model);
void pipeline_model_end(struct pipeline *p, const struct model *model, bool good);
void pipeline_stage(struct pipeline *p, uint32_t stage); /* observes the time since the last one */

#endif
