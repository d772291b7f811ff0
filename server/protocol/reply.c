/* SPDX-License-Identifier: Apache-2.0 */
#include "server/protocol/reply.h"

#define REPLY_MESSAGE_BYTES_MAX 400

void reply_begin(struct reply *reply, struct call *call, struct text id_raw,
                 const struct clock *clock)
{
    *reply = (struct reply){.call = call, .id_raw = id_raw, .clock = clock};
    reply->pack = pack_into(call->reply, call->reply_capacity);
    reply->map_mark = pack_map_open(&reply->pack);
    call->code = REPLY_ok;
    call->retry_after_ms = 0;
    reply_key(reply, "ok");
    pack_bool(&reply->pack, true);
    if (id_raw.ptr != NULL) {
        reply_key(reply, "id");
        pack_raw(&reply->pack, id_raw.ptr, id_raw.len);
    }
}

void reply_key(struct reply *reply, const char *key)
{
    pack_str(&reply->pack, key);
    reply->pair_count++;
}

struct reply reply_map_begin(const struct reply *reply)
{
    struct reply inner = *reply;
    inner.map_mark = pack_map_open(&inner.pack);
    inner.pair_count = 0;
    return inner;
}

void reply_map_end(struct reply *reply, struct reply *inner)
{
    pack_map_close(&inner->pack, inner->map_mark, inner->pair_count);
    reply->pack = inner->pack;
}

static void reply_close(struct reply *reply)
{
    uint64_t now_ns = clock_now_ns(reply->clock);
    uint64_t took_ns = now_ns > reply->call->arrived_ns ? now_ns - reply->call->arrived_ns : 0;
    reply_key(reply, "took_us");
    pack_int(&reply->pack, (int64_t)(took_ns / 1000));
    pack_map_close(&reply->pack, reply->map_mark, reply->pair_count);
    reply->call->reply_bytes = reply->pack.used;
}

void reply_end(struct reply *reply)
{
    reply_close(reply);
    if (reply->pack.overflow)
        reply_error(reply->call, reply->id_raw, reply->clock, REPLY_internal,
                    "the reply does not fit into a message; ask for less", NULL);
}

static void refuse(struct call *call, struct text id_raw, const struct clock *clock,
                   enum reply_code code, const char *message, const char *field,
                   uint32_t retry_after_ms)
{
    struct reply reply = {.call = call, .id_raw = id_raw, .clock = clock};
    struct text text = text_of(message);
    if (text.len > REPLY_MESSAGE_BYTES_MAX)
        text.len = REPLY_MESSAGE_BYTES_MAX;
    while (text.len > 0 && !text_is_utf8(text.ptr, text.len))
        text.len--;
    bool has_field = field != NULL && field[0] != '\0';
    reply.pack = pack_into(call->reply, call->reply_capacity);
    reply.map_mark = pack_map_open(&reply.pack);
    reply_key(&reply, "ok");
    pack_bool(&reply.pack, false);
    if (id_raw.ptr != NULL) {
        reply_key(&reply, "id");
        pack_raw(&reply.pack, id_raw.ptr, id_raw.len);
    }
    reply_key(&reply, "error");
    pack_map(&reply.pack, 2u + has_field + (retry_after_ms > 0));
    pack_key(&reply.pack, "code");
    pack_str(&reply.pack, reply_code_name(code));
    pack_key(&reply.pack, "message");
    pack_text(&reply.pack, text);
    if (has_field) {
        pack_key(&reply.pack, "field");
        pack_str(&reply.pack, field);
    }
    if (retry_after_ms > 0) {
        pack_key(&reply.pack, "retry_after_ms");
        pack_int(&reply.pack, retry_after_ms);
    }
    reply_close(&reply);
    ASSERT(!reply.pack.overflow); /* the capacity of a call is far above an error reply */
    call->code = code;
    call->retry_after_ms = retry_after_ms;
}

void reply_error(struct call *call, struct text id_raw, const struct clock *clock,
                 enum reply_code code, const char *message, const char *field)
{
    refuse(call, id_raw, clock, code, message, field, 0);
}

void reply_overloaded(struct call *call, struct text id_raw, const struct clock *clock,
                      const char *message, uint32_t retry_after_ms)
{
    refuse(call, id_raw, clock, REPLY_overloaded, message, NULL, retry_after_ms);
}

enum reply_code reply_code_of(enum err_code code)
{
    switch (code) {
    case ERR_OK: return REPLY_ok;
    case ERR_BAD_INPUT:
    case ERR_CORRUPT:
    case ERR_EXISTS:
    case ERR_UNSUPPORTED: return REPLY_bad_request;
    case ERR_NOT_FOUND: return REPLY_not_found;
    case ERR_LIMIT: return REPLY_too_large;
    case ERR_STALE: return REPLY_too_old;
    case ERR_DENIED: return REPLY_forbidden;
    case ERR_BUSY:
    case ERR_NOMEM: return REPLY_overloaded;
    case ERR_TIMEOUT: return REPLY_deadline_exceeded;
    case ERR_DISK_FULL: return REPLY_disk_full;
    case ERR_IO:
    case ERR_COUNT: break;
    }
    return REPLY_internal;
}
