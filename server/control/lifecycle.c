/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/lifecycle.h"

#include <event2/event.h>
#include <event2/thread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/control/late_stop.h"
#include "server/control/notify.h"

enum {
    TICK_MS = 1000,
    LOOK_US = 1000000, /* whether the workers make progress, at least */
    EXPIRE_TICKS = 60, /* abandoned uploads are looked for this often */
    OPEN_POLL_MS = 10,
    DRAIN_POLL_MS = 10,
    /* Answers `draining` until nobody asked for so long, since requests may be under way... */
    DRAIN_POLLS_QUIET = 10,
    /* ...or so, when a successor waits for them... */
    DRAIN_POLLS_QUIET_HANDING_OVER = 2,
    /* ...and does not wait longer than this for peers that go on asking. */
    DRAIN_POLLS_BUSY = 200,
};

enum timer { TIMER_TICK, TIMER_WATCHDOG, TIMER_OPEN, TIMER_LEAVE, TIMER_DRAIN, TIMER_COUNT };

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGALRM};
enum { SIGNAL_COUNT = sizeof signal_numbers / sizeof signal_numbers[0] };

struct lifecycle {
    struct event_base *base;
    struct event *signal[SIGNAL_COUNT];
    struct event *asked; /* made active by lifecycle_drain, from any thread */
    struct event *timer[TIMER_COUNT];
    struct lifecycle_options with;
    _Atomic bool leaving; /* set once; relaxed, nothing is published with it */
    enum lifecycle_opening opening;
    struct err open_err; /* why it cannot */
    bool draining, handing_over;
    bool is_watched; /* by systemd */
    bool starving;   /* a worker stood still the last time */
    bool told_stray; /* that a signal without a meaning came */
    uint32_t tick_count, poll_count, quiet_count;
    uint64_t turned_away_count; /* as of the last poll */
};

static bool start_timer(struct lifecycle *lifecycle, enum timer timer, uint64_t us)
{
    struct timeval interval = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
    return event_add(lifecycle->timer[timer], &interval) == 0;
}

/* ---- draining -------------------------------------------------------------------------------- */

static void stop_taking(struct lifecycle *lifecycle)
{
    if (lifecycle->draining)
        return;
    lifecycle->draining = true;
    service_drain(lifecycle->with.service);
    lifecycle->with.refuse_new(lifecycle->with.transports);
    if (!start_timer(lifecycle, TIMER_DRAIN, DRAIN_POLL_MS * 1000))
        event_base_loopbreak(lifecycle->base);
}

static void on_leave_timer(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    stop_taking(ctx);
}

static void on_drain_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    const struct lifecycle_options *with = &lifecycle->with;
    (void)fd;
    (void)what;
    lifecycle->poll_count++;
    uint32_t deferred = service_deferred_count(with->service);
    uint32_t in_flight = with->in_flight(with->transports);
    uint64_t turned_away = service_turned_away_count(with->service);
    bool quiet = in_flight == 0 && turned_away == lifecycle->turned_away_count;
    lifecycle->quiet_count = quiet ? lifecycle->quiet_count + 1 : 0;
    lifecycle->turned_away_count = turned_away;
    uint32_t quiet_wanted =
        lifecycle->handing_over ? DRAIN_POLLS_QUIET_HANDING_OVER : DRAIN_POLLS_QUIET;
    bool done = deferred == 0 && (lifecycle->quiet_count >= quiet_wanted ||
                                  lifecycle->poll_count >= DRAIN_POLLS_BUSY);
    bool late = (uint64_t)lifecycle->poll_count * DRAIN_POLL_MS >= with->drain_timeout_ms;
    if (late && deferred > 0)
        log_at(LOG_WARN, "drain_timeout_ms is over", LOG_INT("unanswered", deferred));
    if (done || late)
        event_base_loopbreak(lifecycle->base);
}

static void leave(struct lifecycle *lifecycle, const char *why)
{
    uint32_t delay_ms = lifecycle->with.drain_delay_ms;
    if (lifecycle->with.successor != NULL)
        successor_cancel(lifecycle->with.successor);
    atomic_store_explicit(&lifecycle->leaving, true, memory_order_relaxed);
    log_at(LOG_INFO, "draining", LOG_STR("why", why), LOG_INT("delay_ms", delay_ms));
    notify_send("STOPPING=1");
    if (delay_ms == 0 || !start_timer(lifecycle, TIMER_LEAVE, (uint64_t)delay_ms * 1000))
        stop_taking(lifecycle);
}

static void on_asked(evutil_socket_t fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    if (!lifecycle_is_leaving(ctx))
        leave(ctx, "asked to");
}

/* Whoever stops this one means the other one, too. */
static void call_off(struct lifecycle *lifecycle)
{
    log_at(LOG_WARN, "draining, and the new process is stopped", LOG_STR("why", "a signal"));
    lifecycle->handing_over = false;
    late_stop_hold(false);
    successor_cancel(lifecycle->with.successor);
    notify_send("STOPPING=1");
}

