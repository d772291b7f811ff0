/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define READY_MS 60000 /* sanitizers and busy machines */
#define LOG_MS   10000
#define EXIT_MS  30000

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static char *log_text(const struct daemon *daemon)
{
    char path[2 * TEMP_DIR_BYTES];
    FILE *file = fopen(temp_dir_path(&daemon->dir, "decided.log", path), "rb");
    char *text = NULL;
    size_t used = 0;
    for (size_t got = 1; file != NULL && got > 0; used += got) {
        text = realloc(text, used + 65537);
        if (text == NULL)
            abort();
        got = fread(text + used, 1, 65536, file);
        text[used + got] = '\0';
    }
    if (file != NULL)
        fclose(file);
    return text;
}

static _Noreturn void die(const struct daemon *daemon, const char *what)
{
    char *text = log_text(daemon);
    fprintf(stderr, "daemon: %s; its log:\n%s\n", what, text == NULL ? "(none)" : text);
    abort();
}

static int open_pid(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* Waits until the log has the text; false when the daemon ends first or the time is over. */
static bool wait_for_log(struct daemon *daemon, const char *wanted, int64_t limit_ms)
{
    char path[2 * TEMP_DIR_BYTES];
    int64_t end_ms = now_ms() + limit_ms;
    int notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    int process = open_pid(daemon->pid);
    inotify_add_watch(notify, temp_dir_path(&daemon->dir, "decided.log", path), IN_MODIFY);
    struct pollfd fds[2] = {{.fd = notify, .events = POLLIN}, {.fd = process, .events = POLLIN}};
    bool found = false, ended = false;
    while (true) {
        char *text = log_text(daemon);
        found = text != NULL && strstr(text, wanted) != NULL;
        free(text);
        int64_t left_ms = end_ms - now_ms();
        if (found || ended || left_ms <= 0)
            break;
        char events[4096];
        poll(fds, process < 0 ? 1 : 2, (int)left_ms);
        (void)!read(notify, events, sizeof events);
        ended = process < 0 || (fds[1].revents & POLLIN) != 0; /* one look more, at what it left */
    }
    if (process >= 0)
        close(process);
    close(notify);
    return found;
}

/* Copies what stands behind `before`, up to the closing quote, from the log. */
static void find_address(struct daemon *daemon, const char *before, const char *keep, char *to,
                         size_t to_bytes)
{
    char *text = log_text(daemon);
    const char *at = text == NULL ? NULL : strstr(text, before);
    if (at == NULL)
        die(daemon, "an address is not in its log");
    at += strlen(before) - strlen(keep);
    size_t len = strcspn(at, "\"");
    if (len >= to_bytes)
        die(daemon, "an address is too long");
    memcpy(to, at, len);
    to[len] = '\0';
    free(text);
}

static void write_config(const struct daemon *daemon, const char *listen, const char *extra)
{
    size_t bytes = 512 + (extra == NULL ? 0 : strlen(extra));
    char *text = malloc(bytes);
    if (text == NULL)
        abort();
    snprintf(text, bytes,
             "{\"listen\": [\"%s\"], \"http\": \"127.0.0.1:0\",\n"
             " \"data_dir\": \"state\", \"models_dir\": \"models\"%s%s}\n",
             listen, extra == NULL ? "" : ",\n ", extra == NULL ? "" : extra);
    temp_dir_write_text(&daemon->dir, "decided.json", text);
    free(text);
}

static void spawn(struct daemon *daemon)
{
    char config[2 * TEMP_DIR_BYTES], log[2 * TEMP_DIR_BYTES];
    const char *binary = getenv("DECIDED_BINARY");
    if (binary == NULL) {
        fprintf(stderr, "daemon: DECIDED_BINARY is not set; ctest sets it\n");
        abort();
    }
    temp_dir_path(&daemon->dir, "decided.json", config);
    int fd = open(temp_dir_path(&daemon->dir, "decided.log", log),
                  O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    daemon->pid = fd < 0 ? -1 : fork();
    if (daemon->pid == 0) {
        /* It must not outlive a test that aborts. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(fd, STDERR_FILENO);
        dup2(fd, STDOUT_FILENO); /* who reads what the test prints does not wait for a successor */
        execl(binary, "decided", "--config", config, (char *)NULL);
        _exit(127);
    }
    close(fd);
    if (daemon->pid < 0)
        die(daemon, strerror(errno));
}

void daemon_start(struct daemon *daemon, const char *config_extra)
{
    daemon_start_on(daemon, "tcp://127.0.0.1:0", config_extra);
}

void daemon_start_on(struct daemon *daemon, const char *listen, const char *config_extra)
{
    *daemon = (struct daemon){.pid = -1};
    temp_dir_create(&daemon->dir);
    write_config(daemon, listen, config_extra);
    daemon->by_nng = strncmp(listen, "nng+", 4) == 0;
    daemon_restart(daemon);
}

void daemon_keep_port(const struct daemon *daemon, const char *config_extra)
{
    write_config(daemon, daemon->url, config_extra);
}

void daemon_restart(struct daemon *daemon)
{
    char log[2 * TEMP_DIR_BYTES];
    if (daemon->pid > 0)
        die(daemon, "it runs already");
    unlink(temp_dir_path(&daemon->dir, "decided.log", log));
    spawn(daemon);
    if (!wait_for_log(daemon, "\"msg\":\"ready\"", READY_MS))
        die(daemon, "it did not get ready");
    find_address(daemon, daemon->by_nng ? "\"address\":\"nng+tcp://" : "\"address\":\"tcp://",
                 "tcp://", daemon->url, sizeof daemon->url);
    find_address(daemon, "\"address\":\"http://", "", daemon->http, sizeof daemon->http);
}

void daemon_signal(const struct daemon *daemon, int signal)
{
    if (kill(daemon->pid, signal) != 0)
        die(daemon, "it cannot be signalled");
}

int daemon_wait(struct daemon *daemon)
{
    int status = 0;
    int process = open_pid(daemon->pid);
    struct pollfd fd = {.fd = process, .events = POLLIN};
    if (process < 0 || poll(&fd, 1, EXIT_MS) != 1)
        die(daemon, "it did not end");
    close(process);
    if (waitpid(daemon->pid, &status, 0) != daemon->pid)
        die(daemon, "it cannot be waited for");
    daemon->pid = -1;
    return status;
}

bool daemon_log_has(struct daemon *daemon, const char *text)
{
    return wait_for_log(daemon, text, LOG_MS);
}

void daemon_stop(struct daemon *daemon)
{
    if (daemon->pid > 0) {
        daemon_signal(daemon, SIGTERM);
        int status = daemon_wait(daemon);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
            die(daemon, "it did not end with 0");
    }
    temp_dir_remove(&daemon->dir);
}

uint64_t daemon_resident_kib(const struct daemon *daemon)
{
    char path[64], line[256];
    uint64_t kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", (int)daemon->pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        die(daemon, "its status cannot be read");
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
            break;
    }
    fclose(file);
    return kib;
}
