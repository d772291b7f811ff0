/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/yardstick.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child writes once: where it listens, or why it does not. */
struct hello {
    enum err_code rc;
    char url[ECHO_URL_BYTES];
    struct err err;
};

const char *yardstick_name(enum yardstick_kind kind)
{
    return kind == YARDSTICK_RAW ? "raw" : "nng";
}

static _Noreturn void run_child(enum yardstick_kind kind, const char *ipc_path,
                                const uint8_t *reply, size_t reply_bytes, int pipe)
{
    struct hello hello = {0};
    int listener = -1;
    /* Ctrl-C is meant for the parent, which still measures what is on its way. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_DFL);
    if (kind == YARDSTICK_RAW)
        hello.rc = raw_echo_listen(ipc_path, &listener, hello.url, &hello.err);
    else
        hello.rc = nng_echo_serve(ipc_path, reply, reply_bytes, hello.url, &hello.err);
    if (write(pipe, &hello, sizeof hello) != (ssize_t)sizeof hello || hello.rc != ERR_OK)
        _exit(1);
    close(pipe);
    if (kind == YARDSTICK_RAW)
        raw_echo_serve(listener, reply, reply_bytes);
    for (;;)
        pause();
}

static enum err_code await_hello(struct yardstick *yardstick, int pipe, struct err *err)
{
    struct hello hello;
    struct pollfd ready = {.fd = pipe, .events = POLLIN};
    const char *name = yardstick_name(yardstick->kind);
    if (poll(&ready, 1, YARDSTICK_START_MS) <= 0)
        return err_set(err, ERR_TIMEOUT, "the %s echo did not start within %d ms", name,
                       YARDSTICK_START_MS);
    if (read(pipe, &hello, sizeof hello) != (ssize_t)sizeof hello)
        return err_set(err, ERR_IO, "the %s echo ended before it listened", name);
    if (hello.rc != ERR_OK)
        return err_set(err, hello.rc, "%s", hello.err.text);
    memcpy(yardstick->url, hello.url, sizeof hello.url);
    return ERR_OK;
}

static enum err_code make_ipc_dir(struct yardstick *yardstick, char path[ECHO_URL_BYTES],
                                  struct err *err)
{
    const char *base = getenv("TMPDIR");
    if (base == NULL || base[0] == '\0')
        base = "/tmp";
    int len = snprintf(yardstick->ipc_dir, ECHO_URL_BYTES, "%s/decide-bench.XXXXXX", base);
    if (len >= ECHO_URL_BYTES || mkdtemp(yardstick->ipc_dir) == NULL) {
        yardstick->ipc_dir[0] = '\0';
        return err_set(err, ERR_IO, "cannot make a folder in '%s': %s", base, strerror(errno));
    }
    if (snprintf(path, ECHO_URL_BYTES, "%s/s", yardstick->ipc_dir) >= ECHO_URL_BYTES)
        return err_set(err, ERR_LIMIT, "the path '%s' is too long", base);
    return ERR_OK;
}

enum err_code yardstick_start(enum yardstick_kind kind, bool ipc, const uint8_t *reply,
                              size_t reply_bytes, struct yardstick *ret_yardstick, struct err *err)
{
    struct yardstick yardstick = {.kind = kind};
    char path[ECHO_URL_BYTES];
    int fds[2];
    enum err_code rc = ipc ? make_ipc_dir(&yardstick, path, err) : ERR_OK;
    if (rc == ERR_OK && pipe2(fds, O_CLOEXEC) != 0)
        rc = err_set(err, ERR_IO, "pipe: %s", strerror(errno));
    if (rc != ERR_OK) {
        yardstick_stop(&yardstick);
        return rc;
    }
    pid_t parent = getpid();
    yardstick.pid = fork();
    if (yardstick.pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        close(fds[0]);
        run_child(kind, ipc ? path : NULL, reply, reply_bytes, fds[1]);
    }
    close(fds[1]);
    if (yardstick.pid < 0) {
        yardstick.pid = 0;
        rc = err_set(err, ERR_IO, "fork: %s", strerror(errno));
    } else {
        rc = await_hello(&yardstick, fds[0], err);
    }
    close(fds[0]);
    if (rc == ERR_OK)
        *ret_yardstick = yardstick;
    else
        yardstick_stop(&yardstick);
    return rc;
}

enum err_code yardstick_check(struct yardstick *yardstick, struct err *err)
{
    int status = 0;
    if (yardstick->pid == 0 || waitpid(yardstick->pid, &status, WNOHANG) == 0)
        return ERR_OK;
    yardstick->pid = 0;
    return err_set(err, ERR_IO, "the %s echo ended by itself (%s %d)",
                   yardstick_name(yardstick->kind), WIFSIGNALED(status) ? "signal" : "status",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

void yardstick_stop(struct yardstick *yardstick)
{
    char path[ECHO_URL_BYTES + 2];
    if (yardstick->pid > 0) {
        (void)kill(yardstick->pid, SIGKILL);
        while (waitpid(yardstick->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    if (yardstick->ipc_dir[0] != '\0') {
        snprintf(path, sizeof path, "%s/s", yardstick->ipc_dir);
        (void)unlink(path);
        (void)rmdir(yardstick->ipc_dir);
    }
    *yardstick = (struct yardstick){0};
}
