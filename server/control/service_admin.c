/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/log.h"
#include "base/rcu.h"
#include "server/control/service_internal.h"

static void refuse(struct service *service, struct call *call, const struct request *request,
                   const char *message, const char *field)
{
    reply_error(call, request->id_raw, service->with.clock, REPLY_bad_request, message, field);
}

/* ---- mode ------------------------------------------------------------------------------------ */

static void pack_mode(struct reply *reply, const struct mode *mode)
{
    reply_key(reply, "mode");
    pack_str(&reply->pack, level_name(mode->level));
    if (mode->until_ms != 0) {
        reply_key(reply, "until_ms");
        pack_int(&reply->pack, mode->until_ms);
    }
    if (mode->reason[0] != '\0') {
        reply_key(reply, "reason");
        pack_str(&reply->pack, mode->reason);
    }
}

/* On the thread of jobs.  A mode that could not be written down is in force nevertheless. */
static void set_mode(void *ctx)
{
    struct deferred *deferred = ctx;
    struct modes *modes = deferred->service->with.modes;
    struct call *call = deferred->call;
    struct mode mode;
    struct reply reply;
    struct err err = {.text = ""}, unaudited = {.text = ""};
    enum err_code rc = modes_set(modes, deferred->mode.level, deferred->mode_for_ms,
                                 text_of(deferred->mode.reason), &err);
    changes_note(deferred->service->with.changes);
    enum err_code audited =
        audit_record(deferred->service->with.audit, &deferred->who, "mode", ERR_OK, NULL,
                     AUDIT_WHAT(LOG_STR("mode", level_name(deferred->mode.level)),
                                LOG_INT("for_ms", deferred->mode_for_ms),
                                LOG_STR("reason", deferred->mode.reason)),
                     &unaudited);
    modes_get(modes, &mode);
    log_at(LOG_WARN, "mode set", LOG_STR("mode", level_name(deferred->mode.level)),
           LOG_INT("for_ms", deferred->mode_for_ms), LOG_STR("reason", deferred->mode.reason));
    reply_begin(&reply, call, deferred->id_raw, deferred->service->with.clock);
    pack_mode(&reply, &mode);
    if (rc != ERR_OK) {
        char warning[ERR_TEXT_BYTES + 40];
        log_at(LOG_ERROR, "mode will not survive a restart", LOG_STR("error", err.text));
        snprintf(warning, sizeof warning, "it will not survive a restart: %s", err.text);
        reply_key(&reply, "warning");
        pack_str(&reply.pack, warning);
    } else {
        service_pack_unaudited(&reply, audited, &unaudited);
    }
    reply_end(&reply);
    call->complete(call);
}

/* It is shown in a page of lines. */
static bool is_one_line(struct text text)
{
    for (uint32_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.ptr[i] < 0x20 || text.ptr[i] == 0x7f)
            return false;
    }
    return true;
}

/* The key at fault, or NULL. */
static const char *read_mode(const struct request *request, bool *ret_present,
                             struct mode *ret_mode, int64_t *ret_for_ms)
{
    struct text level = {0}, reason = {0};
    bool level_ok = true, for_ok = true, reason_ok = true;
    *ret_for_ms = 0;
    *ret_mode = (struct mode){.level = LEVEL_full};
    *ret_present = request_body_text(request, "mode", &level, &level_ok);
    bool has_for = request_body_int(request, "for_ms", ret_for_ms, &for_ok);
    bool has_reason = request_body_text(request, "reason", &reason, &reason_ok);
    if (*ret_present ? !level_ok || !level_parse(level, &ret_mode->level) : has_for || has_reason)
        return "mode";
    if (has_for && (!for_ok || *ret_for_ms < 1 || *ret_for_ms > MODES_FOR_MS_MAX))
        return "for_ms";
    if (has_reason && (!reason_ok || reason.len >= MODES_REASON_BYTES || !is_one_line(reason)))
        return "reason";
    text_copy(reason, ret_mode->reason, sizeof ret_mode->reason);
    return NULL;
}

static enum call_state serve_mode(struct service *service, struct call *call,
                                  const struct request *request)
{
    struct mode mode;
    int64_t for_ms = 0;
    bool present = false;
    const char *field = read_mode(request, &present, &mode, &for_ms);
    if (field != NULL) {
        refuse(service, call, request,
               "expected mode: full, reduced, cached, generic or static; for_ms: 1 ms to 366 days; "
               "reason: one line of at most 200 bytes",
               field);
        return CALL_DONE;
    }
    if (present) {
        struct deferred *deferred = deferred_begin_act(service, call, request);
        if (deferred == NULL)
            return CALL_DONE;
        changes_note(service->with.changes);
        deferred->mode = mode;
        deferred->mode_for_ms = for_ms;
        return deferred_submit(deferred, request, set_mode);
    }
    struct reply reply;
    modes_get(service->with.modes, &mode);
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    pack_mode(&reply, &mode);
    reply_end(&reply);
    return CALL_DONE;
}

/* ---- breakers -------------------------------------------------------------------------------- */

