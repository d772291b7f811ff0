/* SPDX-License-Identifier: Apache-2.0 */
/* Where keys are configured: which versions may come.  What lies in models_dir is judged when it
 * arrives, since versions that come together are loaded with the newest first. */
#include <stdlib.h>

#include "base/log.h"
#include "server/control/registry_internal.h"
#include "server/control/registry_line.h"
#include "server/control/registry_table.h"

#define MANIFEST_BYTES_MAX ((size_t)1 << 20)

void reg_ratchet_arrive(const struct registry *registry, const char *name, const char *version,
                        const char *dir)
{
    char path[FILE_PATH_BYTES], hex[SHA256_HEX_BYTES];
    uint8_t digest[SHA256_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (registry->ratchet == NULL ||
        file_join(dir, "manifest.json", path, sizeof path, NULL) != ERR_OK ||
        file_read(path, MANIFEST_BYTES_MAX, &bytes, &len, NULL) != ERR_OK)
        return; /* what cannot be read is refused when it is loaded */
    sha256_of(bytes, len, digest);
    sha256_hex(digest, hex);
    free(bytes);
    if (ratchet_check(registry->ratchet, name, version, hex, NULL) == ERR_OK)
        (void)!ratchet_know(registry->ratchet, name, version, hex, NULL); /* else judged again */
}

void reg_ratchet_raise(struct registry *registry)
{
    if (registry->ratchet == NULL)
        return;
    for (uint32_t i = 0; i < registry->count; i++) {
        const struct reg_labels *next = &registry->name[i]->next;
        if (next->stable != NULL)
            ratchet_raise(registry->ratchet, registry->name[i]->name, next->stable->version);
        if (next->canary != NULL)
            ratchet_raise(registry->ratchet, registry->name[i]->name,
                          next->canary->version->version);
    }
    reg_ratchet_save(registry);
}

void reg_ratchet_save(struct registry *registry)
{
    struct err err = {.text = ""};
    if (registry->ratchet == NULL)
        return;
    enum err_code rc = ratchet_save(registry->ratchet, &err);
    if (rc != ERR_OK && !registry->ratchet_failed)
        log_at(LOG_ERROR,
               "which versions have served is not remembered over a restart; it is "
               "tried again with the next change",
               LOG_STR("error", err.text));
    registry->ratchet_failed = rc != ERR_OK;
}

static bool is_there(void *ctx, const char *name_text, const char *version)
{
    const struct reg_name *name = reg_find(ctx, name_text);
    return name != NULL && reg_version_find(name, version) != NULL;
}

void reg_ratchet_prune(struct registry *registry)
{
    if (registry->ratchet == NULL)
        return;
    ratchet_prune(registry->ratchet, is_there, registry);
    reg_ratchet_save(registry);
}
