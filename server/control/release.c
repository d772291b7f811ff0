/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/release.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/file.h"
#include "base/json.h"

#define STATE_BYTES_MAX ((size_t)1 << 20)

/* ---- the folder ------------------------------------------------------------------------------ */

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static enum err_code list(const char *dir, struct dirent ***ret_list, int *ret_count,
                          struct err *err)
{
    *ret_count = scandir(dir, ret_list, no_dots, alphasort);
    return *ret_count >= 0 ? ERR_OK
                           : err_set(err, ERR_IO, "cannot read '%s': %s", dir, strerror(errno));
}

static void free_list(struct dirent **entries, int count)
{
    for (int i = 0; i < count; i++)
        free(entries[i]);
    free(entries);
}

/* The one version in the folder of a model. */
static enum err_code read_version(const char *dir, struct release_model *model, struct err *err)
{
    char path[FILE_PATH_BYTES], version_path[FILE_PATH_BYTES];
    struct dirent **entries = NULL;
    struct stat info;
    int count = 0;
    enum err_code rc = file_join(dir, model->name, path, sizeof path, err);
    if (rc == ERR_OK)
        rc = list(path, &entries, &count, err);
    if (rc != ERR_OK)
        return rc;
    if (count != 1)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected one version of it in a release, got %d",
                     model->name, count);
    else if (!file_is_plain_name(entries[0]->d_name) ||
             file_join(path, entries[0]->d_name, version_path, sizeof version_path, NULL) !=
                 ERR_OK ||
             lstat(version_path, &info) != 0 || !S_ISDIR(info.st_mode))
        rc = err_set(err, ERR_BAD_INPUT, "%s/%.80s: expected the folder of a version", model->name,
                     entries[0]->d_name);
    else
        text_copy(text_of(entries[0]->d_name), model->version, sizeof model->version);
    free_list(entries, count);
    return rc;
}

static enum err_code read_entry(const char *dir, const char *name, struct release *release,
                                struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct stat info;
    enum err_code rc = file_join(dir, name, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    if (lstat(path, &info) != 0)
        return err_set(err, ERR_IO, "cannot stat '%s': %s", path, strerror(errno));
    bool is_policies = strcmp(name, RELEASE_POLICIES) == 0;
    if (S_ISREG(info.st_mode) && (is_policies || strcmp(name, RELEASE_FEATURES) == 0)) {
        memcpy(is_policies ? release->policies : release->features, release->id,
               sizeof release->id);
        return ERR_OK;
    }
    if (!S_ISDIR(info.st_mode) || !file_is_plain_name(name))
        return err_set(err, ERR_BAD_INPUT,
                       "'%.80s': a release holds folders NAME/VERSION, policies.json and "
                       "features.json, nothing else",
                       name);
    if (release->count == RELEASE_MODELS_MAX)
        return err_set(err, ERR_LIMIT, "a release has at most %d models", RELEASE_MODELS_MAX);
    struct release_model *model = &release->model[release->count++];
    text_copy(text_of(name), model->name, sizeof model->name);
    return read_version(dir, model, err);
}

enum err_code release_read(const char *dir, const char *id, struct release *ret_release,
                           struct err *err)
{
    struct dirent **entries = NULL;
    int count = 0;
    *ret_release = (struct release){.count = 0};
    text_copy(text_of(id), ret_release->id, sizeof ret_release->id);
    enum err_code rc = list(dir, &entries, &count, err);
    for (int i = 0; i < count && rc == ERR_OK; i++)
        rc = read_entry(dir, entries[i]->d_name, ret_release, err);
    free_list(entries, count);
    if (rc == ERR_OK && ret_release->count == 0 && ret_release->policies[0] == '\0' &&
        ret_release->features[0] == '\0')
        rc = err_set(err, ERR_BAD_INPUT,
                     "the release '%s' holds neither models nor policies nor features", id);
    return rc;
}

/* ---- the file -------------------------------------------------------------------------------- */

/* A plain name, or "" where `may_be_empty`. */
static enum err_code read_name_at(const struct json_at *at, bool may_be_empty,
                                  char ret_name[MODEL_NAME_BYTES], struct err *err)
{
    const char *value = NULL;
    enum err_code rc = json_string(at, &value, err);
    if (rc == ERR_OK && !file_is_plain_name(value) && !(may_be_empty && value[0] == '\0'))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a name, got '%.64s'", at->path, value);
    if (rc == ERR_OK)
        text_copy(text_of(value), ret_name, MODEL_NAME_BYTES);
    return rc;
}

static enum err_code read_name(const struct json_at *object, const char *key, bool may_be_empty,
                               char ret_name[MODEL_NAME_BYTES], struct err *err)
{
    struct json_at at = json_member(object, key);
    return read_name_at(&at, may_be_empty, ret_name, err);
}

/* The key of a member of an object that is a table by name. */
static enum err_code read_key(const cJSON *member, const struct json_at *at,
                              char ret_name[MODEL_NAME_BYTES], struct err *err)
{
    if (!file_is_plain_name(member->string))
        return err_set(err, ERR_BAD_INPUT, "%s: expected names of models", at->path);
    text_copy(text_of(member->string), ret_name, MODEL_NAME_BYTES);
    return ERR_OK;
}

/* A table by name; NULL as its first member when it is none. */
static enum err_code read_table(const struct json_at *at, const cJSON **ret_first, struct err *err)
{
    enum err_code rc = json_object(at, err);
    if (rc == ERR_OK && cJSON_GetArraySize(at->value) > RELEASE_MODELS_MAX)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected at most %d models, got %d", at->path,
                     RELEASE_MODELS_MAX, cJSON_GetArraySize(at->value));
    *ret_first = rc == ERR_OK ? at->value->child : NULL;
    return rc;
}

