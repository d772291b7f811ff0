/* SPDX-License-Identifier: Apache-2.0 */
/* bundle_rig - one bundle, version 1 of the model m, in a folder of its own, and loaded as a daemon
 * loads it.  What cannot be written ends the test.  Threads: one owner. */
#ifndef TESTS_SUPPORT_BUNDLE_RIG_H
#define TESTS_SUPPORT_BUNDLE_RIG_H

#include "models/model.h"
#include "models/safetensors.h"
#include "tests/support/temp_dir.h"

extern struct temp_dir bundle_rig_dir;
extern char bundle_rig_version_dir[2 * TEMP_DIR_BYTES];
int bundle_rig_set_up(void **state);
int bundle_rig_tear_down(void **state);
enum err_code bundle_rig_open(bool with_golden, struct model **ret_model, struct err *err);
/* A bundle of the kind mlp with these tensors, not checked against golden rows; `extra`: more keys
 * of its manifest. */
enum err_code bundle_rig_load_mlp(const struct tensor *tensors, uint32_t count, const char *extra,
                                  struct model **ret_model, struct err *err);
/* `columns` 0: of one dimension. */
struct tensor bundle_rig_tensor(const char *name, enum tensor_type type, const void *data,
                                uint64_t rows, uint64_t columns);

#endif
