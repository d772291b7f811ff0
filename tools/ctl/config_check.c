/* SPDX-License-Identifier: Apache-2.0 */
/* config check: the daemon itself judges the file, so that there is one judge. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "tools/ctl/args.h"

#define EXEC_FAILED 127 /* as shells say it */
#define SAID_BYTES  2048

/* The decided beside this program; false when there is none. */
static bool find_beside(char path[FILE_PATH_BYTES])
{
    char own[FILE_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", own, sizeof own - 1);
    if (len <= 0)
        return false;
    own[len] = '\0';
    *strrchr(own, '/') = '\0';
    return file_join(own, "decided", path, FILE_PATH_BYTES, NULL) == ERR_OK &&
           access(path, X_OK) == 0;
}

/* What the daemon says goes through `out`, or where our own messages go when it is -1. */
static _Noreturn void run_daemon(const char *file, int out)
{
    char path[FILE_PATH_BYTES];
    char *const argv[] = {"decided", "--check-config", "--config", (char *)file, NULL};
    const char *program = find_beside(path) ? path : "decided";
    if (out >= 0) {
        (void)dup2(out, STDOUT_FILENO);
        (void)dup2(out, STDERR_FILENO);
        close(out);
    }
    execvp(program, argv);
    fprintf(stderr,
            "decidectl: config: cannot run decided: %s; put it beside decidectl or into "
            "PATH\n",
            strerror(errno));
    _exit(EXEC_FAILED);
}

/* Passes on what the daemon says and keeps the end of it; closes `in`. */
static void listen_to(int in, char said[SAID_BYTES])
{
    size_t used = 0;
    for (;;) {
        if (used == SAID_BYTES - 1) { /* the last words count */
            used = SAID_BYTES / 2;
            memmove(said, said + SAID_BYTES - 1 - used, used);
        }
        ssize_t got = read(in, said + used, SAID_BYTES - 1 - used);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            break;
        if (got > 0) {
            (void)!write(STDERR_FILENO, said + used, (size_t)got);
            used += (size_t)got;
        }
    }
    said[used] = '\0';
    close(in);
}

/* The `error` of the daemon's last line, or the line itself. */
static void report_json(char *said, int code)
{
    struct err err = {0};
    cJSON *json = NULL;
    size_t len = strlen(said);
    while (len > 0 && said[len - 1] == '\n')
        said[--len] = '\0';
    const char *line = strrchr(said, '\n') != NULL ? strrchr(said, '\n') + 1 : said;
    if (code == EXIT_FINE) {
        printf("{\"ok\": true, \"exit_code\": 0}\n");
        return;
    }
    if (json_parse("decided", line, strlen(line), &json, &err) == ERR_OK) {
        struct json_at root = json_root("decided", json);
        struct json_at error = json_member(&root, "error");
        const char *text = NULL;
        if (error.value != NULL && json_string(&error, &text, &err) == ERR_OK)
            line = text;
    }
    ctl_json_error(code == EXIT_BAD_CONFIG ? "bad_config" : "failed", line);
    cJSON_Delete(json);
}

/* The daemon's exit code, or -1 after a message. */
static int ask_daemon(const char *file, bool json, char said[SAID_BYTES])
{
    int ends[2] = {-1, -1};
    int status = 0;
    if (json && pipe(ends) != 0) {
        ctl_fail("config", "cannot make a pipe: %s", strerror(errno));
        return -1;
    }
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_daemon(file, ends[1]);
    if (json)
        close(ends[1]);
    if (child < 0) {
        ctl_fail("config", "cannot start a process: %s", strerror(errno));
        return -1;
    }
    if (json)
        listen_to(ends[0], said);
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR) {
            ctl_fail("config", "cannot wait for decided: %s", strerror(errno));
            return -1;
        }
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
    return code == EXEC_FAILED ? EXIT_FAILED : code;
}

int command_config(struct ctl *ctl, int argc, char **argv)
{
    static char said[SAID_BYTES];
    if (args_parse_count(ctl, argc, argv, NULL, 0, 2, 2, "check FILE") < 0)
        return EXIT_USAGE;
    if (strcmp(argv[1], "check") != 0)
        return ctl_usage("config", "expected check FILE, got '%s'", argv[1]);
    int code = ask_daemon(argv[2], ctl->json, said);
    if (code < 0)
        return EXIT_FAILED;
    if (ctl->json)
        report_json(said, code);
    else if (code == EXIT_FINE)
        printf("%s is fine\n", argv[2]);
    return code;
}
