/* SPDX-License-Identifier: Apache-2.0 */
/* What errors say is one line, whatever they quote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <string.h>

#include "base/err.h"

static void test_control_characters_are_not_quoted(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_set(&err, ERR_BAD_INPUT, "slot '%s'", "a\nb\x1b[2J\x7f\xc3\xa4"),
                     ERR_BAD_INPUT);
    assert_string_equal(err.text, "slot 'a?b?[2J?\xc3\xa4'");
    assert_int_equal(err_set(NULL, ERR_IO, "nobody listens"), ERR_IO);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(err_set(&err, ERR_LIMIT, "%*d", 2 * ERR_TEXT_BYTES, 1), ERR_LIMIT);
    assert_int_equal(strlen(err.text), ERR_TEXT_BYTES - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters_are_not_quoted),
        cmocka_unit_test(test_long_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
