/* SPDX-License-Identifier: Apache-2.0 */
/* What CEL's language definition (https://github.com/google/cel-spec, doc/langdef.md) says about
 * the part of the language that expressions have, section by section. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "server/decide/expr.h"

enum { SEVEN, HALF, WORD, YES, WORDS, LOST_INT, LOST_BOOL };

static const struct {
    const char *name;
    enum expr_type type;
} fields[] = {[SEVEN] = {"a.seven", EXPR_INT},     [HALF] = {"a.half", EXPR_DOUBLE},
              [WORD] = {"a.word", EXPR_STRING},    [YES] = {"a.yes", EXPR_BOOL},
              [WORDS] = {"a.words", EXPR_STRINGS}, [LOST_INT] = {"a.lost", EXPR_INT},
              [LOST_BOOL] = {"a.doubt", EXPR_BOOL}};

static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx;
    for (uint32_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (text_is(path, fields[i].name)) {
            *ret_field = (struct expr_field){.type = fields[i].type, .id = i};
            return true;
        }
    }
    return false;
}

static bool read_field(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret)
{
    (void)ctx, (void)type;
    switch (id) {
    case SEVEN: ret->integer = 7; return true;
    case HALF: ret->real = 0.5; return true;
    case WORD: ret->text = TEXT_LITERAL("na\xc3\xafve"); return true;
    case YES: ret->truth = true; return true;
    case WORDS: ret->text = TEXT_LITERAL("\x92\xa3one\xa3two"); return true;
    default: return false;
    }
}

static const struct expr_schema schema = {.find = find};
static const struct expr_env env = {.read = read_field};

#define T EXPR_TRUE
#define F EXPR_FALSE
#define E EXPR_UNKNOWN /* CEL: an error */

struct row {
    const char *source;
    enum expr_truth truth;
};

static void expect_rows(const struct row *rows, size_t count)
{
    static const char *const names[] = {"false", "true", "unknown"};
    for (size_t i = 0; i < count; i++) {
        struct expr *expr = NULL;
        struct err err = {0};
        if (expr_compile(text_of(rows[i].source), &schema, EXPR_BOOL, &expr, &err) != ERR_OK)
            fail_msg("%s: %s", rows[i].source, err.text);
        enum expr_truth truth = expr_test(expr, &env);
        expr_destroy(&expr);
        if (truth != rows[i].truth)
            fail_msg("%s: is %s, not %s", rows[i].source, names[truth], names[rows[i].truth]);
    }
}

static void expect_refused(const char *const *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct expr *expr = NULL;
        struct err err = {0};
        if (expr_compile(text_of(sources[i]), &schema, EXPR_BOOL, &expr, &err) == ERR_OK)
            fail_msg("%s: is not refused", sources[i]);
    }
}

#define ROWS(rows)      expect_rows(rows, sizeof(rows) / sizeof(rows)[0])
#define REFUSED(source) expect_refused(source, sizeof(source) / sizeof(source)[0])

/* "Syntax": precedence and associativity, repetition and nesting to the depth that is asked for. */
static void test_syntax(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1 + 2 * 3 == 7", T},
        {"(1 + 2) * 3 == 9", T},
        {"20 - 5 - 3 == 12", T},
        {"100 / 10 / 5 == 2", T},
        {"17 % 10 % 4 == 3", T},
        {"-7 + 10 == 3", T},
        {"-a.seven + 10 == 3", T},
        {"2 - -2 == 4", T},
        {"true || false && false", T},
        {"(true || false) && false", F},
        {"!false && true", T},
        {"!(true && false)", T},
        {"1 < 2 == true", T},
        {"false ? true : false ? false : true", T},
        {"true ? false : true ? true : true", F},
        {"!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!true", T},
        {"--------------------------------5 == 5", T},
        {"((((((((((((((((((((((((((((((((1))))))))))))))))))))))))))))))))==1", T},
        {"1 // to the end of the line\n == 1", T},
        {"\t1\f==\r\n1 ", T},
    };
    static const char *const refused[] = {"1 +",      "1 2",         "(true", "true)",
                                          "a..seven", "true ? true", "=true", "1 === 1"};
    ROWS(rows);
    REFUSED(refused);
}

