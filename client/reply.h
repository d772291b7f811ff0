/* SPDX-License-Identifier: Apache-2.0 */
/* reply - struct decide_reply, decoded from a daemon's message or made by the client if there is
 * none.
 *
 * A reply is a single allocation, including everything it points to.  Threads: one owner.
 * Limits: CLIENT_REPLY_ITEMS_MAX items, DECIDE_REPLY_BYTES_MAX bytes. */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/decide.h"
#include "client/reader.h"

#define CLIENT_REPLY_ITEMS_MAX 10000

/* DECIDE_OK gives a reply, whose own status is DECIDE_OK or DECIDE_REFUSED.  DECIDE_PROTOCOL: these
 * bytes are not a reply, or lack items although `wants_items`; DECIDE_NOMEM. */
enum decide_status client_reply_decode(const uint8_t *bytes, size_t len, bool wants_items,
                                       struct decide_reply **ret_reply);

/* A reply without an answer.  Never NULL: the one for DECIDE_NOMEM is static. */
struct decide_reply *client_reply_failure(enum decide_status status, const char *message);

/* A refusal on behalf of daemons that are not asked, because they asked to be paused for longer
 * than the call has left. */
struct decide_reply *client_reply_overloaded(const char *message, uint32_t retry_after_ms);

/* Items that replace an answer, best first. */
struct client_stand_in {
    const char *level;
    const char *const *ids;
    const double *scores; /* NULL: none */
    size_t count;
    uint64_t age_us;
};

/* A reply with those items that the request (a checked map) does not exclude, at most as many as it
 * asks for; `failed` provides the reason.  NULL: out of memory. */
struct decide_reply *client_reply_stand_in(const struct client_stand_in *stand_in,
                                           struct client_reader request,
                                           const struct decide_reply *failed);

void client_reply_set_waited(struct decide_reply *reply, uint64_t waited_us);

#endif
