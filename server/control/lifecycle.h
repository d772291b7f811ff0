/* SPDX-License-Identifier: Apache-2.0 */
/* lifecycle - the event loop of main, from ready to stopped: signals, timers, and the drain.
 *
 *   STARTING -> RUNNING -> LEAVING -> DRAINING -> stopped
 *
 * STARTING: the loop runs and HTTP answers, but peers are not let in until `open` says so.
 * LEAVING (drain_delay_ms): /readyz says 503, everything is served as ever, so that load balancers
 * can turn away first.  DRAINING: no new connections, `draining` for new requests, until what was
 * taken before is answered (drain_timeout_ms at most).  SIGTERM, SIGINT and the operation `drain`
 * begin it; a second signal ends all waiting; a third one kills, since the loop is over by then.
 * A restart (see successor.h) ends in DRAINING, too, without the delay; a signal then stops the
 * successor as well, and the drain goes on as any.
 * SIGHUP reloads; SIGUSR1, SIGUSR2 and SIGALRM do nothing, and the first of them is logged.
 *
 * Threads: lifecycle_drain and lifecycle_is_leaving on any; all else on main. */
#ifndef SERVER_CONTROL_LIFECYCLE_H
#define SERVER_CONTROL_LIFECYCLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "server/control/service.h"
#include "server/control/successor.h"

struct event_base; /* libevent */
struct lifecycle;

enum lifecycle_opening { LIFECYCLE_TOO_EARLY, LIFECYCLE_OPEN, LIFECYCLE_CANNOT_OPEN };

struct lifecycle_options { /* all borrowed */
    const struct clock *clock;
    uint32_t drain_delay_ms, drain_timeout_ms;
    struct service *service;
    struct modes *modes;
    struct jobs *jobs;
    struct reload *reload;
    struct model_ops *model_ops;
    struct audit *audit; /* NULL: none */
    /* Of all transports. */
    void (*refuse_new)(void *ctx);
    uint32_t (*in_flight)(void *ctx);
    bool (*are_alive)(void *ctx); /* asked every second; the watchdog is fed as long as they are */
    struct successor *successor;  /* NULL: no restarts */
    /* Lets peers in; asked again while it is too early for that. */
    enum lifecycle_opening (*open)(void *ctx, struct err *err);
    void *transports;
};

/* From here on signals are held until lifecycle_run, a SIGHUP that was blocked until now too;
 * SIGPIPE is ignored, and what libevent has to say is logged. */
MUST_CHECK enum err_code lifecycle_create(struct lifecycle **ret_lifecycle, struct err *err);
void lifecycle_destroy(struct lifecycle **lifecycle);
struct event_base *lifecycle_base(struct lifecycle *lifecycle); /* borrowed */

/* Says when the daemon is ready, and returns when it may stop. */
MUST_CHECK enum err_code lifecycle_run(struct lifecycle *lifecycle,
                                       const struct lifecycle_options *options, struct err *err);

void lifecycle_drain(void *lifecycle); /* for service_options.drain */
/* For service_options.restart. */
bool lifecycle_restart(void *lifecycle, service_restart_done_fn done, void *arg);
/* For successor_options.on_ready: stops without telling load balancers, since the sockets stay. */
void lifecycle_hand_over(void *lifecycle);
bool lifecycle_is_leaving(const struct lifecycle *lifecycle);

#endif
