/* SPDX-License-Identifier: Apache-2.0 */
/* modes - the operator's cap on the level of decisions: level, expiry and reason.
 *
 * A mode expires exactly on time, without a timer: reading the floor also checks the clock.  A mode
 * survives a restart (data_dir/mode.json), since an incident does not end because a daemon was
 * restarted; its expiry is stored as wall-clock time.
 *
 * Threads: modes_floor on any, one atomic load; the others on any thread but the hot path;
 * modes_set writes a file.  Limits: at most MODES_FOR_MS_MAX, reasons of 200 bytes. */
#ifndef SERVER_CONTROL_MODES_H
#define SERVER_CONTROL_MODES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/text.h"
#include "server/decide/decision.h"

#define MODES_REASON_BYTES 201
#define MODES_FOR_MS_MAX   (INT64_C(366) * 24 * 3600 * 1000)

struct mode {
    enum level level;
    int64_t until_ms; /* wall clock; 0: until it is changed */
    char reason[MODES_REASON_BYTES];
};

struct modes {
    /* end_ns << 3 | level, with end_ns 0 for no end: one word, so that a reader never sees the
     * level of one mode with the end of another.  Relaxed: nothing else is published with it. */
    _Atomic uint64_t packed;
    pthread_mutex_t lock; /* guards `mode` and the file */
    struct mode mode;
    char *path; /* owned */
    const struct clock *clock;
};

/* Takes up the mode that data_dir/mode.json holds.  ERR_NOMEM and ERR_LIMIT fail; a file that
 * cannot be read leaves `full` and is described in *ret_warning (ERR_OK when there is nothing to
 * say). */
MUST_CHECK enum err_code modes_init(struct modes *modes, const char *data_dir,
                                    const struct clock *clock, struct err *ret_warning,
                                    struct err *err);
void modes_deinit(struct modes *modes);

/* `for_ms` 0: without an end.  When the file cannot be written the mode is in force all the same,
 * and the error says so. */
MUST_CHECK enum err_code modes_set(struct modes *modes, enum level level, int64_t for_ms,
                                   struct text reason, struct err *err);
/* The mode in force now. */
void modes_get(struct modes *modes, struct mode *ret_mode);
/* True once after a mode has ended, with that mode; for the log. */
bool modes_take_ended(struct modes *modes, struct mode *ret_mode);

static inline enum level modes_floor(const struct modes *modes, uint64_t now_ns)
{
    uint64_t packed = atomic_load_explicit(&modes->packed, memory_order_relaxed);
    uint64_t end_ns = packed >> 3;
    return end_ns != 0 && now_ns >= end_ns ? LEVEL_full : (enum level)(packed & 7);
}

#endif
