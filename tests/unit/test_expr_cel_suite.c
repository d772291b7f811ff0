/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of CEL's own conformance suite that fall in the subset of expressions.
 *
 * The suite is not part of this repository: DECIDED_CEL_SPEC names a copy of
 * https://github.com/google/cel-spec.  A case that compiles must give what the suite says; one that
 * is refused must be refused for a reason that docs/expressions.md gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "server/decide/expr.h"
#include "tests/support/cel_cases.h"

/* Files without a case in the subset (messages, timestamps, extensions) are left out. */
static const char *const files[] = {"basic",        "comparisons", "conversions", "fp_math",
                                    "integer_math", "lists",       "logic",       "math_ext",
                                    "parse",        "string"};

/* What is refused is refused for one of these. */
static const char *const reasons[] = {
    "unknown function",
    "unknown field",
    "numbers without a sign (uint) are not supported",
    "bytes are not supported",
    "texts cannot be put together",
    "a list stands to the right of 'in' alone",
    "expected a string here, got a", /* conversions of texts */
    "expected a number here, got a",
    "unexpected 'null'",
    "got '{'",
    "got '['",
    "unexpected '{'",
    "expected a number or a text in quotes", /* in lists */
    "the members of a list are of one type",
    "both branches of ?: must give the same type",
    "expected a bool here, got a",
    "the numbers are of one kind",
    "regular expressions are not supported",
};

struct tally {
    const char *file;
    uint32_t run, refused, passed_over, wrong;
};

static bool find_nothing(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx, (void)path, (void)ret_field;
    return false;
}

static const struct expr_schema schema = {.find = find_nothing};

static void put_text(char *to, size_t room, struct text text)
{
    size_t used = strlen(to);
    for (uint32_t i = 0; i < text.len && used + 8 < room; i++) {
        char c = text.ptr[i];
        bool escapes = c == '"' || c == '\\' || (unsigned char)c < ' ' || c == 0x7f;
        used +=
            (size_t)snprintf(to + used, room - used, escapes ? "\\x%02x" : "%c", (unsigned char)c);
    }
}

/* A condition that is true (unknown, for errors) where the case is fulfilled. */
static void write_condition(const struct cel_case *one, char *to, size_t room)
{
    int expr_len = (int)one->expr.len, value_len = (int)one->value.len;
    switch (one->expectation) {
    case CEL_EXPECTS_ERROR:
        snprintf(to, room, "(%.*s) == (%.*s)", expr_len, one->expr.ptr, expr_len, one->expr.ptr);
        return;
    case CEL_EXPECTS_STRING:
        snprintf(to, room, "(%.*s) == \"", expr_len, one->expr.ptr);
        put_text(to, room, one->value);
        snprintf(to + strlen(to), room - strlen(to), "\"");
        return;
    case CEL_EXPECTS_DOUBLE:
        if (text_is(one->value, "inf") || text_is(one->value, "-inf"))
            snprintf(to, room, "(%.*s) %s1.7976931348623157e308", expr_len, one->expr.ptr,
                     one->value.ptr[0] == '-' ? "< -" : "> ");
        else if (text_is(one->value, "nan"))
            snprintf(to, room, "(%.*s) != (%.*s)", expr_len, one->expr.ptr, expr_len,
                     one->expr.ptr);
        else
            snprintf(to, room, "(%.*s) == double(%.*s)", expr_len, one->expr.ptr, value_len,
                     one->value.ptr);
        return;
    default:
        snprintf(to, room, "(%.*s) == %.*s", expr_len, one->expr.ptr, value_len, one->value.ptr);
    }
}

static bool is_good_reason(const char *message)
{
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (strstr(message, reasons[i]) != NULL)
            return true;
    }
    return false;
}

static void try_case(void *ctx, const struct cel_case *one)
{
    struct tally *tally = ctx;
    static char condition[65536];
    struct expr *expr = NULL;
    struct err err = {0};
    bool wants_error = one->expectation == CEL_EXPECTS_ERROR;
    if (one->has_environment || one->expectation == CEL_EXPECTS_OTHER) {
        tally->passed_over++;
        return;
    }
    write_condition(one, condition, sizeof condition);
    enum err_code rc = expr_compile(text_of(condition), &schema, EXPR_BOOL, &expr, &err);
    if (rc != ERR_OK) {
        bool is_fine = wants_error || is_good_reason(err.text);
        tally->refused++;
        tally->wrong += !is_fine;
        if (!is_fine)
            print_message("%s/%.*s/%.*s: %s\n    %s\n", tally->file, (int)one->section.len,
                          one->section.ptr, (int)one->name.len, one->name.ptr, condition, err.text);
        return;
    }
    static const char *const found[] = {"false", "true", "unknown"};
    enum expr_truth truth = expr_test(expr, &(struct expr_env){0});
    tally->run++;
    if (truth != (wants_error ? EXPR_UNKNOWN : EXPR_TRUE)) {
        tally->wrong++;
        print_message("%s/%.*s/%.*s: %s\n    is %s\n", tally->file, (int)one->section.len,
                      one->section.ptr, (int)one->name.len, one->name.ptr, condition, found[truth]);
    }
    expr_destroy(&expr);
}

