/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench against a real daemon: what its reports hold, never how fast anything was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/daemon.h"
#include "tests/support/program.h"

enum { ARGS_MAX = 32, WORD_BYTES = 600 };

static struct daemon decided;
static struct program program;

static int set_up(void **state)
{
    (void)state;
    daemon_start(&decided, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    daemon_stop(&decided);
    return 0;
}

/* Splits `line`; "@NAME" is a file in the daemon's folder. */
static void to_argv(const char *line, char *argv[ARGS_MAX])
{
    static char words[ARGS_MAX][WORD_BYTES];
    char copy[WORD_BYTES];
    char *save = NULL;
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    snprintf(words[argc], WORD_BYTES, "%s/decide-bench", getenv("DECIDED_TOOLS"));
    argv[argc] = words[argc];
    argc++;
    for (char *word = strtok_r(copy, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        assert_true(argc < ARGS_MAX - 1);
        if (word[0] == '@')
            snprintf(words[argc], WORD_BYTES, "%.500s/%s", decided.dir.path, word + 1);
        else
            snprintf(words[argc], WORD_BYTES, "%s", word);
        argv[argc] = words[argc];
        argc++;
    }
    argv[argc] = NULL;
}

static void run(int exit_code, const char *line)
{
    char *argv[ARGS_MAX];
    to_argv(line, argv);
    program_run(&program, (const char *const *)argv);
    if (program.exit_code != exit_code)
        print_error("%s: exit %d\n%s%s\n", line, program.exit_code, program.out, program.err);
    assert_int_equal(program.exit_code, exit_code);
}

static cJSON *printed(void)
{
    cJSON *root = cJSON_Parse(program.out);
    assert_non_null(root);
    return root;
}

static double number_of(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(value))
        print_error("no number '%s'\n", key);
    assert_true(cJSON_IsNumber(value));
    return value->valuedouble;
}

static const char *string_of(const cJSON *object, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

static void assert_is_result(const cJSON *result)
{
    static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
    const cJSON *latency = cJSON_GetObjectItemCaseSensitive(result, "latency_us");
    double last = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_true(number_of(latency, names[i]) >= last);
        last = number_of(latency, names[i]);
    }
    assert_true(last > 0);
    assert_true(number_of(result, "due") > 0);
    double accounted = number_of(result, "ok") + number_of(result, "refused") +
                       number_of(result, "malformed") + number_of(result, "lost") +
                       number_of(result, "unsent");
    assert_true(accounted == number_of(result, "due"));
    assert_true(number_of(result, "ok") > 0);
    assert_true(number_of(result, "generator_lag_share") <= 1);
    const cJSON *percentiles = cJSON_GetObjectItemCaseSensitive(result, "percentiles");
    const cJSON *end = cJSON_GetArrayItem(percentiles, cJSON_GetArraySize(percentiles) - 1);
    assert_true(cJSON_GetArrayItem(end, 0)->valuedouble == 100);
}

static void a_run_stands_beside_its_yardsticks(void **state)
{
    (void)state;
    char line[512];
    snprintf(line, sizeof line,
             "--url %s --op recommend --rate 1000 --duration 0.3 --warmup 0.05 --rounds 3 "
             "--processes 2 --yardstick both --json --svg @run.svg",
             decided.url);
    run(0, line);
    cJSON *root = printed();
    assert_string_equal(string_of(root, "kind"), "run");
    assert_true(number_of(root, "format") == 1);
    assert_true(number_of(root, "processes") == 2);
    assert_is_result(root);
    assert_true(cJSON_GetObjectItemCaseSensitive(root, "levels")->child != NULL);
    const cJSON *yardsticks = cJSON_GetObjectItemCaseSensitive(root, "yardsticks");
    assert_int_equal(cJSON_GetArraySize(yardsticks), 2);
    for (int i = 0; i < 2; i++) {
        const cJSON *yardstick = cJSON_GetArrayItem(yardsticks, i);
        assert_string_equal(string_of(yardstick, "name"), i == 0 ? "raw" : "nng");
        assert_is_result(yardstick);
        assert_true(number_of(yardstick, "due") == number_of(root, "due"));
        assert_true(number_of(cJSON_GetObjectItemCaseSensitive(yardstick, "ratio"), "p99") > 0);
    }
    temp_dir_write_text(&decided.dir, "run.json", program.out);
    cJSON_Delete(root);
    snprintf(line, sizeof line,
             "--url %s --op recommend --rate 500 --duration 0.2 --warmup 0 --compare @run.json "
             "--histogram --svg @run.svg",
             decided.url);
    run(0, line);
    assert_non_null(strstr(program.out, "\nbefore "));
    assert_non_null(strstr(program.out, "percentile"));
    run(1, "--op ping --compare @missing.json");
    assert_non_null(strstr(program.err, "missing.json"));
    run(1, "--url tcp://127.0.0.1:1 --op similar --compare @run.json");
    assert_non_null(strstr(program.err, "op: expected similar to compare with, got recommend"));
    /* Before a daemon is looked for, and what is there stays. */
    run(1, "--url tcp://127.0.0.1:1 --op ping --svg @missing/run.svg");
    assert_non_null(strstr(program.err, "run.svg: no chart can be written there"));
    run(1, "--url tcp://127.0.0.1:1 --op ping --svg @.");
    assert_non_null(strstr(program.err, "expected a file to draw into, got a directory"));
}

static void a_sweep_has_its_curve_and_a_plan_its_limits(void **state)
{
    (void)state;
    char line[512];
    /* Tries are so short that one stall spoils them: which rates are good is not looked at. */
    snprintf(line, sizeof line,
             "--url %s --op ping --sweep --rate 5000 --limit 200000 --duration 0.1 --warmup 0 "
             "--yardstick raw --rounds 1 --json",
             decided.url);
    run(0, line);
    cJSON *root = printed();
    assert_string_equal(string_of(root, "kind"), "sweep");
    const cJSON *yardsticks = cJSON_GetObjectItemCaseSensitive(root, "yardsticks");
    assert_true(number_of(cJSON_GetArrayItem(yardsticks, 0), "peak_ratio") >= 0);
    const cJSON *half = cJSON_GetObjectItemCaseSensitive(root, "at_half");
    assert_true(cJSON_IsNull(half) == (number_of(root, "peak_rate") == 0));
    if (number_of(root, "peak_rate") >= 1000)
        assert_is_result(half);
    const cJSON *tries = cJSON_GetObjectItemCaseSensitive(root, "tries");
    const cJSON *one;
    double rate = 0;
    cJSON_ArrayForEach(one, tries)
    {
        assert_true(number_of(one, "rate") >= rate);
        rate = number_of(one, "rate");
        assert_true(number_of(one, "p50_us") <= number_of(one, "p99_us"));
    }
    temp_dir_write_text(&decided.dir, "sweep.json", program.out);
    cJSON_Delete(root);
    run(1, "plan --curve @sweep.json --rate 100 --p99 0.001");
    assert_non_null(strstr(program.err, "sweep.json: "));
    run(1, "plan --curve @decided.json --rate 100");
    run(2, "plan --curve @sweep.json");
    run(2, "--op ping --rate fast");
    run(0, "plan --help");
    run(0, "--help");
    assert_non_null(strstr(program.out, "--yardstick WHICH"));
}

/* The signal goes to the parent alone, as kill(1) sends it, while two processes make the load. */
static void a_signal_ends_it_with_a_report(void **state)
{
    (void)state;
    char line[512], out[PROGRAM_OUTPUT_BYTES] = "", children[64], pids[256] = "";
    char *argv[ARGS_MAX];
    int fds[2], status = 0, first = 0, second = 0;
    snprintf(line, sizeof line,
             "--url %s --op ping --duration 3600 --warmup 0 --processes 2 --json", decided.url);
    to_argv(line, argv);
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(fds[1], STDOUT_FILENO);
        close(fds[0]);
        close(fds[1]);
        execv(argv[0], argv);
        _exit(127);
    }
    close(fds[1]);
    snprintf(children, sizeof children, "/proc/%d/task/%d/children", pid, pid);
    while (sscanf(pids, "%d %d", &first, &second) < 2) {
        FILE *file = fopen(children, "r");
        assert_non_null(file);
        if (fgets(pids, sizeof pids, file) == NULL)
            pids[0] = '\0';
        fclose(file);
    }
    assert_int_equal(kill(pid, SIGINT), 0);
    size_t used = 0;
    for (ssize_t got; (got = read(fds[0], out + used, sizeof out - 1 - used)) > 0;)
        used += (size_t)got;
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    cJSON *root = cJSON_Parse(out);
    assert_non_null(root);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "stopped")));
    assert_true(number_of(root, "duration_s") < 60);
    cJSON_Delete(root);
    assert_int_not_equal(kill(first, 0), 0); /* nothing is left behind */
    assert_int_not_equal(kill(second, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_stands_beside_its_yardsticks),
        cmocka_unit_test(a_sweep_has_its_curve_and_a_plan_its_limits),
        cmocka_unit_test(a_signal_ends_it_with_a_report),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
