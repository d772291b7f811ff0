/* SPDX-License-Identifier: Apache-2.0 */
/* The operation `similar`. */
#include "server/decide/pipeline.h"
#include "server/metrics.h"

/* Emits the items with the best of these sums. */
static void emit_best(struct pipeline *p, uint32_t place, const char *source)
{
    struct top top = pipeline_top(p, p->rules == NULL ? p->wanted : pipeline_depth(p));
    struct summed summed = sources_summed(p, place);
    for (uint32_t i = 0; i < summed.count; i++) {
        uint32_t item = summed.item != NULL ? summed.item[i] : i;
        float score = p->scratch->sum[place][item];
        if (score != 0.0f && top_wants(&top, score, item) && eligible(p, item))
            top_put(&top, score, item);
    }
    top_sort(&top);
    for (uint32_t i = 0; i < top.count; i++)
        (void)pipeline_emit(p, top.slot[i].key, top.slot[i].score, source);
}

/* The first source of that kind; source_count: the slot has none. */
static uint32_t first_source(const struct pipeline *p, enum policy_source_kind kind)
{
    uint32_t s = 0;
    while (s < p->slot->source_count && p->slot->source[s].kind != kind)
        s++;
    return s;
}

/* The model of the first source of that kind whose model is loaded, or NULL. */
static const struct model *first_model(const struct pipeline *p, enum policy_source_kind kind)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].kind == kind && p->models->source[s] != NULL)
            return p->models->source[s];
    }
    return NULL;
}

/* The neighbors model to use: the slot's, else the first one loaded, unless the slot uses only
 * content. */
static const struct model *neighbors_for_similar(const struct pipeline *p)
{
    const struct model *own = first_model(p, SOURCE_neighbors);
    if (own != NULL)
        return own;
    bool by_content = (first_source(p, SOURCE_content) < p->slot->source_count ||
                       first_model(p, SOURCE_embeddings) != NULL) &&
                      first_source(p, SOURCE_neighbors) == p->slot->source_count;
    return by_content ? NULL : p->variant->similar;
}

static void emit_neighbors(struct pipeline *p, const struct model *model)
{
    sources_sum_neighbors(p, model, 0, p->seed, NULL, p->seed_count);
    pipeline_model_end(p, model, true);
    emit_best(p, 0, "neighbors");
    if (p->out->count > 0)
        pipeline_use_model(p, model);
}

/* Appends similar items by vectors.  False: the model's breaker is open. */
static bool emit_by_vectors(struct pipeline *p, const struct model *model, const char *source)
{
    struct factors_found found;
    uint32_t before = p->out->count;
    uint32_t depth = before + (p->rules == NULL ? p->wanted : pipeline_depth(p));
    if (!pipeline_model_begin(p, model))
        return false;
    bool is_found = retrieve_similar(p, model, depth, &found);
    pipeline_model_end(p, model, true);
    if (is_found)
        retrieve_tell(p, model, &found);
    for (uint32_t i = 0; is_found && i < found.top.count; i++) {
        if (found.top.slot[i].score != 0.0f)
            (void)pipeline_emit(p, found.top.slot[i].key, found.top.slot[i].score, source);
    }
    if (p->out->count > before)
        pipeline_use_model(p, model);
    return true;
}

/* The last resort: what a person with these items as history would get. */
static void similar_by_factors(struct pipeline *p, const struct model *model)
{
    bool is_open = !emit_by_vectors(p, model, "factors");
    pipeline_stage(p, STAGE_CANDIDATES);
    if (p->out->count == 0)
        ladder_descend(p, LEVEL_generic,
                       is_open      ? REASON_breaker
                       : p->no_room ? REASON_overload
                                    : REASON_no_candidates);
    else if (p->out->count < p->wanted)
        ladder_fill_generic(p);
}

/* Neighbors of the caller's items, followed by similar items if the slot has such a source.  The
 * person's data is used only to exclude items. */
void similar_answer(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = pipeline_best_level(p, &reason);
    const struct model *model = neighbors_for_similar(p);
    uint32_t content = first_source(p, SOURCE_content);
    bool has_content = content < p->slot->source_count;
    const struct model *embeddings = first_model(p, SOURCE_embeddings);
    const struct model *factors = first_model(p, SOURCE_factors);
    bool asks_nobody = model == NULL && !has_content && embeddings == NULL;
    if (level < LEVEL_cached && asks_nobody && factors != NULL) {
        p->out->level = level;
        p->out->reason = reason;
        similar_by_factors(p, factors);
        return;
    }
    if (level >= LEVEL_cached || asks_nobody) {
        bool lowered = level >= LEVEL_cached;
        ladder_descend(p, lowered ? level : LEVEL_generic, lowered ? reason : REASON_no_model);
        return;
    }
    p->out->level = level;
    p->out->reason = reason;
    bool is_open = model != NULL && !pipeline_model_begin(p, model);
    if (is_open && !has_content && embeddings == NULL) {
        ladder_descend(p, LEVEL_generic, REASON_breaker);
        return;
    }
    if (model != NULL && !is_open)
        emit_neighbors(p, model);
    if (has_content && p->out->count < p->wanted) {
        sources_sum_content(p, content, p->seed, NULL, p->seed_count);
        emit_best(p, p->models->place[content], "content");
    }
    if (embeddings != NULL && p->out->count < p->wanted)
        is_open = !emit_by_vectors(p, embeddings, "embeddings") || is_open;
    pipeline_stage(p, STAGE_CANDIDATES);
    if (p->out->count == 0) {
        enum reason why = p->no_room ? REASON_overload
                          : is_open  ? REASON_breaker
                                     : REASON_no_candidates;
        ladder_descend(p, LEVEL_generic, why);
        return;
    }
    if (p->out->count < p->wanted)
        ladder_fill_generic(p);
}