/* "Numeric Values" and "String and Bytes Values": literals. */
static void test_literals(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0x1F == 31 && -0x10 == -16", T},
        {"9223372036854775807 == 0x7fffffffffffffff", T},
        {"-9223372036854775808 < -9223372036854775807", T},
        {".5 == 0.5 && 5e-1 == 0.5 && 5.0E-1 == 0.5 && 1e3 == 1000.0", T},
        {"'single' == \"single\"", T},
        {"'''it's''' == \"it's\"", T},
        {"\"\"\"say \"it\" \"\"\" == 'say \"it\" '", T},
        {"'''two\nlines''' == 'two\\nlines'", T},
        {"r'\\n' == '\\\\n' && R\"\\d\" == '\\\\d'", T},
        {"'\\a\\b\\f\\n\\r\\t\\v' == '\\x07\\x08\\x0c\\x0a\\x0d\\x09\\x0b'", T},
        {"'\\u00e9' == '\\xe9' && '\\u00E9' == '\\351' && '\\U0001F600' == '\xf0\x9f\x98\x80'", T},
        {"'\\`\\?\\'\\\"\\\\' == r\"\"\"`?'\"\\\"\"\"", T},
    };
    static const char *const refused[] = {
        "9223372036854775808 > 0",
        "-9223372036854775809 < 0",
        "1u == 1u",
        "1_000 == 1000",
        "0x == 0",
        "'\\q' == 'q'",
        "'\\ud800' == ''",
        "'\\x4' == ''",
        "'\\U00110000' == ''",
        "'two\nlines' == ''",
        "'open",
        "b'x' == b'x'",
        "1.0e == 1.0",
        "'\\18' == ''",
    };
    ROWS(rows);
    REFUSED(refused);
}

/* "Logical Operators": && and || take their sides in any order and absorb errors; ! does not. */
static void test_logic(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"true && true", T},
        {"true && false", F},
        {"false || false", F},
        {"false || true", T},
        {"!true", F},
        {"false && 1 / 0 == 1", F},
        {"1 / 0 == 1 && false", F},
        {"true || 1 / 0 == 1", T},
        {"1 / 0 == 1 || true", T},
        {"true && 1 / 0 == 1", E},
        {"1 / 0 == 1 && true", E},
        {"false || 1 / 0 == 1", E},
        {"1 / 0 == 1 || false", E},
        {"a.doubt && a.doubt", E},
        {"a.doubt || a.doubt", E},
        {"!a.doubt", E},
        {"!(a.doubt && false)", T},
        {"(a.doubt || a.yes) && !(a.doubt && !a.yes)", T},
        {"a.doubt && true && false", F},
        {"a.doubt || false || true", T},
    };
    static const char *const refused[] = {"1 && true", "'a' || false", "!1", "!'a'", "-true == 1"};
    ROWS(rows);
    REFUSED(refused);
}

/* "Logical Operators": e1 ? e2 : e3 evaluates one branch alone; an error of e1 is its own. */
static void test_conditional(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"true ? true : 1 / 0 == 1", T},
        {"false ? 1 / 0 == 1 : true", T},
        {"a.yes ? a.doubt : true", E},
        {"a.doubt ? true : true", E},
        {"(a.seven > 5 ? 'many' : 'few') == 'many'", T},
        {"(a.yes ? 1 : 2) + (a.yes ? 10 : 20) == 11", T},
    };
    static const char *const refused[] = {"1 ? true : false", "(true ? 1 : 'a') == 1",
                                          "(true ? 1 : 1.0) == 1"};
    ROWS(rows);
    REFUSED(refused);
}

/* "Equality" and "Ordering": numbers of both kinds on one line, without rounding; texts by code
 * points; false before true. */
static void test_comparisons(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"1 == 1.0 && 1.0 == 1 && 1 != 1.5", T},
        {"1 < 1.5 && 2 > 1.5 && 1.5 >= 1 && 1.5 <= 2", T},
        {"9007199254740993 == 9007199254740992.0", F},
        {"9007199254740993 > 9007199254740992.0", T},
        {"9223372036854775807 < 9223372036854775808.0", T},
        {"-9223372036854775808 == -9223372036854775808.0", T},
        {"1 < 1e300 && -1 > -1e300", T},
        {"0.0 == -0.0 && !(-0.0 < 0.0)", T},
        {"0.0 / 0.0 == 0.0 / 0.0", F},
        {"0.0 / 0.0 != 0.0 / 0.0", T},
        {"0.0 / 0.0 < 1.0 || 0.0 / 0.0 >= 1.0 || 0.0 / 0.0 > 1", F},
        {"1.0 / 0.0 > 1e308 && -1.0 / 0.0 < -1e308", T},
        {"'a' < 'b' && 'abc' < 'abd' && 'ab' < 'abc' && '' < 'a' && 'Z' < 'a'", T},
        {"'z' < '\\u00e9' && '\\uffff' < '\\U00010000'", T},
        {"'\\u0061\\u0301' == '\\u00e1'", F}, /* no normalisation */
        {"false < true && !(true < true) && true >= true", T},
        {"true != false && true == true", T},
        {"a.lost == a.lost", E},
        {"a.lost != 1", E},
    };
    static const char *const refused[] = {"1 == '1'",           "true == 1", "'a' < 1",
                                          "a.words == a.words", "1 < true",  "null == null"};
    ROWS(rows);
    REFUSED(refused);
}

