/* SPDX-License-Identifier: Apache-2.0 */
/* fleet - state shared by all calls of a client: the addresses, the health and load of each, recent
 * latency, and the retry budget.
 *
 * A person's calls go to the same daemon, whose caches are warm for them: rendezvous hashing ranks
 * the addresses for each key, and the first healthy one with at most 1.25 times the mean number of
 * calls in progress is chosen (consistent hashing with bounded loads, Mirrokni et al. 2018, on
 * rendezvous ranks).  Without a key the address chosen least recently ranks first.
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
    uint64_t seed;            /* for its rank by key */
    uint64_t chosen_count_at; /* the fleet's chosen_count when it was last chosen */
    uint32_t in_progress_count;
    bool is_overloaded; /* its last reply said so */
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
    bool others;          /* there is another healthy address not tried yet */
    uint64_t p95_ns;      /* of recent latencies; UINT64_MAX: unknown */
    uint64_t retry_at_ns; /* not found: when the first pause ends */
    bool are_overloaded;  /* not found: all are paused for overload and for nothing else */
};

/* What was learned about the address. */
enum client_outcome {
    CLIENT_OUTCOME_NONE,
    CLIENT_OUTCOME_FINE,
    CLIENT_OUTCOME_SLOW,      /* timed out, or lost against a hedge */
    CLIENT_OUTCOME_BAD,       /* failed: pause it */
    CLIENT_OUTCOME_OVERLOADED /* asked to be paused */
};

enum decide_status client_fleet_init(struct client_fleet *fleet,
                                     const struct client_address *addresses, size_t count,
                                     uint32_t retry_percent);
void client_fleet_deinit(struct client_fleet *fleet); /* fine on a zeroed one */
void client_fleet_forget_parent(struct client_fleet *fleet);

/* A call begins: adds to the retry budget. */
void client_fleet_earn(struct client_fleet *fleet);
/* Takes a token for a retry or hedge; false: none is available, so it must not be made. */
bool client_fleet_spend(struct client_fleet *fleet, uint64_t now_ns);

/* `key`: 0 for none.  `tried`: a bit for each address to avoid while there are others.
 * `is_hedge`: only a healthy address that was not tried is acceptable. */
struct client_pick client_fleet_pick(struct client_fleet *fleet, uint64_t key, uint64_t tried,
                                     bool is_hedge, uint64_t now_ns);
/* To be called once for each pick.  `took_or_pause_ns`: latency of an answer, or the pause that a
 * refusal asked for. */
void client_fleet_report(struct client_fleet *fleet, uint32_t site, enum client_outcome outcome,
                         uint64_t took_or_pause_ns, uint64_t now_ns);

size_t client_fleet_endpoints(struct client_fleet *fleet, struct decide_endpoint *endpoints,
                              size_t capacity, uint64_t now_ns);

#endif
