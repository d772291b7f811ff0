/* SPDX-License-Identifier: Apache-2.0 */
/* daemon - all parts of one daemon, and the start-up steps that need more than a line.
 *
 *   main.c            the order of starting, serving and stopping
 *   daemon_data.c     its data: directories, logs, the store, models
 *   daemon_sockets.c  its sockets, and handing them over to a successor
 *
 * Threads: main; what is given to others as a callback says so there. */
#ifndef SERVER_DAEMON_H
#define SERVER_DAEMON_H

#include "server/control/decision_log.h"
#include "server/control/handover.h"
#include "server/control/lifecycle.h"
#include "server/control/pages.h"
#include "server/transport/http_server.h"
#include "server/transport/request_sockets.h"

struct daemon {
    const struct clock *clock;
    struct config *config;
    char *const *argv;
    int lock_fd;
    bool has_inherited_lock;       /* it was signed by somebody else */
    int wakeup_latency_fd;         /* -1: nothing is asked of the kernel */
    struct handover_parent parent; /* who started this process to take over, if anybody did */
    struct handover_gift gift;     /* what is left of what it gave, or of what this one kept */
    struct successor *successor;
    bool starts_again;         /* since the successor does not serve... */
    struct handover_gift kept; /* ...with this */
    struct metrics *metrics;
    struct store *store;
    struct answers *answers;
    struct decision_log *decision_log; /* NULL: none */
    struct erasure *erasure;
    struct shadow *shadow;
    struct audit *audit;
    struct changes changes;
    struct workers *workers;
    struct serving serving;
    struct registry *registry;
    struct model_ops *model_ops;
    struct modes modes;
    struct access access;
    struct admission admission;
    struct jobs *jobs, *maintenance;
    struct reload reload;
    struct lifecycle *lifecycle;
    struct service *service;
    struct pages pages;
    struct request_sockets_options sockets_options;
    bool has_served;       /* and its start is in the audit log */
    uint32_t worker_count; /* those of the request sockets, and the one of the event loop */
    struct request_sockets *sockets;
    struct http_server *http;
};

/* It was started by another daemon, to take over from it, and does not serve yet. */
bool daemon_is_heir(const struct daemon *daemon);

/* ---- daemon_data.c, in this order */
MUST_CHECK enum err_code daemon_take_data_dir(struct daemon *daemon, struct err *err);
MUST_CHECK enum err_code daemon_start_store(struct daemon *daemon, struct err *err);
/* After the store; fine when none is configured. */
MUST_CHECK enum err_code daemon_create_decision_log(struct daemon *daemon, struct err *err);
/* Before the registry. */
MUST_CHECK enum err_code daemon_start_shadow(struct daemon *daemon, struct err *err);
MUST_CHECK enum err_code daemon_create_audit(struct daemon *daemon, struct err *err);
MUST_CHECK enum err_code daemon_start_registry(struct daemon *daemon, struct err *err);

/* ---- daemon_sockets.c */
/* How many threads will answer is known from the configuration alone. */
void daemon_plan_sockets(struct daemon *daemon);
MUST_CHECK enum err_code daemon_start_http(struct daemon *daemon, struct err *err);
MUST_CHECK enum err_code daemon_start_successor(struct daemon *daemon, struct err *err);
/* Of an heir: what can be known before the other one has let go of its sockets.  An address that
 * neither that one has nor anybody else leaves free ends this process, and the other serves on. */
MUST_CHECK enum err_code daemon_check_sockets(struct daemon *daemon, struct err *err);
/* For lifecycle_options; `ctx` is the daemon. */
enum lifecycle_opening daemon_open_sockets(void *ctx, struct err *err);
void daemon_refuse_new(void *ctx);
uint32_t daemon_in_flight(void *ctx);
bool daemon_are_workers_alive(void *ctx);

#endif
