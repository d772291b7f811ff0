/* SPDX-License-Identifier: Apache-2.0 */
/* At which price: price rules for what is recommended and for what is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"
#include "tests/support/taste_shop.h"

static const char rules[] =
    "{\"format\": 1, \"rules\": ["
    "{\"name\": \"app\", \"priority\": 9, \"match\": {\"context\": {\"channel\": [\"app\"]}},"
    " \"adjust\": {\"percent\": \"-50\"}},"
    "{\"name\": \"many\", \"priority\": 7, \"match\": {\"qty\": {\"min\": 10}},"
    " \"adjust\": {\"percent\": \"-20\"}},"
    "{\"name\": \"shoe sale\", \"priority\": 5, \"match\": {\"categories\": [\"shoes\"]},"
    " \"adjust\": {\"percent\": \"-10\"}},"
    "{\"name\": \"least\", \"floor\": 950}]}";

static void serve_prices(void)
{
    fixture_add_model(&taste_shop, small_prices("sale", "3", rules));
    fixture_serve(&taste_shop, SLOT(NEAR, "\"prices\": \"sale\","));
}

static void assert_price(const char *id, int64_t amount_minor, const char *rule, const char *bound)
{
    const struct decision_item *item = fixture_item(&taste_shop, id);
    char currency[4];
    assert_non_null(item);
    assert_true(item->priced);
    assert_int_equal(item->amount_minor, amount_minor);
    if (rule == NULL)
        assert_null(item->rule);
    else
        assert_string_equal(item->rule, rule);
    if (bound == NULL)
        assert_null(item->bound);
    else
        assert_string_equal(item->bound, bound);
    assert_string_equal(currency_format(item->currency, currency), "EUR");
}

static void test_recommended_items_carry_their_prices(void **state)
{
    (void)state;
    serve_prices();
    assert_string_equal(ASK("\"seeds\": [\"a\", \"c\"], \"n\": 3, \"price\": true"), "full: g b d");
    assert_false(fixture_item(&taste_shop, "g")->priced); /* nobody knows its price */
    assert_price("b", 1800, "shoe sale", NULL);
    assert_price("d", 4000, NULL, NULL);
    assert_int_equal(taste_shop.decision.model_count, 2);
    assert_string_equal(taste_shop.decision.models[1], "sale@3");
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1, \"price\": true, \"context\": {\"channel\": \"app\"}");
    assert_price("b", 1000, "app", NULL);
    /* Nothing is converted: another currency, no price. */
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1, \"price\": true, \"currency\": \"USD\"");
    assert_false(fixture_item(&taste_shop, "b")->priced);
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1, \"price\": true, \"currency\": \"EUR\"");
    assert_price("b", 1800, "shoe sale", NULL);
    (void)ASK("\"seeds\": [\"a\"], \"n\": 1");
    assert_false(fixture_item(&taste_shop, "b")->priced);
    /* Also where the ladder answers. */
    taste_shop.floor = LEVEL_generic;
    (void)ASK("\"n\": 2, \"price\": true");
    assert_price("e", 5000, NULL, NULL);
}

static void test_price_answers_in_the_order_asked_and_in_every_mode(void **state)
{
    (void)state;
    static const char request[] = "\"items\": [{\"id\": \"b\"}, {\"id\": \"a\"}, {\"id\": \"g\"},"
                                  "{\"id\": \"d\", \"qty\": 10}, {\"id\": \"unknown\", \"price\": "
                                  "100}], \"currency\": \"EUR\"";
    char text[1024];
    snprintf(text, sizeof text, "{\"op\": \"price\", %s}", request);
    assert_string_equal(fixture_ask(&taste_shop, text), "full: b a g d unknown");
    assert_price("b", 2000, NULL, NULL);
    serve_prices();
    for (int step = 0; step < 3; step++) {
        taste_shop.floor = step == 1 ? LEVEL_static : LEVEL_full;
        taste_shop.deadline_ns = step == 2 ? 1 : 0;
        assert_string_equal(fixture_ask(&taste_shop, text), "full: b a g d unknown");
        assert_price("b", 1800, "shoe sale", NULL);
        assert_price("a", 950, "shoe sale", "floor");
        assert_false(fixture_item(&taste_shop, "g")->priced);
        assert_price("d", 3200, "many", NULL);
        assert_price("unknown", 950, NULL, "floor");
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, taste_shop_set_up, taste_shop_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_recommended_items_carry_their_prices),
        TEST(test_price_answers_in_the_order_asked_and_in_every_mode),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
