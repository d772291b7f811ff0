/* SPDX-License-Identifier: Apache-2.0 */
/* Every operation of docs/protocol.md against a real daemon, over nng and over HTTP: the answers
 * are the same. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"

#define TOKEN "the-token-of-the-test"

static int setup(void **state)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    daemon_start(daemon, "\"static_items\": [\"s1\", \"s2\"]");
    *state = daemon;
    return 0;
}

static int teardown(void **state)
{
    daemon_stop(*state);
    free(*state);
    return 0;
}

/* What two answers to one request may differ in. */
static void drop_volatile(cJSON *reply)
{
    static const char *const keys[] = {"took_us", "decision", "uptime_s"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        cJSON_DeleteItemFromObjectCaseSensitive(reply, keys[i]);
}

static int status_of(const char *code)
{
    static const struct {
        const char *code;
        int status;
    } table[] = {
        {"bad_request", 400}, {"unauthorized", 401}, {"forbidden", 403},  {"unknown_op", 404},
        {"not_found", 404},   {"too_large", 413},    {"overloaded", 503}, {"draining", 503},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(code, table[i].code) == 0)
            return table[i].status;
    }
    return 200;
}

/* The answer, asked for both ways. */
static cJSON *ask(const struct daemon *daemon, const char *op, const char *json)
{
    int status = 0;
    cJSON *by_nng = daemon_ask_nng(daemon, op, json);
    cJSON *by_http = daemon_ask_http(daemon, op, json, &status);
    assert_int_equal(status, status_of(reply_error_text(by_http, "code")));
    assert_true(cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(by_nng, "took_us")));
    assert_true(cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(by_http, "took_us")));
    drop_volatile(by_nng);
    drop_volatile(by_http);
    if (!cJSON_Compare(by_nng, by_http, true))
        fail_msg("%s %s\n  nng:  %s\n  http: %s", op, json, cJSON_PrintUnformatted(by_nng),
                 cJSON_PrintUnformatted(by_http));
    cJSON_Delete(by_http);
    return by_nng;
}

static void serves(const struct daemon *daemon, const char *op, const char *json)
{
    cJSON *reply = ask(daemon, op, json);
    if (!reply_ok(reply))
        fail_msg("%s %s: %s", op, json, cJSON_PrintUnformatted(reply));
    cJSON_Delete(reply);
}

static void refuses(const struct daemon *daemon, const char *op, const char *json, const char *code,
                    const char *field)
{
    cJSON *reply = ask(daemon, op, json);
    if (strcmp(reply_error_text(reply, "code"), code) != 0 ||
        strcmp(reply_error_text(reply, "field"), field) != 0)
        fail_msg("%s %s: %s; expected %s of '%s'", op, json, cJSON_PrintUnformatted(reply), code,
                 field);
    cJSON_Delete(reply);
}

static void decides(const struct daemon *daemon, const char *op, const char *json,
                    const char *level, const char *reason)
{
    cJSON *reply = ask(daemon, op, json);
    if (!reply_ok(reply) || strcmp(reply_text(reply, "level"), level) != 0 ||
        strcmp(reply_text(reply, "reason"), reason) != 0)
        fail_msg("%s %s: %s; expected %s, %s", op, json, cJSON_PrintUnformatted(reply), level,
                 reason);
    cJSON_Delete(reply);
}

/* A bundle is written aside and renamed into models_dir, as a publisher does it. */
static void publish(struct daemon *daemon, const char *name, const char *version,
                    enum model_kind kind)
{
    char work[2 * TEMP_DIR_BYTES], place[2 * TEMP_DIR_BYTES], below[128], wanted[256];
    model_sample_write(temp_dir_path(&daemon->dir, "work", work), name, version, kind);
    snprintf(below, sizeof below, "models/%s/keep", name);
    temp_dir_write_text(&daemon->dir, below, "");
    assert_int_equal(remove(temp_dir_path(&daemon->dir, below, place)), 0);
    snprintf(below, sizeof below, "models/%s/%s", name, version);
    assert_int_equal(rename(work, temp_dir_path(&daemon->dir, below, place)), 0);
    snprintf(wanted, sizeof wanted, "\"model\":\"%s\",\"version\":\"%s\"", name, version);
    assert_true(daemon_log_has(daemon, wanted));
}

