/* SPDX-License-Identifier: Apache-2.0 */
/* reply - the frame of every reply: {ok, id?, took_us, ...} or {ok:false, id?, took_us,
 * error:{code, message, field?}}.  Packs into the buffer that the call lends.
 *
 *   struct reply reply;
 *   reply_begin(&reply, call, request, clock);      pairs follow through reply.pack, counted by
 *   reply_key(&reply, "mode"); pack_str(...);       reply_key
 *   reply_end(&reply);                              sets reply_bytes and code
 *
 * A reply that does not fit becomes an `internal` error, never a cut message.  Threads: one owner.
 */
#ifndef SERVER_PROTOCOL_REPLY_H
#define SERVER_PROTOCOL_REPLY_H

#include "base/clock.h"
#include "base/pack.h"
#include "server/protocol/call.h"
#include "server/protocol/request.h"

struct reply {
    struct pack pack;
    struct call *call;
    struct text id_raw;
    const struct clock *clock;
    size_t map_mark;
    uint32_t pair_count;
};

void reply_begin(struct reply *reply, struct call *call, struct text id_raw,
                 const struct clock *clock);
void reply_key(struct reply *reply, const char *key);
void reply_end(struct reply *reply);

/* A map of its own in the reply, whose pairs follow through what is returned. */
struct reply reply_map_begin(const struct reply *reply);
void reply_map_end(struct reply *reply, struct reply *inner);

/* A whole error reply; `field` may be NULL or "". `message` is cut at 400 bytes. */
void reply_error(struct call *call, struct text id_raw, const struct clock *clock,
                 enum reply_code code, const char *message, const char *field);

/* The same for REPLY_overloaded, with a hint when to ask again. */
void reply_overloaded(struct call *call, struct text id_raw, const struct clock *clock,
                      const char *message, uint32_t retry_after_ms);

/* The code that fits a failure: BAD_INPUT -> bad_request, LIMIT -> too_large, ... */
enum reply_code reply_code_of(enum err_code code);

#endif