static void test_the_suite_agrees(void **state)
{
    (void)state;
    const char *home = getenv("DECIDED_CEL_SPEC");
    struct tally tally = {0};
    if (home == NULL) {
        print_message(
            "SKIPPED: DECIDED_CEL_SPEC does not name a copy of github.com/google/cel-spec; "
            "CEL's own suite did not run\n");
        skip();
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char path[4096];
        uint8_t *bytes = NULL;
        size_t len = 0;
        struct err err = {0};
        snprintf(path, sizeof path, "%s/tests/simple/testdata/%s.textproto", home, files[i]);
        if (file_read(path, (size_t)1 << 22, &bytes, &len, &err) != ERR_OK)
            fail_msg("%s", err.text);
        tally.file = files[i];
        uint32_t before = tally.run;
        if (!cel_cases_read((const char *)bytes, len, try_case, &tally))
            fail_msg("%s: not the text of a SimpleTestFile", path);
        print_message("%-14s %u cases ran\n", files[i], tally.run - before);
        free(bytes);
    }
    print_message("%u cases ran, %u are outside of the subset, %u need an environment or give a "
                  "value of another kind; %u are wrong\n",
                  tally.run, tally.refused, tally.passed_over, tally.wrong);
    assert_int_equal(tally.wrong, 0);
    assert_true(tally.run >= 250);
}

/* The reader of the cases, which would otherwise be tried only where there is a copy. */
static void count_case(void *ctx, const struct cel_case *one)
{
    uint32_t *count = ctx;
    static const struct {
        const char *name, *expr, *value;
        enum cel_expectation expectation;
        bool has_environment;
    } wanted[] = {
        {"one", "1 + 1", "2", CEL_EXPECTS_INT, false},
        {"two", "'\xc3\xa4' == \"\\x41\"", "false", CEL_EXPECTS_BOOL, false},
        {"three", "x / 0", "", CEL_EXPECTS_ERROR, true},
        {"four", "[1]", "", CEL_EXPECTS_OTHER, false},
        {"default", "1 < 2", "true", CEL_EXPECTS_BOOL, false},
        {"five", "'a'", "a\n\"\xe2\x82\xac", CEL_EXPECTS_STRING, false},
    };
    assert_true(*count < 6);
    assert_true(text_is(one->section, "s"));
    assert_true(text_is(one->name, wanted[*count].name));
    assert_true(text_is(one->expr, wanted[*count].expr));
    assert_int_equal(one->expectation, wanted[*count].expectation);
    assert_int_equal(one->has_environment, wanted[*count].has_environment);
    if (wanted[*count].value[0] != '\0')
        assert_true(text_is(one->value, wanted[*count].value));
    ++*count;
}

static void test_cases_are_read(void **state)
{
    (void)state;
    static const char text[] =
        "# comment\nname: \"f\"\nsection {\n  name: \"s\" description: 'd'\n"
        "  test { name: \"one\" expr: \"1 + 1\" value: { int64_value: 2 } }\n"
        "  test: { name: 'two' expr: \"'\\u00e4' \" '== \"\\\\x41\"' disable_check: true\n"
        "    value { bool_value: false } }\n"
        "  test { name: \"three\", expr: \"x / 0\" bindings { key: \"x\" value { value {\n"
        "    int64_value: 1 } } } eval_error: { errors: [{ message: \"}\" }] } }\n"
        "  test { name: \"four\" expr: \"[1]\" value: { list_value { values: { int64_value: 1 } } "
        "} }\n"
        "  test { name: \"default\" expr: \"1 < 2\" }\n"
        "  test { name: \"five\" expr: \"'a'\" value { string_value: \"a\\n\\\"\\342\\202\\254\" } "
        "}\n"
        "}\n";
    uint32_t count = 0;
    assert_true(cel_cases_read(text, sizeof text - 1, count_case, &count));
    assert_int_equal(count, 6);
    count = 0;
    assert_false(cel_cases_read(text, sizeof text - 4, count_case, &count));
    assert_false(cel_cases_read("section: 3", 10, count_case, &count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases_are_read),
        cmocka_unit_test(test_the_suite_agrees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
