/* SPDX-License-Identifier: Apache-2.0 */
/* sp_internal - shared by the files of sp_server.
 *
 * Invariants, numbered:
 * 1. A connection, its calls and its blocks belong to one worker's thread.  Other threads touch
 * only the inbox, under its mutex: new connections, and calls that complete. Exception: main marks
 * a stuck worker as such, and asks another one to accept.
 * 2. A connection is in one of four phases: greeting (in worker->greeting), served, halfway: it is
 *    served, and of what it sends next a part is there (in worker->halfway), or stuck: its socket
 *    does not take replies (`writing`, in worker->stuck).
 * 3. It is read while it `may_serve`: nothing is stuck and few of its calls are deferred.
 * 4. `ready` means that unserved bytes may hold a whole message; a connection that is ready and may
 *    be served waits in worker->again for its next turn, and is not read meanwhile.  So the peer's
 *    end is met when nothing is ready any more.
 * 5. A connection is freed in one place, at the end of a turn, when it is `closing`.
 * 6. A call is in the pool, in connection->replies, or deferred; then it is in
 *    connection->deferred until it comes back or the connection closes (call->connection NULL). */
#ifndef SERVER_TRANSPORT_SP_INTERNAL_H
#define SERVER_TRANSPORT_SP_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include <event2/event.h>
#include <event2/event_struct.h>

#include "server/metrics.h"
#include "server/transport/sp_frame.h"
#include "server/transport/sp_server.h"

#define SP_INPUT_BYTES      65536  /* one read takes this much at most */
#define SP_TURN_MESSAGES    16     /* served per connection before others get their turn */
#define SP_TURN_NS          50000  /* after which no further one is begun */
#define SP_TURN_REPLY_BYTES 131072 /* replies that are collected before they are written */
#define SP_BLOCK_CLASSES    16

/* Bytes that were read.  Deferred calls share the block that holds their requests. */
struct sp_block {
    struct sp_block *next; /* in the pool */
    size_t capacity;
    uint32_t ref_count;
    uint8_t bytes[];
};

struct sp_call {
    struct call call;
    struct sp_connection *connection; /* NULL: deferred, and closed meanwhile */
    struct sp_inbox *inbox;           /* where it comes back to */
    struct sp_block *block;           /* holds the request of a deferred call */
    union {
        TAILQ_ENTRY(sp_call) link;   /* connection->deferred */
        STAILQ_ENTRY(sp_call) reply; /* connection->replies */
        struct sp_call *next;        /* in the pool */
    };
    STAILQ_ENTRY(sp_call) returned; /* inbox->calls */
    size_t stack_bytes;
    const uint8_t *frame; /* of the reply, once there is one */
    size_t frame_bytes;
    uint8_t header[SP_FRAME_HEADER_BYTES_MAX + 7]; /* ends where the body begins */
    uint8_t body[];                                /* CALL_REPLY_BYTES */
};

/* What a worker has used and keeps for the next time, up to a limit. */
struct sp_pool {
    struct sp_block *blocks[SP_BLOCK_CLASSES];
    size_t block_bytes;
    struct sp_call *calls;
    uint32_t call_count;
};

TAILQ_HEAD(sp_connection_list, sp_connection);
TAILQ_HEAD(sp_call_list, sp_call);
STAILQ_HEAD(sp_call_queue, sp_call);

/* The way into a worker for other threads; it outlives the server while calls are deferred. */
struct sp_inbox {
    pthread_mutex_t mutex;
    int event_fd;
    bool signalled;    /* the worker will look */
    bool closed;       /* nobody will */
    bool role_changed; /* it shall look whether it accepts */
    bool stop;
    uint32_t outstanding_count; /* deferred, and not yet taken back */
    struct sp_call_queue calls;
    struct sp_connection_list arrivals;
};

