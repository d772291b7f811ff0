/* SPDX-License-Identifier: Apache-2.0 */
/* The lists of the policies follow what the store learns. */
#include "base/log.h"
#include "base/rcu.h"
#include "featurestore/store.h"
#include "server/control/registry_change.h"
#include "server/control/registry_internal.h"
#include "server/metrics.h"

#define RECOVERING_NS UINT64_C(100000000)
#define LISTING_SHARE 20 /* at most a twentieth of the time is spent on lists */
#define GIVE_WAY_MAX  5  /* times in a row that lists are begun again for commands */

static uint64_t events_seen(const struct registry *registry)
{
    struct store_stats stats;
    store_stats(registry->store, &stats);
    return stats.events_accepted + stats.items;
}

static bool has_lists(const struct snapshot *snapshot)
{
    return snapshot != NULL && snapshot->policies->list_count > 0;
}

/* False when it gave way to a command. */
static bool refresh(struct registry *registry, struct snapshot *snapshot)
{
    struct err err = {.text = ""};
    if (!has_lists(snapshot))
        return true;
    registry->lists_give_way = registry->gave_way < GIVE_WAY_MAX;
    enum err_code rc = snapshot_refresh_lists(snapshot, registry->store, &err);
    registry->lists_give_way = false;
    if (rc != ERR_OK && rc != ERR_BUSY)
        log_at(LOG_ERROR, "lists cannot be made anew", LOG_STR("error", err.text));
    return rc != ERR_BUSY;
}

static void count_unknown(struct registry *registry, const struct snapshot *snapshot)
{
    uint64_t unknown = 0;
    rcu_read_begin();
    const struct list_set *set = snapshot_lists(snapshot);
    for (uint32_t i = 0; i < set->count; i++)
        unknown += set->list[i]->unknown_count;
    rcu_read_end();
    metric_set(registry->metrics, M_LIST_ITEMS_UNKNOWN, 0, 0, (double)unknown);
}

/* While the log is read again the lists of before are those of an empty store: what is recovered
 * shows soon after. */
uint64_t reg_lists_due_ns(const struct registry *registry)
{
    uint64_t wait_ns = registry->lists_ns;
    if (wait_ns < LISTING_SHARE * registry->listing_ns)
        wait_ns = LISTING_SHARE * registry->listing_ns;
    if (!has_lists(registry->snapshot))
        return UINT64_MAX;
    if (!registry->listed_recovered && wait_ns > RECOVERING_NS)
        wait_ns = RECOVERING_NS;
    return registry->listed_at_ns + wait_ns;
}

void reg_lists_check(struct registry *registry)
{
    uint64_t now_ns = clock_now_ns(registry->clock);
    if (now_ns < reg_lists_due_ns(registry))
        return;
    registry->listed_at_ns = now_ns;
    if (!store_is_recovered(registry->store))
        return;
    registry->listed_recovered = true;
    uint64_t seen = events_seen(registry);
    if (seen == registry->listed_events)
        return;
    if (!refresh(registry, registry->snapshot) || !refresh(registry, registry->shadows)) {
        registry->gave_way++;
        return; /* what was seen stays as it was: they are due again after the usual time */
    }
    registry->gave_way = 0;
    registry->listed_events = seen;
    count_unknown(registry, registry->snapshot);
    registry->listing_ns = clock_now_ns(registry->clock) - now_ns;
    metric_set(registry->metrics, M_LIST_SECONDS, 0, 0, (double)registry->listing_ns / 1e9);
}
