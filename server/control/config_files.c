/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/file.h"
#include "server/control/access.h"
#include "server/control/config.h"
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
        rc = policy_parse(path, (const char *)bytes, len, &set, err);
    policy_destroy(&set);
    free(bytes);
    return rc;
}

enum err_code config_check_files(const struct config *config, struct err *err)
{
    struct access_token token;
    enum err_code rc = check_policies(config->policies, err);
    return rc == ERR_OK ? access_read_token(config->admin_token_file, &token, err) : rc;
}
