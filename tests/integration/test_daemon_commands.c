/* SPDX-License-Identifier: Apache-2.0 */
/* What `decided` prints instead of serving, and the exit codes of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

static struct program program;
static struct temp_dir dir;
static char config_path[2 * TEMP_DIR_BYTES];

/* Up to three arguments; NULL where there are fewer. */
static void run(const char *a, const char *b, const char *c)
{
    program_run(&program, (const char *const[]){getenv("DECIDED_BINARY"), a, b, c, NULL});
}

static void ends_with(int code, const char *out_says, const char *err_says)
{
    if (program.exit_code != code || strstr(program.out, out_says) == NULL ||
        strstr(program.err, err_says) == NULL)
        fail_msg("exit %d, expected %d\nout: %s\nerr: %s\nexpected '%s' and '%s'",
                 program.exit_code, code, program.out, program.err, out_says, err_says);
}

static void test_help_and_version(void **state)
{
    (void)state;
    static const char *const options[] = {"--config FILE",       "--data-dir DIR", "--check-config",
                                          "--dump-config",       "--version",      "--help",
                                          "78 bad configuration"};
    run("--help", NULL, NULL);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        ends_with(0, options[i], "");
    run("-h", NULL, NULL);
    ends_with(0, "usage: decided", "");
    run("--version", NULL, NULL);
    ends_with(0, "decided " DECIDED_VERSION "\n", "");
    run("-V", NULL, NULL);
    ends_with(0, "decided " DECIDED_VERSION "\n", "");
}

static void test_misuse_is_2(void **state)
{
    (void)state;
    run("--confg", "x", NULL);
    ends_with(2, "", "Try 'decided --help'");
    run("--config", NULL, NULL);
    ends_with(2, "", "Try 'decided --help'");
    run("serve", NULL, NULL);
    ends_with(2, "", "'serve': expected options only");
    run("--dump-config=yaml", NULL, NULL);
    ends_with(2, "", "expected --dump-config or --dump-config=markdown");
    run("--dump-config=yaml", "--help", NULL);
    ends_with(2, "", "Try");
}

static void test_check_config_reads_all_that_is_referred_to(void **state)
{
    (void)state;
    static const char *const good_policies =
        "{\"slots\": {\"home\": {\"sources\": [{\"source\": \"popular\"}]}}}";
    temp_dir_write_text(&dir, "d.json",
                        "{\"policies\": \"p.json\", \"admin_token_file\": \"token\"}");
    run("--check-config", "--config", config_path);
    ends_with(78, "", "p.json");
    temp_dir_write_text(&dir, "p.json", "{\"slots\": {\"home\": {}}}");
    run("--check-config", "--config", config_path);
    ends_with(78, "", "slots.home");
    temp_dir_write_text(&dir, "p.json", good_policies);
    run("--check-config", "--config", config_path);
    ends_with(78, "", "token");
    temp_dir_write_text(&dir, "token", "sixteen-or-more!");
    run("--check-config", "--config", config_path);
    ends_with(0, ": fine\n", "");
    temp_dir_write_text(&dir, "d.json", "{\"policie\": \"p.json\"}");
    run("--check-config", "--config", config_path);
    ends_with(78, "", "unknown key 'policie', did you mean 'policies'?");
    run("--check-config", "--config", "/nonexistent.json");
    ends_with(78, "", "/nonexistent.json");
    run("--check-config", NULL, NULL);
    ends_with(0, "the defaults: fine\n", "");
}

static void test_dump_config_says_where_from_and_keeps_secrets(void **state)
{
    (void)state;
    temp_dir_write_text(&dir, "token", "sixteen-or-more!");
    temp_dir_write_text(&dir, "d.json",
                        "{\"items_max\": 5, \"admin_token_file\": \"token\"} // mine");
    run("--dump-config", "--config", config_path);
    ends_with(0, "\"items_max\": 5, // file\n", "");
    ends_with(0, "\"people_max\": 10000000, // default\n", "");
    assert_null(strstr(program.out, "sixteen"));
    run("--dump-config", "--data-dir", "/srv/d");
    ends_with(0, "\"data_dir\": \"/srv/d\", // command line\n", "");
    ends_with(0, "\"models_dir\": \"/srv/d/models\", // default\n", "");
    temp_dir_write_text(&dir, "d.json", program.out); /* a dump is a configuration */
    run("--check-config", "--config", config_path);
    ends_with(0, ": fine\n", "");
    temp_dir_write_text(&dir, "d.json", "{");
    run("--dump-config", "--config", config_path);
    ends_with(78, "", "d.json:1");
}

/* Page and example are committed, and must not grow old. */
static void test_committed_page_and_example(void **state)
{
    (void)state;
    char path[4096], page[PROGRAM_OUTPUT_BYTES] = "";
    snprintf(path, sizeof path, "%s/docs/configuration.md", getenv("DECIDED_SOURCE"));
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t len = fread(page, 1, sizeof page - 1, file);
    fclose(file);
    run("--dump-config=markdown", NULL, NULL);
    assert_true(len > 1000);
    if (program.exit_code != 0 || strcmp(program.out, page) != 0)
        fail_msg("docs/configuration.md is not what `decided --dump-config=markdown` prints");
    snprintf(path, sizeof path, "%s/deploy/decided.json", getenv("DECIDED_SOURCE"));
    run("--check-config", "--config", path);
    ends_with(0, ": fine\n", "");
}

static int setup(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "d.json", config_path);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_help_and_version),
        TEST(test_misuse_is_2),
        TEST(test_check_config_reads_all_that_is_referred_to),
        TEST(test_dump_config_says_where_from_and_keeps_secrets),
        TEST(test_committed_page_and_example),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
