/* SPDX-License-Identifier: Apache-2.0 */
/* The old one: starts its successor and waits until that is ready. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/control/handover_internal.h"

extern char **environ;

/* A package that is upgraded puts its new program at the same place. */
static char program[4096];

enum err_code handover_note_program(struct err *err)
{
    if (program[0] != '\0')
        return ERR_OK;
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len <= 0 || len >= (ssize_t)sizeof program - 1)
        return err_set(err, ERR_IO, "cannot find out where this program is: %s", strerror(errno));
    program[len] = '\0';
    return ERR_OK;
}

/* The environment with the variable, and without what is meant for this process alone. */
static char **environment(struct err *err)
{
    static char variable[64];
    size_t count = 0, kept = 0;
    while (environ[count] != NULL)
        count++;
    char **copy = calloc(count + 2, sizeof *copy);
    if (copy == NULL) {
        err_set(err, ERR_NOMEM, "out of memory to start a successor");
        return NULL;
    }
    for (size_t i = 0; i < count; i++)
        if (strncmp(environ[i], "WATCHDOG_PID=", 13) != 0 &&
            strncmp(environ[i], HANDOVER_VARIABLE "=", sizeof HANDOVER_VARIABLE) != 0)
            copy[kept++] = environ[i];
    snprintf(variable, sizeof variable, HANDOVER_VARIABLE "=%d", HANDOVER_CHILD_FD);
    copy[kept] = variable;
    return copy;
}

static int spawn(char *const *argv, char *const *envp, int child_fd, pid_t *ret_pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc != 0)
        return rc;
    rc = posix_spawnattr_init(&attributes);
    if (rc != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return rc;
    }
    sigemptyset(&none);
    rc = posix_spawn_file_actions_adddup2(&actions, child_fd, HANDOVER_CHILD_FD);
    if (rc == 0)
        rc = posix_spawnattr_setsigmask(&attributes, &none);
    if (rc == 0)
        rc = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (rc == 0)
        rc = posix_spawn(ret_pid, program, &actions, &attributes, argv, envp);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return rc;
}

enum err_code handover_spawn(char *const *argv, const struct handover_gift *gift,
                             struct handover_child *ret_child, struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0)
        return err_set(err, ERR_IO, "cannot make a pair of sockets: %s", strerror(errno));
    enum err_code rc = handover_send_gift(pair[0], gift, err);
    char **envp = rc == ERR_OK ? environment(err) : NULL;
    if (rc == ERR_OK && envp == NULL)
        rc = ERR_NOMEM;
    if (rc == ERR_OK) {
        int failed = spawn(argv, envp, pair[1], &ret_child->pid);
        if (failed != 0)
            rc = err_set(err, ERR_IO, "cannot start %.300s: %s", program, strerror(failed));
    }
    free(envp);
    close(pair[1]);
    if (rc != ERR_OK) {
        close(pair[0]);
        return rc;
    }
    ret_child->fd = pair[0];
    ret_child->sockets = 0;
    return ERR_OK;
}

static enum err_code how_it_ended(struct handover_child *child, struct err *err)
{
    int status = 0;
    kill(child->pid, SIGKILL); /* it has closed its end: there is nothing left to wait for */
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    child->pid = -1;
    close(child->fd);
    child->fd = -1;
    if (WIFEXITED(status))
        return err_set(err, ERR_IO, "the new process ended with exit code %d; its log says why",
                       WEXITSTATUS(status));
    return err_set(err, ERR_IO, "the new process ended by signal %d", WTERMSIG(status));
}

/* The next message; ERR_BUSY when there is none yet, ERR_IO when it has ended. */
static enum err_code hear(struct handover_child *child, char message[HANDOVER_READY_BYTES],
                          struct err *err)
{
    ssize_t got = recv(child->fd, message, HANDOVER_READY_BYTES, MSG_DONTWAIT);
    if (got > 0)
        return ERR_OK;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return err_set(err, ERR_BUSY, "the new process is not so far yet");
    return how_it_ended(child, err);
}

enum err_code handover_child_news(struct handover_child *child, struct err *err)
{
    char message[HANDOVER_READY_BYTES] = {0};
    enum err_code rc = hear(child, message, err);
    if (rc == ERR_OK && message[0] != HANDOVER_READY)
        return how_it_ended(child, err);
    if (rc == ERR_OK)
        memcpy(&child->sockets, message + 1, sizeof child->sockets);
    return rc;
}

void handover_release(struct handover_child *child)
{
    char word = HANDOVER_RELEASED;
    /* When it does not come through the end of this process will be noticed. */
    (void)!send(child->fd, &word, 1, MSG_NOSIGNAL);
}

/* It may have ended just behind its last word. */
static bool is_alive(const struct handover_child *child)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

enum err_code handover_await(struct handover_child *child, int wait_ms, struct err *err)
{
    char message[HANDOVER_READY_BYTES] = {0};
    struct pollfd news = {.fd = child->fd, .events = POLLIN};
    (void)!poll(&news, 1, wait_ms);
    enum err_code rc = hear(child, message, err);
    if (rc == ERR_OK && (message[0] != HANDOVER_SERVING || !is_alive(child)))
        return how_it_ended(child, err);
    if (rc != ERR_OK)
        return rc;
    close(child->fd);
    child->fd = -1;
    return ERR_OK;
}

void handover_abandon(struct handover_child *child)
{
    struct err unused;
    (void)!how_it_ended(child, &unused);
}
