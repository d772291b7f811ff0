/* SPDX-License-Identifier: Apache-2.0 */
/* admission - what becomes of a request when requests wait.
 *
 * Measured, not counted: how long requests waited before a worker began with them.  A window of a
 * tenth of a second (or more, until it has some requests) in which nearly all waited longer than
 * the target makes things one step more severe, one in which nearly none did makes them one step
 * milder; in between they stay.  A burst that is worked off changes nothing.
 *   FINE     everything is served
 *   CHEAPER  decisions are no better than `reduced`, and what waited longer than the target itself
 *            no better than `cached`: a window is long enough for thousands to wait behind
 *   CHEAPEST decisions are no better than `cached`
 *   REFUSING and what waited longer than `max_ns` is refused: uploads of models after a quarter of
 *            that, events after half, then decisions.  What operators need (ping, status, mode,
 *            drain) is always served.
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
