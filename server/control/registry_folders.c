/* SPDX-License-Identifier: Apache-2.0 */
/* Places in models_dir: where a version is, whether two folders hold the same, and how one gets
 * there. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"

enum err_code reg_version_path(const struct registry *registry, const char *name,
                               const char *version, char ret_path[FILE_PATH_BYTES], struct err *err)
{
    char parent[FILE_PATH_BYTES];
    enum err_code rc = file_join(registry->models_dir, name, parent, sizeof parent, err);
    return rc == ERR_OK ? file_join(parent, version, ret_path, FILE_PATH_BYTES, err) : rc;
}

enum err_code reg_path_below(const char *dir, const char *name, const char *version,
                             char ret_path[FILE_PATH_BYTES], struct err *err)
{
    char parent[FILE_PATH_BYTES];
    enum err_code rc = file_join(dir, name, parent, sizeof parent, err);
    return rc == ERR_OK ? file_join(parent, version, ret_path, FILE_PATH_BYTES, err) : rc;
}

bool reg_same_file(const char *dir_a, const char *dir_b, const char *file)
{
    char path[FILE_PATH_BYTES];
    const char *const dirs[2] = {dir_a, dir_b};
    uint8_t *bytes[2] = {NULL, NULL};
    size_t len[2] = {0, 0};
    bool same = true;
    for (int i = 0; i < 2 && same; i++)
        same = file_join(dirs[i], file, path, sizeof path, NULL) == ERR_OK &&
               file_read(path, (size_t)1 << 20, &bytes[i], &len[i], NULL) == ERR_OK;
    same = same && len[0] == len[1] && memcmp(bytes[0], bytes[1], len[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

bool reg_same_manifest(const char *dir_a, const char *dir_b)
{
    return reg_same_file(dir_a, dir_b, "manifest.json");
}

enum err_code reg_sync_files(const char *dir, struct err *err)
{
    enum err_code rc = ERR_OK;
    DIR *list = opendir(dir);
    if (list == NULL)
        return err_set(err, ERR_IO, "cannot read '%s': %s", dir, strerror(errno));
    struct dirent *entry = NULL;
    while (rc == ERR_OK && (entry = readdir(list)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        int fd = openat(dirfd(list), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || fsync(fd) != 0)
            rc = err_set(err, ERR_IO, "cannot sync '%s/%s': %s", dir, entry->d_name,
                         strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    closedir(list);
    return rc == ERR_OK ? file_sync_dir(dir, err) : rc;
}

/* Durable before it serves: a restart must find what was answered from. */
enum err_code reg_move_into_place(const struct registry *registry, const char *from,
                                  const char *name, const char *version, struct err *err)
{
    char parent[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    enum err_code rc = file_join(registry->models_dir, name, parent, sizeof parent, err);
    if (rc == ERR_OK)
        rc = file_join(parent, version, to, sizeof to, err);
    if (rc == ERR_OK)
        rc = reg_sync_files(from, err);
    if (rc == ERR_OK)
        rc = file_make_dir(parent, err);
    if (rc == ERR_OK && rename(from, to) != 0)
        rc = err_set(err, ERR_IO, "cannot rename '%s' to '%s': %s", from, to, strerror(errno));
    if (rc == ERR_OK)
        rc = file_sync_dir(parent, err);
    if (rc == ERR_OK)
        rc = file_sync_dir(registry->models_dir, err);
    return rc;
}
