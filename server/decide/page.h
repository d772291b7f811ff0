/* SPDX-License-Identifier: Apache-2.0 */
/* page - the slots of a whole page, decided one after the other: what one of them shows the next do
 * not, unless their policy says `repeats`.
 *
 * Threads: as decide. */
#ifndef SERVER_DECIDE_PAGE_H
#define SERVER_DECIDE_PAGE_H

#include "server/decide/decide.h"

/* Called for each slot in the order of the request, which is the one that was decided on: valid, as
 * the decision is, until it returns. */
typedef void (*page_slot_fn)(void *ctx, const struct request *request,
                             const struct decision *decision);

/* request->op is decide, with slots. */
void decide_page(const struct decide_env *env, struct worker *worker, const struct request *request,
                 page_slot_fn tell, void *ctx);

#endif
