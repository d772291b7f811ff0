/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/decide_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/transcode.h"
#include "featurestore/store_internal.h"
#include "models/ids.h"
#include "server/metrics.h"

static void check(enum err_code rc, const struct err *err)
{
    if (rc != ERR_OK) {
        fprintf(stderr, "decide_fixture: %s\n", err->text);
        abort();
    }
}

void fixture_init(struct fixture *fixture)
{
    static const struct store_limits limits = {.items_max = 10000,
                                               .people_max = 10000,
                                               .history_items_max = 50,
                                               .queue_events_max = 2000,
                                               .feature_rows_max = 1000,
                                               .dedup_events_max = 0};
    struct err err;
    memset(fixture, 0, sizeof *fixture);
    clock_manual_init(&fixture->clock, 1000, FIXTURE_NOW_MS);
    check(store_create(&limits, &fixture->clock.clock, &fixture->store, &err), &err);
    check(metrics_create(server_metric_families, M_COUNT, 2, &fixture->metrics, &err), &err);
    check(workers_create(1, fixture->metrics, &fixture->clock.clock, 7, &fixture->workers, &err),
          &err);
    fixture->worker = workers_claim(fixture->workers);
    check(answers_create(64, &fixture->answers, &err), &err);
    fixture_serve(fixture, NULL);
}

void fixture_deinit(struct fixture *fixture)
{
    snapshot_destroy(&fixture->snapshot);
    for (uint32_t i = 0; i < fixture->model_count; i++)
        model_destroy(&fixture->model[i]);
    for (uint32_t i = 0; i < fixture->trial_count; i++)
        model_destroy(&fixture->trial_model[i]);
    answers_destroy(&fixture->answers);
    workers_destroy(&fixture->workers);
    metrics_destroy(&fixture->metrics);
    store_destroy(&fixture->store);
}

static void apply(struct fixture *fixture)
{
    size_t len = events_end(&fixture->events);
    events_apply(fixture->store, &fixture->events, len, FIXTURE_NOW_MS);
    if (fixture->store->result.rejected > 0) {
        fprintf(stderr, "decide_fixture: %s\n", fixture->store->result.rejection[0].message);
        abort();
    }
    store_refresh_all(fixture->store);
}

void fixture_event(struct fixture *fixture, const char *json)
{
    events_begin(&fixture->events);
    events_add_json(&fixture->events, json);
    apply(fixture);
}

void fixture_act(struct fixture *fixture, const char *type, const char *user, const char *item,
                 int64_t ts_ms)
{
    events_begin(&fixture->events);
    events_add(&fixture->events, type, user, item, ts_ms);
    apply(fixture);
}

static void bind(struct fixture *fixture, struct model *model)
{
    enum { BOUND_MAX = 10000 };
    struct err err;
    static uint32_t number[BOUND_MAX];
    if (model->items == NULL)
        return;
    uint32_t count = ids_count(model->items);
    if (count > BOUND_MAX)
        abort();
    check(store_bind_items(fixture->store, ids_all(model->items), count, number, &err), &err);
    check(model_bind(model, number, count, &err), &err);
}

void fixture_add_model(struct fixture *fixture, struct model *model)
{
    if (fixture->model_count == FIXTURE_MODELS_MAX)
        abort();
    fixture->model[fixture->model_count++] = model;
    bind(fixture, model);
}

void fixture_add_trial(struct fixture *fixture, struct model *model, uint32_t share_e4,
                       struct tally *tally)
{
    if (fixture->trial_count == SNAPSHOT_TRIALS_MAX)
        abort();
    struct snapshot_trial *trial = &fixture->trial[fixture->trial_count];
    fixture->trial_model[fixture->trial_count++] = model;
    *trial = (struct snapshot_trial){.model = model, .share_e4 = share_e4, .tally = tally};
    for (uint32_t i = 0; i < fixture->model_count; i++) {
        if (strcmp(fixture->model[i]->name, model->name) == 0)
            trial->stable = fixture->model[i];
    }
    bind(fixture, model);
}

