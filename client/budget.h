/* SPDX-License-Identifier: Apache-2.0 */
/* budget - limits retries and hedges, so that a client does not add load to daemons in trouble.
 *
 * A token bucket: each call adds a fraction of a token, each retry or hedge takes one.  It holds
 * CLIENT_BUDGET_TOKENS at most and starts full, for the case that a daemon dies with calls in
 * flight; one token a second is added anyway, for clients that call rarely.
 * Threads: one owner (the fleet, under its mutex).  The caller supplies the time. */
#ifndef CLIENT_BUDGET_H
#define CLIENT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "client/clock.h"

#define CLIENT_BUDGET_TOKENS 100
#define CLIENT_BUDGET_UNIT   10000 /* parts of a token: a percent of a percent */

struct client_budget {
    uint32_t percent; /* 0: no retries or hedges at all */
    uint64_t parts;
    uint64_t topped_up_ns;
};

static inline struct client_budget client_budget_full(uint32_t percent, uint64_t now_ns)
{
    return (struct client_budget){
        percent, percent == 0 ? 0 : (uint64_t)CLIENT_BUDGET_TOKENS * CLIENT_BUDGET_UNIT, now_ns};
}

static inline void client_budget_add(struct client_budget *budget, uint64_t parts)
{
    uint64_t full = (uint64_t)CLIENT_BUDGET_TOKENS * CLIENT_BUDGET_UNIT;
    budget->parts = parts < full - budget->parts ? budget->parts + parts : full;
}

/* One call. */
static inline void client_budget_earn(struct client_budget *budget)
{
    client_budget_add(budget, (uint64_t)budget->percent * (CLIENT_BUDGET_UNIT / 100));
}

/* One retry or hedge; false: it must not be made. */
static inline bool client_budget_spend(struct client_budget *budget, uint64_t now_ns)
{
    /* now_ns may be older than topped_up_ns: another thread read the clock a moment later. */
    uint64_t passed_ns = now_ns > budget->topped_up_ns ? now_ns - budget->topped_up_ns : 0;
    uint64_t seconds = passed_ns / CLIENT_NS_PER_SEC;
    if (budget->percent > 0 && seconds > 0) {
        client_budget_add(budget, seconds < CLIENT_BUDGET_TOKENS
                                      ? seconds * CLIENT_BUDGET_UNIT
                                      : (uint64_t)CLIENT_BUDGET_TOKENS * CLIENT_BUDGET_UNIT);
        budget->topped_up_ns += seconds * CLIENT_NS_PER_SEC;
    }
    if (budget->parts < CLIENT_BUDGET_UNIT)
        return false;
    budget->parts -= CLIENT_BUDGET_UNIT;
    return true;
}

#endif
