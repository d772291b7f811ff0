/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

/* It may be missing, since it is made at the start; what stands in its place must be one. */
static enum err_code check_dir(const char *option, const char *path, struct err *err)
{
    struct stat info;
    if (stat(path, &info) == 0)
        return S_ISDIR(info.st_mode)
                   ? ERR_OK
                   : err_set(err, ERR_BAD_INPUT, "%s: '%s' is not a directory", option, path);
    return errno == ENOENT ? ERR_OK
                           : err_set(err, ERR_BAD_INPUT, "%s: cannot use '%s': %s", option, path,
                                     strerror(errno));
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
