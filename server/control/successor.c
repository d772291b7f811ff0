/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/successor.h"

#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/control/late_stop.h"
#include "server/control/notify.h"

enum {
    READY_WITHIN_S = 600, /* a large log may take a while to replay */
    SERVES_WITHIN_MS = 60000,
    LOOK_MS = 100,
    STARTS_MAX = 10,
};

struct successor {
    struct successor_options with;
    struct event *asked; /* made active by successor_ask, from any thread */
    struct event *news;  /* made for each child */
    struct handover_child child;
    struct handover_gift kept; /* of what it was given, should it not serve */
    uint64_t changes;          /* when the child was started */
    uint32_t start_count;
    bool is_ready;
    pthread_mutex_t mutex;
    service_restart_done_fn done; /* under the mutex, as is the next; NULL: nobody waits */
    void *arg;
};

static void tell(struct successor *successor, enum err_code rc, const struct err *err)
{
    pthread_mutex_lock(&successor->mutex);
    service_restart_done_fn done = successor->done;
    void *arg = successor->arg;
    successor->done = NULL;
    pthread_mutex_unlock(&successor->mutex);
    if (rc != ERR_OK) {
        successor->with.hold(successor->with.hold_ctx, false);
        log_at(LOG_ERROR, "the restart failed, this process serves on",
               LOG_STR("error", err->text));
    }
    if (done != NULL)
        done(arg, rc, successor->child.pid, err);
}

static void free_news(struct successor *successor)
{
    if (successor->news != NULL)
        event_free(successor->news);
    successor->news = NULL;
}

static void hand_over(struct successor *successor)
{
    struct handover_gift gift;
    struct err fine = {.text = ""};
    successor->is_ready = true;
    handover_gift_init(&gift);
    successor->with.fill_gift(successor->with.gift_ctx, &gift);
    handover_gift_copy(&gift, successor->child.sockets, &successor->kept);
    log_at(LOG_INFO, "a new process takes over", LOG_INT("process", successor->child.pid));
    successor->with.on_ready(successor->with.ready_ctx);
    tell(successor, ERR_OK, &fine);
}

static enum err_code start_child(struct successor *successor, struct err *err);

static bool is_outdated(const struct successor *successor)
{
    return changes_count(successor->with.changes) != successor->changes;
}

/* It is ready, and may have read what was there before a change. */
static enum err_code start_another(struct successor *successor, struct err *err)
{
    handover_abandon(&successor->child);
    if (successor->start_count >= STARTS_MAX)
        return err_set(err, ERR_BUSY,
                       "modes, models or configuration were changed while each of %d new processes "
                       "started: try again when that is over",
                       STARTS_MAX);
    log_write(LOG_WARN, "something was changed while the new process started: another one is", NULL,
              0);
    return start_child(successor, err);
}

static void on_news(evutil_socket_t fd, short what, void *ctx)
{
    struct successor *successor = ctx;
    struct err err = {.text = ""};
    (void)fd;
    enum err_code rc = handover_child_news(&successor->child, &err);
    if (rc == ERR_BUSY && (what & EV_TIMEOUT) != 0) {
        handover_abandon(&successor->child);
        rc =
            err_set(&err, ERR_TIMEOUT, "the new process was not ready within %d s", READY_WITHIN_S);
    }
    if (rc == ERR_BUSY)
        return;
    free_news(successor);
    if (rc == ERR_OK && is_outdated(successor)) {
        rc = start_another(successor, &err);
        if (rc == ERR_OK)
            return;
    }
    if (rc == ERR_OK)
        hand_over(successor);
    else
        tell(successor, rc, &err);
}

static enum err_code start_child(struct successor *successor, struct err *err)
{
    const struct timeval within = {.tv_sec = READY_WITHIN_S};
    struct handover_gift gift;
    handover_gift_init(&gift);
    successor->with.fill_gift(successor->with.gift_ctx, &gift);
    successor->start_count++;
    successor->changes = changes_count(successor->with.changes);
    enum err_code rc = handover_spawn(successor->with.argv, &gift, &successor->child, err);
    if (rc != ERR_OK)
        return rc;
    log_at(LOG_INFO, "starting a new process", LOG_INT("process", successor->child.pid));
    successor->news = event_new(successor->with.base, successor->child.fd, EV_READ | EV_PERSIST,
                                on_news, successor);
    if (successor->news != NULL && event_add(successor->news, &within) == 0)
        return ERR_OK;
    free_news(successor);
    handover_abandon(&successor->child);
    return err_set(err, ERR_NOMEM, "out of memory to wait for the new process");
}

