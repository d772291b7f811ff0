/* SPDX-License-Identifier: Apache-2.0 */
#include "client/fleet.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client/hash.h"

enum { LOAD_FACTOR_PERCENT = 125 }; /* "c" in consistent hashing with bounded loads */

_Static_assert(CLIENT_ADDRESSES_MAX <= 64, "a set of addresses is 64 bits");

enum decide_status client_fleet_init(struct client_fleet *fleet,
                                     const struct client_address *addresses, size_t count,
                                     uint32_t retry_percent)
{
    fleet->sites = calloc(count, sizeof *fleet->sites);
    if (fleet->sites == NULL)
        return DECIDE_NOMEM;
    pthread_mutex_init(&fleet->mutex, NULL);
    fleet->site_count = (uint32_t)count;
    fleet->budget = client_budget_full(retry_percent, client_now_ns());
    for (size_t i = 0; i < count; i++) {
        struct client_site *site = &fleet->sites[i];
        site->address = addresses[i];
        /* Derived from the url alone, so that it is the same in every client, whatever the order of
         * its addresses. */
        site->seed = client_hash(site->address.url, strlen(site->address.url));
        site->seed ^= client_hash(&site->address.socket_address, site->address.length);
    }
    return DECIDE_OK;
}

void client_fleet_deinit(struct client_fleet *fleet)
{
    if (fleet->sites == NULL)
        return;
    free(fleet->sites);
    fleet->sites = NULL;
    pthread_mutex_destroy(&fleet->mutex);
}

void client_fleet_forget_parent(struct client_fleet *fleet)
{
    pthread_mutex_init(&fleet->mutex, NULL);
    fleet->in_progress_count = 0;
    for (uint32_t i = 0; i < fleet->site_count; i++) {
        fleet->sites[i].in_progress_count = 0;
        fleet->sites[i].health = (struct client_health){0};
    }
}

void client_fleet_earn(struct client_fleet *fleet)
{
    pthread_mutex_lock(&fleet->mutex);
    client_budget_earn(&fleet->budget);
    pthread_mutex_unlock(&fleet->mutex);
}

bool client_fleet_spend(struct client_fleet *fleet, uint64_t now_ns)
{
    pthread_mutex_lock(&fleet->mutex);
    bool allowed = client_budget_spend(&fleet->budget, now_ns);
    pthread_mutex_unlock(&fleet->mutex);
    return allowed;
}

/* Lower is better; the last word has the rank for the key. */
struct preference {
    uint32_t class;
    uint64_t rank;
};

static bool is_better(struct preference a, struct preference b)
{
    return a.class != b.class ? a.class < b.class : a.rank < b.rank;
}

static struct preference prefer(const struct client_site *site, enum client_health_state state,
                                bool tried, uint32_t bound, uint64_t key)
{
    bool busy = site->in_progress_count >= bound;
    return (struct preference){
        .class = (state == CLIENT_SUSPECT ? 4U : 0U) + (tried ? 2U : 0U) + (busy ? 1U : 0U),
        .rank = key == 0 ? site->chosen_count_at : client_hash_mix(key ^ site->seed)};
}

/* The number of calls that one address may have in progress, this one included. */
static uint32_t load_bound(const struct client_fleet *fleet, uint32_t healthy_count)
{
    uint64_t parts = (uint64_t)LOAD_FACTOR_PERCENT * (fleet->in_progress_count + 1U);
    uint64_t whole = 100U * (uint64_t)(healthy_count == 0 ? 1 : healthy_count);
    return (uint32_t)((parts + whole - 1) / whole);
}

static void take(struct client_fleet *fleet, struct client_pick *pick, uint64_t now_ns)
{
    struct client_site *site = &fleet->sites[pick->site];
    pick->is_probe = client_health_chosen(&site->health, now_ns);
    pick->p95_ns = client_quantile_p95_ns(&fleet->latency);
    site->chosen_count_at = ++fleet->chosen_count;
    site->in_progress_count++;
    site->attempt_count++;
    fleet->in_progress_count++;
}

