/* SPDX-License-Identifier: Apache-2.0 */
/* What callers see of every operation that is not administration: requests, decisions, status; see
 * test_service_events.c and test_service_admin.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/pack.h"
#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/service_replies.h"
#include "tests/support/service_rig.h"

static void decides(struct service_rig *rig, const char *json, const char *level,
                    const char *reason)
{
    cJSON *reply = service_serves(rig, json);
    if (strcmp(service_text(reply, "level"), level) != 0 ||
        strcmp(service_text(reply, "reason"), reason) != 0)
        fail_msg("%s: level %s, reason %s; expected %s, %s", json, service_text(reply, "level"),
                 service_text(reply, "reason"), level, reason);
    assert_int_equal(strlen(service_text(reply, "decision")), ULID_BYTES - 1);
    cJSON_Delete(reply);
}

static void test_ping_echoes_the_id_and_pads(void **state)
{
    struct service_rig *rig = *state;
    rig->waited_ns = 1234567;
    cJSON *reply =
        service_serves(rig, "{\"op\": \"ping\", \"id\": \"a-1\", \"pad\": 65536, \"x\": [1]}");
    assert_string_equal(service_text(reply, "id"), "a-1");
    assert_string_equal(service_text(reply, "version"), DECIDED_VERSION);
    assert_string_equal(service_text(reply, "mode"), "full");
    assert_int_equal(strlen(service_text(reply, "pad")), 65536);
    assert_int_equal(service_number(reply, "took_us"), 1234);
    cJSON_Delete(reply);
    reply = service_serves(rig, "{\"op\": \"ping\", \"id\": -7}");
    assert_int_equal(service_number(reply, "id"), -7);
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "pad"));
    cJSON_Delete(reply);
}

static void test_bad_requests_name_the_field(void **state)
{
    struct service_rig *rig = *state;
    static const struct {
        const char *json, *code, *field;
    } bad[] = {
        {"[]", "bad_request", "request"},
        {"{}", "bad_request", "op"},
        {"{\"op\": 1}", "bad_request", "op"},
        {"{\"op\": \"buy\"}", "unknown_op", "op"},
        {"{\"op\": \"ping\", \"pad\": 65537}", "bad_request", "pad"},
        {"{\"op\": \"ping\", \"pad\": \"1\"}", "bad_request", "pad"},
        {"{\"op\": \"ping\", \"id\": [1]}", "bad_request", "id"},
        {"{\"op\": \"recommend\", \"n\": 201}", "bad_request", "n"},
        {"{\"op\": \"recommend\", \"n\": 0}", "bad_request", "n"},
        {"{\"op\": \"recommend\", \"n\": 1.0}", "bad_request", "n"},
        {"{\"op\": \"recommend\", \"user\": \"\"}", "bad_request", "user"},
        {"{\"op\": \"recommend\", \"user\": 3}", "bad_request", "user"},
        {"{\"op\": \"recommend\", \"seeds\": \"i1\"}", "bad_request", "seeds"},
        {"{\"op\": \"recommend\", \"exclude\": [1]}", "bad_request", "exclude"},
        {"{\"op\": \"recommend\", \"filters\": []}", "bad_request", "filters"},
        {"{\"op\": \"recommend\", \"context\": {\"a\": 1}}", "bad_request", "context"},
        {"{\"op\": \"recommend\", \"price\": 1}", "bad_request", "price"},
        {"{\"op\": \"recommend\", \"explain\": \"yes\"}", "bad_request", "explain"},
        {"{\"op\": \"recommend\", \"currency\": \"eur\"}", "bad_request", "currency"},
        {"{\"op\": \"recommend\", \"currency\": \"ZZZ\"}", "bad_request", "currency"},
        {"{\"op\": \"price\", \"items\": [\"i1\"], \"currency\": \"ZZZ\"}", "bad_request",
         "currency"},
        {"{\"op\": \"decide\", \"slots\": [{\"slot\": \"home\"}], \"currency\": \"ZZZ\"}",
         "bad_request", "currency"},
        {"{\"op\": \"recommend\", \"budget_us\": -1}", "bad_request", "budget_us"},
        {"{\"op\": \"similar\"}", "bad_request", "items"},
        {"{\"op\": \"rank\", \"items\": []}", "bad_request", "items"},
        {"{\"op\": \"rank\", \"items\": [1]}", "bad_request", "items"},
        {"{\"op\": \"price\", \"items\": [{\"qty\": 1}]}", "bad_request", "items.id"},
        {"{\"op\": \"events\"}", "bad_request", "events"},
        {"{\"op\": \"events\", \"events\": {}}", "bad_request", "events"},
        {"{\"op\": \"events\", \"events\": [], \"ack\": \"never\"}", "bad_request", "ack"},
        {"{\"op\": \"events\", \"events\": [], \"ack\": \"disk\"}", "bad_request", "ack"},
        {"{\"op\": \"events\", \"events\": [], \"strict\": 1}", "bad_request", "strict"},
        {"{\"op\": \"events\", \"events\": [], \"sent_at\": true}", "bad_request", "sent_at"},
        {"{\"op\": \"events\", \"events\": [], \"sent_at\": \"noon\"}", "bad_request", "sent_at"},
        {"{\"op\": \"events\", \"events\": [], \"sent_at\": 0}", "bad_request", "sent_at"},
        {"{\"op\": \"events\", \"ack\": \"memory\", \"events\": [], \"sent_at\": 1}", "bad_request",
         "sent_at"},
        {"{\"op\": \"features\"}", "bad_request", "user"},
        {"{\"op\": \"features\", \"item\": \"none\", \"user\": \"u\"}", "not_found", "item"},
        {"{\"op\": \"features\", \"user\": \"u\", \"detail\": 1}", "bad_request", "detail"},
        {"{\"op\": \"features\", \"item\": \"none\"}", "not_found", "item"},
        {"{\"op\": \"features\", \"user\": \"none\"}", "not_found", "user"},
        {"{\"op\": \"features\", \"anon\": \"none\"}", "not_found", "anon"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        service_refuses(rig, bad[i].json, bad[i].code, bad[i].field);
    assert_int_equal(
        metric_value(rig->registry.metrics, M_REQUESTS, OP_recommend, REPLY_bad_request), 14);
    assert_int_equal(metric_value(rig->registry.metrics, M_REQUESTS, OP_COUNT, REPLY_unknown_op),
                     1);
}

static void test_known_keys_given_twice_are_refused_by_name(void **state)
{
    struct service_rig *rig = *state;
    static const struct {
        const char *bytes, *field; /* NULL: served */
    } cases[] = {
        {"\x83\xa2op\xa9recommend\xa4user\xa1x\xa4user\xa1y", "user"},
        {"\x82\xa2op\xa4rank\xa5items\x91\x82\xa2id\xa1x\xa2id\xa1y", "items.id"},
        {"\x82\xa2op\xa4rank\xa5items\x91\x83\xa2id\xa1x\xa5score\x01\xa5score\x02", "items.score"},
        {"\x82\xa2op\xa9recommend\xa7"
         "filters\x82\xa6"
         "brands\xa1x\xa6"
         "brands\xa1y",
         "filters.brands"},
        {"\x83\xa2op\xa4mode\xa4mode\xa4"
         "full\xa4mode\xa7generic",
         "mode"},
        {"\x82\xa2op\xa9recommend\xa7"
         "context\x82\xa1x\xa1y\xa1x\xa1y",
         "context"},
        {"\x82\xa2op\xa4rank\xa5items\x91\x82\xa2id\xa1x\xa8"
         "features\x82\xa1x\x01\xa1x\x02",
         "items.features"},
        {"\x83\xa2op\xa4ping\xa2zz\x01\xa2zz\x02", NULL},
        {"\x82\xa2op\xa4rank\xa5items\x91\x83\xa2id\xa1x\xa2zz\x01\xa2zz\x02", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cJSON *reply =
            service_rig_call(rig, (const uint8_t *)cases[i].bytes, strlen(cases[i].bytes));
        const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
        assert_int_equal(rig->code, cases[i].field == NULL ? REPLY_ok : REPLY_bad_request);
        if (cases[i].field != NULL) {
            assert_string_equal(service_text(error, "field"), cases[i].field);
            assert_non_null(strstr(service_text(error, "message"), " given twice"));
        }
        cJSON_Delete(reply);
    }
}

