/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/decide/expr.h"
#include "tests/support/alloc_fail.h"

/* ---- a shop of one item ---------------------------------------------------------------------- */

enum {
    STOCK,
    PRICE,
    CATEGORY,
    CTR,
    FLAG,
    TAGS,
    COLOUR,
    YEAR,
    WEIGHT,
    NEW,
    LABELS,
    GONE,
    GONE_BOOL
};

static const struct {
    const char *name;
    enum expr_type type;
    uint32_t id, scope;
} fields[] = {
    {"item.stock", EXPR_INT, STOCK, 1},
    {"item.price", EXPR_INT, PRICE, 1},
    {"item.category", EXPR_STRING, CATEGORY, 1},
    {"item.ctr", EXPR_DOUBLE, CTR, 1},
    {"user.is_member", EXPR_BOOL, FLAG, 2},
    {"item.tags", EXPR_STRINGS, TAGS, 1},
    {"item.attributes.colour", EXPR_ANY, COLOUR, 1},
    {"item.attributes.year", EXPR_ANY, YEAR, 1},
    {"item.attributes.weight in kg", EXPR_ANY, WEIGHT, 1},
    {"item.attributes.new", EXPR_ANY, NEW, 1},
    {"item.attributes.labels", EXPR_ANY, LABELS, 1},
    {"item.gone", EXPR_INT, GONE, 1},
    {"user.gone", EXPR_BOOL, GONE_BOOL, 2},
};
static const char *const names[] = {"item.stock", "item.price",     "item.category",
                                    "item.ctr",   "user.is_member", NULL};

static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (text_is(path, fields[i].name)) {
            *ret_field = (struct expr_field){fields[i].type, fields[i].id, fields[i].scope};
            return true;
        }
    }
    return false;
}

static bool give_text(enum expr_type type, const char *text, union expr_value *ret)
{
    ret->text = text_of(text);
    return type == EXPR_STRING || type == EXPR_ANY;
}

static bool give_strings(enum expr_type type, struct text array, union expr_value *ret)
{
    ret->text = array;
    return type == EXPR_STRINGS || type == EXPR_ANY;
}

static bool read_field(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret)
{
    (void)ctx;
    switch (id) {
    case STOCK: ret->integer = 3; return true;
    case PRICE: ret->integer = 1999; return true;
    case CATEGORY: return give_text(type, "t\xc3\xb6ys", ret);
    case CTR: ret->real = 0.25; return true;
    case FLAG: ret->truth = true; return true;
    case TAGS: return give_strings(type, TEXT_LITERAL("\x92\xa4sale\xa3new"), ret);
    case COLOUR: return give_text(type, "red", ret);
    case YEAR:
        if (type == EXPR_DOUBLE)
            ret->real = 2024.0;
        else
            ret->integer = 2024;
        return type == EXPR_INT || type == EXPR_DOUBLE || type == EXPR_ANY;
    case WEIGHT: ret->real = 1.5; return type == EXPR_DOUBLE || type == EXPR_ANY;
    case NEW: ret->truth = true; return type == EXPR_BOOL || type == EXPR_ANY;
    case LABELS:
        return give_strings(type,
                            TEXT_LITERAL("\x93\xa1"
                                         "a\x07\xa1"
                                         "b"),
                            ret);
    default: return false;
    }
}

static const struct expr_schema schema = {.find = find, .names = names};
static const struct expr_env env = {.read = read_field};

static enum err_code compile(const char *source, enum expr_type wanted, struct expr **ret_expr,
                             struct err *err)
{
    return expr_compile(text_of(source), &schema, wanted, ret_expr, err);
}

static enum expr_truth test_of(const char *source)
{
    struct expr *expr = NULL;
    struct err err = {0};
    if (compile(source, EXPR_BOOL, &expr, &err) != ERR_OK)
        fail_msg("%s: %s", source, err.text);
    enum expr_truth truth = expr_test(expr, &env);
    expr_destroy(&expr);
    return truth;
}

/* ---- what holds and what does not ------------------------------------------------------------ */

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
        if (test_of(sources[i]) != EXPR_TRUE)
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
        {"item.attributes.year == 'x'", EXPR_UNKNOWN},
        {"int(item.attributes['weight in kg']) == 1", EXPR_UNKNOWN}, /* it is no int */
        {"math.least(1, item.gone) == 1", EXPR_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (test_of(cases[i].source) != cases[i].truth)
            fail_msg("%s: got %d", cases[i].source, (int)test_of(cases[i].source));
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
        assert_int_equal(compile(cases[i].source, EXPR_DOUBLE, &expr, &err), ERR_OK);
        assert_int_equal(expr_number(expr, &env, &number), cases[i].known);
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
        assert_int_equal(compile(cases[i].source, EXPR_BOOL, &expr, NULL), ERR_OK);
        assert_int_equal(expr_scopes(expr), cases[i].scopes);
        expr_destroy(&expr);
    }
}

/* ---- what is refused, and where -------------------------------------------------------------- */

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
        assert_int_equal(compile(mistakes[i].source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
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
        if (compile(cases[i].source, EXPR_BOOL, &expr, &err) != ERR_OK)
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
        if (compile(cases[i].source, EXPR_BOOL, &expr, &err) != ERR_OK)
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
    assert_int_equal(compile(source, EXPR_BOOL, &expr, &err), ERR_LIMIT);
    memset(source, '(', 1000);
    source[1000] = '\0';
    assert_int_equal(compile(source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "nested deeper than 64"));
    memset(source, '!', 1000);
    assert_int_equal(compile(source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
    size_t used = 0;
    for (int i = 0; i < 1000; i++)
        used +=
            (size_t)snprintf(source + used, sizeof source - used, "item.stock == %d || ", i + 4);
    snprintf(source + used, sizeof source - used, "item.stock == 3");
    assert_int_equal(test_of(source), EXPR_TRUE);
    used = 0;
    for (int i = 0; i < 1100; i++)
        used += (size_t)snprintf(source + used, sizeof source - used, "true && ");
    snprintf(source + used, sizeof source - used, "true");
    assert_int_equal(compile(source, EXPR_BOOL, &expr, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "too long a chain"));
    used = (size_t)snprintf(source, sizeof source, "item.category in [");
    for (int i = 0; i < 5000; i++)
        used += (size_t)snprintf(source + used, sizeof source - used, "'c%d', ", i);
    snprintf(source + used, sizeof source - used, "'t\xc3\xb6ys']");
    assert_int_equal(test_of(source), EXPR_TRUE);
    used -= 2;
    snprintf(source + used, sizeof source - used, "]");
    assert_int_equal(test_of(source), EXPR_FALSE);
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
        enum err_code rc = compile(source, EXPR_BOOL, &expr, &err);
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
        cmocka_unit_test(conditions_hold),
        cmocka_unit_test(what_is_unknown_stays_unknown),
        cmocka_unit_test(numbers_come_out),
        cmocka_unit_test(fields_tell_their_scopes),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(what_a_condition_needs_is_told),
        cmocka_unit_test(ranges_that_a_condition_needs_are_told),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
