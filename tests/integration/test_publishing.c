/* SPDX-License-Identifier: Apache-2.0 */
/* How models get in where bundles must be signed: the programs that people use, one after the
 * other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/daemon.h"
#include "tests/support/model_sample.h"
#include "tests/support/program.h"

#define MINISIGN "/usr/bin/minisign" /* tools/setup installs it */
#define ARGS_MAX 16

struct bench {
    struct daemon daemon;
    struct temp_dir dir; /* keys and bundles */
    struct program program;
};

static const char *at(const struct bench *bench, const char *name, char *buf)
{
    return temp_dir_path(&bench->dir, name, buf);
}

static void must_run(struct bench *bench, const char *const *argv)
{
    program_run(&bench->program, argv);
    if (bench->program.exit_code != 0)
        fail_msg("%s ended with %d: %s%s", argv[0], bench->program.exit_code, bench->program.out,
                 bench->program.err);
}

static int setup(void **state)
{
    char secret[2 * TEMP_DIR_BYTES], public_key[2 * TEMP_DIR_BYTES];
    char config[3 * TEMP_DIR_BYTES];
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return -1;
    temp_dir_create(&bench->dir);
    const char *const generate[] = {MINISIGN,
                                    "-G",
                                    "-W",
                                    "-p",
                                    at(bench, "k.pub", public_key),
                                    "-s",
                                    at(bench, "k.sec", secret),
                                    NULL};
    must_run(bench, generate);
    snprintf(config, sizeof config, "\"model_keys\": [\"%s\"]", public_key);
    daemon_start(&bench->daemon, config);
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

/* decidectl; its output is in bench->program. */
static int ctl(struct bench *bench, const char *const *args)
{
    char path[FILE_PATH_BYTES];
    const char *argv[ARGS_MAX] = {path, "--url", bench->daemon.url};
    size_t count = 3;
    const char *tools = getenv("DECIDED_TOOLS");
    assert_non_null(tools);
    snprintf(path, sizeof path, "%s/decidectl", tools);
    for (; *args != NULL; args++) {
        assert_true(count + 1 < ARGS_MAX);
        argv[count++] = *args;
    }
    program_run(&bench->program, argv);
    return bench->program.exit_code;
}

static void sign(struct bench *bench, const char *dir)
{
    char secret[2 * TEMP_DIR_BYTES], manifest[4 * TEMP_DIR_BYTES];
    snprintf(manifest, sizeof manifest, "%s/manifest.json", dir);
    const char *const argv[] = {MINISIGN, "-S",     "-s", at(bench, "k.sec", secret),
                                "-m",     manifest, NULL};
    must_run(bench, argv);
}

static int push(struct bench *bench, const char *version, bool is_signed)
{
    char dir[2 * TEMP_DIR_BYTES];
    model_sample_write(at(bench, version, dir), "m", version, MODEL_popularity);
    if (is_signed)
        sign(bench, dir);
    const char *const args[] = {"model", "push", dir, NULL};
    return ctl(bench, args);
}

static bool serves(struct bench *bench, const char *version)
{
    char wanted[64];
    const char *const args[] = {"--json", "call", "model_list", "{}", NULL};
    assert_int_equal(ctl(bench, args), 0);
    snprintf(wanted, sizeof wanted,
             "\"version\":\"%s\",\"kind\":\"popularity\",\"label\":\"stable\"", version);
    return strstr(bench->program.out, wanted) != NULL;
}

static void test_what_is_signed_is_pushed_with_its_signature(void **state)
{
    struct bench *bench = *state;
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(push(bench, "1", false), 1);
    assert_non_null(strstr(bench->program.err, "the bundle is not signed"));
    assert_int_equal(push(bench, "2", true), 0);
    assert_true(serves(bench, "2"));
    assert_int_equal(
        access(temp_dir_path(&bench->daemon.dir, "models/m/2/manifest.json.minisig", path), R_OK),
        0);
    assert_int_equal(push(bench, "3", true), 0);
    /* Over a restart, after a crash. */
    daemon_signal(&bench->daemon, SIGKILL);
    assert_true(WIFSIGNALED(daemon_wait(&bench->daemon)));
    daemon_restart(&bench->daemon);
    assert_true(serves(bench, "3"));
    assert_int_equal(push(bench, "1", true), 1);
    assert_non_null(strstr(bench->program.err, "lower than 3"));
    const char *const rollback[] = {"model", "rollback", "m", NULL};
    assert_int_equal(ctl(bench, rollback), 0);
    assert_true(serves(bench, "2"));
}

#define WITH_BENCH(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_BENCH(test_what_is_signed_is_pushed_with_its_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
