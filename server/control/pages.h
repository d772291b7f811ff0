/* SPDX-License-Identifier: Apache-2.0 */
/* pages - /livez, /readyz and /metrics.
 *
 * /livez depends only on the event loop that answers it.  /readyz says whether the daemon should
 * get traffic, and if not why; `?verbose` lists every check and every model: `[+]` ok, `[-]`
 * failed, and
 * `[!]` degraded, which does not make it unready.  Gauges are computed when /metrics is requested.
 *
 * Threads: the loop's. */
#ifndef SERVER_CONTROL_PAGES_H
#define SERVER_CONTROL_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/metrics.h"
#include "featurestore/store.h"
#include "server/control/audit.h"
#include "server/control/decision_log.h"
#include "server/control/erasure.h"
#include "server/control/modes.h"
#include "server/control/registry.h"
#include "server/decide/snapshot.h"

struct pages { /* all borrowed */
    struct store *store;
    struct decision_log *decision_log; /* NULL: none */
    struct erasure *erasure;           /* NULL: none */
    struct audit *audit;               /* NULL: none */
    const struct serving *serving;
    const struct registry *registry; /* NULL: why a model is missing is not told */
    bool ready_without_models;
    struct modes *modes;
    struct metrics *metrics;
    const struct clock *clock;
    bool (*is_leaving)(void *ctx); /* the daemon is about to stop */
    void *ctx;
    int64_t started_ms; /* wall clock */
};

struct page {
    int status; /* of HTTP */
    const char *content_type;
    char *body; /* malloc'ed, the caller frees; NULL when there was no memory */
    size_t body_bytes;
};

/* False when there is no such page.  `query` "" when there is none. */
bool pages_get(struct pages *pages, const char *path, const char *query, struct page *ret_page);

/* pages_gauges.c: sets everything that is read at the time of asking. */
void pages_set_gauges(struct pages *pages, bool is_ready);

#endif
