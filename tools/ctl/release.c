/* SPDX-License-Identifier: Apache-2.0 */
/* release push, list, rollback: models, policies and features that change together. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/background.h"
#include "base/file.h"
#include "featurestore/definitions.h"
#include "models/model.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/model_table.h"
#include "tools/ctl/table.h"
#include "tools/ctl/upload.h"

#define MODELS_MAX  16 /* of a release, by the daemon */
#define POLICIES    "policies.json"
#define FEATURES    "features.json"
#define BODY_BYTES  256
#define WAIT_MAX_US 600000000 /* for loads that are under way */

/* A release as it lies in its folder. */
struct folder {
    const char *dir;
    char prefix[MODELS_MAX][2 * MODEL_NAME_BYTES]; /* "NAME/VERSION" */
    struct bundle *bundle[MODELS_MAX];             /* owned */
    uint32_t count;
    bool has_policies, has_features;
    uint64_t bytes;
};

/* ---- push ------------------------------------------------------------------------------------ */

static int no_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

static bool is_dir(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Opens and checks the bundle dir/NAME/VERSION. */
static int take_bundle(const struct ctl *ctl, struct folder *folder, const char *name,
                       const char *version)
{
    char path[FILE_PATH_BYTES];
    struct model *model = NULL;
    struct bundle *bundle = NULL;
    struct err err = {0};
    if (folder->count == MODELS_MAX)
        return ctl_fail("release", "%s: expected at most %d models", folder->dir, MODELS_MAX);
    char *prefix = folder->prefix[folder->count];
    if (file_join(name, version, prefix, sizeof folder->prefix[0], &err) != ERR_OK ||
        file_join(folder->dir, prefix, path, sizeof path, &err) != ERR_OK)
        return ctl_fail("release", "%s", err.text);
    if (model_open(path, NULL, &bundle, &model, &err) != ERR_OK)
        return model_refused(ctl, path, &err);
    model_destroy(&model);
    folder->bundle[folder->count++] = bundle;
    folder->bytes += bundle->bytes;
    if (strcmp(bundle->name, name) == 0 && strcmp(bundle->version, version) == 0)
        return EXIT_FINE;
    return ctl_fail("release", "%s: the manifest says %s %s", path, bundle->name, bundle->version);
}

static int take_name(const struct ctl *ctl, struct folder *folder, const char *name)
{
    char path[FILE_PATH_BYTES];
    struct dirent **list = NULL;
    if (file_join(folder->dir, name, path, sizeof path, NULL) != ERR_OK || !is_dir(path))
        return ctl_fail("release",
                        "'%s/%s': a release holds folders NAME/VERSION, policies.json and "
                        "features.json, nothing else",
                        folder->dir, name);
    int count = scandir(path, &list, no_dots, alphasort);
    int code =
        count == 1 && file_is_plain_name(list[0]->d_name)
            ? take_bundle(ctl, folder, name, list[0]->d_name)
            : ctl_fail("release", "%s: expected one folder VERSION, got %d entries", path, count);
    for (int i = 0; i < count; i++)
        free(list[i]);
    free(list);
    return code;
}

static int take_features(struct folder *folder)
{
    char path[FILE_PATH_BYTES];
    struct definitions *definitions = NULL;
    struct err err = {0};
    enum err_code rc = file_join(folder->dir, FEATURES, path, sizeof path, &err);
    if (rc == ERR_OK)
        rc = definitions_parse_file(path, &definitions, &err);
    definitions_destroy(&definitions);
    folder->has_features = rc == ERR_OK;
    return rc == ERR_OK ? EXIT_FINE : ctl_fail("release", "%s", err.text);
}

static int take_folder(const struct ctl *ctl, struct folder *folder)
{
    struct dirent **list = NULL;
    int count = scandir(folder->dir, &list, no_dots, alphasort);
    int code = EXIT_FINE;
    if (count < 0)
        return ctl_fail("release", "cannot read '%s': %s", folder->dir, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (code == EXIT_FINE && strcmp(list[i]->d_name, POLICIES) == 0)
            folder->has_policies = true;
        else if (code == EXIT_FINE && strcmp(list[i]->d_name, FEATURES) == 0)
            code = take_features(folder);
        else if (code == EXIT_FINE)
            code = take_name(ctl, folder, list[i]->d_name);
        free(list[i]);
    }
    free(list);
    if (code == EXIT_FINE && folder->count == 0 && !folder->has_policies && !folder->has_features)
        return ctl_fail("release", "%s holds neither models nor policies nor features",
                        folder->dir);
    return code;
}

/* "release r2 is in force, snapshot 17", from the reply of a push or a rollback. */
static int print_outcome(const struct ctl *ctl, struct decide_reply *reply)
{
    int code = EXIT_FINE;
    struct cursor map = ctl_map(reply);
    struct text release = value_text(map, "release");
    if (ctl->json)
        code = ctl_print_json(reply);
    else if (release.ptr == NULL)
        printf("no release is in force, snapshot %" PRId64 "%s\n", value_int(map, "epoch", 0),
               model_from_show(map));
    else
        printf("release %.*s is in force, snapshot %" PRId64 "%s\n", (int)release.len, release.ptr,
               value_int(map, "epoch", 0), model_from_show(map));
    decide_reply_free(reply);
    return code;
}

static int send_all(struct upload *upload, const struct folder *folder)
{
    int code = EXIT_FINE;
    if (folder->has_policies)
        code = upload_file(upload, folder->dir, NULL, POLICIES);
    if (folder->has_features && code == EXIT_FINE)
        code = upload_file(upload, folder->dir, NULL, FEATURES);
    for (uint32_t i = 0; i < folder->count && code == EXIT_FINE; i++) {
        char path[FILE_PATH_BYTES];
        struct err err = {0};
        if (file_join(folder->dir, folder->prefix[i], path, sizeof path, &err) != ERR_OK)
            return ctl_fail("release", "%s", err.text);
        code = upload_bundle(upload, path, folder->prefix[i], folder->bundle[i]);
    }
    return code;
}

static int send_release(struct ctl *ctl, const struct folder *folder, const char *id)
{
    struct upload upload;
    struct decide_reply *reply = NULL;
    uint8_t bytes[BODY_BYTES];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 1);
    pack_key(&body, "release");
    pack_str(&body, id);
    int code = upload_begin(&upload, ctl, "release_begin", &body, folder->bytes);
    if (code == EXIT_FINE) {
        code = send_all(&upload, folder);
        if (code == EXIT_FINE)
            code = upload_commit(&upload, "release_commit", &reply);
        else
            upload_give_up(&upload);
    }
    upload_deinit(&upload);
    return reply == NULL ? code : print_outcome(ctl, reply);
}

