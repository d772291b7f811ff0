/* SPDX-License-Identifier: Apache-2.0 */
/* Administration through the service: who may, modes, reload, drain and models. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/rcu.h"
#include "server/metrics.h"
#include "tests/support/service_rig.h"

#define TOKEN "a-token-of-administration"

static int setup(void **state)
{
    struct service_rig *rig = calloc(1, sizeof *rig);
    service_rig_create(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    service_rig_destroy(*state);
    free(*state);
    return 0;
}

static const char *text_of_key(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text == NULL ? "" : text;
}

static cJSON *answers_with(struct service_rig *rig, const char *json, enum reply_code code)
{
    cJSON *reply = service_rig_ask(rig, json);
    if (rig->code != code)
        fail_msg("%s: %s, expected %s", json, cJSON_Print(reply), reply_code_name(code));
    return reply;
}

/* The field and part of the message of a refusal. */
static void refuses(struct service_rig *rig, const char *json, enum reply_code code,
                    const char *field, const char *says)
{
    cJSON *reply = answers_with(rig, json, code);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    assert_string_equal(text_of_key(error, "field"), field);
    if (strstr(text_of_key(error, "message"), says) == NULL)
        fail_msg("%s: '%s' without '%s'", json, text_of_key(error, "message"), says);
    cJSON_Delete(reply);
}

static void serves(struct service_rig *rig, const char *json)
{
    cJSON_Delete(answers_with(rig, json, REPLY_ok));
}

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
    gate_says(rig, "\"token\": \"" TOKEN "\", ", REPLY_forbidden);
    temp_dir_write_text(&rig->registry.dir, "token", TOKEN "\n");
    temp_dir_path(&rig->registry.dir, "token", path);
    assert_int_equal(access_read_token(path, &token, &err), ERR_OK);
    access_set(&rig->access, &token);
    for (int local = 0; local < 2; local++) {
        rig->remote = !local;
        gate_says(rig, "", REPLY_unauthorized);
        gate_says(rig, "\"token\": \"" TOKEN "x\", ", REPLY_unauthorized);
        assert_false(rig->drain_asked);
    }
    serves(rig, "{\"op\": \"ping\"}");
    serves(rig, "{\"op\": \"status\"}");
    rig->remote = true;
    serves(rig, "{\"op\": \"mode\", \"mode\": \"generic\", \"token\": \"" TOKEN "\"}");
    serves(rig, "{\"op\": \"drain\", \"token\": \"" TOKEN "\"}");
    assert_true(rig->drain_asked);
}

/* A page on this machine is told what it is, not that it were elsewhere. */
static void page_is_told(struct service_rig *rig, const char *request, enum reply_code code,
                         const char *message)
{
    cJSON *reply = answers_with(rig, request, code);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    assert_non_null(strstr(text_of_key(error, "message"), message));
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
    serves(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}");
    rig->from_page = false;
    rig->remote = true;
    serves(rig, events); /* a shop's servers are elsewhere */
    temp_dir_write_text(&rig->registry.dir, "token", TOKEN "\n");
    temp_dir_path(&rig->registry.dir, "token", path);
    assert_int_equal(access_read_token(path, &token, &err), ERR_OK);
    access_set(&rig->access, &token);
    serves(rig, events);
    rig->from_page = true;
    page_is_told(rig, events, REPLY_unauthorized, "Origin");
    snprintf(events, sizeof events, view, ", \"token\": \"" TOKEN "\"");
    serves(rig, events);
}

static void level_is(struct service_rig *rig, const char *level, const char *reason)
{
    cJSON *reply = answers_with(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "level"), level);
    assert_string_equal(text_of_key(reply, "reason"), reason);
    cJSON_Delete(reply);
}

static void test_a_mode_lowers_decisions_and_ends_by_itself(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    level_is(rig, "full", "");
    cJSON *reply = answers_with(rig,
                                "{\"op\": \"mode\", \"id\": 5, \"mode\": \"static\", \"for_ms\": "
                                "60000, \"reason\": \"a sale\"}",
                                REPLY_ok);
    assert_string_equal(text_of_key(reply, "mode"), "static");
    assert_string_equal(text_of_key(reply, "reason"), "a sale");
    double until_ms = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(reply, "until_ms"));
    assert_true(until_ms == (double)clock_wall_ms(&rig->clock.clock) + 60000);
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "warning"));
    cJSON_Delete(reply);
    level_is(rig, "static", "mode");
    reply = answers_with(rig, "{\"op\": \"status\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "mode"), "static");
    assert_string_equal(text_of_key(reply, "mode_reason"), "a sale");
    cJSON_Delete(reply);
    clock_manual_advance_ns(&rig->clock, UINT64_C(60000) * 1000000 - 1);
    level_is(rig, "static", "mode");
    clock_manual_advance_ns(&rig->clock, 1);
    level_is(rig, "full", "");
    reply = answers_with(rig, "{\"op\": \"mode\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "mode"), "full");
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "until_ms"));
    cJSON_Delete(reply);
}

