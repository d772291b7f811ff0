/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/fleet.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/bench/load.h"
#include "tools/bench/stop.h"

enum { POLL_MS = 100 };

/* In memory that parent and child share. */
struct member {
    struct load_result result;
    struct err err;
    enum err_code rc;
};

struct fleet {
    const struct bench_options *options;
    struct traffic *traffic;
    struct member *members;
    pid_t pids[BENCH_PROCESSES_MAX]; /* 0: not there (any more) */
    uint32_t started, left;
    int ready[2]; /* each child writes a byte when it is connected */
    int go[2];    /* and reads one when all are; its end means that the run is called off */
    enum err_code rc;
    struct err *err;
};

struct bench_options fleet_part(const struct bench_options *options, uint32_t index)
{
    struct bench_options part = *options;
    uint64_t count = options->processes;
    part.rate = options->rate / (double)count;
    part.connections = (uint32_t)(options->connections * (index + UINT64_C(1)) / count -
                                  options->connections * (uint64_t)index / count);
    part.seed = options->seed + index * UINT64_C(0x9E3779B97F4A7C15);
    part.processes = 1;
    return part;
}

static enum err_code run_here(const struct bench_options *options, struct traffic *traffic,
                              struct load_result *result, struct err *err)
{
    struct load *load = NULL;
    enum err_code rc = load_create(options, traffic, &load, err);
    if (rc != ERR_OK)
        return rc;
    load_run(load, result);
    load_destroy(&load);
    return ERR_OK;
}

static _Noreturn void run_member(struct fleet *fleet, uint32_t index)
{
    struct member *member = &fleet->members[index];
    struct bench_options part = fleet_part(fleet->options, index);
    struct load *load = NULL;
    char byte = 0;
    close(fleet->ready[0]);
    close(fleet->go[1]);
    traffic_reseed(fleet->traffic, part.seed);
    member->rc = load_create(&part, fleet->traffic, &load, &member->err);
    if (member->rc != ERR_OK)
        _exit(1);
    if (write(fleet->ready[1], &byte, 1) != 1)
        _exit(1);
    ssize_t got;
    do
        got = read(fleet->go[0], &byte, 1);
    while (got < 0 && errno == EINTR && !stop_is_requested());
    if (got == 1)
        load_run(load, &member->result);
    _exit(0);
}

static enum err_code fail(struct fleet *fleet, uint32_t index, int status)
{
    const struct member *member = &fleet->members[index];
    if (fleet->rc != ERR_OK)
        return fleet->rc;
    if (member->rc != ERR_OK)
        return fleet->rc = err_set(fleet->err, member->rc, "%s", member->err.text);
    if (WIFSIGNALED(status))
        return fleet->rc = err_set(fleet->err, ERR_IO,
                                   "load process %u of %u was ended by signal %d (%s): its part of "
                                   "the load is missing",
                                   index + 1, fleet->options->processes, WTERMSIG(status),
                                   strsignal(WTERMSIG(status)));
    return fleet->rc = err_set(fleet->err, ERR_IO,
                               "load process %u of %u ended with status %d: its part of the load "
                               "is missing",
                               index + 1, fleet->options->processes, WEXITSTATUS(status));
}

static enum err_code start(struct fleet *fleet)
{
    pid_t parent = getpid();
    for (uint32_t i = 0; i < fleet->options->processes; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return fleet->rc = err_set(fleet->err, ERR_IO, "cannot start load process %u: %s",
                                       i + 1, strerror(errno));
        if (pid == 0) {
            (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (getppid() != parent)
                _exit(1);
            run_member(fleet, i);
        }
        fleet->pids[i] = pid;
        fleet->started = i + 1;
        fleet->left++;
    }
    return ERR_OK;
}

/* Those that ended are counted; a failure is kept. */
static void reap(struct fleet *fleet)
{
    for (uint32_t i = 0; i < fleet->started; i++) {
        int status = 0;
        if (fleet->pids[i] == 0 || waitpid(fleet->pids[i], &status, WNOHANG) != fleet->pids[i])
            continue;
        fleet->pids[i] = 0;
        fleet->left--;
        if (status != 0)
            (void)fail(fleet, i, status);
    }
}

/* Waits until each is connected, or one of them ended. */
static bool all_are_ready(struct fleet *fleet)
{
    uint32_t ready_count = 0;
    while (ready_count < fleet->started && fleet->rc == ERR_OK && !stop_is_requested()) {
        struct pollfd ready = {.fd = fleet->ready[0], .events = POLLIN};
        char bytes[BENCH_PROCESSES_MAX];
        ssize_t got = 0;
        if (poll(&ready, 1, POLL_MS) > 0 && (ready.revents & POLLIN) != 0)
            got = read(fleet->ready[0], bytes, sizeof bytes);
        if (got > 0)
            ready_count += (uint32_t)got;
        reap(fleet);
    }
    return ready_count == fleet->started && fleet->rc == ERR_OK;
}

static void wait_for_all(struct fleet *fleet)
{
    while (fleet->left > 0) {
        struct pollfd ended = {.fd = fleet->ready[0]};
        if (stop_is_requested() || fleet->rc != ERR_OK)
            for (uint32_t i = 0; i < fleet->started; i++)
                if (fleet->pids[i] > 0)
                    (void)kill(fleet->pids[i], fleet->rc == ERR_OK ? SIGINT : SIGKILL);
        (void)poll(&ended, 1, POLL_MS);
        reap(fleet);
    }
}

static enum err_code run_members(struct fleet *fleet)
{
    static const char bytes[BENCH_PROCESSES_MAX];
    enum err_code rc = start(fleet);
    close(fleet->ready[1]);
    close(fleet->go[0]);
    if (rc == ERR_OK && all_are_ready(fleet) &&
        write(fleet->go[1], bytes, fleet->started) != (ssize_t)fleet->started)
        fleet->rc = err_set(fleet->err, ERR_IO, "cannot start the load: %s", strerror(errno));
    close(fleet->go[1]);
    wait_for_all(fleet);
    close(fleet->ready[0]);
    return fleet->rc;
}

enum err_code fleet_run(const struct bench_options *options, struct traffic *traffic,
                        struct load_result *result, struct err *err)
{
    *result = (struct load_result){0};
    if (options->processes == 1)
        return run_here(options, traffic, result, err);
    ASSERT(options->processes <= BENCH_PROCESSES_MAX);
    struct fleet fleet = {.options = options, .traffic = traffic, .err = err};
    size_t bytes = options->processes * sizeof *fleet.members;
    fleet.members = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fleet.members == MAP_FAILED)
        return err_set(err, ERR_NOMEM, "out of memory for %u processes", options->processes);
    enum err_code rc = ERR_OK;
    if (pipe2(fleet.ready, O_CLOEXEC) != 0) {
        rc = err_set(err, ERR_IO, "pipe: %s", strerror(errno));
    } else if (pipe2(fleet.go, O_CLOEXEC) != 0) {
        rc = err_set(err, ERR_IO, "pipe: %s", strerror(errno));
        close(fleet.ready[0]);
        close(fleet.ready[1]);
    } else {
        rc = run_members(&fleet);
    }
    for (uint32_t i = 0; i < options->processes; i++)
        load_result_merge(result, &fleet.members[i].result, LOAD_AT_ONCE);
    (void)munmap(fleet.members, bytes);
    return rc;
}
