/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "server/decide/pipeline.h"
#include "server/metrics.h"

/* One item in front of the ranker. */
struct ranked {
    struct feature_reader *reader;    /* stands at the item */
    uint32_t item;                    /* IDMAP_NONE for an id that the store does not know */
    double caller_score;              /* NaN when not given */
    double blend_score;               /* NaN when there is none */
    uint32_t position;                /* in the history, + 1; 0 when it is not there */
    const struct request_item *asked; /* NULL outside `rank` */
};

static double request_feature(const struct ranked *ranked, struct text name)
{
    if (ranked->asked == NULL)
        return NAN;
    for (uint32_t i = 0; i < ranked->asked->feature_count; i++) {
        if (text_equal(ranked->asked->features[i].name, name))
            return ranked->asked->features[i].value;
    }
    return NAN;
}

static double pair_feature(const struct pipeline *p, const struct rank_binding *binding,
                           uint32_t position)
{
    if (position == 0)
        return binding->from == BIND_PAIR_DAYS ? 0.0 : NAN;
    if (binding->from == BIND_PAIR_DAYS)
        return p->history.days[position - 1];
    return (double)(store_watermark_ms(p->env->store) / 1000 - p->history.last_s[position - 1]);
}

static double value_of(const struct pipeline *p, const struct rank_binding *binding,
                       const struct ranked *ranked)
{
    switch (binding->from) {
    case BIND_FEATURE: return feature_value(ranked->reader, &binding->feature);
    case BIND_CALLER_SCORE: return ranked->caller_score;
    case BIND_BLEND_SCORE: return ranked->blend_score;
    case BIND_SOURCE: return source_natural(p, binding->id, ranked->item, ranked->position);
    case BIND_PAIR_DAYS:
    case BIND_PAIR_AGE_S: return pair_feature(p, binding, ranked->position);
    case BIND_REQUEST: return request_feature(ranked, binding->name);
    }
    return NAN;
}

static float ranker_score(const struct pipeline *p, const struct ranked *ranked, double *values,
                          bool *ret_good)
{
    const struct linear *linear = p->models->ranker->as.linear;
    uint32_t count = linear_feature_count(linear);
    feature_reader_item(ranked->reader, ranked->item);
    for (uint32_t i = 0; i < count; i++) {
        if (p->models->binding[i].of_item)
            values[i] = value_of(p, &p->models->binding[i], ranked);
    }
    double score = linear_score(linear, values);
    *ret_good = *ret_good && isfinite(score);
    return finite_score(score);
}

/* A row of features, with those in place that are the same for all items; NULL without a ranker or
 * room. */
static double *feature_row(struct pipeline *p, struct feature_reader *reader)
{
    if (p->models->ranker == NULL)
        return NULL;
    const struct text nobody = {NULL, 0};
    const struct feature_asker asker = {.user = p->is_hidden ? nobody : p->request->user,
                                        .anon = p->is_hidden ? nobody : p->request->anon,
                                        .query = p->request->query,
                                        .slot = text_of(p->slot->name),
                                        .history = &p->history};
    uint32_t count = linear_feature_count(p->models->ranker->as.linear);
    double *values = ARENA_NEW(p->arena, double, count);
    feature_reader_begin(reader, p->env->store, &asker);
    for (uint32_t i = 0; values != NULL && i < count; i++) {
        const struct rank_binding *binding = &p->models->binding[i];
        if (!binding->of_item)
            values[i] = feature_value(reader, &binding->feature);
    }
    return values;
}

/* ---- what is kept for the log ---------------------------------------------------------------- */

static uint32_t feature_count(const struct pipeline *p)
{
    return linear_feature_count(p->models->ranker->as.linear);
}

/* Without room the decision is made all the same, and logged without features. */
static double *make_kept_rows(struct pipeline *p, uint32_t item_count)
{
    if (!p->env->keep_features)
        return NULL;
    double *kept = ARENA_NEW(p->arena, double, (size_t)feature_count(p) * item_count);
    if (kept != NULL)
        p->out->ranker = p->models->ranker;
    return kept;
}

