/* SPDX-License-Identifier: Apache-2.0 */
/* What compiling a condition tells: mistakes with their place, what it needs, its ranges and
 * limits; and memory that ends anywhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/decide/expr.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/expr_shop.h"

static const struct {
    const char *source, *message;
} mistakes[] = {
    {"", "line 1, column 1: expected a value, got the end"},
    {"item.prise > 3", "line 1, column 1: unknown field 'item.prise', did you mean 'item.price'?"},
    {"true &&\n  nonsense", "line 2, column 3: unknown field 'nonsense'"},
    {"item.stock > ", "line 1, column 14: expected a value, got the end"},
    {"item.stock > 3)", "line 1, column 15: expected an operator or the end, got ')'"},
    {"(item.stock > 3", "line 1, column 16: expected ')', got the end"},
    {"item.stock = 3", "line 1, column 12: unexpected '='; did you mean '=='?"},
    {"true & false", "line 1, column 6: unexpected '&'; did you mean '&&'?"},
    {"item.stock", "line 1, column 1: expected a bool here, got a int"},
    {"item.stock == 'a'", "line 1, column 12: cannot compare a int and a string"},
    {"item.stock + 1.0 > 2.0",
     "line 1, column 12: cannot calculate with a int and a double; convert one with int() or "
     "double()"},
    {"item.category + 'a' == 'b'", "line 1, column 15: texts cannot be put together"},
    {"1.5 % 2.0 == 0.0", "line 1, column 5: '%' takes ints alone"},
    {"item.attributes.year == item.attributes.colour",
     "line 1, column 22: the type of both sides is unknown; say it with int(), double() or "
     "string()"},
    {"item.stock in [1, 'a']", "line 1, column 19: the members of a list are of one type"},
    {"item.stock in ['a']", "line 1, column 1: expected a string here, got a int"},
    {"[1] == [1]", "line 1, column 1: a list stands to the right of 'in' alone"},
    {"item.stock in [item.price]",
     "line 1, column 16: expected a number or a text in quotes, got 'item'"},
    {"item.tags == item.tags",
     "line 1, column 11: cannot compare a list of strings and a list of strings"},
    {"item.category.matches('a.*')",
     "line 1, column 1: regular expressions are not supported; there are startsWith, endsWith "
     "and contains"},
    {"item.category.startWith('a')",
     "line 1, column 1: unknown function 'startWith', did you mean 'startsWith'?"},
    {"startsWith('a')", "line 1, column 1: unknown function 'startsWith' here"},
    {"item.category.startsWith()", "line 1, column 1: startsWith: expected 1 argument, got 0"},
    {"size(item.tags, 1) == 1", "line 1, column 1: size: expected 1 argument, got 2"},
    {"has(1)", "line 1, column 1: has: expected the name of a field"},
    {"true ? 1 : 'a'",
     "line 1, column 6: both branches of ?: must give the same type, and no list"},
    {"1u == 1",
     "line 1, column 1: numbers without a sign (uint) are not supported; leave the 'u' out"},
    {"b'a' == b'a'", "line 1, column 1: bytes are not supported"},
    {"null == null", "line 1, column 1: unexpected 'null'"},
    {"'abc", "line 1, column 1: the string does not end"},
    {"'a\nb' == ''", "line 1, column 1: the string does not end"},
    {"'\\q' == ''", "line 1, column 2: unknown escape in a string"},
    {"'\\ud800' == ''", "line 1, column 4: the escape stands for no character"},
    {"'\\x4' == ''", "line 1, column 4: expected 2 digits of base 16 in '\\'"},
    {"9223372036854775808 > 0", "line 1, column 1: the number is beyond 64 bits"},
    {"-9223372036854775809 < 0", "line 1, column 2: the number is beyond 64 bits"},
    {"1e999 > 0.0", "line 1, column 1: the number does not fit"},
    {"1a == 1", "line 1, column 2: unexpected 'a' after a number"},
    {"0x == 1", "line 1, column 1: expected digits after 0x"},
    {"item..stock", "line 1, column 6: expected a name, got '.'"},
    {"item[stock]", "line 1, column 6: expected a text in quotes, got 'stock'"},
    {"item.stock ; 1", "line 1, column 12: unexpected ';'"},
    {"true \x01", "line 1, column 6: unexpected byte 0x01"},
    {"math.leest(1, 2) == 1",
     "line 1, column 1: unknown function 'math.leest', did you mean 'math.least'?"},
    {"math.least(1, 2.0) == 1",
     "line 1, column 15: the numbers are of one kind; convert with int() or double()"},
    {"[1, 2", "line 1, column 6: expected ',', got the end"},
};

static void mistakes_are_told_with_their_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        struct expr *expr = NULL;
        struct err err = {0};
        assert_int_equal(expr_shop_compile(mistakes[i].source, EXPR_BOOL, &expr, &err),
                         ERR_BAD_INPUT);
        assert_null(expr);
        assert_string_equal(err.text, mistakes[i].message);
    }
}

static void what_a_condition_needs_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *source, *texts;
    } cases[] = {
        {"item.category == 'a'", "a "},
        {"item.category in ['a', 'b', 'c']", "a b c "},
        {"item.category in ['a', 'b', 'c', 'd']", ""}, /* too many */
        {"item.stock > 2 && item.category == 'a' && item.price < 5", "a "},
        {"(item.stock > 2 || item.price < 5) && (item.price > 1 && item.category in ['b'])", "b "},
        {"item.category == 'a' || item.stock > 2", ""},
        {"!(item.category == 'a')", ""},
        {"item.category != 'a'", ""},
        {"item.category > 'a'", ""},
        {"item.category == 'a' ? item.stock > 2 : item.stock > 3", ""},
        {"item.stock > 2 ? item.category == 'a' : item.stock > 3", ""},
        {"(item.category == 'a') == false && item.stock > 2", ""},
        {"'a' == item.category && item.attributes.colour == 'b'", ""},
        {"item.attributes.colour == 'b' && item.category in ['x', 'y']", "x y "},
        {"item.category in []", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr *expr = NULL;
        struct err err = {0};
        struct text text[3];
        char found[100] = "";
        if (expr_shop_compile(cases[i].source, EXPR_BOOL, &expr, &err) != ERR_OK)
            fail_msg("%s: %s", cases[i].source, err.text);
        uint32_t count = expr_texts_needed(expr, CATEGORY, text, 3);
        for (uint32_t t = 0; t < count; t++) {
            size_t used = strlen(found);
            snprintf(found + used, sizeof found - used, "%.*s ", (int)text[t].len, text[t].ptr);
        }
        if (strcmp(found, cases[i].texts) != 0)
            fail_msg("%s: needs '%s', not '%s'", cases[i].source, found, cases[i].texts);
        expr_destroy(&expr);
    }
}

