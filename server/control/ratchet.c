/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/ratchet.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

#define FILE_BYTES_MAX ((size_t)16 << 20)

struct known {
    char version[MODEL_NAME_BYTES];
    char manifest_sha256[SHA256_HEX_BYTES];
};

struct entry {
    char name[MODEL_NAME_BYTES];
    char highest[MODEL_NAME_BYTES]; /* "": none served yet */
    struct known *known;            /* owned */
    uint32_t count, capacity;
};

struct ratchet {
    char path[FILE_PATH_BYTES];
    struct entry *entry; /* owned */
    uint32_t count, capacity;
    bool changed; /* since it was read or written */
};

static struct entry *find(const struct ratchet *ratchet, const char *name)
{
    for (uint32_t i = 0; i < ratchet->count; i++) {
        if (strcmp(ratchet->entry[i].name, name) == 0)
            return &ratchet->entry[i];
    }
    return NULL;
}

static struct known *find_known(const struct entry *entry, const char *version)
{
    for (uint32_t i = 0; i < entry->count; i++) {
        if (strcmp(entry->known[i].version, version) == 0)
            return &entry->known[i];
    }
    return NULL;
}

/* Room for one more element; *array may move. */
static enum err_code grow(void **array, size_t bytes, uint32_t count, uint32_t *capacity,
                          uint32_t most, struct err *err)
{
    if (count < *capacity)
        return ERR_OK;
    if (count >= most)
        return err_set(err, ERR_LIMIT, "the ratchet of versions remembers at most %u", most);
    uint32_t wanted = *capacity == 0 ? 8 : 2 * *capacity;
    void *bigger = realloc(*array, wanted * bytes);
    if (bigger == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the ratchet of versions");
    *array = bigger;
    *capacity = wanted;
    return ERR_OK;
}

static enum err_code entry_of(struct ratchet *ratchet, const char *name, struct entry **ret_entry,
                              struct err *err)
{
    struct entry *entry = find(ratchet, name);
    if (entry == NULL) {
        enum err_code rc = grow((void **)&ratchet->entry, sizeof *entry, ratchet->count,
                                &ratchet->capacity, RATCHET_NAMES_MAX, err);
        if (rc != ERR_OK)
            return rc;
        entry = &ratchet->entry[ratchet->count++];
        *entry = (struct entry){.count = 0};
        text_copy(text_of(name), entry->name, sizeof entry->name);
    }
    *ret_entry = entry;
    return ERR_OK;
}

enum err_code ratchet_check(const struct ratchet *ratchet, const char *name, const char *version,
                            const char *manifest_sha256, struct err *err)
{
    const struct entry *entry = find(ratchet, name);
    const struct known *known = entry == NULL ? NULL : find_known(entry, version);
    if (entry == NULL || entry->highest[0] == '\0' || strverscmp(version, entry->highest) >= 0)
        return ERR_OK;
    if (known != NULL && strcmp(known->manifest_sha256, manifest_sha256) == 0)
        return ERR_OK;
    return err_set(err, ERR_DENIED,
                   "version %s of '%s' arrives anew and is lower than %s, which has served: an old "
                   "bundle may be replayed; publish under a higher version",
                   version, name, entry->highest);
}

enum err_code ratchet_know(struct ratchet *ratchet, const char *name, const char *version,
                           const char *manifest_sha256, struct err *err)
{
    struct entry *entry = NULL;
    enum err_code rc = entry_of(ratchet, name, &entry, err);
    if (rc != ERR_OK)
        return rc;
    struct known *known = find_known(entry, version);
    if (known != NULL && strcmp(known->manifest_sha256, manifest_sha256) == 0)
        return ERR_OK;
    if (known == NULL) {
        rc = grow((void **)&entry->known, sizeof *known, entry->count, &entry->capacity,
                  RATCHET_VERSIONS_MAX, err);
        if (rc != ERR_OK)
            return rc;
        known = &entry->known[entry->count++];
        text_copy(text_of(version), known->version, sizeof known->version);
    }
    text_copy(text_of(manifest_sha256), known->manifest_sha256, sizeof known->manifest_sha256);
    ratchet->changed = true;
    return ERR_OK;
}

void ratchet_raise(struct ratchet *ratchet, const char *name, const char *version)
{
    struct entry *entry = find(ratchet, name);
    ASSERT(entry != NULL);
    if (entry->highest[0] != '\0' && strverscmp(version, entry->highest) <= 0)
        return;
    text_copy(text_of(version), entry->highest, sizeof entry->highest);
    ratchet->changed = true;
}

void ratchet_prune(struct ratchet *ratchet, ratchet_is_there_fn is_there, void *ctx)
{
    for (uint32_t e = 0; e < ratchet->count; e++) {
        struct entry *entry = &ratchet->entry[e];
        for (uint32_t i = entry->count; i-- > 0;) {
            if (is_there(ctx, entry->name, entry->known[i].version))
                continue;
            entry->known[i] = entry->known[--entry->count];
            ratchet->changed = true;
        }
    }
}

/* ---- the file -------------------------------------------------------------------------------- */

static enum err_code read_known(struct ratchet *ratchet, const char *name,
                                const struct json_at *models, struct err *err)
{
    struct json_at entry = json_member(models, name);
    struct json_at known = json_member(&entry, "known");
    enum err_code rc = json_object(&known, err);
    for (const cJSON *child = rc == ERR_OK ? known.value->child : NULL;
         child != NULL && rc == ERR_OK; child = child->next) {
        struct json_at at = json_member(&known, child->string);
        const char *sha256 = NULL;
        rc = json_string(&at, &sha256, err);
        if (rc == ERR_OK &&
            (!file_is_plain_name(child->string) || strlen(sha256) != SHA256_HEX_BYTES - 1))
            rc = err_set(err, ERR_BAD_INPUT, "%s: expected the SHA-256 of a version", at.path);
        if (rc == ERR_OK)
            rc = ratchet_know(ratchet, name, child->string, sha256, err);
    }
    return rc;
}

static enum err_code read_entry(struct ratchet *ratchet, const char *name,
                                const struct json_at *models, struct err *err)
{
    struct json_at at = json_member(models, name);
    struct json_at highest = json_member(&at, "highest");
    struct entry *entry = NULL;
    const char *version = NULL;
    enum err_code rc = json_string(&highest, &version, err);
    if (rc == ERR_OK &&
        (!file_is_plain_name(name) || (version[0] != '\0' && !file_is_plain_name(version))))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a version", highest.path);
    if (rc == ERR_OK)
        rc = entry_of(ratchet, name, &entry, err);
    if (rc != ERR_OK)
        return rc;
    text_copy(text_of(version), entry->highest, sizeof entry->highest);
    return read_known(ratchet, name, models, err);
}

static enum err_code read_file(struct ratchet *ratchet, struct err *err)
{
    cJSON *tree = NULL;
    int64_t format = 0;
    enum err_code rc = json_parse_file(ratchet->path, FILE_BYTES_MAX, &tree, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc != ERR_OK)
        return rc;
    struct json_at root = json_root(ratchet->path, tree);
    struct json_at at = json_member(&root, "format");
    rc = json_int(&at, 1, 1, &format, err);
    struct json_at models = json_member(&root, "models");
    if (rc == ERR_OK)
        rc = json_object(&models, err);
    for (const cJSON *child = rc == ERR_OK ? models.value->child : NULL;
         child != NULL && rc == ERR_OK; child = child->next)
        rc = read_entry(ratchet, child->string, &models, err);
    cJSON_Delete(tree);
    return rc == ERR_NOT_FOUND ? ERR_CORRUPT : rc;
}

enum err_code ratchet_open(const char *path, struct ratchet **ret_ratchet, struct err *err)
{
    struct err why = {.text = ""};
    struct ratchet *ratchet = calloc(1, sizeof *ratchet);
    if (ratchet == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the ratchet of versions");
    text_copy(text_of(path), ratchet->path, sizeof ratchet->path);
    enum err_code rc = read_file(ratchet, &why);
    ratchet->changed = false;
    if (rc == ERR_OK) {
        *ret_ratchet = ratchet;
        return ERR_OK;
    }
    ratchet_close(&ratchet);
    if (rc == ERR_NOMEM || rc == ERR_IO)
        return err_set(err, rc, "%s", why.text);
    return err_set(err, ERR_CORRUPT,
                   "%s; put a copy back, or remove the file to forget which versions have served",
                   why.text);
}

void ratchet_close(struct ratchet **ratchet_ref)
{
    struct ratchet *ratchet = *ratchet_ref;
    *ratchet_ref = NULL;
    if (ratchet == NULL)
        return;
    for (uint32_t i = 0; i < ratchet->count; i++)
        free(ratchet->entry[i].known);
    free(ratchet->entry);
    free(ratchet);
}

/* Names and versions are plain, so that nothing needs to be escaped. */
static void put_entry(struct buffer *buffer, const struct entry *entry)
{
    buffer_put_fmt(buffer, "\"%s\": {\"highest\": \"%s\", \"known\": {", entry->name,
                   entry->highest);
    for (uint32_t i = 0; i < entry->count; i++)
        buffer_put_fmt(buffer, "%s\"%s\": \"%s\"", i == 0 ? "" : ", ", entry->known[i].version,
                       entry->known[i].manifest_sha256);
    buffer_put_str(buffer, "}}");
}

enum err_code ratchet_save(struct ratchet *ratchet, struct err *err)
{
    struct buffer buffer = {0};
    size_t len = 0;
    if (!ratchet->changed)
        return ERR_OK;
    buffer_put_str(&buffer, "{\"format\": 1, \"models\": {");
    for (uint32_t i = 0; i < ratchet->count; i++) {
        buffer_put_str(&buffer, i == 0 ? "\n  " : ",\n  ");
        put_entry(&buffer, &ratchet->entry[i]);
    }
    buffer_put_str(&buffer, "}}\n");
    char *text = buffer_take(&buffer, &len);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "no memory to write '%s'", ratchet->path);
    enum err_code rc = file_write_atomic(ratchet->path, text, len, err);
    free(text);
    ratchet->changed = rc != ERR_OK;
    return rc;
}