struct client_pick client_fleet_pick(struct client_fleet *fleet, uint64_t key, uint64_t tried,
                                     bool is_hedge, uint64_t now_ns)
{
    struct client_pick pick = {.retry_at_ns = UINT64_MAX};
    struct preference best = {UINT32_MAX, UINT64_MAX};
    enum client_health_state states[CLIENT_ADDRESSES_MAX];
    uint32_t healthy_count = 0;
    uint32_t fresh_count = 0; /* healthy and not tried */
    uint32_t last_resort = 0;
    uint32_t overloaded_count = 0;
    pthread_mutex_lock(&fleet->mutex);
    for (uint32_t i = 0; i < fleet->site_count; i++) {
        states[i] = client_health_state(&fleet->sites[i].health, now_ns);
        healthy_count += states[i] == CLIENT_HEALTHY;
        fresh_count += states[i] == CLIENT_HEALTHY && (tried >> i & 1) == 0;
    }
    uint32_t bound = load_bound(fleet, healthy_count);
    for (uint32_t i = 0; i < fleet->site_count; i++) {
        const struct client_site *site = &fleet->sites[i];
        bool was_tried = (tried >> i & 1) != 0;
        if (states[i] == CLIENT_LEFT_ALONE) {
            overloaded_count += site->is_overloaded;
            if (site->health.alone_retry_at_ns < pick.retry_at_ns) {
                pick.retry_at_ns = site->health.alone_retry_at_ns;
                last_resort = i;
            }
            continue;
        }
        if (is_hedge && (was_tried || states[i] != CLIENT_HEALTHY))
            continue;
        struct preference one = prefer(site, states[i], was_tried, bound, key);
        if (is_better(one, best)) {
            best = one;
            pick.found = true;
            pick.site = i;
        }
    }
    if (!pick.found && !is_hedge && pick.retry_at_ns <= now_ns) {
        pick.found = true;
        pick.site = last_resort;
    }
    if (pick.found) {
        bool is_fresh = states[pick.site] == CLIENT_HEALTHY && (tried >> pick.site & 1) == 0;
        pick.others = fresh_count > (is_fresh ? 1U : 0U);
        take(fleet, &pick, now_ns);
    }
    pick.are_overloaded = !pick.found && overloaded_count == fleet->site_count;
    pthread_mutex_unlock(&fleet->mutex);
    return pick;
}

void client_fleet_report(struct client_fleet *fleet, uint32_t index, enum client_outcome outcome,
                         uint64_t took_or_pause_ns, uint64_t now_ns)
{
    struct client_site *site = &fleet->sites[index];
    pthread_mutex_lock(&fleet->mutex);
    site->in_progress_count--;
    fleet->in_progress_count--;
    switch (outcome) {
    case CLIENT_OUTCOME_NONE: break;
    case CLIENT_OUTCOME_FINE:
        site->is_overloaded = false;
        client_health_succeeded(&site->health);
        client_quantile_add(&fleet->latency, took_or_pause_ns);
        break;
    case CLIENT_OUTCOME_SLOW:
    case CLIENT_OUTCOME_BAD:
    case CLIENT_OUTCOME_OVERLOADED:
        site->failure_count++;
        site->is_overloaded = outcome == CLIENT_OUTCOME_OVERLOADED;
        if (client_health_failed(&site->health, outcome != CLIENT_OUTCOME_SLOW, took_or_pause_ns,
                                 now_ns)) {
            site->ejection_count++;
            atomic_fetch_add_explicit(&fleet->ejection_count, 1, memory_order_relaxed);
        }
        break;
    }
    pthread_mutex_unlock(&fleet->mutex);
}

static enum decide_endpoint_state endpoint_state(const struct client_health *health,
                                                 uint64_t now_ns)
{
    if (health->tried)
        return DECIDE_ENDPOINT_PROBED;
    if (client_health_is_ejected(health))
        return DECIDE_ENDPOINT_EJECTED;
    return client_health_state(health, now_ns) == CLIENT_HEALTHY ? DECIDE_ENDPOINT_FINE
                                                                 : DECIDE_ENDPOINT_PAUSED;
}

size_t client_fleet_endpoints(struct client_fleet *fleet, struct decide_endpoint *endpoints,
                              size_t capacity, uint64_t now_ns)
{
    pthread_mutex_lock(&fleet->mutex);
    for (uint32_t i = 0; i < fleet->site_count && i < capacity; i++) {
        const struct client_site *site = &fleet->sites[i];
        endpoints[i] = (struct decide_endpoint){.url = site->address.url,
                                                .state = endpoint_state(&site->health, now_ns),
                                                .in_progress = site->in_progress_count,
                                                .failures_in_a_row = site->health.failure_count,
                                                .attempts = site->attempt_count,
                                                .failures = site->failure_count,
                                                .ejections = site->ejection_count};
    }
    pthread_mutex_unlock(&fleet->mutex);
    return fleet->site_count;
}
