/* SPDX-License-Identifier: Apache-2.0 */
/* What the service does with the audit log: who acts, what was refused, and pages of it. */
#include <stdlib.h>

#include "base/transcode.h"
#include "server/control/service_internal.h"

enum { AUDIT_LIMIT_MAX = 1000, AUDIT_SLACK_BYTES = 2 * LOG_LINE_BYTES };

struct deferred *deferred_begin_act(struct service *service, struct call *call,
                                    const struct request *request)
{
    /* The transport knows the call no more once it is deferred. */
    struct audit_who who = audit_who_of(call, request);
    struct deferred *deferred = deferred_begin(service, call, request);
    if (deferred != NULL)
        deferred->who = who;
    return deferred;
}

void service_note_refused(struct service *service, const struct call *call,
                          const struct request *request, enum reply_code code)
{
    struct audit_who who = audit_who_of(call, request);
    audit_note_refused(service->with.audit, &who, request->op, code);
}

void service_pack_unaudited(struct reply *reply, enum err_code rc, const struct err *err)
{
    if (rc == ERR_OK)
        return;
    reply_key(reply, "warning");
    pack_str(&reply->pack, err->text);
}

/* ---- exports --------------------------------------------------------------------------------- */

static uint64_t export_key(const struct deferred *deferred)
{
    uint64_t seed = hash_text(text_of(deferred->export_key), deferred->export_trainable);
    seed = hash_text(deferred->anon, hash_text(deferred->user, seed));
    uint64_t key = hash_text(text_of(deferred->who.peer), seed);
    return key == 0 ? 1 : key;
}

/* NULL: the page begins a new one. */
static struct export_under_way *find_export(struct deferred *deferred)
{
    uint64_t key = export_key(deferred);
    for (uint32_t i = 0; i < SERVICE_EXPORTS_MAX; i++) {
        struct export_under_way *export = &deferred->service->exports[i];
        if (export->key == key && export->next == deferred->export_from)
            return export;
    }
    return NULL;
}

enum err_code service_export_begins(struct deferred *deferred, struct err *err)
{
    struct service *service = deferred->service;
    if (find_export(deferred) != NULL)
        return ERR_OK;
    enum err_code rc = audit_begin(
        service->with.audit, &deferred->who, "export",
        AUDIT_WHAT(LOG_STR("what", deferred->export_key),
                   LOG_STR("for", deferred->export_trainable ? "training" : ""),
                   LOG_BOOL("one_person", deferred->user.ptr != NULL || deferred->anon.ptr != NULL),
                   LOG_INT("from", (int64_t)deferred->export_from)),
        err);
    if (rc != ERR_OK)
        return rc;
    service->exports[service->export_oldest] =
        (struct export_under_way){export_key(deferred), deferred->export_from};
    service->export_oldest = (service->export_oldest + 1) % SERVICE_EXPORTS_MAX;
    return ERR_OK;
}

void service_export_goes_on(struct deferred *deferred, uint64_t next, bool there_is_more)
{
    struct export_under_way *export = find_export(deferred);
    ASSERT(export != NULL);
    if (there_is_more)
        export->next = next;
    else
        export->key = 0;
}

/* ---- pages ----------------------------------------------------------------------------------- */

struct page_of_lines {
    struct reply *reply;
    uint32_t count, limit;
    uint64_t next;
    bool full;
};

static bool pack_line(void *ctx, uint64_t sequence, struct text line)
{
    struct page_of_lines *page = ctx;
    struct pack *pack = &page->reply->pack;
    if (page->count == page->limit || pack->capacity - pack->used < AUDIT_SLACK_BYTES) {
        page->full = true;
        return false;
    }
    size_t mark = pack->used;
    page->next = sequence + 1;
    /* It has the hash of what we wrote, so that it is JSON; if it is not, nothing is shown of it.
     */
    if (transcode_from_json(line.ptr, line.len, pack, NULL) == ERR_OK)
        page->count++;
    else
        pack->used = mark;
    return true;
}

/* On the thread of maintenance. */
static void run_audit(void *ctx)
{
    struct deferred *deferred = ctx;
    const struct service_options *with = &deferred->service->with;
    struct call *call = deferred->call;
    struct reply reply;
    struct err err = {.text = ""};
    struct page_of_lines page = {
        .reply = &reply, .limit = deferred->export_limit, .next = deferred->export_from};
    reply_begin(&reply, call, deferred->id_raw, with->clock);
    reply_key(&reply, "acts");
    size_t mark = pack_array_open(&reply.pack);
    enum err_code rc =
        ledger_read(audit_dir(with->audit), deferred->export_from, pack_line, &page, &err);
    pack_array_close(&reply.pack, mark, page.count);
    reply_key(&reply, "next");
    pack_uint(&reply.pack, page.next);
    reply_key(&reply, "end");
    pack_bool(&reply.pack, !page.full);
    reply_end(&reply);
    if (rc != ERR_OK)
        reply_error(call, deferred->id_raw, with->clock, REPLY_internal, err.text, NULL);
    call->complete(call);
}

enum call_state service_audit(struct service *service, struct call *call,
                              const struct request *request)
{
    int64_t from = 1, limit = AUDIT_LIMIT_MAX;
    bool from_ok = true, limit_ok = true;
    bool has_from = request_body_int(request, "from", &from, &from_ok);
    bool has_limit = request_body_int(request, "limit", &limit, &limit_ok);
    bool good_from = !has_from || (from_ok && from >= 1);
    bool good_limit = !has_limit || (limit_ok && limit >= 1 && limit <= AUDIT_LIMIT_MAX);
    if (!good_from || !good_limit) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request,
                    "expected from: a sequence from 1 on; limit: 1..1000",
                    good_from ? "limit" : "from");
        return CALL_DONE;
    }
    if (service->with.audit == NULL) {
        reply_error(call, request->id_raw, service->with.clock, REPLY_not_found,
                    "this daemon keeps no audit log", NULL);
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    deferred->export_from = (uint64_t)from;
    deferred->export_limit = (uint32_t)limit;
    return deferred_submit_to(service->with.maintenance, deferred, request, run_audit);
}
