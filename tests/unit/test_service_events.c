/* SPDX-License-Identifier: Apache-2.0 */
/* What callers see of events and features: what is counted, judged, refused and read back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/service_replies.h"
#include "tests/support/service_rig.h"

#define VIEW(id, user, item)                                            \
    "{\"id\": \"" id "\", \"type\": \"view\", \"user\": \"" user "\", " \
    "\"items\": [{\"id\": \"" item "\"}]}"

static void test_events_are_deferred_counted_and_visible(void **state)
{
    struct service_rig *rig = *state;
    cJSON *reply = service_serves(
        rig,
        "{\"op\": \"events\", \"id\": 9, \"ack\": \"memory\", \"events\": [" VIEW(
            "e1", "u9", "i1") "," VIEW("e1", "u9",
                                       "i1") ", 7,"
                                             "{\"id\": \"e2\", \"type\": \"view\", \"user\": 3}]}");
    assert_int_equal(rig->state, CALL_DEFERRED);
    assert_int_equal(service_number(reply, "id"), 9);
    assert_int_equal(service_number(reply, "accepted"), 1);
    assert_int_equal(service_number(reply, "duplicate"), 1);
    const cJSON *rejected = cJSON_GetObjectItemCaseSensitive(reply, "rejected");
    assert_int_equal(cJSON_GetArraySize(rejected), 2);
    assert_int_equal(service_number(cJSON_GetArrayItem(rejected, 1), "index"), 3);
    assert_string_equal(service_text(cJSON_GetArrayItem(rejected, 1), "code"), "bad_request");
    assert_memory_equal(service_text(cJSON_GetArrayItem(rejected, 1), "message"), "user:", 5);
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "rejected_total"));
    cJSON_Delete(reply);

    reply = service_serves(rig, "{\"op\": \"features\", \"user\": \"u9\"}");
    const cJSON *features = cJSON_GetObjectItemCaseSensitive(reply, "features");
    assert_int_equal(service_number(features, "user.events"), 1);
    assert_null(cJSON_GetObjectItemCaseSensitive(features, "item.price"));
    assert_true(service_number(reply, "as_of_ms") > 0);
    cJSON_Delete(reply);
    assert_int_equal(metric_value(rig->registry.metrics, M_REQUESTS, OP_events, REPLY_ok), 1);
    assert_int_equal(service_deferred_count(rig->service), 0);
}

static const char *first_message(const cJSON *reply)
{
    const cJSON *rejected = cJSON_GetObjectItemCaseSensitive(reply, "rejected");
    return service_text(cJSON_GetArrayItem(rejected, 0), "message");
}

static void test_a_request_says_how_its_events_are_judged(void **state)
{
    struct service_rig *rig = *state;
    cJSON *reply = service_serves(
        rig, "{\"op\": \"events\", \"ack\": \"memory\", \"strict\": true, \"events\": ["
             "{\"id\": \"s1\", \"type\": \"view\", \"user\": \"u\", \"colour\": 1}]}");
    assert_string_equal(first_message(reply), "event: there is no key 'colour'");
    cJSON_Delete(reply);
    reply = service_serves(
        rig, "{\"op\": \"events\", \"ack\": \"memory\", \"strict\": false, \"events\": ["
             "{\"id\": \"s1\", \"type\": \"view\", \"user\": \"u\", \"colour\": 1}]}");
    assert_int_equal(service_number(reply, "accepted"), 1);
    cJSON_Delete(reply);
    reply = service_serves(rig, "{\"op\": \"status\"}");
    const cJSON *store = cJSON_GetObjectItemCaseSensitive(reply, "store");
    assert_int_equal(service_number(store, "event_fields_dropped"), 1);
    assert_true(service_number(store, "dedup_oldest_ms") > 0);
    cJSON_Delete(reply);
}

static void test_features_and_events_obey_consent(void **state)
{
    struct service_rig *rig = *state;
    cJSON_Delete(service_serves(
        rig, "{\"op\": \"events\", \"ack\": \"memory\", \"events\": [" VIEW(
                 "n1", "n", "i1") ", {\"id\": \"n2\", \"type\": \"consent\", \"user\": "
                                  "\"n\", \"consent\": {\"personalize\": false}}]}"));
    service_refuses(rig, "{\"op\": \"features\", \"user\": \"n\"}", "forbidden", "user");
    cJSON *reply = service_serves(
        rig, "{\"op\": \"events\", \"ack\": \"memory\", \"events\": [{\"id\": \"n3\", \"type\": "
             "\"consent\", \"user\": \"n\", \"consent\": {\"process\": false}}, " VIEW("n4", "n",
                                                                                       "i1") "]}");
    const cJSON *rejected = cJSON_GetObjectItemCaseSensitive(reply, "rejected");
    assert_string_equal(service_text(cJSON_GetArrayItem(rejected, 0), "code"), "forbidden");
    cJSON_Delete(reply);
}

static void test_many_rejections_are_counted_beyond_those_described(void **state)
{
    struct service_rig *rig = *state;
    static char json[8192];
    size_t used = (size_t)snprintf(json, sizeof json, "{\"op\": \"events\", \"events\": [0");
    for (int i = 1; i < 150; i++)
        used += (size_t)snprintf(json + used, sizeof json - used, ",%d", i);
    snprintf(json + used, sizeof json - used, "]}");
    cJSON *reply = service_serves(rig, json);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(reply, "rejected")),
                     STORE_REJECTED_MAX);
    assert_int_equal(service_number(reply, "rejected_total"), 150);
    cJSON_Delete(reply);
}

/* More than EVENT_BATCH_MAX, and more than the queue of the rig holds. */
static void test_too_many_events_are_too_large(void **state)
{
    struct service_rig *rig = *state;
    static char json[32768];
    static const int counts[] = {EVENT_BATCH_MAX + 1, 1001};
    for (size_t c = 0; c < 2; c++) {
        size_t used = (size_t)snprintf(json, sizeof json, "{\"op\": \"events\", \"events\": [0");
        for (int i = 1; i < counts[c]; i++)
            used += (size_t)snprintf(json + used, sizeof json - used, ",0");
        snprintf(json + used, sizeof json - used, "]}");
        service_refuses(rig, json, "too_large", "events");
    }
}

