/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which the chosen items are shown: by score, subject to source quotas and marginal
 * relevance.
 *
 * An item belongs to the source that contributes most to its blend; on a tie, to the first.
 * at_most: further items of the source are passed over.  at_least: once the places left are no more
 * than the items still owed, only sources that are owed some may take them. */
#include <math.h>
#include <string.h>

#include "server/decide/mmr.h"

struct selection {
    struct pipeline *p;
    struct candidate **order; /* best first */
    uint32_t *link; /* those that may still be shown: the first, and the one behind each */
    uint32_t count; /* ends it */
    uint32_t have[POLICY_SOURCES_MAX], open[POLICY_SOURCES_MAX];
    bool has_mmr;
    struct mmr mmr;
};

/* ---- which source an item is of -------------------------------------------------------------- */

/* Sets each chosen item's source: the first with the largest share; 0 if none has any. */
static void find_main_sources(struct pipeline *p)
{
    float *most = ARENA_NEW(p->arena, float, p->chosen_count);
    bool *has_one = ARENA_NEW(p->arena, bool, p->chosen_count);
    bool has_room = most != NULL && has_one != NULL;
    for (uint32_t i = 0; i < p->chosen_count; i++)
        p->chosen[i].source = 0;
    if (has_room)
        memset(has_one, 0, p->chosen_count * sizeof *has_one);
    for (uint32_t s = 0; s < p->slot->source_count && has_room; s++) {
        const float *natural = naturals_blended(p, s);
        has_room = natural != NULL;
        for (uint32_t i = 0; i < p->chosen_count && natural != NULL; i++) {
            float share = p->slot->source[s].weight * natural[i];
            if (natural[i] == 0.0f || (has_one[i] && share <= most[i]))
                continue;
            p->chosen[i].source = (uint8_t)s;
            most[i] = share;
            has_one[i] = true;
        }
    }
    p->no_room = p->no_room || !has_room;
}

static bool is_chosen(const struct pipeline *p, uint32_t item)
{
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (p->chosen[i].item == item)
            return true;
    }
    return false;
}

/* Adds a source's best items that are not chosen yet. */
struct missing {
    struct pipeline *p;
    uint32_t s;
    struct top top;
};

static bool offer(void *ctx, uint32_t item)
{
    struct missing *missing = ctx;
    float natural = candidates_natural(missing->p, missing->s, item);
    if (natural != 0.0f && top_wants(&missing->top, natural, item) &&
        !is_chosen(missing->p, item) && eligible(missing->p, item))
        top_put(&missing->top, natural, item);
    return true;
}

static float blend_of(const struct pipeline *p, uint32_t item)
{
    float blend = 0.0f;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        blend += p->slot->source[s].weight * candidates_natural(p, s, item);
    return blend;
}

/* Factors score every item: items that belong to them are among the best anyway. */
static void bring_missing(struct pipeline *p, uint32_t s, uint32_t room)
{
    uint32_t have = 0, wanted = p->slot->source[s].at_least;
    for (uint32_t i = 0; i < p->chosen_count; i++)
        have += p->chosen[i].source == s;
    if (have >= wanted || policy_has_vector(p->slot->source[s].kind))
        return;
    wanted = wanted - have < room ? wanted - have : room;
    struct missing missing = {.p = p, .s = s, .top = pipeline_top(p, wanted)};
    candidates_each(p, s, offer, &missing);
    top_sort(&missing.top);
    for (uint32_t i = 0; i < missing.top.count; i++) {
        uint32_t item = missing.top.slot[i].key;
        float blend = blend_of(p, item);
        p->chosen[p->chosen_count++] = (struct candidate){
            .item = item, .score = blend, .blend = blend, .source = (uint8_t)s, .is_brought = true};
    }
}

uint32_t select_extra(const struct pipeline *p)
{
    uint32_t extra = 0;
    for (uint32_t s = 0; s < p->slot->source_count; s++)
        extra += p->slot->source[s].at_least;
    return extra;
}

void select_prepare(struct pipeline *p, uint32_t capacity)
{
    if (!p->slot->has_quotas)
        return;
    find_main_sources(p);
    for (uint32_t s = 0; s < p->slot->source_count; s++) {
        if (p->slot->source[s].at_least > 0)
            bring_missing(p, s, capacity - p->chosen_count);
    }
}

/* ---- the order of scores --------------------------------------------------------------------- */

