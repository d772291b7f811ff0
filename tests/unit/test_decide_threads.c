/* SPDX-License-Identifier: Apache-2.0 */
/* Deciders run while snapshots are swapped, policies are others, lists are made anew and events
 * arrive: every decision is made of one snapshot, and an old one is freed while nobody looks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "base/transcode.h"
#include "featurestore/store.h"
#include "featurestore/store_items.h"
#include "models/ids.h"
#include "server/decide/decide.h"
#include "server/metrics.h"
#include "tests/support/events.h"
#include "tests/support/small_models.h"

#define NOW_MS INT64_C(1700000000000)
#define ITEMS  "a b c d"

enum { DECIDERS = 2, SWAPS = 60 };

static struct store *store;
static struct serving serving;
static struct workers *workers;
static struct answers *answers;
static struct clock_manual clock_now;
static struct events events;
static _Atomic bool stop;
static _Atomic uint64_t decided;

/* Version of the models and epoch of the snapshot are the same number. */
static struct model *make_model(uint32_t epoch)
{
    /* Odd versions bring b after a, even ones c. */
    const float odd[16] = {0, 1, 0, 0}, even[16] = {0, 0, 1, 0};
    char version[16];
    uint32_t number[4];
    struct err err;
    snprintf(version, sizeof version, "%u", epoch);
    struct model *model = small_neighbors("near", version, ITEMS, epoch % 2 == 1 ? odd : even);
    assert_int_equal(store_bind_items(store, ids_all(model->items), 4, number, &err), ERR_OK);
    assert_int_equal(model_bind(model, number, 4, &err), ERR_OK);
    return model;
}

static struct snapshot *make_snapshot(uint32_t epoch, struct model *const *model)
{
    struct err err;
    struct policy_set *set = NULL;
    struct snapshot *snapshot = NULL;
    /* What the lists bring is too little to change the first place. */
    static const char *const policies[] = {
        "{\"slots\": {\"home\": {\"sources\": [{\"source\": \"neighbors\"}]}}}",
        "{\"slots\": {\"home\": {\"diversity\": {\"mmr\": {\"lambda\": 0.9, \"by\": \"content\"}},"
        "\"sources\": [{\"source\": \"neighbors\", \"half_life\": \"30d\"},"
        "{\"source\": \"content\", \"weight\": 0.001}, {\"source\": \"new\", \"weight\": 0.001},"
        "{\"source\": \"trending\", \"weight\": 0.001}]}}}",
        "{\"lists\": {\"l\": [\"d\", \"z\"]}, \"slots\": {\"home\": {\"sources\": [{\"source\": "
        "\"neighbors\","
        "\"at_least\": 1}, {\"source\": \"list\", \"list\": \"l\", \"weight\": 0.001},"
        "{\"source\": \"trending\", \"by\": \"segment\", \"attribute\": \"x\", \"weight\": 0.001},"
        "{\"source\": \"trending\", \"by\": \"category\", \"weight\": 0.001}]}}}"};
    const char *text = policies[epoch % 3];
    assert_int_equal(policy_parse("policies", text, strlen(text), NULL, &set, &err), ERR_OK);
    const struct snapshot_spec spec = {.epoch = epoch,
                                       .policies = set,
                                       .models = model,
                                       .model_count = 1,
                                       .worker_count = DECIDERS,
                                       .item_count_max = store_items_max(store),
                                       .store = store};
    assert_int_equal(snapshot_build(&spec, &snapshot, &err), ERR_OK);
    return snapshot;
}

struct decider {
    pthread_t thread;
    const char *fault;
};

static void judge(struct decider *decider, const struct decision *decision)
{
    char label[32];
    snprintf(label, sizeof label, "near@%llu", (unsigned long long)decision->epoch);
    const char *fault = NULL;
    if (decision->level != LEVEL_full || decision->count == 0)
        fault = "a full answer";
    else if (decision->model_count != 1 || strcmp(decision->models[0], label) != 0)
        fault = "the model of the snapshot that answered";
    else if (!text_is(decision->items[0].id, decision->epoch % 2 == 1 ? "b" : "c"))
        fault = "the neighbors of that model";
    if (fault != NULL && decider->fault == NULL)
        decider->fault = fault;
}

