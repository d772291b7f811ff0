/* SPDX-License-Identifier: Apache-2.0 */
/* Strict and lenient, clocks and ages, own types, attributes and consent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "tests/support/event_rig.h"

#define ARRIVAL_MS EVENT_RIG_ARRIVAL_MS

static struct event_rig rig;

static int set_up(void **state)
{
    (void)state;
    event_rig_create(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    event_rig_destroy(&rig);
    return 0;
}

static void test_unknown_keys_are_counted_or_refused(void **state)
{
    (void)state;
    struct event event;
    const char *json = "{\"id\":\"e\",\"type\":\"view\",\"user\":\"u\",\"colour\":[1],"
                       "\"items\":[{\"id\":\"i\",\"size\":7},{\"size\":{},\"id\":\"j\"}]}";
    assert_int_equal(event_rig_decode(&rig, json, &event), ERR_OK);
    assert_int_equal(event.dropped, 3);
    rig.rules.strictness = EVENT_STRICT;
    event_rig_assert_refused(&rig, json, ERR_BAD_INPUT, "event: there is no key 'colour'");
    event_rig_assert_refused(&rig, ITEM("\"size\":1"), ERR_BAD_INPUT,
                             "items: there is no key 'size'");
    rig.rules.strictness = EVENT_LENIENT;
}

/* A view with props of `count` keys, the first of them again at the end where `twice`; the props
 * are a level deeper where `nested`. */
static void pack_props(uint32_t count, bool twice, bool nested)
{
    struct pack pack = event_rig_pack_view(&rig, "props");
    if (nested) {
        pack_map(&pack, 1);
        pack_key(&pack, "more");
        pack_array(&pack, 1);
    }
    pack_map(&pack, count + twice);
    for (uint32_t i = 0; i < count + twice; i++) {
        char key[16];
        snprintf(key, sizeof key, "k%u", i % count);
        pack_str(&pack, key);
        pack_map(&pack, 0);
    }
    rig.len = pack.used;
}

static void test_a_key_of_props_that_is_given_twice_is_refused(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 15, 16, 17, 32, 33, 3000};
    struct event event;
    for (size_t i = 0; i < 2 * sizeof counts / sizeof counts[0]; i++) {
        uint32_t count = counts[i / 2];
        pack_props(count, false, i % 2 == 1);
        assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_OK);
        pack_props(count, true, i % 2 == 1);
        assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_BAD_INPUT);
        assert_string_equal(rig.err.text, "props: 'k0' is given twice");
        rig.rules.strictness = EVENT_STORED; /* what was accepted before is read */
        assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_OK);
        rig.rules.strictness = EVENT_LENIENT;
    }
}

static void test_a_strict_reader_refuses_what_does_not_belong(void **state)
{
    (void)state;
    static const struct {
        const char *json, *text; /* NULL: accepted */
    } events[] = {
        {VIEW("\"order\":\"o\""), "order: does not belong to view"},
        {VIEW("\"total\":5,\"currency\":\"EUR\""), "total: does not belong to view"},
        {VIEW("\"attributes\":5"), "attributes: does not belong to view"},
        {VIEW("\"query\":\"q\",\"list\":\"l\",\"props\":{},\"session\":\"s\""), NULL},
        {ITEM("\"price\":5"), "currency: needed beside an amount"},
        {ITEM("\"category\":\"c\""), "items: there is no key 'category'"},
        {UPSERT("\"cost\":5"), "currency: needed beside an amount"},
        {UPSERT("\"stock\":5"), NULL},
        {"{\"id\":\"e\",\"type\":\"item_upsert\",\"user\":\"u\",\"items\":[]}",
         "user: does not belong to item_upsert"},
        {"{\"id\":\"e\",\"type\":\"item_delete\",\"items\":[{\"id\":\"i\",\"qty\":1}]}",
         "items: there is no key 'qty'"},
        {"{\"id\":\"e\",\"type\":\"item_delete\",\"items\":[{\"id\":\"i\"}]}", NULL},
        {"{\"id\":\"e\",\"type\":\"purchase\",\"user\":\"u\",\"order\":\"o\",\"total\":5}",
         "currency: needed beside an amount"},
        {"{\"id\":\"e\",\"type\":\"purchase\",\"user\":\"u\",\"order\":\"o\",\"total\":5,"
         "\"currency\":\"EUR\",\"items\":[{\"id\":\"i\",\"price\":5,\"qty\":1}]}",
         NULL},
        {"{\"id\":\"e\",\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"a\":1}}", NULL},
        {"{\"id\":\"e\",\"type\":\"user_upsert\",\"user\":\"u\",\"anon\":\"a\","
         "\"attributes\":{}}",
         "anon: does not belong to user_upsert"},
        {"{\"id\":\"e\",\"type\":\"custom:quiz\",\"user\":\"u\",\"order\":\"o\"}", NULL},
    };
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct event event;
        rig.rules.strictness = EVENT_LENIENT;
        if (event_rig_decode(&rig, events[i].json, &event) != ERR_OK)
            fail_msg("%s: %s", events[i].json,
                     rig.err.text); /* all of it is fine for a lenient one */
        rig.rules.strictness = EVENT_STRICT;
        if (events[i].text != NULL)
            event_rig_assert_refused(&rig, events[i].json, ERR_BAD_INPUT, events[i].text);
        else if (event_rig_decode(&rig, events[i].json, &event) != ERR_OK)
            fail_msg("%s: %s", events[i].json, rig.err.text);
    }
    rig.rules.strictness = EVENT_LENIENT;
}

