/* SPDX-License-Identifier: Apache-2.0 */
/* admission - load shedding by queueing time.
 *
 * The measure is not queue length but how long requests waited before a worker began with them.
 * After a window of a tenth of a second (or longer, until it has enough requests) in which nearly
 * all requests waited longer than the target the state moves one step down the list below; after
 * one in which nearly none did it moves one step up.  A short burst changes nothing.
 *   FINE     everything is served
 *   CHEAPER  decisions are no better than `reduced`, and those that themselves waited longer than
 *            the target no better than `cached`, since thousands can queue within one window
 *   CHEAPEST decisions are no better than `cached`
 *   REFUSING requests that waited longer than `max_ns` are refused as well: model uploads after a
 *            quarter of that, events after half, decisions after all of it.  Operators' requests
 *            (ping, status, mode, drain) are always served.
 *
 * Threads: each worker has its own struct queue_delay; admission itself has no state. */
#ifndef SERVER_CONTROL_ADMISSION_H
#define SERVER_CONTROL_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

#include "server/decide/decision.h"
#include "server/decide/worker.h"
#include "server/protocol/ops.h"

enum overload { OVERLOAD_FINE, OVERLOAD_CHEAPER, OVERLOAD_CHEAPEST, OVERLOAD_REFUSING };

struct admission {
    uint64_t target_ns; /* 0: never overloaded */
    uint64_t max_ns;
};

struct admission_verdict {
    enum level floor; /* the best level for it */
    bool refused;
    uint32_t retry_after_ms; /* when refused */
};

/* A request begins at now_ns that waited so long. */
void admission_note(const struct admission *admission, struct queue_delay *queue, uint64_t now_ns,
                    uint64_t waited_ns);
struct admission_verdict admission_judge(const struct admission *admission, enum op op,
                                         enum overload overload, uint64_t waited_ns);

#endif
