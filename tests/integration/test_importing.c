/* SPDX-License-Identifier: Apache-2.0 */
/* decidectl import against a real daemon: nothing is lost, nothing counts twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/daemon.h"
#include "tools/shop/generate.h"

#define OUTPUT_BYTES (1 << 20)
#define RETAIL_PATH  "../shared/data/online-retail/online_retail.csv.gz"

struct bench {
    struct daemon daemon;
    struct temp_dir dir; /* the shop's files, and what the program prints */
    struct generated made;
};

static int setup(void **state)
{
    static const struct shop_options options = {
        .users = 400, .items = 200, .days = 60, .end_day = SHOP_END_DEFAULT_DAY, .seed = 3};
    struct bench *bench = calloc(1, sizeof *bench);
    struct progress progress;
    struct err err;
    if (bench == NULL)
        return -1;
    temp_dir_create(&bench->dir);
    progress_start_on(&progress, "", "", stderr, false, clock_system());
    if (generate(&options, bench->dir.path, &progress, &bench->made, &err) != ERR_OK)
        return -1;
    daemon_start(&bench->daemon, "\"events_mode\": \"strict\"");
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    daemon_stop(&bench->daemon);
    temp_dir_remove(&bench->dir);
    free(bench);
    return 0;
}

/* `decidectl --url URL --json ARGS...`, its stdout in DIR/stdout. */
static pid_t start(const struct bench *bench, const char *const *args)
{
    char program[FILE_PATH_BYTES];
    char out[2 * TEMP_DIR_BYTES];
    char *argv[16] = {"decidectl", "--json", "--url", (char *)bench->daemon.url};
    const char *tools = getenv("DECIDED_TOOLS");
    assert_non_null(tools);
    for (size_t i = 0; args[i] != NULL; i++) {
        assert_true(4 + i + 1 < sizeof argv / sizeof argv[0]);
        argv[4 + i] = (char *)args[i];
    }
    snprintf(program, sizeof program, "%s/decidectl", tools);
    temp_dir_path(&bench->dir, "stdout", out);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int fd = open(out, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0)
            execv(program, argv);
        _exit(126);
    }
    return child;
}

static int wait_for(pid_t child)
{
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return status;
}

/* Runs to its end with that exit code and returns what it printed. */
static cJSON *run(const struct bench *bench, int code, const char *const *args)
{
    char out[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    int status = wait_for(start(bench, args));
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), code);
    assert_int_equal(
        file_read(temp_dir_path(&bench->dir, "stdout", out), OUTPUT_BYTES, &bytes, &len, NULL),
        ERR_OK);
    cJSON *json = cJSON_ParseWithLength((const char *)bytes, len);
    assert_non_null(json);
    free(bytes);
    return json;
}

static uint64_t number(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    assert_true(cJSON_IsNumber(value));
    return (uint64_t)value->valuedouble;
}

static uint64_t events_accepted(const struct bench *bench)
{
    cJSON *status = run(bench, 0, (const char *const[]){"status", NULL});
    uint64_t accepted =
        number(cJSON_GetObjectItemCaseSensitive(status, "store"), "events_accepted");
    cJSON_Delete(status);
    return accepted;
}

static void test_a_shop_goes_in_once(void **state)
{
    struct bench *bench = *state;
    char items[2 * TEMP_DIR_BYTES];
    char events[2 * TEMP_DIR_BYTES];
    temp_dir_path(&bench->dir, "items.ndjson", items);
    temp_dir_path(&bench->dir, "events.ndjson", events);
    for (int again = 0; again < 2; again++) {
        cJSON *result = run(bench, 0, (const char *const[]){"import", "items", items, NULL});
        assert_int_equal(number(result, again ? "duplicate" : "accepted"), 200);
        cJSON_Delete(result);
        result = run(bench, 0, (const char *const[]){"import", "events", events, NULL});
        assert_int_equal(number(result, "lines"), bench->made.events);
        assert_int_equal(number(result, again ? "duplicate" : "accepted"), bench->made.events);
        assert_int_equal(number(result, "errors"), 0);
        cJSON_Delete(result);
    }
    assert_int_equal(events_accepted(bench), bench->made.events + 200);
}

/* Killed in the middle of a pipe that never ends, then begun again with the whole file. */
static void test_a_killed_import_is_begun_again(void **state)
{
    struct bench *bench = *state;
    char events[2 * TEMP_DIR_BYTES];
    char fifo[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    temp_dir_path(&bench->dir, "events.ndjson", events);
    assert_int_equal(mkfifo(temp_dir_path(&bench->dir, "pipe.ndjson", fifo), 0600), 0);
    assert_int_equal(file_read(events, 1 << 26, &bytes, &len, NULL), ERR_OK);
    pid_t child = start(bench, (const char *const[]){"import", "events", fifo, NULL});
    int pipe = open(fifo, O_WRONLY | O_CLOEXEC);
    assert_true(pipe >= 0);
    /* Two thirds are in the pipe's reader when this returns, so some batches have been sent. */
    for (size_t sent = 0; sent < len / 3 * 2;) {
        ssize_t got = write(pipe, bytes + sent, len / 3 * 2 - sent);
        assert_true(got > 0);
        sent += (size_t)got;
    }
    free(bytes);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_true(WIFSIGNALED(wait_for(child)));
    close(pipe);

    cJSON *result = run(bench, 0, (const char *const[]){"import", "events", events, NULL});
    assert_int_equal(number(result, "accepted") + number(result, "duplicate"), bench->made.events);
    assert_true(number(result, "duplicate") > 0);
    assert_int_equal(events_accepted(bench), bench->made.events);
    cJSON_Delete(result);
}

static void test_online_retail(void **state)
{
    struct bench *bench = *state;
    const char *source = getenv("DECIDED_SOURCE");
    char path[FILE_PATH_BYTES];
    char map[FILE_PATH_BYTES];
    assert_non_null(source);
    snprintf(path, sizeof path, "%s/" RETAIL_PATH, source);
    snprintf(map, sizeof map, "%s/deploy/maps/online-retail.json", source);
    if (access(path, R_OK) != 0) {
        print_message("SKIPPED: '%s' is not there\n", path);
        skip();
    }
    cJSON *result =
        run(bench, 0, (const char *const[]){"import", "events", path, "--map", map, NULL});
    const cJSON *left_out = cJSON_GetObjectItemCaseSensitive(result, "left_out");
    assert_int_equal(number(result, "lines"), 541909);
    assert_int_equal(number(result, "kept"), 396337);
    assert_int_equal(number(result, "accepted"), 396337);
    assert_int_equal(number(left_out, "customer known"), 135080);
    assert_int_equal(number(left_out, "quantity over 0"), 8905);
    assert_int_equal(number(left_out, "price over 0"), 40);
    assert_int_equal(number(left_out, "no return"), 0);
    assert_int_equal(number(left_out, "an article"), 1547);
    print_message("imported in %.1f s\n",
                  cJSON_GetObjectItemCaseSensitive(result, "seconds")->valuedouble);
    cJSON_Delete(result);

    result = run(bench, 0,
                 (const char *const[]){"import", "events", path, "--map", map, "--before",
                                       "2010-12-02", NULL});
    assert_int_equal(number(result, "accepted"), 0);
    assert_int_equal(number(result, "duplicate"), number(result, "kept"));
    assert_in_range(number(result, "kept"), 1500, 3000);
    cJSON_Delete(result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_shop_goes_in_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_killed_import_is_begun_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_online_retail, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
