/* SPDX-License-Identifier: Apache-2.0 */
/* output - what a program printed has arrived, or the program failed.
 *
 * Threads: one, at the end of main. */
#ifndef TOOLS_CLI_OUTPUT_H
#define TOOLS_CLI_OUTPUT_H

/* Flushes stdout.  `code` when all of it was written, or when the program failed anyhow; else 1,
 * after "PROGRAM: cannot write the output: No space left on device" on stderr. */
int output_close(const char *program, int code);

#endif