static void *decider_main(void *arg)
{
    struct decider *decider = arg;
    struct worker *worker = workers_claim(workers);
    static const char json[] = "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3}";
    uint8_t bytes[256];
    struct err err;
    struct pack pack = pack_into(bytes, sizeof bytes);
    if (worker == NULL || transcode_from_json(json, sizeof json - 1, &pack, &err) != ERR_OK) {
        decider->fault = "a worker and a request";
        return NULL;
    }
    while (!stop) {
        struct request request;
        struct decision decision;
        char field[REQUEST_FIELD_BYTES];
        arena_reset(&worker->arena);
        if (request_decode(bytes, pack.used, &worker->arena, &request, field, &err) != ERR_OK)
            continue;
        rcu_read_begin();
        const struct decide_env env = {.store = store,
                                       .snapshot = serving_current(&serving),
                                       .answers = answers,
                                       .wall_ms = NOW_MS};
        decide(&env, worker, &request, &decision);
        judge(decider, &decision);
        rcu_read_end();
        decided++;
    }
    return NULL;
}

static void submit_events(uint32_t round)
{
    struct err err;
    events_begin(&events);
    for (uint32_t i = 0; i < 20; i++)
        events_add(&events, "view", i % 2 == 0 ? "u" : "v", i % 4 == 0 ? "a" : "d",
                   NOW_MS - 100000 + round);
    events_add_json(
        &events,
        round % 2 == 0
            ? "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"d\", \"title\": "
              "\"red hat\", \"category\": \"x\"}, {\"id\": \"b\", \"title\": \"red shoe\"}]}"
            : "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"d\", \"title\": "
              "\"blue shoe\"}, {\"id\": \"z\", \"title\": \"blue hat\"}]}");
    events_add_json(&events,
                    "{\"type\": \"user_upsert\", \"user\": \"v\", \"attributes\": {\"x\": \"y\"}}");
    size_t len = events_end(&events);
    /* A full queue is fine: the store is busy, which is what is wanted. */
    enum err_code rc =
        store_submit(store, &(struct store_batch){.bytes = events.bytes, .len = len}, &err);
    assert_true(rc == ERR_OK || rc == ERR_BUSY);
}

/* The next snapshot goes in once some decisions were made on the one before. */
static void swap(uint32_t epoch, struct model **model)
{
    struct model *next = make_model(epoch);
    struct snapshot *old = serving_publish(&serving, make_snapshot(epoch, &next));
    rcu_wait();
    snapshot_destroy(&old);
    model_destroy(model);
    *model = next;
    uint64_t seen = decided;
    struct snapshot *current = atomic_load(&serving.current);
    struct err err;
    while (decided < seen + DECIDERS) {
        submit_events(epoch);
        assert_int_equal(snapshot_refresh_lists(current, store, &err), ERR_OK);
    }
}

static void test_snapshots_are_swapped_while_decisions_are_made(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 100,
                                        .people_max = 100,
                                        .history_items_max = 10,
                                        .queue_events_max = 200,
                                        .dedup_events_max = 0};
    struct err err;
    struct metrics *metrics = NULL;
    struct decider decider[DECIDERS] = {{0}};
    clock_manual_init(&clock_now, 1, NOW_MS);
    assert_int_equal(store_create(&limits, &clock_now.clock, &store, &err), ERR_OK);
    assert_int_equal(metrics_create(server_metric_families, M_COUNT, DECIDERS, &metrics, &err),
                     ERR_OK);
    assert_int_equal(workers_create(DECIDERS, metrics, &clock_now.clock, 1, &workers, &err),
                     ERR_OK);
    assert_int_equal(answers_create(16, &answers, &err), ERR_OK);
    struct model *model = make_model(1);
    (void)serving_publish(&serving, make_snapshot(1, &model));
    assert_int_equal(store_start(store, &err), ERR_OK);
    submit_events(0);
    store_stop(store); /* u viewed a before anybody asks */
    assert_int_equal(store_start(store, &err), ERR_OK);
    stop = false;
    for (uint32_t i = 0; i < DECIDERS; i++)
        assert_int_equal(pthread_create(&decider[i].thread, NULL, decider_main, &decider[i]), 0);
    for (uint32_t epoch = 2; epoch < 2 + SWAPS; epoch++)
        swap(epoch, &model);
    stop = true;
    for (uint32_t i = 0; i < DECIDERS; i++) {
        assert_int_equal(pthread_join(decider[i].thread, NULL), 0);
        if (decider[i].fault != NULL)
            fail_msg("a decision missed: %s", decider[i].fault);
    }
    store_stop(store);
    struct snapshot *last = serving_publish(&serving, NULL);
    snapshot_destroy(&last);
    model_destroy(&model);
    answers_destroy(&answers);
    workers_destroy(&workers);
    metrics_destroy(&metrics);
    store_destroy(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_snapshots_are_swapped_while_decisions_are_made),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
