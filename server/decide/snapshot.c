/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "models/blend.h"
#include "server/decide/snapshot_internal.h"
#include "server/decide/trial.h"

/* A set of model kinds. */
#define KIND(kind)   (1u << (kind))
#define RANKER_KINDS (KIND(MODEL_linear) | KIND(MODEL_trees) | KIND(MODEL_mlp) | KIND(MODEL_blend))

/* The model at `index` in the variant: the stable one, or the trial that replaces it. */
static const struct model *model_of(const struct snapshot *snapshot, uint32_t variant,
                                    uint32_t index)
{
    for (uint32_t t = 0; t < snapshot->trial_count; t++) {
        if ((variant >> t & 1) != 0 && snapshot->trial[t].stable == snapshot->model[index])
            return snapshot->trial[t].model;
    }
    return snapshot->model[index];
}

static const struct model *first_of_kind(const struct snapshot *snapshot, uint32_t variant,
                                         uint32_t kinds)
{
    const struct model *first = NULL;
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        const struct model *model = model_of(snapshot, variant, i);
        if ((kinds & KIND(model->kind)) != 0 &&
            (first == NULL || strcmp(model->name, first->name) < 0))
            first = model;
    }
    return first;
}

static const char *lowest_name(uint32_t kinds)
{
    return model_kind_name((enum model_kind)__builtin_ctz(kinds));
}

/* "": none, and none missing.  "*": the first of the kind; if there is none, none is missing. */
static enum err_code find_model(const struct snapshot *snapshot, uint32_t variant, const char *slot,
                                const char *name, uint32_t kinds, const struct model **ret_model,
                                bool *ret_missing, struct err *err)
{
    *ret_model = NULL;
    *ret_missing = false;
    if (name[0] == '\0')
        return ERR_OK;
    if (strcmp(name, "*") == 0) {
        *ret_model = first_of_kind(snapshot, variant, kinds);
        return ERR_OK;
    }
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        const struct model *model = model_of(snapshot, variant, i);
        if (strcmp(model->name, name) != 0)
            continue;
        if ((kinds & KIND(model->kind)) == 0)
            return err_set(
                err, ERR_BAD_INPUT, "slot %s: model %s: expected kind %s, got %s", slot, name,
                kinds == RANKER_KINDS ? "linear, trees, mlp or blend" : lowest_name(kinds),
                model_kind_name(model->kind));
        *ret_model = model;
        return ERR_OK;
    }
    *ret_missing = true;
    return ERR_OK;
}

static const struct model *find_named(const struct snapshot *snapshot, uint32_t variant,
                                      const char *name)
{
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        if (strcmp(snapshot->model[i]->name, name) == 0)
            return model_of(snapshot, variant, i);
    }
    return NULL;
}

