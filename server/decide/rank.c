/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "models/blend.h"
#include "server/decide/rank_internal.h"
#include "server/metrics.h"

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

/* If there is no room for `kept` the decision is still made, and logged without features. */
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

/* Item features by slot differ between slots, so rows of a ranker that uses any are not shared. */
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

struct ranking *rank_begin(struct pipeline *p, uint32_t item_count)
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

/* Starts each row from the page's copy, or from the values common to all items, and points the
 * reader at the items that are not kept. */
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

/* Answers hold scores as floats: a score out of that range is treated as missing. */
static bool is_score(double value)
{
    return fabs(value) <= (double)FLT_MAX;
}

bool rank_score_group(const struct pipeline *p, struct ranking *ranking, uint32_t first,
                      uint32_t count)
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
    bool good = true;
    for (uint32_t i = 0; i < count; i++)
        good = good && is_score(ranking->score[i]);
    return good;
}

const double *rank_features_of(const struct pipeline *p, const struct candidate *candidate)
{
    if (p->kept_rows == NULL)
        return NULL;
    return rank_kept_row(p->kept_rows, p->models->ranker->feature_count,
                         (uint32_t)(candidate - p->chosen));
}

void rank_use_ranker(struct pipeline *p)
{
    const struct model *blend = p->models->blend;
    pipeline_use_model(p, p->models->ranker);
    for (uint32_t i = 0; blend != NULL && i < blend_part_count(blend); i++) {
        if (blend_part_model(blend, i) != NULL)
            pipeline_use_model(p, blend_part_model(blend, i));
    }
}

/* ---- ranking --------------------------------------------------------------------------------- */

/* Restores the candidates' scores from before the ranking. */
static void give_up(struct pipeline *p)
{
    for (uint32_t i = 0; i < p->chosen_count; i++)
        p->chosen[i].score = p->chosen[i].plain;
    p->kept_rows = NULL;
    p->out->ranker = NULL;
}

bool rank_candidates(struct pipeline *p, bool *ret_good)
{
    struct ranking *ranking = rank_begin(p, p->chosen_count);
    bool good = true;
    if (ranking == NULL)
        return false;
    p->kept_rows = ranking->kept;
    for (uint32_t f = 0; f < ranking->feature_count; f++) {
        const struct rank_binding *binding = &p->models->binding[f];
        if (binding->from == BIND_SOURCE)
            ranking->natural[binding->id] = naturals_of(p, binding->id);
    }
    for (uint32_t i = 0; i < p->chosen_count; i++)
        p->chosen[i].plain = p->chosen[i].score;
    subject_note_positions(p);
    for (uint32_t first = 0; first < p->chosen_count && good; first += GROUP_ITEMS) {
        uint32_t count = rank_group_size(p->chosen_count - first);
        struct candidate *chosen = p->chosen + first;
        for (uint32_t i = 0; i < count; i++)
            ranking->ranked[i] =
                (struct ranked){.item = chosen[i].item,
                                .position = subject_noted_position(p, chosen[i].item),
                                .caller_score = NAN,
                                .blend_score = chosen[i].score};
        good = rank_score_group(p, ranking, first, count);
        for (uint32_t i = 0; i < count && good; i++)
            chosen[i].score = (float)ranking->score[i];
    }
    subject_forget_positions(p);
    p->ranked = good;
    if (good)
        rank_use_ranker(p);
    else
        give_up(p);
    *ret_good = good;
    pipeline_stage(p, STAGE_RANK);
    return true;
}
