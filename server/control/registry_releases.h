/* SPDX-License-Identifier: Apache-2.0 */
/* registry_releases - several models, the policies and the definitions of features in one step, and
 * back.
 *
 * What is in force is in models_dir/.release (server/control/release.h), the rest follows from it.
 * Ownership: policies that are read are the caller's (reg_policies_free).
 *
 * Threads: the loader (main before start and after stop); `registry->releases` is written within
 * the lock of the view, since operators read it. */
#ifndef SERVER_CONTROL_REGISTRY_RELEASES_H
#define SERVER_CONTROL_REGISTRY_RELEASES_H

#include <stdbool.h>

#include "base/err.h"
#include "base/file.h"

struct reg_name;
struct reg_policies;
struct registry;

/* ---- registry_release.c */
MUST_CHECK enum err_code reg_release_install(struct registry *registry, const char *from,
                                             const char *id, struct err *err);
MUST_CHECK enum err_code reg_release_rollback(struct registry *registry, struct err *err);

/* ---- registry_releases.c */
/* Whether `from` holds the release that is in force under this id and serves as it came. */
bool reg_release_is_in_force(struct registry *registry, const char *from, const char *id);
/* models_dir/.releases/ID. */
MUST_CHECK enum err_code reg_release_path(const struct registry *registry, const char *id,
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

#endif
