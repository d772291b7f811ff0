/* SPDX-License-Identifier: Apache-2.0 */
/* registry_internal - the tables of the registry and what its parts do for each other.
 *
 *   registry.c        life, the loader thread
 *   registry_commands.c  what others ask of it
 *   registry_scan.c   what lies in models_dir, and what of it is new
 *   registry_stamp.c  whether a folder is another one than before
 *   registry_arrival.c  whether a folder is finished
 *   registry_line.c   the line of versions of a name: who serves, who is loaded, rollback
 *   registry_previous.c  who stays loaded though it serves no more
 *   registry_promote.c  what operators serve by name
 *   registry_canary.c   versions on trial: from the command to their end
 *   registry_shadow.c   versions that are asked and do not answer
 *   registry_load.c   from a folder to a model that may serve
 *   registry_serve.c  from labels, models and policies to a snapshot that serves
 *   registry_features.c  other definitions of features, with what is bound to them
 *   registry_blend.c  blends and the models that they need
 *   registry_lists.c  the lists of the policies follow what the store learns
 *   registry_state.c  models_dir/NAME/.serving
 *   registry_release.c  several models, the policies and the features in one step, and back
 *   registry_releases.c  releases that are in force, at a start and for operators
 *   registry_ratchet.c  no old version comes back as a new one
 *   registry_table.c  names and versions
 *   registry_view.c   what operators see: list, log, metrics
 *   registry_asked.c  what other threads ask about one name
 *   registry_watch.c  inotify
 *
 * Threads: all of this belongs to the loader (to main before start and after stop), but for the
 * queue and the view, which have locks of their own. */
#ifndef SERVER_CONTROL_REGISTRY_INTERNAL_H
#define SERVER_CONTROL_REGISTRY_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"
#include "featurestore/definitions.h"
#include "server/control/ratchet.h"
#include "server/control/registry.h"
#include "server/control/release.h"
#include "server/decide/tally.h"
#include "server/metrics.h"

/* Where a version goes when it is tried again after a refusal that may pass by itself. */
enum reg_retry { REG_RETRY_NONE, REG_RETRY_LINE, REG_RETRY_WAITING };

struct reg_version {
    char version[MODEL_NAME_BYTES];
    uint64_t order; /* of arrival, which is its place in the line */
    /* It is in the line, or waits to be promoted; when neither, it was refused or set aside. */
    bool in_line, waits;
    bool refused;   /* by the last attempt */
    bool verified;  /* waits: it was loaded once and found good */
    bool by_hand;   /* it was found in models_dir, and nobody knows what became of it yet */
    uint64_t stamp; /* of the folder as it was looked at last; 0: not since the start */
    /* What lay there when it was refused, so that it is tried again when its bytes are others, and
     * not because it was touched; 0: not known.  And when anything of it was touched last. */
    uint64_t refused_bytes, refused_touched;
    int64_t written_ns; /* modification of manifest.json */
    bool seen;          /* by the scan that is under way */
    bool on_disk;
    bool folder_differs; /* from what is loaded */
    bool unplaced;       /* its folder is still in .releases */
    enum reg_retry retry;
    uint64_t message_hash; /* of the last refusal, so that it is told once */
    struct model *model;   /* owned; of the versions that reg_settle keeps loaded */
    int64_t loaded_at_ms;
    uint64_t served;         /* registry->served when it had a label last; 0: never */
    uint64_t measured_bytes; /* memory that it held when it was loaded last; 0: not known */
    /* During a change, see registry_serve.c. */
    bool fresh;        /* the model was loaded for it and has no item numbers yet */
    const char *from;  /* borrowed: where its folder is until it is moved into place; or NULL */
    uint64_t began_ns; /* when its loading began */
};

/* A version on trial.  Changed by replacing it as a whole, since a snapshot counts in its tally. */
struct reg_canary {
    struct reg_version *version;
    struct canary_settings settings;
    int64_t began_ms;
    struct tally *tally; /* owned */
    /* By side: all that was counted; up to the beginning of the window; within the window. */
    uint32_t looks; /* at the window */
    struct tally_counts sum[TALLY_SIDE_COUNT], before[TALLY_SIDE_COUNT], window[TALLY_SIDE_COUNT];
};

