/* SPDX-License-Identifier: Apache-2.0 */
/* fake_peer - a daemon that misbehaves on purpose, for tests of the client.
 *
 * Listens on a free port of 127.0.0.1 (or on an ipc path) and serves each connection on a thread of
 * its own, the way `behaviour` says at that moment.  Failures of the test's own making abort.
 * Threads: the fields that the test may touch while it runs are atomic; the rest by functions. */
#ifndef TESTS_SUPPORT_FAKE_PEER_H
#define TESTS_SUPPORT_FAKE_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum fake_behaviour {
    FAKE_ANSWERS,
    FAKE_NEVER_GREETS,        /* accepts and stays silent */
    FAKE_NEVER_ANSWERS,       /* greets and reads */
    FAKE_FIRST_NEVER_ANSWERS, /* the first connection does so, the others answer */
    FAKE_GREETS_WRONG,        /* speaks HTTP */
    FAKE_ANSWERS_GIANT,       /* announces 2^62 bytes */
    FAKE_ANSWERS_GARBAGE,     /* a frame that holds no MessagePack */
    FAKE_ANSWERS_WRONG_ID,
    FAKE_ANSWERS_HALF, /* half a frame, then silence */
    FAKE_ANSWERS_HALF_AND_CLOSES,
    FAKE_ANSWERS_BYTEWISE, /* the right answer, one byte at a time */
    FAKE_ANSWERS_TWICE,    /* the second answer is one that nobody asked for */
    FAKE_ANSWERS_IN_PAIRS, /* two requests are read, and the second is answered first */
    FAKE_TRICKLES,         /* the right answer, one byte every 5 ms */
    FAKE_HALF_CLOSES,      /* ends its sending side in place of an answer, and reads on */
    FAKE_RESETS,           /* RST in place of an answer */
    FAKE_CLOSES            /* right after accepting */
};

#define FAKE_CONNECTIONS_MAX 256
#define FAKE_BYTES_MAX       65536

struct fake_peer {
    char url[160];
    bool ipc;
    _Atomic int behaviour; /* enum fake_behaviour */
    _Atomic uint32_t connection_count, request_count;
    _Atomic uint32_t silent_count; /* connections that are not greeted */
    _Atomic uint64_t delay_us;     /* before each answer */
    _Atomic bool answers_users;    /* with one item, whose id is the `user` of the request */

    int listener;
    uint16_t port;
    pthread_t acceptor;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    bool stopping, holding;
    uint8_t reply[FAKE_BYTES_MAX];
    size_t reply_len;
    uint8_t request[FAKE_BYTES_MAX]; /* the newest body */
    size_t request_len;
    struct {
        pthread_t thread;
        int fd;
        struct fake_peer *peer;
    } connections[FAKE_CONNECTIONS_MAX];
    uint32_t used;
};

/* `port`: 0 for a free one.  Answers {"ok": true, "items": [{"id": "a"}, {"id": "b"}]}. */
void fake_peer_start(struct fake_peer *peer, uint16_t port, enum fake_behaviour behaviour);
void fake_peer_start_ipc(struct fake_peer *peer, const char *path, enum fake_behaviour behaviour);
void fake_peer_stop(struct fake_peer *peer); /* closes every connection */

void fake_peer_set_reply(struct fake_peer *peer, const void *bytes, size_t len);
/* {"ok": false, "error": {"code": CODE, "message": "told to"}}, with retry_after_ms unless it is 0
 */
void fake_peer_set_refusal(struct fake_peer *peer, const char *code);
void fake_peer_set_pause(struct fake_peer *peer, const char *code, uint32_t retry_after_ms);
/* While held, requests are read and their answers wait. */
void fake_peer_hold(struct fake_peer *peer, bool hold);
/* Waits up to 30 s until `count` requests have arrived. */
void fake_peer_wait_requests(struct fake_peer *peer, uint32_t count);
/* The newest request; returns its length. */
size_t fake_peer_request(struct fake_peer *peer, uint8_t buf[FAKE_BYTES_MAX]);

#endif
