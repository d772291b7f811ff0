/* SPDX-License-Identifier: Apache-2.0 */
/* Releases: several models, the policies and the definitions of features in one step.  All is
 * loaded, checked and filled first; then models_dir/.release is written, which is the moment of the
 * switch, the snapshot is published, and the bundles go to their places.  What a crash leaves
 * undone of that the next start does. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "server/control/registry_change.h"
#include "server/control/registry_folders.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_releases.h"
#include "server/control/registry_table.h"

/* A change while it is prepared. */
struct switching {
    struct release_state state; /* the next one */
    struct reg_policies policies;
    bool has_policies; /* others than those in force */
    bool names_all;    /* they must find every model that they name */
    char from[RELEASE_MODELS_MAX][FILE_PATH_BYTES];
    bool added[RELEASE_MODELS_MAX]; /* the version is in the table for this release alone */
};

/* ---- preparing ------------------------------------------------------------------------------- */

static enum err_code sync_folder(const char *dir, const struct release *release, struct err *err)
{
    enum err_code rc = reg_sync_files(dir, err);
    for (uint32_t i = 0; i < release->count && rc == ERR_OK; i++) {
        char path[FILE_PATH_BYTES];
        rc = reg_path_below(dir, release->model[i].name, release->model[i].version, path, err);
        if (rc == ERR_OK)
            rc = reg_sync_files(path, err);
        if (rc == ERR_OK)
            rc = file_join(dir, release->model[i].name, path, sizeof path, err);
        if (rc == ERR_OK)
            rc = file_sync_dir(path, err);
    }
    return rc;
}

/* Into .releases, durably, where nobody looks at it yet. */
static enum err_code keep_folder(const struct registry *registry, const char *from,
                                 const struct release *release, char ret_dir[FILE_PATH_BYTES],
                                 struct err *err)
{
    char parent[FILE_PATH_BYTES];
    enum err_code rc = sync_folder(from, release, err);
    if (rc == ERR_OK)
        rc = file_join(registry->models_dir, RELEASE_DIR, parent, sizeof parent, err);
    if (rc == ERR_OK)
        rc = file_make_dir(parent, err);
    if (rc == ERR_OK)
        rc = reg_release_path(registry, release->id, ret_dir, err);
    if (rc == ERR_OK)
        rc = file_remove_tree(ret_dir, err);
    if (rc == ERR_OK && rename(from, ret_dir) != 0)
        rc = err_set(err, ERR_IO, "cannot rename '%s' to '%s': %s", from, ret_dir, strerror(errno));
    if (rc == ERR_OK)
        rc = file_sync_dir(parent, err);
    return rc == ERR_OK ? file_sync_dir(registry->models_dir, err) : rc;
}

/* The version of the release stands in the table and is what its name serves next. */
static enum err_code prepare_model(struct registry *registry, const char *dir,
                                   struct switching *switching, uint32_t index, struct err *err)
{
    struct release *release = &switching->state.line[switching->state.count - 1];
    struct release_model *model = &release->model[index];
    struct reg_name *name = reg_find(registry, model->name);
    char place[FILE_PATH_BYTES];
    uint64_t stamp = 0;
    int64_t written_ns = 0;
    enum err_code rc = reg_version_path(registry, model->name, model->version, place, err);
    if (rc == ERR_OK)
        rc = reg_path_below(dir, model->name, model->version, switching->from[index], err);
    if (rc == ERR_OK && name == NULL)
        rc = reg_add(registry, model->name, &name, err);
    if (rc != ERR_OK)
        return rc;
    struct reg_version *version = reg_version_find(name, model->version);
    switching->added[index] = version == NULL;
    if (version == NULL)
        rc = reg_version_add(name, model->version, &version, err);
    if (rc != ERR_OK)
        return rc;
    bool exists = reg_stamp(place, &stamp, &written_ns);
    if (!exists && version->model != NULL && reg_is_aside(name, version))
        reg_let_go(version);
    if (exists && !reg_same_manifest(switching->from[index], place))
        return err_set(err, ERR_EXISTS,
                       "it exists with other content; a version never changes: publish under a new "
                       "one");
    if (!exists && version->model != NULL)
        return err_set(err, ERR_EXISTS,
                       "it is loaded, though its folder is gone; publish under a new version");
    if (name->now.stable != NULL)
        text_copy(text_of(name->now.stable->version), model->before, sizeof model->before);
    version->from = exists ? NULL : switching->from[index];
    version->message_hash = 0; /* asked for: told again */
    name->next.stable = version;
    return reg_load(registry, name, version, err);
}

static enum err_code prepare_models(struct registry *registry, const char *dir,
                                    struct switching *switching, struct err *err)
{
    const struct release *release = &switching->state.line[switching->state.count - 1];
    for (uint32_t i = 0; i < release->count; i++) {
        struct err why = {.text = ""};
        enum err_code rc = prepare_model(registry, dir, switching, i, &why);
        if (rc != ERR_OK)
            return err_set(err, rc, "%s/%s: %s", release->model[i].name, release->model[i].version,
                           why.text);
        struct release_apply *apply = &switching->state.apply[switching->state.apply_count++];
        text_copy(text_of(release->model[i].name), apply->name, sizeof apply->name);
        text_copy(text_of(release->model[i].version), apply->serve, sizeof apply->serve);
    }
    return ERR_OK;
}