/* Which version has which label; NULL: none. */
struct reg_labels {
    struct reg_version *stable;
    struct reg_canary *canary; /* owned by the name, see reg_apply */
    struct reg_version *shadow;
    uint32_t shadow_share_e4; /* of the decisions */
};

/* What .serving remembers of a canary or a shadow until its version is loaded. */
struct reg_resume {
    char version[MODEL_NAME_BYTES]; /* "": none */
    struct canary_settings settings;
};

/* A folder that came, or changed, and is not finished as far as can be told. */
struct reg_arrival {
    struct reg_arrival *next;
    char name[MODEL_NAME_BYTES], version[MODEL_NAME_BYTES];
    uint64_t stamp;    /* of the folder as it was looked at last */
    uint64_t since_ns; /* when it was first seen so */
    uint64_t due_ns;   /* when it is looked at as it is */
    bool seen;         /* by the scan that is under way */
};

/* The newest version of a name that was refused. */
struct reg_refused {
    uint64_t order; /* its place in the line, or where it would have been; 0: none was */
    char version[MODEL_NAME_BYTES];
    char message[ERR_TEXT_BYTES];
};

struct reg_name {
    char name[MODEL_NAME_BYTES];
    bool seen;
    struct reg_version **version; /* owned */
    uint32_t count, capacity;
    struct reg_labels now;  /* of the snapshot that serves */
    struct reg_labels next; /* of the one that a change builds; the same as `now` otherwise */
    struct reg_resume canary_of_before, shadow_of_before;
    struct reg_refused refused;
    uint64_t saved_hash; /* of what .serving holds */
    uint64_t change;     /* of releases, the last one that its line has seen */
};

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
    COMMAND_RELEASE_ROLLBACK
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

/* ---- registry_table.c */
struct reg_name *reg_find(const struct registry *registry, const char *name); /* or NULL */
MUST_CHECK enum err_code reg_add(struct registry *registry, const char *name,
                                 struct reg_name **ret_name, struct err *err);
void reg_drop(struct registry *registry, struct reg_name *name); /* with its models */
/* The versions that have a label, each once; NULL behind the last. */
#define REG_LABELS_MAX 3
void reg_labelled(const struct reg_labels *labels,
                  struct reg_version *ret_version[REG_LABELS_MAX + 1]);
struct reg_version *reg_version_find(const struct reg_name *name, const char *version);
MUST_CHECK enum err_code reg_version_add(struct reg_name *name, const char *version,
                                         struct reg_version **ret_version, struct err *err);
void reg_version_drop(struct reg_name *name, struct reg_version *version);
/* The newest in the line before `limit`; NULL when there is none. */
struct reg_version *reg_newest(const struct reg_name *name, uint64_t limit);
struct reg_version *reg_newest_waiting(const struct reg_name *name);
MUST_CHECK enum err_code reg_static_copy(const struct text *ids, uint32_t count,
                                         struct reg_static *ret_list, struct err *err);
void reg_static_free(struct reg_static *list);

/* ---- registry_lists.c */
uint64_t reg_lists_due_ns(const struct registry *registry);
void reg_lists_check(struct registry *registry); /* and makes them anew when they are due */

/* ---- registry_state.c */
/* Puts the versions that .serving names into the table of a name that was just added. */
MUST_CHECK enum err_code reg_state_read(struct registry *registry, struct reg_name *name,
                                        struct err *err);
/* The same from what is in the file; `path` is for messages. */
MUST_CHECK enum err_code reg_state_take(struct registry *registry, struct reg_name *name,
                                        const char *path, const cJSON *tree, struct err *err);
void reg_state_save(const struct registry *registry, struct reg_name *name);

/* ---- registry_load.c */
/* Reads and verifies the version from where its folder is, unless it is loaded; then it is fresh.
 */
