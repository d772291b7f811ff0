/* SPDX-License-Identifier: Apache-2.0 */
/* registry_change - what is loaded and how it comes to serve: every change of what answers.
 *
 * In this order: `next` of the names that change is set, with reg_load of their versions and
 * reg_features_prepare; then reg_change, or reg_apply, builds the snapshot beside the one that
 * serves, binds what is fresh, commits, publishes by one pointer and waits for the readers.  Or
 * reg_give_up, which undoes the first.  So a decision never sees a half of a change.
 *
 * Threads: the loader (main before start and after stop); no locks.
 * Ownership: a snapshot borrows the models of the versions that have a label; these stay loaded
 * until nobody reads it. */
#ifndef SERVER_CONTROL_REGISTRY_CHANGE_H
#define SERVER_CONTROL_REGISTRY_CHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "server/control/registry_table.h"

struct feature_set;
struct reg_policies;
struct reg_static;

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

/* ---- registry_lists.c */
uint64_t reg_lists_due_ns(const struct registry *registry);
void reg_lists_check(struct registry *registry); /* and makes them anew when they are due */

#endif
