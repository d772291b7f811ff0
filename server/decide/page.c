/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/page.h"

/* What slots that were decided show. */
struct shown {
    struct text *id; /* in the arena; the texts are those of store and snapshot */
    uint32_t count;
};

static uint32_t items_max(const struct request *request)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->slot_count; i++)
        count += request->slots[i].n;
    return count;
}

/* The exclusions of page and slot and, where they may not come again, what is shown already.
 * Without room there are none but the slot's: the caller's arena is far larger. */
static struct text_list exclusions(struct arena *arena, const struct request *request,
                                   const struct request_slot *slot, const struct shown *shown,
                                   bool repeats)
{
    uint32_t shown_count = repeats ? 0 : shown->count;
    uint32_t count = request->exclude.count + slot->exclude.count + shown_count;
    struct text *id = ARENA_NEW(arena, struct text, count);
    if (id == NULL)
        return slot->exclude;
    struct text *next = id;
    for (uint32_t i = 0; i < request->exclude.count; i++)
        *next++ = request->exclude.ptr[i];
    for (uint32_t i = 0; i < slot->exclude.count; i++)
        *next++ = slot->exclude.ptr[i];
    for (uint32_t i = 0; i < shown_count; i++)
        *next++ = shown->id[i];
    return (struct text_list){id, count};
}

/* What the slot asks, as a request of its own. */
static struct request slot_request(const struct request *request, const struct request_slot *slot)
{
    struct request one = *request;
    one.op = OP_recommend;
    one.slot = slot->slot;
    one.n = slot->n;
    if (slot->seeds.count > 0)
        one.seeds = slot->seeds;
    if (slot->has_filters)
        one.filters = slot->filters;
    one.why_not = (struct text){NULL, 0};
    return one;
}

static void note_shown(struct shown *shown, const struct decision *decision)
{
    for (uint32_t i = 0; i < decision->count && shown->id != NULL; i++)
        shown->id[shown->count++] = decision->items[i].id;
}

void decide_page(const struct decide_env *env, struct worker *worker, const struct request *request,
                 page_slot_fn tell, void *ctx)
{
    const struct policy_set *policies = env->snapshot->policies;
    struct shown shown = {.id = ARENA_NEW(&worker->arena, struct text, items_max(request))};
    size_t mark = arena_mark(&worker->arena);
    for (uint32_t i = 0; i < request->slot_count; i++) {
        const struct request_slot *slot = &request->slots[i];
        bool repeats = policies->slot[policy_slot_index(policies, slot->slot)].repeats;
        struct decision decision;
        struct request one = slot_request(request, slot);
        one.exclude = exclusions(&worker->arena, request, slot, &shown, repeats);
        decide(env, worker, &one, &decision);
        note_shown(&shown, &decision);
        tell(ctx, &one, &decision);
        arena_rewind(&worker->arena, mark);
    }
}
