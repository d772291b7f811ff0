/* SPDX-License-Identifier: Apache-2.0 */
/* decision - what comes out: items in order, with the level at which they were found and why.
 *
 * Everything points into the worker's arena, the snapshot or the store and is valid until the
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

/* From best to most modest; each can stand in for the one before. */
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

/* Stages that may be left out, or cut down, for time. */
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
    double adds;  /* to the margin, negative ones take from it */
};

/* Of an item's score by the ranker: base + top + rest (models/contributions.h). */
struct decision_contributions {
    const char *model; /* "name@version" */
    double base, rest;
    uint32_t count; /* the strongest */
    struct decision_contribution top[DECISION_CONTRIBUTIONS_MAX];
};

struct decision_item {
    uint32_t item; /* number, IDMAP_NONE for an id that the store does not know */
    struct text id;
    float score;
    bool priced;
    int64_t amount_minor;
    currency_code currency;
    const char *rule;  /* the price rule that applied, or NULL */
    const char *bound; /* the bound that moved the price, or NULL */
    const struct decision_why *why;
    uint32_t why_count;
    /* What the ranker saw of it, one value for each of its features, NaN for an unknown one; NULL
     * unless the item was ranked, and features are kept or the decision is explained. */
    const double *features;
    float ranked; /* with features: the ranker's own score, before boosts */
    const struct decision_contributions *contributions; /* NULL unless explained by a ranker */
};

/* What became of the item that the request asks about. */
struct decision_why_not {
    struct text item;
    const char *stage;   /* where it fell out, or "shown" (docs/protocol.md) */
    const char *rule;    /* the filter that hid it, or NULL */
    const char *slot;    /* by whose policy, when that is the fallback's; NULL: of the slot asked */
    uint32_t place;      /* in the answer, or in the order of the candidates, from 1; 0: none */
    float score, needed; /* what it had, and the last that got through; NaN: none */
    struct decision_why *why; /* what sources, ranker and boosts gave it */
    uint32_t why_count;
};

/* How a model was searched by a vector. */
struct decision_retrieval {
    const char *model;          /* name@version */
    const char *by;             /* "exact", "index" or "sums" */
    uint32_t lists, lists_read; /* of an index */
    double recall;
};

struct decision {
    char id[ULID_BYTES];
    struct decision_item *items;
    uint32_t count;
    const char *policy;
    const char *models[DECISION_MODELS_MAX]; /* "name@version" of those that took part */
    uint32_t model_count;
    const struct model *ranker; /* whose features the items hold; NULL: none do */
    enum level level;
    enum reason reason;
    uint32_t left_out;                          /* bits by enum left_out */
    const struct decision_retrieval *retrieval; /* when it is explained */
    uint32_t retrieval_count;
    const char *fallback;             /* the slot that had to help, or NULL */
    uint64_t epoch;                   /* of the snapshot */
    uint32_t trials;                  /* bits: the canaries that it was made with */
    struct decision_why_not *why_not; /* NULL unless it was asked for */
};

/* Adds the keys of a decision (docs/protocol.md) to a reply that was begun. */
void decision_pack(const struct decision *decision, struct reply *reply);

#endif
