/* SPDX-License-Identifier: Apache-2.0 */
/* Explains at which stage an item was lost, after the decision and before the sources' sums are
 * cleared.  With a fallback slot the first slot's findings are saved before its sums are cleared,
 * and the fallback's are reported before its own are. */
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

/* The reason why an item is in the blocked set. */
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

/* Not a candidate: compares with the last candidate. */
static const char *cut_stage(const struct pipeline *p, struct decision_why_not *why_not)
{
    float blend = 0.0f;
    for (uint32_t i = 0; i < why_not->why_count; i++)
        blend += why_not->why[i].value;
    if (why_not->why_count == 0)
        return "no_source";
    why_not->score = blend;
    for (uint32_t i = 0; i < p->chosen_count && !p->chosen[i].is_brought; i++) {
        if (isnan(why_not->needed) || p->chosen[i].blend < why_not->needed)
            why_not->needed = p->chosen[i].blend;
    }
    return "cut";
}

/* The least that an item had which is there by its score: pins and what quotas kept places for have
 * others.  Behind those of another policy items are shown with no more than the last of them. */
static float last_score(const struct pipeline *p)
{
    float least = NAN;
    for (uint32_t i = p->goes_on ? p->goes_on_at : 0; i < p->out->count; i++) {
        const struct candidate *chosen = find_chosen(p, p->out->items[i].item);
        if (chosen != NULL && chosen->fate == FATE_SHOWN)
            least = fminf(least, chosen->score);
    }
    return isnan(least) ? p->out->items[p->out->count - 1].score : least;
}

/* The source of the last item with a lower score for which a place was kept; NULL without one. */
static const char *kept_from(const struct pipeline *p, const struct candidate *candidate)
{
    const struct candidate *last = NULL;
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        const struct candidate *other = &p->chosen[i];
        if (other->fate == FATE_KEPT_PLACE && select_before(candidate, other) &&
            (last == NULL || select_before(last, other)))
            last = other;
    }
    return last == NULL ? NULL : p->slot->source[last->source].label;
}

/* It was a candidate: against the last item of the answer, by the order that decided. */
static const char *order_stage(const struct pipeline *p, const struct candidate *candidate,
                               struct decision_why_not *why_not)
{
    uint32_t place = 1;
    for (uint32_t i = 0; i < p->chosen_count; i++)
        place += select_before(&p->chosen[i], candidate);
    why_not->place = place;
    why_not->score = candidate->score;
    if (p->out->count == 0)
        return "below";
    bool has_room = candidate->fate != FATE_LIMIT && rules_have_room(p, candidate->item);
    if (candidate->fate == FATE_QUOTA)
        why_not->rule = p->slot->source[candidate->source].label;
    else if (has_room)
        why_not->rule = kept_from(p, candidate);
    if (why_not->rule != NULL)
        return "quota";
    float last = last_score(p);
    bool is_behind = p->out->count == p->wanted && candidate->score < last;
    if (candidate->fate == FATE_LIMIT || (!is_behind && !has_room))
        return "diversity";
    if (!is_behind && p->slot->mmr.lambda < 1.0f) {
        why_not->rule = "mmr";
        return "diversity";
    }
    why_not->needed = last;
    return "below";
}

/* Explains by p's policy, which may be the fallback's. */
static const char *stage_of(struct pipeline *p, struct decision_why_not *why_not, uint32_t item)
{
    why_not->place = place_of(p->out, why_not->item);
    if (why_not->place > 0)
        return "shown";
    if (item == IDMAP_NONE)
        return "unknown_item";
    enum standing standing = standing_of(p, item);
    if (standing != STANDING_ELIGIBLE)
        return standing_stage(p, why_not, item, standing);
    if (p->out->level > LEVEL_reduced)
        return "level";
    const struct candidate *chosen = find_chosen(p, item);
    return chosen == NULL ? cut_stage(p, why_not) : order_stage(p, chosen, why_not);
}

static struct decision_why_not *begin(struct pipeline *p, uint32_t item)
{
    struct decision_why_not *why_not = ARENA_NEW(p->arena, struct decision_why_not, 1);
    if (why_not == NULL)
        return NULL;
    *why_not = (struct decision_why_not){.item = p->request->why_not, .score = NAN, .needed = NAN};
    if (item != IDMAP_NONE)
        candidates_tell(p, item, find_chosen(p, item), &why_not->why, &why_not->why_count);
    return why_not;
}

static bool is_asked(const struct pipeline *p)
{
    return p->request->why_not.ptr != NULL && p->request->op == OP_recommend;
}

void why_not_hold(struct pipeline *p)
{
    if (is_asked(p))
        p->out->why_not = begin(p, store_item_find(p->env->store, p->request->why_not));
}

void why_not_go_on(struct pipeline *other, const struct pipeline *p)
{
    if (!is_asked(p))
        return;
    uint32_t item = store_item_find(p->env->store, p->request->why_not);
    if (item == IDMAP_NONE || find_chosen(p, item) != NULL)
        return; /* the first policy decided */
    struct decision_why_not *held = p->out->why_not, *told = begin(other, item);
    if (told == NULL)
        return;
    told->stage = stage_of(other, told, item);
    if (place_of(p->out, told->item) == 0 && standing_of(p, item) != STANDING_ELIGIBLE)
        return; /* and so it did here, but for what the other one shows all the same */
    told->slot = other->slot->name;
    bool is_better = held == NULL || held->why_count == 0 || told->why_count > 0;
    if (is_better)
        p->out->why_not = told;
}

void why_not_tell(struct pipeline *p)
{
    if (!is_asked(p))
        return;
    uint32_t item = store_item_find(p->env->store, p->request->why_not);
    struct decision_why_not *why_not = p->out->why_not;
    if (why_not == NULL)
        why_not = p->out->why_not = begin(p, item);
    if (why_not == NULL)
        return;
    bool is_shown = place_of(p->out, why_not->item) > 0;
    if (why_not->slot != NULL && !is_shown && p->out->level <= LEVEL_reduced)
        return; /* the policy of the fallback decided */
    why_not->rule = why_not->slot = NULL;
    why_not->score = why_not->needed = NAN;
    why_not->stage = stage_of(p, why_not, item);
}
