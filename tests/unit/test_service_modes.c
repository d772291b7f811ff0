/* SPDX-License-Identifier: Apache-2.0 */
/* Modes and breakers by hand: what they do to decisions, how they end, and which are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "tests/support/admin_calls.h"
#include "tests/support/service_replies.h"
#include "tests/support/service_rig.h"

static void level_is(struct service_rig *rig, const char *level, const char *reason)
{
    cJSON *reply = admin_answers(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "level"), level);
    assert_string_equal(service_text(reply, "reason"), reason);
    cJSON_Delete(reply);
}

static void test_a_mode_lowers_decisions_and_ends_by_itself(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    level_is(rig, "full", "");
    cJSON *reply = admin_answers(rig,
                                 "{\"op\": \"mode\", \"id\": 5, \"mode\": \"static\", \"for_ms\": "
                                 "60000, \"reason\": \"a sale\"}",
                                 REPLY_ok);
    assert_string_equal(service_text(reply, "mode"), "static");
    assert_string_equal(service_text(reply, "reason"), "a sale");
    double until_ms = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(reply, "until_ms"));
    assert_true(until_ms == (double)clock_wall_ms(&rig->clock.clock) + 60000);
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "warning"));
    cJSON_Delete(reply);
    level_is(rig, "static", "mode");
    reply = admin_answers(rig, "{\"op\": \"status\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "mode"), "static");
    assert_string_equal(service_text(reply, "mode_reason"), "a sale");
    cJSON_Delete(reply);
    clock_manual_advance_ns(&rig->clock, UINT64_C(60000) * 1000000 - 1);
    level_is(rig, "static", "mode");
    clock_manual_advance_ns(&rig->clock, 1);
    level_is(rig, "full", "");
    reply = admin_answers(rig, "{\"op\": \"mode\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "mode"), "full");
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
        admin_answers(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": \"open\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "model"), "f@1");
    assert_string_equal(service_text(reply, "breaker"), "held_open");
    cJSON_Delete(reply);
    level_is(rig, "static", "breaker");
    reply = admin_answers(rig, "{\"op\": \"breaker\", \"model\": \"f\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "breaker"), "held_open"); /* it only asked */
    cJSON_Delete(reply);
    admin_serves(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": \"auto\"}");
    level_is(rig, "full", "");
    admin_refuses(rig, "{\"op\": \"breaker\", \"model\": \"g\"}", REPLY_not_found, "model",
                  "serves");
    admin_refuses(rig, "{\"op\": \"breaker\"}", REPLY_bad_request, "model", "expected");
    admin_refuses(rig, "{\"op\": \"breaker\", \"model\": 1}", REPLY_bad_request, "model",
                  "expected");
    admin_refuses(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": true}", REPLY_bad_request,
                  "hold", "expected");
}

static void test_a_mode_that_cannot_be_written_down_says_so(void **state)
{
    struct service_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(mkdir(rig_path(&rig->registry, "mode.json", path), 0750), 0);
    cJSON *reply = admin_answers(rig, "{\"op\": \"mode\", \"mode\": \"static\"}", REPLY_ok);
    assert_string_equal(service_text(reply, "mode"), "static"); /* in force nevertheless */
    const char *warning = service_text(reply, "warning");
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
        admin_refuses(rig, bad[i].json, REPLY_bad_request, bad[i].field, "expected");
    snprintf(json, sizeof json, "{\"op\": \"mode\", \"mode\": \"generic\", \"reason\": \"%0*d\"}",
             MODES_REASON_BYTES, 0);
    admin_refuses(rig, json, REPLY_bad_request, "reason", "200 bytes");
    assert_int_equal(modes_floor(&rig->modes, 0), LEVEL_full);
    snprintf(json, sizeof json, "{\"op\": \"mode\", \"mode\": \"generic\", \"reason\": \"%0*d\"}",
             MODES_REASON_BYTES - 1, 0);
    admin_serves(rig, json);
    assert_int_equal(modes_floor(&rig->modes, 0), LEVEL_generic);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, service_rig_set_up, service_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_mode_lowers_decisions_and_ends_by_itself),
        TEST(test_a_breaker_is_held_by_hand),
        TEST(test_a_mode_that_cannot_be_written_down_says_so),
        TEST(test_bad_modes_are_refused_and_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