static double *kept_row(const struct pipeline *p, double *kept, uint32_t index)
{
    return kept == NULL ? NULL : kept + (size_t)index * feature_count(p);
}

static void keep(const struct pipeline *p, double *kept, uint32_t index, const double *values)
{
    if (kept != NULL)
        memcpy(kept_row(p, kept, index), values, feature_count(p) * sizeof *values);
}

const double *rank_features_of(const struct pipeline *p, uint32_t item)
{
    for (uint32_t i = 0; p->kept_rows != NULL && i < p->chosen_count; i++) {
        if (p->chosen[i].item == item)
            return kept_row(p, p->kept_rows, i);
    }
    return NULL;
}

/* ---- ranking --------------------------------------------------------------------------------- */

bool rank_candidates(struct pipeline *p, bool *ret_good)
{
    struct feature_reader reader;
    double *values = feature_row(p, &reader);
    if (values == NULL)
        return false;
    p->kept_rows = make_kept_rows(p, p->chosen_count);
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        struct candidate *candidate = &p->chosen[i];
        struct ranked ranked = {.reader = &reader,
                                .item = candidate->item,
                                .position = subject_position(p, candidate->item),
                                .caller_score = NAN,
                                .blend_score = candidate->score};
        candidate->score = ranker_score(p, &ranked, values, ret_good);
        keep(p, p->kept_rows, i, values);
    }
    p->ranked = true;
    pipeline_use_model(p, p->models->ranker);
    pipeline_stage(p, STAGE_RANK);
    return true;
}

static double blend_of(const struct pipeline *p, uint32_t item, uint32_t position)
{
    double blend = 0.0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        blend += p->slot->source[s].weight * source_natural(p, s, item, position);
    return blend;
}

/* Those of the dense sources were noted when they scored. */
static void use_popularity_models(struct pipeline *p)
{
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].kind == SOURCE_model_popular && p->models->source[s] != NULL)
            pipeline_use_model(p, p->models->source[s]);
    }
}

/* Unlike pipeline_emit it takes what it is given: the caller may name an item twice. */
static void emit_asked(struct pipeline *p, uint32_t index, float score, const double *features)
{
    struct text id = p->request->items[index].id;
    p->out->items[p->out->count++] = (struct decision_item){
        .item = store_item_find(p->env->store, id), .id = id, .score = score, .features = features};
}

bool rank_callers_items(struct pipeline *p, bool use_ranker, bool *ret_good)
{
    struct feature_reader reader;
    double *values = use_ranker ? feature_row(p, &reader) : NULL;
    uint32_t count = p->request->item_count;
    struct top top = top_make(p->arena, p->wanted < count ? p->wanted : count);
    bool ranks = values != NULL && top.slot != NULL;
    double *kept = ranks ? make_kept_rows(p, count) : NULL;
    for (uint32_t i = 0; i < count && ranks; i++) {
        const struct request_item *asked = &p->request->items[i];
        struct ranked ranked = {.reader = &reader,
                                .item = store_item_find(p->env->store, asked->id),
                                .caller_score = asked->score,
                                .asked = asked};
        ranked.position = subject_position(p, ranked.item);
        ranked.blend_score = blend_of(p, ranked.item, ranked.position);
        float score = ranker_score(p, &ranked, values, ret_good);
        keep(p, kept, i, values);
        if (top_wants(&top, score, i))
            top_put(&top, score, i);
    }
    if (ranks) {
        use_popularity_models(p);
        pipeline_use_model(p, p->models->ranker);
        top_sort(&top);
        for (uint32_t i = 0; i < top.count; i++)
            emit_asked(p, top.slot[i].key, top.slot[i].score, kept_row(p, kept, top.slot[i].key));
    } else {
        for (uint32_t i = 0; i < count && i < p->wanted; i++) {
            double score = p->request->items[i].score;
            emit_asked(p, i, isnan(score) ? 0.0f : finite_score(score), NULL);
        }
    }
    pipeline_stage(p, STAGE_RANK);
    return ranks || !use_ranker;
}
