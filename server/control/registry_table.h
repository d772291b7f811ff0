/* SPDX-License-Identifier: Apache-2.0 */
/* registry_table - names and their versions: what each is in, and which one has which label.
 *
 * A name owns its versions and its canary, a version the model that is loaded.  `now` is of the
 * snapshot that serves; who changes what serves sets `next` and has the change made
 * (registry_change.h).  A pointer to a version is good until that is dropped: by reg_version_drop
 * and reg_drop, or by reg_previous_trim (registry_line.h) when it has no label.
 *
 * Threads: the loader (main before start and after stop); no locks.
 * Limits: REGISTRY_FOLDERS_MAX names, and versions of a name. */
#ifndef SERVER_CONTROL_REGISTRY_TABLE_H
#define SERVER_CONTROL_REGISTRY_TABLE_H

#include "base/breaker.h"
#include "base/err.h"
#include "base/json.h"
#include "models/bundle.h"
#include "server/control/canary.h"
#include "server/decide/tally.h"

struct model;
struct registry;

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

/* The newest version of a name that was refused. */
struct reg_refused {
    uint64_t order; /* its place in the line, or where it would have been; 0: none was */
    char version[MODEL_NAME_BYTES];
    char message[ERR_TEXT_BYTES];
};

struct reg_held {
    char version[MODEL_NAME_BYTES]; /* "": none */
    enum breaker_hold hold;
};

struct reg_name {
    char name[MODEL_NAME_BYTES];
    bool seen;
    struct reg_version **version; /* owned */
    uint32_t count, capacity;
    struct reg_labels now;  /* of the snapshot that serves */
    struct reg_labels next; /* of the one that a change builds; the same as `now` otherwise */
    struct reg_resume canary_of_before, shadow_of_before;
    struct reg_held held_before; /* until a version serves */
    struct reg_refused refused;
    uint64_t saved_hash; /* of what .serving holds */
    uint64_t change;     /* of releases, the last one that its line has seen */
};

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

/* ---- registry_state.c */
/* Puts the versions that .serving names into the table of a name that was just added. */
MUST_CHECK enum err_code reg_state_read(struct registry *registry, struct reg_name *name,
                                        struct err *err);
/* The same from what is in the file; `path` is for messages. */
MUST_CHECK enum err_code reg_state_take(struct registry *registry, struct reg_name *name,
                                        const char *path, const cJSON *tree, struct err *err);
void reg_state_save(const struct registry *registry, struct reg_name *name);

#endif
