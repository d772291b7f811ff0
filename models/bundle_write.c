/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "models/bundle_internal.h"

static enum err_code write_json(const char *dir, const char *name, const cJSON *root,
                                struct err *err)
{
    char path[FILE_PATH_BYTES];
    enum err_code rc = file_join(dir, name, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    char *text = cJSON_Print(root);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to write '%s'", path);
    rc = file_write_atomic(path, text, strlen(text), err);
    cJSON_free(text);
    return rc;
}

enum err_code bundle_write_golden(const char *dir, const cJSON *rows, struct err *err)
{
    ASSERT(cJSON_IsArray(rows));
    cJSON *root = cJSON_CreateObject();
    cJSON *copy = cJSON_Duplicate(rows, true);
    enum err_code rc = ERR_OK;
    if (root == NULL || copy == NULL || !cJSON_AddItemToObject(root, "rows", copy)) {
        cJSON_Delete(copy);
        rc = err_set(err, ERR_NOMEM, "out of memory to write %s", GOLDEN_NAME);
    } else {
        rc = write_json(dir, GOLDEN_NAME, root, err);
    }
    cJSON_Delete(root);
    return rc;
}

/* Adds path, hash and size of a file of the bundle to `entry`; false when memory is out. */
static enum err_code describe_file(const char *dir, const char *path, cJSON *entry, struct err *err)
{
    char full[FILE_PATH_BYTES];
    char hex[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (!file_is_plain_name(path))
        return err_set(err, ERR_BAD_INPUT, "'%.80s' is not a plain file name", path);
    enum err_code rc = file_join(dir, path, full, sizeof full, err);
    if (rc == ERR_OK)
        rc = file_read(full, BUNDLE_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    sha256_of(bytes, len, digest);
    free(bytes);
    if (cJSON_AddStringToObject(entry, "path", path) == NULL ||
        cJSON_AddStringToObject(entry, "sha256", sha256_hex(digest, hex)) == NULL ||
        cJSON_AddNumberToObject(entry, "bytes", (double)len) == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to write %s", MANIFEST_NAME);
    return ERR_OK;
}

static enum err_code add_extra(cJSON *root, const cJSON *extra, struct err *err)
{
    static const char *const members[] = {"description", "params", "features", "trained"};
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        const cJSON *member = cJSON_GetObjectItemCaseSensitive(extra, members[i]);
        if (member == NULL)
            continue;
        cJSON *copy = cJSON_Duplicate(member, true);
        if (copy == NULL || !cJSON_AddItemToObject(root, members[i], copy)) {
            cJSON_Delete(copy);
            return err_set(err, ERR_NOMEM, "out of memory to write %s", MANIFEST_NAME);
        }
    }
    return ERR_OK;
}

static enum err_code add_golden(const char *dir, cJSON *root, const cJSON *extra, struct err *err)
{
    const cJSON *given = cJSON_GetObjectItemCaseSensitive(extra, "golden");
    const cJSON *tolerance = cJSON_GetObjectItemCaseSensitive(given, "tolerance");
    cJSON *golden = cJSON_AddObjectToObject(root, "golden");
    if (golden == NULL ||
        cJSON_AddNumberToObject(golden, "tolerance",
                                cJSON_IsNumber(tolerance) ? tolerance->valuedouble
                                                          : GOLDEN_TOLERANCE) == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to write %s", MANIFEST_NAME);
    return describe_file(dir, GOLDEN_NAME, golden, err);
}

static enum err_code add_files(const char *dir, cJSON *root, const struct bundle_write_file *files,
                               uint32_t file_count, struct err *err)
{
    cJSON *object = cJSON_AddObjectToObject(root, "files");
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < file_count && rc == ERR_OK; i++) {
        cJSON *entry = cJSON_AddObjectToObject(object, files[i].key);
        rc = entry == NULL ? err_set(err, ERR_NOMEM, "out of memory to write %s", MANIFEST_NAME)
                           : describe_file(dir, files[i].path, entry, err);
    }
    return rc;
}

enum err_code bundle_write_manifest(const char *dir, const char *name, const char *version,
                                    enum model_kind kind, const struct bundle_write_file *files,
                                    uint32_t file_count, const cJSON *extra, struct err *err)
{
    enum err_code rc = ERR_OK;
    cJSON *root = cJSON_CreateObject();
    if (cJSON_AddNumberToObject(root, "format", BUNDLE_FORMAT) == NULL ||
        cJSON_AddStringToObject(root, "name", name) == NULL ||
        cJSON_AddStringToObject(root, "version", version) == NULL ||
        cJSON_AddStringToObject(root, "kind", model_kind_name(kind)) == NULL)
        rc = err_set(err, ERR_NOMEM, "out of memory to write %s", MANIFEST_NAME);
    if (rc == ERR_OK)
        rc = add_files(dir, root, files, file_count, err);
    if (rc == ERR_OK)
        rc = add_golden(dir, root, extra, err);
    if (rc == ERR_OK)
        rc = add_extra(root, extra, err);
    if (rc == ERR_OK)
        rc = write_json(dir, MANIFEST_NAME, root, err);
    cJSON_Delete(root);
    return rc;
}