static void on_stop_signal(evutil_socket_t number, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    (void)what;
    if (!lifecycle_is_leaving(lifecycle)) {
        leave(lifecycle, number == SIGINT ? "SIGINT" : "SIGTERM");
        return;
    }
    if (lifecycle->handing_over) {
        call_off(lifecycle);
        return;
    }
    log_at(LOG_WARN, "stopping at once", LOG_STR("why", "a second signal"));
    stop_taking(lifecycle);
    event_base_loopbreak(lifecycle->base);
}

void lifecycle_drain(void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    event_active(lifecycle->asked, EV_TIMEOUT, 0);
}

bool lifecycle_restart(void *ctx, service_restart_done_fn done, void *arg)
{
    struct lifecycle *lifecycle = ctx;
    return !lifecycle_is_leaving(lifecycle) && lifecycle->with.successor != NULL &&
           successor_ask(lifecycle->with.successor, done, arg);
}

void lifecycle_hand_over(void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    atomic_store_explicit(&lifecycle->leaving, true, memory_order_relaxed);
    lifecycle->handing_over = true;
    late_stop_hold(true);
    stop_taking(lifecycle);
}

bool lifecycle_is_leaving(const struct lifecycle *lifecycle)
{
    return atomic_load_explicit(&lifecycle->leaving, memory_order_relaxed);
}

/* ---- the rest of the loop -------------------------------------------------------------------- */

static void on_hangup(evutil_socket_t number, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    (void)number;
    (void)what;
    if (!jobs_submit(lifecycle->with.jobs, reload_job, lifecycle->with.reload))
        log_at(LOG_WARN, "reload dropped", LOG_STR("why", "too many jobs are waiting"));
}

/* Meant for another program; its default action would end this one. */
static void on_stray_signal(evutil_socket_t number, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    (void)what;
    if (!lifecycle->told_stray)
        log_at(LOG_WARN, "a signal without a meaning here is ignored",
               LOG_STR("signal", strsignal((int)number)), LOG_INT("number", number));
    lifecycle->told_stray = true;
}

static event_callback_fn on_signal(int number)
{
    switch (number) {
    case SIGTERM:
    case SIGINT: return on_stop_signal;
    case SIGHUP: return on_hangup;
    default: return on_stray_signal;
    }
}

static void expire_uploads(void *ctx)
{
    model_ops_expire(ctx);
}

static void flush_refused(void *ctx)
{
    audit_flush_refused(ctx, false);
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    struct mode ended;
    (void)fd;
    (void)what;
    if (lifecycle->opening == LIFECYCLE_TOO_EARLY) /* systemd shall wait while there is progress */
        notify_send("EXTEND_TIMEOUT_USEC=10000000");
    if (modes_take_ended(lifecycle->with.modes, &ended))
        log_at(LOG_WARN, "mode ended", LOG_STR("mode", level_name(ended.level)),
               LOG_STR("reason", ended.reason));
    /* A full queue is no harm: there is a next time. */
    (void)!jobs_submit(lifecycle->with.jobs, flush_refused, lifecycle->with.audit);
    if (++lifecycle->tick_count % EXPIRE_TICKS == 0)
        (void)!jobs_submit(lifecycle->with.jobs, expire_uploads, lifecycle->with.model_ops);
}

static void on_watchdog(evutil_socket_t fd, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    (void)fd;
    (void)what;
    bool alive = lifecycle->with.are_alive(lifecycle->with.transports);
    if (alive && lifecycle->is_watched)
        notify_send("WATCHDOG=1");
    if (!alive && !lifecycle->starving)
        log_write(LOG_ERROR, "a worker stands still: not ready, and the watchdog is not fed", NULL,
                  0);
    else if (alive && lifecycle->starving)
        log_write(LOG_WARN, "every worker makes progress again", NULL, 0);
    lifecycle->starving = !alive;
}

/* Lets peers in as soon as that may be. */
static void try_open(struct lifecycle *lifecycle)
{
    lifecycle->opening = lifecycle->with.open(lifecycle->with.transports, &lifecycle->open_err);
    if (lifecycle->opening == LIFECYCLE_TOO_EARLY)
        return;
    event_del(lifecycle->timer[TIMER_OPEN]);
    if (lifecycle->opening == LIFECYCLE_CANNOT_OPEN) {
        event_base_loopbreak(lifecycle->base);
        return;
    }
    log_write(LOG_INFO, "ready", NULL, 0);
    notify_send("READY=1");
}

static void on_open_timer(evutil_socket_t fd, short what, void *ctx)
{
    struct lifecycle *lifecycle = ctx;
    (void)fd;
    (void)what;
    if (!lifecycle_is_leaving(lifecycle))
        try_open(lifecycle);
}

/* libevent itself would write lines of plain text to stderr. */
static void on_libevent_message(int severity, const char *message)
{
    static const enum log_level levels[] = {[EVENT_LOG_DEBUG] = LOG_DEBUG,
                                            [EVENT_LOG_MSG] = LOG_INFO,
                                            [EVENT_LOG_WARN] = LOG_WARN,
                                            [EVENT_LOG_ERR] = LOG_ERROR};
    bool known = severity >= 0 && (size_t)severity < sizeof levels / sizeof levels[0];
    log_at(known ? levels[severity] : LOG_ERROR, "libevent", LOG_STR("message", message));
}