static const struct model *find_model(const struct snapshot *snapshot, struct text name)
{
    for (uint32_t i = 0; i < snapshot->model_count; i++) {
        if (text_is(name, snapshot->model[i]->name))
            return snapshot->model[i];
    }
    return NULL;
}

static const char *const hold_names[] = {"auto", "open", "closed"}; /* as enum breaker_hold */

static bool parse_hold(struct text text, enum breaker_hold *ret_hold)
{
    for (uint32_t i = 0; i < sizeof hold_names / sizeof hold_names[0]; i++) {
        if (text_is(text, hold_names[i])) {
            *ret_hold = (enum breaker_hold)i;
            return true;
        }
    }
    return false;
}

static void pack_breaker(struct reply *reply, const struct model *model)
{
    reply_key(reply, "model");
    pack_str(&reply->pack, model->label);
    reply_key(reply, "breaker");
    pack_str(&reply->pack, breaker_name(model->breaker));
}

/* Prices hold the floors, and popularity is what is left when all else fails. */
static bool has_breaker(const struct model *model)
{
    return model->kind != MODEL_prices && model->kind != MODEL_popularity;
}

static void refuse_model(struct service *service, struct call *call, struct text id_raw)
{
    reply_error(call, id_raw, service->with.clock, REPLY_not_found, "no model of that name serves",
                "model");
}

static void on_remembered(void *ctx, enum err_code rc, const struct err *err)
{
    (void)ctx;
    if (rc != ERR_OK)
        log_at(LOG_WARN, "a breaker is not held over a restart", LOG_STR("error", err->text));
}

/* On the thread of jobs. */
static void hold_breaker(void *ctx)
{
    struct deferred *deferred = ctx;
    struct service *service = deferred->service;
    struct call *call = deferred->call;
    struct reply reply;
    char label[2 * MODEL_NAME_BYTES], name[MODEL_NAME_BYTES];
    rcu_read_begin();
    const struct model *model = find_model(serving_current(service->with.serving), deferred->model);
    bool is_there = model != NULL, is_held = is_there && has_breaker(model);
    if (is_held) {
        breaker_hold(model->breaker, deferred->model_hold);
        text_copy(text_of(model->label), label, sizeof label);
        text_copy(text_of(model->name), name, sizeof name);
        reply_begin(&reply, call, deferred->id_raw, service->with.clock);
        pack_breaker(&reply, model);
    }
    if (is_there && !is_held) {
        char message[128];
        snprintf(message, sizeof message, "a model of the kind %s has no breaker",
                 model_kind_name(model->kind));
        reply_error(call, deferred->id_raw, service->with.clock, REPLY_bad_request, message,
                    "model");
    }
    rcu_read_end();
    if (is_held) {
        const char *hold = hold_names[deferred->model_hold];
        struct err unaudited = {.text = ""};
        log_at(LOG_WARN, "breaker set", LOG_STR("model", label), LOG_STR("hold", hold));
        enum err_code audited =
            audit_record(service->with.audit, &deferred->who, "breaker", ERR_OK, NULL,
                         AUDIT_WHAT(LOG_STR("model", label), LOG_STR("hold", hold)), &unaudited);
        service_pack_unaudited(&reply, audited, &unaudited);
        reply_end(&reply);
        if (service->with.reload != NULL && service->with.reload->registry != NULL)
            registry_remember(service->with.reload->registry, name, on_remembered, NULL);
    } else if (!is_there) {
        refuse_model(service, call, deferred->id_raw);
    }
    call->complete(call);
}

static void show_breaker(struct service *service, struct call *call, const struct request *request,
                         struct text name)
{
    struct reply reply;
    rcu_read_begin();
    const struct model *model = find_model(serving_current(service->with.serving), name);
    if (model == NULL) {
        refuse_model(service, call, request->id_raw);
    } else {
        reply_begin(&reply, call, request->id_raw, service->with.clock);
        pack_breaker(&reply, model);
        reply_end(&reply);
    }
    rcu_read_end();
}

static enum call_state serve_breaker(struct service *service, struct call *call,
                                     const struct request *request)
{
    struct text name = {0}, hold_text = {0};
    enum breaker_hold hold = BREAKER_AUTO;
    bool name_ok = false, hold_ok = true;
    bool has_name = request_body_text(request, "model", &name, &name_ok);
    bool has_hold = request_body_text(request, "hold", &hold_text, &hold_ok);
    if (!has_name || !name_ok) {
        refuse(service, call, request, "expected the name of a model", "model");
        return CALL_DONE;
    }
    if (has_hold && (!hold_ok || !parse_hold(hold_text, &hold))) {
        refuse(service, call, request, "expected auto, open or closed", "hold");
        return CALL_DONE;
    }
    if (!has_hold) {
        show_breaker(service, call, request, name);
        return CALL_DONE;
    }
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    changes_note(service->with.changes); /* registry_remember notes the end */
    deferred->model = name;
    deferred->model_hold = hold;
    return deferred_submit(deferred, request, hold_breaker);
}

/* ---- reload and drain ------------------------------------------------------------------------ */

