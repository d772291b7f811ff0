/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot - all that a decision depends on besides the store and the request: policies with their
 * models resolved, the static list, and each worker's scratch sized for these models.
 *
 * A ranker's features are bound by name: those of the store, its own and defined ones
 * (featurestore/feature_reader.h), caller.score,
 * blend.score, source.<kind> (natural score of a source of the slot), pair.days and pair.age_s
 * (days the person bought the item on; seconds since the person's last event with it), and
 * request.<name> (the caller's own feature of the item).
 *
 * A ranker that is a blend (models/blend.h) is assembled for each slot and variant, of the models
 * that serve there.
 *
 * Immutable once published.  The loader builds a new one for every change, publishes it by one
 * pointer (serving_publish), waits for readers (rcu_wait) and destroys the old one.  Models are
 * shared between snapshots by a reference count that only the loader touches.
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
        BIND_NONE /* optional, and nothing supplies it */
    } from;
    uint32_t id;            /* source kind */
    struct feature feature; /* BIND_FEATURE; without its name, which goes with its definition */
    bool of_item;           /* differs from item to item */
    struct text name;       /* BIND_REQUEST: without the prefix; points into the model */
};

struct slot_models {
    const struct model *source[POLICY_SOURCES_MAX]; /* NULL: not loaded, or the source needs none */
    /* Which sums of the scratch are the source's, for those that have some. */
    uint8_t place[POLICY_SOURCES_MAX];
    const struct model *ranker;
    struct model *blend; /* owned: the ranker, where it is a blend, as it is assembled; or NULL */
    const struct model *prices;
    struct rank_binding *binding; /* one per feature of the ranker; owned */
    bool missing;                 /* a model that the policy names is not loaded */
    bool ranker_missing, prices_missing;
    uint32_t trials;                   /* bits: the trials whose models have a part in this slot */
    char policy[2 * MODEL_NAME_BYTES]; /* "home@builtin" */
};

/* Places of sums: first those by row of a model, then those by item number. */
#define SNAPSHOT_PLACES_MAX POLICY_SOURCES_MAX

/* Per worker: arrays as long as the largest model has rows, and some as long as the store may have
 * items (resident as far as there are items). */
struct worker_scratch {
    float *sum[SNAPSHOT_PLACES_MAX];        /* natural scores, all zero between requests */
    uint32_t *touched[SNAPSHOT_PLACES_MAX]; /* the places of `sum` that are not zero */
    /* By item number, item_count_max places and up to a whole cache line; all zero between
     * requests: the exact sum of what all sources but factors add, and an upper bound of what
     * factors add. */
    float *blend, *upper;
    float *block_best; /* of both together, for each block of items; of one request */
};

/* A version that decisions about some people use in the place of the stable one of its name. */
struct snapshot_trial {
    const struct model *stable; /* one of the models of the snapshot */
    const struct model *model;  /* of the same name and kind; borrowed */
    uint32_t share_e4;          /* of the people, in parts of 10,000 */
    struct tally *tally;        /* borrowed; NULL: nothing is counted */
    uint64_t seed;              /* set by snapshot_build: who is in, see trial.h */
};

/* The policies' models with some trials in the place of the stable ones: bit t of its number says
 * whether trial t is. */
struct snapshot_variant {
    struct slot_models *slot;    /* owned, as many as the policies have */
    const struct model *similar; /* first neighbors model: for `similar` when its slot has none */
    const struct model
        *popularity; /* first popularity model: for `generic` when the store is empty */
};

struct snapshot {
    uint64_t epoch;
    struct policy_set *policies; /* owned */
    /* Borrowed: what the features were bound to and are read from; NULL: those in force in the
     * store. */
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
    uint32_t place_count; /* as many as the slot needs that needs most */
    uint32_t worker_count;
    struct worker_scratch *scratch; /* owned, worker_count of them */
    void *scratch_memory;           /* owned, one mapping behind all of them */
    size_t scratch_bytes;
};

struct snapshot_spec {
    uint64_t epoch;
    struct policy_set *policies; /* taken over on success */
    struct model *const *models;
    uint32_t model_count;
    const struct snapshot_trial *trials;
    uint32_t trial_count;
    const struct text *static_ids;
    uint32_t static_count;
    uint32_t worker_count;
    uint32_t item_count_max;            /* as many items as the store may ever hold */
    const struct store *store;          /* whose features a ranker may name */
    const struct feature_set *features; /* see above */
    const struct snapshot *before;      /* whose lists may be taken over; NULL: none */
    struct list_stop list_stop;
};

/* A model that a policy names and that is not among the models is no error (the ladder answers
 * `no_model`); one of the wrong kind, or a ranker with a feature that nobody knows and that the
 * request cannot supply, is: ERR_BAD_INPUT. */
MUST_CHECK enum err_code snapshot_build(const struct snapshot_spec *spec,
                                        struct snapshot **ret_snapshot, struct err *err);
void snapshot_destroy(struct snapshot **snapshot); /* not the models */

/* Whether every model that a policy names is there, of a snapshot that serves no one yet;
 * ERR_BAD_INPUT names the first slot and model that is not. */
MUST_CHECK enum err_code snapshot_check_models(const struct snapshot *snapshot, struct err *err);

/* Makes the lists of the policies anew and publishes them.  On the loader, outside of
 * rcu_read_begin/end; the snapshot may be in use.  ERR_NOMEM, ERR_BUSY: those of before
 * stay. */
MUST_CHECK enum err_code snapshot_refresh_lists(struct snapshot *snapshot,
                                                const struct store *store, struct err *err);
/* Inside rcu_read_begin/end. */
static inline const struct list_set *snapshot_lists(const struct snapshot *snapshot)
{
    /* Acquire: whoever sees the set sees all that stands in it. */
    return atomic_load_explicit(&snapshot->lists, memory_order_acquire);
}

/* The models that serve, stable ones first, then those of trials; NULL behind the last. */
static inline const struct model *snapshot_model(const struct snapshot *snapshot, uint32_t index)
{
    if (index < snapshot->model_count)
        return snapshot->model[index];
    index -= snapshot->model_count;
    return index < snapshot->trial_count ? snapshot->trial[index].model : NULL;
}

/* Whether every feature of a ranker is one that something supplies in some slot; ERR_BAD_INPUT
 * names the first that is not. */
MUST_CHECK enum err_code snapshot_check_features(const struct model *ranker,
                                                 const struct store *store, struct err *err);

struct serving {
    _Atomic(struct snapshot *) current;
};

/* Returns the one that was current; the caller destroys it after rcu_wait. */
static inline struct snapshot *serving_publish(struct serving *serving, struct snapshot *snapshot)
{
    /* Release: a reader that sees the pointer sees all that was built behind it. */
    return atomic_exchange_explicit(&serving->current, snapshot, memory_order_acq_rel);
}

static inline const struct snapshot *serving_current(const struct serving *serving)
{
    return atomic_load_explicit(&serving->current, memory_order_acquire);
}

#endif
