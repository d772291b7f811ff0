/* SPDX-License-Identifier: Apache-2.0 */
/* conn - one connection to a daemon: connect, greet, send a request, receive its reply.
 *
 * Every step ends by its deadline.  A step that ran out of time keeps the connection whenever it
 * can be used on: a connect or greeting goes on with the next call (nng's listener pauses for 100
 * ms when a peer leaves in its greeting, so leaving would make matters worse), and a reply that
 * came too late is skipped by its id.  Closed instead are connections in the middle of a request,
 * and those that CLIENT_CONN_OWED_MAX or CLIENT_CONN_PATIENCE_NS say are stuck.
 *
 * Threads: one owner at a time; the pool hands connections over.
 * Invariants: closed <=> fd is -1.  `in` holds what arrived and was not taken; a reply that was
 * handed out is taken by the next step. */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/address.h"
#include "client/decide.h"
#include "client/message.h"

#define CLIENT_CONN_OWED_MAX    8
#define CLIENT_CONN_PATIENCE_NS (200 * CLIENT_NS_PER_MS)  /* with the oldest reply that is owed */
#define CLIENT_CONNECT_NS_MAX   (3000 * CLIENT_NS_PER_MS) /* connect and greeting, over all calls */

enum client_conn_state { CLIENT_CONN_CONNECTING, CLIENT_CONN_GREETING, CLIENT_CONN_READY };

struct client_conn {
    int fd; /* owned; -1: closed */
    bool ipc;
    enum client_conn_state state;
    uint32_t request_id; /* of the newest request */
    uint32_t owed_count; /* replies that were not waited for to the end */
    uint64_t waiting_ns; /* since when: it connects, or owes its oldest reply */
    uint8_t *in;         /* owned */
    size_t in_capacity, in_used, in_taken;
    bool busy;                /* the pool's: handed out */
    struct client_conn *next; /* the pool's lists */
};

/* Begins to connect; DECIDE_UNREACHABLE when that fails at once. */
enum decide_status client_conn_open(struct client_conn *conn, const struct client_address *address,
                                    char error[DECIDE_ERROR_BYTES]);
void client_conn_close(struct client_conn *conn); /* keeps the buffer; fine when closed */
void client_conn_deinit(struct client_conn *conn);

/* Looks at a connection that was idle: closes it when its peer left, sent what nobody asked for, or
 * is stuck. */
void client_conn_refresh(struct client_conn *conn);

/* Ends connect and greeting.  DECIDE_TIMEOUT leaves it as it is, for a later call; otherwise it is
 * closed on failure. */
enum decide_status client_conn_make_ready(struct client_conn *conn, uint64_t deadline_ns,
                                          char error[DECIDE_ERROR_BYTES]);
/* *ret_sent: true as soon as the peer may have received all of it. */
enum decide_status client_conn_send(struct client_conn *conn, struct client_message *message,
                                    uint64_t deadline_ns, bool *ret_sent,
                                    char error[DECIDE_ERROR_BYTES]);
/* The body of the reply to the last request, in the connection's buffer until its next step. */
enum decide_status client_conn_receive(struct client_conn *conn, uint64_t deadline_ns,
                                       const uint8_t **ret_body, size_t *ret_body_bytes,
                                       char error[DECIDE_ERROR_BYTES]);

#endif
