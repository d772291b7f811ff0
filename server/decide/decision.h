/* SPDX-License-Identifier: Apache-2.0 */
/* decision - the result: items in order, the level reached, and the reason for it.
 *
 * All pointers are borrowed from the worker's arena, the snapshot or the store, and valid until the
 * reader leaves its RCU section.  Threads: one owner. */
#ifndef SERVER_DECIDE_DECISION_H
#define SERVER_DECIDE_DECISION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/money.h"
#include "base/rand.h"
#include "base/text.h"

struct model; /* models/model.h */
struct reply; /* server/protocol/reply.h */

/* From best to worst; each is the fallback of the one before. */
#define LEVELS(X) X(full) X(reduced) X(cached) X(generic) X(static)

enum level {
#define X(name) LEVEL_##name,
    LEVELS(X)
#undef X
        LEVEL_COUNT
};

/* Why an answer is not `full`. */
#define REASONS(X)  \
    X(none)         \
    X(no_model)     \
    X(model_error)  \
    X(deadline)     \
    X(overload)     \
    X(mode)         \
    X(breaker)      \
    X(unknown_user) \
    X(consent)      \
    X(budget)       \
    X(no_candidates)

enum reason {
#define X(name) REASON_##name,
    REASONS(X)
#undef X
        REASON_COUNT
};

/* Stages that may be skipped or reduced for lack of time. */
#define LEFT_OUT(X) X(sources) X(factors) X(ranker) X(mmr)

enum left_out {
#define X(name) LEFT_OUT_##name,
    LEFT_OUT(X)
#undef X
        LEFT_OUT_COUNT
};

const char *left_out_name(enum left_out stage);
const char *level_name(enum level level);
const char *reason_name(enum reason reason);
bool level_parse(struct text name, enum level *ret_level);

#define DECISION_MODELS_MAX 16

struct decision_why {
    const char *source; /* "neighbors", "rule: spring sale", ... */
    float value;        /* what it added to the score */
};

#define DECISION_CONTRIBUTIONS_MAX 8

struct decision_contribution {
    const char *feature;
    double value; /* as the ranker saw it; NaN: unknown */
    double adds;  /* to the margin; may be negative */
};

/* A breakdown of an item's ranker margin: base + sum of top + rest (models/contributions.h). */
struct decision_contributions {
    const char *model; /* "name@version" */
    double base, rest;
    uint32_t count; /* the strongest */
    struct decision_contribution top[DECISION_CONTRIBUTIONS_MAX];
};

struct decision_item {
    uint32_t item; /* number; IDMAP_NONE: the store does not know the id */
    struct text id;
    float score;
    bool priced;
    int64_t amount_minor;
    currency_code currency;
    const char *rule;  /* the price rule that applied, or NULL */
    const char *bound; /* the bound that moved the price, or NULL */
    const struct decision_why *why;
    uint32_t why_count;
    /* The ranker's feature row, NaN: unknown.  NULL unless the item was ranked, and features are
     * kept or the decision is explained. */
    const double *features;
    float ranked; /* valid with `features`: the ranker's score before boosts */
    const struct decision_contributions *contributions; /* NULL unless explained by a ranker */
};

/* The answer to the request's `why_not`. */
struct decision_why_not {
    struct text item;
    const char *stage;   /* where it was lost, or "shown" (docs/protocol.md) */
    const char *rule;    /* the filter that hid it, or NULL */
    const char *slot;    /* the fallback slot whose policy decided; NULL: the requested slot's */
    uint32_t place;      /* in the answer, or among the candidates, from 1; 0: none */
    float score, needed; /* its score, and that of the last item to pass; NaN: none */
    struct decision_why *why; /* contributions of sources, ranker and boosts */
    uint32_t why_count;
};

/* How a model of vectors was searched. */
struct decision_retrieval {
    const char *model;          /* name@version */
    const char *by;             /* "exact", "index" or "sums" */
    uint32_t lists, lists_read; /* for an index */
    double recall;
};

struct decision {
    char id[ULID_BYTES];
    struct decision_item *items;
    uint32_t count;
    const char *policy;
    const char *models[DECISION_MODELS_MAX]; /* "name@version" of models that took part */
    uint32_t model_count;
    const struct model *ranker; /* the layout of items[].features; NULL: there are none */
    enum level level;
    enum reason reason;
    uint32_t left_out;                          /* bits by enum left_out */
    const struct decision_retrieval *retrieval; /* only if explained */
    uint32_t retrieval_count;
    const char *fallback;             /* the slot that supplied missing items, or NULL */
    uint64_t epoch;                   /* of the snapshot */
    uint32_t trials;                  /* bit set of the canaries that took part */
    struct decision_why_not *why_not; /* NULL unless requested */
};

/* Adds the decision's keys (docs/protocol.md) to a reply in progress. */
void decision_pack(const struct decision *decision, struct reply *reply);

#endif
