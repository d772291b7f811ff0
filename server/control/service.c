/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/service.h"

#include <string.h>

#include "base/rcu.h"
#include "server/control/service_internal.h"
#include "server/decide/page.h"

#define RECOVERY_RETRY_MS 500 /* a hint; how long it takes is not known */

/* Always answered, whatever the time: at a lower level when it is short. */
static bool is_decision(enum op op)
{
    return op == OP_recommend || op == OP_similar || op == OP_rank || op == OP_price ||
           op == OP_decide;
}

/* 0 when the caller sets none. */
static uint64_t deadline_of(const struct call *call, const struct request *request)
{
    if (!request->has_budget)
        return 0;
    uint64_t deadline_ns = call->arrived_ns + request->budget_us * 1000;
    return deadline_ns == 0 ? 1 : deadline_ns;
}

static void serve_ping(struct service *service, struct call *call, const struct request *request)
{
    struct reply reply;
    enum level floor = modes_floor(service->with.modes, clock_now_ns(service->with.clock));
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    reply_key(&reply, "version");
    pack_str(&reply.pack, DECIDED_VERSION);
    reply_key(&reply, "mode");
    pack_str(&reply.pack, level_name(floor));
    if (request->pad_bytes > 0) {
        reply_key(&reply, "pad");
        char *pad = pack_text_reserve(&reply.pack, request->pad_bytes);
        if (pad != NULL)
            memset(pad, 'x', request->pad_bytes);
    }
    reply_end(&reply);
}

static struct decide_env decide_env_of(const struct service *service, const struct worker *worker,
                                       const struct call *call, const struct request *request,
                                       enum level overload_floor)
{
    const struct service_options *with = &service->with;
    enum level mode_floor = modes_floor(with->modes, clock_now_ns(with->clock));
    return (struct decide_env){
        .store = with->store,
        .snapshot = serving_current(with->serving),
        .answers = with->answers,
        .floor = overload_floor > mode_floor ? overload_floor : mode_floor,
        .floor_reason = overload_floor > mode_floor ? REASON_overload : REASON_mode,
        .deadline_ns = deadline_of(call, request),
        .slow_ns = with->model_slow_ns,
        .spared_permille = worker->effort.spared_permille,
        .keep_features = decision_log_wants(with->decision_log, request),
        .wall_ms = clock_wall_ms(with->clock),
    };
}

static void serve_decision(struct service *service, struct worker *worker, struct call *call,
                           const struct request *request, enum level overload_floor)
{
    const struct service_options *with = &service->with;
    struct decision decision;
    struct reply reply;
    /* Snapshot, records and ids stay what they are until the reply holds copies of them. */
    rcu_read_begin();
    struct decide_env env = decide_env_of(service, worker, call, request, overload_floor);
    ASSERT(env.snapshot != NULL);
    uint64_t decide_began_ns = clock_now_ns(with->clock);
    decide(&env, worker, request, &decision);
    uint64_t began_ns = clock_now_ns(with->clock);
    reply_begin(&reply, call, request->id_raw, with->clock);
    decision_pack(&decision, &reply);
    reply_end(&reply);
    decision_log_put(with->decision_log, worker, &env, request, &decision);
    shadow_put(with->shadow, worker, &env,
               &(struct shadow_served){call, &decision, began_ns - decide_began_ns, NULL});
    rcu_read_end();
    uint64_t encode_ns = clock_now_ns(with->clock) - began_ns;
    decide_learn_finish(worker, encode_ns);
    metric_observe(worker->metrics, M_STAGE_DURATION, STAGE_ENCODE, 0, encode_ns);
}

struct page_reply {
    struct service *service;
    struct worker *worker;
    const struct decide_env *env;
    const struct call *call;
    struct reply *reply;
};