/* "Arithmetic" and "Overflow": ints fail instead of wrapping round, doubles follow IEEE 754. */
static void test_arithmetic(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"7 / 2 == 3 && -7 / 2 == -3 && 7 / -2 == -3", T},
        {"7 % 3 == 1 && -7 % 3 == -1 && 7 % -3 == 1", T},
        {"7.0 / 2.0 == 3.5", T},
        {"1 / 0 == 0", E},
        {"1 % 0 == 0", E},
        {"9223372036854775807 + 1 > 0", E},
        {"-9223372036854775808 - 1 < 0", E},
        {"4611686018427387904 * 2 > 0", E},
        {"-9223372036854775808 / -1 > 0", E},
        {"-9223372036854775808 % -1 == 0", E},
        {"-(-9223372036854775808) > 0", E},
        {"9223372036854775807 + 0 == 9223372036854775807", T},
        {"1e308 * 10.0 > 1e308", T},
        {"1e-320 / 1e10 == 0.0", T},
        {"0.1 + 0.2 == 0.30000000000000004", T},
        {"a.seven * 2 - 1 == 13 && a.half * 2.0 == 1.0", T},
        {"a.lost + 1 == 1", E},
    };
    static const char *const refused[] = {"1 + 1.0 == 2.0",    "1.0 * 2 == 2.0",
                                          "'a' + 'b' == 'ab'", "5.5 % 2.0 == 1.5",
                                          "true + true == 2",  "'a' * 2 == 'aa'"};
    ROWS(rows);
    REFUSED(refused);
}

/* "Conversions": int() towards zero or an error, double() to the nearest. */
static void test_conversions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"int(1.9) == 1 && int(-1.9) == -1 && int(0.0) == 0 && int(5) == 5", T},
        {"int(9223372036854774784.0) == 9223372036854774784", T},
        {"int(9223372036854775808.0) > 0", E},
        {"int(-9223372036854775809.0) < 0", E},
        {"int(0.0 / 0.0) == 0", E},
        {"int(1.0 / 0.0) == 0", E},
        {"double(3) == 3.0 && double(2.5) == 2.5", T},
        {"double(9007199254740993) == 9007199254740992.0", T},
        {"string('a') == 'a'", T},
    };
    ROWS(rows);
}

/* "List of Standard Definitions": in, size, contains, startsWith, endsWith. */
static void test_functions(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"2 in [1, 2, 3] && !(4 in [1, 2, 3])", T},
        {"'b' in ['a', 'b'] && !('B' in ['a', 'b'])", T},
        {"0.5 in [0.5] && a.half in [0.25, 0.5]", T},
        {"'a' in []", F},
        {"'two' in a.words && !('three' in a.words)", T},
        {"a.lost in [1, 2]", E},
        {"size('') == 0 && size('na\\u00efve') == 5 && size('\\U0001F600') == 1", T},
        {"a.word.size() == 5 && size(a.words) == 2 && a.words.size() == 2", T},
        {"'abc'.contains('b') && 'abc'.contains('') && ''.contains('')", T},
        {"'abc'.contains('ac') || ''.contains('a')", F},
        {"'abc'.startsWith('ab') && 'abc'.startsWith('') && !'abc'.startsWith('abcd')", T},
        {"'abc'.endsWith('bc') && 'abc'.endsWith('') && !'abc'.endsWith('ab')", T},
        {"a.word.contains('\\u00ef') && a.word.startsWith('na') && a.word.endsWith('ve')", T},
    };
    static const char *const refused[] = {
        "size(1) == 1",
        "contains('a', 'b')",
        "'a'.startsWith(1)",
        "'a'.startsWith()",
        "1 in 2",
        "1 in ['a']",
        "1 in [1, 'a']",
        "'a'.matches('a')",
        "'a'.length() == 1",
        "timestamp('2020-01-01T00:00:00Z') == 0",
    };
    ROWS(rows);
    REFUSED(refused);
}

/* "Macros": has() looks whether there is a value and is never an error; the others are not in the
 * subset. */
static void test_macros(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"has(a.seven)", T},
        {"has(a.lost)", F},
        {"!has(a.lost) || a.lost > 3", T},
        {"has(a.lost) && a.lost > 3", F},
        {"has(a.lost) ? a.lost > 3 : true", T},
    };
    static const char *const refused[] = {
        "has(1)",
        "has(a.seven + 1)",
        "has(a.nothing)",
        "has('a')",
        "a.words.all(w, w == 'one')",
        "a.words.exists(w, w == 'one')",
        "size(a.words.filter(w, true)) == 2",
        "size(a.words.map(w, w)) == 2",
        "a.words.exists_one(w, w == 'one')",
    };
    ROWS(rows);
    REFUSED(refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax),      cmocka_unit_test(test_literals),
        cmocka_unit_test(test_logic),       cmocka_unit_test(test_conditional),
        cmocka_unit_test(test_comparisons), cmocka_unit_test(test_arithmetic),
        cmocka_unit_test(test_conversions), cmocka_unit_test(test_functions),
        cmocka_unit_test(test_macros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
