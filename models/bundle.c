/* SPDX-License-Identifier: Apache-2.0 */
#include "models/bundle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/hash.h"
#include "models/bundle_internal.h"

static bool is_named(const struct bundle *bundle, const char *path)
{
    if (strcmp(path, MANIFEST_NAME) == 0 || strcmp(path, BUNDLE_SIGNATURE_NAME) == 0 ||
        strcmp(path, bundle->golden.path) == 0)
        return true;
    for (uint32_t i = 0; i < bundle->file_count; i++) {
        if (strcmp(path, bundle->file[i].path) == 0)
            return true;
    }
    return false;
}

/* The folder holds regular files alone, and none that the manifest does not name. */
static enum err_code check_folder(const struct bundle *bundle, struct err *err)
{
    DIR *dir = opendir(bundle->dir);
    if (dir == NULL)
        return err_set(err, ERR_IO, "cannot open the directory '%s': %s", bundle->dir,
                       strerror(errno));
    enum err_code rc = ERR_OK;
    for (struct dirent *entry; rc == ERR_OK && (entry = readdir(dir)) != NULL;) {
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!is_named(bundle, entry->d_name))
            rc = err_set(err, ERR_CORRUPT, "%s: '%.128s' is in the folder but not in the manifest",
                         MANIFEST_NAME, entry->d_name);
        else if (fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0)
            rc = err_set(err, ERR_IO, "cannot stat '%s': %s", entry->d_name, strerror(errno));
        else if (!S_ISREG(info.st_mode))
            rc = err_set(err, ERR_CORRUPT, "%s: expected a regular file, got %s", entry->d_name,
                         S_ISLNK(info.st_mode) ? "a symbolic link" : "something else");
    }
    closedir(dir);
    return rc;
}

static enum err_code read_file(const char *dir, size_t bytes_max, struct bundle_file *file,
                               struct err *err)
{
    char path[FILE_PATH_BYTES];
    char got[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    enum err_code rc = file_join(dir, file->path, path, sizeof path, err);
    if (rc == ERR_OK)
        rc = file_read(path, bytes_max, &file->bytes, &file->len, err);
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_CORRUPT,
                       "%s: missing in the folder, the manifest names it: incomplete", file->path);
    if (rc != ERR_OK)
        return rc;
    if (file->stated_bytes >= 0 && (uint64_t)file->stated_bytes != file->len)
        return err_set(err, ERR_CORRUPT, "%s: %s: the manifest states %lld bytes, got %zu",
                       file->path,
                       file->len < (uint64_t)file->stated_bytes ? "incomplete" : "too long",
                       (long long)file->stated_bytes, file->len);
    sha256_of(file->bytes, file->len, digest);
    sha256_hex(digest, got);
    if (strcmp(got, file->sha256) != 0)
        return err_set(err, ERR_CORRUPT, "%s: sha256: expected %s, got %s", file->path,
                       file->sha256, got);
    return ERR_OK;
}

/* A file that no hash covers; ERR_NOT_FOUND when it is not there. */
static enum err_code read_unhashed(const char *dir, const char *name, size_t bytes_max,
                                   uint8_t **ret_bytes, size_t *ret_len, struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    enum err_code rc = file_join(dir, name, path, sizeof path, err);
    if (rc == ERR_OK && lstat(path, &info) == 0 && !S_ISREG(info.st_mode))
        return err_set(err, ERR_CORRUPT, "%s: expected a regular file, got %s", name,
                       S_ISLNK(info.st_mode) ? "a symbolic link" : "something else");
    return rc == ERR_OK ? file_read(path, bytes_max, ret_bytes, ret_len, err) : rc;
}