MUST_CHECK enum err_code reg_load(const struct registry *registry, const struct reg_name *name,
                                  struct reg_version *version, struct err *err);
/* Gives a fresh version its item numbers, which are never taken back: so after all else was found
 * good.  It stays fresh. */
MUST_CHECK enum err_code reg_bind(const struct registry *registry, struct reg_version *version,
                                  struct err *err);
/* Moves the folder of a version into its place, durably, unless it is there. */
MUST_CHECK enum err_code reg_move(const struct registry *registry, const struct reg_name *name,
                                  struct reg_version *version, struct err *err);
/* A folder, whose files are synced first, to its place; durably. */
MUST_CHECK enum err_code reg_move_into_place(const struct registry *registry, const char *from,
                                             const char *name, const char *version,
                                             struct err *err);
MUST_CHECK enum err_code reg_sync_files(const char *dir, struct err *err);
/* It stays loaded from now on. */
void reg_keep(const struct registry *registry, struct reg_version *version);
/* Loads a version without serving it. */
MUST_CHECK enum err_code reg_preload(const struct registry *registry, const struct reg_name *name,
                                     struct reg_version *version, struct err *err);

/* ---- registry_serve.c */
/* Makes `next` of all names, under these policies and this static list, what serves: builds the
 * snapshot, binds what is fresh, moves folders into place, publishes by one pointer.  On failure
 * nothing has changed, fresh models are gone and `next` is `now` again. */
MUST_CHECK enum err_code reg_apply(struct registry *registry, const struct reg_policies *policies,
                                   const struct reg_static *static_list, struct err *err);
/* The same, with something else than moving folders to make it durable. */
struct reg_change {
    const struct reg_policies *policies;
    const struct reg_static *static_list;
    bool names_all; /* a model that the policies name and that is not there refuses it */
    /* When all was found good and nothing is visible yet; ERR_OK: it will be. */
    enum err_code (*commit)(struct registry *registry, void *ctx, struct err *err);
    void *ctx;
};
MUST_CHECK enum err_code reg_change(struct registry *registry, const struct reg_change *change,
                                    struct err *err);
/* Forgets what a change prepared. */
void reg_give_up(struct registry *registry);
/* Loads the version unless it is loaded, and serves it as stable. */
MUST_CHECK enum err_code reg_serve(struct registry *registry, struct reg_name *name,
                                   struct reg_version *version, struct err *err);
MUST_CHECK enum err_code reg_policies_read(const char *path, struct reg_policies *ret_policies,
                                           struct err *err);
void reg_policies_free(struct reg_policies *policies);

/* ---- registry_features.c; a change of features in the order of its steps */
/* Reads those of the release `id` ("": of the configuration), and declares them unless they are in
 * force.  What fails is given up by reg_give_up. */
MUST_CHECK enum err_code reg_features_prepare(struct registry *registry, const char *id,
                                              struct err *err);
/* *ret_set is NULL when they do not change. */
MUST_CHECK enum err_code reg_features_stage(struct registry *registry,
                                            const struct feature_set **ret_set, struct err *err);
MUST_CHECK enum err_code reg_features_check(const struct registry *registry, struct err *err);
void reg_features_adopt(struct registry *registry); /* nobody reads a snapshot of before */
void reg_features_give_up(struct registry *registry);

/* ---- registry_blend.c; whether the parts of blends that come serve next */
MUST_CHECK enum err_code reg_blend_check(const struct registry *registry, struct err *err);

/* ---- registry_previous.c; by the labels of the snapshot that serves */
bool reg_has_label(const struct reg_name *name, const struct reg_version *version);
/* It was rolled back, or refused: nothing serves it by itself. */
bool reg_is_aside(const struct reg_name *name, const struct reg_version *version);
/* It is loaded, has no label, does not wait, and its folder is not still in .releases: what the
 * budget is for. */
