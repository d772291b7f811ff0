/* SPDX-License-Identifier: Apache-2.0 */
/* registry_internal - what the registry itself holds, the queue from others and the view for them.
 *
 *   registry.c           life, the loader thread
 *   registry_commands.c  what others ask of it
 *   registry_view.c      what operators see: list, log, metrics
 *   registry_asked.c     what other threads ask about one name
 *
 *   registry_table.h     names and versions
 *     registry_table.c     the tables
 *     registry_state.c     models_dir/NAME/.serving
 *   registry_line.h      who serves and what stays loaded
 *     registry_line.c      the line of versions of a name: who serves, who is loaded, rollback
 *     registry_promote.c   what operators serve by name
 *     registry_previous.c  who stays loaded though it serves no more
 *     registry_ratchet.c   no old version comes back as a new one
 *   registry_folders.h   what lies in models_dir
 *     registry_folders.c   places, and whether two folders hold the same
 *     registry_scan.c      what of it is new
 *     registry_stamp.c     whether a folder is another one than before
 *     registry_arrival.c   whether a folder is finished
 *     registry_watch.c     inotify
 *   registry_change.h    what is loaded and how it comes to serve
 *     registry_load.c      from a folder to a model that may serve
 *     registry_serve.c     from labels, models and policies to a snapshot that serves
 *     registry_features.c  other definitions of features, with what is bound to them
 *     registry_blend.c     blends and the models that they need
 *     registry_lists.c     the lists of the policies follow what the store learns
 *   registry_trials.h    versions on trial
 *     registry_canary.c    from the command to their end
 *     registry_shadow.c    versions that are asked and do not answer
 *   registry_releases.h  several models, the policies and the features in one step
 *     registry_release.c   there and back
 *     registry_releases.c  those that are in force, at a start and for operators
 *
 * Threads: all of this belongs to the loader (to main before start and after stop), but for the
 * queue and the view, which any thread uses: each has a lock of its own.  What operators see of the
 * rest (`load`, `releases`) is written within that of the view. */
#ifndef SERVER_CONTROL_REGISTRY_INTERNAL_H
#define SERVER_CONTROL_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <sys/types.h>

#include "base/file.h"
#include "base/hash.h"
#include "featurestore/definitions.h"
#include "server/control/ratchet.h"
#include "server/control/registry.h"
#include "server/control/registry_table.h"
#include "server/control/release.h"
#include "server/metrics.h"

enum reg_outcome { OUTCOME_LOADED, OUTCOME_REFUSED, OUTCOME_ROLLED_BACK };

struct reg_load {
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    enum reg_outcome outcome;
    char message[ERR_TEXT_BYTES];
    int64_t at_ms;
};

struct reg_static {
    struct text *ids; /* owned, they point into `text` */
    char *text;       /* owned */
    uint32_t count;
};

struct reg_policies {
    char *path;     /* owned; NULL: built in */
    uint8_t *bytes; /* owned; parsed anew for each snapshot, which takes the result over */
    size_t len;
    char sha256[SHA256_HEX_BYTES]; /* of the bytes; "": built in */
};

/* What other threads see.  `packed` is written anew as a whole after each change. */
struct reg_view {
    pthread_mutex_t lock;
    uint8_t *packed; /* owned, REGISTRY_PACK_PAIRS of MessagePack */
    size_t packed_bytes;
    uint64_t epoch;
    char policies_sha256[SHA256_HEX_BYTES];
    struct registry_previous previous;
    uint32_t serving_count;
    struct {
        char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
        struct reg_refused refused; /* newer than what serves; version "": none is */
    } serving[SNAPSHOT_MODELS_MAX];
};

enum reg_command_kind {
    COMMAND_SCAN,
    COMMAND_INSTALL,
    COMMAND_PROMOTE,
    COMMAND_CANARY,
    COMMAND_CANARY_STOP,
    COMMAND_SHADOW,
    COMMAND_SHADOW_STOP,
    COMMAND_ROLLBACK,
    COMMAND_RELOAD,
    COMMAND_RELEASE,
    COMMAND_RELEASE_ROLLBACK,
    COMMAND_REMEMBER,
    COMMAND_TAKE_OVER
};

struct reg_command {
    struct reg_command *next;
    enum reg_command_kind kind;
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    char path[FILE_PATH_BYTES]; /* install, release: the folder; reload: the policies, "" for built
                                   in */
    char features[FILE_PATH_BYTES]; /* reload; "": none */
    struct reg_static static_list;
    struct canary_settings canary;
    uint32_t shadow_share_e4;
    uint64_t previous_bytes_max; /* reload */
    registry_done_fn done;
    void *ctx;
};

struct reg_queue {
    pthread_mutex_t lock;
    struct reg_command *first, *last;
    uint32_t count;
    bool stopping;
};

