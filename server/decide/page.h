/* SPDX-License-Identifier: Apache-2.0 */
/* page - the slots of a whole page, decided one after the other: what one of them shows the next do
 * not, unless their policy says `repeats`.  Each gives what it would give as a request of its own
 * that excludes what is shown; what they have in common is done once (page_memo.h).
 *
 * Threads: as decide. */
#ifndef SERVER_DECIDE_PAGE_H
#define SERVER_DECIDE_PAGE_H

#include "server/decide/decide.h"

/* One slot that was decided; all of it is valid while it is told. */
struct page_slot {
    uint32_t index;                /* in the slots of the request */
    const struct request *request; /* what the slot asked, as a request of its own */
    const struct decision *decision;
    uint64_t took_ns;      /* of decide() */
    const uint32_t *shown; /* items that stood on the page before, by number */
    uint32_t shown_count;
};

/* Called for each slot in the order of the request. */
typedef void (*page_slot_fn)(void *ctx, const struct page_slot *slot);

/* request->op is decide, with slots. */
void decide_page(const struct decide_env *env, struct worker *worker, const struct request *request,
                 page_slot_fn tell, void *ctx);

/* What slot `index` asks below the items `shown`, as a request of its own. */
struct request page_slot_request(const struct policy_set *policies, struct arena *arena,
                                 const struct request *request, uint32_t index,
                                 struct text_list shown);

#endif
