/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on erasures: to ask for one, and what became of them. */
#include "base/ledger.h"
#include "base/transcode.h"
#include "server/control/service_internal.h"

enum { RECEIPTS_MAX = 500, SLACK_BYTES = 4096 };

static void refuse(struct service *service, struct call *call, const struct request *request,
                   const char *message, const char *field)
{
    reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request, message, field);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Ids of people never get into the audit log: the number of the request stands for them. */
static enum err_code forget(struct deferred *deferred, uint64_t *ret_request, struct err *err)
{
    const struct service_options *with = &deferred->service->with;
    const char *kind = deferred->user.ptr == NULL ? "anon" : "user";
    uint64_t number = 0;
    enum err_code rc =
        audit_begin(with->audit, &deferred->who, "erase", AUDIT_WHAT(LOG_STR("kind", kind)), err);
    if (rc != ERR_OK)
        return rc;
    rc = store_forget(with->store, deferred->user, deferred->anon, &number, err);
    if (rc == ERR_OK)
        *ret_request = number;
    (void)!audit_record(with->audit, &deferred->who, "erase", rc, err,
                        AUDIT_WHAT(LOG_STR("kind", kind), LOG_INT("request", (int64_t)number)),
                        NULL);
    return rc;
}

/* On the thread of jobs. */
static void run_erase(void *ctx)
{
    struct deferred *deferred = ctx;
    const struct clock *clock = deferred->service->with.clock;
    struct call *call = deferred->call;
    struct reply reply;
    struct err err = {.text = ""};
    uint64_t number = 0;
    enum err_code rc = forget(deferred, &number, &err);
    if (rc != ERR_OK) {
        reply_error(call, deferred->id_raw, clock, reply_code_of(rc), err.text, NULL);
    } else {
        reply_begin(&reply, call, deferred->id_raw, clock);
        reply_key(&reply, "request");
        pack_uint(&reply.pack, number);
        reply_end(&reply);
    }
    call->complete(call);
}

enum call_state service_erase(struct service *service, struct call *call,
                              const struct request *request)
{
    if (request->user.ptr == NULL && request->anon.ptr == NULL) {
        refuse(service, call, request, "expected the user or the anonymous id to be erased",
               "user");
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    deferred->user = request->user;
    deferred->anon = request->anon;
    return deferred_submit(deferred, request, run_erase);
}

/* ---- how it stands --------------------------------------------------------------------------- */

void service_pack_erasures(struct pack *pack, const struct service *service)
{
    struct erasure_stats stats;
    struct erasure_status status;
    store_erasure_stats(service->with.store, &stats);
    erasure_status(service->with.erasure, &status);
    bool has_error = status.error.code != ERR_OK;
    pack_map(pack, 7u + has_error);
    pack_key(pack, "requests");
    pack_uint(pack, stats.last_request);
    pack_key(pack, "done");
    pack_uint(pack, stats.done_request);
    pack_key(pack, "ids");
    pack_uint(pack, stats.pending);
    pack_key(pack, "stage");
    pack_str(pack, erasure_stage_name(status.stage));
    pack_key(pack, "at");
    pack_uint(pack, status.at);
    pack_key(pack, "records");
    pack_uint(pack, status.records);
    pack_key(pack, "failures");
    pack_uint(pack, status.failures);
    if (has_error) {
        pack_key(pack, "error");
        pack_str(pack, status.error.text);
    }
}

struct receipts {
    struct reply *reply;
    int64_t request; /* only of that one; 0: of all */
    uint64_t next;
    uint32_t count;
    bool is_full;
};

/* The value of a key of the map that was just packed; 0 without it. */
static int64_t int_of(const uint8_t *bytes, size_t len, const char *wanted)
{
    struct cursor cursor = cursor_of(bytes, len);
    uint32_t pairs = 0;
    int64_t value = 0;
    for (cursor_map(&cursor, &pairs); pairs > 0; pairs--) {
        struct text key = {0};
        cursor_text(&cursor, &key);
        if (text_is(key, wanted) && cursor_int(&cursor, &value))
            return value;
        cursor_skip(&cursor, NULL);
    }
    return value;
}

static bool pack_receipt(void *ctx, uint64_t sequence, struct text line)
{
    struct receipts *receipts = ctx;
    struct pack *pack = &receipts->reply->pack;
    if (receipts->count == RECEIPTS_MAX || pack->capacity - pack->used < SLACK_BYTES) {
        receipts->is_full = true;
        return false;
    }
    size_t mark = pack->used;
    receipts->next = sequence + 1;
    bool is_good = transcode_from_json(line.ptr, line.len, pack, NULL) == ERR_OK;
    if (is_good && receipts->request != 0)
        is_good = int_of(pack->bytes + mark, pack->used - mark, "request") == receipts->request;
    if (is_good)
        receipts->count++;
    else
        pack->used = mark;
    return true;
}

/* On the thread of maintenance. */
static void run_erasures(void *ctx)
{
    struct deferred *deferred = ctx;
    const struct service_options *with = &deferred->service->with;
    struct call *call = deferred->call;
    struct reply reply;
    struct err err = {.text = ""};
    struct receipts receipts = {
        .reply = &reply, .request = deferred->erasure_request, .next = deferred->export_from};
    reply_begin(&reply, call, deferred->id_raw, with->clock);
    reply_key(&reply, "pending");
    service_pack_erasures(&reply.pack, deferred->service);
    reply_key(&reply, "receipts");
    size_t mark = pack_array_open(&reply.pack);
    enum err_code rc = ledger_read(erasure_receipts_dir(with->erasure), deferred->export_from,
                                   pack_receipt, &receipts, &err);
    pack_array_close(&reply.pack, mark, receipts.count);
    reply_key(&reply, "next");
    pack_uint(&reply.pack, receipts.next);
    reply_key(&reply, "end");
    pack_bool(&reply.pack, !receipts.is_full);
    reply_end(&reply);
    if (rc != ERR_OK)
        reply_error(call, deferred->id_raw, with->clock, REPLY_internal, err.text, NULL);
    call->complete(call);
}

enum call_state service_erasures(struct service *service, struct call *call,
                                 const struct request *request)
{
    int64_t from = 1, number = 0;
    bool from_ok = true, number_ok = true;
    bool has_from = request_body_int(request, "from", &from, &from_ok);
    bool has_number = request_body_int(request, "request", &number, &number_ok);
    if ((has_from && (!from_ok || from < 1)) || (has_number && (!number_ok || number < 1))) {
        refuse(service, call, request, "expected from and request: numbers from 1 on",
               has_from && (!from_ok || from < 1) ? "from" : "request");
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    deferred->export_from = (uint64_t)from;
    deferred->erasure_request = number;
    return deferred_submit_to(service->with.maintenance, deferred, request, run_erasures);
}
