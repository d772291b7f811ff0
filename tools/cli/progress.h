/* SPDX-License-Identifier: Apache-2.0 */
/* progress - how far a long piece of work is, for the person who waits: share, rate, time left.
 *
 * On a terminal one line is drawn anew ten times a second and wiped at the end.  Otherwise (a log,
 * a pipe) it is a line of its own every five seconds, so short work says nothing.
 *
 *     importing  [######..............]  31%  168,000 lines  51,203/s  7 s left
 *
 * progress_show is cheap enough to be called for every line.  Threads: one owner. */
#ifndef TOOLS_CLI_PROGRESS_H
#define TOOLS_CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

#define PROGRESS_UNKNOWN (-1.0) /* as a share: there is no telling */

struct progress {
    const char *what; /* "importing" */
    const char *unit; /* "lines" */
    const struct clock *clock;
    FILE *out;
    bool is_terminal;
    bool is_drawn;
    uint64_t started_ns;
    uint64_t due_ns; /* when it is shown next */
};

/* To stderr, as a terminal when it is one.  Texts are borrowed. */
void progress_start(struct progress *progress, const char *what, const char *unit);
/* The same with everything chosen, for tests. */
void progress_start_on(struct progress *progress, const char *what, const char *unit, FILE *out,
                       bool is_terminal, const struct clock *clock);

/* `done` is the share of the work, 0..1 or PROGRESS_UNKNOWN; `count` says how many units. */
void progress_show(struct progress *progress, double done, uint64_t count);

/* Wipes the line on a terminal, so that what is printed next begins at its place. */
void progress_end(struct progress *progress);

double progress_elapsed_s(const struct progress *progress);

/* "1,234,567"; buf holds PROGRESS_COUNT_BYTES.  Returns buf. */
#define PROGRESS_COUNT_BYTES 32
char *progress_count(uint64_t count, char buf[PROGRESS_COUNT_BYTES]);

#endif
