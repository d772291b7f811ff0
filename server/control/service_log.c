/* SPDX-License-Identifier: Apache-2.0 */
/* Operations on the logs: pages of them for exports, checkpoints, and the hash of the state. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/rcu.h"
#include "featurestore/decision_record.h"
#include "featurestore/snapshot.h"
#include "server/control/service_internal.h"
#include "server/control/service_person.h"

#define SNAPSHOT_DIR_BYTES_MAX 3000

enum {
    EXPORT_LIMIT_MAX = 10000,
    EXPORT_LOOKED_AT_MAX = 100000, /* records of others that are passed over for one page */
    EXPORT_SLACK_BYTES = 1024
};

/* `through`: which of a person's ids it has, or NULL. */
static void pack_record(struct pack *pack, const char *key, const struct event_record *record,
                        const char *through)
{
    pack_map(pack, 3u + (record->skew_ms != 0) + (through != NULL));
    if (through != NULL) {
        pack_key(pack, "through");
        pack_str(pack, through);
    }
    pack_key(pack, "sequence");
    pack_uint(pack, record->sequence);
    pack_key(pack, "arrival_ms");
    pack_int(pack, record->arrival_ms);
    if (record->skew_ms != 0) {
        pack_key(pack, "skew_ms");
        pack_int(pack, record->skew_ms);
    }
    pack_str(pack, key);
    pack_raw(pack, record->event.ptr, record->event.len);
}

static bool names_person(const struct deferred *deferred)
{
    return deferred->user.ptr != NULL || deferred->anon.ptr != NULL;
}

/* A decision that cannot be read is nobody's; the export of all decisions reports it. */
static const char *match(const struct person_ids *person, const char *kind,
                         const struct event_record *record)
{
    struct decision_record decision = {.user = {NULL, 0}};
    struct text user, anon;
    if (strcmp(kind, "event") == 0) {
        person_of_event(record->event, &user, &anon);
        return person_ids_match(person, user, anon);
    }
    if (decision_record_read(record->event, &decision, NULL) != ERR_OK)
        return NULL;
    return person_ids_match(person, decision.user, decision.anon);
}

/* What the person says now counts, not what they said when it was decided.  A record that cannot be
 * read is for the caller to report. */
static bool may_train(const struct store *store, const struct event_record *record)
{
    struct decision_record decision;
    if (decision_record_read(record->event, &decision, NULL) != ERR_OK)
        return true;
    rcu_read_begin();
    uint8_t consent = store_consent(store, decision.user, decision.anon);
    rcu_read_end();
    return (consent & CONSENT_BIT(train)) != 0;
}

/* Whether it is asked for; *ret_through as pack_record wants it. */
static bool is_wanted(const struct deferred *deferred, const struct person_ids *person,
                      const struct event_record *record, const char **ret_through)
{
    *ret_through = NULL;
    if (record->erased)
        return false; /* what is left of it is for the counts of the daemon alone */
    if (event_record_is_expired(record))
        return false;
    if (deferred->export_trainable)
        return may_train(deferred->service->with.store, record);
    if (!names_person(deferred))
        return true;
    *ret_through = match(person, deferred->export_key, record);
    return *ret_through != NULL;
}

