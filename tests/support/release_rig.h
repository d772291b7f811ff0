/* SPDX-License-Identifier: Apache-2.0 */
/* release_rig - releases of the models "a" and "b", a policies and a features file, for tests of
 * registries.
 *
 * In release `version` models, policies and features have that version, so that a mixture shows.
 * Failures abort the program.  Threads: one owner. */
#ifndef TESTS_SUPPORT_RELEASE_RIG_H
#define TESTS_SUPPORT_RELEASE_RIG_H

#include "tests/support/registry_rig.h"

/* Writes the folder of a release to DIR/below. */
void release_write(const struct registry_rig *rig, const char *below, const char *version);
/* Its policies alone, of any version. */
void release_write_policies(const struct registry_rig *rig, const char *below, const char *version);
/* Its features alone: "user.views" over that many days, and "user.of<version>". */
void release_write_features(const struct registry_rig *rig, const char *below, const char *version);
enum err_code release_install(struct registry_rig *rig, const char *below, const char *id,
                              struct err *ret_err);
enum err_code release_rollback(struct registry_rig *rig, struct err *ret_err);
/* Writes and installs release `version` under the id "r<version>"; it must be taken. */
void release_push(struct registry_rig *rig, const char *version);

/* "1 1 1" - versions of a, b ("-" for none) and the policies in the snapshot that serves. */
const char *release_serving(const struct registry_rig *rig);
/* The version of the features that the snapshot reads; inside rcu_read_begin/end. */
const char *release_features(const struct registry_rig *rig, const struct snapshot *snapshot);
/* "1 1 1 1" - with that at the end, from the same snapshot. */
const char *release_all(const struct registry_rig *rig);

#endif