struct sp_connection {
    struct sp_worker *worker;
    int fd;
    bool ipc;
    bool local;
    bool greeted;
    bool ready;
    bool input_ended; /* the peer sends no more, or is not listened to any more */
    bool reading;     /* `readable` is armed */
    bool writing;     /* `writable` is armed */
    bool in_again;
    bool received; /* something, in this turn */
    bool halfway;  /* in worker->halfway: a message has begun */
    bool closing;
    enum metric_close close_reason;
    struct event readable;
    struct event writable;
    struct sp_block *input; /* unserved bytes, or NULL */
    size_t input_begin, input_end;
    bool read_was_full;           /* there was, or may have been, more */
    uint64_t first_ns;            /* when the first unserved byte arrived */
    uint64_t rest_ns;             /* when the last one did; those between came evenly, we assume */
    struct sp_call_queue replies; /* to be written */
    size_t reply_bytes;           /* in `replies` */
    struct sp_call_list deferred;
    uint32_t deferred_count;
    uint64_t waiting_since_ns;        /* in greeting, halfway or stuck: since the last progress */
    TAILQ_ENTRY(sp_connection) link;  /* inbox->arrivals, worker->connections */
    TAILQ_ENTRY(sp_connection) wait;  /* one of these, the longest wait first */
    TAILQ_ENTRY(sp_connection) again; /* worker->again */
};

/* Of one worker and one listener: every worker can accept, and one does. */
struct sp_acceptor {
    struct sp_worker *worker;
    struct sp_listener *listener;
    struct event *acceptable; /* on the worker's base; NULL: none */
};

struct sp_worker {
    struct sp_server *server;
    uint32_t index;
    struct worker *worker; /* the decider's side of this thread; borrowed */
    struct metric_slot *metrics;
    struct event_base *base;
    struct sp_inbox *inbox;
    struct event *inbox_event, *again_event, *deadline_event, *heartbeat_event, *stop_event;
    struct sp_pool pool;
    struct sp_block *input; /* sockets are read into it; NULL after it was given away */
    struct sp_connection_list connections, greeting, halfway, stuck, again;
    uint64_t turn_ns;  /* when the loop woke up */
    bool turn_is_over; /* it sleeps next */
    bool stopping;
    bool thread_runs;
    pthread_t thread;
    _Atomic uint32_t connection_count; /* those on their way in included */
    _Atomic uint32_t in_flight;        /* written by the worker alone */
    _Atomic uint64_t progress;
    struct sp_acceptor acceptors[SP_SERVER_ADDRESSES_MAX];
    struct event *accept_again; /* accepting pauses while it is pending */
    uint64_t accept_logged_ns;  /* 0: never */
    bool asked_to_accept;       /* under server->mutex, as is the next */
    bool accepts;               /* changed by the worker alone */
    uint64_t looked_progress;   /* of who calls sp_server_look */
    _Atomic bool stands_still;  /* as of then; relaxed: nothing else is published by it */
};

struct sp_listener {
    struct sp_server *server;
    char address[SP_SERVER_ADDRESS_BYTES]; /* as bound, once it listens */
    int inherited_fd;                      /* until start; -1: none */
    int fd;                                /* -1: does not listen */
    bool ipc;
    bool local;        /* reachable from this machine only */
    dev_t path_device; /* of an ipc path, to remove no other file */
    ino_t path_inode;
};

struct sp_server {
    struct sp_server_options options;
    struct sp_listener listeners[SP_SERVER_ADDRESSES_MAX];
    uint32_t listener_count;
    struct sp_worker *workers;
    uint32_t worker_count;
    bool refuses_new;      /* main's view */
    uint32_t acceptor;     /* index of the worker that shall accept; of who looks */
    pthread_mutex_t mutex; /* guards the count and its gauge, who accepts, and lets_go */
    bool lets_go;          /* of the listeners, which the last that accepts closes */
    uint32_t connection_count;
};

/* Relaxed: one writer, and who reads needs no order with anything else. */
static inline void sp_worker_count_in_flight(struct sp_worker *worker, int difference)
{
    uint32_t count = atomic_load_explicit(&worker->in_flight, memory_order_relaxed);
    atomic_store_explicit(&worker->in_flight, count + (uint32_t)difference, memory_order_relaxed);
}

