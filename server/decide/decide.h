/* SPDX-License-Identifier: Apache-2.0 */
/* decide - one decision: candidates, filter, rank, price, choose, on the highest rung of the ladder
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
    uint64_t slow_ns;         /* a use of a model that takes longer is bad; 0: none is */
    uint32_t spared_permille; /* of the history that speaks and of what the ranker sees */
    bool keep_features;       /* the items shall hold what the ranker saw, for the log */
    int64_t wall_ms;
    /* Bits: decide with these trials of the snapshot, whoever asks, and leave no trace of it in
     * breakers and counts; 0: an ordinary decision. */
    uint32_t aside;
    struct page_memo *memo; /* of the page that the decision is a slot of; NULL: it is alone */
};

/* request->op is recommend, similar, rank or price. */
void decide(const struct decide_env *env, struct worker *worker, const struct request *request,
            struct decision *ret_decision);
/* What it took from there to the packed reply: the next decision leaves room for it. */
void decide_learn_finish(struct worker *worker, uint64_t ns);

#endif
