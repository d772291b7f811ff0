/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"
#include "featurestore/erase_set.h"
#include "featurestore/store_kind.h"
#include "server/decide/pipeline.h"

enum { AHEAD = 8 };

static bool has_person(const struct request *request)
{
    return request->user.ptr != NULL || request->anon.ptr != NULL;
}

/* Person and slot; users and anonymous ids with the same text are different people. */
static uint64_t answer_key(const struct pipeline *p)
{
    const struct request *request = p->request;
    bool user = request->user.ptr != NULL;
    uint64_t slot = hash_text(text_of(p->slot->name), user ? 1 : 2);
    if (user)
        return hash_text(request->user, slot);
    /* An answer made for the user linked to an anonymous id must not reach a later user of the id.
     */
    return hash_text(store_linked_user(p->env->store, request->anon),
                     hash_text(request->anon, slot));
}

/* Only answers to plain requests are remembered: seeds and filters belong to one page. */
static bool is_plain(const struct pipeline *p)
{
    return p->request->op == OP_recommend && has_person(p->request) &&
           p->request->seeds.count == 0 && !p->filters.present;
}

void ladder_remember(const struct pipeline *p)
{
    uint32_t item[ANSWERS_ITEMS_MAX];
    uint32_t count = 0;
    if (p->env->answers == NULL || !is_plain(p))
        return;
    while (count < p->out->count && count < ANSWERS_ITEMS_MAX) {
        item[count] = p->out->items[count].item;
        count++;
    }
    bool by_user = p->request->user.ptr != NULL;
    uint64_t person = by_user ? erase_person_hash(ERASE_USER, p->request->user)
                              : erase_person_hash(ERASE_ANON, p->request->anon);
    answers_put(p->env->answers, answer_key(p), person, item, count);
}

static void answer_cached(struct pipeline *p)
{
    uint32_t item[ANSWERS_ITEMS_MAX];
    if (p->env->answers == NULL || p->request->op != OP_recommend || !has_person(p->request))
        return;
    uint32_t count = answers_get(p->env->answers, answer_key(p), item);
    for (uint32_t i = 0; i < count && p->out->count < p->wanted; i++) {
        if (eligible(p, item[i]))
            (void)pipeline_emit(p, item[i], 0.0f, "cached");
    }
}

static void emit_top(struct pipeline *p, uint32_t category)
{
    struct top_list list;
    store_top(p->env->store, p->slot->generic_window, category, &list);
    for (uint32_t i = 0; i < list.count && p->out->count < p->wanted; i++) {
        if (i + AHEAD < list.count)
            store_item_fetch_kind(p->env->store, list.entry[i + AHEAD].item);
        if (eligible(p, list.entry[i].item))
            (void)pipeline_emit(p, list.entry[i].item, list.entry[i].share,
                                category == IDMAP_NONE ? "popular" : "popular in category");
    }
}

static void emit_popularity_model(struct pipeline *p)
{
    const struct model *model = p->variant->popularity;
    uint32_t before = p->out->count;
    if (model == NULL)
        return;
    const uint32_t *order = popularity_order(model->as.popularity);
    uint32_t rows = model_row_count(model);
    float best = rows > 0 ? popularity_score(model->as.popularity, order[0]) : 0.0f;
    for (uint32_t i = 0; i < rows && p->out->count < p->wanted; i++) {
        uint32_t item = model->item_of_row[order[i]];
        if (eligible(p, item))
            (void)pipeline_emit(
                p, item, source_popular(popularity_score(model->as.popularity, order[i]), best),
                "model_popular");
    }
    if (p->out->count > before)
        pipeline_use_model(p, model);
}

/* Popular in the categories suggested by the request or the person, then overall. */
void ladder_fill_generic(struct pipeline *p)
{
    for (uint32_t i = 0; i < p->filters.category_count; i++)
        emit_top(p, p->filters.category[i]);
    uint32_t near = subject_category(p);
    if (near != IDMAP_NONE)
        emit_top(p, near);
    emit_top(p, IDMAP_NONE);
    emit_popularity_model(p);
}

static bool is_excluded(const struct request *request, struct text id)
{
    for (uint32_t i = 0; i < request->exclude.count; i++) {
        if (text_equal(request->exclude.ptr[i], id))
            return true;
    }
    return false;
}

/* Ids of the static list may be unknown to the store; then only the request's exclusions apply. */
static bool may_show_static(const struct pipeline *p, struct text id, uint32_t item)
{
    if (item != IDMAP_NONE)
        return eligible(p, item);
    return !p->filters.needs_record && p->slot->filter_count == 0 && !is_excluded(p->request, id);
}

static void answer_static(struct pipeline *p)
{
    const struct snapshot *snapshot = p->env->snapshot;
    for (uint32_t i = 0; i < snapshot->static_count && p->out->count < p->wanted; i++) {
        struct text id = snapshot->static_ids[i];
        uint32_t item = store_item_find(p->env->store, id);
        if (!may_show_static(p, id, item))
            continue;
        p->out->items[p->out->count++] = (struct decision_item){.item = item, .id = id};
    }
}

/* Whether a level below the slot's own could show anything to anybody. */
static bool has_anything(const struct pipeline *p)
{
    struct top_list list;
    store_top(p->env->store, p->slot->generic_window, IDMAP_NONE, &list);
    return list.count > 0 || p->variant->popularity != NULL || p->env->snapshot->static_count > 0;
}

/* The reason for an empty answer.  A mode or deadline takes precedence, and so do missing models,
 * unless there were items without them and all were ruled out. */
static enum reason why_nothing(const struct pipeline *p, enum reason reason)
{
    if (reason == REASON_mode || reason == REASON_deadline)
        return reason;
    return reason == REASON_no_model && !has_anything(p) ? reason : REASON_no_candidates;
}

/* Answers at `level`, or at the first level below it that has something to show.  The reason stays
 * the one for which the ladder was entered. */
void ladder_descend(struct pipeline *p, enum level level, enum reason reason)
{
    p->out->count = 0;
    p->out->reason = reason;
    rules_begin_again(p);
    if (level <= LEVEL_cached) {
        answer_cached(p);
        p->out->level = LEVEL_cached;
        if (p->out->count > 0)
            return;
    }
    if (level <= LEVEL_generic) {
        ladder_fill_generic(p);
        p->out->level = LEVEL_generic;
        if (p->out->count > 0)
            return;
    }
    answer_static(p);
    p->out->level = LEVEL_static;
    if (p->out->count == 0)
        p->out->reason = why_nothing(p, reason);
}
