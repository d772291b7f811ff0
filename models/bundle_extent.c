/* SPDX-License-Identifier: Apache-2.0 */
/* Whether all files of a bundle are there: names and sizes, no hashes. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "models/bundle_internal.h"

/* A file that is there and smaller than it will be is still being copied; a larger one is not what
 * the manifest means, which bundle_open says. */
static enum bundle_extent extent_of(const char *dir, const struct bundle_file *file,
                                    struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    if (file_join(dir, file->path, path, sizeof path, NULL) != ERR_OK || lstat(path, &info) != 0) {
        (void)!err_set(err, ERR_CORRUPT, "%s is not there", file->path);
        return BUNDLE_PARTIAL;
    }
    if (file->stated_bytes < 0 || !S_ISREG(info.st_mode)) {
        (void)!err_set(err, ERR_CORRUPT, "the manifest states no size of %s", file->path);
        return BUNDLE_UNSURE;
    }
    if (info.st_size >= file->stated_bytes)
        return BUNDLE_WHOLE;
    (void)!err_set(err, ERR_CORRUPT, "%s has %lld of %lld bytes", file->path,
                   (long long)info.st_size, (long long)file->stated_bytes);
    return BUNDLE_PARTIAL;
}

static enum bundle_extent extent_of_all(const char *dir, const struct bundle *bundle,
                                        struct err *err)
{
    enum bundle_extent extent = extent_of(dir, &bundle->golden, err);
    for (uint32_t i = 0; i < bundle->file_count && extent != BUNDLE_PARTIAL; i++) {
        enum bundle_extent next = extent_of(dir, &bundle->file[i], err);
        extent = next == BUNDLE_WHOLE ? extent : next;
    }
    return extent;
}

static bool is_there(const char *dir, const char *name)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    return file_join(dir, name, path, sizeof path, NULL) == ERR_OK && lstat(path, &info) == 0;
}

enum bundle_extent bundle_extent(const char *dir, bool must_be_signed, struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    uint8_t *bytes = NULL;
    size_t len = 0;
    enum bundle_extent extent = BUNDLE_UNSURE;
    struct bundle *bundle = calloc(1, sizeof *bundle);
    if (bundle != NULL && file_join(dir, MANIFEST_NAME, path, sizeof path, NULL) == ERR_OK &&
        lstat(path, &info) == 0 && S_ISREG(info.st_mode) &&
        file_read(path, MANIFEST_BYTES_MAX, &bytes, &len, err) == ERR_OK &&
        manifest_parse((const char *)bytes, len, bundle, err) == ERR_OK)
        extent = extent_of_all(dir, bundle, err);
    if (extent == BUNDLE_WHOLE && must_be_signed && !is_there(dir, BUNDLE_SIGNATURE_NAME)) {
        (void)!err_set(err, ERR_CORRUPT, "%s is not there", BUNDLE_SIGNATURE_NAME);
        extent = BUNDLE_UNSURE;
    }
    free(bytes);
    bundle_close(&bundle);
    return extent;
}
