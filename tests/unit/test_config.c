/* SPDX-License-Identifier: Apache-2.0 */
/* Options of the configuration: defaults, values and their limits, paths, the dump, what a reload
 * takes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/control/config.h"

static struct config *parsed(const char *text)
{
    struct config *config = NULL;
    struct err err = {0};
    if (config_parse("etc/decided.json", text, strlen(text), NULL, &config, &err) != ERR_OK)
        fail_msg("%s: %s", text, err.text);
    return config;
}

static void test_an_empty_object_gives_the_defaults(void **state)
{
    (void)state;
    struct config *config = parsed("{}");
    assert_int_equal(config->listen.count, 1);
    assert_string_equal(config->listen.ptr[0], "tcp://127.0.0.1:7100");
    assert_string_equal(config->http, "127.0.0.1:7101");
    assert_string_equal(config->models_dir, "/var/lib/decided/models");
    assert_string_equal(config->policies, "");
    assert_int_equal(config->static_items.count, 0);
    assert_int_equal(config->items_max, 1000000);
    for (uint32_t i = 0; i < OPTION_COUNT; i++)
        assert_int_equal(config->origin[i], FROM_DEFAULT);
    config_destroy(&config);
    assert_null(config);
}

/* Each row of the table is read from a file, so that none can be forgotten by the parser. */
static void test_every_option_can_be_set(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct config_option *option = &config_options[i];
        static const char *const values[] = {
            [CONFIG_INT] = NULL,
            [CONFIG_ADDRESSES] = "[\"tcp://[::1]:0\", \"ipc:///run/a.sock\"]",
            [CONFIG_ADDRESS] = "\"[::1]:0\"",
            [CONFIG_DIR] = "\"/srv/decided\"",
            [CONFIG_FILE] = "\"/srv/file\"",
            [CONFIG_IDS] = "[\"a\", \"b\"]",
            [CONFIG_RETENTIONS] = "[\"view=30d\", \"custom=36h\"]",
            [CONFIG_KEYS] = "[\"/srv/a.pub\", \"/srv/b.pub\"]",
            [CONFIG_LEVEL] = "\"warn\"",
        };
        char text[256];
        if (option->kind == CONFIG_CHOICE) /* the last of its words, which is no default */
            snprintf(text, sizeof text, "{\"%s\": \"%s\"}", option->name,
                     strrchr(option->unit, ' ') + 1);
        else if (option->kind == CONFIG_INT)
            snprintf(text, sizeof text, "{\"%s\": %lld}", option->name,
                     (long long)(option->fallback_int == option->most ||
                                         i == OPTION_queue_delay_target_us /* bounded by another */
                                     ? option->least
                                     : option->most));
        else
            snprintf(text, sizeof text, "{\"%s\": %s}", option->name, values[option->kind]);
        struct config *before = parsed("{}"), *after = parsed(text);
        for (uint32_t j = 0; j < OPTION_COUNT; j++) {
            bool follows = i == OPTION_data_dir && j == OPTION_models_dir;
            assert_int_equal(config_differs(before, after, &config_options[j]), i == j || follows);
            assert_int_equal(after->origin[j], i == j ? FROM_FILE : FROM_DEFAULT);
        }
        config_destroy(&before);
        config_destroy(&after);
    }
}

static void test_the_limits_of_every_number_hold(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        const struct config_option *option = &config_options[i];
        if (option->kind != CONFIG_INT)
            continue;
        assert_true(option->least <= option->fallback_int && option->fallback_int <= option->most);
        for (int over = 0; over < 2; over++) {
            char text[256], says[64];
            long long value = over ? option->most + 1 : option->least - 1;
            snprintf(text, sizeof text, "{\"%s\": %lld}", option->name, value);
            snprintf(says, sizeof says, "decided.json: %s: ", option->name);
            struct config *config = NULL;
            struct err err = {0};
            assert_int_equal(config_parse("decided.json", text, strlen(text), NULL, &config, &err),
                             ERR_BAD_INPUT);
            assert_null(config);
            assert_non_null(strstr(err.text, says));
            snprintf(says, sizeof says, "%lld", value);
            assert_non_null(strstr(err.text, says));
        }
    }
}

