/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "models/blend.h"
#include "models/ranker.h"
#include "server/decide/page_memo.h"
#include "server/decide/pipeline.h"
#include "server/metrics.h"

/* One item in front of the ranker. */
struct ranked {
    uint32_t item;                    /* IDMAP_NONE for an id that the store does not know */
    double caller_score;              /* NaN when not given */
    double blend_score;               /* NaN when there is none */
    uint32_t position;                /* in the history, + 1; 0 when it is not there */
    const struct request_item *asked; /* NULL outside `rank` */
};

/* A whole ranking: items come in groups, whose features are read one after the other. */
enum { GROUP_ITEMS = FEATURE_WINDOW_MAX };
_Static_assert((int)GROUP_ITEMS <= (int)PAGE_MEMO_GROUP, "a page keeps whole groups");

struct ranking {
    struct feature_reader reader;
    const struct model *ranker;
    const float *natural[POLICY_SOURCES_MAX]; /* of each of the chosen; NULL: not known yet */
    uint32_t first;                           /* of the chosen, in this group */
    uint32_t feature_count;
    uint32_t keys;  /* bits: of the features of items */
    double *shared; /* a row in which the values are that are the same for all items */
    double *kept;   /* a row of values for each item, for the log; NULL unless kept */
    double *group;  /* rows of one group, when they are not kept */
    float *plain;   /* `rank`: the score of each item before boosts */
    struct ranked ranked[GROUP_ITEMS];
    uint32_t item[GROUP_ITEMS];
    struct page_rows *page;      /* rows that slots before this one read; NULL: none are kept */
    uint32_t place[GROUP_ITEMS]; /* of each item in there */
    uint32_t unread[GROUP_ITEMS], unread_count; /* of the group: features are read of these */
    double score[GROUP_ITEMS];
    void *scratch; /* of the ranker */
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
    case BIND_FEATURE: break; /* of the reader */
    case BIND_NONE: break;
    case BIND_CALLER_SCORE: return ranked->caller_score;
    case BIND_BLEND_SCORE: return ranked->blend_score;
    case BIND_SOURCE: return source_natural(p, binding->id, ranked->item);
    case BIND_PAIR_DAYS:
    case BIND_PAIR_AGE_S: return pair_feature(p, binding, ranked->position);
    case BIND_REQUEST: return request_feature(ranked, binding->name);
    }
    return NAN;
}

/* ---- rows of features ------------------------------------------------------------------------ */

/* Without room for `kept` the decision is made all the same, and logged without features. */
static bool make_rows(struct pipeline *p, struct ranking *ranking, uint32_t item_count)
{
    size_t count = ranking->feature_count;
    ranking->shared = ARENA_NEW(p->arena, double, count);
    bool keep = p->env->keep_features || p->explains;
    ranking->kept = keep ? ARENA_NEW(p->arena, double, count *item_count) : NULL;
    ranking->group = ranking->kept == NULL ? ARENA_NEW(p->arena, double, count *GROUP_ITEMS) : NULL;
    ranking->scratch =
        arena_alloc(p->arena, ranker_scratch_bytes(ranking->ranker), RANKER_ALIGN_BYTES);
    if (ranking->kept != NULL)
        p->out->ranker = p->models->ranker;
    return ranking->shared != NULL && ranking->scratch != NULL &&
           (ranking->kept != NULL || ranking->group != NULL);
}

/* Features of an item by slot differ between slots: nothing is kept of a ranker that has some. */
static struct page_rows *rows_of_page(const struct pipeline *p)
{
    const struct model *ranker = p->models->ranker;
    if (p->env->memo == NULL)
        return NULL;
    for (uint32_t i = 0; i < ranker->feature_count; i++) {
        const struct rank_binding *binding = &p->models->binding[i];
        if (binding->of_item && binding->from == BIND_FEATURE &&
            feature_asks_for(&binding->feature) == LEFT_SLOT)
            return NULL;
    }
    return page_memo_rows(p->env->memo, ranker, p->is_hidden);
}

