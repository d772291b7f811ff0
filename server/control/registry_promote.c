/* SPDX-License-Identifier: Apache-2.0 */
/* What operators serve by name, whatever came last. */
#include "server/control/registry_change.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"

enum err_code reg_find_version(const struct reg_name *name, const char *version_text,
                               struct reg_version **ret_version, struct err *err)
{
    struct reg_version *version = reg_version_find(name, version_text);
    if (version == NULL || (version->model == NULL && !version->on_disk))
        return err_set(err, ERR_NOT_FOUND, "there is no version %s of '%s' in models_dir",
                       version_text, name->name);
    *ret_version = version;
    return ERR_OK;
}

enum err_code reg_promote(struct registry *registry, struct reg_name *name,
                          const char *version_text, struct err *err)
{
    struct reg_version *version = NULL;
    enum err_code rc = reg_find_version(name, version_text, &version, err);
    if (rc != ERR_OK || version == name->now.stable)
        return rc;
    version->message_hash = 0; /* asked for: told again */
    rc = reg_serve(registry, name, version, err);
    if (rc != ERR_OK) {
        reg_refuse(registry, name, version, rc, err);
        return rc;
    }
    version->order = ++registry->order; /* before reg_settle looks for the newest */
    reg_state_save(registry, name);
    reg_view_update(registry);
    return ERR_OK;
}