static void test_paths_begin_in_the_folder_of_the_file(void **state)
{
    (void)state;
    struct config *config = parsed("{\"policies\": \"p.json\", \"data_dir\": \"state\"}");
    assert_string_equal(config->policies, "etc/p.json");
    assert_string_equal(config->data_dir, "etc/state");
    assert_string_equal(config->models_dir, "etc/state/models");
    assert_string_equal(config->admin_token_file, "");
    config_destroy(&config);

    const char *text = "{\"policies\": \"p.json\", \"data_dir\": \"state\"}";
    struct err err = {0};
    assert_int_equal(config_parse("d.json", text, strlen(text), "here", &config, &err), ERR_OK);
    assert_string_equal(config->policies, "p.json");
    assert_string_equal(config->data_dir, "here");
    assert_string_equal(config->models_dir, "here/models");
    assert_int_equal(config->origin[OPTION_data_dir], FROM_COMMAND_LINE);
    config_destroy(&config);
    assert_int_equal(config_parse("d.json", text, strlen(text), "", &config, &err), ERR_BAD_INPUT);
    assert_null(config);
}

static void test_the_dump_is_a_configuration_and_says_where_from(void **state)
{
    (void)state;
    const char *text = "{\"policies\": \"a\\\"\\u0007b\", \"static_items\": [\"x\", \"y\"]}";
    struct config *config = NULL, *again = NULL;
    struct err err = {0};
    assert_int_equal(config_parse("/e/d.json", text, strlen(text), "/s", &config, &err), ERR_OK);
    char *dump = config_dump(config);
    assert_non_null(dump);
    assert_non_null(strstr(dump, "\"static_items\": [\"x\", \"y\"], // file\n"));
    assert_non_null(strstr(dump, "\"data_dir\": \"/s\", // command line\n"));
    assert_non_null(strstr(dump, "\"items_max\": 1000000, // default\n"));
    assert_int_equal(config_parse("/other/d.json", dump, strlen(dump), NULL, &again, &err), ERR_OK);
    for (uint32_t i = 0; i < OPTION_COUNT; i++)
        assert_false(config_differs(config, again, &config_options[i]));
    free(dump);
    config_destroy(&config);
    config_destroy(&again);
}

static void test_the_page_names_every_option(void **state)
{
    (void)state;
    char *page = config_dump_markdown();
    assert_non_null(page);
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        char row[64];
        snprintf(row, sizeof row, "\n| `%s` | ", config_options[i].name);
        assert_non_null(strstr(page, row));
    }
    free(page);
}

static void test_only_reloadable_values_are_exchanged(void **state)
{
    (void)state;
    struct config *a = parsed("{}");
    struct config *b = parsed("{\"log_level\": \"error\", \"static_items\": [\"x\"], "
                              "\"items_max\": 5, \"listen\": [\"tcp://a:1\"]}");
    config_exchange_reloadable(a, b);
    assert_string_equal(a->log_level, "error");
    assert_string_equal(b->log_level, "info");
    assert_int_equal(a->static_items.count, 1);
    assert_int_equal(a->origin[OPTION_static_items], FROM_FILE);
    assert_int_equal(a->items_max, 1000000);
    assert_string_equal(a->listen.ptr[0], "tcp://127.0.0.1:7100");
    config_destroy(&a);
    config_destroy(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_empty_object_gives_the_defaults),
        cmocka_unit_test(test_every_option_can_be_set),
        cmocka_unit_test(test_the_limits_of_every_number_hold),
        cmocka_unit_test(test_paths_begin_in_the_folder_of_the_file),
        cmocka_unit_test(test_the_dump_is_a_configuration_and_says_where_from),
        cmocka_unit_test(test_the_page_names_every_option),
        cmocka_unit_test(test_only_reloadable_values_are_exchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