/* NULL without a ranker or room. */
static struct ranking *ranking_begin(struct pipeline *p, uint32_t item_count)
{
    if (p->models->ranker == NULL)
        return NULL;
    struct ranking *ranking = ARENA_NEW(p->arena, struct ranking, 1);
    if (ranking == NULL)
        return NULL;
    ranking->ranker = p->models->ranker;
    ranking->feature_count = ranking->ranker->feature_count;
    ranking->keys = 0;
    memset(ranking->natural, 0, sizeof ranking->natural);
    if (!make_rows(p, ranking, item_count))
        return NULL;
    pipeline_read_features(p, &ranking->reader);
    ranking->page = rows_of_page(p);
    for (uint32_t i = 0; i < ranking->feature_count; i++) {
        const struct rank_binding *binding = &p->models->binding[i];
        if (binding->from == BIND_NONE)
            ranking->shared[i] = NAN;
        else if (!binding->of_item)
            ranking->shared[i] = feature_value(&ranking->reader, &binding->feature);
        else if (binding->from == BIND_FEATURE && binding->feature.subject == FEATURE_DEFINED)
            ranking->keys |= 1u << binding->feature.key;
    }
    return ranking;
}

/* Each row as the page keeps it, or with what is the same for all items; stands the reader at
 * those that are not kept. */
static void begin_rows(struct ranking *ranking, uint32_t count, double *rows)
{
    uint32_t stride = ranking->feature_count;
    uint32_t unread[GROUP_ITEMS];
    ranking->unread_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const double *from = ranking->shared;
        uint32_t item = ranking->ranked[i].item;
        ranking->item[i] = item;
        ranking->place[i] =
            ranking->page == NULL ? PAGE_MEMO_NONE : page_rows_find(ranking->page, item);
        if (ranking->place[i] != PAGE_MEMO_NONE) {
            from = page_rows_at(ranking->page, ranking->place[i]);
        } else {
            unread[ranking->unread_count] = item;
            ranking->unread[ranking->unread_count++] = i;
        }
        memcpy(rows + (size_t)i * stride, from, stride * sizeof *rows);
    }
    if (ranking->unread_count > 0)
        feature_reader_items(&ranking->reader, unread, ranking->unread_count, ranking->keys);
}

static void read_column(struct ranking *ranking, const struct feature *feature, uint32_t count,
                        double *column)
{
    uint32_t stride = ranking->feature_count;
    double value[GROUP_ITEMS];
    if (ranking->unread_count == count) {
        feature_values(&ranking->reader, feature, column, stride);
    } else if (ranking->unread_count > 0) {
        feature_values(&ranking->reader, feature, value, 1);
        for (uint32_t i = 0; i < ranking->unread_count; i++)
            column[(size_t)ranking->unread[i] * stride] = value[i];
    }
}

static void fill_rows(const struct pipeline *p, struct ranking *ranking, uint32_t count,
                      double *rows)
{
    uint32_t stride = ranking->feature_count;
    begin_rows(ranking, count, rows);
    for (uint32_t f = 0; f < stride; f++) {
        const struct rank_binding *binding = &p->models->binding[f];
        if (!binding->of_item) {
            for (uint32_t i = 0; i < count && ranking->unread_count < count; i++)
                rows[(size_t)i * stride + f] = ranking->shared[f];
            continue;
        }
        if (binding->from == BIND_FEATURE) {
            read_column(ranking, &binding->feature, count, rows + f);
            continue;
        }
        const float *natural = binding->from == BIND_SOURCE ? ranking->natural[binding->id] : NULL;
        for (uint32_t i = 0; i < count; i++)
            rows[(size_t)i * stride + f] = natural != NULL
                                               ? (double)natural[ranking->first + i]
                                               : value_of(p, binding, &ranking->ranked[i]);
    }
}

