/* SPDX-License-Identifier: Apache-2.0 */
/* The audit log: what acts leave behind, and what happens when they cannot. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "tests/support/service_rig.h"

#define TOKEN "a-token-of-administration"

static int setup(void **state)
{
    struct service_rig *rig = calloc(1, sizeof *rig);
    log_set_level(LOG_ERROR + 1);
    service_rig_create(rig);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    service_rig_destroy(*state);
    free(*state);
    log_set_level(LOG_INFO);
    return 0;
}

static void asks(struct service_rig *rig, const char *json, enum reply_code code)
{
    cJSON *reply = service_rig_ask(rig, json);
    if (rig->code != code)
        fail_msg("%s: %s, expected %s", json, cJSON_Print(reply), reply_code_name(code));
    cJSON_Delete(reply);
}

static char *text_of_key(const cJSON *object, const char *key)
{
    char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text == NULL ? "" : text;
}

/* The acts of the log in order, as "act outcome, act outcome". */
static void expect_acts(struct service_rig *rig, const char *expected)
{
    char acts[2048] = "";
    size_t used = 0;
    cJSON *act;
    cJSON *reply = service_rig_ask(rig, "{\"op\": \"audit\", \"token\": \"" TOKEN "\"}");
    assert_int_equal(rig->code, REPLY_ok);
    cJSON_ArrayForEach(act, cJSON_GetObjectItem(reply, "acts")) used +=
        (size_t)snprintf(acts + used, sizeof acts - used, "%s%s %s", used > 0 ? ", " : "",
                         text_of_key(act, "act"), text_of_key(act, "outcome"));
    assert_string_equal(acts, expected);
    cJSON_Delete(reply);
}

/* A key of the last act, as JSON. */
static void expect_of_last(struct service_rig *rig, const char *key, const char *expected)
{
    cJSON *reply = service_rig_ask(rig, "{\"op\": \"audit\", \"token\": \"" TOKEN "\"}");
    const cJSON *acts = cJSON_GetObjectItem(reply, "acts");
    const cJSON *last = cJSON_GetArrayItem(acts, cJSON_GetArraySize(acts) - 1);
    char *got = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(last, key));
    assert_non_null(got);
    assert_string_equal(got, expected);
    cJSON_free(got);
    cJSON_Delete(reply);
}

static void need_token(struct service_rig *rig)
{
    struct access_token token;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&rig->registry.dir, "token", TOKEN);
    temp_dir_path(&rig->registry.dir, "token", path);
    assert_int_equal(access_read_token(path, &token, NULL), ERR_OK);
    access_set(&rig->access, &token);
}

/* From here on nothing can be written there. */
static void break_audit(struct service_rig *rig)
{
    assert_int_equal(file_remove_tree(audit_dir(rig->audit), NULL), ERR_OK);
    temp_dir_write_text(&rig->registry.dir, "audit", "no directory");
}

static void test_acts_are_recorded_with_who_and_what(void **state)
{
    struct service_rig *rig = *state;
    asks(
        rig,
        "{\"op\": \"mode\", \"mode\": \"generic\", \"for_ms\": 60000, \"reason\": \"a \\\"b\\\"\"}",
        REPLY_ok);
    expect_of_last(rig, "mode", "\"generic\"");
    expect_of_last(rig, "for_ms", "60000");
    expect_of_last(rig, "reason", "\"a \\\"b\\\"\"");
    expect_of_last(rig, "peer", "\"this machine\"");
    expect_of_last(rig, "token", "false");
    asks(rig, "{\"op\": \"reload\"}", REPLY_ok);
    expect_of_last(rig, "restart_needed", "0");
    expect_of_last(rig, "features", "\"none\"");
    temp_dir_write_text(&rig->registry.dir, "decided.json", "{\"itms_max\": 1}");
    asks(rig, "{\"op\": \"reload\"}", REPLY_bad_request);
    asks(rig, "{\"op\": \"model_rollback\", \"name\": \"none\"}", REPLY_not_found);
    expect_of_last(rig, "name", "\"none\"");
    asks(rig, "{\"op\": \"restart\"}", REPLY_bad_request); /* none may begin: no act */
    rig->may_restart = true;
    asks(rig, "{\"op\": \"restart\"}", REPLY_ok);
    rig->restart_rc = ERR_IO;
    asks(rig, "{\"op\": \"restart\"}", REPLY_internal);
    asks(rig, "{\"op\": \"drain\"}", REPLY_ok);
    asks(rig, "{\"op\": \"mode\"}", REPLY_ok); /* that changes nothing */
    asks(rig, "{\"op\": \"mode\", \"mode\": \"best\"}", REPLY_bad_request);
    expect_acts(rig, "mode ok, reload ok, reload failed, model_rollback failed, restart ok, "
                     "restart failed, drain ok");
}

static void test_a_breaker_that_is_held_is_recorded(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    asks(rig, "{\"op\": \"breaker\", \"model\": \"f\"}", REPLY_ok);
    expect_acts(rig, "");
    asks(rig, "{\"op\": \"breaker\", \"model\": \"f\", \"hold\": \"open\"}", REPLY_ok);
    expect_of_last(rig, "model", "\"f@1\"");
    expect_of_last(rig, "hold", "\"open\"");
    expect_acts(rig, "breaker ok");
}

