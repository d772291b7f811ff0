/* SPDX-License-Identifier: Apache-2.0 */
/* publishing_rig - a daemon that takes signed bundles, the key to sign with, and the programs that
 * do it.  A program that fails where it must not fails the test.  Threads: one owner. */
#ifndef TESTS_SUPPORT_PUBLISHING_RIG_H
#define TESTS_SUPPORT_PUBLISHING_RIG_H

#include <cjson/cJSON.h>

#include "tests/support/daemon.h"
#include "tests/support/program.h"

struct publishing_rig {
    struct daemon daemon;
    struct temp_dir dir; /* keys and bundles */
    struct program program;
};

/* A path below dir, in `buf` of 2 * TEMP_DIR_BYTES. */
const char *publishing_rig_path(const struct publishing_rig *bench, const char *name, char *buf);
int publishing_rig_set_up(void **state);
int publishing_rig_tear_down(void **state);

/* decidectl; its output is in bench->program. */
int publishing_rig_ctl(struct publishing_rig *bench, const char *const *args);

/* Signs the manifest of a folder. */
void publishing_rig_sign(struct publishing_rig *bench, const char *dir);
/* A key of a report, or with `other` a key of that key's object. */
const cJSON *publishing_rig_member(const cJSON *report, const char *one, const char *other);
const char *publishing_rig_text(const cJSON *report, const char *one, const char *other);

#endif
