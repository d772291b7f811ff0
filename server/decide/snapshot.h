/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - everything that a decision depends on besides the store and the request: policies with
 * their models resolved, the static list, and each worker's scratch memory, sized for these models.
 *
 * A ranker's features are bound by name: those of the store, built in or defined
 * (featurestore/feature_reader.h), caller.score, blend.score, source.<kind> (natural score of a
 * source of the slot), pair.days and pair.age_s (number of days on which the person bought the
 * item; seconds since the person's last event with it), and request.<name> (the caller's own
 * feature of the item).
 *
 * A ranker that is a blend (models/blend.h) is assembled for each slot and variant from the models
 * serving there.
 *
 * Immutable once published, except for `lists`.  For every change the loader builds a new one,
 * publishes it by swapping one pointer (serving_publish), waits for readers (rcu_wait) and destroys
 * the old one.  Models are shared between snapshots by a reference count that only the loader
 * touches.
 *
 * Threads: build, publish, destroy on the loader; read by workers inside rcu_read_begin/end. */
#ifndef SERVER_DECIDE_SNAPSHOT_H
#define SERVER_DECIDE_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "featurestore/feature_reader.h"
#include "models/model.h"
#include "server/decide/lists.h"
#include "server/decide/policy.h"

#define SNAPSHOT_MODELS_MAX   64
#define SNAPSHOT_TRIALS_MAX   3
#define SNAPSHOT_VARIANTS_MAX (1 << SNAPSHOT_TRIALS_MAX)

struct tally; /* server/decide/tally.h */

/* Where the value of a ranker's feature comes from; resolved once at build. */
struct rank_binding {
    enum {
        BIND_FEATURE,
        BIND_CALLER_SCORE,
        BIND_BLEND_SCORE,
        BIND_SOURCE,
        BIND_PAIR_DAYS,
        BIND_PAIR_AGE_S,
        BIND_REQUEST,
        BIND_NONE /* an optional feature that nothing supplies */
    } from;
    uint32_t id;            /* source kind */
    struct feature feature; /* BIND_FEATURE; without its name, which its definition owns */
    bool of_item;           /* depends on the item */
    struct text name;       /* BIND_REQUEST: without the prefix; points into the model */
};

struct slot_models {
    const struct model *source[POLICY_SOURCES_MAX]; /* NULL: not loaded, or the source needs none */
    /* For sources with sums: their index in the worker's scratch. */
    uint8_t place[POLICY_SOURCES_MAX];
    const struct model *ranker;
    struct model *blend; /* owned: the assembled ranker if it is a blend, else NULL */
    const struct model *prices;
    struct rank_binding *binding; /* one per feature of the ranker; owned */
    bool missing;                 /* a model named by the policy is not loaded */
    bool ranker_missing, prices_missing;
    uint32_t trials;                   /* bit set of the trials whose models this slot uses */
    char policy[2 * MODEL_NAME_BYTES]; /* "home@builtin" */
};

/* Places of sums in the scratch: first those by model row, then those by item number. */
#define SNAPSHOT_PLACES_MAX POLICY_SOURCES_MAX

/* Per worker: arrays with one entry per row of the largest model, or one per item that the store
 * may hold (resident only as far as there are items). */
struct worker_scratch {
    float *sum[SNAPSHOT_PLACES_MAX];        /* natural scores, all zero between requests */
    uint32_t *touched[SNAPSHOT_PLACES_MAX]; /* the indexes of non-zero entries of `sum` */
    /* By item number, item_count_max entries rounded up to a whole cache line; all zero between
     * requests.  blend: the exact sum over all sources but factors; upper: an upper bound of what
     * factors add. */
    float *blend, *upper;
    float *block_best; /* the largest blend + upper of each block of items; valid per request */
};

/* A version that decisions about some people use instead of the stable one of the same name. */
struct snapshot_trial {
    const struct model *stable; /* one of the models of the snapshot */
    const struct model *model;  /* of the same name and kind; borrowed */
    uint32_t share_e4;          /* share of the people, in units of 1/10,000 */
    struct tally *tally;        /* borrowed; NULL: nothing is counted */
    uint64_t seed;              /* set by snapshot_build: selects the people, see trial.h */
};

/* The policies' models with a subset of the trials replacing the stable ones: trial t is in the
 * variant if bit t of the variant's index is set. */
