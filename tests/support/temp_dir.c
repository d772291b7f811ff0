/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/temp_dir.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deliberately without base/file: the tests of that module use this one. */
static _Noreturn void die(const char *what, const char *path)
{
    fprintf(stderr, "temp_dir: cannot %s '%s': %s\n", what, path, strerror(errno));
    abort();
}

void temp_dir_create(struct temp_dir *dir)
{
    const char *parent = getenv("TMPDIR");
    int needed = snprintf(dir->path, sizeof dir->path, "%s/decided-test-XXXXXX",
                          parent == NULL || parent[0] == '\0' ? "/tmp" : parent);
    if (needed < 0 || (size_t)needed >= sizeof dir->path || mkdtemp(dir->path) == NULL)
        die("create", dir->path);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *place)
{
    (void)info;
    (void)kind;
    (void)place;
    return remove(path);
}

void temp_dir_remove(struct temp_dir *dir)
{
    if (dir->path[0] == '\0')
        return;
    if (nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
        die("remove", dir->path);
    dir->path[0] = '\0';
}

char *temp_dir_path(const struct temp_dir *dir, const char *name, char *buf)
{
    int needed = snprintf(buf, (size_t)2 * TEMP_DIR_BYTES, "%s/%s", dir->path, name);
    if (needed < 0 || needed >= 2 * TEMP_DIR_BYTES)
        die("name", name);
    return buf;
}

void temp_dir_write(const struct temp_dir *dir, const char *name, const void *bytes, size_t len)
{
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_path(dir, name, path);
    for (char *at = path + strlen(dir->path) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            die("create", path);
        *at = '/';
    }
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        die("open", path);
    size_t written = len == 0 ? 0 : fwrite(bytes, 1, len, file);
    if (fclose(file) != 0 || written != len)
        die("write", path);
}

void temp_dir_write_text(const struct temp_dir *dir, const char *name, const char *text)
{
    temp_dir_write(dir, name, text, strlen(text));
}