/* Scores ranking->ranked[0..count), which are the items from `first` on. */
static void score_group(const struct pipeline *p, struct ranking *ranking, uint32_t first,
                        uint32_t count, bool *ret_good)
{
    size_t stride = ranking->feature_count;
    double *rows = ranking->kept != NULL ? ranking->kept + first * stride : ranking->group;
    ranking->first = first;
    fill_rows(p, ranking, count, rows);
    const struct page_group group = {ranking->item, ranking->place, rows, count};
    if (ranking->page != NULL)
        page_rows_score(ranking->page, &group, ranking->scratch, ranking->score);
    else
        ranker_score_rows(ranking->ranker, rows, count, ranking->scratch, ranking->score);
    for (uint32_t i = 0; i < count; i++)
        *ret_good = *ret_good && isfinite(ranking->score[i]);
}

static uint32_t group_size(uint32_t left)
{
    return left < GROUP_ITEMS ? left : GROUP_ITEMS;
}

static const double *kept_row(const double *kept, uint32_t feature_count, uint32_t index)
{
    return kept == NULL ? NULL : kept + (size_t)index * feature_count;
}

const double *rank_features_of(const struct pipeline *p, const struct candidate *candidate)
{
    if (p->kept_rows == NULL)
        return NULL;
    return kept_row(p->kept_rows, p->models->ranker->feature_count,
                    (uint32_t)(candidate - p->chosen));
}

/* A blend, and the parts that made the score. */
static void use_ranker(struct pipeline *p)
{
    const struct model *blend = p->models->blend;
    pipeline_use_model(p, p->models->ranker);
    for (uint32_t i = 0; blend != NULL && i < blend_part_count(blend); i++) {
        if (blend_part_model(blend, i) != NULL)
            pipeline_use_model(p, blend_part_model(blend, i));
    }
}

/* ---- ranking --------------------------------------------------------------------------------- */

bool rank_candidates(struct pipeline *p, bool *ret_good)
{
    struct ranking *ranking = ranking_begin(p, p->chosen_count);
    if (ranking == NULL)
        return false;
    p->kept_rows = ranking->kept;
    for (uint32_t f = 0; f < ranking->feature_count; f++) {
        const struct rank_binding *binding = &p->models->binding[f];
        if (binding->from == BIND_SOURCE)
            ranking->natural[binding->id] = naturals_of(p, binding->id);
    }
    subject_note_positions(p);
    for (uint32_t first = 0; first < p->chosen_count; first += GROUP_ITEMS) {
        uint32_t count = group_size(p->chosen_count - first);
        struct candidate *chosen = p->chosen + first;
        for (uint32_t i = 0; i < count; i++)
            ranking->ranked[i] =
                (struct ranked){.item = chosen[i].item,
                                .position = subject_noted_position(p, chosen[i].item),
                                .caller_score = NAN,
                                .blend_score = chosen[i].score};
        score_group(p, ranking, first, count, ret_good);
        for (uint32_t i = 0; i < count; i++)
            chosen[i].score = finite_score(ranking->score[i]);
    }
    subject_forget_positions(p);
    p->ranked = true;
    use_ranker(p);
    pipeline_stage(p, STAGE_RANK);
    return true;
}

