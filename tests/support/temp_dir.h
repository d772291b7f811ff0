/* SPDX-License-Identifier: Apache-2.0 */
/* temp_dir - a temporary directory for a test, and files in it.
 *
 * Every failure here aborts the program with a message, since a test cannot go on without its
 * files.  The directory is made under $TMPDIR or /tmp. */
#ifndef TESTS_SUPPORT_TEMP_DIR_H
#define TESTS_SUPPORT_TEMP_DIR_H

#include <stddef.h>

#define TEMP_DIR_BYTES 512

struct temp_dir {
    char path[TEMP_DIR_BYTES];
};

void temp_dir_create(struct temp_dir *dir);
void temp_dir_remove(struct temp_dir *dir); /* with all that is in it */

/* "DIR/name"; buf holds at least 2 * TEMP_DIR_BYTES.  Returns buf. */
char *temp_dir_path(const struct temp_dir *dir, const char *name, char *buf);

/* Creates or replaces DIR/name (`name` may contain '/', missing directories are made). */
void temp_dir_write(const struct temp_dir *dir, const char *name, const void *bytes, size_t len);
void temp_dir_write_text(const struct temp_dir *dir, const char *name, const char *text);

#endif
