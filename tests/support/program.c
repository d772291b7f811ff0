/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WAIT_MS 60000

enum { ARGS_MAX = 32, PATH_BYTES = 4096 };

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "program: %s: %s\n", what, why);
    abort();
}

/* False when the other end is closed.  What does not fit is dropped. */
static bool take(int fd, char *text, size_t *used)
{
    char piece[4096];
    ssize_t got = read(fd, piece, sizeof piece);
    if (got <= 0)
        return false;
    size_t room = PROGRAM_OUTPUT_BYTES - 1 - *used;
    size_t len = (size_t)got < room ? (size_t)got : room;
    memcpy(text + *used, piece, len);
    *used += len;
    text[*used] = '\0';
    return true;
}

static void collect(struct program *program, pid_t pid, int out, int err)
{
    struct pollfd fds[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    size_t out_used = 0, err_used = 0;
    while (fds[0].fd >= 0 || fds[1].fd >= 0) {
        if (poll(fds, 2, WAIT_MS) <= 0) {
            kill(pid, SIGKILL);
            die("it did not end; its errors", program->err);
        }
        if (fds[0].revents != 0 && !take(out, program->out, &out_used))
            fds[0].fd = -1;
        if (fds[1].revents != 0 && !take(err, program->err, &err_used))
            fds[1].fd = -1;
    }
}

void program_run(struct program *program, const char *const *argv)
{
    int out[2], err[2], status = 0;
    program->out[0] = program->err[0] = '\0';
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
        die("pipe", strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDOUT_FILENO);
        dup2(err[1], STDERR_FILENO);
        execv(argv[0], (char *const *)argv);
        _exit(127);
    }
    close(out[1]);
    close(err[1]);
    if (pid < 0)
        die("fork", strerror(errno));
    collect(program, pid, out[0], err[0]);
    close(out[0]);
    close(err[0]);
    if (waitpid(pid, &status, 0) != pid)
        die("waitpid", strerror(errno));
    program->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int program_run_ctl(struct program *program, const char *url, const char *const *args)
{
    char path[PATH_BYTES];
    const char *argv[ARGS_MAX] = {path, "--url", url, "--timeout", "60s"};
    size_t count = 5;
    const char *tools = getenv("DECIDED_TOOLS");
    if (tools == NULL)
        die("decidectl", "DECIDED_TOOLS is not set");
    snprintf(path, sizeof path, "%s/decidectl", tools);
    for (; *args != NULL; args++) {
        if (count + 1 >= ARGS_MAX)
            die("decidectl", "too many arguments");
        argv[count++] = *args;
    }
    program_run(program, argv);
    return program->exit_code;
}