/* ---- the switch ------------------------------------------------------------------------------ */

/* A reg_change commit.  A write that failed may have happened: what is in force is written again,
 * so that a start does not find a release that was refused. */
static enum err_code write_state(struct registry *registry, void *ctx, struct err *err)
{
    char path[FILE_PATH_BYTES];
    const struct switching *switching = ctx;
    enum err_code rc = file_join(registry->models_dir, RELEASE_FILE, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    rc = release_state_write(path, &switching->state, err);
    if (rc != ERR_OK)
        (void)!release_state_write(path, &registry->releases, NULL);
    return rc;
}

static void take_state(struct registry *registry, const struct release_state *state)
{
    pthread_mutex_lock(&registry->view.lock);
    registry->releases = *state;
    pthread_mutex_unlock(&registry->view.lock);
}

/* Makes `next` of the names and the state what is in force, or changes nothing. */
static enum err_code make_switch(struct registry *registry, struct switching *switching,
                                 struct err *err)
{
    struct err why = {.text = ""};
    const struct reg_change change = {.policies = switching->has_policies ? &switching->policies
                                                                          : &registry->policies,
                                      .static_list = &registry->static_list,
                                      .names_all = switching->names_all,
                                      .commit = write_state,
                                      .ctx = switching};
    enum err_code rc = reg_change(registry, &change, err);
    if (rc != ERR_OK)
        return rc;
    if (switching->has_policies) {
        reg_policies_free(&registry->policies);
        registry->policies = switching->policies;
        switching->policies = (struct reg_policies){0};
    }
    take_state(registry, &switching->state);
    (void)!reg_release_move(registry, &why); /* told, and tried again at every look */
    for (uint32_t i = 0; i < switching->state.apply_count; i++) {
        struct reg_name *name = reg_find(registry, switching->state.apply[i].name);
        if (name == NULL)
            continue;
        reg_release_follow(registry, name);
        reg_state_save(registry, name);
    }
    reg_release_tidy(registry);
    reg_view_update(registry);
    return ERR_OK;
}

/* Forgets what was put into the tables for a release that is refused. */
static void drop_added(struct registry *registry, const struct switching *switching,
                       const struct release *release, const struct err *err)
{
    for (uint32_t i = 0; i < release->count; i++) {
        struct reg_name *name = reg_find(registry, release->model[i].name);
        if (name == NULL)
            continue;
        struct reg_version *version = reg_version_find(name, release->model[i].version);
        if (version != NULL && switching->added[i]) {
            reg_tell_refused(registry, name, version, err->text);
            reg_version_drop(name, version);
        }
        if (name->count == 0)
            reg_drop(registry, name);
    }
}

/* What the release has not stays as it is. */
static void inherit(char id[MODEL_NAME_BYTES], const char *before)
{
    if (id[0] == '\0')
        text_copy(text_of(before), id, MODEL_NAME_BYTES);
}

static enum err_code begin_state(const struct registry *registry, const char *from, const char *id,
                                 struct switching *switching, struct err *err)
{
    struct release_state *state = &switching->state;
    *state = registry->releases;
    for (uint32_t i = 0; i < state->count; i++) {
        if (strcmp(state->line[i].id, id) == 0)
            return err_set(err, ERR_EXISTS,
                           "there is a release '%s' already: publish under another name", id);
    }
    if (release_is_kept(state, id))
        return err_set(
            err, ERR_EXISTS,
            "'.releases/%s' of an earlier release is still needed: publish under another "
            "name",
            id);
    const struct release *before = release_in_force(state);
    struct release next;
    enum err_code rc = release_read(from, id, &next, err);
    if (rc != ERR_OK)
        return rc;
    next.at_ms = clock_wall_ms(registry->clock);
    switching->has_policies = switching->names_all = next.policies[0] != '\0';
    inherit(next.policies, before == NULL ? "" : before->policies);
    inherit(next.features, before == NULL ? "" : before->features);
    if (state->count == RELEASES_MAX)
        memmove(&state->line[0], &state->line[1], --state->count * sizeof state->line[0]);
    state->line[state->count++] = next;
    state->change++;
    state->apply_count = 0;
    return ERR_OK;
}

enum err_code reg_release_install(struct registry *registry, const char *from, const char *id,
                                  struct err *err)
{
    char dir[FILE_PATH_BYTES] = "";
    struct switching *switching = calloc(1, sizeof *switching);
    if (switching == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a release");
    enum err_code rc = reg_release_move(registry, err);
    if (rc == ERR_OK && reg_release_is_in_force(registry, from, id))
        goto out; /* the answer to the first time was lost */
    if (rc == ERR_OK)
        rc = begin_state(registry, from, id, switching, err);
    const struct release *release = release_in_force(&switching->state);
    if (rc != ERR_OK)
        goto out;
    rc = keep_folder(registry, from, release, dir, err);
    if (rc == ERR_OK)
        rc = reg_features_prepare(registry, release->features, err);
    if (rc == ERR_OK)
        rc = prepare_models(registry, dir, switching, err);
    if (rc == ERR_OK && switching->has_policies)
        rc = reg_release_read_policies(registry, id, &switching->policies, err);
    if (rc == ERR_OK)
        rc = make_switch(registry, switching, err);
    if (rc != ERR_OK) {
        reg_give_up(registry);
        drop_added(registry, switching, release, err);
        if (dir[0] != '\0')
            (void)!file_remove_tree(dir, NULL); /* tidied with the next one */
    }
out:
    reg_policies_free(&switching->policies);
    free(switching);
    reg_view_update(registry);
    return rc;
}

/* ---- back ------------------------------------------------------------------------------------ */

static enum err_code prepare_before(struct registry *registry, const struct release_model *model,
                                    struct err *err)
{
    struct reg_name *name = reg_find(registry, model->name);
    struct reg_version *version = NULL;
    if (name == NULL && model->before[0] == '\0')
        return ERR_OK; /* nothing served, and nothing does */
    if (name == NULL)
        return err_set(err, ERR_NOT_FOUND, "there is no model '%s' any more", model->name);
    if (model->before[0] == '\0') {
        name->next = (struct reg_labels){.stable = NULL};
        return ERR_OK;
    }
    enum err_code rc = reg_find_version(name, model->before, &version, err);
    if (rc != ERR_OK)
        return rc;
    name->next.stable = version;
    rc = reg_load(registry, name, version, err);
    if (version->fresh)
        registry->source = REGISTRY_DISK;
    return rc;
}

/* What served before the release that is in force serves again. */
static enum err_code prepare_back(struct registry *registry, struct switching *switching,
                                  struct err *err)
{
    struct release_state *state = &switching->state;
    const struct release *gone = &state->line[state->count];
    const struct release *before = release_in_force(state);
    const char *policies = before == NULL ? "" : before->policies;
    enum err_code rc = reg_features_prepare(registry, before == NULL ? "" : before->features, err);
    for (uint32_t i = 0; i < gone->count && rc == ERR_OK; i++) {
        const struct release_model *model = &gone->model[i];
        struct release_apply *apply = &state->apply[state->apply_count++];
        *apply = (struct release_apply){.name = ""};
        text_copy(text_of(model->name), apply->name, sizeof apply->name);
        text_copy(text_of(model->before), apply->serve, sizeof apply->serve);
        if (strcmp(model->before, model->version) != 0)
            text_copy(text_of(model->version), apply->aside, sizeof apply->aside);
        struct err why = {.text = ""};
        rc = prepare_before(registry, model, &why);
        if (rc != ERR_OK)
            (void)err_set(err, rc, "%s/%s: %s", model->name, model->before, why.text);
    }
    switching->has_policies = strcmp(policies, gone->policies) != 0;
    if (rc == ERR_OK && switching->has_policies)
        rc = reg_release_read_policies(registry, policies, &switching->policies, err);
    return rc;
}

/* What is rolled back before it is in its place is kept where it is.  One more that could be lost
 * is not rolled back. */
static enum err_code keep_unplaced(struct registry *registry, struct release_state *state,
                                   struct err *err)
{
    struct err why = {.text = ""};
    if (reg_release_move(registry, &why) == ERR_OK)
        return ERR_OK;
    if (state->left_count == RELEASES_MAX)
        return err_set(err, ERR_LIMIT,
                       "%s; the bundles of %d releases that were rolled back are in "
                       "models_dir/" RELEASE_DIR " already, which is the limit",
                       why.text, RELEASES_MAX);
    const struct release *release = release_in_force(state);
    text_copy(text_of(release->id), state->left[state->left_count++], MODEL_NAME_BYTES);
    log_at(LOG_WARN,
           "a release is rolled back whose bundles are not in their places; they are kept",
           LOG_STR("release", release->id), LOG_STR("error", why.text));
    return ERR_OK;
}

enum err_code reg_release_rollback(struct registry *registry, struct err *err)
{
    if (release_in_force(&registry->releases) == NULL)
        return err_set(err, ERR_NOT_FOUND, "no release is in force");
    struct switching *switching = calloc(1, sizeof *switching);
    if (switching == NULL)
        return err_set(err, ERR_NOMEM, "no memory for a release");
    switching->state = registry->releases;
    enum err_code rc = keep_unplaced(registry, &switching->state, err);
    switching->state.count--;
    switching->state.change++;
    switching->state.apply_count = 0;
    if (rc == ERR_OK)
        rc = prepare_back(registry, switching, err);
    if (rc == ERR_OK)
        rc = make_switch(registry, switching, err);
    else
        reg_give_up(registry);
    reg_policies_free(&switching->policies);
    free(switching);
    return rc;
}
