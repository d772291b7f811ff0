/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ctl_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"

#define ARGS_MAX     24
#define OUTPUT_BYTES (1 << 20)

int ctl_rig_set_up(void **state)
{
    struct ctl_rig *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return -1;
    temp_dir_create(&bench->dir);
    daemon_start(&bench->daemon, NULL);
    *state = bench;
    return 0;
}

int ctl_rig_tear_down(void **state)
{
    struct ctl_rig *bench = *state;
    daemon_stop(&bench->daemon);
    temp_dir_remove(&bench->dir);
    free(bench);
    return 0;
}

char *ctl_rig_read_text(const char *path)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, OUTPUT_BYTES, &bytes, &len, NULL), ERR_OK);
    return (char *)bytes;
}

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(126);
}

struct ctl_result ctl_rig_run(const struct ctl_rig *bench, char *const argv[])
{
    char out[2 * TEMP_DIR_BYTES], err[2 * TEMP_DIR_BYTES], program[FILE_PATH_BYTES];
    const char *tools = getenv("DECIDED_TOOLS");
    int status = 0;
    assert_non_null(tools);
    snprintf(program, sizeof program, "%s/decidectl", tools);
    temp_dir_path(&bench->dir, "stdout", out);
    temp_dir_path(&bench->dir, "stderr", err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        redirect(out, STDOUT_FILENO);
        redirect(err, STDERR_FILENO);
        execv(program, argv);
        _exit(126);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status)); /* not by a signal, no sanitizer's abort */
    return (struct ctl_result){WEXITSTATUS(status), ctl_rig_read_text(out), ctl_rig_read_text(err)};
}

void ctl_result_free(struct ctl_result *result)
{
    free(result->out);
    free(result->err);
}

void ctl_rig_check(const struct ctl_rig *bench, int code, const char *out, const char *err,
                   const char *const *args)
{
    char *argv[ARGS_MAX] = {"decidectl", "--url", (char *)bench->daemon.url, "--timeout", "60s"};
    size_t count = 5;
    for (; *args != NULL; args++) {
        assert_true(count + 1 < ARGS_MAX);
        argv[count++] = (char *)*args;
    }
    struct ctl_result result = ctl_rig_run(bench, argv);
    bool good = result.code == code &&
                (out == NULL ? result.out[0] == '\0' : strstr(result.out, out) != NULL) &&
                (err == NULL ? result.err[0] == '\0' : strstr(result.err, err) != NULL);
    if (!good) {
        fprintf(stderr, "decidectl");
        for (size_t i = 1; i < count; i++)
            fprintf(stderr, " %s", argv[i]);
        fprintf(stderr, "\nended with %d, expected %d\nstdout: %s\nstderr: %s\n", result.code, code,
                result.out, result.err);
    }
    ctl_result_free(&result);
    assert_true(good);
}
