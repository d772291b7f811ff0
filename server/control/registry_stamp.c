/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a folder is another one than when it was looked at last. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_table.h"

enum { PIECE_BYTES = 16384 };

/* A bundle has at most a manifest, golden rows and its files; more is for bundle_open to refuse. */
#define STAMP_ENTRIES_MAX 64

bool reg_stamp(const char *dir, uint64_t *ret_stamp, int64_t *ret_written_ns)
{
    uint64_t stamp = 1;
    bool has_manifest = false;
    uint32_t count = 0;
    struct dirent *entry = NULL;
    DIR *list = opendir(dir);
    if (list == NULL)
        return false;
    while ((entry = readdir(list)) != NULL && count++ < STAMP_ENTRIES_MAX) {
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(list), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        int64_t written_ns = info.st_mtim.tv_sec * INT64_C(1000000000) + info.st_mtim.tv_nsec;
        const uint64_t facts[3] = {(uint64_t)written_ns, (uint64_t)info.st_size, info.st_ino};
        uint64_t name_hash = hash_bytes(entry->d_name, strlen(entry->d_name), 0);
        stamp += hash_bytes(facts, sizeof facts, name_hash); /* a sum: readdir has no order */
        if (strcmp(entry->d_name, "manifest.json") == 0) {
            has_manifest = true;
            *ret_written_ns = written_ns;
        }
    }
    closedir(list);
    if (has_manifest)
        *ret_stamp = stamp;
    return has_manifest;
}

/* ---- what was refused ------------------------------------------------------------------------ */

static uint64_t digest_file(int dir, const char *name, uint64_t digest)
{
    char piece[PIECE_BYTES];
    struct stat info;
    ssize_t got = 0;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return digest;
    while (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) &&
           (got = read(fd, piece, sizeof piece)) > 0)
        digest = hash_bytes(piece, (size_t)got, digest);
    close(fd);
    return digest;
}

/* Of what is in the folder, and of when anything of it was touched.  0: it cannot be read. */
static uint64_t digest_folder(const char *dir, bool bytes)
{
    uint64_t digest = 1;
    uint32_t count = 0;
    struct dirent *entry = NULL;
    DIR *list = opendir(dir);
    if (list == NULL)
        return 0;
    while ((entry = readdir(list)) != NULL && count++ < STAMP_ENTRIES_MAX) {
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            fstatat(dirfd(list), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        uint64_t name_hash =
            hash_bytes(entry->d_name, strlen(entry->d_name), info.st_mode & S_IFMT);
        const int64_t touched[2] = {info.st_ctim.tv_sec, info.st_ctim.tv_nsec};
        digest += bytes ? digest_file(dirfd(list), entry->d_name, name_hash)
                        : hash_bytes(touched, sizeof touched, name_hash);
    }
    closedir(list);
    return digest;
}

void reg_stamp_refused(const struct registry *registry, const struct reg_name *name,
                       struct reg_version *version)
{
    char dir[FILE_PATH_BYTES];
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    version->refused_bytes = 0;
    if (!version->on_disk || version->retry != REG_RETRY_NONE ||
        reg_version_path(registry, name->name, version->version, dir, NULL) != ERR_OK)
        return;
    version->refused_touched = digest_folder(dir, false);
    uint64_t bytes = digest_folder(dir, true);
    /* Somebody writes into it: what was refused is not what was read here. */
    if (reg_stamp(dir, &stamp, &written_ns) && stamp == version->stamp &&
        digest_folder(dir, false) == version->refused_touched)
        version->refused_bytes = bytes;
}

enum reg_folder reg_stamp_compare(struct reg_version *version, const char *dir, uint64_t stamp)
{
    if (version->stamp == 0)
        return REG_FOLDER_NEW;
    if (version->refused_bytes == 0 || version->model != NULL)
        return version->stamp == stamp ? REG_FOLDER_SAME : REG_FOLDER_OTHER;
    uint64_t touched = digest_folder(dir, false);
    if (version->stamp == stamp && version->refused_touched == touched)
        return REG_FOLDER_SAME;
    if (digest_folder(dir, true) != version->refused_bytes)
        return REG_FOLDER_OTHER;
    version->refused_touched = touched;
    return REG_FOLDER_SAME;
}
