/* SPDX-License-Identifier: Apache-2.0 */
/* A canary in a real daemon: one that behaves stays, one that fails is rolled back by itself, and
 * no request fails because of either. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"

#define WAIT_NS UINT64_C(30000000000)
#define CONFIG  "\"models_serve\": \"promoted\", \"canary_check_ms\": 20"

static int setup(void **state)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    if (daemon == NULL)
        return -1;
    daemon_start(daemon, CONFIG);
    *state = daemon;
    return 0;
}

static int teardown(void **state)
{
    daemon_stop(*state);
    free(*state);
    return 0;
}

/* Fine for those whom training saw; the vector of everybody else has no solution. */
static void write_failing(const char *dir, const char *version)
{
    static const struct bundle_write_file files[] = {{"user_factors", "user_factors.safetensors"},
                                                     {"item_factors", "item_factors.safetensors"},
                                                     {"user_ids", "user_ids.txt"},
                                                     {"item_ids", "item_ids.txt"}};
    model_sample_write(dir, "m", version, MODEL_factors);
    cJSON *rows = cJSON_Parse("[{\"user\": \"u3\", \"item\": \"i0\", \"score\": 0.0}]");
    cJSON *extra = cJSON_Parse("{\"params\": {\"unobserved_weight\": 0, \"regularization\": 0}}");
    assert_int_equal(bundle_write_golden(dir, rows, NULL), ERR_OK);
    assert_int_equal(bundle_write_manifest(dir, "m", version, MODEL_factors, files, 4, extra, NULL),
                     ERR_OK);
    cJSON_Delete(rows);
    cJSON_Delete(extra);
}

static void publish(const struct daemon *daemon, const char *version, bool fails)
{
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES], below[64];
    temp_dir_path(&daemon->dir, "work", work);
    if (fails)
        write_failing(work, version);
    else
        model_sample_write(work, "m", version, MODEL_factors);
    assert_int_equal(file_make_dir(temp_dir_path(&daemon->dir, "models/m", place), NULL), ERR_OK);
    snprintf(below, sizeof below, "models/m/%s", version);
    assert_int_equal(rename(work, temp_dir_path(&daemon->dir, below, place)), 0);
}

/* Asks until it is answered with success: a new folder is noticed after a moment. */
static void must(const struct daemon *daemon, const char *op, const char *json)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    bool done = false;
    while (!done) {
        cJSON *reply = daemon_ask_nng(daemon, op, json);
        done = reply_ok(reply);
        if (!done && clock_now_ns(clock_system()) > until_ns)
            fail_msg("%s %s: %s", op, json, reply_error_text(reply, "message"));
        cJSON_Delete(reply);
    }
}

/* A decision about a person whom training did not see: the version that made it, 0 for none. */
static int ask(const struct daemon *daemon, int person)
{
    char json[128];
    int version = 0;
    snprintf(json, sizeof json, "{\"session\": \"visit-%d\", \"seeds\": [\"i0\"], \"n\": 3}",
             person);
    cJSON *reply = daemon_ask_nng(daemon, "recommend", json);
    if (!reply_ok(reply))
        fail_msg("a request failed: %s", reply_error_text(reply, "message"));
    const cJSON *label = cJSON_GetArrayItem(cJSON_GetObjectItem(reply, "models"), 0);
    if (cJSON_IsString(label))
        assert_int_equal(sscanf(label->valuestring, "m@%d", &version), 1);
    cJSON_Delete(reply);
    return version;
}

/* The model of that label in the list, detached from it; NULL when there is none. */
static cJSON *listed(const struct daemon *daemon, const char *label)
{
    cJSON *list = daemon_ask_nng(daemon, "model_list", "{}");
    cJSON *models = cJSON_GetObjectItem(list, "models");
    cJSON *found = NULL;
    for (int i = 0; i < cJSON_GetArraySize(models) && found == NULL; i++) {
        if (strcmp(reply_text(cJSON_GetArrayItem(models, i), "label"), label) == 0)
            found = cJSON_DetachItemFromArray(models, i);
    }
    cJSON_Delete(list);
    return found;
}

static int number(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItem(object, key);
    return cJSON_IsNumber(value) ? value->valueint : -1;
}

