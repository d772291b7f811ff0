/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions over a shop of one item: what holds, what stays unknown, and which numbers come out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "server/decide/expr.h"
#include "tests/support/expr_shop.h"

static void conditions_hold(void **state)
{
    (void)state;
    static const char *const sources[] = {
        "true",
        "item.stock == 3",
        "item.stock != 4 && item.stock < 4 && item.stock <= 3 && item.stock > 2 && item.stock >= 3",
        "item.category == 't\\u00f6ys' && item.category != \"toys\"",
        "item.category in ['a', \"b\", 't\\xf6ys']",
        "!(item.stock in [1, 2, -3]) && item.stock in [3]",
        "'sale' in item.tags && !('sal' in item.tags)",
        "'a' in item.attributes.labels && 'b' in item.attributes['labels']",
        "size(item.tags) == 2 && size(item.category) == 4 && item.category.size() == 4",
        "size(item.attributes.labels) == 3 && item.attributes.colour.size() == 3",
        "item.attributes.colour == 'red'",
        "item.attributes.year >= 2024 && item.attributes.year < 2024.5",
        "item.attributes.year + 1 == 2025",
        "item.attributes.new && user.is_member",
        "item.attributes[\"weight in kg\"] == 1.5",
        "item.attributes['weight in kg'] != 1",
        "item.category.startsWith('t') && item.category.endsWith(\"ys\") && "
        "item.category.contains('\\303\\266')"
        " == false",
        "item.category.contains('\xc3\xb6y') && 'abc'.contains('') && 'abc'.startsWith('abc')",
        /* numbers */
        "1 + 2 * 3 == 7 && (1 + 2) * 3 == 9 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1",
        "2 - 3 - 4 == -5 && 100 / 10 / 5 == 2",
        "0x10 == 16 && -0x8000000000000000 == -9223372036854775807 - 1",
        "1.5e1 == 15.0 && .5 == 0.5 && 1e-1 < 0.2 && -1.5 < -1.4",
        "1 == 1.0 && 1 < 1.5 && 2.5 > 2 && 3 >= 2.9 && 1.0 != 2",
        /* a double cannot hold the int: compared exactly all the same */
        "9007199254740993 > 9007199254740992.0 && 9223372036854775807 < 9223372036854775808.0",
        "double(item.price) * 0.5 == 999.5 && int(999.9) == 999 && int(-999.9) == -999",
        "1.0 / 0.0 > 1e308 && !(0.0 / 0.0 == 0.0 / 0.0) && 0.0 / 0.0 != 0.0 / 0.0",
        "math.least(3, 1, 2) == 1 && math.greatest(1.5, 2.5) == 2.5 && math.least(7) == 7",
        "-(-3) == 3 && - -3 == 3 && -item.stock == -3 && !!true",
        /* texts */
        "'a' < 'b' && 'a' < 'aa' && '' < 'a' && 'Z' < 'a' && 'b' >= 'b'",
        "\"\"\"a\"b\nc\"\"\" == 'a\"b\\nc' && r'\\n' == '\\\\n' && '\\x41\\101\\U00000041' == "
        "'AAA'",
        "'\\'\"\\\\\\a\\b\\f\\n\\r\\t\\v\\?\\`'.size() == 12",
        /* precedence, branches, comments */
        "true || false && false",
        "!(false || false) // and a comment\n && true",
        "item.stock > 5 ? false : item.stock > 2 ? true : false",
        "(item.stock > 2 ? 'yes' : 'no') == 'yes'",
        "(true ? item.attributes.year : 1) == 2024 && (true ? item.attributes.colour : '') == "
        "'red'",
        "false < true && true == true",
        /* what is there */
        "has(item.stock) && !has(item.gone) && has(item.attributes.colour)",
        "string(item.attributes.colour) == string('red') && int(item.attributes.year) == 2024",
        "item.stock in [] == false",
    };
    for (size_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        if (expr_shop_test(sources[i]) != EXPR_TRUE)
            fail_msg("not true: %s", sources[i]);
    }
}