static enum err_code read_release(const struct json_at *at, struct release *release,
                                  struct err *err)
{
    struct json_at models = json_member(at, "models"), at_ms = json_member(at, "at_ms");
    enum err_code rc = read_name(at, "id", false, release->id, err);
    if (rc == ERR_OK)
        rc = read_name(at, "policies", true, release->policies, err);
    if (rc == ERR_OK && json_member(at, "features").value != NULL)
        rc = read_name(at, "features", true, release->features, err);
    if (rc == ERR_OK)
        rc = json_int(&at_ms, 0, INT64_MAX / 2, &release->at_ms, err);
    const cJSON *child = NULL;
    if (rc == ERR_OK)
        rc = read_table(&models, &child, err);
    for (; child != NULL && rc == ERR_OK; child = child->next) {
        struct release_model *model = &release->model[release->count++];
        struct json_at entry = json_member(&models, child->string);
        rc = read_key(child, &models, model->name, err);
        if (rc == ERR_OK)
            rc = read_name(&entry, "version", false, model->version, err);
        if (rc == ERR_OK)
            rc = read_name(&entry, "before", true, model->before, err);
    }
    return rc;
}

static enum err_code read_apply(const struct json_at *root, struct release_state *state,
                                struct err *err)
{
    struct json_at apply = json_member(root, "apply");
    const cJSON *child = NULL;
    enum err_code rc = read_table(&apply, &child, err);
    for (; child != NULL && rc == ERR_OK; child = child->next) {
        struct release_apply *one = &state->apply[state->apply_count++];
        struct json_at entry = json_member(&apply, child->string);
        rc = read_key(child, &apply, one->name, err);
        if (rc == ERR_OK)
            rc = read_name(&entry, "serve", true, one->serve, err);
        if (rc == ERR_OK)
            rc = read_name(&entry, "aside", true, one->aside, err);
    }
    return rc;
}

static enum err_code read_left(const struct json_at *root, struct release_state *state,
                               struct err *err)
{
    struct json_at left = json_member(root, "left");
    int count = 0;
    if (left.value == NULL)
        return ERR_OK;
    enum err_code rc = json_array(&left, &count, err);
    if (rc == ERR_OK && count > RELEASES_MAX)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected at most %d releases, got %d", left.path,
                     RELEASES_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&left, i);
        rc = read_name_at(&at, false, state->left[state->left_count], err);
        state->left_count += rc == ERR_OK;
    }
    return rc;
}

static enum err_code read_tree(const char *path, const cJSON *tree, struct release_state *state,
                               struct err *err)
{
    struct json_at root = json_root(path, tree);
    struct json_at format_at = json_member(&root, "format"),
                   change_at = json_member(&root, "change");
    struct json_at line = json_member(&root, "line");
    int64_t format = 0, change = 0;
    int count = 0;
    enum err_code rc = json_int(&format_at, 1, 1, &format, err);
    if (rc == ERR_OK)
        rc = json_int(&change_at, 0, INT64_MAX / 2, &change, err);
    if (rc == ERR_OK)
        rc = json_array(&line, &count, err);
    if (rc == ERR_OK && count > RELEASES_MAX)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected at most %d releases, got %d", line.path,
                     RELEASES_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at at = json_element(&line, i);
        rc = read_release(&at, &state->line[state->count], err);
        state->count += rc == ERR_OK;
    }
    state->change = (uint64_t)change;
    if (rc == ERR_OK)
        rc = read_apply(&root, state, err);
    return rc == ERR_OK ? read_left(&root, state, err) : rc;
}

enum err_code release_state_read(const char *path, struct release_state *ret_state, struct err *err)
{
    cJSON *tree = NULL;
    struct err why = {.text = ""};
    memset(ret_state, 0, sizeof *ret_state);
    enum err_code rc = json_parse_file(path, STATE_BYTES_MAX, &tree, &why);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc == ERR_OK) {
        rc = read_tree(path, tree, ret_state, &why);
        rc = rc == ERR_NOT_FOUND ? ERR_CORRUPT : rc;
    }
    cJSON_Delete(tree);
    if (rc == ERR_BAD_INPUT || rc == ERR_CORRUPT)
        return err_set(err, ERR_CORRUPT,
                       "%s; put a copy back, or remove the file to serve each model by itself and "
                       "the policies of the configuration",
                       why.text);
    return rc == ERR_OK ? ERR_OK : err_set(err, rc, "%s", why.text);
}