static void test_a_canary_that_behaves_stays_and_one_that_fails_goes(void **state)
{
    struct daemon *daemon = *state;
    int seen[3] = {0};
    publish(daemon, "1", false);
    must(daemon, "model_promote", "{\"name\": \"m\", \"version\": \"1\"}");
    publish(daemon, "2", false);
    must(daemon, "model_canary",
         "{\"name\": \"m\", \"version\": \"2\", \"percent\": 50, \"min_decisions\": 50}");
    for (int person = 0; person < 300; person++) {
        int version = ask(daemon, person);
        assert_in_range(version, 1, 2);
        assert_int_equal(ask(daemon, person), version); /* the same for the same person */
        seen[version]++;
    }
    assert_in_range(seen[1], 100, 200);
    cJSON *canary = listed(daemon, "canary");
    assert_string_equal(reply_text(canary, "version"), "2");
    const cJSON *counts = cJSON_GetObjectItem(cJSON_GetObjectItem(canary, "canary"), "canary");
    assert_int_equal(number(counts, "errors"), 0);
    assert_true(number(counts, "decisions") <= 2 * seen[2]);
    cJSON_Delete(canary);
    must(daemon, "model_promote", "{\"name\": \"m\", \"version\": \"2\"}");
    assert_int_equal(ask(daemon, 1), 2);

    publish(daemon, "3", true);
    must(daemon, "model_canary", "{\"name\": \"m\", \"version\": \"3\", \"percent\": 50}");
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    int asked = 0;
    for (cJSON *left = NULL; (left = listed(daemon, "canary")) != NULL; cJSON_Delete(left)) {
        for (int i = 0; i < 10; i++)
            (void)ask(daemon, asked++);
        assert_true(clock_now_ns(clock_system()) < until_ns);
    }
    assert_in_range(asked, 1, 5000);
    for (int person = 0; person < 50; person++)
        assert_int_equal(ask(daemon, person), 2);
    cJSON *list = daemon_ask_nng(daemon, "model_list", "{}");
    const cJSON *load = cJSON_GetArrayItem(cJSON_GetObjectItem(list, "loads"), 0);
    assert_string_equal(reply_text(load, "outcome"), "rolled_back");
    assert_string_equal(reply_text(load, "version"), "3");
    assert_true(strlen(reply_text(load, "message")) > 0);
    cJSON_Delete(list);
    char page[65536];
    assert_int_equal(daemon_get(daemon, "/metrics", page, sizeof page), 200);
    assert_true(daemon_log_has(daemon, "rolled back"));
}

static void test_a_restart_goes_on_with_the_canary(void **state)
{
    struct daemon *daemon = *state;
    publish(daemon, "1", false);
    must(daemon, "model_promote", "{\"name\": \"m\", \"version\": \"1\"}");
    publish(daemon, "2", false);
    must(daemon, "model_canary", "{\"name\": \"m\", \"version\": \"2\", \"percent\": 12.5}");
    must(daemon, "breaker", "{\"model\": \"m\", \"hold\": \"open\"}"); /* of version 1 */
    daemon_signal(daemon, SIGTERM);
    assert_int_equal(daemon_wait(daemon), 0);
    daemon_restart(daemon);
    cJSON *canary = listed(daemon, "canary");
    assert_string_equal(reply_text(canary, "version"), "2");
    assert_true(
        cJSON_GetObjectItem(cJSON_GetObjectItem(canary, "canary"), "percent")->valuedouble == 12.5);
    cJSON_Delete(canary);
    cJSON *held = daemon_ask_nng(daemon, "breaker", "{\"model\": \"m\"}");
    assert_string_equal(reply_text(held, "breaker"), "held_open");
    cJSON_Delete(held);
    must(daemon, "model_canary", "{\"name\": \"m\", \"stop\": true}");
    assert_null(listed(daemon, "canary"));
}

static void test_a_shadow_is_compared_and_never_answers(void **state)
{
    struct daemon *daemon = *state;
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    int asked = 0, compared = 0;
    publish(daemon, "1", false);
    must(daemon, "model_promote", "{\"name\": \"m\", \"version\": \"1\"}");
    publish(daemon, "2", false);
    must(daemon, "model_shadow", "{\"name\": \"m\", \"version\": \"2\"}");
    while (compared < 100) {
        for (int i = 0; i < 10; i++)
            assert_int_equal(ask(daemon, asked++), 1);
        cJSON *shadow = listed(daemon, "shadow");
        assert_string_equal(reply_text(shadow, "version"), "2");
        const cJSON *seen = cJSON_GetObjectItem(shadow, "shadow");
        compared = number(seen, "compared");
        assert_true(compared <= asked);
        if (compared > 0) { /* the same model under another version answers the same */
            assert_true(cJSON_GetObjectItem(seen, "overlap")->valuedouble == 1);
            assert_true(cJSON_GetObjectItem(seen, "rank_correlation")->valuedouble == 1);
            assert_true(cJSON_GetObjectItem(seen, "score_drift_max")->valuedouble == 0);
            assert_true(cJSON_GetObjectItem(seen, "shadow_p99_us")->valuedouble > 0);
        }
        cJSON_Delete(shadow);
        assert_true(clock_now_ns(clock_system()) < until_ns);
    }
    must(daemon, "model_shadow", "{\"name\": \"m\", \"stop\": true}");
    assert_null(listed(daemon, "shadow"));
    /* One that fails answers otherwise, and nobody notices but the list. */
    publish(daemon, "3", true);
    must(daemon, "model_shadow", "{\"name\": \"m\", \"version\": \"3\", \"percent\": 50}");
    for (compared = 0; compared < 20;) {
        for (int i = 0; i < 10; i++)
            assert_int_equal(ask(daemon, asked++), 1);
        cJSON *shadow = listed(daemon, "shadow");
        const cJSON *seen = cJSON_GetObjectItem(shadow, "shadow");
        compared = number(seen, "compared");
        if (compared > 0)
            assert_true(cJSON_GetObjectItem(seen, "overlap")->valuedouble < 1);
        cJSON_Delete(shadow);
        assert_true(clock_now_ns(clock_system()) < until_ns);
    }
    cJSON *status = daemon_ask_nng(daemon, "status", "{}");
    const cJSON *model = cJSON_GetArrayItem(cJSON_GetObjectItem(status, "models"), 0);
    assert_string_equal(reply_text(model, "breaker"), "closed");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(status, "models")), 1);
    cJSON_Delete(status);
}