/* sp_pool.c */
struct sp_block *sp_block_take(struct sp_pool *pool, size_t bytes); /* NULL: out of memory */
void sp_block_release(struct sp_pool *pool,
                      struct sp_block *block);      /* one reference; pool or NULL */
struct sp_call *sp_call_take(struct sp_pool *pool); /* NULL: out of memory */
void sp_call_release(struct sp_pool *pool, struct sp_call *call);
void sp_pool_deinit(struct sp_pool *pool);

/* sp_inbox.c */
MUST_CHECK enum err_code sp_inbox_open(struct sp_inbox **ret_inbox, struct err *err);
void sp_inbox_close(struct sp_inbox **inbox); /* the worker has ended */
void sp_inbox_bring(struct sp_inbox *inbox, struct sp_connection *connection);
void sp_inbox_tell_role(struct sp_inbox *inbox);
/* Those that the worker has not looked at. */
void sp_inbox_take_arrivals(struct sp_inbox *inbox, struct sp_connection_list *arrivals);
void sp_inbox_stop(struct sp_inbox *inbox);
void sp_call_complete(struct call *call);                                   /* any thread */
void sp_call_defer(struct sp_connection *connection, struct sp_call *call); /* it may be complete */
void sp_inbox_look(struct sp_worker *worker); /* takes what is there */

/* sp_listener.c */
MUST_CHECK enum err_code sp_listener_open(struct sp_listener *listener, struct err *err);
void sp_listener_close(struct sp_listener *listener);

/* sp_accept.c */
/* Before and after the threads run; the first worker begins. */
MUST_CHECK enum err_code sp_accept_start(struct sp_server *server, struct err *err);
void sp_accept_stop(struct sp_server *server);
void sp_accept_let_go(struct sp_server *server); /* any thread */
void sp_accept_update(struct sp_worker *worker); /* the worker's own */
void sp_accept_look(struct sp_server *server);   /* who calls sp_server_look */
void sp_server_count_connection(struct sp_server *server, bool one_more, bool *ret_full);

/* sp_connection.c */
void sp_connection_open(struct sp_connection *connection);
void sp_connection_turn(struct sp_connection *connection);
void sp_connection_stop(
    struct sp_connection *connection); /* takes no more; closes when it is done */
void sp_connection_fail(struct sp_connection *connection, enum metric_close reason);
/* Before it waits for something else. */
void sp_connection_leave_halfway(struct sp_connection *connection);
void sp_connection_close(struct sp_connection *connection);

/* sp_input.c */
void sp_input_receive(struct sp_connection *connection);
void sp_input_park(struct sp_connection *connection);
void sp_input_drop(struct sp_connection *connection);

/* sp_output.c */
void sp_output_add(struct sp_connection *connection, struct sp_call *call);
void sp_output_write(struct sp_connection *connection);
void sp_output_drop(struct sp_connection *connection);

/* sp_worker.c */
MUST_CHECK enum err_code sp_worker_init(struct sp_worker *worker, struct sp_server *server,
                                        struct err *err);
MUST_CHECK enum err_code sp_worker_start(struct sp_worker *worker, struct err *err);
void sp_worker_join(struct sp_worker *worker);   /* and closes what is open */
void sp_worker_deinit(struct sp_worker *worker); /* after it */
void sp_worker_begin(struct sp_worker *worker);  /* first and last in every callback */
void sp_worker_end(struct sp_worker *worker);
void sp_worker_again(struct sp_connection *connection);
void sp_worker_take_turns(struct sp_worker *worker); /* of those in `again` */
void sp_worker_stop(struct sp_worker *worker);
/* The connection waits for its peer from now on, or not any more. */
void sp_worker_wait(struct sp_connection_list *list, struct sp_connection *connection);
void sp_worker_wait_over(struct sp_connection_list *list, struct sp_connection *connection);

#endif
