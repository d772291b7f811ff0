/* SPDX-License-Identifier: Apache-2.0 */
/* Administration through the service: who may, reload, drain and models; see test_service_modes.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/rcu.h"
#include "server/metrics.h"
#include "tests/support/admin_calls.h"
#include "tests/support/service_replies.h"
#include "tests/support/service_rig.h"

static const char *const admin_requests[] = {
    "{\"op\": \"mode\"}",
    "{\"op\": \"breaker\", \"model\": \"n\"}",
    "{\"op\": \"reload\"}",
    "{\"op\": \"drain\"}",
    "{\"op\": \"model_list\"}",
    "{\"op\": \"model_begin\", \"name\": \"n\", \"version\": \"1\"}",
    "{\"op\": \"model_chunk\", \"upload\": \"u\"}",
    "{\"op\": \"model_commit\", \"upload\": \"u\"}",
    "{\"op\": \"model_abort\", \"upload\": \"u\"}",
    "{\"op\": \"model_canary\", \"name\": \"n\", \"stop\": true}",
    "{\"op\": \"model_shadow\", \"name\": \"n\", \"stop\": true}",
    "{\"op\": \"model_promote\", \"name\": \"n\", \"version\": \"1\"}",
    "{\"op\": \"model_rollback\", \"name\": \"n\"}",
};
enum { ADMIN_REQUESTS = sizeof admin_requests / sizeof admin_requests[0] };

/* `reply` is what the gate says; REPLY_ok: whatever the operation itself answers. */
static void gate_says(struct service_rig *rig, const char *extra, enum reply_code code)
{
    for (int i = 0; i < ADMIN_REQUESTS; i++) {
        char json[256];
        snprintf(json, sizeof json, "{%s%s", extra, admin_requests[i] + 1);
        cJSON *reply = service_rig_ask(rig, json);
        bool refused = rig->code == REPLY_unauthorized || rig->code == REPLY_forbidden;
        if (code == REPLY_ok ? refused : rig->code != code)
            fail_msg("%s: %s", json, cJSON_Print(reply));
        cJSON_Delete(reply);
    }
}

static void test_administration_is_for_this_machine_or_the_token(void **state)
{
    struct service_rig *rig = *state;
    struct access_token token;
    struct err err;
    char path[2 * TEMP_DIR_BYTES];
    gate_says(rig, "", REPLY_ok);
    assert_true(rig->drain_asked);
    rig->drain_asked = false;
    rig->remote = true;
    gate_says(rig, "", REPLY_forbidden);
    gate_says(rig, "\"token\": \"" ADMIN_TOKEN "\", ", REPLY_forbidden);
    temp_dir_write_text(&rig->registry.dir, "token", ADMIN_TOKEN "\n");
    temp_dir_path(&rig->registry.dir, "token", path);
    assert_int_equal(access_read_token(path, &token, &err), ERR_OK);
    access_set(&rig->access, &token);
    for (int local = 0; local < 2; local++) {
        rig->remote = !local;
        gate_says(rig, "", REPLY_unauthorized);
        gate_says(rig, "\"token\": \"" ADMIN_TOKEN "x\", ", REPLY_unauthorized);
        assert_false(rig->drain_asked);
    }
    admin_serves(rig, "{\"op\": \"ping\"}");
    admin_serves(rig, "{\"op\": \"status\"}");
    rig->remote = true;
    admin_serves(rig, "{\"op\": \"mode\", \"mode\": \"generic\", \"token\": \"" ADMIN_TOKEN "\"}");
    admin_serves(rig, "{\"op\": \"drain\", \"token\": \"" ADMIN_TOKEN "\"}");
    assert_true(rig->drain_asked);
}

/* A page on this machine is told what it is, not that it were elsewhere. */
static void page_is_told(struct service_rig *rig, const char *request, enum reply_code code,
                         const char *message)
{
    cJSON *reply = admin_answers(rig, request, code);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    assert_non_null(strstr(service_text(error, "message"), message));
    cJSON_Delete(reply);
}

