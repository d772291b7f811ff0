/* SPDX-License-Identifier: Apache-2.0 */
/* What became of one item: at which stage it fell out of a decision, told after the decision was
 * made and before the sums of the sources are cleared. */
#include <math.h>

#include "server/decide/pipeline.h"

static uint32_t place_of(const struct decision *out, struct text id)
{
    for (uint32_t i = 0; i < out->count; i++) {
        if (text_equal(out->items[i].id, id))
            return i + 1;
    }
    return 0;
}

static bool among(const struct text_list *list, struct text id)
{
    for (uint32_t i = 0; i < list->count; i++) {
        if (text_equal(list->ptr[i], id))
            return true;
    }
    return false;
}

/* Why a blocked item is blocked. */
static const char *blocked_stage(const struct pipeline *p, struct text id, uint32_t item)
{
    uint32_t position = subject_position(p, item);
    if (among(&p->request->exclude, id))
        return "excluded";
    if (among(&p->request->seeds, id))
        return "seed";
    for (uint32_t i = 0; i < p->cart_count; i++) {
        if (p->cart[i] == item)
            return "in_cart";
    }
    bool disliked =
        position > 0 && (p->history.classes[position - 1] & 1u << EVENT_CLASS_DISLIKE) != 0;
    return disliked ? "disliked" : "bought";
}

static const char *standing_stage(const struct pipeline *p, struct decision_why_not *why_not,
                                  uint32_t item, enum standing standing)
{
    switch (standing) {
    case STANDING_BLOCKED: return blocked_stage(p, why_not->item, item);
    case STANDING_NO_RECORD: return "no_record";
    case STANDING_DELETED: return "deleted";
    case STANDING_STOCK: return "stock";
    case STANDING_SEEN: return "seen";
    case STANDING_ASKED_FILTER: return "request_filter";
    default: why_not->rule = rules_refusing(p, item); return "filter";
    }
}

static const struct candidate *find_chosen(const struct pipeline *p, uint32_t item)
{
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (p->chosen[i].item == item)
            return &p->chosen[i];
    }
    return NULL;
}

/* It was no candidate: against the last that was one. */
static const char *cut_stage(const struct pipeline *p, struct decision_why_not *why_not)
{
    float blend = 0.0f;
    for (uint32_t i = 0; i < why_not->why_count; i++)
        blend += why_not->why[i].value;
    if (why_not->why_count == 0)
        return "no_source";
    why_not->score = blend;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (isnan(why_not->needed) || p->chosen[i].blend < why_not->needed)
            why_not->needed = p->chosen[i].blend;
    }
    return "cut";
}

/* It was a candidate: against the last item of the answer, by the order that decided. */
static const char *order_stage(const struct pipeline *p, const struct candidate *candidate,
                               struct decision_why_not *why_not)
{
    uint32_t place = 1;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        const struct candidate *other = &p->chosen[i];
        place += other->score > candidate->score ||
                 (other->score == candidate->score && other->item < candidate->item);
    }
    why_not->place = place;
    why_not->score = candidate->score;
    if (p->out->count == 0)
        return "below";
    if (candidate->fate == FATE_QUOTA) {
        why_not->rule = p->slot->source[candidate->source].label;
        return "quota";
    }
    float last = p->out->items[p->out->count - 1].score;
    bool is_behind = p->out->count == p->wanted && candidate->score < last;
    if (candidate->fate == FATE_LIMIT || (!is_behind && !rules_have_room(p, candidate->item)))
        return "diversity";
    if (!is_behind && p->slot->mmr.lambda < 1.0f) {
        why_not->rule = "mmr";
        return "diversity";
    }
    why_not->needed = last;
    return "below";
}

static const char *stage_of(struct pipeline *p, struct decision_why_not *why_not)
{
    uint32_t item = store_item_find(p->env->store, why_not->item);
    why_not->place = place_of(p->out, why_not->item);
    const struct candidate *chosen = item == IDMAP_NONE ? NULL : find_chosen(p, item);
    if (item != IDMAP_NONE)
        candidates_tell(p, item, chosen, &why_not->why, &why_not->why_count);
    if (why_not->place > 0)
        return "shown";
    if (item == IDMAP_NONE)
        return "unknown_item";
    enum standing standing = standing_of(p, item);
    if (standing != STANDING_ELIGIBLE)
        return standing_stage(p, why_not, item, standing);
    if (p->out->level > LEVEL_reduced || (p->out->fallback != NULL && chosen == NULL))
        return "level";
    return chosen == NULL ? cut_stage(p, why_not) : order_stage(p, chosen, why_not);
}

void why_not_tell(struct pipeline *p)
{
    struct decision_why_not *why_not = ARENA_NEW(p->arena, struct decision_why_not, 1);
    if (why_not == NULL)
        return;
    *why_not = (struct decision_why_not){.item = p->request->why_not, .score = NAN, .needed = NAN};
    why_not->stage = stage_of(p, why_not);
    p->out->why_not = why_not;
}