/* The last component of the path: "releases/2026-11-23/" is 2026-11-23. */
static void id_of_path(const char *dir, char ret_id[MODEL_NAME_BYTES])
{
    size_t len = strlen(dir);
    while (len > 0 && dir[len - 1] == '/')
        len--;
    size_t begin = len;
    while (begin > 0 && dir[begin - 1] != '/')
        begin--;
    text_copy((struct text){dir + begin, (uint32_t)(len - begin)}, ret_id, MODEL_NAME_BYTES);
}

static int push(struct ctl *ctl, int argc, char **argv)
{
    static struct folder folder;
    char id[MODEL_NAME_BYTES];
    const char *as = NULL;
    const struct arg args[] = {{"as", 0, ARG_TEXT, &as, 0, 0}};
    if (args_parse_count(ctl, argc, argv, args, 1, 2, 2, "push DIR [--as ID]") < 0)
        return EXIT_USAGE;
    id_of_path(argv[2], id);
    if (as != NULL)
        text_copy(text_of(as), id, sizeof id);
    if (!file_is_plain_name(id) || (as != NULL && strcmp(as, id) != 0))
        return ctl_usage("release",
                         "push: '%s' is no name for a release: give --as ID of 1..64 letters, "
                         "digits, '.', '_' or '-'",
                         as == NULL ? id : as);
    folder = (struct folder){.dir = argv[2]};
    background_begin(); /* the daemon may be on the same cores */
    int code = take_folder(ctl, &folder);
    if (code == EXIT_FINE)
        code = send_release(ctl, &folder, id);
    for (uint32_t i = 0; i < folder.count; i++)
        bundle_close(&folder.bundle[i]);
    return code;
}

/* ---- list, rollback -------------------------------------------------------------------------- */

static void put_models(struct table *table, struct cursor release)
{
    char text[MODELS_MAX * (2 * MODEL_NAME_BYTES + 2)] = "";
    size_t used = 0;
    struct cursor at;
    for (uint32_t n = value_array(release, "models", &at); n > 0 && used < sizeof text; n--) {
        struct cursor model = value_next(&at);
        struct text name = value_text(model, "name"), version = value_text(model, "version");
        int len = snprintf(text + used, sizeof text - used, "%s%.*s@%.*s", used == 0 ? "" : " ",
                           (int)name.len, name.ptr, (int)version.len, version.ptr);
        used += len > 0 ? (size_t)len : 0;
    }
    table_put(table, text_of(text));
}

/* Whose file counts. */
static void put_source(struct table *table, struct text release)
{
    table_put(table, release.len == 0 ? TEXT_LITERAL("configuration") : release);
}

static void print_list(struct cursor map)
{
    struct cursor at;
    struct table table;
    char when[MODEL_TIME_BYTES];
    uint32_t count = value_array(map, "releases", &at);
    if (count == 0) {
        puts("no release is in force");
        return;
    }
    table_init(&table, "RELEASE PUSHED STATE POLICIES FEATURES MODELS");
    for (; count > 0; count--) {
        struct cursor release = value_next(&at);
        table_put(&table, value_text(release, "release"));
        table_put(&table, text_of(model_time(value_int(release, "at_ms", 0), when)));
        table_put(&table, value_text(release, "state"));
        put_source(&table, value_text(release, "policies"));
        put_source(&table, value_text(release, "features"));
        put_models(&table, release);
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

static int list(struct ctl *ctl)
{
    struct decide_reply *reply = NULL;
    int code = ctl_call(ctl, "release_list", NULL, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        print_list(ctl_map(reply));
    decide_reply_free(reply);
    return code;
}

static int roll_back(struct ctl *ctl)
{
    struct decide_reply *reply = NULL;
    int code = ctl_call_patiently(ctl, "release_rollback", NULL, WAIT_MAX_US, &reply);
    return reply == NULL ? code : print_outcome(ctl, reply);
}

int command_release(struct ctl *ctl, int argc, char **argv)
{
    static const char wanted[] = "push DIR, list or rollback";
    if (argc > 1 && strcmp(argv[1], "push") == 0)
        return push(ctl, argc, argv);
    int count = args_parse_count(ctl, argc, argv, NULL, 0, 1, 1, wanted);
    if (count < 0)
        return EXIT_USAGE;
    if (strcmp(argv[1], "list") == 0)
        return list(ctl);
    if (strcmp(argv[1], "rollback") == 0)
        return roll_back(ctl);
    return ctl_usage("release", "expected %s, got '%s'", wanted, argv[1]);
}