static void test_a_web_page_changes_nothing(void **state)
{
    static const char view[] = "{\"op\": \"events\", \"events\": [{\"id\": \"e1\", \"type\": "
                               "\"view\", \"user\": \"u1\", \"items\": [{\"id\": \"i1\"}]}]%s}";
    char events[256];
    struct service_rig *rig = *state;
    struct access_token token;
    struct err err;
    char path[2 * TEMP_DIR_BYTES];
    snprintf(events, sizeof events, view, "");
    rig->from_page = true;
    page_is_told(rig, events, REPLY_forbidden, "Origin");
    page_is_told(rig, "{\"op\": \"drain\"}", REPLY_forbidden, "Origin");
    assert_false(rig->drain_asked);
    admin_serves(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}");
    rig->from_page = false;
    rig->remote = true;
    admin_serves(rig, events); /* a shop's servers are elsewhere */
    temp_dir_write_text(&rig->registry.dir, "token", ADMIN_TOKEN "\n");
    temp_dir_path(&rig->registry.dir, "token", path);
    assert_int_equal(access_read_token(path, &token, &err), ERR_OK);
    access_set(&rig->access, &token);
    admin_serves(rig, events);
    rig->from_page = true;
    page_is_told(rig, events, REPLY_unauthorized, "Origin");
    snprintf(events, sizeof events, view, ", \"token\": \"" ADMIN_TOKEN "\"");
    admin_serves(rig, events);
}

#define GOOD_POLICIES                                                          \
    "{\"version\": \"v2\", \"slots\": {\"home\": {\"sources\": [{\"source\": " \
    "\"popular\"}]}}}"

static void reload_file(struct service_rig *rig, const char *text)
{
    temp_dir_write_text(&rig->registry.dir, "decided.json", text);
}

/* What a reload may change, all of it. */
static void in_force(struct service_rig *rig, const char *policies, const char *static_item,
                     bool has_token)
{
    cJSON *reply = admin_answers(rig, "{\"op\": \"status\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "policies"), policies);
    cJSON_Delete(reply);
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&rig->registry.serving);
    assert_int_equal(snapshot->static_count, 1);
    assert_true(text_is(snapshot->static_ids[0], static_item));
    rcu_read_end();
    assert_int_equal(rig->access.token.is_set, has_token);
    assert_string_equal(rig->config->log_level, has_token ? "error" : "info");
}

static void test_reload_applies_all_of_it(void **state)
{
    struct service_rig *rig = *state;
    temp_dir_write_text(&rig->registry.dir, "p.json", GOOD_POLICIES);
    temp_dir_write_text(&rig->registry.dir, "t", ADMIN_TOKEN);
    in_force(rig, "builtin", "i7", false);
    reload_file(rig,
                "{\"policies\": \"p.json\", \"admin_token_file\": \"t\", \"static_items\": "
                "[\"s1\"], \"log_level\": \"error\", \"items_max\": 5, \"http\": \"127.0.0.1:1\"}");
    for (int i = 0; i < 2; i++) { /* what needs a restart is named each time */
        const char *json = i == 0 ? "{\"op\": \"reload\", \"id\": 3}"
                                  : "{\"op\": \"reload\", \"token\": \"" ADMIN_TOKEN "\"}";
        cJSON *reply = admin_answers(rig, json, REPLY_ok);
        const cJSON *needed = cJSON_GetObjectItemCaseSensitive(reply, "restart_needed");
        assert_int_equal(cJSON_GetArraySize(needed), 2);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(needed, 0)), "http");
        assert_string_equal(cJSON_GetStringValue(cJSON_GetArrayItem(needed, 1)), "items_max");
        cJSON_Delete(reply);
        in_force(rig, "v2", "s1", true);
    }
    assert_int_equal(rig->config->items_max, 1000000);
    assert_int_equal(metric_value(rig->registry.metrics, M_CONFIG_RELOAD_OK, 0, 0), 1);
}

