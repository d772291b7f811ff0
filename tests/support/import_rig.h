/* SPDX-License-Identifier: Apache-2.0 */
/* import_rig - an import of one file into a daemon that is none: it counts, remembers ids and
 * answers as it is told.  Threads: one owner. */
#ifndef TESTS_SUPPORT_IMPORT_RIG_H
#define TESTS_SUPPORT_IMPORT_RIG_H

#include <signal.h>

#include "tests/support/temp_dir.h"
#include "tools/ctl/import.h"

/* A daemon that counts, remembers up to EVENTS_MAX ids and answers as it is told. */
enum { SCRIPT_MAX = 16, EVENTS_MAX = 8192 };

struct import_fake {
    struct clock_manual clock;
    enum import_answer script[SCRIPT_MAX]; /* answers of the first calls; then all is taken */
    uint32_t script_count, calls;
    bool is_overloaded;    /* for good */
    uint64_t reject_every; /* each n-th event is rejected; 0: none */
    uint32_t batch_events_max;
    size_t batch_bytes_max;
    uint64_t paused_us;
    uint32_t pauses;
    uint32_t count;
    uint64_t ids[EVENTS_MAX];
    volatile sig_atomic_t stop;
    uint32_t stop_after_calls; /* 0: never */
};

/* What an import_link calls, with a struct import_fake. */
enum import_answer import_rig_send(void *ctx, const void *events, size_t len,
                                   struct import_reply *ret_reply, struct err *err);
void import_rig_pause(void *ctx, uint64_t us);

struct import_rig {
    struct temp_dir dir;
    struct import_fake fake;
    struct import_job job;
    struct import_result result;
    struct err err;
    char path[2 * TEMP_DIR_BYTES], map_path[2 * TEMP_DIR_BYTES], errors_path[2 * TEMP_DIR_BYTES];
    char *messages;
    size_t messages_len;
};

/* A job over a file of that name and content. */
void import_rig_create(struct import_rig *f, const char *name, const char *content);
/* Runs the job; what it printed is in `messages`. */
enum err_code import_rig_run(struct import_rig *f);
void import_rig_destroy(struct import_rig *f);

/* Events 1..count, one a line, a second apart from 2020-01-01. */
char *import_rig_lines(uint32_t count);

#endif
