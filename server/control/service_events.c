/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/service_internal.h"

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

/* On the store thread, when the batch is visible to readers. */
static void batch_done(void *ctx, const struct store_batch_result *result)
{
    struct deferred *deferred = ctx;
    struct call *call = deferred->call;
    struct reply reply;
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
    if (request->ack_disk) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request,
                    "ack: 'disk' cannot be promised, since events are kept in memory only; use "
                    "'memory'",
                    "ack");
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    enum err_code rc = store_submit(service->with.store, (const uint8_t *)request->events_raw.ptr,
                                    request->events_raw.len, batch_done, deferred, &err);
    if (rc == ERR_OK)
        return CALL_DEFERRED;
    deferred_undo(deferred);
    reply_error(call, request->id_raw, service->with.clock, reply_code_of(rc), err.text,
                rc == ERR_BUSY ? NULL : "events");
    return CALL_DONE;
}