static void test_bytes_that_are_no_messagepack_are_answered(void **state)
{
    struct service_rig *rig = *state;
    static const char *const bad[] = {"", "\xc1", "\x81\xa2op", "\xff\xff", "\xde\xff\xff"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cJSON *reply = service_rig_call(rig, (const uint8_t *)bad[i], strlen(bad[i]));
        assert_int_equal(rig->code, REPLY_bad_request);
        cJSON_Delete(reply);
    }
    /* Nesting beyond the limit is a limit. */
    uint8_t deep[64] = {0x81, 0xa1, 'x'};
    memset(deep + 3, 0x91, 32);
    deep[35] = 0xc0;
    cJSON_Delete(service_rig_call(rig, deep, 36));
    assert_int_equal(rig->code, REPLY_too_large);
}

static void test_decisions_without_models_and_with_them(void **state)
{
    struct service_rig *rig = *state;
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", "static", "no_model");
    decides(rig, "{\"op\": \"similar\", \"items\": [\"i1\"]}", "static", "no_model");
    decides(rig, "{\"op\": \"rank\", \"items\": [\"i1\"]}", "full", "");
    decides(rig, "{\"op\": \"price\", \"items\": [\"i1\"]}", "full", "");
    rig_publish(&rig->registry, "n", "1", MODEL_neighbors);
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    cJSON *reply =
        service_serves(rig, "{\"op\": \"recommend\", \"user\": \"u0\", \"n\": 3, \"id\": 1}");
    assert_string_equal(service_text(reply, "level"), "full");
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "reason"));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "items")), 3);
    assert_string_equal(service_text(reply, "policy"), "home@builtin");
    cJSON_Delete(reply);
    decides(rig, "{\"op\": \"similar\", \"items\": [\"i1\"]}", "full", "");
}

