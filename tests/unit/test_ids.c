/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/ids.h"
#include "tests/support/alloc_fail.h"

static enum err_code open_ids(const char *text, size_t len, uint64_t expected, struct ids **ids,
                              struct err *err)
{
    uint8_t *bytes = malloc(len + 1);
    assert_non_null(bytes);
    memcpy(bytes, text, len);
    enum err_code rc = ids_open("ids.txt", bytes, len, expected, ids, err);
    if (rc != ERR_OK)
        free(bytes);
    return rc;
}

static void test_reads_rows_with_and_without_a_last_line_feed(void **state)
{
    (void)state;
    static const char *const texts[] = {"a\nbb\n\xc3\xa9t\xc3\xa9 1",
                                        "a\nbb\n\xc3\xa9t\xc3\xa9 1\n"};
    for (int i = 0; i < 2; i++) {
        struct ids *ids = NULL;
        struct err err = {0};
        assert_int_equal(open_ids(texts[i], strlen(texts[i]), 3, &ids, &err), ERR_OK);
        assert_int_equal(ids_count(ids), 3);
        assert_true(text_is(ids_text(ids, 1), "bb"));
        assert_true(text_is(ids_all(ids)[2], "\xc3\xa9t\xc3\xa9 1"));
        assert_int_equal(ids_find(ids, TEXT_LITERAL("a")), 0);
        assert_int_equal(ids_find(ids, TEXT_LITERAL("\xc3\xa9t\xc3\xa9 1")), 2);
        assert_int_equal(ids_find(ids, TEXT_LITERAL("b")), UINT32_MAX);
        assert_int_equal(ids_find(ids, TEXT_LITERAL("")), UINT32_MAX);
        ids_close(&ids);
        assert_null(ids);
    }
}

static void test_an_empty_list_finds_nothing(void **state)
{
    (void)state;
    struct ids *ids = NULL;
    struct err err = {0};
    assert_int_equal(open_ids("", 0, 0, &ids, &err), ERR_OK);
    assert_int_equal(ids_count(ids), 0);
    assert_int_equal(ids_find(ids, TEXT_LITERAL("a")), UINT32_MAX);
    ids_close(&ids);
}

static void test_refuses_with_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t expected;
        const char *says;
    } bad[] = {
        {"a\nb", 3, "ids.txt: expected 3 ids, got 2"},
        {"a\n\nb", UINT64_MAX, "line 2 is blank"},
        {"\n", UINT64_MAX, "line 1 is blank"},
        {"a\nb\n\n", UINT64_MAX, "line 3 is blank"},
        {"a\nb\na\n", UINT64_MAX, "line 3: 'a' stands on line 1 already"},
        {"a\r\nb\r\n", UINT64_MAX, "line 1: expected an id"},
        {"a\nb\tc\n", UINT64_MAX, "line 2: expected an id"},
        {"a\n\xff\n", UINT64_MAX, "line 2: expected an id"},
        {"a\n\xc3\n\xa9", UINT64_MAX, "line 2: expected an id"},
        {"\xef\xbb\xbf"
         "a\nb\n",
         2, "ids.txt: begins with a byte order mark"},
        {"\xef\xbb\xbf", UINT64_MAX, "byte order mark"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ids *ids = NULL;
        struct err err = {0};
        assert_int_equal(open_ids(bad[i].text, strlen(bad[i].text), bad[i].expected, &ids, &err),
                         ERR_CORRUPT);
        assert_null(ids);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("says: %s\n  without: %s", err.text, bad[i].says);
    }
    char line[ID_BYTES_MAX + 1];
    memset(line, 'x', sizeof line);
    struct ids *ids = NULL;
    struct err err = {0};
    assert_int_equal(open_ids(line, ID_BYTES_MAX, 1, &ids, &err), ERR_OK);
    ids_close(&ids);
    assert_int_equal(open_ids(line, ID_BYTES_MAX + 1, 1, &ids, &err), ERR_CORRUPT);
    assert_int_equal(open_ids("a\0b", 3, 1, &ids, &err), ERR_CORRUPT);
}

static void test_finds_each_of_many(void **state)
{
    (void)state;
    enum { COUNT = 50000 };
    char *text = malloc(COUNT * 16);
    size_t used = 0;
    struct ids *ids = NULL;
    struct err err = {0};
    for (int i = 0; i < COUNT; i++)
        used += (size_t)snprintf(text + used, 16, "item-%d\n", i * 7);
    assert_int_equal(open_ids(text, used, COUNT, &ids, &err), ERR_OK);
    uint64_t before = alloc_count();
    for (int i = 0; i < COUNT; i++) {
        char id[16];
        snprintf(id, sizeof id, "item-%d", i * 7);
        assert_int_equal(ids_find(ids, text_of(id)), i);
        snprintf(id, sizeof id, "item-%d", i * 7 + 1);
        assert_int_equal(ids_find(ids, text_of(id)), UINT32_MAX);
    }
    assert_int_equal(alloc_count(), before);
    assert_true(ids_bytes(ids) >= used + COUNT * sizeof(struct text));
    ids_close(&ids);
    free(text);
}

static void test_survives_failed_allocations(void **state)
{
    (void)state;
    uint32_t n = 0;
    for (bool failed = true; failed; n++) {
        struct ids *ids = NULL;
        struct err err = {0};
        uint8_t *bytes = malloc(4);
        memcpy(bytes, "a\nb\n", 4);
        alloc_fail_after(n);
        enum err_code rc = ids_open("ids.txt", bytes, 4, 2, &ids, &err);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
        if (failed)
            free(bytes);
        ids_close(&ids);
    }
    assert_int_equal(n, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_rows_with_and_without_a_last_line_feed),
        cmocka_unit_test(test_an_empty_list_finds_nothing),
        cmocka_unit_test(test_refuses_with_the_line),
        cmocka_unit_test(test_finds_each_of_many),
        cmocka_unit_test(test_survives_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
