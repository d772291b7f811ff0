/* SPDX-License-Identifier: Apache-2.0 */
/* jobs - a thread for operators' requests that may wait for files or other threads, so that serving
 * threads need not.  Jobs run one after the other, in order.
 *
 * Threads: jobs_submit on any; create, start, stop, destroy on main.  Limits: JOBS_MAX waiting. */
#ifndef SERVER_CONTROL_JOBS_H
#define SERVER_CONTROL_JOBS_H

#include <stdbool.h>

#include "base/err.h"

#define JOBS_MAX 64

struct jobs;

enum jobs_priority { JOBS_ORDINARY, JOBS_BACKGROUND }; /* base/background.h */

typedef void (*job_fn)(void *ctx);

/* `name`: of the thread, at most 15 bytes; borrowed for as long as this lives. */
MUST_CHECK enum err_code jobs_create(const char *name, enum jobs_priority priority,
                                     struct jobs **ret_jobs, struct err *err);
MUST_CHECK enum err_code jobs_start(struct jobs *jobs, struct err *err);
/* Runs what is waiting, then ends the thread.  Nothing is taken any more. */
void jobs_stop(struct jobs *jobs);
void jobs_destroy(struct jobs **jobs);

/* False when too many wait or when it was stopped: `run` is not called then. */
MUST_CHECK bool jobs_submit(struct jobs *jobs, job_fn run, void *ctx);

#endif