/* As many records as there are, fit and are wanted; *next is where to go on. */
static enum err_code pack_records(struct reply *reply, const struct deferred *deferred,
                                  struct event_log_reader *reader, uint64_t *next, bool *ret_end,
                                  struct err *err)
{
    struct event_record record;
    struct person_ids person;
    enum err_code rc = ERR_OK;
    uint32_t count = 0, passed_over = 0;
    if (names_person(deferred))
        person_ids_find(deferred->service->with.store, deferred->user, deferred->anon, &person);
    size_t mark = pack_array_open(&reply->pack);
    while (count < deferred->export_limit && passed_over < EXPORT_LOOKED_AT_MAX &&
           (rc = event_log_read_next(reader, &record, err)) == ERR_OK) {
        const char *through;
        if (reply->pack.capacity - reply->pack.used < record.event.len + EXPORT_SLACK_BYTES)
            break;
        *next = record.sequence + 1;
        if (!is_wanted(deferred, &person, &record, &through)) {
            passed_over++;
            continue;
        }
        pack_record(&reply->pack, deferred->export_key, &record, through);
        count++;
    }
    pack_array_close(&reply->pack, mark, count);
    *ret_end = rc == ERR_NOT_FOUND;
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* On the thread of maintenance. */
static void run_export(void *ctx)
{
    struct deferred *deferred = ctx;
    const struct service_options *with = &deferred->service->with;
    struct call *call = deferred->call;
    struct event_log_reader reader;
    struct reply reply;
    struct err err = {.text = ""};
    uint64_t next = deferred->export_from;
    bool end = false;
    enum err_code rc = service_export_begins(deferred, &err);
    if (rc != ERR_OK) {
        reply_error(call, deferred->id_raw, with->clock, reply_code_of(rc), err.text, NULL);
        call->complete(call);
        return;
    }
    rc = event_log_read_begin(deferred->export_log, next, &reader, &err);
    if (rc == ERR_OK) {
        reply_begin(&reply, call, deferred->id_raw, with->clock);
        reply_key(&reply, "records");
        rc = pack_records(&reply, deferred, &reader, &next, &end, &err);
        reply_key(&reply, "next");
        pack_uint(&reply.pack, next);
        reply_key(&reply, "end");
        pack_bool(&reply.pack, end);
        reply_end(&reply);
        event_log_read_end(&reader);
    }
    if (rc != ERR_OK)
        reply_error(call, deferred->id_raw, with->clock, REPLY_internal, err.text, NULL);
    service_export_goes_on(deferred, next, rc == ERR_OK && !end);
    call->complete(call);
}

struct export_wanted {
    bool decisions; /* else events */
    bool trainable; /* only decisions of people who allow `train` */
    int64_t from, limit;
};

/* The key at fault, or NULL. */
static const char *read_export(const struct request *request, struct export_wanted *wanted)
{
    struct text what = {0}, purpose = {0};
    bool what_ok = true, purpose_ok = true, from_ok = true, limit_ok = true;
    *wanted = (struct export_wanted){.from = 1, .limit = EXPORT_LIMIT_MAX};
    if (!request_body_text(request, "what", &what, &what_ok) || !what_ok)
        return "what";
    wanted->decisions = text_is(what, "decisions");
    if (!wanted->decisions && !text_is(what, "events"))
        return "what";
    wanted->trainable = request_body_text(request, "for", &purpose, &purpose_ok);
    bool of_person = request->user.ptr != NULL || request->anon.ptr != NULL;
    if (!purpose_ok ||
        (wanted->trainable && (!wanted->decisions || of_person || !text_is(purpose, "training"))))
        return "for";
    if (request_body_int(request, "from", &wanted->from, &from_ok) &&
        (!from_ok || wanted->from < 1))
        return "from";
    if (request_body_int(request, "limit", &wanted->limit, &limit_ok) &&
        (!limit_ok || wanted->limit < 1 || wanted->limit > EXPORT_LIMIT_MAX))
        return "limit";
    return NULL;
}

/* NULL when there is none. */
static struct event_log *log_of(const struct service *service, const struct export_wanted *wanted)
{
    struct decision_log *decisions = service->with.decision_log;
    if (!wanted->decisions)
        return store_log(service->with.store);
    return decisions == NULL ? NULL : decision_log_disk(decisions);
}

static void refuse(struct service *service, struct call *call, const struct request *request,
                   const char *message, const char *field)
{
    reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request, message, field);
}

