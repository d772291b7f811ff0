/* SPDX-License-Identifier: Apache-2.0 */
/* fleet - what all calls of a client know together: the addresses, how healthy and how busy each
 * is, how long answers take, and how many further tries may be made.
 *
 * A person's calls go to the same daemon, which has their data warm: rendezvous hashing ranks the
 * addresses for each key, the first healthy one that is not above 1.25 times the mean of what is in
 * progress is taken, and the next in the ranking stands in for it.  Without a key the address that
 * was chosen least recently is the first.
 * Threads: any; one mutex, held for a few hundred instructions.  Time is given by the caller. */
#ifndef CLIENT_FLEET_H
#define CLIENT_FLEET_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/address.h"
#include "client/budget.h"
#include "client/decide.h"
#include "client/health.h"
#include "client/quantile.h"

struct client_site {
    struct client_address address;
    struct client_health health;
    uint64_t seed;            /* of its rank for a key */
    uint64_t chosen_count_at; /* the fleet's count when it was chosen last */
    uint32_t in_progress_count;
    bool is_overloaded; /* it said so last */
    uint64_t attempt_count, failure_count, ejection_count;
};

struct client_fleet {
    pthread_mutex_t mutex;
    struct client_site *sites; /* owned; the addresses never change */
    uint32_t site_count;
    uint32_t in_progress_count;
    uint64_t chosen_count;
    _Atomic uint64_t ejection_count; /* read without the mutex */
    struct client_budget budget;
    struct client_quantile latency;
};

struct client_pick {
    bool found;
    uint32_t site;
    bool is_probe;
    bool others;          /* another one that was not tried is healthy */
    uint64_t p95_ns;      /* of recent latencies; UINT64_MAX: not known */
    uint64_t retry_at_ns; /* not found: when the first that is left alone may be tried */
    bool are_overloaded;  /* not found: all of them said so, and are well otherwise */
};

/* What was learned about the address. */
enum client_outcome {
    CLIENT_OUTCOME_NONE,
    CLIENT_OUTCOME_FINE,
    CLIENT_OUTCOME_SLOW,      /* the time ran out, or another one was faster */
    CLIENT_OUTCOME_BAD,       /* not to be asked for a while */
    CLIENT_OUTCOME_OVERLOADED /* likewise, because it said so */
};

enum decide_status client_fleet_init(struct client_fleet *fleet,
                                     const struct client_address *addresses, size_t count,
                                     uint32_t retry_percent);
void client_fleet_deinit(struct client_fleet *fleet); /* fine on a zeroed one */
void client_fleet_forget_parent(struct client_fleet *fleet);

/* A call begins. */
void client_fleet_earn(struct client_fleet *fleet);
/* False when no retry or hedge may be made now. */
bool client_fleet_spend(struct client_fleet *fleet, uint64_t now_ns);

/* `key`: 0 for none.  `tried`: a bit for each address to be avoided while there are others.
 * `is_hedge`: only one that was not tried and is healthy will do. */
struct client_pick client_fleet_pick(struct client_fleet *fleet, uint64_t key, uint64_t tried,
                                     bool is_hedge, uint64_t now_ns);
/* Each pick ends with a report.  `took_ns`: of an answer.  `pause_ns`: that a refusal asked for. */
void client_fleet_report(struct client_fleet *fleet, uint32_t site, enum client_outcome outcome,
                         uint64_t took_or_pause_ns, uint64_t now_ns);

size_t client_fleet_endpoints(struct client_fleet *fleet, struct decide_endpoint *endpoints,
                              size_t capacity, uint64_t now_ns);

#endif