static void test_a_clock_that_is_wrong_is_set_right(void **state)
{
    (void)state;
    struct event event;
    rig.rules.skew_ms = 3600000;
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1699990000000"), &event), ERR_OK);
    assert_int_equal(event.ts_ms, INT64_C(1699993600000));
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":\"2023-11-14T19:26:40Z\""), &event),
                     ERR_OK);
    assert_int_equal(event.ts_ms, INT64_C(1699993600000));
    assert_int_equal(event_rig_decode(&rig, VIEW("\"session\":\"s\""), &event), ERR_OK);
    assert_int_equal(event.ts_ms, ARRIVAL_MS); /* our own time needs no correction */
    event_rig_assert_refused(&rig, VIEW("\"ts\":1700000000000"), ERR_BAD_INPUT,
                             "ts: 3600000 ms after arrival, at most 300000 ms are accepted");
    event_rig_assert_refused(&rig, VIEW("\"ts\":9223372036854775807"), ERR_BAD_INPUT,
                             "ts: expected 0..4294967295000 ms, got 9223372036854775807");
    rig.rules.skew_ms = -3600000;
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1700003600000"), &event), ERR_OK);
    assert_int_equal(event.ts_ms, ARRIVAL_MS);
    event_rig_assert_refused(&rig, VIEW("\"ts\":5"), ERR_BAD_INPUT,
                             "ts: expected 0..4294967295000 ms, got -3599995");
    rig.rules.skew_ms = 0;
}

static void test_seconds_are_not_taken_for_milliseconds(void **state)
{
    (void)state;
    struct event event;
    event_rig_assert_refused(&rig, VIEW("\"ts\":1700000000"), ERR_BAD_INPUT,
                             "ts: expected milliseconds since 1970, got 1700000000, which are "
                             "seconds");
    event_rig_assert_refused(&rig, VIEW("\"ts\":500000000"), ERR_BAD_INPUT,
                             "ts: expected milliseconds since 1970, got 500000000, which are "
                             "seconds");
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":499999999"), &event), ERR_OK);
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1700086401"), &event), ERR_OK);
    rig.rules.strictness = EVENT_STORED; /* it was taken once */
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1700000000"), &event), ERR_OK);
    rig.rules.strictness = EVENT_LENIENT;
}

static void test_what_is_too_old_is_refused_where_that_is_wanted(void **state)
{
    (void)state;
    struct event event;
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1"), &event), ERR_OK);
    rig.rules.age_ms_max = 1000;
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1699999999000"), &event), ERR_OK);
    event_rig_assert_refused(&rig, VIEW("\"ts\":1699999998999"), ERR_STALE,
                             "ts: 1001 ms before arrival, at most 1000 ms are accepted "
                             "(event_age_hours_max)");
    /* What was accepted once is read whatever the rules are by now. */
    rig.rules.strictness = EVENT_STORED;
    assert_int_equal(
        event_rig_decode(&rig, VIEW("\"ts\":1,\"currency\":\"EUT\",\"colour\":1"), &event), ERR_OK);
    assert_int_equal(event_rig_decode(&rig, VIEW("\"ts\":1800000000000"), &event), ERR_OK);
    rig.rules.strictness = EVENT_LENIENT;
    rig.rules.age_ms_max = 0;
}

