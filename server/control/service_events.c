/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server/control/service_internal.h"

#define QUEUE_RETRY_MS 50 /* a full queue is applied in about that time */

static void pack_rejected(struct pack *pack, const struct store_batch_result *result)
{
    pack_array(pack, result->described);
    for (uint32_t i = 0; i < result->described; i++) {
        const struct store_rejection *rejection = &result->rejection[i];
        pack_map(pack, 3);
        pack_key(pack, "index");
        pack_int(pack, rejection->index);
        pack_key(pack, "code");
        pack_str(pack, reply_code_name(reply_code_of(rejection->code)));
        pack_key(pack, "message");
        pack_str(pack, rejection->message);
    }
}

/* What the message is about: it begins with the key, unless the log is at fault. */
static const char *key_at_fault(const struct err *err)
{
    if (err->code != ERR_LIMIT && err->code != ERR_BAD_INPUT)
        return NULL;
    return strncmp(err->text, "sent_at:", strlen("sent_at:")) == 0 ? "sent_at" : "events";
}

/* On the store thread, when the batch is visible to readers, and on disk where that was asked for.
 */
static void batch_done(void *ctx, const struct store_batch_result *result)
{
    struct deferred *deferred = ctx;
    struct call *call = deferred->call;
    struct reply reply;
    if (result->status != ERR_OK) {
        reply_error(call, deferred->id_raw, deferred->service->with.clock,
                    reply_code_of(result->status), result->error, NULL);
        call->complete(call);
        return;
    }
    reply_begin(&reply, call, deferred->id_raw, deferred->service->with.clock);
    reply_key(&reply, "accepted");
    pack_int(&reply.pack, result->accepted);
    reply_key(&reply, "duplicate");
    pack_int(&reply.pack, result->duplicate);
    reply_key(&reply, "rejected");
    pack_rejected(&reply.pack, result);
    if (result->rejected > result->described) {
        reply_key(&reply, "rejected_total");
        pack_int(&reply.pack, result->rejected);
    }
    reply_end(&reply);
    call->complete(call);
}

enum call_state service_events(struct service *service, struct call *call,
                               const struct request *request)
{
    struct err err = {.text = ""};
    bool has_log = store_log(service->with.store) != NULL;
    if (request->ack == REQUEST_ACK_DISK && !has_log) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request,
                    "ack: 'disk' cannot be promised, since this daemon has no event log "
                    "(event_log_bytes_max is 0); use 'memory'",
                    "ack");
        return CALL_DONE;
    }
    struct store_batch batch = {
        .bytes = (const uint8_t *)request->events_raw.ptr,
        .len = request->events_raw.len,
        .ack = request->ack == REQUEST_ACK_MEMORY ? STORE_ACK_MEMORY : STORE_ACK_DISK,
        .strict = request->has_strict ? request->strict : service->with.events_strict,
        .sent_at_ms = request->sent_at_ms,
        .done = batch_done,
    };
    struct deferred *deferred = deferred_begin(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    batch.ctx = deferred;
    enum err_code rc = store_submit(service->with.store, &batch, &err);
    if (rc == ERR_OK)
        return CALL_DEFERRED;
    deferred_undo(deferred);
    if (rc == ERR_BUSY) {
        reply_overloaded(call, request->id_raw, service->with.clock, err.text, QUEUE_RETRY_MS);
        return CALL_DONE;
    }
    reply_error(call, request->id_raw, service->with.clock, reply_code_of(rc), err.text,
                key_at_fault(&err));
    return CALL_DONE;
}
