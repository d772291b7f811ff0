/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/config_keys.h"

#include <string.h>

#include "base/file.h"
#include "server/control/config.h"

const char *config_key_fault(const char *value)
{
    size_t len = strlen(value);
    return len > 0 && len < FILE_PATH_BYTES ? NULL
                                            : "expected a key, or the path of a file with one";
}

enum err_code config_keys(const struct config_list *list, struct minisign_keys *ret_keys,
                          struct err *err)
{
    ret_keys->count = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        struct err why = {.text = ""};
        enum err_code rc = minisign_keys_add(ret_keys, list->ptr[i], &why);
        if (rc != ERR_OK)
            return err_set(err, rc, "model_keys[%u]: %s", i, why.text);
    }
    return ERR_OK;
}
