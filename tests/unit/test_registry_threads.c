/* SPDX-License-Identifier: Apache-2.0 */
/* Promotions, canaries, shadows and rollbacks one after the other while two workers decide: every
 * answer is there, and names one of the versions that may serve.  TSan and ASan are the judges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "base/transcode.h"
#include "server/metrics.h"
#include "tests/support/registry_rig.h"

enum { DECIDERS = 2, ROUNDS = 15, VERSIONS = 3, PEOPLE = 64 };

struct decider {
    pthread_t thread;
    struct registry_rig *rig;
    struct worker *worker;
    _Atomic bool *stop;
    uint64_t answers, by_version[VERSIONS + 1];
    const char *fault;
};

static void judge(struct decider *decider, const struct decision *decision)
{
    decider->answers++;
    if (decision->count == 0)
        decider->fault = "an answer without items";
    for (uint32_t i = 0; i < decision->model_count; i++) {
        int version = decision->models[i][strlen("m@")] - '0';
        if (strncmp(decision->models[i], "m@", 2) != 0 || version < 1 || version > VERSIONS)
            decider->fault = "a version that nobody published";
        else
            decider->by_version[version]++;
    }
}

static void decide_once(struct decider *decider, int person)
{
    struct registry_rig *rig = decider->rig;
    struct worker *worker = decider->worker;
    struct request request;
    struct decision decision;
    struct err err;
    uint8_t bytes[256];
    char json[128], field[REQUEST_FIELD_BYTES];
    struct pack pack = pack_into(bytes, sizeof bytes);
    snprintf(json, sizeof json,
             "{\"op\": \"recommend\", \"session\": \"s%d\", \"seeds\": [\"i0\"], \"n\": 3}",
             person);
    arena_reset(&worker->arena);
    if (transcode_from_json(json, strlen(json), &pack, &err) != ERR_OK ||
        request_decode(bytes, pack.used, &worker->arena, &request, field, &err) != ERR_OK) {
        decider->fault = "a request";
        return;
    }
    const struct call call = {.request = bytes, .request_bytes = pack.used};
    rcu_read_begin();
    const struct decide_env env = {
        .store = rig->store, .snapshot = serving_current(&rig->serving), .wall_ms = 1700000000000};
    decide(&env, worker, &request, &decision);
    shadow_put(rig->shadow, worker, &env, &(struct shadow_served){&call, &decision, 1000, NULL});
    judge(decider, &decision);
    rcu_read_end();
}

static void *decider_main(void *arg)
{
    struct decider *decider = arg;
    for (int i = 0; !atomic_load(decider->stop); i++)
        decide_once(decider, i % PEOPLE);
    return NULL;
}

static void shadow(struct registry_rig *rig, const char *version)
{
    struct outcome outcome;
    outcome_init(&outcome);
    if (version == NULL)
        registry_shadow_stop(rig->registry, "m", outcome_done, &outcome);
    else
        registry_shadow(rig->registry, "m", version, 10000, outcome_done, &outcome);
    assert_int_equal(outcome_wait(&outcome), ERR_OK);
}

/* Version 1 serves before and after. */
static void change_all(struct registry_rig *rig)
{
    struct err err;
    shadow(rig, "3");
    assert_int_equal(rig_canary(rig, "m", "2", 1000, &err), ERR_OK);
    assert_int_equal(rig_canary(rig, "m", "2", 5000, &err), ERR_OK);
    rig_scan(rig);
    assert_int_equal(rig_promote(rig, "m", "2", &err), ERR_OK);
    shadow(rig, NULL);
    assert_int_equal(rig_canary(rig, "m", "3", 5000, &err), ERR_OK);
    assert_int_equal(rig_canary(rig, "m", NULL, 0, &err), ERR_OK);
    assert_int_equal(rig_rollback(rig, "m", &err), ERR_OK);
    assert_string_equal(rig_serving(rig, "m"), "1");
}

static void test_labels_change_under_decisions(void **state)
{
    (void)state;
    struct registry_rig rig;
    struct workers *workers = NULL;
    struct metrics *metrics = NULL;
    struct decider decider[DECIDERS];
    _Atomic bool stop = false;
    struct err err;
    rig_create(&rig);
    rig.serves_promoted = true;
    rig_start(&rig);
    for (int i = 1; i <= VERSIONS; i++) {
        char version[16];
        snprintf(version, sizeof version, "%d", i);
        rig_publish(&rig, "m", version, MODEL_factors);
        rig_scan(&rig);
    }
    assert_int_equal(rig_promote(&rig, "m", "1", &err), ERR_OK);
    assert_int_equal(metrics_create(server_metric_families, M_COUNT, DECIDERS, &metrics, &err),
                     ERR_OK);
    assert_int_equal(workers_create(DECIDERS, metrics, clock_system(), 1, &workers, &err), ERR_OK);
    for (int i = 0; i < DECIDERS; i++) {
        decider[i] = (struct decider){.rig = &rig, .worker = workers_claim(workers), .stop = &stop};
        assert_int_equal(pthread_create(&decider[i].thread, NULL, decider_main, &decider[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++)
        change_all(&rig);
    atomic_store(&stop, true);
    uint64_t by_version[VERSIONS + 1] = {0};
    for (int i = 0; i < DECIDERS; i++) {
        pthread_join(decider[i].thread, NULL);
        assert_null(decider[i].fault);
        assert_true(decider[i].answers > 0);
        for (int v = 1; v <= VERSIONS; v++)
            by_version[v] += decider[i].by_version[v];
    }
    assert_true(by_version[1] > 0 && by_version[2] > 0);
    /* What is not kept for a rollback or a label is not in memory. */
    rig_scan(&rig);
    uint64_t model_bytes = metric_value(rig.metrics, M_MODEL_BYTES, 0, 0);
    assert_true(model_bytes <= 3 * rig_view(&rig).first_model_bytes);
    rig_destroy(&rig);
    workers_destroy(&workers);
    metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_labels_change_under_decisions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