static void ranges_that_a_condition_needs_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        bool any;
        int64_t min, max;
    } cases[] = {
        {"item.stock >= 5", true, 5, INT64_MAX},
        {"item.stock > 5", true, 6, INT64_MAX},
        {"item.stock <= 5", true, INT64_MIN, 5},
        {"item.stock < 5 && item.category == 'a'", true, INT64_MIN, 4},
        {"item.stock == 5", true, 5, 5},
        {"item.stock > 2 && item.stock < 9 && item.stock >= 4", true, 4, 8},
        {"item.stock > 9 && item.stock < 2", true, 10, 1},
        {"item.stock < -9223372036854775807", true, INT64_MIN, INT64_MIN},
        {"item.stock > 9223372036854775807", true, INT64_MAX, INT64_MAX},
        {"item.stock != 5", false, 0, 0},
        {"item.stock > 5 || item.category == 'a'", false, 0, 0},
        {"!(item.stock > 5)", false, 0, 0},
        {"item.stock > 5 ? item.category == 'a' : item.category == 'b'", false, 0, 0},
        {"item.price > 5", false, 0, 0},
        {"item.category == 'a'", false, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr *expr = NULL;
        struct err err = {0};
        int64_t min = INT64_MIN, max = INT64_MAX;
        if (expr_shop_compile(cases[i].source, EXPR_BOOL, &expr, &err) != ERR_OK)
            fail_msg("%s: %s", cases[i].source, err.text);
        bool any = expr_range_needed(expr, STOCK, &min, &max);
        if (any != cases[i].any || (any && (min != cases[i].min || max != cases[i].max)))
            fail_msg("%s: %d, %lld to %lld", cases[i].source, any, (long long)min, (long long)max);
        expr_destroy(&expr);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    static char source[EXPR_BYTES_MAX + 2];
    struct expr *expr = NULL;
    struct err err;
    memset(source, ' ', sizeof source - 1);
    assert_int_equal(expr_shop_compile(source, EXPR_BOOL, &expr, &err), ERR_LIMIT);
    memset(source, '(', 1000);
    source[1000] = '\0';
    assert_int_equal(expr_shop_compile(source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "nested deeper than 64"));
    memset(source, '!', 1000);
    assert_int_equal(expr_shop_compile(source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
    size_t used = 0;
    for (int i = 0; i < 1000; i++)
        used +=
            (size_t)snprintf(source + used, sizeof source - used, "item.stock == %d || ", i + 4);
    snprintf(source + used, sizeof source - used, "item.stock == 3");
    assert_int_equal(expr_shop_test(source), EXPR_TRUE);
    used = 0;
    for (int i = 0; i < 1100; i++)
        used += (size_t)snprintf(source + used, sizeof source - used, "true && ");
    snprintf(source + used, sizeof source - used, "true");
    assert_int_equal(expr_shop_compile(source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "too long a chain"));
    used = (size_t)snprintf(source, sizeof source, "item.category in [");
    for (int i = 0; i < 5000; i++)
        used += (size_t)snprintf(source + used, sizeof source - used, "'c%d', ", i);
    snprintf(source + used, sizeof source - used, "'t\xc3\xb6ys']");
    assert_int_equal(expr_shop_test(source), EXPR_TRUE);
    used -= 2;
    snprintf(source + used, sizeof source - used, "]");
    assert_int_equal(expr_shop_test(source), EXPR_FALSE);
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    static const char source[] =
        "item.category in ['1','2','3','4','5','6','7','8','9'] || item.stock in [1, 2] ? "
        "math.least(item.ctr, 0.1) > 0.0 : item.attributes.colour == 'red' && has(item.gone)";
    for (uint32_t n = 0;; n++) {
        struct expr *expr = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = expr_shop_compile(source, EXPR_BOOL, &expr, &err);
        bool failed = alloc_fail_off();
        expr_destroy(&expr);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 5);
            return;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(what_a_condition_needs_is_told),
        cmocka_unit_test(ranges_that_a_condition_needs_are_told),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