/* Each slot is a decision of its own, also in the log and for shadows. */
static void put_slot(void *ctx, const struct page_slot *slot)
{
    const struct page_reply *page = ctx;
    const struct service_options *with = &page->service->with;
    const struct shadow_served served = {page->call, slot->decision, slot->took_ns, slot};
    struct reply inner = reply_map_begin(page->reply);
    reply_key(&inner, "slot");
    pack_text(&inner.pack, slot->request->slot);
    decision_pack(slot->decision, &inner);
    reply_map_end(page->reply, &inner);
    decision_log_put(with->decision_log, page->worker, page->env, slot->request, slot->decision);
    shadow_put(with->shadow, page->worker, page->env, &served);
}

static void serve_page(struct service *service, struct worker *worker, struct call *call,
                       const struct request *request, enum level overload_floor)
{
    struct reply reply;
    rcu_read_begin();
    struct decide_env env = decide_env_of(service, worker, call, request, overload_floor);
    struct page_reply page = {service, worker, &env, call, &reply};
    reply_begin(&reply, call, request->id_raw, service->with.clock);
    reply_key(&reply, "slots");
    pack_array(&reply.pack, request->slot_count);
    decide_page(&env, worker, request, put_slot, &page);
    reply_end(&reply);
    rcu_read_end();
}

/* Administration, and a web page that wants to say what people did: a browser sends that for any
 * page, and asks nobody before. */
static enum reply_code check_who(const struct service *service, const struct call *call,
                                 const struct request *request, const char **ret_message)
{
    bool is_public = !op_is_administration(request->op);
    if (is_public && !(call->from_page && request->op == OP_events))
        return REPLY_ok;
    enum reply_code code = access_check(service->with.access, call->local, request->token);
    if (code == REPLY_forbidden && call->from_page)
        *ret_message = "a request with an Origin header comes from a web page, which may neither "
                       "administer nor send events without a token";
    else if (code == REPLY_forbidden)
        *ret_message = "administration is open to this machine only, or by a token";
    else if (is_public)
        *ret_message = "events with an Origin header come from a web page, which needs the token "
                       "of admin_token_file";
    else
        *ret_message = "administration needs the token of admin_token_file";
    return code;
}

/* Why the request is not served at all, or REPLY_ok. */
static enum reply_code gate(struct service *service, const struct call *call,
                            const struct request *request, const char **ret_message)
{
    uint64_t deadline_ns = deadline_of(call, request);
    if (service_is_draining(service) && request->op != OP_status) {
        atomic_fetch_add_explicit(&service->turned_away_count, 1, memory_order_relaxed);
        *ret_message = "this daemon is about to stop: use another one";
        return REPLY_draining;
    }
    if (deadline_ns != 0 && !is_decision(request->op) &&
        clock_now_ns(service->with.clock) >= deadline_ns) {
        *ret_message = "budget_us ran out before the work began";
        return REPLY_deadline_exceeded;
    }
    enum reply_code code = check_who(service, call, request, ret_message);
    if (code != REPLY_ok)
        service_note_refused(service, call, request, code);
    return code;
}

static enum call_state serve(struct service *service, struct worker *worker, struct call *call,
                             const struct request *request, const struct admission_verdict *verdict)
{
    const char *message = NULL;
    enum reply_code code = gate(service, call, request, &message);
    if (code != REPLY_ok) {
        reply_error(call, request->id_raw, service->with.clock, code, message, NULL);
        return CALL_DONE;
    }
    bool needs_store = request->op != OP_ping && request->op != OP_status;
    if (needs_store && !store_is_recovered(service->with.store)) {
        reply_overloaded(call, request->id_raw, service->with.clock,
                         "the feature store is being recovered from the event log",
                         RECOVERY_RETRY_MS);
        return CALL_DONE;
    }
    if (verdict->refused) {
        reply_overloaded(call, request->id_raw, service->with.clock,
                         "requests wait longer than this daemon can serve them",
                         verdict->retry_after_ms);
        return CALL_DONE;
    }
    switch (request->op) {
    case OP_recommend:
    case OP_similar:
    case OP_rank:
    case OP_price: serve_decision(service, worker, call, request, verdict->floor); return CALL_DONE;
    case OP_decide: serve_page(service, worker, call, request, verdict->floor); return CALL_DONE;
    case OP_ping: serve_ping(service, call, request); return CALL_DONE;
    case OP_events: return service_events(service, call, request);
    case OP_features: service_features(service, call, request); return CALL_DONE;
    case OP_status: service_status(service, call, request); return CALL_DONE;
    default: return service_admin(service, call, request);
    }
}

