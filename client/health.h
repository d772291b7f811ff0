/* SPDX-License-Identifier: Apache-2.0 */
/* health - whether an address should be asked now.
 *
 * A failure makes an address be left alone for 1 ms, and twice as long for each further failure
 * without a success between, up to 1 s.  It is `hard` when nothing can be expected there (refused,
 * lost, no reply at all, draining, overloaded, internal); a call that ran out of time makes the
 * address merely suspect: it is asked when there is none better, since it may only be slow. From
 * CLIENT_EJECT_FAILURES failures on it counts as ejected. After the time one call is let through,
 * the probe; the others wait for its outcome or for the same time again, so that a dead address
 * costs one call per period, not all of them.  Where there is no other address to ask, the period
 * is CLIENT_COOL_DOWN_NS_ALONE at most. Threads: one owner (the fleet, under its mutex).  Time is
 * given by the caller. */
#ifndef CLIENT_HEALTH_H
#define CLIENT_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "client/clock.h"

#define CLIENT_COOL_DOWN_NS_MIN   (1 * CLIENT_NS_PER_MS)
#define CLIENT_COOL_DOWN_NS_MAX   (1000 * CLIENT_NS_PER_MS)
#define CLIENT_COOL_DOWN_NS_ALONE (100 * CLIENT_NS_PER_MS)
#define CLIENT_EJECT_FAILURES     5

enum client_health_state { CLIENT_HEALTHY, CLIENT_SUSPECT, CLIENT_LEFT_ALONE };

struct client_health {
    uint32_t failure_count; /* since the last success */
    uint64_t retry_at_ns;
    uint64_t alone_retry_at_ns; /* when there is no other address */
    bool hard;
    bool tried; /* a probe was let through and has not reported */
};

enum client_health_state client_health_state(const struct client_health *health, uint64_t now_ns);
/* True when this call is the probe. */
bool client_health_chosen(struct client_health *health, uint64_t now_ns);
void client_health_succeeded(struct client_health *health);
/* `pause_ns`: how long the address asked to be left alone, at least.  True when this failure
 * ejected it. */
bool client_health_failed(struct client_health *health, bool hard, uint64_t pause_ns,
                          uint64_t now_ns);

static inline bool client_health_is_ejected(const struct client_health *health)
{
    return health->failure_count >= CLIENT_EJECT_FAILURES;
}

#endif
