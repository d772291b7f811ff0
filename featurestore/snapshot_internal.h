/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot_internal - shared by making and verifying. */
#ifndef FEATURESTORE_SNAPSHOT_INTERNAL_H
#define FEATURESTORE_SNAPSHOT_INTERNAL_H

#include "featurestore/snapshot.h"
#include "featurestore/store_checkpoint.h"

/* That of a snapshot or a data_dir, for reading. */
enum err_code snapshot_open_log(const char *dir, struct event_log **ret_log, struct err *err);
/* The sequences of the checkpoints that the log in `dir` names, newest first; 0: none. */
enum err_code snapshot_note(const char *dir, uint64_t sequence[STORE_CHECKPOINTS_KEPT],
                            struct err *err);

#endif
