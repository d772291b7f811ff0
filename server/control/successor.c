/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/successor.h"

#include <event2/event.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/control/notify.h"

/* A large log may take a while to replay. */
enum { READY_WITHIN_S = 600 };

struct successor {
    struct successor_options with;
    struct event *asked; /* made active by successor_ask, from any thread */
    struct event *news;  /* made for each child */
    struct handover_child child;
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

/* The new process is systemd's main one from here on. */
static void hand_over(struct successor *successor)
{
    char state[64];
    struct err fine = {.text = ""};
    successor->is_ready = true;
    snprintf(state, sizeof state, "MAINPID=%ld", (long)successor->child.pid);
    notify_send(state);
    log_at(LOG_INFO, "a new process takes over", LOG_INT("process", successor->child.pid));
    successor->with.on_ready(successor->with.ready_ctx);
    tell(successor, ERR_OK, &fine);
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
    if (rc == ERR_OK)
        hand_over(successor);
    else
        tell(successor, rc, &err);
}

static void on_asked(evutil_socket_t fd, short what, void *ctx)
{
    struct successor *successor = ctx;
    struct handover_gift gift;
    struct err err = {.text = ""};
    pthread_mutex_lock(&successor->mutex);
    bool is_awaited = successor->done != NULL; /* not after a cancel */
    pthread_mutex_unlock(&successor->mutex);
    if (!is_awaited)
        return;
    const struct timeval within = {.tv_sec = READY_WITHIN_S};
    (void)fd;
    (void)what;
    successor->with.hold(successor->with.hold_ctx, true);
    handover_gift_init(&gift);
    successor->with.fill_gift(successor->with.gift_ctx, &gift);
    enum err_code rc = handover_spawn(successor->with.argv, &gift, &successor->child, &err);
    if (rc != ERR_OK) {
        tell(successor, rc, &err);
        return;
    }
    log_at(LOG_INFO, "starting a new process", LOG_INT("process", successor->child.pid));
    successor->news = event_new(successor->with.base, successor->child.fd, EV_READ | EV_PERSIST,
                                on_news, successor);
    if (successor->news != NULL && event_add(successor->news, &within) == 0)
        return;
    free_news(successor);
    handover_abandon(&successor->child);
    tell(successor, err_set(&err, ERR_NOMEM, "out of memory to wait for the new process"), &err);
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
    if (successor->is_ready || !is_awaited)
        return;
    free_news(successor);
    if (successor->child.fd >= 0)
        handover_abandon(&successor->child);
    err_set(&err, ERR_BUSY, "this process is about to stop");
    tell(successor, ERR_BUSY, &err);
}

void successor_release(struct successor *successor)
{
    if (successor->is_ready && successor->child.fd >= 0)
        handover_release(&successor->child);
}

void successor_destroy(struct successor **successor)
{
    struct successor *old = *successor;
    if (old == NULL)
        return;
    free_news(old);
    if (old->child.fd >= 0 && !old->is_ready)
        handover_abandon(&old->child);
    successor_release(old);
    if (old->asked != NULL)
        event_free(old->asked);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *successor = NULL;
}
