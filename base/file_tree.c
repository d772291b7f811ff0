/* SPDX-License-Identifier: Apache-2.0 */
/* Removal of a directory tree: a walk with a stack of open directories, relative to them, so that
 * nobody can lead it elsewhere by swapping a directory for a link on the way. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { TREE_DEPTH_MAX = 8, NAME_BYTES = 256 };

struct walk {
    const char *root; /* for messages */
    uint32_t depth;
    struct {
        DIR *dir;
        char name[NAME_BYTES]; /* in its parent; unused for the root */
    } level[TREE_DEPTH_MAX];
};

static enum err_code walk_error(const struct walk *walk, const char *what, const char *name,
                                struct err *err)
{
    return err_set(err, ERR_IO, "cannot %s '%s' while removing '%s': %s", what, name, walk->root,
                   strerror(errno));
}

/* Opens `name` in `parent_fd` as a directory and steps into it. */
static enum err_code walk_enter(struct walk *walk, int parent_fd, const char *name, struct err *err)
{
    if (walk->depth == TREE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, "'%s' is nested deeper than %d directories", walk->root,
                       TREE_DEPTH_MAX);
    if (walk->depth > 0 && strlen(name) >= NAME_BYTES)
        return err_set(err, ERR_LIMIT, "a file name in '%s' is too long", walk->root);
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return walk_error(walk, "open", name, err);
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        enum err_code rc = walk_error(walk, "read", name, err);
        close(fd);
        return rc;
    }
    walk->level[walk->depth].dir = dir;
    if (walk->depth > 0)
        memcpy(walk->level[walk->depth].name, name, strlen(name) + 1);
    walk->depth++;
    return ERR_OK;
}

/* Removes what is not a directory; steps into what is. */
static enum err_code walk_entry(struct walk *walk, const char *name, struct err *err)
{
    int fd = dirfd(walk->level[walk->depth - 1].dir);
    struct stat info;
    if (fstatat(fd, name, &info, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT ? ERR_OK : walk_error(walk, "stat", name, err);
    if (S_ISDIR(info.st_mode))
        return walk_enter(walk, fd, name, err);
    if (unlinkat(fd, name, 0) != 0 && errno != ENOENT)
        return walk_error(walk, "remove", name, err);
    return ERR_OK;
}

static enum err_code walk_leave(struct walk *walk, struct err *err)
{
    walk->depth--;
    closedir(walk->level[walk->depth].dir);
    if (walk->depth == 0)
        return ERR_OK;
    const char *name = walk->level[walk->depth].name;
    if (unlinkat(dirfd(walk->level[walk->depth - 1].dir), name, AT_REMOVEDIR) != 0)
        return walk_error(walk, "remove", name, err);
    return ERR_OK;
}

enum err_code file_remove_tree(const char *path, struct err *err)
{
    struct walk walk = {.root = path};
    struct stat info;
    if (lstat(path, &info) != 0) {
        if (errno == ENOENT)
            return ERR_OK;
        return err_set(err, ERR_IO, "cannot stat '%s': %s", path, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_BAD_INPUT, "'%s' is not a directory", path);
    enum err_code rc = walk_enter(&walk, AT_FDCWD, path, err);
    while (rc == ERR_OK && walk.depth > 0) {
        errno = 0;
        struct dirent *entry = readdir(walk.level[walk.depth - 1].dir);
        if (entry == NULL)
            rc = errno == 0 ? walk_leave(&walk, err) : walk_error(&walk, "list", "a folder", err);
        else if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = walk_entry(&walk, entry->d_name, err);
    }
    while (walk.depth > 0)
        closedir(walk.level[--walk.depth].dir);
    if (rc == ERR_OK && rmdir(path) != 0)
        rc = err_set(err, ERR_IO, "cannot remove '%s': %s", path, strerror(errno));
    return rc;
}