bool reg_is_previous(const struct reg_name *name, const struct reg_version *version);
/* What a rollback serves, loaded or not; NULL: nothing. */
struct reg_version *reg_before(const struct reg_name *name);
/* Whether a version that is not loaded would be among those that stay, as far as is known. */
bool reg_would_stay(const struct registry *registry, struct reg_name *name,
                    struct reg_version *version);
void reg_let_go(struct reg_version *version);
/* Lets go what is beyond the budget, of all names; true when that was any.  What has no folder to
 * be loaded from again is forgotten: pointers to versions without a label are void. */
bool reg_previous_trim(struct registry *registry);
void reg_previous_limit(struct registry *registry, uint64_t bytes_max); /* and trims */
struct registry_previous reg_previous_sum(const struct registry *registry);

/* ---- registry_line.c */
/* Serves the newest good version of the line; loads the one before it, as far as the budget goes,
 * and the newest that waits; frees the others. */
void reg_settle(struct registry *registry, struct reg_name *name);
void reg_refuse(struct registry *registry, struct reg_name *name, struct reg_version *version,
                enum err_code rc, const struct err *err);
MUST_CHECK enum err_code reg_rollback(struct registry *registry, struct reg_name *name,
                                      struct err *err);
MUST_CHECK enum err_code reg_install(struct registry *registry, const char *from,
                                     const char *name_text, const char *version_text,
                                     struct err *err);
/* Whether two folders hold the same file, of at most 1 MiB, and the same manifest. */
bool reg_same_file(const char *dir_a, const char *dir_b, const char *file);
bool reg_same_manifest(const char *dir_a, const char *dir_b);
void reg_retire(struct registry *registry, struct reg_name *name);
MUST_CHECK enum err_code reg_version_path(const struct registry *registry, const char *name,
                                          const char *version, char ret_path[FILE_PATH_BYTES],
                                          struct err *err);

/* ---- registry_promote.c */
MUST_CHECK enum err_code reg_promote(struct registry *registry, struct reg_name *name,
                                     const char *version_text, struct err *err);
/* A version that can be loaded, or is. */
MUST_CHECK enum err_code reg_find_version(const struct reg_name *name, const char *version_text,
                                          struct reg_version **ret_version, struct err *err);

/* ---- registry_canary.c */
MUST_CHECK enum err_code reg_canary_start(struct registry *registry, struct reg_name *name,
                                          const char *version_text,
                                          const struct canary_settings *settings, struct err *err);
MUST_CHECK enum err_code reg_canary_stop(struct registry *registry, struct reg_name *name,
                                         struct err *err);
/* Goes on with the canary that .serving remembers. */
void reg_canary_resume(struct registry *registry, struct reg_name *name);
/* Makes a canary fit a change of the stable version: one that becomes stable is none any more, and
 * what is compared with another version is counted anew. */
MUST_CHECK enum err_code reg_canary_follow(const struct registry *registry, struct reg_name *name,
                                           struct err *err);
/* Judges those that run, when it is time; ends what crossed a bound. */
void reg_canaries_check(struct registry *registry);
/* When to judge next; UINT64_MAX while none runs. */
uint64_t reg_canaries_due_ns(const struct registry *registry);
/* Whether a version may stand where the other does: rankers of both kinds may. */
bool reg_can_replace(const struct model *model, const struct model *stable);
MUST_CHECK enum err_code reg_check_kind(const struct reg_name *name,
                                        const struct reg_version *version, struct err *err);
void reg_canary_destroy(struct reg_canary **canary);
void reg_canary_pack(struct pack *pack, const struct reg_canary *canary);

/* ---- registry_shadow.c; as for canaries */
MUST_CHECK enum err_code reg_shadow_start(struct registry *registry, struct reg_name *name,
                                          const char *version_text, uint32_t share_e4,
                                          struct err *err);
MUST_CHECK enum err_code reg_shadow_stop(struct registry *registry, struct reg_name *name,
                                         struct err *err);
void reg_shadow_resume(struct registry *registry, struct reg_name *name);
void reg_shadow_follow(struct reg_name *name);
void reg_shadow_pack(const struct registry *registry, const struct reg_name *name,
                     struct pack *pack);