static void what_is_unknown_stays_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum expr_truth truth;
    } cases[] = {
        {"item.gone == 1", EXPR_UNKNOWN},
        {"item.gone != 1", EXPR_UNKNOWN},
        {"!(item.gone == 1)", EXPR_UNKNOWN},
        {"item.gone == 1 && false", EXPR_FALSE},
        {"false && item.gone == 1", EXPR_FALSE},
        {"item.gone == 1 && true", EXPR_UNKNOWN},
        {"true && item.gone == 1", EXPR_UNKNOWN},
        {"item.gone == 1 || true", EXPR_TRUE},
        {"true || item.gone == 1", EXPR_TRUE},
        {"item.gone == 1 || false", EXPR_UNKNOWN},
        {"user.gone || user.gone", EXPR_UNKNOWN},
        {"user.gone ? true : true", EXPR_UNKNOWN},
        {"(true ? item.gone : 1) == 1", EXPR_UNKNOWN},
        {"(false ? item.gone : 1) == 1", EXPR_TRUE},
        {"item.gone in [1]", EXPR_UNKNOWN},
        {"has(item.gone) && item.gone > 1", EXPR_FALSE},
        {"!has(item.gone) || item.gone > 1", EXPR_TRUE},
        {"item.gone + 1 > 0", EXPR_UNKNOWN},
        {"9223372036854775807 + 1 > 0", EXPR_UNKNOWN},
        {"-9223372036854775807 - 2 < 0", EXPR_UNKNOWN},
        {"-(-9223372036854775807 - 1) > 0", EXPR_UNKNOWN},
        {"4611686018427387904 * 2 > 0", EXPR_UNKNOWN},
        {"1 / 0 == 0", EXPR_UNKNOWN},
        {"1 % 0 == 0", EXPR_UNKNOWN},
        {"(-9223372036854775807 - 1) / -1 == 0", EXPR_UNKNOWN},
        {"int(1e19) > 0", EXPR_UNKNOWN},
        {"int(0.0 / 0.0) == 0", EXPR_UNKNOWN},
        {"item.attributes.colour == 1", EXPR_UNKNOWN}, /* it is a text */
        {"size(item.attributes.year) == 4", EXPR_UNKNOWN},
        {"size(item.attributes.new) == 0", EXPR_UNKNOWN},
        {"item.attributes.year == 'x'", EXPR_UNKNOWN},
        {"int(item.attributes['weight in kg']) == 1", EXPR_UNKNOWN}, /* it is no int */
        {"math.least(1, item.gone) == 1", EXPR_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (expr_shop_test(cases[i].source) != cases[i].truth)
            fail_msg("%s: got %d", cases[i].source, (int)expr_shop_test(cases[i].source));
    }
}

static void numbers_come_out(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        bool known;
        double number;
    } cases[] = {{"item.ctr * 2.0", true, 0.5},
                 {"item.stock", true, 3.0},
                 {"item.gone", false, 0.0},
                 {"1.0 / 0.0", false, 0.0},
                 {"item.attributes.year", true, 2024.0},
                 {"0.0 / 0.0", false, 0.0},
                 {"user.is_member ? 1.5 : 1.0", true, 1.5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr *expr = NULL;
        double number = 0.0;
        struct err err;
        assert_int_equal(expr_shop_compile(cases[i].source, EXPR_DOUBLE, &expr, &err), ERR_OK);
        assert_int_equal(expr_number(expr, &expr_shop_env, &number), cases[i].known);
        if (cases[i].known)
            assert_true(number == cases[i].number);
        expr_destroy(&expr);
    }
}

static void fields_tell_their_scopes(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        uint32_t scopes;
    } cases[] = {{"true", 0}, {"user.is_member", 2}, {"item.stock > 1 || user.is_member", 3}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct expr *expr = NULL;
        assert_int_equal(expr_shop_compile(cases[i].source, EXPR_BOOL, &expr, NULL), ERR_OK);
        assert_int_equal(expr_scopes(expr), cases[i].scopes);
        expr_destroy(&expr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conditions_hold),
        cmocka_unit_test(what_is_unknown_stays_unknown),
        cmocka_unit_test(numbers_come_out),
        cmocka_unit_test(fields_tell_their_scopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
