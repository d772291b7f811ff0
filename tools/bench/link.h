/* SPDX-License-Identifier: Apache-2.0 */
/* link - one connection on which requests are pipelined: any number may be on their way.
 *
 * Connecting and greeting are libdecide's; after that the socket is driven by the caller's epoll
 * loop.  Threads: one owner.  Limits: replies up to LINK_REPLY_BYTES_MAX. */
#ifndef TOOLS_BENCH_LINK_H
#define TOOLS_BENCH_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "client/address.h"
#include "client/conn.h"
#include "client/sp.h"

#define LINK_REPLY_BYTES_MAX (1 << 20)
#define LINK_CONNECT_NS_MAX  UINT64_C(200000000)

struct link {
    struct client_conn conn; /* its socket and, until it is ready, its buffer */
    uint8_t *out;            /* owned */
    size_t out_capacity, out_used, out_sent;
    uint8_t *in; /* owned */
    size_t in_capacity, in_used, in_taken;
    uint32_t in_flight;       /* the caller's, as is the next: requests without an answer yet */
    bool is_watched_for_room; /* epoll tells when the socket takes more */
};

/* Where one daemon may be: what its name resolves to. */
struct link_target {
    struct client_address addresses[CLIENT_ADDRESSES_PER_URL];
    uint32_t count;
    bool is_settled; /* the first one is it */
};

/* `url` is one address.  ERR_BAD_INPUT names --url. */
MUST_CHECK enum err_code link_resolve(const char *url, struct link_target *ret_target,
                                      struct err *err);
/* Tries the addresses in their order, each for up to LINK_CONNECT_NS_MAX; the first one that greets
 * is the only one from then on, so that one daemon is measured.  ERR_IO says why the last one did
 * not. */
MUST_CHECK enum err_code link_open(struct link *link, struct link_target *target, struct err *err);
void link_close(struct link *link); /* keeps the buffers */
void link_deinit(struct link *link);

static inline bool link_is_open(const struct link *link)
{
    return link->conn.fd >= 0;
}

/* Queues a frame; false for a lack of memory. */
bool link_put(struct link *link, const uint8_t *frame, size_t len);
/* Writes what the socket takes.  False when the connection is lost. */
bool link_flush(struct link *link);
static inline bool link_has_unsent(const struct link *link)
{
    return link->out_sent < link->out_used;
}

/* Reads what has arrived, once.  False when the connection is lost or there is no memory. */
bool link_fill(struct link *link);
/* The next whole reply, valid until the next link_fill; SP_BAD ends the connection. */
enum sp_state link_next(struct link *link, struct sp_message *ret_message);

#endif
