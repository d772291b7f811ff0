/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/service_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cursor.h"
#include "base/transcode.h"

#define WAIT_S     60
#define START_NS   UINT64_C(1000000000000)
#define START_MS   INT64_C(1700000000000)
#define JSON_BYTES 1048576

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "service_rig: %s: %s\n", what, why);
    abort();
}

static void must(enum err_code rc, const char *what, const struct err *err)
{
    if (rc != ERR_OK)
        die(what, err->text);
}

static bool note_restart(void *ctx, service_restart_done_fn done, void *arg)
{
    struct service_rig *rig = ctx;
    const struct err err = {.text = "the new process ended"};
    if (!rig->may_restart)
        return false;
    done(arg, rig->restart_rc, 4711, &err);
    return true;
}

static void note_drain(void *ctx)
{
    struct service_rig *rig = ctx;
    rig->drain_asked = true;
}

static bool is_leaving(void *ctx)
{
    const struct service_rig *rig = ctx;
    return rig->drain_asked;
}

static void create_parts(struct service_rig *rig)
{
    static const struct access_token no_token = {0};
    char path[2 * TEMP_DIR_BYTES];
    struct err err, warning;
    const struct clock *clock = &rig->clock.clock;
    struct config_source source = {.path = rig->config_path};
    struct audit_options audit = {
        .data_dir = rig->registry.dir.path, .bytes_max = 1 << 22, .clock = clock};
    const struct erasure_options erasure = {.data_dir = rig->registry.dir.path, .clock = clock};
    must(erasure_create(&erasure, &rig->erasure, &err), "erasure", &err);
    must(answers_create(64, &rig->answers, &err), "answers", &err);
    must(workers_create(2, rig->registry.metrics, clock, 1, &rig->workers, &err), "workers", &err);
    rig->worker = workers_claim(rig->workers);
    must(modes_init(&rig->modes, rig->registry.dir.path, clock, &warning, &err), "modes", &err);
    access_init(&rig->access, &no_token);
    rig->admission = (struct admission){.target_ns = 500000, .max_ns = 2000000};
    must(config_load(&source, &rig->config, &err), "configuration", &err);
    must(jobs_create("jobs", JOBS_ORDINARY, &rig->jobs, &err), "jobs", &err);
    must(jobs_start(rig->jobs, &err), "jobs", &err);
    must(audit_create(&audit, &rig->audit, &err), "audit", &err);
    must(model_ops_create(rig_path(&rig->registry, "models", path), rig->registry.registry,
                          rig->audit, clock, &rig->model_ops, &err),
         "model_ops", &err);
    rig->reload = (struct reload){.source = source,
                                  .running = rig->config,
                                  .access = &rig->access,
                                  .registry = rig->registry.registry,
                                  .store = rig->registry.store,
                                  .audit = rig->audit,
                                  .metrics = rig->registry.metrics,
                                  .clock = clock};
}

void service_rig_create(struct service_rig *rig)
{
    struct err err;
    *rig = (struct service_rig){0};
    clock_manual_init(&rig->clock, START_NS, START_MS);
    rig_create(&rig->registry);
    rig_start(&rig->registry);
    temp_dir_write_text(&rig->registry.dir, "decided.json", "{\"static_items\": [\"i7\"]}");
    temp_dir_path(&rig->registry.dir, "decided.json", rig->config_path);
    create_parts(rig);
    const struct service_options options = {
        .store = rig->registry.store,
        .serving = &rig->registry.serving,
        .answers = rig->answers,
        .erasure = rig->erasure,
        .audit = rig->audit,
        .modes = &rig->modes,
        .access = &rig->access,
        .admission = &rig->admission,
        .jobs = rig->jobs,
        .maintenance = rig->jobs,
        .reload = &rig->reload,
        .model_ops = rig->model_ops,
        .metrics = rig->registry.metrics,
        .clock = &rig->clock.clock,
        .drain = note_drain,
        .is_leaving = is_leaving,
        .restart = note_restart,
        .lifecycle = rig,
    };
    must(service_create(&options, &rig->service, &err), "service", &err);
    rig->reply_bytes = malloc(CALL_REPLY_BYTES);
    if (rig->reply_bytes == NULL)
        die("reply", "out of memory");
}