/* On the thread of jobs. */
static void run_reload(void *ctx)
{
    struct deferred *deferred = ctx;
    struct service *service = deferred->service;
    struct call *call = deferred->call;
    struct reload_result result = {0};
    struct reply reply;
    struct err err = {.text = ""};
    enum err_code rc = reload_run(service->with.reload, &deferred->who, &result, &err);
    if (rc != ERR_OK) {
        /* Whatever is wrong with a file is the fault of what was asked for. */
        enum reply_code code =
            rc == ERR_NOMEM || rc == ERR_BUSY ? reply_code_of(rc) : REPLY_bad_request;
        reply_error(call, deferred->id_raw, service->with.clock, code, err.text, NULL);
    } else {
        reply_begin(&reply, call, deferred->id_raw, service->with.clock);
        reply_key(&reply, "restart_needed");
        pack_array(&reply.pack, result.restart_count);
        for (uint32_t i = 0; i < result.restart_count; i++)
            pack_str(&reply.pack, result.restart[i]);
        reply_end(&reply);
    }
    call->complete(call);
}

static enum call_state serve_reload(struct service *service, struct call *call,
                                    const struct request *request)
{
    struct deferred *deferred = deferred_begin_act(service, call, request);
    return deferred == NULL ? CALL_DONE : deferred_submit(deferred, request, run_reload);
}

/* On the thread of jobs; the drain waits for it. */
static void record_drain(void *ctx)
{
    struct deferred *deferred = ctx;
    struct service *service = deferred->service;
    struct reply reply;
    struct err unaudited = {.text = ""};
    enum err_code audited = audit_record(service->with.audit, &deferred->who, "drain", ERR_OK, NULL,
                                         (struct audit_what){.count = 0}, &unaudited);
    reply_begin(&reply, deferred->call, deferred->id_raw, service->with.clock);
    service_pack_unaudited(&reply, audited, &unaudited);
    reply_end(&reply);
    deferred->call->complete(deferred->call);
}

/* Whatever stands in the way of its record, it begins. */
static enum call_state serve_drain(struct service *service, struct call *call,
                                   const struct request *request)
{
    struct deferred *deferred = deferred_begin_act(service, call, request);
    service->with.drain(service->with.lifecycle);
    if (deferred == NULL)
        return CALL_DONE;
    if (!jobs_submit(service->with.jobs, record_drain, deferred))
        record_drain(deferred);
    return CALL_DEFERRED;
}

/* On main, when the new process is ready, or will not be. */
static void restart_done(void *arg, enum err_code rc, int64_t process_id, const struct err *err)
{
    struct deferred *deferred = arg;
    const struct clock *clock = deferred->service->with.clock;
    struct reply reply;
    /* A failure is counted and logged, and cannot be told to a process that ends. */
    (void)!audit_record(deferred->service->with.audit, &deferred->who, "restart", rc, err,
                        AUDIT_WHAT(LOG_INT("process", process_id)), NULL);
    if (rc != ERR_OK) {
        reply_error(deferred->call, deferred->id_raw, clock, REPLY_internal, err->text, NULL);
    } else {
        reply_begin(&reply, deferred->call, deferred->id_raw, clock);
        reply_key(&reply, "process_id");
        pack_int(&reply.pack, process_id);
        reply_end(&reply);
    }
    deferred->call->complete(deferred->call);
}

static enum call_state serve_restart(struct service *service, struct call *call,
                                     const struct request *request)
{
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    if (service->with.restart(service->with.lifecycle, restart_done, deferred))
        return CALL_DEFERRED;
    deferred_undo(deferred);
    refuse(service, call, request, "a restart or a drain is under way", NULL);
    return CALL_DONE;
}

/* ---- models ---------------------------------------------------------------------------------- */

static enum call_state serve_models(struct service *service, struct call *call,
                                    const struct request *request)
{
    struct deferred *deferred = deferred_begin_act(service, call, request);
    if (deferred == NULL)
        return CALL_DONE;
    enum call_state state = model_ops_call(service->with.model_ops, call, request, &deferred->who);
    if (state == CALL_DONE)
        deferred_undo(deferred);
    return state;
}

enum call_state service_admin(struct service *service, struct call *call,
                              const struct request *request)
{
    switch (request->op) {
    case OP_mode: return serve_mode(service, call, request);
    case OP_breaker: return serve_breaker(service, call, request);
    case OP_reload: return serve_reload(service, call, request);
    case OP_export: return service_export(service, call, request);
    case OP_checkpoint: return service_checkpoint(service, call, request);
    case OP_snapshot: return service_snapshot(service, call, request);
    case OP_state_hash: return service_state_hash(service, call, request);
    case OP_restart: return serve_restart(service, call, request);
    case OP_drain: return serve_drain(service, call, request);
    case OP_audit: return service_audit(service, call, request);
    case OP_person: return service_person(service, call, request);
    case OP_erase: return service_erase(service, call, request);
    case OP_erasures: return service_erasures(service, call, request);
    default: return serve_models(service, call, request);
    }
}
