/* SPDX-License-Identifier: Apache-2.0 */
/* failure - how a program tells why it failed: in words on stderr, and where --json was asked for
 * also as one JSON value on stdout, so that whoever reads JSON reads nothing else.
 *
 * Threads: no state. */
#ifndef TOOLS_CLI_FAILURE_H
#define TOOLS_CLI_FAILURE_H

#include <stdbool.h>
#include <stdio.h>

enum { FAILURE_FAILED = 1, FAILURE_USAGE = 2 }; /* exit codes */

/* Whether --json stands anywhere before a "--": what is wrong with a command line may be a word
 * before it. */
bool failure_wants_json(int argc, char *const *argv);

/* {"ok":false,"error":{"code":CODE,"message":MESSAGE}}, a line. */
void failure_print_json(const char *code, const char *message, FILE *out);

/* "PROGRAM: MESSAGE" on stderr, where to look for help behind FAILURE_USAGE; with `json` also on
 * stdout, with the code "usage" or "failed".  Returns `exit_code`. */
int failure_tell(const char *program, int exit_code, const char *message, bool json);

#endif
