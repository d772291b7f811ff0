/* SPDX-License-Identifier: Apache-2.0 */
/* conn - one connection to a daemon, on which any number of requests are on their way at once.
 *
 * It never waits: client_conn_push goes on with connect, greeting and sending as far as the socket
 * lets it, client_conn_pull takes what has arrived, and client_conn_next hands out the replies by
 * their ids, in whatever order they come.  A request that is given up leaves its slot behind, so
 * that its late reply is known and skipped, and a frame that was begun is always sent to its end.
 *
 * Threads: one owner.  Limits: CLIENT_CONN_SLOTS requests; CLIENT_CONN_GIVEN_UP_MAX late replies or
 * CLIENT_CONN_PATIENCE_NS with one retire a connection, and so do CLIENT_CONN_SLOW_MAX replies that
 * were late in a row, or among twice as many that were not, which a path that only trickles brings
 * for ever: it takes no further request, and is closed when nobody waits for it.  (It is not left
 * for less: nng's listener pauses for 100 ms when a peer leaves in its greeting.)
 *
 * Invariants: closed <=> fd is -1.  Slots stand in the order of sending, unsent ones last.
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
#define CLIENT_CONNECT_NS_MAX    (3000 * CLIENT_NS_PER_MS) /* connect and greeting, over all calls */
#define CLIENT_CONN_ERROR_BYTES  96

/* One request on its way to one address.  Its call owns it and what it points to. */
struct client_attempt {
    struct client_conn *conn; /* NULL: not on its way */
    struct client_call *call;
    struct client_message *message;
    uint64_t deadline_ns;
    uint64_t begun_ns, sent_ns;
    uint32_t site;
    bool sent; /* the peer may have received all of it */
};

struct client_slot {
    struct client_attempt *attempt; /* borrowed; NULL: given up */
    uint32_t id;
};

enum client_conn_state { CLIENT_CONN_CONNECTING, CLIENT_CONN_GREETING, CLIENT_CONN_READY };

struct client_conn {
    int fd; /* owned; -1: closed */
    bool ipc;
    bool retired;
    bool watched_for_room; /* the owner's, as is what follows */
    struct client_conn *next, *next_broken;
    enum decide_status broken; /* DECIDE_OK: it is not */
    enum client_conn_state state;
    uint32_t request_count;
    struct client_slot slots[CLIENT_CONN_SLOTS];
    uint32_t slot_count, sent_count, live_count;
    uint32_t slowness;   /* 2 for each reply that was late, less 1 for each in time */
    uint64_t waiting_ns; /* since when: it connects, or the oldest given up reply is awaited */
    uint8_t *out;        /* owned: the rest of the frame that the socket did not take */
    size_t out_capacity, out_used, out_sent;
    uint8_t *in; /* owned */
    size_t in_capacity, in_used, in_taken;
    char error[CLIENT_CONN_ERROR_BYTES]; /* why it was closed by a failure */
};

/* Begins to connect.  DECIDE_NOMEM: this process has no descriptor or memory for a connection,
 * which says nothing about the address.  Every function that does not return DECIDE_OK has closed
 * the connection and said why in conn->error; attempts are still in its slots then, for
 * client_conn_orphan. */
enum decide_status client_conn_open(struct client_conn *conn, const struct client_address *address);
void client_conn_close(struct client_conn *conn); /* keeps the buffers; fine when closed */
void client_conn_deinit(struct client_conn *conn);

/* Waits until it is ready; DECIDE_TIMEOUT leaves it as it is. */
enum decide_status client_conn_make_ready(struct client_conn *conn, uint64_t deadline_ns);

bool client_conn_has_room(const struct client_conn *conn);
/* Queues it for the next push; there must be room. */
void client_conn_add(struct client_conn *conn, struct client_attempt *attempt);
/* Its call waits no longer. */
void client_conn_give_up(struct client_conn *conn, struct client_attempt *attempt, uint64_t now_ns);
/* Before it is given up for having no answer in time. */
void client_conn_was_slow(struct client_conn *conn);
/* An attempt that a closed connection still had, or NULL. */
struct client_attempt *client_conn_orphan(struct client_conn *conn);

enum decide_status client_conn_push(struct client_conn *conn, uint64_t now_ns);
bool client_conn_wants_room(const struct client_conn *conn); /* push waits for the socket */
/* One read. */
enum decide_status client_conn_pull(struct client_conn *conn);
/* The next reply that somebody waits for: *ret_attempt, whose body stays until the next pull or
 * next; NULL when there is none yet. */
enum decide_status client_conn_next(struct client_conn *conn, uint64_t now_ns,
                                    struct client_attempt **ret_attempt, const uint8_t **ret_body,
                                    size_t *ret_body_bytes);

/* Before a request is added to one on which nobody waits: closes it when its peer left or sent what
 * nobody asked for, and retires or closes it when it is stuck. */
void client_conn_refresh(struct client_conn *conn, uint64_t now_ns);

#endif
