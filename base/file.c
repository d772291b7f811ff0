/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/background.h"

enum { READ_ALIGN = 64, READ_PIECE_BYTES = 65536, NAME_MAX_BYTES = 64, COMPONENTS_MAX = 4 };

static enum err_code io_error(struct err *err, const char *what, const char *path)
{
    int number = errno;
    enum err_code code = ERR_IO;
    if (number == ENOENT || number == ENOTDIR)
        code = ERR_NOT_FOUND;
    else if (number == ENOSPC || number == EDQUOT || number == EFBIG)
        code = ERR_DISK_FULL;
    return err_set(err, code, "cannot %s '%s': %s", what, path, strerror(number));
}

/* Reads exactly `len` bytes and makes sure that the file ends there.  In pieces: a kernel without
 * preemption gives the core to nobody else while it copies one of them to fresh memory. */
static enum err_code read_whole(int fd, const char *path, uint8_t *bytes, size_t len,
                                struct err *err)
{
    size_t got_total = 0;
    for (;;) {
        /* The last byte of the buffer is the NUL's place; reading into it detects growth. */
        size_t left = len + 1 - got_total;
        ssize_t got =
            read(fd, bytes + got_total, left < READ_PIECE_BYTES ? left : READ_PIECE_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return io_error(err, "read", path);
        got_total += (size_t)got;
        if (got == 0 || got_total > len)
            break;
        background_rest();
    }
    if (got_total != len)
        return err_set(err, ERR_IO, "'%s' changed while it was read: expected %zu bytes, got %s",
                       path, len, got_total > len ? "more" : "fewer");
    bytes[len] = '\0';
    return ERR_OK;
}

enum err_code file_read(const char *path, size_t max_bytes, uint8_t **ret_bytes, size_t *ret_len,
                        struct err *err)
{
    enum err_code rc = ERR_OK;
    uint8_t *bytes = NULL;
    struct stat info;
    /* O_NONBLOCK: opening a pipe without a writer must not hang. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return io_error(err, "open", path);
    if (fstat(fd, &info) != 0) {
        rc = io_error(err, "stat", path);
        goto out;
    }
    if (!S_ISREG(info.st_mode)) {
        rc = err_set(err, ERR_BAD_INPUT, "'%s' is not a regular file", path);
        goto out;
    }
    size_t len = (size_t)info.st_size;
    if (len > max_bytes || len > SIZE_MAX - 2 * READ_ALIGN) {
        rc = err_set(err, ERR_LIMIT, "'%s' has %zu bytes, at most %zu are allowed", path, len,
                     max_bytes);
        goto out;
    }
    bytes = aligned_alloc(READ_ALIGN, (len + READ_ALIGN) / READ_ALIGN * READ_ALIGN);
    if (bytes == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory for the %zu bytes of '%s'", len, path);
        goto out;
    }
    rc = read_whole(fd, path, bytes, len, err);
    if (rc != ERR_OK)
        goto out;
    *ret_bytes = bytes;
    bytes = NULL;
    *ret_len = len;
out:
    free(bytes);
    close(fd);
    return rc;
}

static enum err_code write_whole(int fd, const char *path, const void *bytes, size_t len,
                                 struct err *err)
{
    const uint8_t *at = bytes;
    while (len > 0) {
        ssize_t written = write(fd, at, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return io_error(err, "write", path);
        at += written;
        len -= (size_t)written;
    }
    return ERR_OK;
}

/* Splits at the last '/'; "name" alone is in ".". */
static enum err_code split_path(const char *path, char dir[FILE_PATH_BYTES], const char **ret_name,
                                struct err *err)
{
    const char *slash = strrchr(path, '/');
    size_t dir_len = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
    if (dir_len >= FILE_PATH_BYTES)
        return err_set(err, ERR_LIMIT, "the path '%.80s...' is longer than %d bytes", path,
                       FILE_PATH_BYTES - 1);
    memcpy(dir, slash == NULL ? "." : path, dir_len);
    dir[dir_len] = '\0';
    *ret_name = slash == NULL ? path : slash + 1;
    return ERR_OK;
}

enum err_code file_write_atomic(const char *path, const void *bytes, size_t len, struct err *err)
{
    char dir[FILE_PATH_BYTES];
    char temporary[FILE_PATH_BYTES];
    const char *name = NULL;
    enum err_code rc = split_path(path, dir, &name, err);
    if (rc != ERR_OK)
        return rc;
    /* A leading dot keeps the unfinished file out of sight of those who watch the directory. */
    int needed = snprintf(temporary, sizeof temporary, "%s/.%s.XXXXXX", dir, name);
    if (needed < 0 || (size_t)needed >= sizeof temporary)
        return err_set(err, ERR_LIMIT, "the path '%.80s...' is too long to write", path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "create a temporary file beside", path);
    rc = write_whole(fd, path, bytes, len, err);
    if (rc == ERR_OK && (fchmod(fd, 0640) != 0 || fsync(fd) != 0))
        rc = io_error(err, "sync", path);
    if (close(fd) != 0 && rc == ERR_OK)
        rc = io_error(err, "close", path);
    if (rc == ERR_OK && rename(temporary, path) != 0)
        rc = io_error(err, "rename a temporary file to", path);
    if (rc != ERR_OK) {
        unlink(temporary);
        return rc;
    }
    return file_sync_dir(dir, err);
}

enum err_code file_join(const char *dir, const char *name, char *buf, size_t buf_bytes,
                        struct err *err)
{
    size_t dir_len = strlen(dir);
    const char *separator = dir_len > 0 && dir[dir_len - 1] == '/' ? "" : "/";
    int needed = snprintf(buf, buf_bytes, "%s%s%s", dir, separator, name);
    if (needed < 0 || (size_t)needed >= buf_bytes)
        return err_set(err, ERR_LIMIT, "the path '%.80s/%.80s' does not fit into %zu bytes", dir,
                       name, buf_bytes);
    return ERR_OK;
}

static enum err_code make_one_dir(const char *path, struct err *err)
{
    struct stat info;
    if (mkdir(path, 0750) == 0)
        return ERR_OK;
    if (errno != EEXIST)
        return io_error(err, "create the directory", path);
    if (stat(path, &info) != 0)
        return io_error(err, "stat", path);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_EXISTS, "'%s' exists and is not a directory", path);
    return ERR_OK;
}

enum err_code file_make_dir(const char *path, struct err *err)
{
    char buf[FILE_PATH_BYTES];
    size_t len = strlen(path);
    if (len == 0 || len >= sizeof buf)
        return err_set(err, ERR_LIMIT, "a directory path has 1..%d bytes (got %zu)",
                       FILE_PATH_BYTES - 1, len);
    memcpy(buf, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (buf[i] != '/' || buf[i - 1] == '/')
            continue;
        buf[i] = '\0';
        enum err_code rc = make_one_dir(buf, err);
        if (rc != ERR_OK)
            return rc;
        buf[i] = '/';
    }
    return make_one_dir(path, err);
}

enum err_code file_sync_dir(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open the directory", path);
    enum err_code rc = ERR_OK;
    if (fsync(fd) != 0)
        rc = io_error(err, "sync the directory", path);
    close(fd);
    return rc;
}

static enum err_code lock_is_taken(int fd, const char *dir, struct err *err)
{
    char holder[16] = "";
    ssize_t got = pread(fd, holder, sizeof holder - 1, 0);
    holder[got > 0 ? got : 0] = '\0';
    holder[strspn(holder, "0123456789")] = '\0';
    return err_set(err, ERR_BUSY, "the directory '%s' is in use by process %s", dir,
                   holder[0] == '\0' ? "(unknown)" : holder);
}

enum err_code file_sign_lock(int fd, struct err *err)
{
    char owner[32];
    int len = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
    if (pwrite(fd, owner, (size_t)len, 0) != len || ftruncate(fd, len) != 0)
        return err_set(err, ERR_IO, "cannot write the lock file: %s", strerror(errno));
    return ERR_OK;
}

bool file_is_lock_of(int fd, const char *dir, const char *name)
{
    char path[FILE_PATH_BYTES];
    struct stat held, there;
    return file_join(dir, name, path, sizeof path, NULL) == ERR_OK && fstat(fd, &held) == 0 &&
           lstat(path, &there) == 0 && held.st_dev == there.st_dev && held.st_ino == there.st_ino;
}

enum err_code file_lock_dir(const char *dir, const char *name, int *ret_fd, struct err *err)
{
    char path[FILE_PATH_BYTES];
    enum err_code rc = file_join(dir, name, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (fd < 0)
        return io_error(err, "open the lock file", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = errno == EWOULDBLOCK ? lock_is_taken(fd, dir, err) : io_error(err, "lock", path);
        goto out;
    }
    rc = file_sign_lock(fd, err);
    if (rc != ERR_OK)
        goto out;
    *ret_fd = fd;
    fd = -1;
out:
    if (fd >= 0)
        close(fd);
    return rc;
}

static bool is_plain(const char *name, size_t len)
{
    if (len == 0 || len > NAME_MAX_BYTES || name[0] == '.' || name[0] == '-')
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_' && c != '-')
            return false;
    }
    return true;
}

bool file_is_plain_name(const char *name)
{
    return name != NULL && is_plain(name, strlen(name));
}

bool file_is_plain_path(const char *path)
{
    if (path == NULL)
        return false;
    for (int i = 0; i < COMPONENTS_MAX; i++) {
        size_t len = strcspn(path, "/");
        if (!is_plain(path, len))
            return false;
        if (path[len] == '\0')
            return true;
        path += len + 1;
    }
    return false;
}
