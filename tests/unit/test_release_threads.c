/* SPDX-License-Identifier: Apache-2.0 */
/* Releases come and go while two workers decide: every answer is of one release, models, policies,
 * features and epoch alike.  TSan and ASan are the judges of the rest. */
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
#include "tests/support/release_rig.h"

enum { DECIDERS = 2, ROUNDS = 12, EPOCHS_MAX = 256 };

struct decider {
    pthread_t thread;
    struct registry_rig *rig;
    struct worker *worker;
    _Atomic bool *stop;
    uint64_t answers, with_both;
    char release[EPOCHS_MAX]; /* by epoch: the version of the first answer with it */
    const char *fault;
};

/* "a@2" -> '2', "home@2" -> '2' */
static char version_of(const char *label)
{
    const char *at = strchr(label, '@');
    return at == NULL ? '?' : at[1];
}

static void judge(struct decider *decider, const struct decision *decision)
{
    char version = version_of(decision->policy);
    decider->answers++;
    decider->with_both += decision->model_count == 2;
    if (decision->count == 0)
        decider->fault = "an answer without items";
    for (uint32_t i = 0; i < decision->model_count; i++) {
        if (version_of(decision->models[i]) != version)
            decider->fault = "a model of another release than the policies";
    }
    if (decision->epoch >= EPOCHS_MAX) {
        decider->fault = "an epoch too far";
        return;
    }
    if (decider->release[decision->epoch] == '\0')
        decider->release[decision->epoch] = version;
    else if (decider->release[decision->epoch] != version)
        decider->fault = "two releases with one epoch";
}

static void decide_once(struct decider *decider)
{
    static const char json[] =
        "{\"op\": \"recommend\", \"slot\": \"home\", \"seeds\": [\"i0\"], \"n\": 5}";
    struct registry_rig *rig = decider->rig;
    struct worker *worker = decider->worker;
    struct request request;
    struct decision decision;
    struct err err;
    uint8_t bytes[256];
    char field[REQUEST_FIELD_BYTES];
    struct pack pack = pack_into(bytes, sizeof bytes);
    arena_reset(&worker->arena);
    if (transcode_from_json(json, sizeof json - 1, &pack, &err) != ERR_OK ||
        request_decode(bytes, pack.used, &worker->arena, &request, field, &err) != ERR_OK) {
        decider->fault = "a request";
        return;
    }
    rcu_read_begin();
    const struct decide_env env = {
        .store = rig->store, .snapshot = serving_current(&rig->serving), .wall_ms = 1700000000000};
    decide(&env, worker, &request, &decision);
    judge(decider, &decision);
    if (release_features(rig, env.snapshot)[0] != version_of(decision.policy))
        decider->fault = "features of another release than the policies";
    rcu_read_end();
}

static void *decider_main(void *arg)
{
    struct decider *decider = arg;
    while (!atomic_load(decider->stop))
        decide_once(decider);
    return NULL;
}

static void test_no_answer_mixes_releases(void **state)
{
    (void)state;
    struct registry_rig rig;
    struct workers *workers = NULL;
    struct metrics *metrics = NULL;
    static struct decider decider[DECIDERS];
    _Atomic bool stop = false;
    struct err err;
    rig_create(&rig);
    rig_start(&rig);
    release_push(&rig, "1");
    assert_int_equal(metrics_create(server_metric_families, M_COUNT, DECIDERS, &metrics, &err),
                     ERR_OK);
    assert_int_equal(workers_create(DECIDERS, metrics, clock_system(), 1, &workers, &err), ERR_OK);
    for (int i = 0; i < DECIDERS; i++) {
        decider[i] = (struct decider){.rig = &rig, .worker = workers_claim(workers), .stop = &stop};
        assert_int_equal(pthread_create(&decider[i].thread, NULL, decider_main, &decider[i]), 0);
    }
    for (int round = 0; round < ROUNDS; round++) {
        release_push(&rig, "2");
        release_push(&rig, "3");
        assert_int_equal(release_rollback(&rig, &err), ERR_OK);
        assert_int_equal(release_rollback(&rig, &err), ERR_OK);
        assert_string_equal(release_all(&rig), "1 1 1 1");
    }
    atomic_store(&stop, true);
    for (int i = 0; i < DECIDERS; i++) {
        pthread_join(decider[i].thread, NULL);
        if (decider[i].fault != NULL)
            fail_msg("%s", decider[i].fault);
        assert_true(decider[i].with_both > 0);
        uint32_t seen = 0;
        for (char version = '1'; version <= '3'; version++)
            seen += memchr(decider[i].release, version, EPOCHS_MAX) != NULL;
        assert_true(seen >= 2);
    }
    rig_destroy(&rig);
    workers_destroy(&workers);
    metrics_destroy(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_answer_mixes_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