static enum err_code check_signature(struct bundle *bundle, const struct minisign_keys *keys,
                                     const uint8_t *manifest, size_t manifest_len, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc = read_unhashed(bundle->dir, BUNDLE_SIGNATURE_NAME, MINISIGN_FILE_BYTES_MAX,
                                     &bytes, &len, err);
    bundle->has_signature = rc == ERR_OK;
    if (rc == ERR_NOT_FOUND && keys == NULL)
        return ERR_OK;
    if (rc == ERR_NOT_FOUND)
        return err_set(err, ERR_DENIED, "%s: missing: the bundle is not signed",
                       BUNDLE_SIGNATURE_NAME);
    if (rc == ERR_OK && keys != NULL)
        rc = minisign_verify(keys, BUNDLE_SIGNATURE_NAME,
                             (struct text){(const char *)bytes, (uint32_t)len}, manifest,
                             manifest_len, &bundle->proof, err);
    free(bytes);
    return rc;
}

static enum err_code read_manifest(struct bundle *bundle, const struct minisign_keys *keys,
                                   struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum err_code rc =
        read_unhashed(bundle->dir, MANIFEST_NAME, MANIFEST_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = check_signature(bundle, keys, bytes, len, err);
    if (rc == ERR_OK)
        rc = manifest_parse((const char *)bytes, len, bundle, err);
    free(bytes);
    return rc;
}

static enum err_code check_place(const struct bundle *bundle, const char *name, const char *version,
                                 struct err *err)
{
    if (name != NULL && strcmp(name, bundle->name) != 0)
        return err_set(err, ERR_CORRUPT, "%s: name: expected '%.64s' by the folder, got '%s'",
                       MANIFEST_NAME, name, bundle->name);
    if (version != NULL && strcmp(version, bundle->version) != 0)
        return err_set(err, ERR_CORRUPT, "%s: version: expected '%.64s' by the folder, got '%s'",
                       MANIFEST_NAME, version, bundle->version);
    return ERR_OK;
}

enum err_code bundle_open(const char *dir, const char *name, const char *version,
                          struct bundle **ret_bundle, struct err *err)
{
    return bundle_open_signed(dir, name, version, NULL, ret_bundle, err);
}

enum err_code bundle_open_signed(const char *dir, const char *name, const char *version,
                                 const struct minisign_keys *keys, struct bundle **ret_bundle,
                                 struct err *err)
{
    struct bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the bundle in '%.128s'", dir);
    enum err_code rc = ERR_OK;
    if (strlen(dir) >= sizeof bundle->dir)
        rc = err_set(err, ERR_LIMIT, "the path '%.80s...' is too long", dir);
    text_copy(text_of(dir), bundle->dir, sizeof bundle->dir);
    if (rc == ERR_OK)
        rc = read_manifest(bundle, keys, err);
    if (rc == ERR_OK)
        rc = check_place(bundle, name, version, err);
    if (rc == ERR_OK)
        rc = check_folder(bundle, err);
    if (rc == ERR_OK)
        rc = read_file(dir, GOLDEN_BYTES_MAX, &bundle->golden, err);
    for (uint32_t i = 0; i < bundle->file_count && rc == ERR_OK; i++) {
        rc = read_file(dir, BUNDLE_FILE_BYTES_MAX, &bundle->file[i], err);
        bundle->bytes += bundle->file[i].len;
    }
    if (rc == ERR_OK) {
        *ret_bundle = bundle;
        bundle = NULL;
    }
    bundle_close(&bundle);
    return rc;
}

void bundle_close(struct bundle **bundle)
{
    struct bundle *old = *bundle;
    if (old == NULL)
        return;
    for (uint32_t i = 0; i < old->file_count; i++)
        free(old->file[i].bytes);
    free(old->golden.bytes);
    free(old->feature);
    cJSON_Delete(old->manifest);
    free(old);
    *bundle = NULL;
}

enum err_code bundle_file(struct bundle *bundle, const char *key, struct bundle_file **ret_file,
                          struct err *err)
{
    for (uint32_t i = 0; i < bundle->file_count; i++) {
        if (strcmp(bundle->file[i].key, key) == 0) {
            *ret_file = &bundle->file[i];
            return ERR_OK;
        }
    }
    return err_set(err, ERR_CORRUPT, "%s: files.%s: missing, needed by kind %s", MANIFEST_NAME, key,
                   model_kind_name(bundle->kind));
}