struct registry {
    char *models_dir; /* owned */
    bool serves_promoted;
    uint32_t worker_count;
    uint64_t rescan_ns;
    uint64_t check_ns;                   /* how often canaries are judged */
    uint64_t checked_at_ns;              /* the last time */
    uint64_t lists_ns;                   /* how often lists are made anew when there was news */
    uint64_t listed_at_ns;               /* when that was looked at last */
    uint64_t listing_ns;                 /* how long it took the last time */
    uint64_t listed_events;              /* what the store had seen then */
    bool listed_recovered;               /* the store was recovered by then */
    bool lists_give_way;                 /* to commands that wait, while they are made anew */
    uint32_t gave_way;                   /* how often in a row */
    struct snapshot *snapshot, *shadows; /* those that are published; NULL: none */
    struct store *store;                 /* borrowed */
    struct serving *serving;             /* borrowed */
    struct metrics *metrics;             /* borrowed */
    struct audit *audit;                 /* borrowed; NULL: none */
    struct changes *changes;             /* borrowed; NULL: nobody asks */
    bool follows;                        /* nothing is written; the loader's, after start */
    struct shadow *shadow;               /* borrowed; NULL: none */
    const struct clock *clock;
    struct minisign_keys keys; /* none: every bundle may be loaded */
    struct ratchet *ratchet;   /* owned; NULL without keys */
    bool ratchet_failed;       /* told already that it cannot be written */

    struct reg_name **name; /* owned, by name */
    uint32_t count, capacity;
    uint64_t order; /* given last */
    uint64_t epoch;
    uint64_t served;             /* changes so far */
    uint64_t previous_bytes_max; /* of versions that serve no more and stay loaded */
    enum registry_source source; /* of what the command that runs makes serve */
    struct reg_policies policies;
    char
        *config_policies; /* owned; of the configuration, when no release has any; NULL: built in */
    char *config_features;             /* owned; the same for definitions of features; NULL: none */
    struct definitions *next_features; /* owned; declared for a change, until they are staged */
    bool changes_features;         /* the change that is prepared has others than those in force */
    struct release_state releases; /* written within view.lock */
    bool has_unplaced;             /* bundles of the release in force are not in their places yet */
    struct reg_static static_list;
    dev_t dir_device; /* of models_dir at the start, see invariant 6 */
    ino_t dir_inode;
    int lock_fd;                  /* of models_dir; -1 where it takes no lock */
    bool dir_failed;              /* told already that models_dir cannot be read */
    bool looked;                  /* at models_dir, once */
    struct reg_arrival *arrivals; /* owned, at most REGISTRY_FOLDERS_MAX */
    uint32_t arrival_count;
    uint64_t odd_names; /* hash over folders whose names cannot be served, told already */

    struct reg_load load[REGISTRY_LOADS_MAX]; /* a ring; written within view.lock */
    uint64_t load_count;
    struct reg_view view;
    struct reg_queue queue;
    int wake_fd, watch_fd; /* watch_fd -1: no inotify */
    pthread_t thread;
    bool started;
};

/* ---- registry_commands.c */
/* The one that waits longest, or NULL. */
struct reg_command *reg_command_pop(struct registry *registry, bool *ret_stopping);
/* Tells who asked, and frees it. */
void reg_command_finish(struct reg_command *command, enum err_code rc, const struct err *err);
void reg_wake(const struct registry *registry);
bool reg_is_stopping(struct registry *registry);
bool reg_has_commands(struct registry *registry);
MUST_CHECK enum err_code reg_static_copy(const struct text *ids, uint32_t count,
                                         struct reg_static *ret_list, struct err *err);
void reg_static_free(struct reg_static *list);

/* ---- registry_view.c */
MUST_CHECK enum err_code reg_view_init(struct reg_view *view, struct err *err);
void reg_view_deinit(struct reg_view *view);
void reg_view_update(struct registry *registry);
void reg_tell_loaded(struct registry *registry, const struct reg_name *name,
                     const struct reg_version *version, uint64_t took_ns);
void reg_tell_waiting(struct registry *registry, const struct reg_name *name,
                      const struct reg_version *version);
/* Loaded, to be there for a rollback. */
void reg_tell_kept(struct registry *registry, const struct reg_name *name,
                   const struct reg_version *version);
/* What became of a version that was put into models_dir by hand, once, into the audit log: nobody
 * called.  `err` says why it is refused. */
void reg_audit_arrival(struct registry *registry, const struct reg_name *name,
                       struct reg_version *version, enum err_code rc, const struct err *err);
/* An end of a canary; `reason` NULL: somebody stopped or promoted it. */
void reg_tell_canary_ended(struct registry *registry, const struct reg_name *name,
                           const struct reg_version *version, enum canary_end end,
                           const char *reason);
/* Counts always; logs and lists a refusal once. */
void reg_tell_refused(struct registry *registry, struct reg_name *name, struct reg_version *version,
                      const char *message);

#endif
