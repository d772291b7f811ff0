/* SPDX-License-Identifier: Apache-2.0 */
/* fault_proxy - a bad network between a client and a server: TCP connections are passed on, and one
 * in four pieces of what they carry meets the fault that is set.
 *
 * Random by a seed.  Whatever fails outside of what is tested aborts the program.  Threads: one of
 * its own; fault_proxy_set from any. */
#ifndef TESTS_SUPPORT_FAULT_PROXY_H
#define TESTS_SUPPORT_FAULT_PROXY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "base/rand.h"

enum fault {
    FAULT_NONE,
    FAULT_DELAY,      /* by up to 30 ms */
    FAULT_DROP,       /* this piece and all behind it, in this direction */
    FAULT_RESET,      /* both connections end with an RST */
    FAULT_TRICKLE,    /* a byte every millisecond */
    FAULT_HALF_CLOSE, /* the receiver hears the end, and nothing more */
    FAULT_CORRUPT,    /* one byte is another one */
    FAULT_ANY,        /* one of these */
};

#define FAULT_LINKS_MAX   256
#define FAULT_PIECE_BYTES 4096

/* One direction of a connection. */
struct fault_pipe {
    int from, to;
    uint8_t bytes[FAULT_PIECE_BYTES];
    size_t begin, end;
    uint64_t not_before_ns;
    int trickles, hole, ended;
};

struct fault_link {
    int used;
    struct fault_pipe pipe[2];
};

struct fault_proxy {
    char url[64]; /* for the client */
    _Atomic int fault;
    _Atomic uint64_t fault_count; /* pieces that met one */
    int listener, wake;           /* wake: a byte ends the thread */
    int wake_other;
    uint16_t server_port;
    struct rand rand;
    pthread_t thread;
    struct fault_link link[FAULT_LINKS_MAX];
};

/* server_url: "tcp://127.0.0.1:PORT" */
void fault_proxy_start(struct fault_proxy *proxy, const char *server_url, uint64_t seed);
void fault_proxy_set(struct fault_proxy *proxy, enum fault fault);
void fault_proxy_stop(struct fault_proxy *proxy);

#endif