/* ---- registry_release.c */
MUST_CHECK enum err_code reg_release_install(struct registry *registry, const char *from,
                                             const char *id, struct err *err);
MUST_CHECK enum err_code reg_release_rollback(struct registry *registry, struct err *err);

/* ---- registry_releases.c */
/* Whether `from` holds the release that is in force under this id and serves as it came. */
bool reg_release_is_in_force(struct registry *registry, const char *from, const char *id);
/* models_dir/.releases/ID, and dir/NAME/VERSION. */
MUST_CHECK enum err_code reg_release_path(const struct registry *registry, const char *id,
                                          char ret_path[FILE_PATH_BYTES], struct err *err);
MUST_CHECK enum err_code reg_path_below(const char *dir, const char *name, const char *version,
                                        char ret_path[FILE_PATH_BYTES], struct err *err);
/* The bundles of the release in force go to their places.  What fails is logged once; it is tried
 * again at every look at models_dir, and before the next release. */
MUST_CHECK enum err_code reg_release_move(struct registry *registry, struct err *err);
/* Removes the folders of releases that never were in force, or are forgotten. */
void reg_release_tidy(const struct registry *registry);
/* The policies of that release; "": those of the configuration. */
MUST_CHECK enum err_code reg_release_read_policies(const struct registry *registry, const char *id,
                                                   struct reg_policies *ret_policies,
                                                   struct err *err);
/* Before the first look: reads what is in force, and does what a crash left undone. */
MUST_CHECK enum err_code reg_releases_start(struct registry *registry, struct err *err);
/* The line of a name gets what the last change of releases says, once. */
void reg_release_follow(struct registry *registry, struct reg_name *name);
/* Those of the release in force, or else of the configuration. */
MUST_CHECK enum err_code reg_release_policies(const struct registry *registry,
                                              struct reg_policies *ret_policies, struct err *err);

/* ---- registry_ratchet.c; nothing without keys */
/* A folder that came, or changed. */
void reg_ratchet_arrive(const struct registry *registry, const char *name, const char *version,
                        const char *dir);
/* What is about to answer: `next` of all names. */
void reg_ratchet_raise(struct registry *registry);
void reg_ratchet_save(struct registry *registry);
/* Forgets versions that are gone. */
void reg_ratchet_prune(struct registry *registry);

/* ---- registry_scan.c */
void reg_scan(struct registry *registry);

/* ---- registry_stamp.c */
/* A number that changes when a file of the folder does; false when it holds no manifest. */
bool reg_stamp(const char *dir, uint64_t *ret_stamp, int64_t *ret_written_ns);
/* After a refusal for good: remembers what was refused. */
void reg_stamp_refused(const struct registry *registry, const struct reg_name *name,
                       struct reg_version *version);
/* OTHER: another stamp; of what was refused, other bytes, whatever sizes and times say. */
enum reg_folder { REG_FOLDER_SAME, REG_FOLDER_NEW, REG_FOLDER_OTHER };
enum reg_folder reg_stamp_compare(struct reg_version *version, const char *dir, uint64_t stamp);

/* ---- registry_arrival.c */
/* Whether a folder that came or changed is finished; else when it is looked at as it is, is
 * remembered. */
bool reg_has_arrived(struct registry *registry, const char *name, const char *version,
                     const char *dir, uint64_t stamp);
/* Around each scan; what it did not come across is forgotten. */
void reg_arrivals_begin(struct registry *registry);
void reg_arrivals_end(struct registry *registry);
uint64_t reg_arrivals_due_ns(const struct registry *registry); /* UINT64_MAX: none waits */
void reg_arrivals_free(struct registry *registry);

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

/* ---- registry_watch.c */
int reg_watch_open(void); /* -1 when the system has none left */
void reg_watch_add(const struct registry *registry, const char *dir);
bool reg_watch_drain(const struct registry *registry); /* true when something may have changed */

#endif
