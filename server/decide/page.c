/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/page.h"

#include "server/decide/page_memo.h"

/* The items shown by the slots decided so far; in the arena. */
struct shown {
    struct text *id; /* the texts are those of store and snapshot */
    uint32_t *item;
    uint32_t count;
};

static uint32_t items_max(const struct request *request)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < request->slot_count; i++)
        count += request->slots[i].n;
    return count;
}

/* The exclusions of page and slot and, unless the slot may repeat them, the items already shown.
 * If there were no room only the slot's own would apply; the caller's arena is far larger. */
static struct text_list exclusions(struct arena *arena, const struct request *request,
                                   const struct request_slot *slot, struct text_list shown)
{
    uint32_t count = request->exclude.count + slot->exclude.count + shown.count;
    struct text *id = ARENA_NEW(arena, struct text, count);
    if (id == NULL)
        return slot->exclude;
    struct text *next = id;
    for (uint32_t i = 0; i < request->exclude.count; i++)
        *next++ = request->exclude.ptr[i];
    for (uint32_t i = 0; i < slot->exclude.count; i++)
        *next++ = slot->exclude.ptr[i];
    for (uint32_t i = 0; i < shown.count; i++)
        *next++ = shown.ptr[i];
    return (struct text_list){id, count};
}

struct request page_slot_request(const struct policy_set *policies, struct arena *arena,
                                 const struct request *request, uint32_t index,
                                 struct text_list shown)
{
    const struct request_slot *slot = &request->slots[index];
    struct request one = *request;
    if (policies->slot[policy_slot_index(policies, slot->slot)].repeats)
        shown.count = 0;
    one.op = OP_recommend;
    one.slot = slot->slot;
    one.n = slot->n;
    if (slot->seeds.count > 0)
        one.seeds = slot->seeds;
    if (slot->has_filters)
        one.filters = slot->filters;
    one.why_not = (struct text){NULL, 0};
    one.exclude = exclusions(arena, request, slot, shown);
    return one;
}

static void note_shown(struct shown *shown, const struct decision *decision)
{
    for (uint32_t i = 0; i < decision->count && shown->item != NULL; i++) {
        shown->id[shown->count] = decision->items[i].id;
        shown->item[shown->count++] = decision->items[i].item;
    }
}

void decide_page(const struct decide_env *env, struct worker *worker, const struct request *request,
                 page_slot_fn tell, void *ctx)
{
    struct shown shown = {.id = ARENA_NEW(&worker->arena, struct text, items_max(request))};
    if (shown.id != NULL)
        shown.item = ARENA_NEW(&worker->arena, uint32_t, items_max(request));
    struct page_memo memo;
    struct decide_env of_page = *env;
    page_memo_begin(&memo, &worker->page, items_max(request));
    of_page.memo = request->slot_count > 1 ? &memo : NULL;
    size_t mark = arena_mark(&worker->arena);
    for (uint32_t i = 0; i < request->slot_count; i++) {
        struct decision decision;
        struct request one = page_slot_request(env->snapshot->policies, &worker->arena, request, i,
                                               (struct text_list){shown.id, shown.count});
        uint64_t began_ns = clock_now_ns(worker->clock);
        decide(&of_page, worker, &one, &decision);
        const struct page_slot slot = {.index = i,
                                       .request = &one,
                                       .decision = &decision,
                                       .took_ns = clock_now_ns(worker->clock) - began_ns,
                                       .shown = shown.item,
                                       .shown_count = shown.count};
        tell(ctx, &slot);
        note_shown(&shown, &decision);
        arena_rewind(&worker->arena, mark);
    }
}
