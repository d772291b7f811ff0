/* SPDX-License-Identifier: Apache-2.0 */
/* yardstick - an echo (echo.h) in a process of its own, on this machine.
 *
 * Threads: the caller must have no others, since it forks.  The process ends with its parent. */
#ifndef TOOLS_BENCH_YARDSTICK_H
#define TOOLS_BENCH_YARDSTICK_H

#include <stdbool.h>
#include <sys/types.h>

#include "tools/bench/echo.h"

enum yardstick_kind { YARDSTICK_RAW, YARDSTICK_NNG };

struct yardstick {
    enum yardstick_kind kind;
    pid_t pid; /* 0: none */
    char url[ECHO_URL_BYTES];
    char ipc_dir[ECHO_URL_BYTES]; /* owned folder of its socket; empty with tcp */
};

/* Returns when it listens, within YARDSTICK_START_MS.  `reply` is what it answers with. */
#define YARDSTICK_START_MS 10000
MUST_CHECK enum err_code yardstick_start(enum yardstick_kind kind, bool ipc, const uint8_t *reply,
                                         size_t reply_bytes, struct yardstick *ret_yardstick,
                                         struct err *err);
/* ERR_IO when the process has ended. */
MUST_CHECK enum err_code yardstick_check(struct yardstick *yardstick, struct err *err);
void yardstick_stop(struct yardstick *yardstick); /* fine on a zeroed one */
const char *yardstick_name(enum yardstick_kind kind);

#endif