static void test_refused_calls_are_counted_and_recorded_seldom(void **state)
{
    struct service_rig *rig = *state;
    need_token(rig);
    for (int i = 0; i < 100; i++)
        asks(rig, "{\"op\": \"drain\", \"token\": \"wrong\"}", REPLY_unauthorized);
    audit_flush_refused(rig->audit, false);
    expect_acts(rig, "refused unauthorized");
    expect_of_last(rig, "count", "100");
    expect_of_last(rig, "op", "\"drain\"");
    expect_of_last(rig, "token", "true");
    asks(rig, "{\"op\": \"mode\"}", REPLY_unauthorized);
    audit_flush_refused(rig->audit, false);
    expect_acts(rig, "refused unauthorized"); /* not yet */
    clock_manual_advance_ns(&rig->clock, AUDIT_REFUSED_MS * UINT64_C(1000000));
    audit_flush_refused(rig->audit, false);
    expect_acts(rig, "refused unauthorized, refused unauthorized");
    expect_of_last(rig, "count", "1");
    expect_of_last(rig, "token", "false");
    audit_flush_refused(rig->audit, true);
    expect_acts(rig, "refused unauthorized, refused unauthorized"); /* nothing new */
}

static void test_many_refused_peers_are_summed_up(void **state)
{
    struct service_rig *rig = *state;
    for (int i = 0; i < 10; i++) {
        char name[32];
        snprintf(name, sizeof name, "tcp 192.0.2.%d", i);
        struct audit_who who = audit_who_named(name);
        audit_note_refused(rig->audit, &who, OP_drain, REPLY_forbidden);
        audit_note_refused(rig->audit, &who, OP_drain, REPLY_forbidden);
    }
    audit_flush_refused(rig->audit, true);
    expect_acts(rig, "refused forbidden, refused forbidden, refused forbidden, refused forbidden");
    expect_of_last(rig, "peer", "\"others\"");
    expect_of_last(rig, "count", "14");
}

static void test_what_lowers_a_risk_is_done_without_a_record(void **state)
{
    struct service_rig *rig = *state;
    struct audit_stats stats;
    break_audit(rig);
    cJSON *reply = service_rig_ask(rig, "{\"op\": \"mode\", \"mode\": \"static\"}");
    assert_int_equal(rig->code, REPLY_ok);
    assert_non_null(strstr(text_of_key(reply, "warning"), "the audit log: "));
    cJSON_Delete(reply);
    assert_int_equal(modes_floor(&rig->modes, clock_now_ns(&rig->clock.clock)), LEVEL_static);
    reply = service_rig_ask(rig, "{\"op\": \"drain\"}");
    assert_int_equal(rig->code, REPLY_ok);
    assert_true(rig->drain_asked);
    assert_non_null(strstr(text_of_key(reply, "warning"), "the audit log: "));
    cJSON_Delete(reply);
    asks(rig, "{\"op\": \"reload\"}", REPLY_ok);
    audit_stats(rig->audit, &stats);
    assert_int_equal(stats.failures, 3);
}

static void test_what_gives_data_away_is_not_done_without_a_record(void **state)
{
    struct service_rig *rig = *state;
    char json[3 * TEMP_DIR_BYTES], path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    break_audit(rig);
    snprintf(json, sizeof json, "{\"op\": \"snapshot\", \"dir\": \"%s\"}",
             temp_dir_path(&rig->registry.dir, "copy", path));
    cJSON *reply = service_rig_ask(rig, json);
    assert_int_equal(rig->code, REPLY_internal);
    const cJSON *error = cJSON_GetObjectItem(reply, "error");
    assert_non_null(strstr(text_of_key(error, "message"), "the audit log: "));
    cJSON_Delete(reply);
    uint8_t *unused = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, 1, &unused, &len, &err), ERR_NOT_FOUND);
}

static void test_the_list_comes_in_pages(void **state)
{
    struct service_rig *rig = *state;
    for (int i = 0; i < 5; i++)
        asks(rig, "{\"op\": \"mode\", \"mode\": \"full\"}", REPLY_ok);
    cJSON *reply = service_rig_ask(rig, "{\"op\": \"audit\", \"from\": 2, \"limit\": 2}");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "acts")), 2);
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "next")), 4);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(reply, "end")));
    cJSON_Delete(reply);
    reply = service_rig_ask(rig, "{\"op\": \"audit\", \"from\": 4, \"limit\": 2}");
    assert_int_equal(cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "next")), 6);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(reply, "end")));
    cJSON_Delete(reply);
    asks(rig, "{\"op\": \"audit\", \"from\": 0}", REPLY_bad_request);
    asks(rig, "{\"op\": \"audit\", \"limit\": 100000}", REPLY_bad_request);
    rig->remote = true;
    asks(rig, "{\"op\": \"audit\"}", REPLY_forbidden);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_acts_are_recorded_with_who_and_what),
        WITH_RIG(test_a_breaker_that_is_held_is_recorded),
        WITH_RIG(test_refused_calls_are_counted_and_recorded_seldom),
        WITH_RIG(test_many_refused_peers_are_summed_up),
        WITH_RIG(test_what_lowers_a_risk_is_done_without_a_record),
        WITH_RIG(test_what_gives_data_away_is_not_done_without_a_record),
        WITH_RIG(test_the_list_comes_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
