/* SPDX-License-Identifier: Apache-2.0 */
/* Releases that are in force: what a switch leaves to do, what a start finds, what operators see.
 */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "server/control/registry_change.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_releases.h"
#include "server/control/registry_table.h"

enum err_code reg_release_path(const struct registry *registry, const char *id,
                               char ret_path[FILE_PATH_BYTES], struct err *err)
{
    char parent[FILE_PATH_BYTES];
    enum err_code rc = file_join(registry->models_dir, RELEASE_DIR, parent, sizeof parent, err);
    return rc == ERR_OK ? file_join(parent, id, ret_path, FILE_PATH_BYTES, err) : rc;
}

static bool is_dir(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* ---- what is left to do after a switch ------------------------------------------------------- */

static enum err_code move_bundle(const struct registry *registry, const char *from,
                                 const struct release_model *model, struct err *err)
{
    char place[FILE_PATH_BYTES];
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    enum err_code rc = reg_version_path(registry, model->name, model->version, place, err);
    if (rc != ERR_OK || !is_dir(from))
        return rc;
    bool is_half_removed = !reg_stamp(from, &stamp, &written_ns);
    if (is_dir(place) && (is_half_removed || reg_same_manifest(from, place)))
        return file_remove_tree(from, err); /* it was there */
    return reg_move_into_place(registry, from, model->name, model->version, err);
}

static enum err_code place_bundle(const struct registry *registry, const char *id,
                                  const struct release_model *model, struct err *err)
{
    char dir[FILE_PATH_BYTES], from[FILE_PATH_BYTES];
    enum err_code rc = reg_release_path(registry, id, dir, err);
    if (rc == ERR_OK)
        rc = reg_path_below(dir, model->name, model->version, from, err);
    return rc == ERR_OK ? move_bundle(registry, from, model, err) : rc;
}

/* As the next look will find it. */
static void note_place(const struct registry *registry, const struct release_model *model,
                       bool is_placed)
{
    char place[FILE_PATH_BYTES];
    const struct reg_name *name = reg_find(registry, model->name);
    struct reg_version *version = name == NULL ? NULL : reg_version_find(name, model->version);
    if (version == NULL)
        return;
    version->unplaced = !is_placed;
    if (is_placed && !version->on_disk &&
        reg_version_path(registry, model->name, model->version, place, NULL) == ERR_OK)
        version->on_disk = reg_stamp(place, &version->stamp, &version->written_ns);
}

enum err_code reg_release_move(struct registry *registry, struct err *err)
{
    const struct release *release = release_in_force(&registry->releases);
    bool told = registry->has_unplaced;
    enum err_code first = ERR_OK;
    for (uint32_t i = 0; release != NULL && i < release->count; i++) {
        const struct release_model *model = &release->model[i];
        struct err why = {.text = ""};
        enum err_code rc = place_bundle(registry, release->id, model, &why);
        note_place(registry, model, rc == ERR_OK);
        if (rc != ERR_OK && !told)
            log_at(LOG_ERROR,
                   "a bundle of a release is not in its place yet; it serves on and is moved when "
                   "that can be done",
                   LOG_STR("release", release->id), LOG_STR("model", model->name),
                   LOG_STR("version", model->version), LOG_STR("error", why.text));
        if (rc != ERR_OK && first == ERR_OK)
            first = err_set(err, rc, "%s/%s of the release '%s' is not in its place yet: %s",
                            model->name, model->version, release->id, why.text);
    }
    registry->has_unplaced = first != ERR_OK;
    return first;
}

void reg_release_tidy(const struct registry *registry)
{
    char dir[FILE_PATH_BYTES], path[FILE_PATH_BYTES];
    struct dirent **list = NULL;
    if (file_join(registry->models_dir, RELEASE_DIR, dir, sizeof dir, NULL) != ERR_OK)
        return;
    int count = scandir(dir, &list, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *id = list[i]->d_name;
        if (file_is_plain_name(id) && !release_is_kept(&registry->releases, id) &&
            file_join(dir, id, path, sizeof path, NULL) == ERR_OK)
            (void)!file_remove_tree(path, NULL); /* the next one tries again */
        free(list[i]);
    }
    free(list);
}

/* The policies of that release; "": those of the configuration. */
enum err_code reg_release_read_policies(const struct registry *registry, const char *id,
                                        struct reg_policies *ret_policies, struct err *err)
{
    char path[FILE_PATH_BYTES];
    if (id[0] == '\0')
        return reg_policies_read(registry->config_policies, ret_policies, err);
    enum err_code rc = release_file_path(registry->models_dir, id, RELEASE_POLICIES, path, err);
    return rc == ERR_OK ? reg_policies_read(path, ret_policies, err) : rc;
}

/* ---- at a start, and with a reload ----------------------------------------------------------- */

void reg_release_follow(struct registry *registry, struct reg_name *name)
{
    const struct release_state *state = &registry->releases;
    if (name->change >= state->change)
        return;
    for (uint32_t i = 0; i < state->apply_count; i++) {
        const struct release_apply *apply = &state->apply[i];
        if (strcmp(apply->name, name->name) != 0)
            continue;
        struct reg_version *serve = reg_version_find(name, apply->serve);
        if (serve == NULL && apply->serve[0] != '\0' && registry->has_unplaced)
            return; /* its folder may still come */
        name->change = state->change;
        for (uint32_t v = 0; v < name->count; v++) {
            struct reg_version *version = name->version[v];
            if (apply->serve[0] == '\0' || strcmp(version->version, apply->aside) == 0)
                version->in_line = version->waits = false;
        }
        if (serve == NULL)
            continue;
        serve->order = ++registry->order;
        serve->in_line = true;
        serve->waits = false;
    }
}

enum err_code reg_releases_start(struct registry *registry, struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct reg_policies policies = {0};
    struct err why = {.text = ""};
    enum err_code rc = file_join(registry->models_dir, RELEASE_FILE, path, sizeof path, err);
    if (rc == ERR_OK)
        rc = release_state_read(path, &registry->releases, err);
    const struct release *release = release_in_force(&registry->releases);
    if (rc != ERR_OK)
        return rc;
    (void)!reg_release_move(registry, &why); /* told, and tried again at every look */
    reg_release_tidy(registry);
    rc = reg_features_prepare(registry, release == NULL ? "" : release->features, err);
    if (rc != ERR_OK || release == NULL || release->policies[0] == '\0')
        return rc;
    rc = reg_release_read_policies(registry, release->policies, &policies, err);
    if (rc != ERR_OK)
        return rc;
    reg_policies_free(&registry->policies);
    registry->policies = policies;
    return ERR_OK;
}

enum err_code reg_release_policies(const struct registry *registry,
                                   struct reg_policies *ret_policies, struct err *err)
{
    const struct release *release = release_in_force(&registry->releases);
    return reg_release_read_policies(registry, release == NULL ? "" : release->policies,
                                     ret_policies, err);
}

/* ---- what operators see ---------------------------------------------------------------------- */

/* Whether all of it still serves.  Within the lock of the view. */
static bool serves_as_it_came(const struct registry *registry, const struct release *release)
{
    const struct reg_view *view = &registry->view;
    for (uint32_t m = 0; m < release->count; m++) {
        bool found = false;
        for (uint32_t i = 0; i < view->serving_count && !found; i++)
            found = strcmp(view->serving[i].name, release->model[m].name) == 0 &&
                    strcmp(view->serving[i].version, release->model[m].version) == 0;
        if (!found)
            return false;
    }
    return true;
}

/* A file that both have, with the same bytes, or neither. */
static bool is_same_part(const struct registry *registry, const struct release *release,
                         const char *owner, const char *from, const char *part_id, const char *file)
{
    char dir[FILE_PATH_BYTES];
    bool had = strcmp(owner, release->id) == 0, has = part_id[0] != '\0';
    return had == has && (!has || (reg_release_path(registry, release->id, dir, NULL) == ERR_OK &&
                                   reg_same_file(from, dir, file)));
}

static bool is_same_model(const struct registry *registry, const struct release *release,
                          const char *from, const struct release_model *model)
{
    char came[FILE_PATH_BYTES], place[FILE_PATH_BYTES];
    for (uint32_t i = 0; i < release->count; i++) {
        if (strcmp(release->model[i].name, model->name) == 0 &&
            strcmp(release->model[i].version, model->version) == 0)
            return reg_path_below(from, model->name, model->version, came, NULL) == ERR_OK &&
                   reg_version_path(registry, model->name, model->version, place, NULL) == ERR_OK &&
                   reg_same_manifest(came, place);
    }
    return false;
}

bool reg_release_is_in_force(struct registry *registry, const char *from, const char *id)
{
    struct release again;
    const struct release *release = release_in_force(&registry->releases);
    if (release == NULL || strcmp(release->id, id) != 0 ||
        release_read(from, id, &again, NULL) != ERR_OK || again.count != release->count)
        return false;
    pthread_mutex_lock(&registry->view.lock);
    bool is_same = serves_as_it_came(registry, release);
    pthread_mutex_unlock(&registry->view.lock);
    is_same =
        is_same &&
        is_same_part(registry, release, release->policies, from, again.policies,
                     RELEASE_POLICIES) &&
        is_same_part(registry, release, release->features, from, again.features, RELEASE_FEATURES);
    for (uint32_t i = 0; is_same && i < again.count; i++)
        is_same = is_same_model(registry, release, from, &again.model[i]);
    return is_same;
}

static void pack_release(struct pack *pack, const struct release *release, const char *state)
{
    pack_map(pack, 6);
    pack_key(pack, "release");
    pack_str(pack, release->id);
    pack_key(pack, "at_ms");
    pack_int(pack, release->at_ms);
    pack_key(pack, "state");
    pack_str(pack, state);
    pack_key(pack, "policies");
    pack_str(pack, release->policies);
    pack_key(pack, "features");
    pack_str(pack, release->features);
    pack_key(pack, "models");
    pack_array(pack, release->count);
    for (uint32_t i = 0; i < release->count; i++) {
        pack_map(pack, 3);
        pack_key(pack, "name");
        pack_str(pack, release->model[i].name);
        pack_key(pack, "version");
        pack_str(pack, release->model[i].version);
        pack_key(pack, "before");
        pack_str(pack, release->model[i].before);
    }
}

void registry_pack_releases(struct registry *registry, struct pack *pack)
{
    pthread_mutex_lock(&registry->view.lock);
    const struct release_state *state = &registry->releases;
    pack_key(pack, "releases");
    pack_array(pack, state->count);
    for (uint32_t i = state->count; i-- > 0;) {
        const struct release *release = &state->line[i];
        const char *word = i + 1 < state->count                   ? "previous"
                           : serves_as_it_came(registry, release) ? "in_force"
                                                                  : "altered";
        pack_release(pack, release, word);
    }
    pthread_mutex_unlock(&registry->view.lock);
}

char *registry_release(struct registry *registry, char ret_id[MODEL_NAME_BYTES],
                       uint64_t *ret_epoch)
{
    pthread_mutex_lock(&registry->view.lock);
    const struct release *release = release_in_force(&registry->releases);
    text_copy(text_of(release == NULL ? "" : release->id), ret_id, MODEL_NAME_BYTES);
    *ret_epoch = registry->view.epoch;
    pthread_mutex_unlock(&registry->view.lock);
    return ret_id;
}

char *registry_policies_sha256(struct registry *registry, char ret_hex[SHA256_HEX_BYTES])
{
    pthread_mutex_lock(&registry->view.lock);
    const char *hex = registry->view.policies_sha256;
    text_copy(text_of(hex[0] == '\0' ? "none" : hex), ret_hex, SHA256_HEX_BYTES);
    pthread_mutex_unlock(&registry->view.lock);
    return ret_hex;
}

char *registry_features_sha256(const struct registry *registry, char ret_hex[SHA256_HEX_BYTES])
{
    return store_features_sha256(registry->store, ret_hex);
}