static void test_types_of_ones_own_have_a_name(void **state)
{
    (void)state;
    struct event event;
    char json[256];
    assert_int_equal(
        event_rig_decode(&rig, "{\"type\":\"custom:store_visit.2-a\",\"id\":\"e\",\"anon\":\"a\"}",
                         &event),
        ERR_OK);
    assert_int_equal(event.type, EVENT_custom);
    assert_true(text_is(event.custom, "store_visit.2-a"));
    assert_int_equal(event_type_class(event.type), EVENT_CLASS_NONE);
    assert_int_equal(event_rig_decode(&rig, VIEW("\"list\":\"l\""), &event), ERR_OK);
    assert_null(event.custom.ptr);
    for (int over = 0; over < 2; over++) {
        snprintf(json, sizeof json, "{\"id\":\"e\",\"type\":\"custom:%0*d\",\"user\":\"u\"}",
                 EVENT_CUSTOM_BYTES_MAX + over, 7);
        assert_int_equal(event_rig_decode(&rig, json, &event), over ? ERR_BAD_INPUT : ERR_OK);
    }
}

static void test_attributes_of_a_user_are_kept_as_they_are(void **state)
{
    (void)state;
    struct event event;
    assert_int_equal(
        event_rig_decode(&rig,
                         "{\"attributes\":{\"tier\":\"gold\",\"age\":41,\"x\":0.5,\"b\":true},"
                         "\"id\":\"e\",\"type\":\"user_upsert\",\"user\":\"u\"}",
                         &event),
        ERR_OK);
    assert_int_equal(event_rig_map_count(&rig, event.attributes), 4);
    /* In other events the key means nothing, whatever stands there. */
    assert_int_equal(event_rig_decode(&rig, VIEW("\"attributes\":[1]"), &event), ERR_OK);
    assert_null(event.attributes.ptr);
    assert_int_equal(event.dropped, 0);
}

static void test_consent_is_read_flag_by_flag(void **state)
{
    (void)state;
    struct event event;
    assert_int_equal(
        event_rig_decode(&rig,
                         "{\"id\":\"e\",\"type\":\"consent\",\"anon\":\"a\",\"consent\":"
                         "{\"process\":true,\"ads\":false,\"analytics\":7}}",
                         &event),
        ERR_OK);
    assert_int_equal(event.consent_allowed, CONSENT_BIT(process));
    assert_int_equal(event.consent_denied, CONSENT_BIT(ads));
    assert_int_equal(event.dropped, 1);
    assert_int_equal(event_rig_decode(&rig, VIEW("\"consent\":{\"train\":false}"), &event), ERR_OK);
    assert_int_equal(event.consent_denied, CONSENT_BIT(train));
    event_rig_assert_refused(&rig, VIEW("\"consent\":true"), ERR_BAD_INPUT,
                             "consent: expected a map, got a boolean");
    event_rig_assert_refused(&rig, VIEW("\"consent\":{\"ads\":1}"), ERR_BAD_INPUT,
                             "consent: expected true or false for each, got an integer");
    event_rig_assert_refused(&rig, "{\"id\":\"e\",\"type\":\"consent\",\"user\":\"u\"}",
                             ERR_BAD_INPUT, "consent: needed by consent");
    event_rig_assert_refused(&rig, "{\"id\":\"e\",\"type\":\"consent\",\"consent\":{}}",
                             ERR_BAD_INPUT, "user or anon: needed by consent");
    /* It means nothing in what is no shopper's. */
    assert_int_equal(event_rig_decode(&rig, UPSERT("\"stock\":1}],\"consent\":[{\"a\":1"), &event),
                     ERR_OK);
    rig.rules.strictness = EVENT_STRICT;
    event_rig_assert_refused(&rig, VIEW("\"consent\":{\"analytics\":true}"), ERR_BAD_INPUT,
                             "consent: there is no key 'analytics'");
    rig.rules.strictness = EVENT_LENIENT;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_keys_are_counted_or_refused),
        cmocka_unit_test(test_a_key_of_props_that_is_given_twice_is_refused),
        cmocka_unit_test(test_a_strict_reader_refuses_what_does_not_belong),
        cmocka_unit_test(test_a_clock_that_is_wrong_is_set_right),
        cmocka_unit_test(test_seconds_are_not_taken_for_milliseconds),
        cmocka_unit_test(test_what_is_too_old_is_refused_where_that_is_wanted),
        cmocka_unit_test(test_types_of_ones_own_have_a_name),
        cmocka_unit_test(test_attributes_of_a_user_are_kept_as_they_are),
        cmocka_unit_test(test_consent_is_read_flag_by_flag),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