enum call_state service_export(struct service *service, struct call *call,
                               const struct request *request)
{
    struct export_wanted wanted;
    const char *field = read_export(request, &wanted);
    if (field != NULL) {
        refuse(service, call, request,
               "expected what: events or decisions; for: training, with decisions alone and of all "
               "people; from: a sequence from 1 on; limit: 1..10000",
               field);
        return CALL_DONE;
    }
    struct event_log *log = log_of(service, &wanted);
    if (log == NULL) {
        refuse(service, call, request,
               wanted.decisions ? "this daemon logs no decisions (decision_log_bytes_max is 0)"
                                : "this daemon has no event log (event_log_bytes_max is 0)",
               NULL);
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    deferred->export_log = log;
    deferred->export_key = wanted.decisions ? "decision" : "event";
    deferred->export_trainable = wanted.trainable;
    deferred->user = request->user;
    deferred->anon = request->anon;
    deferred->export_from = (uint64_t)wanted.from;
    deferred->export_limit = (uint32_t)wanted.limit;
    return deferred_submit_to(service->with.maintenance, deferred, request, run_export);
}

/* On the thread of maintenance. */
static void run_state_hash(void *ctx)
{
    struct deferred *deferred = ctx;
    const struct service_options *with = &deferred->service->with;
    struct reply reply;
    char text[17];
    uint64_t sequence = 0;
    uint64_t hash = store_state_hash(with->store, &sequence);
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    reply_begin(&reply, deferred->call, deferred->id_raw, with->clock);
    reply_key(&reply, "hash");
    pack_str(&reply.pack, text);
    reply_key(&reply, "sequence");
    pack_uint(&reply.pack, sequence);
    reply_end(&reply);
    deferred->call->complete(deferred->call);
}

/* A reply that says no more than how it went. */
static void complete_with(struct deferred *deferred, enum err_code rc, const struct err *err)
{
    const struct clock *clock = deferred->service->with.clock;
    struct call *call = deferred->call;
    struct reply reply;
    if (rc != ERR_OK) {
        reply_error(call, deferred->id_raw, clock, reply_code_of(rc), err->text, NULL);
    } else {
        reply_begin(&reply, call, deferred->id_raw, clock);
        reply_end(&reply);
    }
    call->complete(call);
}

/* On the thread of maintenance. */
static void run_checkpoint(void *ctx)
{
    struct deferred *deferred = ctx;
    struct err err = {.text = ""};
    enum err_code rc = store_checkpoint(deferred->service->with.store, &err);
    complete_with(deferred, rc, &err);
}

enum call_state service_checkpoint(struct service *service, struct call *call,
                                   const struct request *request)
{
    struct deferred *deferred = deferred_begin(service, call, request);
    return deferred == NULL
               ? CALL_DONE
               : deferred_submit_to(service->with.maintenance, deferred, request, run_checkpoint);
}

/* On the thread of maintenance. */
static void run_snapshot(void *ctx)
{
    struct deferred *deferred = ctx;
    struct audit *audit = deferred->service->with.audit;
    struct audit_what what = AUDIT_WHAT(LOG_STR("dir", deferred->path));
    struct err err = {.text = ""};
    enum err_code rc = audit_begin(audit, &deferred->who, "snapshot", what, &err);
    if (rc == ERR_OK) {
        rc = snapshot_make(deferred->service->with.store, deferred->path, &err);
        /* A failure is counted and logged; that it began is on record. */
        (void)!audit_record(audit, &deferred->who, "snapshot", rc, &err, what, NULL);
    }
    complete_with(deferred, rc, &err);
}

enum call_state service_snapshot(struct service *service, struct call *call,
                                 const struct request *request)
{
    struct text dir = {0};
    bool good = true;
    if (!request_body_text(request, "dir", &dir, &good) || !good || dir.len == 0 ||
        dir.ptr[0] != '/' || dir.len >= SNAPSHOT_DIR_BYTES_MAX ||
        memchr(dir.ptr, '\0', dir.len) != NULL) {
        refuse(service, call, request, "expected an absolute path on the daemon's machine", "dir");
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    deferred->path = strndup(dir.ptr, dir.len);
    if (deferred->path == NULL) {
        deferred_undo(deferred);
        reply_overloaded(call, request->id_raw, service->with.clock, "out of memory", 0);
        return CALL_DONE;
    }
    return deferred_submit_to(service->with.maintenance, deferred, request, run_snapshot);
}

enum call_state service_state_hash(struct service *service, struct call *call,
                                   const struct request *request)
{
    struct deferred *deferred = deferred_begin(service, call, request);
    return deferred == NULL
               ? CALL_DONE
               : deferred_submit_to(service->with.maintenance, deferred, request, run_state_hash);
}
