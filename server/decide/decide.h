/* SPDX-License-Identifier: Apache-2.0 */
/* decide - one decision: candidates, filter, rank, price, choose, at the best level of the ladder
 * that can be reached in time.
 *
 * A decision is a function of snapshot, store state, request and decision id.  recommend, similar,
 * rank and price always answer: at worst an empty list at level `static` with a reason.  Nothing
 * here allocates, locks, does I/O or formats text.
 *
 * Threads: any serving thread with its own worker, inside rcu_read_begin/end from before the call
 * until the decision has been encoded. */
#ifndef SERVER_DECIDE_DECIDE_H
#define SERVER_DECIDE_DECIDE_H

#include "featurestore/store_items.h"
#include "featurestore/store_people.h"
#include "server/decide/answers.h"
#include "server/decide/decision.h"
#include "server/decide/snapshot.h"
#include "server/decide/worker.h"
#include "server/protocol/request.h"

struct page_memo; /* server/decide/page_memo.h */

struct decide_env {
    const struct store *store;
    const struct snapshot *snapshot;
    struct answers *answers;  /* last good answers, for level `cached` */
    enum level floor;         /* the best level that is allowed */
    enum reason floor_reason; /* why, unless it is LEVEL_full */
    uint64_t deadline_ns;     /* 0: none */
    uint64_t slow_ns;         /* a longer use of a model counts as failed; 0: no limit */
    uint32_t spared_permille; /* share of history items and ranked candidates to skip (effort.h) */
    bool keep_features;       /* keep the ranker's feature rows in the items, for the log */
    int64_t wall_ms;
    /* Bit set of trials: decide with these, whoever asks, without effect on breakers and counts;
     * 0: an ordinary decision. */
    uint32_t aside;
    struct page_memo *memo; /* shared by the slots of a page; NULL: a single decision */
};

/* request->op is recommend, similar, rank or price. */
void decide(const struct decide_env *env, struct worker *worker, const struct request *request,
            struct decision *ret_decision);
/* Records the time from there to the packed reply, which the next decision reserves. */
void decide_learn_finish(struct worker *worker, uint64_t ns);

#endif
