/* SPDX-License-Identifier: Apache-2.0 */
/* The policies of a release find every model that they name, or the release is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "tests/support/release_rig.h"

#define SOURCES                                                    \
    "\"sources\": [{\"source\": \"neighbors\", \"model\": \"a\"}," \
    " {\"source\": \"popular\"}, {\"source\": \"factors\", \"model\": \"*\"}]"

/* The policies of a release of "a" and "b", with a second slot as given. */
static void write_policies(const struct registry_rig *rig, const char *below, const char *slot)
{
    char name[256], text[1024];
    snprintf(name, sizeof name, "%s/policies.json", below);
    snprintf(text, sizeof text,
             "{\"version\": \"2\", \"default\": \"home\", \"slots\": {\"home\": {" SOURCES "},"
             " \"cart\": {%s}}}",
             slot);
    temp_dir_write_text(&rig->dir, name, text);
}

static void remove_incoming(const struct registry_rig *rig)
{
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(file_remove_tree(rig_path(rig, "incoming", path), NULL), ERR_OK);
}

static void test_a_model_that_nothing_supplies_refuses_the_release(void **state)
{
    static const struct {
        const char *slot, *message;
    } cases[] = {
        {"\"sources\": [{\"source\": \"neighbors\", \"model\": \"a\"},"
         " {\"source\": \"factors\", \"model\": \"later\"}]",
         "slot cart: factors names the model 'later', of which no version serves"},
        {SOURCES ", \"ranker\": \"rank\"",
         "slot cart: ranker names the model 'rank', of which no version serves"},
        {SOURCES ", \"prices\": \"cheap\"",
         "slot cart: prices names the model 'cheap', of which no version serves"},
    };
    struct registry_rig *rig = *state;
    release_push(rig, "1");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct err err = {.text = ""};
        uint64_t epoch = rig_view(rig).epoch;
        release_write(rig, "incoming", "2");
        write_policies(rig, "incoming", cases[i].slot);
        assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_BAD_INPUT);
        if (strstr(err.text, cases[i].message) == NULL)
            fail_msg("case %zu: %s", i, err.text);
        assert_string_equal(release_serving(rig), "1 1 1");
        assert_int_equal(rig_view(rig).epoch, epoch);
        remove_incoming(rig);
    }
    /* Neither does a release of policies alone. */
    struct err err = {.text = ""};
    write_policies(rig, "incoming", SOURCES ", \"ranker\": \"rank\"");
    assert_int_equal(release_install(rig, "incoming", "r2", &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "slot cart: ranker names the model 'rank'"));
    remove_incoming(rig);
    assert_string_equal(release_serving(rig), "1 1 1");
}

static void test_a_model_of_the_release_or_one_that_serves_is_found(void **state)
{
    struct registry_rig *rig = *state;
    char path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    rig_publish(rig, "cheap", "1", MODEL_prices);
    rig_scan(rig);
    release_write(rig, "incoming", "1");
    model_sample_write(rig_path(rig, "incoming/rank/1", path), "rank", "1", MODEL_trees);
    write_policies(rig, "incoming", SOURCES ", \"ranker\": \"rank\", \"prices\": \"cheap\"");
    if (release_install(rig, "incoming", "r1", &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(rig_serving(rig, "rank"), "1");
    /* Outside of a release policies may name what comes later; so do those of a model that goes. */
    temp_dir_write_text(&rig->dir, "policies.json",
                        "{\"version\": \"x\", \"default\": \"h\", \"slots\": {\"h\": {\"sources\": "
                        "[{\"source\": \"factors\", \"model\": \"later\"}]}}}");
    assert_int_equal(release_rollback(rig, &err), ERR_OK);
    rig->policies = rig_path(rig, "policies.json", path);
    rig_reload(rig);
    assert_string_equal(release_serving(rig), "- - x");
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_set_up_started, rig_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RIG(test_a_model_that_nothing_supplies_refuses_the_release),
        WITH_RIG(test_a_model_of_the_release_or_one_that_serves_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
