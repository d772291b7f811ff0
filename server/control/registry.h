/* SPDX-License-Identifier: Apache-2.0 */
/* registry - which model versions are loaded, which one of each name serves, and how that changes.
 *
 * One loader thread (base/background.h: it takes no core from a thread that serves, and rests
 * between pieces of work) does all of it: it watches models_dir (inotify and a rescan), opens and
 * verifies bundles, recomputes golden rows, binds item numbers, builds a snapshot together with the
 * policies and publishes it by one pointer; then it waits for readers and frees what nobody uses.
 * A bundle that is refused changes nothing; the outcome is recorded and can be listed, and it is
 * tried again only when its bytes change or when the system was at fault.
 *
 * models_dir/NAME/VERSION/ holds finished bundles; names that start with '.' are never looked at
 * (uploads grow under .incoming/ and are renamed in), nor is a folder that is not finished: without
 * manifest.json, with a file missing or smaller than the manifest states, or, where no sizes are
 * stated and it was not renamed in, within `rescan_ms` and 5 s of a change.  One that stays
 * incomplete for `rescan_ms` and 60 s is looked at, which refuses it.
 * Invariants:
 * 1. The versions of a name stand in line by arrival; those that arrive together by the time of
 *    their manifests.  The newest that is good serves; the good one before it is loaded, and others
 *    stay loaded, within `previous_bytes_max` (server/control/previous.h says who goes first).
 *    With `serves_promoted` what arrives is loaded and verified, and waits outside of the line.
 * 2. A rollback takes the serving version out of the line; a promotion puts a version at its end.
 * 3. models_dir/NAME/.serving remembers the line over restarts.
 * 4. With keys only bundles are loaded that one of them signed, and what arrives anew is no lower
 *    than what has served (server/control/ratchet.h).
 * 5. A release is in force as a whole or not at all, also after a crash: models_dir/.release.
 *    Models, policies and definitions of features that answer together change with one pointer.
 * 6. A version that is loaded goes on serving whatever happens to its folder; a name is retired
 *    when models_dir/NAME itself is gone from the models_dir that was there at the start.
 *
 * Threads: create, start, stop, destroy on main; requests below from any thread: they are queued to
 * the loader and `done` is called there (or at once, when the queue cannot take them).
 * Limits: SNAPSHOT_MODELS_MAX names that serve, REGISTRY_FOLDERS_MAX names and versions of a name,
 * PREVIOUS_MAX versions that stay loaded, REGISTRY_QUEUE_MAX requests waiting. */
#ifndef SERVER_CONTROL_REGISTRY_H
#define SERVER_CONTROL_REGISTRY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "base/pack.h"
#include "server/control/audit.h"
#include "server/control/canary.h"
#include "server/control/changes.h"
#include "server/control/shadow.h"
#include "server/decide/snapshot.h"

#define REGISTRY_FOLDERS_MAX 1024
#define REGISTRY_QUEUE_MAX   64
#define REGISTRY_LOADS_MAX   100 /* outcomes remembered */

struct registry;

struct registry_options {
    const char *models_dir;    /* created when absent, and locked; borrowed strings, copied */
    const char *policies_path; /* NULL: the built-in policy */
    const char *features_path; /* NULL: no features are defined */
    const struct text *static_ids;
    uint32_t static_count;
    uint32_t worker_count;
    bool serves_promoted;        /* what arrives waits to be promoted; otherwise it serves */
    uint64_t rescan_ms;          /* besides inotify, which some file systems lack */
    uint64_t check_ms;           /* how often canaries are judged */
    uint64_t lists_ms;           /* how often the lists of the policies follow the store */
    uint64_t previous_bytes_max; /* memory of versions that serve no more; 0: none stays loaded */
    struct store *store;         /* borrowed, started */
    struct serving *serving;     /* borrowed: where snapshots are published */
    struct metrics *metrics;     /* borrowed */
    struct shadow *shadow;       /* borrowed; NULL: no shadows */
    struct audit *audit;         /* borrowed; NULL: none.  For what the registry does by itself */
    struct changes *changes;     /* borrowed; NULL: nobody asks */
    bool follows; /* another registry still writes models_dir/NAME/.serving: not before take_over */
    const struct clock *clock;
    const struct minisign_keys *keys; /* copied; NULL or none: bundles need no signature */
    const char *ratchet_path;         /* with keys: server/control/ratchet.h; copied */
    int inherited_lock_fd; /* a lock of models_dir that this process has already, and that is taken
                              over; -1: none */
};

