/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "server/control/access.h"
#include "tests/support/temp_dir.h"

#define TOKEN "correct-horse-battery"

static const struct text none = {0};

static enum err_code read_token(const char *bytes, size_t len, struct access_token *ret_token,
                                struct err *err)
{
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_write(&dir, "token", bytes, len);
    enum err_code rc = access_read_token(temp_dir_path(&dir, "token", path), ret_token, err);
    temp_dir_remove(&dir);
    return rc;
}

static void test_without_a_token_only_this_machine_may(void **state)
{
    (void)state;
    struct access_token token = {0};
    struct err err;
    struct access access;
    assert_int_equal(access_read_token("", &token, &err), ERR_OK);
    access_init(&access, &token);
    assert_int_equal(access_check(&access, true, none), REPLY_ok);
    assert_int_equal(access_check(&access, true, text_of("anything")), REPLY_ok);
    assert_int_equal(access_check(&access, false, none), REPLY_forbidden);
    assert_int_equal(access_check(&access, false, text_of(TOKEN)), REPLY_forbidden);
    access_deinit(&access);
}

static void test_a_token_is_wanted_from_everybody(void **state)
{
    (void)state;
    struct access_token token = {0};
    struct err err;
    struct access access;
    assert_int_equal(read_token(" " TOKEN "\r\n", sizeof TOKEN + 2, &token, &err), ERR_OK);
    access_init(&access, &token);
    for (int local = 0; local < 2; local++) {
        assert_int_equal(access_check(&access, local, text_of(TOKEN)), REPLY_ok);
        assert_int_equal(access_check(&access, local, none), REPLY_unauthorized);
        assert_int_equal(access_check(&access, local, text_of("")), REPLY_unauthorized);
        assert_int_equal(access_check(&access, local, text_of(TOKEN "x")), REPLY_unauthorized);
        assert_int_equal(access_check(&access, local, (struct text){TOKEN, sizeof TOKEN - 2}),
                         REPLY_unauthorized);
    }
    access_set(&access, &(struct access_token){0});
    assert_int_equal(access_check(&access, true, none), REPLY_ok);
    access_deinit(&access);
}

static void test_bad_token_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *says;
    } bad[] = {
        {"", "got 0"},
        {"  \n", "got 0"},
        {"fifteen-letters", "got 15"},
        {"sixteen letters!", "character 8"},
        {"sixteen-letters\x7f", "character 16"},
    };
    char longest[ACCESS_TOKEN_BYTES_MAX + 1];
    struct access_token token = {0};
    struct err err;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(read_token(bad[i].bytes, strlen(bad[i].bytes), &token, &err),
                         ERR_BAD_INPUT);
        assert_false(token.is_set);
        assert_non_null(strstr(err.text, bad[i].says));
    }
    memset(longest, 'a', sizeof longest);
    assert_int_equal(read_token(longest, sizeof longest, &token, &err), ERR_BAD_INPUT);
    assert_int_equal(read_token(longest, sizeof longest - 1, &token, &err), ERR_OK);
    assert_int_equal(access_read_token("/nonexistent/token", &token, &err), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_token_only_this_machine_may),
        cmocka_unit_test(test_a_token_is_wanted_from_everybody),
        cmocka_unit_test(test_bad_token_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
