/* SPDX-License-Identifier: Apache-2.0 */
/* Where --json was asked for, decide-train, decide-bench and decide-shop tell their failures as
 * decidectl does: one JSON value on stdout, the words on stderr, the same exit codes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/daemon.h"
#include "tests/support/program.h"
#include "tests/support/temp_dir.h"

enum { ARGS_MAX = 16, PATH_BYTES = 600 };

static struct program program;

/* The tool with `args`, which end with NULL. */
static void run(int exit_code, const char *const *args)
{
    char path[PATH_BYTES];
    const char *argv[ARGS_MAX] = {path};
    snprintf(path, sizeof path, "%s/%s", getenv("DECIDED_TOOLS"), args[0]);
    for (int i = 1; args[i] != NULL; i++) {
        assert_true(i < ARGS_MAX - 1);
        argv[i] = args[i];
    }
    program_run(&program, argv);
    if (program.exit_code != exit_code)
        print_error("%s: exit %d\n%s%s\n", args[0], program.exit_code, program.out, program.err);
    assert_int_equal(program.exit_code, exit_code);
}

/* One value and nothing behind it. */
static cJSON *printed(void)
{
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithOpts(program.out, &end, false);
    if (root == NULL || strcmp(end, "\n") != 0)
        print_error("not one JSON value: '%s'\n", program.out);
    assert_non_null(root);
    assert_string_equal(end, "\n");
    return root;
}

static void assert_failure(const char *tool, const char *code, const char *message)
{
    char prefix[32];
    cJSON *root = printed();
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(root, "error");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(root, "ok")));
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "code")),
                        code);
    const char *said = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(error, "message"));
    assert_non_null(said);
    if (strstr(said, message) == NULL)
        print_error("'%s' is not in '%s'\n", message, said);
    assert_non_null(strstr(said, message));
    cJSON_Delete(root);
    snprintf(prefix, sizeof prefix, "%s: ", tool);
    assert_ptr_equal(strstr(program.err, prefix), program.err);
    assert_non_null(strstr(program.err, message));
}

/* With --json as JSON, without it in words alone. */
static void check(int exit_code, const char *code, const char *message, const char *const *args)
{
    const char *with_json[ARGS_MAX] = {0};
    int count = 0;
    for (; args[count] != NULL; count++)
        with_json[count] = args[count];
    assert_true(count < ARGS_MAX - 1);
    with_json[count] = "--json";
    run(exit_code, with_json);
    assert_failure(args[0], code, message);
    run(exit_code, args);
    assert_string_equal(program.out, "");
    assert_non_null(strstr(program.err, message));
}

#define FAILS(message, ...) check(1, "failed", message, (const char *const[]){__VA_ARGS__, NULL})
#define USAGE(message, ...) check(2, "usage", message, (const char *const[]){__VA_ARGS__, NULL})

static void test_what_goes_wrong(void **state)
{
    (void)state;
    FAILS("/nonexistent/x.csv", "decide-train", "popularity", "--events", "/nonexistent/x.csv",
          "--out", "/dev/null", "--name", "m");
    FAILS("/dev/null", "decide-train", "starter", "--features", "item.price", "--out",
          "/dev/null/b", "--name", "m");
    FAILS("127.0.0.1:1", "decide-bench", "--op", "ping", "--url", "tcp://127.0.0.1:1", "--duration",
          "0.1");
    FAILS("/nonexistent.json", "decide-bench", "plan", "--rate", "1", "--curve",
          "/nonexistent.json");
    FAILS("/nonexistent.csv", "decide-bench", "quality", "--events", "/nonexistent.csv", "--eval",
          "time:2011-11-01");
    FAILS("/dev/null", "decide-shop", "generate", "--out", "/dev/null/shop");
}

static void test_command_lines(void **state)
{
    (void)state;
    USAGE("unknown command 'x'", "decide-train", "x");
    USAGE("--events FILE is missing", "decide-train", "popularity", "--name", "m", "--out", "o");
    USAGE("expected a whole number", "decide-train", "factors", "--factors", "many");
    USAGE("--op is missing", "decide-bench");
    USAGE("there is no option --x", "decide-bench", "--x");
    USAGE("--curve is missing", "decide-bench", "plan");
    USAGE("--events is missing", "decide-bench", "quality");
    USAGE("expected generate, got ", "decide-shop");
    USAGE("expected generate, got make", "decide-shop", "make");
    USAGE("--out DIR is missing", "decide-shop", "generate");
    USAGE("there is no option '--x'", "decide-shop", "generate", "--out", "o", "--x");
    USAGE("there is no option '-x'", "decide-shop", "generate", "--out", "o", "-xy");
    run(2, (const char *const[]){"decide-shop", "generate", "--json", "--out", NULL});
    assert_failure("decide-shop", "usage", "--out: a value is missing");
    USAGE("--users: expected a number 1..5000000, got '0'", "decide-shop", "generate", "--users",
          "0");
    USAGE("--url: 'nowhere': expected tcp://HOST:PORT", "decide-bench", "--op", "ping", "--url",
          "nowhere");
    USAGE("--url: expected one address to measure", "decide-bench", "--op", "ping", "--url",
          "tcp://127.0.0.1:1,tcp://127.0.0.1:2");
    USAGE("--url: 'tcp://127.0.0.1:0': expected", "decide-bench", "quality", "--events", "none.csv",
          "--eval", "time:2011-11-01", "--url", "tcp://127.0.0.1:0");
    USAGE("eval: --url: 'ipc://x': expected ipc:///PATH", "decide-train", "eval", "--events",
          "none.csv", "--eval", "time:2011-11-01", "--url", "ipc://x");
    USAGE("lies before 1970", "decide-shop", "generate", "--out", "o", "--end", "1970-02-01");
}

static void test_bytes_that_are_no_text_are_still_json(void **state)
{
    (void)state;
    USAGE("got '", "decide-shop", "generate", "--seed", "\xff\"\\\n");
    run(2, (const char *const[]){"decide-shop", "generate", "--json", "--seed", "\xff\"\\z", NULL});
    assert_non_null(strstr(program.out, "got '\\ufffd\\\"\\\\z'"));
    run(2, (const char *const[]){"decidectl", "--json", "\xff", NULL});
    assert_failure("decidectl", "usage", "there is no command '");
}

/* What was measured is printed even when a picture of it cannot be, and stays the only value. */
static void test_a_report_is_the_only_value(void **state)
{
    (void)state;
    struct daemon decided;
    char svg[2 * TEMP_DIR_BYTES + 512], name[301];
    memset(name, 'x', sizeof name - 1); /* longer than names of files may be */
    name[sizeof name - 1] = '\0';
    daemon_start(&decided, NULL);
    snprintf(svg, sizeof svg, "%s/%s", decided.dir.path, name);
    run(1, (const char *const[]){"decide-bench", "--url", decided.url, "--op", "ping", "--duration",
                                 "0.1", "--warmup", "0", "--json", "--svg", svg, NULL});
    cJSON *root = printed();
    assert_non_null(cJSON_GetObjectItemCaseSensitive(root, "kind"));
    assert_non_null(strstr(program.err, name));
    cJSON_Delete(root);
    daemon_stop(&decided);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_goes_wrong),
        cmocka_unit_test(test_command_lines),
        cmocka_unit_test(test_bytes_that_are_no_text_are_still_json),
        cmocka_unit_test(test_a_report_is_the_only_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