/* A missing part without a default makes the whole blend missing. */
static enum err_code assemble_blend(const struct snapshot *snapshot, uint32_t variant,
                                    struct slot_models *models, struct err *err)
{
    const struct model *part[BLEND_PARTS_MAX];
    const struct model *blend = models->ranker;
    for (uint32_t i = 0; i < blend_part_count(blend); i++)
        part[i] = find_named(snapshot, variant, blend_part_at(blend, i)->model);
    enum err_code rc = blend_assemble(blend, part, &models->blend, err);
    models->ranker = models->blend;
    models->ranker_missing = rc == ERR_NOT_FOUND;
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* The bit set of trials among these models. */
static uint32_t trials_of(const struct snapshot *snapshot, const struct slot_models *models,
                          const struct snapshot_variant *variant)
{
    uint32_t trials = 0;
    for (uint32_t t = 0; t < snapshot->trial_count; t++) {
        const struct model *model = snapshot->trial[t].stable;
        bool has_part = (models->blend != NULL && blend_has(models->blend, model)) ||
                        model == models->ranker || model == models->prices ||
                        model == variant->similar || model == variant->popularity;
        for (uint32_t s = 0; s < POLICY_SOURCES_MAX; s++)
            has_part = has_part || model == models->source[s];
        trials |= has_part ? 1u << t : 0;
    }
    return trials;
}

static enum err_code resolve_slot(struct snapshot *snapshot, const struct store *store,
                                  uint32_t variant, uint32_t index, struct err *err)
{
    static const enum model_kind kinds[SOURCE_KIND_COUNT] = {
        [SOURCE_neighbors] = MODEL_neighbors,      [SOURCE_factors] = MODEL_factors,
        [SOURCE_model_popular] = MODEL_popularity, [SOURCE_cart] = MODEL_neighbors,
        [SOURCE_embeddings] = MODEL_embeddings,
    };
    const struct policy_slot *slot = &snapshot->policies->slot[index];
    struct slot_models *models = &snapshot->variant[variant].slot[index];
    uint8_t place = 0;
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < slot->source_count && rc == ERR_OK; i++) {
        bool missing = false;
        enum policy_source_kind kind = slot->source[i].kind;
        rc = find_model(snapshot, variant, slot->name, slot->source[i].model, KIND(kinds[kind]),
                        &models->source[i], &missing, err);
        models->missing |= missing;
        if (policy_sums_items(kind))
            models->place[i] = place++;
    }
    if (rc == ERR_OK)
        rc = find_model(snapshot, variant, slot->name, slot->ranker, RANKER_KINDS, &models->ranker,
                        &models->ranker_missing, err);
    if (rc == ERR_OK && models->ranker != NULL && models->ranker->kind == MODEL_blend)
        rc = assemble_blend(snapshot, variant, models, err);
    if (rc == ERR_OK)
        rc = find_model(snapshot, variant, slot->name, slot->prices, KIND(MODEL_prices),
                        &models->prices, &models->prices_missing, err);
    if (rc == ERR_OK)
        rc = snapshot_bind_ranker(slot, store, models, err);
    snprintf(models->policy, sizeof models->policy, "%s@%s", slot->name,
             snapshot->policies->version);
    return rc;
}

static enum err_code resolve_variant(struct snapshot *snapshot, const struct store *store,
                                     uint32_t index, struct err *err)
{
    struct snapshot_variant *variant = &snapshot->variant[index];
    enum err_code rc = ERR_OK;
    variant->similar = first_of_kind(snapshot, index, KIND(MODEL_neighbors));
    variant->popularity = first_of_kind(snapshot, index, KIND(MODEL_popularity));
    variant->slot = calloc(snapshot->policies->slot_count, sizeof *variant->slot);
    if (variant->slot == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the models of %u slots",
                       snapshot->policies->slot_count);
    for (uint32_t i = 0; i < snapshot->policies->slot_count && rc == ERR_OK; i++)
        rc = resolve_slot(snapshot, store, index, i, err);
    for (uint32_t i = 0; i < snapshot->policies->slot_count && rc == ERR_OK; i++)
        variant->slot[i].trials =
            trials_of(snapshot, &snapshot->variant[0].slot[i], &snapshot->variant[0]);
    return rc;
}

enum err_code snapshot_refresh_lists(struct snapshot *snapshot, const struct store *store,
                                     struct err *err)
{
    struct list_set *set = NULL;
    enum err_code rc = lists_make(snapshot->policies, store,
                                  (struct lists_before){snapshot_lists(snapshot), false},
                                  snapshot->list_stop, &set, err);
    if (rc != ERR_OK)
        return rc;
    /* Release: see snapshot_lists. */
    struct list_set *old = atomic_exchange_explicit(&snapshot->lists, set, memory_order_acq_rel);
    rcu_wait();
    lists_destroy(&old);
    return ERR_OK;
}

static enum err_code copy_static(struct snapshot *snapshot, const struct snapshot_spec *spec,
                                 struct err *err)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < spec->static_count; i++)
        bytes += spec->static_ids[i].len;
    snapshot->static_text = malloc(bytes);
    snapshot->static_ids = calloc((size_t)spec->static_count + 1, sizeof *snapshot->static_ids);
    if (snapshot->static_text == NULL || snapshot->static_ids == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the static list");
    char *next = snapshot->static_text;
    for (uint32_t i = 0; i < spec->static_count; i++) {
        struct text id = spec->static_ids[i];
        memcpy(next, id.ptr, id.len);
        snapshot->static_ids[i] = (struct text){next, id.len};
        next += id.len;
    }
    snapshot->static_count = spec->static_count;
    return ERR_OK;
}