void service_rig_destroy(struct service_rig *rig)
{
    jobs_stop(rig->jobs);
    model_ops_stop(rig->model_ops);
    rig_stop(&rig->registry);
    service_destroy(&rig->service);
    model_ops_destroy(&rig->model_ops);
    audit_destroy(&rig->audit);
    jobs_destroy(&rig->jobs);
    config_destroy(&rig->config);
    access_deinit(&rig->access);
    modes_deinit(&rig->modes);
    workers_destroy(&rig->workers);
    answers_destroy(&rig->answers);
    erasure_destroy(&rig->erasure);
    free(rig->reply_bytes);
    rig_destroy(&rig->registry);
}

int service_rig_set_up(void **state)
{
    struct service_rig *rig = calloc(1, sizeof *rig);
    if (rig == NULL)
        return -1;
    service_rig_create(rig);
    *state = rig;
    return 0;
}

int service_rig_tear_down(void **state)
{
    service_rig_destroy(*state);
    free(*state);
    return 0;
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
};

static void complete(struct call *call)
{
    struct waiter *waiter = call->owner;
    pthread_mutex_lock(&waiter->lock);
    waiter->done = true;
    pthread_cond_signal(&waiter->changed);
    pthread_mutex_unlock(&waiter->lock);
}

static void wait_for(struct waiter *waiter)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&waiter->lock);
    while (!waiter->done) {
        if (pthread_cond_timedwait(&waiter->changed, &waiter->lock, &until) == ETIMEDOUT)
            die("a deferred call", "not complete within a minute");
    }
    pthread_mutex_unlock(&waiter->lock);
}

static size_t run(struct service_rig *rig, const uint8_t *bytes, size_t len)
{
    struct waiter waiter = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct err err;
    struct call call = {
        .request = bytes,
        .request_bytes = len,
        .arrived_ns = clock_now_ns(&rig->clock.clock) - rig->waited_ns,
        .whole_ns = clock_now_ns(&rig->clock.clock) - rig->waited_ns,
        .local = !rig->remote && !rig->from_page,
        .from_page = rig->from_page,
        .reply = rig->reply_bytes,
        .reply_capacity = CALL_REPLY_BYTES,
        .complete = complete,
        .owner = &waiter,
    };
    rig->state = service_call(rig->service, rig->worker, &call);
    if (rig->state == CALL_DEFERRED)
        wait_for(&waiter);
    if (call.owner != &waiter || call.complete != complete)
        die("a call", "was not handed back as it came");
    rig->code = call.code;
    must(cursor_check(call.reply, call.reply_bytes, CURSOR_VALUES_MAX, &err), "reply", &err);
    struct cursor cursor = cursor_of(call.reply, call.reply_bytes);
    if (cursor_peek(&cursor) != CURSOR_MAP)
        die("reply", "not a map");
    return call.reply_bytes;
}

void service_rig_run(struct service_rig *rig, const uint8_t *bytes, size_t len)
{
    (void)run(rig, bytes, len);
}

cJSON *service_rig_call(struct service_rig *rig, const uint8_t *bytes, size_t len)
{
    char *json = NULL;
    size_t json_len = 0;
    struct err err;
    size_t reply_len = run(rig, bytes, len);
    must(transcode_to_json(rig->reply_bytes, reply_len, 0, &json, &json_len, &err), "reply", &err);
    cJSON *reply = cJSON_ParseWithLength(json, json_len);
    free(json);
    if (reply == NULL)
        die("reply", "no JSON");
    return reply;
}

cJSON *service_rig_ask(struct service_rig *rig, const char *json)
{
    struct err err;
    uint8_t *bytes = malloc(JSON_BYTES);
    if (bytes == NULL)
        die("request", "out of memory");
    struct pack pack = pack_into(bytes, JSON_BYTES);
    must(transcode_from_json(json, strlen(json), &pack, &err), json, &err);
    cJSON *reply = service_rig_call(rig, bytes, pack.used);
    free(bytes);
    return reply;
}