static void test_an_empty_daemon_answers_everything(void **state)
{
    const struct daemon *daemon = *state;
    serves(daemon, "ping", "{\"id\": \"x\", \"pad\": 1000}");
    serves(daemon, "status", "{}");
    serves(daemon, "mode", "{}");
    serves(daemon, "model_list", "{\"id\": 1.5}");
    serves(daemon, "reload", "{}");
    serves(daemon, "events", "{\"events\": []}");
    decides(daemon, "recommend", "{\"user\": \"u1\", \"n\": 2}", "static", "no_model");
    decides(daemon, "similar", "{\"items\": [\"i1\"]}", "static", "no_model");
    decides(daemon, "rank", "{\"items\": [{\"id\": \"i1\"}]}", "full", "");
    decides(daemon, "price", "{\"items\": [{\"id\": \"i1\", \"price\": 100}]}", "full", "");
    refuses(daemon, "features", "{\"item\": \"i1\"}", "not_found", "item");
    refuses(daemon, "model_rollback", "{\"name\": \"m\"}", "not_found", "");
    refuses(daemon, "model_abort", "{\"upload\": \"u\"}", "not_found", "");
    refuses(daemon, "model_commit", "{\"upload\": \"u\"}", "not_found", "");
    refuses(daemon, "buy", "{}", "unknown_op", "op");
    cJSON *reply = ask(daemon, "recommend", "{\"user\": \"u1\"}");
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(reply, "items");
    assert_int_equal(cJSON_GetArraySize(items), 2);
    assert_string_equal(reply_text(cJSON_GetArrayItem(items, 0), "id"), "s1");
    cJSON_Delete(reply);
}