/* Lists in a list, in the property `deep` of an event. */
static cJSON *send_deep(struct service_rig *rig, int levels)
{
    char json[1024], open[64], shut[64];
    memset(open, '[', sizeof open);
    memset(shut, ']', sizeof shut);
    snprintf(json, sizeof json,
             "{\"op\": \"events\", \"events\": [" VIEW(
                 "d%d", "ud",
                 "i1") ","
                       "{\"id\": \"x%d\", \"type\": \"view\", \"user\": \"ud\", \"props\": "
                       "{\"deep\": %.*s1%.*s}, \"items\": [{\"id\": \"i1\"}]}," VIEW("e%d", "ud",
                                                                                     "i1") "]}",
             levels, levels, levels, open, levels, shut, levels);
    return service_serves(rig, json);
}

static void test_an_event_that_is_nested_too_deep_is_refused_alone(void **state)
{
    struct service_rig *rig = *state;
    cJSON *reply = send_deep(rig, 4);
    assert_int_equal(service_number(reply, "accepted"), 3);
    cJSON_Delete(reply);
    static const int levels[] = {5, 20, 28};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        reply = send_deep(rig, levels[i]);
        assert_int_equal(service_number(reply, "accepted"), 2);
        const cJSON *rejected = cJSON_GetObjectItemCaseSensitive(reply, "rejected");
        assert_int_equal(cJSON_GetArraySize(rejected), 1);
        assert_int_equal(service_number(cJSON_GetArrayItem(rejected, 0), "index"), 1);
        assert_string_equal(service_text(cJSON_GetArrayItem(rejected, 0), "code"), "too_large");
        assert_string_equal(service_text(cJSON_GetArrayItem(rejected, 0), "message"),
                            "props: nested deeper than 5 levels");
        cJSON_Delete(reply);
    }
}