bool select_before(const struct candidate *a, const struct candidate *b)
{
    if (a->score != b->score)
        return a->score > b->score;
    if (a->is_brought != b->is_brought)
        return b->is_brought;
    return a->is_brought ? a < b : a->item < b->item; /* bring_missing puts the best first */
}

/* By score and number they stand already. */
static void order_brought(const struct pipeline *p, struct candidate **order, uint32_t count)
{
    for (uint32_t i = 1; i < count && p->slot->has_quotas; i++) {
        struct candidate *at = order[i];
        uint32_t place = i;
        for (; place > 0 && select_before(at, order[place - 1]); place--)
            order[place] = order[place - 1];
        order[place] = at;
    }
}

/* ---- one after the other --------------------------------------------------------------------- */

/* The number of places owed to sources below at_least, as far as they have candidates. */
static uint32_t missing_places(const struct selection *selection)
{
    const struct policy_slot *slot = selection->p->slot;
    uint32_t missing = 0;
    for (uint32_t s = 0; s < slot->source_count; s++) {
        uint32_t have = selection->have[s];
        uint32_t wanted = slot->source[s].at_least > have ? slot->source[s].at_least - have : 0;
        missing += wanted < selection->open[s] ? wanted : selection->open[s];
    }
    return missing;
}

static bool is_full(const struct selection *selection, uint32_t s)
{
    uint32_t at_most = selection->p->slot->source[s].at_most;
    return at_most > 0 && selection->have[s] >= at_most;
}

/* The index of the next candidate; count: none.  Removes candidates that can never follow: already
 * shown or refused, or of a source that is at its at_most. */
static uint32_t next_of(const struct selection *selection, bool only_missing)
{
    const struct pipeline *p = selection->p;
    uint32_t best = selection->count;
    uint32_t *link = selection->link;
    float most = -INFINITY;
    while (*link < selection->count) {
        uint32_t i = *link, s = selection->order[i]->source;
        if (selection->order[i]->fate != FATE_OPEN ||
            (p->slot->has_quotas && is_full(selection, s))) {
            *link = selection->link[i + 1];
            continue;
        }
        link = &selection->link[i + 1];
        if (only_missing && selection->have[s] >= p->slot->source[s].at_least)
            continue;
        if (!selection->has_mmr || i >= selection->mmr.count)
            return best < selection->count ? best : i;
        float worth = mmr_worth(&selection->mmr, i);
        if (worth > most) {
            best = i;
            most = worth;
        }
    }
    return best;
}

/* ---- reasons --------------------------------------------------------------------------------- */

