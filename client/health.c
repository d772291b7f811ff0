/* SPDX-License-Identifier: Apache-2.0 */
#include "client/health.h"

static uint64_t cool_down_ns(uint32_t failure_count)
{
    uint32_t doublings = failure_count > 11 ? 10 : failure_count - 1;
    uint64_t ns = CLIENT_COOL_DOWN_NS_MIN << doublings;
    return ns < CLIENT_COOL_DOWN_NS_MAX ? ns : CLIENT_COOL_DOWN_NS_MAX;
}

enum client_health_state client_health_state(const struct client_health *health, uint64_t now_ns)
{
    if (health->failure_count == 0 || now_ns >= health->retry_at_ns)
        return CLIENT_HEALTHY;
    return health->hard ? CLIENT_LEFT_ALONE : CLIENT_SUSPECT;
}

void client_health_chosen(struct client_health *health, uint64_t now_ns)
{
    if (health->failure_count == 0 || now_ns < health->retry_at_ns)
        return;
    health->tried = true;
    health->retry_at_ns = now_ns + cool_down_ns(health->failure_count);
}

void client_health_succeeded(struct client_health *health)
{
    *health = (struct client_health){0};
}

void client_health_failed(struct client_health *health, bool hard, uint64_t now_ns)
{
    /* Calls that fail together, for one reason, count once. */
    bool counted = health->failure_count > 0 && !health->tried && now_ns < health->retry_at_ns;
    if (counted && (health->hard || !hard))
        return;
    health->failure_count++;
    health->hard = hard;
    health->tried = false;
    health->retry_at_ns = now_ns + cool_down_ns(health->failure_count);
}