struct snapshot_variant {
    struct slot_models *slot;    /* owned; one per slot of the policies */
    const struct model *similar; /* first neighbors model: for `similar` if its slot has none */
    const struct model
        *popularity; /* first popularity model: for `generic` when the store is empty */
};

struct snapshot {
    uint64_t epoch;
    struct policy_set *policies; /* owned */
    /* Borrowed: the definitions that features were bound to and are read from; NULL: those in force
     * in the store. */
    const struct feature_set *features;
    struct snapshot_variant variant[SNAPSHOT_VARIANTS_MAX]; /* the first 1 << trial_count */
    uint32_t slot_count;                                    /* of the policies */
    uint32_t trial_count;
    struct snapshot_trial trial[SNAPSHOT_TRIALS_MAX];
    uint32_t model_count;
    struct model *model[SNAPSHOT_MODELS_MAX]; /* stable ones; borrowed from the registry */
    char *static_text;                        /* owned; the ids below point into it */
    struct text *static_ids;                  /* owned */
    uint32_t static_count;
    /* Owned; replaced by snapshot_refresh_lists. */
    _Atomic(struct list_set *) lists;
    struct list_stop list_stop;
    uint32_t place_count; /* the maximum over slots */
    uint32_t worker_count;
    struct worker_scratch *scratch; /* owned, worker_count of them */
    void *scratch_memory;           /* owned, one mapping behind all of them */
    size_t scratch_bytes;
};

struct snapshot_spec {
    uint64_t epoch;
    struct policy_set *policies; /* ownership passes on success */
    struct model *const *models;
    uint32_t model_count;
    const struct snapshot_trial *trials;
    uint32_t trial_count;
    const struct text *static_ids;
    uint32_t static_count;
    uint32_t worker_count;
    uint32_t item_count_max;            /* the store's limit */
    const struct store *store;          /* for binding features by name */
    const struct feature_set *features; /* as in struct snapshot */
    const struct snapshot *before;      /* whose lists may be reused; NULL: none */
    struct list_stop list_stop;
};

/* ERR_BAD_INPUT: a model of the wrong kind, or a ranker with a feature that is unknown and that the
 * request cannot supply.  A model that a policy names and that is not loaded is no error: the
 * ladder answers `no_model`. */
MUST_CHECK enum err_code snapshot_build(const struct snapshot_spec *spec,
                                        struct snapshot **ret_snapshot, struct err *err);
void snapshot_destroy(struct snapshot **snapshot); /* not the models */

/* Checks, before publication, that every model that a policy names is loaded; ERR_BAD_INPUT names
 * the first slot and model that is not. */
MUST_CHECK enum err_code snapshot_check_models(const struct snapshot *snapshot, struct err *err);

/* Rebuilds the lists of the policies and publishes them.  On the loader, outside of
 * rcu_read_begin/end; the snapshot may be in use.  ERR_NOMEM, ERR_BUSY (stopped): the previous
 * lists stay. */
MUST_CHECK enum err_code snapshot_refresh_lists(struct snapshot *snapshot,
                                                const struct store *store, struct err *err);
/* Inside rcu_read_begin/end. */
static inline const struct list_set *snapshot_lists(const struct snapshot *snapshot)
{
    /* Acquire: a thread that sees the set also sees its content. */
    return atomic_load_explicit(&snapshot->lists, memory_order_acquire);
}

/* The serving models, stable ones first, then those of trials; NULL past the last. */
static inline const struct model *snapshot_model(const struct snapshot *snapshot, uint32_t index)
{
    if (index < snapshot->model_count)
        return snapshot->model[index];
    index -= snapshot->model_count;
    return index < snapshot->trial_count ? snapshot->trial[index].model : NULL;
}

/* Checks that every feature of a ranker is supplied by something in some slot; ERR_BAD_INPUT names
 * the first that is not. */
MUST_CHECK enum err_code snapshot_check_features(const struct model *ranker,
                                                 const struct store *store, struct err *err);

struct serving {
    _Atomic(struct snapshot *) current;
};

/* Returns the previous snapshot; the caller destroys it after rcu_wait. */
static inline struct snapshot *serving_publish(struct serving *serving, struct snapshot *snapshot)
{
    /* Release: a reader that sees the pointer also sees everything it leads to. */
    return atomic_exchange_explicit(&serving->current, snapshot, memory_order_acq_rel);
}

static inline const struct snapshot *serving_current(const struct serving *serving)
{
    return atomic_load_explicit(&serving->current, memory_order_acquire);
}

#endif
