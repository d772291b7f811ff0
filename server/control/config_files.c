/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "featurestore/definitions.h"
#include "featurestore/store.h"
#include "featurestore/store_features.h"
#include "server/control/access.h"
#include "server/control/config.h"
#include "server/control/config_keys.h"
#include "server/control/release.h"
#include "server/decide/policy.h"

/* A store that knows the features which will be in force beside the policies of the configuration,
 * and nothing else: those of a release, unless that has policies, too. */
static enum err_code make_store(const struct config *config, struct store **ret_store,
                                struct err *err)
{
    static const struct store_limits limits = {.items_max = 1,
                                               .people_max = 1,
                                               .history_items_max = 1,
                                               .queue_events_max = 1,
                                               .feature_rows_max = 1};
    char path[FILE_PATH_BYTES];
    bool leaves = true;
    struct definitions *definitions = NULL;
    text_copy(text_of(config->features), path, sizeof path);
    enum err_code rc = release_leaves_policies(config->models_dir, &leaves, err);
    if (rc == ERR_OK && leaves)
        rc = release_features_path(config->models_dir, config->features, path, err);
    if (rc == ERR_OK)
        rc = path[0] == '\0' ? definitions_empty(&definitions, err)
                             : definitions_parse_file(path, &definitions, err);
    if (rc == ERR_OK)
        rc = store_create(&limits, clock_system(), ret_store, err);
    if (rc == ERR_OK)
        rc = store_define_features(*ret_store, &definitions, err);
    definitions_destroy(&definitions);
    return rc;
}

static enum err_code check_policies(const struct config *config, struct err *err)
{
    struct policy_set *set = NULL;
    struct store *store = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (config->policies[0] == '\0')
        return ERR_OK;
    enum err_code rc = file_read(config->policies, CONFIG_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = make_store(config, &store, err);
    if (rc == ERR_OK)
        rc = policy_parse(config->policies, (const char *)bytes, len, store, &set, err);
    policy_destroy(&set);
    store_destroy(&store);
    free(bytes);
    return rc;
}

static enum err_code check_features(const char *path, struct err *err)
{
    struct definitions *definitions = NULL;
    if (path[0] == '\0')
        return ERR_OK;
    enum err_code rc = definitions_parse_file(path, &definitions, err);
    definitions_destroy(&definitions);
    return rc;
}

/* The library that reads it says no more than that it cannot. */
static enum err_code check_readable(const char *option, const char *path, struct err *err)
{
    if (path[0] == '\0' || access(path, R_OK) == 0)
        return ERR_OK;
    return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_BAD_INPUT, "%s: cannot read '%s': %s",
                   option, path, strerror(errno));
}

/* The folder itself, or the nearest one above it of which anything is there. */
static void find_nearest(const char *path, char ret_nearest[FILE_PATH_BYTES])
{
    struct stat info;
    text_copy(text_of(path), ret_nearest, FILE_PATH_BYTES);
    while (lstat(ret_nearest, &info) != 0) {
        char *slash = strrchr(ret_nearest, '/');
        if (slash == NULL || slash == ret_nearest) {
            text_copy(text_of(slash == NULL ? "." : "/"), ret_nearest, FILE_PATH_BYTES);
            return;
        }
        *slash = '\0';
    }
}

/* It may be missing, since it is made at the start; what stands in its place must be one. */
static enum err_code check_dir(const char *option, const char *path, struct err *err)
{
    struct stat info;
    char nearest[FILE_PATH_BYTES];
    if (stat(path, &info) == 0)
        return S_ISDIR(info.st_mode)
                   ? ERR_OK
                   : err_set(err, ERR_BAD_INPUT, "%s: '%s' is not a directory", option, path);
    if (errno != ENOENT)
        return err_set(err, ERR_BAD_INPUT, "%s: cannot use '%s': %s", option, path,
                       strerror(errno));
    find_nearest(path, nearest);
    return stat(nearest, &info) == 0
               ? ERR_OK
               : err_set(err, ERR_BAD_INPUT, "%s: cannot make '%s': '%s' is a link to nothing",
                         option, path, nearest);
}

/* Effective ids count, as they do when the daemon makes it. */
static bool doubts_dir(const char *option, const char *path, bool is_written, struct err *ret_doubt)
{
    char nearest[FILE_PATH_BYTES];
    find_nearest(path, nearest);
    bool is_there = strcmp(nearest, path) == 0;
    if ((is_there && !is_written) || faccessat(AT_FDCWD, nearest, W_OK | X_OK, AT_EACCESS) == 0)
        return false;
    const char *why = strerror(errno);
    if (is_there)
        (void)err_set(ret_doubt, ERR_IO, "%s: '%s' cannot be written by user %u: %s", option, path,
                      (unsigned)geteuid(), why);
    else
        (void)err_set(ret_doubt, ERR_IO, "%s: '%s' cannot be made by user %u: '%s': %s", option,
                      path, (unsigned)geteuid(), nearest, why);
    return true;
}

uint32_t config_doubts(const struct config *config, struct err ret_doubts[CONFIG_DOUBTS_MAX])
{
    uint32_t count = 0;
    count += doubts_dir("data_dir", config->data_dir, true, &ret_doubts[count]);
    count += doubts_dir("models_dir", config->models_dir, false, &ret_doubts[count]);
    return count;
}

enum err_code config_check_files(const struct config *config, struct err *err)
{
    struct access_token token;
    struct minisign_keys keys;
    enum err_code rc = check_features(config->features, err);
    if (rc == ERR_OK)
        rc = check_dir("data_dir", config->data_dir, err);
    if (rc == ERR_OK)
        rc = check_dir("models_dir", config->models_dir, err);
    if (rc == ERR_OK)
        rc = check_policies(config, err);
    if (rc == ERR_OK)
        rc = check_readable("tls_certificate_file", config->tls_certificate_file, err);
    if (rc == ERR_OK)
        rc = config_keys(&config->model_keys, &keys, err);
    return rc == ERR_OK ? access_read_token(config->admin_token_file, &token, err) : rc;
}

char *config_digest(const struct config *config, char ret_hex[SHA256_HEX_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    char *text = config_dump(config);
    const char *shown = text == NULL ? "" : text;
    sha256_of(shown, strlen(shown), digest);
    free(text);
    return sha256_hex(digest, ret_hex);
}