static void test_features_of_items_by_name(void **state)
{
    struct service_rig *rig = *state;
    cJSON_Delete(
        service_serves(rig, "{\"op\": \"events\", \"events\": [{\"id\": \"c1\", \"type\": "
                            "\"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": \"i1\", "
                            "\"price\": 1200}]}]}"));
    cJSON *reply = service_serves(rig, "{\"op\": \"features\", \"item\": \"i1\", \"names\": "
                                       "[\"item.price\", \"item.cost\", \"item.views_1h\"]}");
    const cJSON *features = cJSON_GetObjectItemCaseSensitive(reply, "features");
    assert_int_equal(cJSON_GetArraySize(features), 3);
    assert_true(service_number(features, "item.price") == 1200);
    assert_true(cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(features, "item.cost")));
    assert_true(service_number(features, "item.views_1h") == 0);
    cJSON_Delete(reply);
    service_refuses(rig, "{\"op\": \"features\", \"item\": \"i1\", \"names\": [\"item.colour\"]}",
                    "bad_request", "names");
    service_refuses(rig, "{\"op\": \"features\", \"item\": \"i1\", \"names\": [\"user.events\"]}",
                    "bad_request", "names");
    service_refuses(
        rig, "{\"op\": \"features\", \"item\": \"i1\", \"names\": [\"item.cost\", \"item.cost\"]}",
        "bad_request", "names");
    reply = service_rig_ask(rig, "{\"op\": \"features\", \"item\": \"i1\", \"names\": "
                                 "[\"user.events\"]}");
    assert_string_equal(service_text(cJSON_GetObjectItemCaseSensitive(reply, "error"), "message"),
                        "names: 'user.events' needs user");
    cJSON_Delete(reply);
}

static void test_the_history_of_a_price_comes_with_the_features(void **state)
{
    struct service_rig *rig = *state;
    cJSON_Delete(service_serves(
        rig, "{\"op\": \"events\", \"events\": [{\"id\": \"c1\", \"type\": "
             "\"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": \"i1\", "
             "\"price\": 1200}]}, {\"id\": \"c2\", \"type\": \"item_upsert\", \"items\": "
             "[{\"id\": \"i1\", \"price\": 900}]}]}"));
    cJSON *reply = service_serves(rig, "{\"op\": \"features\", \"item\": \"i1\"}");
    const cJSON *features = cJSON_GetObjectItemCaseSensitive(reply, "features");
    assert_true(service_number(features, "item.price_min_30d") == 900);
    assert_true(service_number(features, "item.price_before_30d") == 1200);
    const cJSON *prices = cJSON_GetObjectItemCaseSensitive(reply, "prices");
    assert_int_equal(cJSON_GetArraySize(prices), 2);
    const cJSON *newest = cJSON_GetArrayItem(prices, 0);
    assert_int_equal(service_number(newest, "amount"), 900);
    assert_string_equal(service_text(newest, "currency"), "EUR");
    assert_true(service_number(newest, "since_ms") > 1700000000000);
    cJSON_Delete(reply);
    reply = service_serves(rig,
                           "{\"op\": \"features\", \"item\": \"i1\", \"names\": [\"item.price\"]}");
    assert_null(cJSON_GetObjectItemCaseSensitive(reply, "prices"));
    cJSON_Delete(reply);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, service_rig_set_up, service_rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_events_are_deferred_counted_and_visible),
        TEST(test_a_request_says_how_its_events_are_judged),
        TEST(test_features_and_events_obey_consent),
        TEST(test_many_rejections_are_counted_beyond_those_described),
        TEST(test_too_many_events_are_too_large),
        TEST(test_an_event_that_is_nested_too_deep_is_refused_alone),
        TEST(test_features_of_items_by_name),
        TEST(test_the_history_of_a_price_comes_with_the_features),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