static double blend_of(const struct pipeline *p, uint32_t item)
{
    double blend = 0.0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        blend += p->slot->source[s].weight * source_natural(p, s, item);
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
static void emit_asked(struct pipeline *p, uint32_t index, float score, float ranked,
                       const double *features)
{
    struct text id = p->request->items[index].id;
    p->out->items[p->out->count++] =
        (struct decision_item){.item = store_item_find(p->env->store, id),
                               .id = id,
                               .score = score,
                               .features = features,
                               .ranked = ranked};
    contributions_tell(p, &p->out->items[p->out->count - 1]);
}

static struct ranked asked_of(const struct pipeline *p, const struct request_item *asked)
{
    struct ranked ranked = {.item = store_item_find(p->env->store, asked->id),
                            .caller_score = asked->score,
                            .asked = asked};
    ranked.position = subject_position(p, ranked.item);
    ranked.blend_score = blend_of(p, ranked.item);
    return ranked;
}

/* The best of them, sorted. */
static void rank_asked(struct pipeline *p, struct ranking *ranking, struct top *top, bool *ret_good)
{
    uint32_t item_count = p->request->item_count;
    for (uint32_t first = 0; first < item_count; first += GROUP_ITEMS) {
        uint32_t count = group_size(item_count - first);
        for (uint32_t i = 0; i < count; i++)
            ranking->ranked[i] = asked_of(p, &p->request->items[first + i]);
        score_group(p, ranking, first, count, ret_good);
        for (uint32_t i = 0; i < count; i++) {
            ranking->plain[first + i] = finite_score(ranking->score[i]);
            float score = rules_boosted(p, ranking->item[i], ranking->plain[first + i]);
            if (top_wants(top, score, first + i))
                top_put(top, score, first + i);
        }
    }
    top_sort(top);
}

/* False when the ranker was to be used and there is no room for it: the caller's order stands.
 * *ret_good stays unless a score is no number. */
static bool rank_callers_items(struct pipeline *p, bool asks_ranker, bool *ret_good)
{
    uint32_t count = p->request->item_count;
    struct ranking *ranking = asks_ranker ? ranking_begin(p, count) : NULL;
    struct top top = top_make(p->arena, p->wanted < count ? p->wanted : count);
    float *plain = ARENA_NEW(p->arena, float, count);
    bool ranks = ranking != NULL && top.slot != NULL && plain != NULL;
    if (ranks) {
        ranking->plain = plain;
        rank_asked(p, ranking, &top, ret_good);
        use_popularity_models(p);
        use_ranker(p);
        for (uint32_t i = 0; i < top.count; i++)
            emit_asked(p, top.slot[i].key, top.slot[i].score, ranking->plain[top.slot[i].key],
                       kept_row(ranking->kept, ranking->feature_count, top.slot[i].key));
    } else {
        for (uint32_t i = 0; i < count && i < p->wanted; i++) {
            double score = p->request->items[i].score;
            emit_asked(p, i, isnan(score) ? 0.0f : finite_score(score), 0.0f, NULL);
        }
    }
    pipeline_stage(p, STAGE_RANK);
    return ranks || !asks_ranker;
}

/* A slot without a ranker keeps the caller's order, and so does whatever keeps a ranker from being
 * asked: it is the cheapest ranking there is. */
void rank_answer(struct pipeline *p)
{
    enum reason reason = REASON_none;
    enum level level = pipeline_best_level(p, &reason);
    bool asks_ranker = level == LEVEL_full && p->models->ranker != NULL;
    if (asks_ranker)
        sources_score(p, level);
    if (asks_ranker && !pipeline_affords(p, 1u << COST_RANK | 1u << COST_FINISH)) {
        cost_fade(&p->worker->cost[COST_RANK]);
        p->out->left_out |= 1u << LEFT_OUT_ranker;
        asks_ranker = false;
        level = LEVEL_reduced;
        reason = REASON_deadline;
    }
    if (asks_ranker && !pipeline_model_begin(p, p->models->ranker)) {
        asks_ranker = false;
        level = LEVEL_reduced;
        reason = REASON_breaker;
    }
    bool good = true;
    pipeline_cost_begin(p);
    bool ranked = rank_callers_items(p, asks_ranker, &good);
    if (asks_ranker) {
        pipeline_cost_learn(p, COST_RANK);
        pipeline_model_end(p, p->models->ranker, good);
    }
    if (p->env->floor >= LEVEL_cached) /* no answer is remembered for a caller's list */
        pipeline_lower(p, p->env->floor == LEVEL_static ? LEVEL_static : LEVEL_generic, reason);
    else if (level > LEVEL_full)
        pipeline_lower(p, LEVEL_reduced, reason);
    else if (p->models->ranker_missing)
        pipeline_lower(p, LEVEL_reduced, REASON_no_model);
    else if (!ranked)
        pipeline_lower(p, LEVEL_reduced, REASON_overload);
    if (p->is_hidden && asks_ranker)
        pipeline_lower(p, LEVEL_reduced, REASON_consent);
}