static void test_a_refused_reload_changes_nothing(void **state)
{
    struct service_rig *rig = *state;
    static const struct {
        const char *config, *policies, *token, *says;
    } bad[] = {
        {"{\"log_levl\": \"error\"}", GOOD_POLICIES, ADMIN_TOKEN, "did you mean 'log_level'"},
        {"{", GOOD_POLICIES, ADMIN_TOKEN, "decided.json:1"},
        {"{\"policies\": \"p.json\", \"log_level\": \"error\"}", "{\"slots\": {}}", ADMIN_TOKEN,
         "p.json"},
        {"{\"policies\": \"none.json\", \"log_level\": \"error\"}", GOOD_POLICIES, ADMIN_TOKEN,
         "none.json"},
        {"{\"policies\": \"p.json\", \"admin_token_file\": \"t\", \"static_items\": [\"s1\"]}",
         GOOD_POLICIES, "short", "16..256"},
        {"{\"static_items\": [\"s1\"], \"log_level\": \"error\", \"admin_token_file\": \"none\"}",
         GOOD_POLICIES, ADMIN_TOKEN, "none"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        temp_dir_write_text(&rig->registry.dir, "p.json", bad[i].policies);
        temp_dir_write_text(&rig->registry.dir, "t", bad[i].token);
        reload_file(rig, bad[i].config);
        admin_refuses(rig, "{\"op\": \"reload\"}", REPLY_bad_request, "", bad[i].says);
        in_force(rig, "builtin", "i7", false);
        assert_int_equal(metric_value(rig->registry.metrics, M_CONFIG_RELOAD_OK, 0, 0), 0);
    }
    reload_file(rig, "{\"static_items\": [\"i7\"]}");
    admin_serves(rig, "{\"op\": \"reload\"}");
    assert_int_equal(metric_value(rig->registry.metrics, M_CONFIG_RELOAD_OK, 0, 0), 1);
}

static void test_draining_answers_nothing_but_status(void **state)
{
    struct service_rig *rig = *state;
    static const char *const others[] = {
        "{\"op\": \"ping\"}",
        "{\"op\": \"recommend\"}",
        "{\"op\": \"similar\", \"items\": [\"a\"]}",
        "{\"op\": \"rank\", \"items\": [\"a\"]}",
        "{\"op\": \"price\", \"items\": [\"a\"]}",
        "{\"op\": \"events\", \"events\": []}",
        "{\"op\": \"features\", \"item\": \"a\"}",
    };
    service_drain(rig->service);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        admin_refuses(rig, others[i], REPLY_draining, "", "another");
    for (int i = 0; i < ADMIN_REQUESTS; i++)
        admin_refuses(rig, admin_requests[i], REPLY_draining, "", "another");
    admin_refuses(rig, "{\"op\": \"buy\"}", REPLY_unknown_op, "op", "");
    cJSON *reply = admin_answers(rig, "{\"op\": \"status\"}", REPLY_ok);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "draining")));
    cJSON_Delete(reply);
    assert_int_equal(service_deferred_count(rig->service), 0);
}

static void test_models_go_through(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_publish(&rig->registry, "f", "2", MODEL_factors);
    rig_scan(&rig->registry);
    cJSON *reply = admin_answers(rig, "{\"op\": \"model_list\"}", REPLY_ok);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "models")), 2);
    cJSON_Delete(reply);
    admin_serves(rig, "{\"op\": \"model_rollback\", \"name\": \"f\"}");
    assert_int_equal(rig->state, CALL_DEFERRED);
    assert_int_equal(metric_value(rig->registry.metrics, M_REQUESTS, OP_model_rollback, REPLY_ok),
                     1);
    admin_refuses(rig, "{\"op\": \"model_rollback\", \"name\": \"none\"}", REPLY_not_found, "", "");
    assert_int_equal(service_deferred_count(rig->service), 0);
}

static void test_jobs_that_cannot_be_taken_are_overloaded(void **state)
{
    struct service_rig *rig = *state;
    jobs_stop(rig->jobs);
    admin_refuses(rig, "{\"op\": \"reload\"}", REPLY_overloaded, "", "waiting");
    admin_refuses(rig, "{\"op\": \"mode\", \"mode\": \"generic\"}", REPLY_overloaded, "",
                  "waiting");
    assert_int_equal(modes_floor(&rig->modes, 0), LEVEL_full);
    assert_int_equal(service_deferred_count(rig->service), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, service_rig_set_up, service_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_administration_is_for_this_machine_or_the_token),
        TEST(test_a_web_page_changes_nothing),
        TEST(test_reload_applies_all_of_it),
        TEST(test_a_refused_reload_changes_nothing),
        TEST(test_draining_answers_nothing_but_status),
        TEST(test_models_go_through),
        TEST(test_jobs_that_cannot_be_taken_are_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