/* Requests that all wait: decisions get cheaper, then some are refused with a hint. */
static void test_a_queue_that_stays_makes_decisions_cheaper(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    clock_manual_advance_ns(&rig->clock, UINT64_C(10000000000));
    static const char *const levels[] = {"full", "cached", "cached"};
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", "full", "");
    rig->waited_ns = 5000000;
    for (size_t i = 0; i < 4; i++) {
        for (int k = 0; k < 20; k++)
            cJSON_Delete(service_rig_ask(rig, "{\"op\": \"ping\"}"));
        if (i < 3) {
            decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", levels[i],
                    i == 0 ? "" : "overload");
            rig->waited_ns = 0; /* who did not wait pays no more than the step: no neighbors here */
            if (i == 1)
                decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", "static", "overload");
            rig->waited_ns = 5000000;
            clock_manual_advance_ns(&rig->clock, 100000000);
        }
    }
    cJSON *reply = service_rig_ask(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}");
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    assert_string_equal(service_text(error, "code"), "overloaded");
    assert_true(cJSON_GetObjectItemCaseSensitive(error, "retry_after_ms")->valuedouble >= 100);
    cJSON_Delete(reply);
    cJSON_Delete(service_serves(rig, "{\"op\": \"status\"}"));
    /* One that need not wait is answered, and an idle second ends it. */
    rig->waited_ns = 0;
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", "cached", "overload");
    clock_manual_advance_ns(&rig->clock, 1000000000);
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\"}", "full", "");
}

static void test_an_expired_budget_lowers_decisions_and_ends_the_rest(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_scan(&rig->registry);
    rig->waited_ns = 5000;
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\", \"budget_us\": 6}", "full", "");
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\", \"budget_us\": 5}", "cached",
            "deadline");
    rig->waited_ns = 0;
    decides(rig, "{\"op\": \"recommend\", \"user\": \"u0\", \"budget_us\": 0}", "cached",
            "deadline");
    rig->waited_ns = 5000;
    static const char *const others[] = {
        "{\"op\": \"ping\", \"budget_us\": 5}",
        "{\"op\": \"status\", \"budget_us\": 5}",
        "{\"op\": \"features\", \"user\": \"u\", \"budget_us\": 5}",
        "{\"op\": \"events\", \"events\": [], \"budget_us\": 5}",
        "{\"op\": \"mode\", \"budget_us\": 5}",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        service_refuses(rig, others[i], "deadline_exceeded", "");
    cJSON_Delete(service_serves(rig, "{\"op\": \"ping\", \"budget_us\": 6}"));
}