enum err_code snapshot_build(const struct snapshot_spec *spec, struct snapshot **ret_snapshot,
                             struct err *err)
{
    if (spec->model_count > SNAPSHOT_MODELS_MAX)
        return err_set(err, ERR_LIMIT, "expected at most %d models, got %u", SNAPSHOT_MODELS_MAX,
                       spec->model_count);
    if (spec->trial_count > SNAPSHOT_TRIALS_MAX)
        return err_set(err, ERR_LIMIT, "expected at most %d versions on trial, got %u",
                       SNAPSHOT_TRIALS_MAX, spec->trial_count);
    struct snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a snapshot");
    snapshot->epoch = spec->epoch;
    snapshot->features = spec->features;
    snapshot->list_stop = spec->list_stop;
    snapshot->worker_count = spec->worker_count > 0 ? spec->worker_count : 1;
    snapshot->model_count = spec->model_count;
    for (uint32_t i = 0; i < spec->model_count; i++)
        snapshot->model[i] = spec->models[i];
    snapshot->trial_count = spec->trial_count;
    for (uint32_t t = 0; t < spec->trial_count; t++) {
        snapshot->trial[t] = spec->trials[t];
        snapshot->trial[t].seed = trial_seed(spec->trials[t].model->name);
    }
    snapshot->policies = spec->policies;
    snapshot->slot_count = spec->policies->slot_count;
    snapshot_count_places(snapshot);
    enum err_code rc = copy_static(snapshot, spec, err);
    for (uint32_t i = 0; i < 1u << snapshot->trial_count && rc == ERR_OK; i++)
        rc = resolve_variant(snapshot, spec->store, i, err);
    if (rc == ERR_OK)
        rc = snapshot_make_scratch(snapshot, spec->item_count_max, err);
    struct list_set *lists = NULL;
    struct lists_before before = {.however_old = true}; /* it is made anew soon */
    if (spec->before != NULL)
        before.set = snapshot_lists(spec->before);
    if (rc == ERR_OK)
        rc = lists_make(snapshot->policies, spec->store, before, spec->list_stop, &lists, err);
    atomic_init(&snapshot->lists, lists);
    if (rc != ERR_OK) {
        snapshot->policies = NULL; /* stays with the caller */
        snapshot_destroy(&snapshot);
        return rc;
    }
    *ret_snapshot = snapshot;
    return ERR_OK;
}

static enum err_code refuse_missing(const struct policy_slot *slot, const char *what,
                                    const char *name, struct err *err)
{
    return err_set(err, ERR_BAD_INPUT,
                   "slot %s: %s names the model '%s', of which no version serves", slot->name, what,
                   name);
}

enum err_code snapshot_check_models(const struct snapshot *snapshot, struct err *err)
{
    for (uint32_t i = 0; i < snapshot->slot_count; i++) {
        const struct policy_slot *slot = &snapshot->policies->slot[i];
        const struct slot_models *models = &snapshot->variant[0].slot[i];
        for (uint32_t s = 0; s < slot->source_count && models->missing; s++) {
            const char *name = slot->source[s].model;
            if (models->source[s] == NULL && name[0] != '\0' && strcmp(name, "*") != 0)
                return refuse_missing(slot, slot->source[s].label, name, err);
        }
        if (models->ranker_missing && models->blend != NULL)
            return err_set(err, ERR_BAD_INPUT,
                           "slot %s: ranker names the blend '%s', which lacks a part", slot->name,
                           slot->ranker);
        if (models->ranker_missing)
            return refuse_missing(slot, "ranker", slot->ranker, err);
        if (models->prices_missing)
            return refuse_missing(slot, "prices", slot->prices, err);
    }
    return ERR_OK;
}

static void free_variant(struct snapshot_variant *variant, uint32_t slot_count)
{
    for (uint32_t i = 0; i < slot_count && variant->slot != NULL; i++) {
        free(variant->slot[i].binding);
        blend_release(&variant->slot[i].blend);
    }
    free(variant->slot);
}

void snapshot_destroy(struct snapshot **snapshot)
{
    struct snapshot *old = *snapshot;
    *snapshot = NULL;
    if (old == NULL)
        return;
    for (uint32_t i = 0; i < SNAPSHOT_VARIANTS_MAX; i++)
        free_variant(&old->variant[i], old->slot_count);
    struct list_set *lists = atomic_load_explicit(&old->lists, memory_order_relaxed);
    lists_destroy(&lists);
    policy_destroy(&old->policies);
    free(old->static_text);
    free(old->static_ids);
    snapshot_free_scratch(old);
    free(old);
}
