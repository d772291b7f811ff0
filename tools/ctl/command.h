/* SPDX-License-Identifier: Apache-2.0 */
/* command - what the commands of decidectl share: the connection, the output mode, the exit codes.
 *
 * A command gets its own arguments (argv[0] is its name) and returns the exit code.  Output goes to
 * stdout: tables for people, or one JSON value with --json; messages go to stderr and begin with
 * "decidectl: ".  Threads: one. */
#ifndef TOOLS_CTL_COMMAND_H
#define TOOLS_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/decide.h"

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_CONFIG = 78 };

struct ctl {
    const char *url;
    const char *token; /* NULL: none */
    bool json;
    uint64_t timeout_us;
    struct decide_client *client; /* made by the first ctl_client */
};

struct command {
    const char *name;      /* "import", "model" */
    const char *arguments; /* for the help: "events|items FILE [--map FILE] ..." */
    const char *help;      /* one line */
    int (*run)(struct ctl *ctl, int argc, char **argv);
};

/* NULL after a message when the url is unusable. */
struct decide_client *ctl_client(struct ctl *ctl);
/* Prints why the reply is no success, in words or as JSON; returns EXIT_FAILED. */
int ctl_report(const struct ctl *ctl, const char *what, const struct decide_reply *reply);
/* "decidectl: import: ..." on stderr; returns EXIT_USAGE. */
int ctl_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int command_import(struct ctl *ctl, int argc, char **argv); /* import.c */
int command_model(struct ctl *ctl, int argc, char **argv);  /* model.c */

#endif