static void test_status_tells_what_serves(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "7", MODEL_factors);
    rig_scan(&rig->registry);
    clock_manual_advance_ns(&rig->clock, UINT64_C(90) * 1000000000);
    cJSON *reply = service_serves(rig, "{\"op\": \"status\"}");
    assert_string_equal(service_text(reply, "version"), DECIDED_VERSION);
    assert_string_equal(service_text(reply, "mode"), "full");
    assert_string_equal(service_text(reply, "durability"), "memory");
    assert_string_equal(service_text(reply, "policies"), "builtin");
    assert_int_equal(service_number(reply, "uptime_s"), 90);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply, "draining")));
    const cJSON *model = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(reply, "models"), 0);
    assert_string_equal(service_text(model, "name"), "f");
    assert_string_equal(service_text(model, "version"), "7");
    assert_string_equal(service_text(model, "kind"), "factors");
    assert_string_equal(service_text(model, "label"), "stable");
    const cJSON *store = cJSON_GetObjectItemCaseSensitive(reply, "store");
    assert_int_equal(service_number(store, "items"), MODEL_SAMPLE_ITEMS);
    assert_int_equal(service_number(store, "events_accepted"), 0);
    cJSON_Delete(reply);
}

/* The promise of the hot path, from the bytes of a request to those of the reply. */
static void test_decisions_allocate_nothing(void **state)
{
    struct service_rig *rig = *state;
    rig_publish(&rig->registry, "f", "1", MODEL_factors);
    rig_publish(&rig->registry, "n", "1", MODEL_neighbors);
    rig_scan(&rig->registry);
    uint8_t bytes[256];
    struct pack pack = pack_into(bytes, sizeof bytes);
    pack_map(&pack, 3);
    pack_key(&pack, "op");
    pack_key(&pack, "recommend");
    pack_key(&pack, "user");
    pack_key(&pack, "u1");
    pack_key(&pack, "n");
    pack_int(&pack, 5);
    struct call call = {.request = bytes,
                        .request_bytes = pack.used,
                        .reply = rig->reply_bytes,
                        .reply_capacity = CALL_REPLY_BYTES};
    for (int i = 0; i < 50; i++) {
        uint64_t before = alloc_count();
        assert_int_equal(service_call(rig->service, rig->worker, &call), CALL_DONE);
        assert_int_equal(call.code, REPLY_ok);
        if (i >= 10) /* warm: the first calls may set up what BLAS wants */
            assert_int_equal(alloc_count(), before);
    }
}

static void test_no_memory_is_overloaded(void **state)
{
    struct service_rig *rig = *state;
    static const char request[] = "\x82\xa2op\xa6"
                                  "events"
                                  "\xa6"
                                  "events"
                                  "\x90";
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        service_rig_run(rig, (const uint8_t *)request, sizeof request - 1);
        if (!alloc_fail_off())
            break;
        assert_int_equal(rig->code, REPLY_overloaded);
        assert_int_equal(service_deferred_count(rig->service), 0);
    }
    assert_int_equal(rig->code, REPLY_ok);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, service_rig_set_up, service_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ping_echoes_the_id_and_pads),
        TEST(test_bad_requests_name_the_field),
        TEST(test_known_keys_given_twice_are_refused_by_name),
        TEST(test_bytes_that_are_no_messagepack_are_answered),
        TEST(test_decisions_without_models_and_with_them),
        TEST(test_a_queue_that_stays_makes_decisions_cheaper),
        TEST(test_an_expired_budget_lowers_decisions_and_ends_the_rest),
        TEST(test_status_tells_what_serves),
        TEST(test_decisions_allocate_nothing),
        TEST(test_no_memory_is_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