static void test_a_breaker_is_held_by_hand(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    level_is(rig, "full", "");
    cJSON *reply =
        answers_with(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": \"open\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "model"), "f@1");
    assert_string_equal(text_of_key(reply, "breaker"), "held_open");
    cJSON_Delete(reply);
    level_is(rig, "static", "breaker");
    reply = answers_with(rig, "{\"op\": \"breaker\", \"model\": \"f\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "breaker"), "held_open"); /* it only asked */
    cJSON_Delete(reply);
    serves(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": \"auto\"}");
    level_is(rig, "full", "");
    refuses(rig, "{\"op\": \"breaker\", \"model\": \"g\"}", REPLY_not_found, "model", "serves");
    refuses(rig, "{\"op\": \"breaker\"}", REPLY_bad_request, "model", "expected");
    refuses(rig, "{\"op\": \"breaker\", \"model\": 1}", REPLY_bad_request, "model", "expected");
    refuses(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": true}", REPLY_bad_request,
            "hold", "expected");
}

static void test_a_mode_that_cannot_be_written_down_says_so(void **state)
{
    struct service_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(mkdir(rig_path(&rig->registry, "mode.json", path), 0750), 0);
    cJSON *reply = answers_with(rig, "{\"op\": \"mode\", \"mode\": \"static\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "mode"), "static"); /* in force nevertheless */
    const char *warning = text_of_key(reply, "warning");
    assert_ptr_equal(strstr(warning, "it will not survive a restart: cannot "), warning);
    cJSON_Delete(reply);
    level_is(rig, "static", "mode");
}

static void test_bad_modes_are_refused_and_change_nothing(void **state)
{
    struct service_rig *rig = *state;
    static const struct {
        const char *json, *field;
    } bad[] = {
        {"{\"op\": \"mode\", \"mode\": \"best\"}", "mode"},
        {"{\"op\": \"mode\", \"mode\": 1}", "mode"},
        {"{\"op\": \"mode\", \"for_ms\": 1000}", "mode"},
        {"{\"op\": \"mode\", \"reason\": \"x\"}", "mode"},
        {"{\"op\": \"mode\", \"mode\": \"generic\", \"for_ms\": 0}", "for_ms"},
        {"{\"op\": \"mode\", \"mode\": \"generic\", \"for_ms\": 31622400001}", "for_ms"},
        {"{\"op\": \"mode\", \"mode\": \"generic\", \"for_ms\": \"30m\"}", "for_ms"},
        {"{\"op\": \"mode\", \"mode\": \"generic\", \"reason\": 1}", "reason"},
        {"{\"op\": \"mode\", \"mode\": \"generic\", \"reason\": \"two\\nlines\"}", "reason"},
    };
    char json[512];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses(rig, bad[i].json, REPLY_bad_request, bad[i].field, "expected");
    snprintf(json, sizeof json, "{\"op\": \"mode\", \"mode\": \"generic\", \"reason\": \"%0*d\"}",
             MODES_REASON_BYTES, 0);
    refuses(rig, json, REPLY_bad_request, "reason", "200 bytes");
    assert_int_equal(modes_floor(&rig->modes, 0), LEVEL_full);
    snprintf(json, sizeof json, "{\"op\": \"mode\", \"mode\": \"generic\", \"reason\": \"%0*d\"}",
             MODES_REASON_BYTES - 1, 0);
    serves(rig, json);
    assert_int_equal(modes_floor(&rig->modes, 0), LEVEL_generic);
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
    cJSON *reply = answers_with(rig, "{\"op\": \"status\"}", REPLY_ok);
    assert_string_equal(text_of_key(reply, "policies"), policies);
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
    temp_dir_write_text(&rig->registry.dir, "t", TOKEN);
    in_force(rig, "builtin", "i7", false);
    reload_file(rig,
                "{\"policies\": \"p.json\", \"admin_token_file\": \"t\", \"static_items\": "
                "[\"s1\"], \"log_level\": \"error\", \"items_max\": 5, \"http\": \"127.0.0.1:1\"}");
    for (int i = 0; i < 2; i++) { /* what needs a restart is named each time */
        const char *json = i == 0 ? "{\"op\": \"reload\", \"id\": 3}"
                                  : "{\"op\": \"reload\", \"token\": \"" TOKEN "\"}";
        cJSON *reply = answers_with(rig, json, REPLY_ok);
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
        {"{\"log_levl\": \"error\"}", GOOD_POLICIES, TOKEN, "did you mean 'log_level'"},
        {"{", GOOD_POLICIES, TOKEN, "decided.json:1"},
        {"{\"policies\": \"p.json\", \"log_level\": \"error\"}", "{\"slots\": {}}", TOKEN,
         "p.json"},
        {"{\"policies\": \"none.json\", \"log_level\": \"error\"}", GOOD_POLICIES, TOKEN,
         "none.json"},
        {"{\"policies\": \"p.json\", \"admin_token_file\": \"t\", \"static_items\": [\"s1\"]}",
         GOOD_POLICIES, "short", "16..256"},
        {"{\"static_items\": [\"s1\"], \"log_level\": \"error\", \"admin_token_file\": \"none\"}",
         GOOD_POLICIES, TOKEN, "none"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        temp_dir_write_text(&rig->registry.dir, "p.json", bad[i].policies);
        temp_dir_write_text(&rig->registry.dir, "t", bad[i].token);
        reload_file(rig, bad[i].config);
        refuses(rig, "{\"op\": \"reload\"}", REPLY_bad_request, "", bad[i].says);
        in_force(rig, "builtin", "i7", false);
        assert_int_equal(metric_value(rig->registry.metrics, M_CONFIG_RELOAD_OK, 0, 0), 0);
    }
    reload_file(rig, "{\"static_items\": [\"i7\"]}");
    serves(rig, "{\"op\": \"reload\"}");
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
        refuses(rig, others[i], REPLY_draining, "", "another");
    for (int i = 0; i < ADMIN_REQUESTS; i++)
        refuses(rig, admin_requests[i], REPLY_draining, "", "another");
    refuses(rig, "{\"op\": \"buy\"}", REPLY_unknown_op, "op", "");
    cJSON *reply = answers_with(rig, "{\"op\": \"status\"}", REPLY_ok);
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
    cJSON *reply = answers_with(rig, "{\"op\": \"model_list\"}", REPLY_ok);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "models")), 2);
    cJSON_Delete(reply);
    serves(rig, "{\"op\": \"model_rollback\", \"name\": \"f\"}");
    assert_int_equal(rig->state, CALL_DEFERRED);
    assert_int_equal(metric_value(rig->registry.metrics, M_REQUESTS, OP_model_rollback, REPLY_ok),
                     1);
    refuses(rig, "{\"op\": \"model_rollback\", \"name\": \"none\"}", REPLY_not_found, "", "");
    assert_int_equal(service_deferred_count(rig->service), 0);
}

static void test_jobs_that_cannot_be_taken_are_overloaded(void **state)
{
    struct service_rig *rig = *state;
    jobs_stop(rig->jobs);
    refuses(rig, "{\"op\": \"reload\"}", REPLY_overloaded, "", "waiting");
    refuses(rig, "{\"op\": \"mode\", \"mode\": \"generic\"}", REPLY_overloaded, "", "waiting");
    assert_int_equal(modes_floor(&rig->modes, 0), LEVEL_full);
    assert_int_equal(service_deferred_count(rig->service), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_administration_is_for_this_machine_or_the_token),
        TEST(test_a_web_page_changes_nothing),
        TEST(test_a_mode_lowers_decisions_and_ends_by_itself),
        TEST(test_a_breaker_is_held_by_hand),
        TEST(test_a_mode_that_cannot_be_written_down_says_so),
        TEST(test_bad_modes_are_refused_and_change_nothing),
        TEST(test_reload_applies_all_of_it),
        TEST(test_a_refused_reload_changes_nothing),
        TEST(test_draining_answers_nothing_but_status),
        TEST(test_models_go_through),
        TEST(test_jobs_that_cannot_be_taken_are_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