static void test_bad_input_is_named_over_both_sockets(void **state)
{
    static const struct {
        const char *op, *json, *code, *field;
    } bad[] = {
        {"ping", "{\"pad\": -1}", "bad_request", "pad"},
        {"ping", "{\"id\": {}}", "bad_request", "id"},
        {"ping", "{\"budget_us\": \"1\"}", "bad_request", "budget_us"},
        {"ping", "{\"token\": 1}", "bad_request", "token"},
        {"recommend", "{\"user\": 1}", "bad_request", "user"},
        {"recommend", "{\"anon\": []}", "bad_request", "anon"},
        {"recommend", "{\"session\": \"\"}", "bad_request", "session"},
        {"recommend", "{\"slot\": false}", "bad_request", "slot"},
        {"recommend", "{\"n\": 201}", "bad_request", "n"},
        {"recommend", "{\"n\": 2.0}", "bad_request", "n"},
        {"recommend", "{\"seeds\": {}}", "bad_request", "seeds"},
        {"recommend", "{\"exclude\": [\"\"]}", "bad_request", "exclude"},
        {"recommend", "{\"filters\": {\"in_stock\": 1}}", "bad_request", "filters.in_stock"},
        {"recommend", "{\"context\": {\"a\": []}}", "bad_request", "context"},
        {"recommend", "{\"currency\": \"Euro\"}", "bad_request", "currency"},
        {"recommend", "{\"price\": \"yes\"}", "bad_request", "price"},
        {"recommend", "{\"explain\": 1}", "bad_request", "explain"},
        {"similar", "{\"items\": []}", "bad_request", "items"},
        {"similar", "{\"items\": [{\"id\": \"a\"}]}", "bad_request", "items"},
        {"rank", "{\"items\": 1}", "bad_request", "items"},
        {"rank", "{\"items\": [{\"id\": \"a\", \"score\": \"1\"}]}", "bad_request", "items.score"},
        {"price", "{\"items\": [{\"id\": \"a\", \"qty\": 0}]}", "bad_request", "items.qty"},
        {"price", "{\"items\": [{\"id\": \"a\", \"price\": 1.5}]}", "bad_request", "items.price"},
        {"events", "{\"events\": 1}", "bad_request", "events"},
        {"events", "{\"events\": [], \"ack\": \"later\"}", "bad_request", "ack"},
        {"features", "{}", "bad_request", "user"},
        {"features", "{\"item\": \"i\", \"names\": \"item.price\"}", "bad_request", "names"},
        {"mode", "{\"mode\": \"best\"}", "bad_request", "mode"},
        {"mode", "{\"mode\": \"full\", \"for_ms\": -5}", "bad_request", "for_ms"},
        {"model_begin", "{\"name\": \"../x\", \"version\": \"1\"}", "bad_request", "name"},
        {"model_begin", "{\"name\": \"x\"}", "bad_request", "version"},
        {"model_rollback", "{}", "bad_request", "name"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refuses(*state, bad[i].op, bad[i].json, bad[i].code, bad[i].field);
}

static void test_events_models_and_decisions_together(void **state)
{
    struct daemon *daemon = *state;
    int status = 0;
    static const char events[] =
        "{\"events\": [{\"id\": \"%s1\", \"type\": \"view\", \"user\": \"new\", \"items\": "
        "[{\"id\": \"i2\"}]}, {\"id\": \"%s1\", \"type\": \"view\", \"user\": \"new\"}, "
        "{\"id\": \"%s2\", \"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": "
        "\"i2\", \"price\": 1000}]}, {\"type\": \"view\"}]}";
    char json[1024];
    cJSON *replies[2];
    for (int i = 0; i < 2; i++) {
        const char *prefix = i == 0 ? "a" : "b";
        snprintf(json, sizeof json, events, prefix, prefix, prefix);
        replies[i] = i == 0 ? daemon_ask_nng(daemon, "events", json)
                            : daemon_ask_http(daemon, "events", json, &status);
        assert_int_equal(
            cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(replies[i], "accepted")), 2);
        drop_volatile(replies[i]);
    }
    assert_int_equal(status, 200);
    assert_true(cJSON_Compare(replies[0], replies[1], true));
    cJSON_Delete(replies[0]);
    cJSON_Delete(replies[1]);

    publish(daemon, "n", "1", MODEL_neighbors);
    publish(daemon, "f", "1", MODEL_factors);
    publish(daemon, "p", "1", MODEL_prices);
    decides(daemon, "recommend", "{\"user\": \"new\", \"n\": 3, \"explain\": true}", "full", "");
    decides(daemon, "recommend", "{\"user\": \"new\", \"price\": true, \"budget_us\": 0}", "cached",
            "deadline");
    decides(daemon, "similar", "{\"items\": [\"i1\"]}", "full", "");
    decides(daemon, "price", "{\"items\": [{\"id\": \"i2\"}], \"currency\": \"EUR\"}", "full", "");
    serves(daemon, "features", "{\"user\": \"new\"}");
    serves(daemon, "features", "{\"item\": \"i2\", \"names\": [\"item.price\"]}");
    publish(daemon, "f", "2", MODEL_factors);
    cJSON_Delete(daemon_ask_nng(daemon, "model_rollback", "{\"name\": \"f\"}"));
    cJSON *reply = ask(daemon, "status", "{}");
    const cJSON *model;
    cJSON_ArrayForEach(model, cJSON_GetObjectItemCaseSensitive(reply, "models"))
    {
        assert_string_equal(reply_text(model, "version"), "1");
    }
    cJSON_Delete(reply);
}

static void test_a_mode_over_the_wire_and_its_end(void **state)
{
    struct daemon *daemon = *state;
    char body[1024];
    serves(daemon, "mode", "{\"mode\": \"static\", \"reason\": \"drill\"}");
    decides(daemon, "recommend", "{\"user\": \"u1\"}", "static", "mode");
    assert_int_equal(daemon_get(daemon, "/readyz?verbose", body, sizeof body), 200);
    assert_non_null(strstr(body, "[+]mode ok: static: drill\n"));
    /* It is kept over a restart. */
    daemon_signal(daemon, SIGTERM);
    assert_int_equal(daemon_wait(daemon), 0);
    daemon_restart(daemon);
    decides(daemon, "recommend", "{\"user\": \"u1\"}", "static", "mode");
    cJSON_Delete(daemon_ask_nng(daemon, "mode", "{\"mode\": \"static\", \"for_ms\": 1}"));
    assert_true(daemon_log_has(daemon, "\"mode ended\""));
    decides(daemon, "recommend", "{\"user\": \"u1\"}", "static", "no_model");
}

static void test_the_token_over_the_wire(void **state)
{
    struct daemon *daemon = *state;
    temp_dir_write_text(&daemon->dir, "token", TOKEN "\n");
    temp_dir_write_text(&daemon->dir, "decided.json",
                        "{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"127.0.0.1:0\", "
                        "\"data_dir\": \"state\", \"models_dir\": \"models\", "
                        "\"admin_token_file\": \"token\"}");
    serves(daemon, "mode", "{}");
    daemon_signal(daemon, SIGHUP);
    assert_true(daemon_log_has(daemon, "\"reloaded\""));
    refuses(daemon, "mode", "{}", "unauthorized", "");
    refuses(daemon, "drain", "{\"token\": \"" TOKEN "x\"}", "unauthorized", "");
    refuses(daemon, "model_list", "{}", "unauthorized", "");
    serves(daemon, "ping", "{}");
    serves(daemon, "mode", "{\"token\": \"" TOKEN "\"}");
    cJSON_Delete(daemon_ask_nng(daemon, "drain", "{\"token\": \"" TOKEN "\"}"));
    assert_int_equal(daemon_wait(daemon), 0);
}

static void test_pages(void **state)
{
    const struct daemon *daemon = *state;
    static char body[262144];
    assert_int_equal(daemon_get(daemon, "/livez", body, sizeof body), 200);
    assert_string_equal(body, "ok\n");
    assert_int_equal(daemon_get(daemon, "/readyz", body, sizeof body), 200);
    assert_int_equal(daemon_get(daemon, "/none", body, sizeof body), 404);
    cJSON_Delete(ask(daemon, "recommend", "{}"));
    assert_int_equal(daemon_get(daemon, "/metrics", body, sizeof body), 200);
    assert_non_null(strstr(body, "\ndecided_requests_total{op=\"recommend\",code=\"ok\"} 2\n"));
    assert_non_null(strstr(body, "\ndecided_ready 1\n"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_empty_daemon_answers_everything),
        TEST(test_bad_input_is_named_over_both_sockets),
        TEST(test_events_models_and_decisions_together),
        TEST(test_a_mode_over_the_wire_and_its_end),
        TEST(test_the_token_over_the_wire),
        TEST(test_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
