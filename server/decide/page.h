/* SPDX-License-Identifier: Apache-2.0 */
/* page - decides the slots of a page one after the other.  Items shown by one slot are not repeated
 * by later ones, unless their policy says `repeats`.  Each slot answers as it would to a single
 * request that excludes the items already shown; common work is done once (page_memo.h).
 *
 * Threads: as decide. */
#ifndef SERVER_DECIDE_PAGE_H
#define SERVER_DECIDE_PAGE_H

#include "server/decide/decide.h"

/* One decided slot; valid during the callback. */
struct page_slot {
    uint32_t index;                /* in the slots of the request */
    const struct request *request; /* the slot as a single request */
    const struct decision *decision;
    uint64_t took_ns;      /* of decide() */
    const uint32_t *shown; /* numbers of the items that earlier slots show */
    uint32_t shown_count;
};

/* Called for each slot, in the order of the request. */
typedef void (*page_slot_fn)(void *ctx, const struct page_slot *slot);

/* request->op must be decide, with slots. */
void decide_page(const struct decide_env *env, struct worker *worker, const struct request *request,
                 page_slot_fn tell, void *ctx);

/* Slot `index` as a single request that excludes `shown`. */
struct request page_slot_request(const struct policy_set *policies, struct arena *arena,
                                 const struct request *request, uint32_t index,
                                 struct text_list shown);

#endif