/* ERR_BUSY when another registry has models_dir. */
MUST_CHECK enum err_code registry_create(const struct registry_options *options,
                                         struct registry **ret_registry, struct err *err);
/* Loads policies and every bundle that is there, publishes the first snapshot, then starts the
 * thread.  Bad bundles are recorded and do not fail this; a bad policies file does. */
MUST_CHECK enum err_code registry_start(struct registry *registry, struct err *err);
void registry_stop(struct registry *registry);
void registry_destroy(struct registry **registry); /* unpublishes and frees all */

/* Called once for each request.  `rc` ERR_OK or why not; err->text is for the user. */
typedef void (*registry_done_fn)(void *ctx, enum err_code rc, const struct err *err);
/* Where what serves now was before; of a release: disk when a part was there. */
enum registry_source {
    REGISTRY_MEMORY,
    REGISTRY_MEMORY_ALONE, /* its folder is gone, or is not as it was loaded: a restart lacks it */
    REGISTRY_DISK
};
/* Within `done` with ERR_OK alone. */
enum registry_source registry_source(const struct registry *registry);

/* The lock of models_dir, for another process to share; -1 where there are none.  Borrowed. */
int registry_lock_fd(const struct registry *registry);

/* The other registry is gone: what this one remembers is written from now on. */
void registry_take_over(struct registry *registry);

/* Looks at models_dir now, without waiting for inotify. */
void registry_scan(struct registry *registry, registry_done_fn done, void *ctx);
/* Verifies and loads the bundle in the folder `from` (same file system), then moves it to
 * NAME/VERSION, durably, and serves it, or lets it wait.  A version that is there with the same
 * manifest serves again; with another one it is ERR_EXISTS.  What is refused never appears in
 * models_dir; `from` is left to the caller unless it was moved. */
void registry_install(struct registry *registry, const char *from, const char *name,
                      const char *version, registry_done_fn done, void *ctx);
/* Serves this version, which is in models_dir or loaded; the one that served before is the next in
 * the line.  ERR_NOT_FOUND, or why it is refused. */
void registry_promote(struct registry *registry, const char *name, const char *version,
                      registry_done_fn done, void *ctx);
/* Decisions about a share of the people use this version in the place of the stable one, until it
 * is promoted, stopped, or crosses one of its bounds: then it is set aside by itself.  The same
 * version again changes the settings.  ERR_NOT_FOUND, ERR_EXISTS (another one is under way), or why
 * it is refused. */
void registry_canary(struct registry *registry, const char *name, const char *version,
                     const struct canary_settings *settings, registry_done_fn done, void *ctx);
void registry_canary_stop(struct registry *registry, const char *name, registry_done_fn done,
                          void *ctx);
/* A share of the decisions is made again with this version in the place of the stable one and
 * compared, by a thread of its own (server/control/shadow.h), until it is stopped or serves. */
void registry_shadow(struct registry *registry, const char *name, const char *version,
                     uint32_t share_e4, registry_done_fn done, void *ctx);
void registry_shadow_stop(struct registry *registry, const char *name, registry_done_fn done,
                          void *ctx);
/* Serves the version before the present one: at once when it is loaded, otherwise from its folder.
 * ERR_NOT_FOUND when there is none.  One that cannot be read is set aside, and the next rollback
 * serves the one before that. */
void registry_rollback(struct registry *registry, const char *name, registry_done_fn done,
                       void *ctx);
