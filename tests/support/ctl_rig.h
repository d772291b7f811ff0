/* SPDX-License-Identifier: Apache-2.0 */
/* ctl_rig - decidectl as a program of its own beside a daemon: each call is compared in its exit
 * code and in what it prints on either stream.  Threads: one owner. */
#ifndef TESTS_SUPPORT_CTL_RIG_H
#define TESTS_SUPPORT_CTL_RIG_H

#include "tests/support/daemon.h"

struct ctl_rig {
    struct daemon daemon;
    struct temp_dir dir; /* outputs and bundles */
};

/* What one call of the program left. */
struct ctl_result {
    int code;
    char *out, *err; /* owned */
};

int ctl_rig_set_up(void **state);
int ctl_rig_tear_down(void **state);
char *ctl_rig_read_text(const char *path);
struct ctl_result ctl_rig_run(const struct ctl_rig *bench, char *const argv[]);
void ctl_result_free(struct ctl_result *result);

/* Runs it with --url of the daemon and compares; a text of NULL: must be empty, "": anything. */
void ctl_rig_check(const struct ctl_rig *bench, int code, const char *out, const char *err,
                   const char *const *args);

#define CHECK(code, out, err, ...) \
    ctl_rig_check(bench, code, out, err, (const char *const[]){__VA_ARGS__, NULL})
#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, ctl_rig_set_up, ctl_rig_tear_down)

#endif