enum err_code fixture_try_serve(struct fixture *fixture, const char *policies, struct err *err)
{
    static const struct text static_ids[] = {{"s1", 2}, {"s2", 2}};
    struct policy_set *set = NULL;
    struct snapshot *snapshot = NULL;
    enum err_code rc = policies == NULL ? policy_builtin(&set, err)
                                        : policy_parse("policies", policies, strlen(policies),
                                                       fixture->store, &set, err);
    if (rc != ERR_OK)
        return rc;
    const struct snapshot_spec spec = {.epoch = ++fixture->epoch,
                                       .policies = set,
                                       .models = fixture->model,
                                       .model_count = fixture->model_count,
                                       .trials = fixture->trial,
                                       .trial_count = fixture->trial_count,
                                       .static_ids = static_ids,
                                       .static_count = fixture->no_static ? 0 : 2,
                                       .worker_count = 1,
                                       .item_count_max = store_items_max(fixture->store),
                                       .store = fixture->store,
                                       .list_stop = fixture->list_stop};
    rc = snapshot_build(&spec, &snapshot, err);
    if (rc != ERR_OK) {
        policy_destroy(&set);
        return rc;
    }
    snapshot_destroy(&fixture->snapshot);
    fixture->snapshot = snapshot;
    return ERR_OK;
}

void fixture_serve(struct fixture *fixture, const char *policies)
{
    struct err err;
    check(fixture_try_serve(fixture, policies, &err), &err);
}

void fixture_load_shop(struct fixture *fixture)
{
    static const char *const acts[][2] = {{"purchase", "f"}, {"purchase", "f"}, {"purchase", "f"},
                                          {"purchase", "e"}, {"purchase", "e"}, {"purchase", "d"},
                                          {"cart_add", "g"}, {"view", "g"},     {"cart_add", "c"},
                                          {"view", "b"},     {"view", "b"},     {"view", "a"}};
    fixture_event(fixture,
                  "{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": ["
                  "{\"id\": \"a\", \"category\": \"shoes\", \"brand\": \"acme\", \"price\": 1000,"
                  " \"cost\": 500, \"stock\": 5},"
                  "{\"id\": \"b\", \"category\": \"shoes\", \"brand\": \"acme\", \"price\": 2000},"
                  "{\"id\": \"c\", \"category\": \"shoes\", \"brand\": \"bolt\", \"price\": 3000},"
                  "{\"id\": \"d\", \"category\": \"hats\", \"brand\": \"acme\", \"price\": 4000},"
                  "{\"id\": \"e\", \"category\": \"hats\", \"brand\": \"bolt\", \"price\": 5000},"
                  "{\"id\": \"f\", \"category\": \"hats\", \"brand\": \"bolt\", \"price\": 6000,"
                  " \"stock\": 0}]}");
    for (size_t i = 0; i < sizeof acts / sizeof acts[0]; i++)
        fixture_act(fixture, acts[i][0], "crowd", acts[i][1], FIXTURE_NOW_MS - 60000);
}

const struct decision *fixture_decide(struct fixture *fixture, const char *request)
{
    struct err err;
    char field[REQUEST_FIELD_BYTES];
    struct pack pack = pack_into(fixture->request_bytes, sizeof fixture->request_bytes);
    check(transcode_from_json(request, strlen(request), &pack, &err), &err);
    arena_reset(&fixture->worker->arena);
    check(request_decode(fixture->request_bytes, pack.used, &fixture->worker->arena,
                         &fixture->request, field, &err),
          &err);
    fixture->env = (struct decide_env){.store = fixture->store,
                                       .snapshot = fixture->snapshot,
                                       .answers = fixture->answers,
                                       .floor = fixture->floor,
                                       .floor_reason = REASON_mode,
                                       .spared_permille = fixture->spared_permille,
                                       .deadline_ns = fixture->deadline_ns,
                                       .keep_features = fixture->keep_features,
                                       .wall_ms = FIXTURE_NOW_MS,
                                       .aside = fixture->aside};
    decide(&fixture->env, fixture->worker, &fixture->request, &fixture->decision);
    return &fixture->decision;
}

const char *fixture_ask(struct fixture *fixture, const char *request)
{
    const struct decision *decision = fixture_decide(fixture, request);
    bool full = decision->level == LEVEL_full;
    size_t used = (size_t)snprintf(fixture->line, sizeof fixture->line,
                                   "%s%s%s:", level_name(decision->level), full ? "" : "/",
                                   full ? "" : reason_name(decision->reason));
    for (uint32_t i = 0; i < decision->count; i++) {
        struct text id = decision->items[i].id;
        used += (size_t)snprintf(fixture->line + used, sizeof fixture->line - used, " %.*s",
                                 (int)id.len, id.ptr);
    }
    return fixture->line;
}

const struct decision_item *fixture_item(const struct fixture *fixture, const char *id)
{
    for (uint32_t i = 0; i < fixture->decision.count; i++) {
        if (text_is(fixture->decision.items[i].id, id))
            return &fixture->decision.items[i];
    }
    return NULL;
}
