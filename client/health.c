/* SPDX-License-Identifier: Apache-2.0 */
#include "client/health.h"

static uint64_t cool_down_ns(uint32_t failure_count)
{
    uint32_t doublings = failure_count > 11 ? 10 : failure_count - 1;
    uint64_t ns = CLIENT_COOL_DOWN_NS_MIN << doublings;
    return ns < CLIENT_COOL_DOWN_NS_MAX ? ns : CLIENT_COOL_DOWN_NS_MAX;
}

/* No earlier than after `pause_ns`. */
static void leave_alone(struct client_health *health, uint64_t pause_ns, uint64_t now_ns)
{
    uint64_t ns = cool_down_ns(health->failure_count);
    uint64_t alone_ns = ns < CLIENT_COOL_DOWN_NS_ALONE ? ns : CLIENT_COOL_DOWN_NS_ALONE;
    if (pause_ns > CLIENT_COOL_DOWN_NS_MAX)
        pause_ns = CLIENT_COOL_DOWN_NS_MAX;
    health->retry_at_ns = now_ns + (ns > pause_ns ? ns : pause_ns);
    health->alone_retry_at_ns = now_ns + (alone_ns > pause_ns ? alone_ns : pause_ns);
}

enum client_health_state client_health_state(const struct client_health *health, uint64_t now_ns)
{
    if (health->failure_count == 0 || now_ns >= health->retry_at_ns)
        return CLIENT_HEALTHY;
    return health->hard ? CLIENT_LEFT_ALONE : CLIENT_SUSPECT;
}

bool client_health_chosen(struct client_health *health, uint64_t now_ns)
{
    if (health->failure_count == 0 || now_ns < health->alone_retry_at_ns)
        return false;
    health->tried = true;
    leave_alone(health, 0, now_ns);
    return true;
}

void client_health_succeeded(struct client_health *health)
{
    *health = (struct client_health){0};
}

bool client_health_failed(struct client_health *health, bool hard, uint64_t pause_ns,
                          uint64_t now_ns)
{
    /* Calls that fail together, for one reason, count once. */
    bool counted = health->failure_count > 0 && !health->tried && now_ns < health->retry_at_ns;
    if (counted && (health->hard || !hard))
        return false;
    health->failure_count++;
    health->hard = hard;
    health->tried = false;
    leave_alone(health, pause_ns, now_ns);
    return health->failure_count == CLIENT_EJECT_FAILURES;
}