/* Read the policies file, the features file and the static list again and publish, or refuse and
 * change nothing.  New features are filled from the log before.  What a lower `previous_bytes_max`
 * lets go is gone when `done` is called. */
void registry_reload(struct registry *registry, const char *policies_path,
                     const char *features_path, const struct text *static_ids,
                     uint32_t static_count, uint64_t previous_bytes_max, registry_done_fn done,
                     void *ctx);

/* Writes down how the breaker of a name is held, so that a restart holds it as well.  ERR_NOT_FOUND
 * when there is no such name. */
void registry_remember(struct registry *registry, const char *name, registry_done_fn done,
                       void *ctx);

/* Verifies and loads all that the folder `from` (same file system) holds of models, policies and
 * definitions of features (server/control/release.h), fills what is new of the features from the
 * log, then puts it in force in one step, with one epoch, durably; what is wrong with any of it
 * refuses all of it, and nothing changes.  ERR_EXISTS: the id is taken. */
void registry_release_install(struct registry *registry, const char *from, const char *id,
                              registry_done_fn done, void *ctx);
/* What served before the release in force, in one step.  ERR_NOT_FOUND when there is none, or a
 * version of before is gone. */
void registry_release_rollback(struct registry *registry, registry_done_fn done, void *ctx);
/* Packs {releases:[{release, at_ms, state, policies, features, models:[{name, version, before}]}]}
 * as one pair, the newest first; any thread.  `state` is "in_force", "altered" when a model of it
 * has changed since, or "previous". */
void registry_pack_releases(struct registry *registry, struct pack *pack);
/* The release in force, "" without one, and the epoch that answers; any thread. */
char *registry_release(struct registry *registry, char ret_id[MODEL_NAME_BYTES],
                       uint64_t *ret_epoch);
/* SHA-256 of the policies that answer, of a release or of the configuration; "none": built in; any
 * thread. */
char *registry_policies_sha256(struct registry *registry, char ret_hex[SHA256_HEX_BYTES]);
/* The same for the definitions of features. */
char *registry_features_sha256(const struct registry *registry, char ret_hex[SHA256_HEX_BYTES]);

/* Versions that serve no more and stay loaded, all names together. */
struct registry_previous {
    uint32_t count;
    uint64_t bytes, bytes_max;
};
struct registry_previous registry_previous(const struct registry *registry);     /* any thread */
void registry_pack_previous(const struct registry *registry, struct pack *pack); /* as a map */

/* Packs {models:[{name, version, kind, label, state, on_disk, loaded_at_ms, trained_at_ms, bytes,
 * retrieval, rollback, canary?, shadow?}], waiting_left_out, loads:[{name, version, outcome,
 * message, at_ms}], previous:{count, bytes, bytes_max}} as pairs; any thread.  At most
 * SNAPSHOT_MODELS_MAX that wait are among the models.  `state` is "serving", "previous"
 * or "waiting", `label` "stable" for the one that serves; `rollback` is {version, from} with `from`
 * "memory" or "disk", nil where there is no such version; loads are the newest first. */
#define REGISTRY_PACK_PAIRS 4
void registry_pack(const struct registry *registry, struct pack *pack);
/* Why the newest version of `name` that was refused, or rolled back by itself, was; "" when none
 * was; any thread. */
char *registry_refusal(const struct registry *registry, const char *name,
                       char ret_message[ERR_TEXT_BYTES]);
/* Of a name that serves: the newest version that was refused since, whose folder is not gone, and
 * why; "" when there is none; any thread. */
char *registry_newer_refusal(const struct registry *registry, const char *name,
                             char ret_version[MODEL_NAME_BYTES], char ret_message[ERR_TEXT_BYTES]);
uint32_t registry_serving_count(const struct registry *registry);
/* The version of `name` that serves, "" when none does; any thread. */
char *registry_version(const struct registry *registry, const char *name,
                       char ret_version[MODEL_NAME_BYTES]);

#endif