static void on_asked(evutil_socket_t fd, short what, void *ctx)
{
    struct successor *successor = ctx;
    struct err err = {.text = ""};
    pthread_mutex_lock(&successor->mutex);
    bool is_awaited = successor->done != NULL; /* not after a cancel */
    pthread_mutex_unlock(&successor->mutex);
    if (!is_awaited)
        return;
    (void)fd;
    (void)what;
    successor->with.hold(successor->with.hold_ctx, true);
    successor->start_count = 0;
    enum err_code rc = start_child(successor, &err);
    if (rc != ERR_OK)
        tell(successor, rc, &err);
}

enum err_code successor_create(const struct successor_options *options,
                               struct successor **ret_successor, struct err *err)
{
    enum err_code rc = handover_note_program(err);
    if (rc != ERR_OK)
        return rc;
    struct successor *successor = calloc(1, sizeof *successor);
    if (successor == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for restarts");
    successor->with = *options;
    successor->child = (struct handover_child){.pid = -1, .fd = -1};
    handover_gift_init(&successor->kept);
    pthread_mutex_init(&successor->mutex, NULL);
    successor->asked = event_new(options->base, -1, 0, on_asked, successor);
    if (successor->asked == NULL) {
        successor_destroy(&successor);
        return err_set(err, ERR_NOMEM, "out of memory for restarts");
    }
    *ret_successor = successor;
    return ERR_OK;
}

bool successor_ask(struct successor *successor, service_restart_done_fn done, void *arg)
{
    pthread_mutex_lock(&successor->mutex);
    bool is_free = successor->done == NULL;
    if (is_free) {
        successor->done = done;
        successor->arg = arg;
    }
    pthread_mutex_unlock(&successor->mutex);
    if (is_free)
        event_active(successor->asked, EV_TIMEOUT, 0);
    return is_free;
}

void successor_cancel(struct successor *successor)
{
    struct err err;
    pthread_mutex_lock(&successor->mutex);
    bool is_awaited = successor->done != NULL;
    pthread_mutex_unlock(&successor->mutex);
    free_news(successor);
    if (successor->child.fd >= 0)
        handover_abandon(&successor->child);
    successor->is_ready = false;
    if (!is_awaited)
        return;
    err_set(&err, ERR_BUSY, "this process is about to stop");
    tell(successor, ERR_BUSY, &err);
}

/* ---- the end of this process ----------------------------------------------------------------- */

static enum err_code await(struct successor *successor, struct err *err)
{
    bool is_stopped = false;
    enum err_code rc = ERR_BUSY;
    for (int waited_ms = 0; rc == ERR_BUSY && waited_ms < SERVES_WITHIN_MS; waited_ms += LOOK_MS) {
        if (notify_watchdog_us() > 1)
            notify_send("WATCHDOG=1"); /* nobody else may until it serves */
        if (late_stop_asked() != 0 && !is_stopped) {
            is_stopped = true;
            notify_send("STOPPING=1");
            kill(successor->child.pid, SIGTERM);
        }
        rc = handover_await(&successor->child, LOOK_MS, err);
    }
    if (rc != ERR_BUSY)
        return rc;
    handover_abandon(&successor->child);
    return err_set(err, ERR_TIMEOUT, "the new process did not serve within %d s",
                   SERVES_WITHIN_MS / 1000);
}

bool successor_settle(struct successor *successor, struct handover_gift *ret_kept)
{
    char state[64];
    struct err err = {.text = ""};
    if (!successor->is_ready)
        return true;
    pid_t pid = successor->child.pid;
    enum err_code rc = ERR_OK;
    if (is_outdated(successor)) {
        handover_abandon(&successor->child);
        rc = err_set(&err, ERR_BUSY, "something was changed at the end of its start");
    } else {
        handover_release(&successor->child);
        rc = await(successor, &err);
    }
    if (rc == ERR_OK) {
        snprintf(state, sizeof state, "MAINPID=%ld", (long)pid);
        notify_send(state);
        log_at(LOG_INFO, "the new process serves", LOG_INT("process", pid));
        return true;
    }
    if (late_stop_asked() != 0) {
        log_at(LOG_WARN, "the new process was stopped, too", LOG_STR("error", err.text));
        return true;
    }
    log_at(LOG_ERROR, "the new process does not serve, this process starts again",
           LOG_INT("process", pid), LOG_STR("error", err.text));
    *ret_kept = successor->kept;
    handover_gift_init(&successor->kept);
    return false;
}

void successor_destroy(struct successor **successor)
{
    struct successor *old = *successor;
    if (old == NULL)
        return;
    free_news(old);
    if (old->child.fd >= 0)
        handover_abandon(&old->child);
    handover_gift_close(&old->kept);
    if (old->asked != NULL)
        event_free(old->asked);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *successor = NULL;
}
