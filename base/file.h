/* SPDX-License-Identifier: Apache-2.0 */
/* file - whole files in and out, directories and the lock of a directory.
 *
 * Reading copies (nothing is mapped, so a publisher who truncates a file cannot kill the process).
 * Writing goes to a sibling temporary file, fsync, rename, fsync of the directory.
 * Threads: any, not on the hot path.  Every error names the path. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FILE_PATH_BYTES 4096

/* *ret_bytes is malloc'ed, 64-byte aligned, with one NUL after the last byte; the caller frees it.
 * ERR_NOT_FOUND, ERR_IO, ERR_LIMIT when larger than max_bytes, ERR_NOMEM. */
MUST_CHECK enum err_code file_read(const char *path, size_t max_bytes, uint8_t **ret_bytes,
                                   size_t *ret_len, struct err *err);

MUST_CHECK enum err_code file_write_atomic(const char *path, const void *bytes, size_t len,
                                           struct err *err);

/* Joins with '/', checks the length; ERR_LIMIT when it does not fit. */
MUST_CHECK enum err_code file_join(const char *dir, const char *name, char *buf, size_t buf_bytes,
                                   struct err *err);

/* Creates the directory and its parents (0750); fine when it is there. */
MUST_CHECK enum err_code file_make_dir(const char *path, struct err *err);

/* Removes a directory tree without following links; depth at most 8.  Fine when it is absent. */
MUST_CHECK enum err_code file_remove_tree(const char *path, struct err *err);

/* fsync of a directory, so that renames in it are on disk. */
MUST_CHECK enum err_code file_sync_dir(const char *path, struct err *err);

/* Takes the file `dir/name` for this process (flock), and with it the directory; ERR_BUSY when
 * another process holds it, and names its process id.  Close the descriptor to give it back. */
MUST_CHECK enum err_code file_lock_dir(const char *dir, const char *name, int *ret_fd,
                                       struct err *err);

/* Whether the lock that this process was given is that of the directory. */
bool file_is_lock_of(int fd, const char *dir, const char *name);

/* Writes this process into a lock that it holds: one that another process gave it. */
MUST_CHECK enum err_code file_sign_lock(int fd, struct err *err);

/* True for names that are safe as one path component: 1..64 of [A-Za-z0-9._-], not starting with
 * '.' or '-'. */
bool file_is_plain_name(const char *name);

/* True for a relative path whose every component is plain; at most 4 components. */
bool file_is_plain_path(const char *path);

#endif
