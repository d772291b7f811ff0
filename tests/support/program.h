/* SPDX-License-Identifier: Apache-2.0 */
/* program - runs a program to its end and keeps what it printed.  Failures to run it abort.  Waits
 * 60 s at most.  Threads: one owner. */
#ifndef TESTS_SUPPORT_PROGRAM_H
#define TESTS_SUPPORT_PROGRAM_H

#define PROGRAM_OUTPUT_BYTES 65536

struct program {
    int exit_code; /* -1 when it was killed */
    char out[PROGRAM_OUTPUT_BYTES];
    char err[PROGRAM_OUTPUT_BYTES];
};

/* argv ends with NULL; argv[0] is the path. */
void program_run(struct program *program, const char *const *argv);
/* decidectl of the build, for the daemon at `url`; `args` ends with NULL.  Returns its exit code.
 */
int program_run_ctl(struct program *program, const char *url, const char *const *args);

#endif