static void explain(struct selection *selection, uint32_t index, bool only_missing,
                    struct decision_item *item)
{
    struct pipeline *p = selection->p;
    const struct candidate *candidate = selection->order[index];
    struct decision_why *why = NULL;
    uint32_t count = 0;
    candidates_tell(p, candidate->item, candidate, &why, &count);
    if (why != NULL && selection->has_mmr && index < selection->mmr.count &&
        selection->mmr.likeness[index] > 0.0f)
        why[count++] = (struct decision_why){"mmr", -(1.0f - p->slot->mmr.lambda) *
                                                        selection->mmr.likeness[index]};
    if (why != NULL && only_missing)
        why[count++] = (struct decision_why){"at_least", 0.0f};
    item->why = why;
    item->why_count = count;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* A hash table from item to its index among the chosen: open addressing, at most half full. */
struct places {
    uint32_t *slot; /* place + 1; 0 is free */
    uint32_t mask;
};

static uint32_t *slot_of(const struct places *places, const struct pipeline *p, uint32_t item)
{
    uint32_t at = pipeline_spread(item) & places->mask;
    while (places->slot[at] != 0 && p->chosen[places->slot[at] - 1].item != item)
        at = (at + 1) & places->mask;
    return &places->slot[at];
}

static bool note_places(struct pipeline *p, struct places *places)
{
    uint32_t count = 16;
    while (count < 2 * p->chosen_count)
        count *= 2;
    places->slot = ARENA_NEW(p->arena, uint32_t, count);
    places->mask = count - 1;
    if (places->slot == NULL)
        return false;
    memset(places->slot, 0, count * sizeof places->slot[0]);
    for (uint32_t i = 0; i < p->chosen_count; i++)
        *slot_of(places, p, p->chosen[i].item) = i + 1;
    return true;
}

/* The chosen as select_before has them, also those that a ranker scored.  Where there are limits
 * any of them may get a place. */
static bool begin(struct pipeline *p, struct selection *selection)
{
    struct top top = pipeline_top(p, p->rules == NULL ? p->wanted : p->chosen_count);
    for (uint32_t i = 0; i < p->chosen_count; i++) {
        if (top_wants(&top, p->chosen[i].score, p->chosen[i].item))
            top_put(&top, p->chosen[i].score, p->chosen[i].item);
    }
    top_sort(&top);
    struct places places;
    *selection = (struct selection){.p = p, .count = top.count};
    selection->order = ARENA_NEW(p->arena, struct candidate *, top.count);
    selection->link = ARENA_NEW(p->arena, uint32_t, top.count + 1);
    if (selection->order == NULL || selection->link == NULL || !note_places(p, &places)) {
        p->no_room = true;
        return false;
    }
    for (uint32_t i = 0; i < top.count && i < p->wanted; i++)
        store_item_fetch_id(p->env->store, top.slot[i].key); /* most of them will be shown */
    for (uint32_t i = 0; i < top.count; i++) {
        selection->order[i] = &p->chosen[*slot_of(&places, p, top.slot[i].key) - 1];
        selection->open[selection->order[i]->source]++;
    }
    order_brought(p, selection->order, top.count);
    for (uint32_t i = 0; i <= top.count; i++)
        selection->link[i] = i;
    return true;
}

static void begin_mmr(struct selection *selection)
{
    struct pipeline *p = selection->p;
    uint32_t depth = p->slot->mmr.depth < selection->count ? p->slot->mmr.depth : selection->count;
    if (p->slot->mmr.lambda == 1.0f)
        return;
    uint32_t *item_ps = &p->worker->cost[COST_MMR_ITEM];
    uint32_t affordable = pipeline_within_budget(p, STAGE_OF_MMR, *item_ps, depth);
    bool is_late = !pipeline_affords(p, 1u << COST_FINISH);
    if (affordable < depth || is_late)
        pipeline_leave_out(p, LEFT_OUT_mmr, is_late ? REASON_deadline : REASON_budget);
    if (affordable < 2 || is_late) {
        cost_fade(item_ps);
        return;
    }
    depth = affordable;
    selection->has_mmr =
        mmr_begin(p, (const struct candidate *const *)selection->order, depth, &selection->mmr);
    p->no_room = p->no_room || !selection->has_mmr;
}

/* Emits the candidate, or notes why not. */
static void take(struct selection *selection, uint32_t index, bool only_missing)
{
    struct pipeline *p = selection->p;
    struct candidate *candidate = selection->order[index];
    selection->open[candidate->source]--;
    if (!pipeline_emit(p, candidate->item, candidate->score, NULL)) {
        if (p->out->count < p->wanted) /* else a pin took the last place */
            candidate->fate = FATE_LIMIT;
        return;
    }
    candidate->fate = only_missing ? FATE_KEPT_PLACE : FATE_SHOWN;
    selection->have[candidate->source]++;
    struct decision_item *item = &p->out->items[p->out->count - 1];
    item->features = rank_features_of(p, candidate);
    item->ranked = candidate->plain;
    if (p->explains)
        explain(selection, index, only_missing, item);
    contributions_tell(p, item);
    if (selection->has_mmr && index < selection->mmr.count)
        mmr_note(&selection->mmr, index);
}

void select_emit(struct pipeline *p)
{
    struct selection selection;
    if (!begin(p, &selection))
        return;
    pipeline_cost_begin(p);
    begin_mmr(&selection);
    while (p->out->count < p->wanted) {
        uint32_t missing = p->slot->has_quotas ? missing_places(&selection) : 0;
        bool only_missing = missing > 0 && missing >= p->wanted - p->out->count;
        uint32_t next = next_of(&selection, only_missing);
        if (next == selection.count)
            break;
        take(&selection, next, only_missing);
    }
    if (selection.has_mmr && selection.mmr.count > 0)
        cost_learn(&p->worker->cost[COST_MMR_ITEM],
                   (clock_now_ns(p->worker->clock) - p->cost_began_ns) * 1000 /
                       selection.mmr.count);
    for (uint32_t i = 0; i < selection.count && p->slot->has_quotas; i++) {
        struct candidate *candidate = selection.order[i];
        if (candidate->fate == FATE_OPEN && is_full(&selection, candidate->source))
            candidate->fate = FATE_QUOTA;
    }
}