/* ---- life ------------------------------------------------------------------------------------ */

static bool make_events(struct lifecycle *lifecycle)
{
    static const event_callback_fn on_timer[TIMER_COUNT] = {
        [TIMER_TICK] = on_tick,         [TIMER_WATCHDOG] = on_watchdog,
        [TIMER_OPEN] = on_open_timer,   [TIMER_LEAVE] = on_leave_timer,
        [TIMER_DRAIN] = on_drain_timer,
    };
    static const short kinds[TIMER_COUNT] = {[TIMER_TICK] = EV_PERSIST,
                                             [TIMER_WATCHDOG] = EV_PERSIST,
                                             [TIMER_OPEN] = EV_PERSIST,
                                             [TIMER_DRAIN] = EV_PERSIST};
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        lifecycle->signal[i] = evsignal_new(lifecycle->base, signal_numbers[i],
                                            on_signal(signal_numbers[i]), lifecycle);
        if (lifecycle->signal[i] == NULL || event_add(lifecycle->signal[i], NULL) != 0)
            return false;
    }
    for (int i = 0; i < TIMER_COUNT; i++) {
        lifecycle->timer[i] = event_new(lifecycle->base, -1, kinds[i], on_timer[i], lifecycle);
        if (lifecycle->timer[i] == NULL)
            return false;
    }
    lifecycle->asked = event_new(lifecycle->base, -1, 0, on_asked, lifecycle);
    return lifecycle->asked != NULL;
}

static void let_hangups_in(void)
{
    sigset_t hangup;
    sigemptyset(&hangup);
    sigaddset(&hangup, SIGHUP);
    pthread_sigmask(SIG_UNBLOCK, &hangup, NULL);
}

enum err_code lifecycle_create(struct lifecycle **ret_lifecycle, struct err *err)
{
    struct lifecycle *lifecycle = calloc(1, sizeof *lifecycle);
    if (lifecycle == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the event loop");
    event_set_log_callback(on_libevent_message);
    late_stop_install();
    signal(SIGPIPE, SIG_IGN); /* libevent writes without MSG_NOSIGNAL */
    signal(SIGXFSZ, SIG_IGN); /* a file beyond the limit is an error of the upload, no crash */
    if (evthread_use_pthreads() == 0)
        lifecycle->base = event_base_new();
    if (lifecycle->base == NULL || !make_events(lifecycle)) {
        lifecycle_destroy(&lifecycle);
        return err_set(err, ERR_IO, "cannot set up the event loop");
    }
    let_hangups_in();
    *ret_lifecycle = lifecycle;
    return ERR_OK;
}

static void free_event(struct event *event)
{
    if (event != NULL)
        event_free(event);
}

void lifecycle_destroy(struct lifecycle **lifecycle)
{
    if (*lifecycle == NULL)
        return;
    for (int i = 0; i < SIGNAL_COUNT; i++)
        free_event((*lifecycle)->signal[i]);
    for (int i = 0; i < TIMER_COUNT; i++)
        free_event((*lifecycle)->timer[i]);
    free_event((*lifecycle)->asked);
    if ((*lifecycle)->base != NULL)
        event_base_free((*lifecycle)->base);
    free(*lifecycle);
    *lifecycle = NULL;
}

struct event_base *lifecycle_base(struct lifecycle *lifecycle)
{
    return lifecycle->base;
}

enum err_code lifecycle_run(struct lifecycle *lifecycle, const struct lifecycle_options *options,
                            struct err *err)
{
    uint64_t watchdog_us = notify_watchdog_us();
    uint64_t look_us = watchdog_us > 1 && watchdog_us / 2 < LOOK_US ? watchdog_us / 2 : LOOK_US;
    lifecycle->with = *options;
    lifecycle->is_watched = watchdog_us > 1;
    if (!start_timer(lifecycle, TIMER_TICK, TICK_MS * 1000) ||
        !start_timer(lifecycle, TIMER_OPEN, OPEN_POLL_MS * 1000) ||
        !start_timer(lifecycle, TIMER_WATCHDOG, look_us))
        return err_set(err, ERR_IO, "cannot start the timers of the event loop");
    try_open(lifecycle);
    int rc = 0;
    if (lifecycle->opening != LIFECYCLE_CANNOT_OPEN)
        rc = event_base_dispatch(lifecycle->base);
    /* From here on what was before: a third signal ends a stop that takes too long. */
    for (int i = 0; i < SIGNAL_COUNT; i++)
        event_del(lifecycle->signal[i]);
    if (rc < 0)
        return err_set(err, ERR_IO, "the event loop failed");
    if (lifecycle->opening == LIFECYCLE_CANNOT_OPEN)
        return err_set(err, lifecycle->open_err.code, "%s", lifecycle->open_err.text);
    return ERR_OK;
}