static void show_effort(const struct service *service, const struct worker *worker,
                        uint32_t before_permille)
{
    if (effort_permille(&worker->effort) != before_permille)
        metric_set(service->with.metrics, M_WORK_FACTOR, 0, 0,
                   (double)effort_permille(&worker->effort) / EFFORT_FULL);
}

/* At the end of a decision. */
static void hold_latency(const struct service *service, struct worker *worker, uint64_t now_ns,
                         uint64_t took_ns)
{
    uint32_t before_permille = effort_permille(&worker->effort);
    effort_note(&worker->effort, service->with.latency_target_ns, now_ns, took_ns);
    show_effort(service, worker, before_permille);
}

/* Before one. */
static void rest(const struct service *service, struct worker *worker, uint64_t now_ns)
{
    uint32_t before_permille = effort_permille(&worker->effort);
    effort_rest(&worker->effort, now_ns);
    show_effort(service, worker, before_permille);
}

static enum reply_code refusal_of(enum err_code rc)
{
    if (rc == ERR_NOT_FOUND)
        return REPLY_unknown_op;
    /* The arena holds what a request may carry, many times over. */
    return rc == ERR_NOMEM ? REPLY_too_large : reply_code_of(rc);
}

enum call_state service_call(void *ctx, struct worker *worker, struct call *call)
{
    struct service *service = ctx;
    struct request request;
    char field[REQUEST_FIELD_BYTES];
    struct err err = {.text = ""};
    enum call_state state = CALL_DONE;
    uint64_t began_ns = clock_now_ns(service->with.clock);
    uint64_t waited_ns = began_ns > call->whole_ns ? began_ns - call->whole_ns : 0;
    admission_note(service->with.admission, &worker->queue, began_ns, waited_ns);
    metric_observe(worker->metrics, M_QUEUE_DELAY, 0, 0, waited_ns);
    metric_add(worker->metrics, M_OVERLOAD, worker->queue.overload, 0, 1);
    arena_reset(&worker->arena);
    enum err_code rc =
        request_decode(call->request, call->request_bytes, &worker->arena, &request, field, &err);
    uint64_t decoded_ns = clock_now_ns(service->with.clock);
    metric_observe(worker->metrics, M_STAGE_DURATION, STAGE_DECODE, 0, decoded_ns - began_ns);
    if (is_decision(request.op))
        rest(service, worker, began_ns);
    if (rc != ERR_OK) {
        reply_error(call, request.id_raw, service->with.clock, refusal_of(rc), err.text, field);
    } else {
        struct admission_verdict verdict =
            admission_judge(service->with.admission, request.op, worker->queue.overload, waited_ns);
        state = serve(service, worker, call, &request, &verdict);
    }
    if (state == CALL_DEFERRED)
        return state; /* it may be complete already, and is counted there */
    uint64_t now_ns = clock_now_ns(service->with.clock);
    metric_add(worker->metrics, M_REQUESTS, request.op, call->code, 1);
    metric_observe(worker->metrics, M_REQUEST_DURATION, request.op, 0,
                   now_ns > call->arrived_ns ? now_ns - call->arrived_ns : 0);
    if (is_decision(request.op))
        hold_latency(service, worker, now_ns, now_ns - call->arrived_ns);
    return CALL_DONE;
}

uint64_t service_turned_away_count(const struct service *service)
{
    return atomic_load_explicit(&service->turned_away_count, memory_order_relaxed);
}

bool service_is_draining(const struct service *service)
{
    return atomic_load(&service->draining);
}
