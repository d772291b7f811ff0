/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "featurestore/definitions.h"
#include "server/control/access.h"
#include "server/control/config.h"
#include "server/control/config_keys.h"
#include "server/decide/policy.h"

static enum err_code check_policies(const char *path, struct err *err)
{
    struct policy_set *set = NULL;
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (path[0] == '\0')
        return ERR_OK;
    enum err_code rc = file_read(path, CONFIG_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = policy_parse(path, (const char *)bytes, len, NULL, &set, err);
    policy_destroy(&set);
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
    enum err_code rc = check_policies(config->policies, err);
    if (rc == ERR_OK)
        rc = check_features(config->features, err);
    if (rc == ERR_OK)
        rc = check_dir("data_dir", config->data_dir, err);
    if (rc == ERR_OK)
        rc = check_dir("models_dir", config->models_dir, err);
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
