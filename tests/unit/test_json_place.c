/* SPDX-License-Identifier: Apache-2.0 */
/* The line and the column that messages about JSON files name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tests/support/alloc_fail.h"

static cJSON *parse(const char *text)
{
    cJSON *root = NULL;
    struct err err = {0};
    if (json_parse_placed("f.json", text, strlen(text), &root, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return root;
}

static void test_a_member_stands_where_its_key_is(void **state)
{
    (void)state;
    cJSON *root =
        parse("// one line\n"
              "{ \"a\": { /* here\n"
              "   and */ \"b\" :\n"
              "     [10, \"x\", true, false, null, {\"c\": -1.5e3}, [ 7]] }, \"d\": \"\" }");
    static const char *const places[] = {
        "f.json:4:7: a.b[0]",  "f.json:4:11: a.b[1]", "f.json:4:16: a.b[2]", "f.json:4:22: a.b[3]",
        "f.json:4:29: a.b[4]", "f.json:4:35: a.b[5]", "f.json:4:50: a.b[6]"};
    struct json_at at = json_root("f.json", root);
    assert_string_equal(at.path, "f.json:2:1");
    struct json_at a = json_member(&at, "a"), b = json_member(&a, "b");
    assert_string_equal(a.path, "f.json:2:3: a");
    assert_string_equal(b.path, "f.json:3:11: a.b");
    for (int i = 0; i < 7; i++) {
        struct json_at element = json_element(&b, i);
        assert_string_equal(element.path, places[i]);
    }
    struct json_at object = json_element(&b, 5), c = json_member(&object, "c");
    assert_string_equal(c.path, "f.json:4:36: a.b[5].c");
    assert_true(c.value->valuedouble == -1500.0);
    struct json_at list = json_element(&b, 6), seven = json_element(&list, 0);
    assert_string_equal(seven.path, "f.json:4:52: a.b[6][0]");
    struct json_at d = json_member(&at, "d");
    assert_string_equal(d.path, "f.json:4:59: d");
    cJSON_Delete(root);
}

static void test_what_is_missing_is_missing_from_a_place(void **state)
{
    (void)state;
    struct err err = {0};
    cJSON *root = parse("{\n \"a\": {}, \"list\": []}");
    const char *text = NULL;
    struct json_at at = json_root("f.json", root), a = json_member(&at, "a");
    struct json_at b = json_member(&a, "b"), c = json_member(&b, "c");
    assert_int_equal(json_string(&b, &text, &err), ERR_NOT_FOUND);
    assert_string_equal(err.text, "f.json:2:2: a.b: missing");
    assert_string_equal(c.path, "f.json:2:2: a.b.c");
    struct json_at list = json_member(&at, "list"), first = json_element(&list, 0);
    assert_null(first.value);
    assert_string_equal(first.path, "f.json:2:11: list[0]");
    cJSON_Delete(root);
}

static void test_an_unknown_key_has_a_place_of_its_own(void **state)
{
    (void)state;
    static const char *const known[] = {"weight", "count", NULL};
    struct err err = {0};
    cJSON *root = parse("{\"weight\": 1,\n\n    \"cuont\": 2}");
    struct json_at at = json_root("f.json", root);
    assert_int_equal(json_only(&at, known, &err), ERR_BAD_INPUT);
    assert_string_equal(err.text, "f.json:3:5: unknown key 'cuont', did you mean 'count'?");
    cJSON_Delete(root);
}

static void test_columns_beyond_what_is_kept_are_left_out(void **state)
{
    (void)state;
    char text[5000];
    int used = snprintf(text, sizeof text, "{\"near\": 1,%2030s\"last\": 1, \"far\": 1,\n", "");
    snprintf(text + used, sizeof text - (size_t)used, "\"next\": 1}");
    cJSON *root = parse(text);
    struct json_at at = json_root("f.json", root);
    assert_string_equal(json_member(&at, "near").path, "f.json:1:2: near");
    assert_string_equal(json_member(&at, "last").path, "f.json:1:2042: last");
    assert_string_equal(json_member(&at, "far").path, "f.json:1: far");
    assert_string_equal(json_member(&at, "next").path, "f.json:2:1: next");
    cJSON_Delete(root);
}

static void test_without_places_paths_have_none(void **state)
{
    (void)state;
    static const char *const texts[] = {"{\"a\": 3}", "true", "70000", "[5]", "\"x\""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cJSON *root = NULL;
        struct err err = {0};
        assert_int_equal(json_parse("f.json", texts[i], strlen(texts[i]), &root, &err), ERR_OK);
        struct json_at at = json_root("f.json", root), a = json_member(&at, "a");
        assert_string_equal(at.path, "f.json");
        assert_string_equal(a.path, "f.json: a");
        cJSON_Delete(root);
    }
}

/* Many keys need memory in both passes. */
static void test_no_memory_costs_the_places_at_most(void **state)
{
    (void)state;
    char text[4000] = "{\"k\": 1";
    for (int i = 0; i < 200; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, ",\n\"k%d\": %d", i, i);
    }
    memcpy(text + strlen(text), "}", 2);
    bool was_without = false;
    for (uint32_t n = 0;; n++) {
        cJSON *root = NULL;
        struct err err = {0};
        alloc_fail_after(n);
        enum err_code rc = json_parse_placed("f.json", text, strlen(text), &root, &err);
        bool failed = alloc_fail_off();
        assert_int_equal(rc, root == NULL ? ERR_NOMEM : ERR_OK);
        if (root != NULL) {
            struct json_at at = json_root("f.json", root), last = json_member(&at, "k199");
            assert_string_equal(last.path, failed ? "f.json: k199" : "f.json:201:1: k199");
            was_without = was_without || failed;
            cJSON_Delete(root);
        }
        if (!failed)
            break;
    }
    assert_true(was_without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_stands_where_its_key_is),
        cmocka_unit_test(test_what_is_missing_is_missing_from_a_place),
        cmocka_unit_test(test_an_unknown_key_has_a_place_of_its_own),
        cmocka_unit_test(test_columns_beyond_what_is_kept_are_left_out),
        cmocka_unit_test(test_without_places_paths_have_none),
        cmocka_unit_test(test_no_memory_costs_the_places_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