static void put_release(struct buffer *buffer, const struct release *release)
{
    buffer_put_fmt(buffer,
                   "{\"id\": \"%s\", \"at_ms\": %lld, \"policies\": \"%s\", \"features\": "
                   "\"%s\", \"models\": {",
                   release->id, (long long)release->at_ms, release->policies, release->features);
    for (uint32_t i = 0; i < release->count; i++)
        buffer_put_fmt(buffer, "%s\"%s\": {\"version\": \"%s\", \"before\": \"%s\"}",
                       i == 0 ? "" : ", ", release->model[i].name, release->model[i].version,
                       release->model[i].before);
    buffer_put_str(buffer, "}}");
}

/* Names are plain, so that nothing needs to be escaped. */
enum err_code release_state_write(const char *path, const struct release_state *state,
                                  struct err *err)
{
    struct buffer buffer = {0};
    size_t len = 0;
    buffer_put_fmt(&buffer, "{\"format\": 1, \"change\": %llu,\n \"line\": [",
                   (unsigned long long)state->change);
    for (uint32_t i = 0; i < state->count; i++) {
        buffer_put_str(&buffer, i == 0 ? "\n  " : ",\n  ");
        put_release(&buffer, &state->line[i]);
    }
    buffer_put_str(&buffer, "],\n \"apply\": {");
    for (uint32_t i = 0; i < state->apply_count; i++)
        buffer_put_fmt(&buffer, "%s\"%s\": {\"serve\": \"%s\", \"aside\": \"%s\"}",
                       i == 0 ? "" : ", ", state->apply[i].name, state->apply[i].serve,
                       state->apply[i].aside);
    buffer_put_str(&buffer, "},\n \"left\": [");
    for (uint32_t i = 0; i < state->left_count; i++)
        buffer_put_fmt(&buffer, "%s\"%s\"", i == 0 ? "" : ", ", state->left[i]);
    buffer_put_str(&buffer, "]}\n");
    char *text = buffer_take(&buffer, &len);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "no memory to write '%s'", path);
    enum err_code rc = file_write_atomic(path, text, len, err);
    free(text);
    return rc;
}

bool release_is_kept(const struct release_state *state, const char *id)
{
    for (uint32_t i = 0; i < state->count; i++) {
        if (strcmp(state->line[i].policies, id) == 0 || strcmp(state->line[i].features, id) == 0)
            return true;
    }
    for (uint32_t i = 0; i < state->left_count; i++) {
        if (strcmp(state->left[i], id) == 0)
            return true;
    }
    const struct release *release = release_in_force(state);
    return release != NULL && strcmp(release->id, id) == 0;
}

/* ---- what is in force ------------------------------------------------------------------------ */

enum err_code release_file_path(const char *models_dir, const char *id, const char *file,
                                char ret_path[FILE_PATH_BYTES], struct err *err)
{
    char parent[FILE_PATH_BYTES], dir[FILE_PATH_BYTES];
    enum err_code rc = file_join(models_dir, RELEASE_DIR, parent, sizeof parent, err);
    if (rc == ERR_OK)
        rc = file_join(parent, id, dir, sizeof dir, err);
    return rc == ERR_OK ? file_join(dir, file, ret_path, FILE_PATH_BYTES, err) : rc;
}

/* The state of models_dir, which the caller frees. */
static enum err_code read_state(const char *models_dir, struct release_state **ret_state,
                                struct err *err)
{
    char path[FILE_PATH_BYTES];
    *ret_state = malloc(sizeof **ret_state);
    if (*ret_state == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the releases");
    enum err_code rc = file_join(models_dir, RELEASE_FILE, path, sizeof path, err);
    return rc == ERR_OK ? release_state_read(path, *ret_state, err) : rc;
}

enum err_code release_features_path(const char *models_dir, const char *configured,
                                    char ret_path[FILE_PATH_BYTES], struct err *err)
{
    struct release_state *state = NULL;
    enum err_code rc = read_state(models_dir, &state, err);
    const struct release *release = rc == ERR_OK ? release_in_force(state) : NULL;
    if (release != NULL && release->features[0] != '\0')
        rc = release_file_path(models_dir, release->features, RELEASE_FEATURES, ret_path, err);
    else
        text_copy(text_of(configured), ret_path, FILE_PATH_BYTES);
    free(state);
    return rc;
}

enum err_code release_leaves_policies(const char *models_dir, bool *ret_leaves, struct err *err)
{
    struct release_state *state = NULL;
    enum err_code rc = read_state(models_dir, &state, err);
    const struct release *release = rc == ERR_OK ? release_in_force(state) : NULL;
    *ret_leaves = release == NULL || release->policies[0] == '\0';
    free(state);
    return rc;
}
