/* SPDX-License-Identifier: Apache-2.0 */
/* conn - one connection to a daemon, with several requests in flight at once.
 *
 * Non-blocking: client_conn_push continues connect, greeting and sending as far as the socket
 * allows, client_conn_pull reads what has arrived, and client_conn_next matches replies to requests
 * by id, in whatever order they come.  An abandoned request keeps its slot, so that its late reply
 * is recognised and skipped; a frame once started is always sent completely.
 *
 * Retirement: a retired connection takes no further request and is closed once nobody waits on it.
 * It is retired after CLIENT_CONN_GIVEN_UP_MAX outstanding late replies, after
 * CLIENT_CONN_PATIENCE_NS of waiting for one, or after CLIENT_CONN_SLOW_MAX replies that were late
 * (in a row, or mixed with up to twice as many in time), since a path that only trickles can stay
 * like that for ever.  (Not earlier: nng's listener pauses for 100 ms when a peer leaves in its
 * greeting.)
 *
 * Threads: one owner.  Limit: CLIENT_CONN_SLOTS requests.
 * Invariants: closed <=> fd is -1.  Slots are in sending order, unsent ones last.
 * given_up_count + live_count is slot_count. */
#ifndef CLIENT_CONN_H
#define CLIENT_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/address.h"
#include "client/clock.h"
#include "client/decide.h"
#include "client/message.h"

#define CLIENT_CONN_SLOTS        32
#define CLIENT_CONN_GIVEN_UP_MAX 8
#define CLIENT_CONN_SLOW_MAX     8
#define CLIENT_CONN_PATIENCE_NS  (200 * CLIENT_NS_PER_MS)
#define CLIENT_CONNECT_NS_MAX    (3000 * CLIENT_NS_PER_MS) /* connect and greeting, across calls */
#define CLIENT_CONN_ERROR_BYTES  96

/* One request sent to one address.  Owned, with what it points to, by its call. */
struct client_attempt {
    struct client_conn *conn; /* NULL: not in flight */
    struct client_call *call;
    struct client_message *message;
    uint64_t deadline_ns;
    uint64_t begun_ns, sent_ns;
    uint32_t site;
    bool sent; /* the peer may have received all of it */
};

struct client_slot {
    struct client_attempt *attempt; /* borrowed; NULL: abandoned */
    uint32_t id;
};

enum client_conn_state { CLIENT_CONN_CONNECTING, CLIENT_CONN_GREETING, CLIENT_CONN_READY };

struct client_conn {
    int fd; /* owned; -1: closed */
    bool ipc;
    bool retired;
    bool watched_for_room; /* this and the next three fields belong to the owner */
    struct client_conn *next, *next_broken;
    enum decide_status broken; /* DECIDE_OK: not broken */
    enum client_conn_state state;
    uint32_t request_count;
    struct client_slot slots[CLIENT_CONN_SLOTS];
    uint32_t slot_count, sent_count, live_count;
    uint32_t slowness;   /* 2 for each reply that was late, less 1 for each in time */
    uint64_t waiting_ns; /* since when it has been connecting, or awaiting the oldest late reply */
    uint8_t *out;        /* owned: the part of the frame that the socket has not taken */
    size_t out_capacity, out_used, out_sent;
    uint8_t *in; /* owned */
    size_t in_capacity, in_used, in_taken;
    char error[CLIENT_CONN_ERROR_BYTES]; /* why it was closed by a failure */
};

/* Starts connecting.  DECIDE_NOMEM: this process has no descriptor or memory for a connection,
 * which says nothing about the address.  Any function here that does not return DECIDE_OK has
 * closed the connection and set conn->error; its attempts are still in the slots, for
 * client_conn_orphan. */
enum decide_status client_conn_open(struct client_conn *conn, const struct client_address *address);
void client_conn_close(struct client_conn *conn); /* keeps the buffers; fine when closed */
void client_conn_deinit(struct client_conn *conn);

/* Blocks until the connection is ready; DECIDE_TIMEOUT leaves it unchanged. */
enum decide_status client_conn_make_ready(struct client_conn *conn, uint64_t deadline_ns);

bool client_conn_has_room(const struct client_conn *conn);
/* Queues it for the next push; there must be room. */
void client_conn_add(struct client_conn *conn, struct client_attempt *attempt);
/* The attempt's call no longer waits for it. */
void client_conn_give_up(struct client_conn *conn, struct client_attempt *attempt, uint64_t now_ns);
/* To be called before client_conn_give_up if the reason is a timeout. */
void client_conn_was_slow(struct client_conn *conn);
/* Removes and returns one attempt that a closed connection still holds, or NULL. */
struct client_attempt *client_conn_orphan(struct client_conn *conn);

enum decide_status client_conn_push(struct client_conn *conn, uint64_t now_ns);
bool client_conn_wants_room(const struct client_conn *conn); /* push has bytes left to send */
/* One read. */
enum decide_status client_conn_pull(struct client_conn *conn);
/* The next reply that somebody waits for, as *ret_attempt; NULL if there is none yet.  The body
 * stays valid until the next client_conn_pull or client_conn_next. */
enum decide_status client_conn_next(struct client_conn *conn, uint64_t now_ns,
                                    struct client_attempt **ret_attempt, const uint8_t **ret_body,
                                    size_t *ret_body_bytes);

/* To be called before a request is added to an idle connection: closes it if the peer has left or
 * has sent something unsolicited, and retires or closes it if it is stuck. */
void client_conn_refresh(struct client_conn *conn, uint64_t now_ns);

#endif
