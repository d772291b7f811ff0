/* SPDX-License-Identifier: Apache-2.0 */
/* registry_rig - a registry with a store and a directory of models, for tests.
 *
 * Requests are made and waited for (20 s, then the program ends with a message).  Bundles are those
 * of model_sample.h.  Threads: one owner. */
#ifndef TESTS_SUPPORT_REGISTRY_RIG_H
#define TESTS_SUPPORT_REGISTRY_RIG_H

#include <pthread.h>

#include "server/control/registry.h"
#include "tests/support/model_sample.h"
#include "tests/support/temp_dir.h"

struct registry_rig {
    struct temp_dir dir; /* models/ is models_dir */
    struct store *store;
    struct metrics *metrics;
    struct serving serving;
    struct shadow *shadow;
    struct registry *registry;
    const char *policies; /* NULL: built in */
    bool serves_promoted;
    uint64_t previous_bytes_max; /* rig_create: 1 MiB, which is more than any test needs */
    const struct clock *clock;   /* borrowed; NULL: the system's */
    struct audit *audit;         /* borrowed; NULL: none */
    struct changes changes;
    bool follows;                     /* as a successor does */
    const struct minisign_keys *keys; /* NULL: none; the ratchet is versions.json below DIR */
};

/* What the snapshot in force has: a copy, since the loader may replace the snapshot at any time. */
struct rig_view {
    uint64_t epoch;
    uint32_t model_count, trial_count, static_count;
    uint64_t first_model_bytes; /* 0: no model */
    uint64_t trial_decisions;   /* of the first trial, by worker 0; 0: no trial */
};

/* What a request ended with. */
struct outcome {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    enum err_code rc;
    struct err err;
};

void outcome_init(struct outcome *outcome);
void outcome_done(void *ctx, enum err_code rc, const struct err *err); /* a registry_done_fn */
enum err_code outcome_wait(struct outcome *outcome);                   /* err.text is in `err` */

void rig_create(struct registry_rig *rig); /* all but the registry */
void rig_start(struct registry_rig *rig);  /* the registry */
void rig_stop(struct registry_rig *rig);   /* the registry, as a restart does */
void rig_destroy(struct registry_rig *rig);
/* For cmocka: a rig of its own in *state; started; started where what arrives waits to be
 * promoted. */
int rig_set_up(void **state);
int rig_set_up_started(void **state);
int rig_set_up_promoted(void **state);
int rig_tear_down(void **state);

/* models_dir/NAME/VERSION, or another path below DIR; in a buffer of the caller. */
char *rig_path(const struct registry_rig *rig, const char *below, char path[2 * TEMP_DIR_BYTES]);
/* Writes a bundle aside and renames it to models_dir/NAME/VERSION. */
void rig_publish(const struct registry_rig *rig, const char *name, const char *version,
                 enum model_kind kind);
/* Renames the folder work/ below DIR to models_dir/NAME/VERSION, later than its last file was
 * written by the times that the file system gives. */
void rig_move_in(const struct registry_rig *rig, const char *name, const char *version);
/* Removes all versions of a name; again when the loader wrote its state into it meanwhile. */
void rig_remove(const struct registry_rig *rig, const char *name);
void rig_scan(struct registry_rig *rig);
/* Versions 1, 2 and 3 of factors: the first one serves, the others wait. */
void rig_publish_three(struct registry_rig *rig, const char *name);
/* With the policies and the previous_bytes_max of the rig, without features and static items. */
void rig_reload(struct registry_rig *rig);
enum err_code rig_rollback(struct registry_rig *rig, const char *name, struct err *ret_err);
enum err_code rig_promote(struct registry_rig *rig, const char *name, const char *version,
                          struct err *ret_err);
/* Bounds as by default; version NULL: stops it. */
enum err_code rig_canary(struct registry_rig *rig, const char *name, const char *version,
                         uint32_t share_e4, struct err *ret_err);
enum err_code rig_install(struct registry_rig *rig, const char *from, const char *name,
                          const char *version, struct err *ret_err);
/* "1" - the version that serves, by the registry and by the snapshot alike; "" for none. */
const char *rig_serving(const struct registry_rig *rig, const char *name);
struct rig_view rig_view(const struct registry_rig *rig);
/* The message of the newest load of name and version that was refused; "" when none was. */
const char *rig_refusal(const struct registry_rig *rig, const char *name, const char *version);
uint64_t rig_refused_count(const struct registry_rig *rig); /* the metric */
uint64_t rig_loaded_count(const struct registry_rig *rig);

#endif
