/* SPDX-License-Identifier: Apache-2.0 */
/* registry - which model versions are loaded, which one of each name serves, and how that changes.
 *
 * One loader thread (low priority) does all of it: it watches models_dir (inotify and a rescan),
 * opens and verifies bundles, recomputes golden rows, binds item numbers, warms, builds a snapshot
 * together with the policies and publishes it by one pointer; then it waits for readers and frees
 * what nobody uses.  A bundle that is refused changes nothing; the outcome is recorded and can be
 * listed, and it is tried again only when its bytes change.
 *
 * models_dir/NAME/VERSION/ holds finished bundles; names that start with '.' are never looked at
 * (uploads grow under .incoming/ and are renamed in).  The version that serves is the newest by
 * loading order unless a rollback chose another; models_dir/NAME/.serving remembers it over
 * restarts. The version before the serving one stays loaded, so that rollback is instant.
 *
 * Threads: create, start, stop, destroy on main; requests below from any thread: they are queued to
 * the loader and `done` is called there. */
#ifndef SERVER_CONTROL_REGISTRY_H
#define SERVER_CONTROL_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/metrics.h"
#include "base/pack.h"
#include "featurestore/store.h"
#include "server/decide/snapshot.h"

struct registry;

struct registry_options {
    const char *models_dir;    /* created when absent; borrowed strings, copied */
    const char *policies_path; /* NULL: the built-in policy */
    const struct text *static_ids;
    uint32_t static_count;
    uint32_t worker_count;
    uint64_t rescan_ms;      /* besides inotify, which some file systems lack */
    struct store *store;     /* borrowed, started */
    struct serving *serving; /* borrowed: where snapshots are published */
    struct metrics *metrics; /* borrowed */
    const struct clock *clock;
};

MUST_CHECK enum err_code registry_create(const struct registry_options *options,
                                         struct registry **ret_registry, struct err *err);
/* Loads policies and every bundle that is there, publishes the first snapshot, then starts the
 * thread.  Bad bundles are recorded and do not fail this; a bad policies file does. */
MUST_CHECK enum err_code registry_start(struct registry *registry, struct err *err);
void registry_stop(struct registry *registry);
void registry_destroy(struct registry **registry); /* unpublishes and frees all */

/* Called on the loader thread.  `rc` ERR_OK or why not; err->text is for the user. */
typedef void (*registry_done_fn)(void *ctx, enum err_code rc, const struct err *err);

/* Look at models_dir now; when `name` is not NULL the outcome is that of name/version. */
void registry_scan(struct registry *registry, const char *name, const char *version,
                   registry_done_fn done, void *ctx);
/* Serve the version before the present one.  ERR_NOT_FOUND when there is none. */
void registry_rollback(struct registry *registry, const char *name, registry_done_fn done,
                       void *ctx);
/* Read the policies file and the static list again and publish, or refuse and change nothing. */
void registry_reload(struct registry *registry, const char *policies_path,
                     const struct text *static_ids, uint32_t static_count, registry_done_fn done,
                     void *ctx);

/* Packs {models:[{name, version, kind, label, state, loaded_at_ms, trained_at_ms, bytes}],
 * loads:[{name, version, outcome, message, at_ms}]} as two pairs; any thread.  The last 100 loads.
 */
void registry_pack(const struct registry *registry, struct pack *pack);
uint32_t registry_serving_count(const struct registry *registry);

#endif
