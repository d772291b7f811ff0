/* SPDX-License-Identifier: Apache-2.0 */
/* command_line - the program's options, and the modes in which it does not serve.
 * Threads: main, before anything else. */
#ifndef SERVER_CONTROL_COMMAND_LINE_H
#define SERVER_CONTROL_COMMAND_LINE_H

#include "server/control/config.h"

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_CONFIG = 78 };

enum command_line_action {
    ACTION_SERVE,
    ACTION_CHECK_CONFIG,
    ACTION_DUMP_CONFIG,
    ACTION_DUMP_MARKDOWN,
    ACTION_VERSION,
    ACTION_HELP,
    ACTION_MISUSE
};

struct command_line {
    enum command_line_action action;
    struct config_source source; /* points into argv */
};

/* Prints what is wrong with the arguments, if anything is. */
void command_line_read(int argc, char **argv, struct command_line *ret_line);
/* Does everything but ACTION_SERVE; returns the exit code. */
int command_line_run(const struct command_line *line);

#endif
