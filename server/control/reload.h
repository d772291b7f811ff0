/* SPDX-License-Identifier: Apache-2.0 */
/* reload - reads the configuration again, while the daemon serves, and applies what may change.
 *
 * Everything is read and checked first: the file, the token, then features, policies and static
 * items by the loader, which fills new features from the log and publishes all together with the
 * models.  What is refused anywhere changes nothing anywhere.  Options that differ but need a
 * restart are named, and named again at each reload until then.
 *
 * Threads: reload_run on the thread of jobs only (it waits for the loader). */
#ifndef SERVER_CONTROL_RELOAD_H
#define SERVER_CONTROL_RELOAD_H

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "server/control/access.h"
#include "server/control/audit.h"
#include "server/control/config.h"
#include "server/control/registry.h"

struct reload {
    struct config_source source;
    struct config *running; /* what is in force; this thread's own once the daemon is up */
    struct access *access;
    struct registry *registry;
    struct store *store;
    struct audit *audit; /* NULL: reloads are not recorded */
    struct metrics *metrics;
    const struct clock *clock;
};

struct reload_result {
    uint32_t restart_count;
    const char *restart[OPTION_COUNT]; /* options that differ and need a restart */
};

/* Logs, counts and records the outcome, and returns it. */
MUST_CHECK enum err_code reload_run(struct reload *reload, const struct audit_who *who,
                                    struct reload_result *ret_result, struct err *err);
/* The start counts as the first success. */
void reload_mark_success(struct reload *reload);
/* A job_fn, for the signal: the outcome is in the log. */
void reload_job(void *reload);

/* The ids of a list, for the registry; *ret_ids is malloc'ed and points into the list. */
MUST_CHECK enum err_code reload_static_ids(const struct config_list *list, struct text **ret_ids,
                                           struct err *err);

#endif