/* The second slot cannot answer the same unless what the first one showed is left out again. */
static void test_slots_of_a_page_are_compared_each(void **state)
{
    struct daemon *daemon = *state;
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    publish(daemon, "1", false);
    must(daemon, "model_promote", "{\"name\": \"m\", \"version\": \"1\"}");
    publish(daemon, "2", false);
    must(daemon, "model_shadow", "{\"name\": \"m\", \"version\": \"2\"}");
    for (int compared = 0; compared < 40;) {
        cJSON *page = daemon_ask_nng(daemon, "decide",
                                     "{\"session\": \"s\", \"seeds\": [\"i0\"], \"slots\": "
                                     "[{\"slot\": \"home\", \"n\": 2}, {\"slot\": \"home\", "
                                     "\"n\": 2, \"exclude\": [\"i1\"]}]}");
        assert_true(reply_ok(page));
        cJSON_Delete(page);
        cJSON *shadow = listed(daemon, "shadow");
        const cJSON *seen = cJSON_GetObjectItem(shadow, "shadow");
        compared = number(seen, "compared");
        assert_int_equal(number(seen, "dropped"), 0);
        if (compared > 0) {
            assert_true(cJSON_GetObjectItem(seen, "overlap")->valuedouble == 1);
            assert_true(cJSON_GetObjectItem(seen, "score_drift_max")->valuedouble == 0);
        }
        cJSON_Delete(shadow);
        assert_true(clock_now_ns(clock_system()) < until_ns);
    }
}

static void refuses(const struct daemon *daemon, const char *json, const char *code,
                    const char *field)
{
    cJSON *reply = daemon_ask_nng(daemon, "model_canary", json);
    if (reply_ok(reply) || strcmp(reply_error_text(reply, "code"), code) != 0 ||
        strcmp(reply_error_text(reply, "field"), field) != 0)
        fail_msg("%s: %s", json, cJSON_Print(reply));
    cJSON_Delete(reply);
}

static void test_settings_are_checked_by_name(void **state)
{
    struct daemon *daemon = *state;
#define CANARY(more) "{\"name\": \"m\", \"version\": \"1\"" more "}"
    refuses(daemon, "{}", "bad_request", "name");
    refuses(daemon, "{\"name\": \"m\"}", "bad_request", "version");
    refuses(daemon, CANARY(""), "bad_request", "percent");
    refuses(daemon, CANARY(", \"percent\": 0"), "bad_request", "percent");
    refuses(daemon, CANARY(", \"percent\": 101"), "bad_request", "percent");
    refuses(daemon, CANARY(", \"percent\": \"5\""), "bad_request", "percent");
    refuses(daemon, CANARY(", \"percent\": 5, \"max_errors\": -1"), "bad_request", "max_errors");
    refuses(daemon, CANARY(", \"percent\": 5, \"max_latency\": 0.5"), "bad_request", "max_latency");
    refuses(daemon, CANARY(", \"percent\": 5, \"max_degraded\": 200"), "bad_request",
            "max_degraded");
    refuses(daemon, CANARY(", \"percent\": 5, \"latency_floor_us\": 1.5"), "bad_request",
            "latency_floor_us");
    refuses(daemon, CANARY(", \"percent\": 5, \"min_decisions\": 0"), "bad_request",
            "min_decisions");
    refuses(daemon, "{\"name\": \"m\", \"stop\": 1}", "bad_request", "stop");
    refuses(daemon, CANARY(", \"percent\": 5"), "not_found", "");
    refuses(daemon, "{\"name\": \"m\", \"stop\": true}", "not_found", "");
}

#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(test_a_canary_that_behaves_stays_and_one_that_fails_goes),
        WITH_DAEMON(test_a_restart_goes_on_with_the_canary),
        WITH_DAEMON(test_a_shadow_is_compared_and_never_answers),
        WITH_DAEMON(test_slots_of_a_page_are_compared_each),
        WITH_DAEMON(test_settings_are_checked_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
