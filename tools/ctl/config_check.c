/* SPDX-License-Identifier: Apache-2.0 */
/* config check: the daemon itself judges the file, so that there is one judge. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tools/ctl/args.h"

#define EXEC_FAILED 127 /* as shells say it */

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

static _Noreturn void run_daemon(const char *file, bool json)
{
    char path[FILE_PATH_BYTES];
    char *const argv[] = {"decided", "--check-config", "--config", (char *)file, NULL};
    const char *program = find_beside(path) ? path : "decided";
    if (json)
        (void)dup2(STDERR_FILENO, STDOUT_FILENO); /* stdout is for the one JSON value */
    execvp(program, argv);
    fprintf(stderr,
            "decidectl: config: cannot run decided: %s; put it beside decidectl or into "
            "PATH\n",
            strerror(errno));
    _exit(EXEC_FAILED);
}

int command_config(struct ctl *ctl, int argc, char **argv)
{
    int status = 0;
    if (args_parse_count(ctl, argc, argv, NULL, 0, 2, 2, "check FILE") < 0)
        return EXIT_USAGE;
    if (strcmp(argv[1], "check") != 0)
        return ctl_usage("config", "expected check FILE, got '%s'", argv[1]);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        run_daemon(argv[2], ctl->json);
    if (child < 0)
        return ctl_fail("config", "cannot start a process: %s", strerror(errno));
    while (waitpid(child, &status, 0) < 0) {
        if (errno != EINTR)
            return ctl_fail("config", "cannot wait for decided: %s", strerror(errno));
    }
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
    if (code == EXEC_FAILED)
        code = EXIT_FAILED;
    if (ctl->json)
        printf("{\"ok\": %s, \"exit_code\": %d}\n", code == EXIT_FINE ? "true" : "false", code);
    else if (code == EXIT_FINE)
        printf("%s is fine\n", argv[2]);
    return code;
}
