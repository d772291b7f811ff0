/* SPDX-License-Identifier: Apache-2.0 */
/* registry_folders - what lies in models_dir, and what of it is new, another or unfinished.
 *
 * Folders are only read here, but for reg_move_into_place: what is found goes into the table, and
 * the line (registry_line.h) settles who serves.
 *
 * Threads: the loader (main before start and after stop); no locks.  Paths are the caller's, of
 * FILE_PATH_BYTES.  Limits: REGISTRY_FOLDERS_MAX folders that are not finished. */
#ifndef SERVER_CONTROL_REGISTRY_FOLDERS_H
#define SERVER_CONTROL_REGISTRY_FOLDERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"

struct reg_name;
struct reg_version;
struct registry;

/* ---- registry_folders.c */
/* models_dir/NAME/VERSION, and dir/NAME/VERSION. */
MUST_CHECK enum err_code reg_version_path(const struct registry *registry, const char *name,
                                          const char *version, char ret_path[FILE_PATH_BYTES],
                                          struct err *err);
MUST_CHECK enum err_code reg_path_below(const char *dir, const char *name, const char *version,
                                        char ret_path[FILE_PATH_BYTES], struct err *err);
/* Whether two folders hold the same file, of at most 1 MiB, and the same manifest. */
bool reg_same_file(const char *dir_a, const char *dir_b, const char *file);
bool reg_same_manifest(const char *dir_a, const char *dir_b);
/* A folder, whose files are synced first, to its place; durably. */
MUST_CHECK enum err_code reg_move_into_place(const struct registry *registry, const char *from,
                                             const char *name, const char *version,
                                             struct err *err);
MUST_CHECK enum err_code reg_sync_files(const char *dir, struct err *err);

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

/* ---- registry_watch.c */
int reg_watch_open(void); /* -1 when the system has none left */
void reg_watch_add(const struct registry *registry, const char *dir);
bool reg_watch_drain(const struct registry *registry); /* true when something may have changed */

#endif
