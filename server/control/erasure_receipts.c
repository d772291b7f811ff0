/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/ledger.h"
#include "server/control/erasure.h"

#define MOVED_PREFIX "before-restore-"

static enum err_code write_one(struct ledger *ledger, const struct erase_set *set,
                               const struct erase_entry *entry, struct err *err)
{
    char key[ERASE_KEY_HEX_BYTES];
    struct ledger_head head;
    bool tampered = false;
    const struct erase_set_slot *slot = erase_set_find_key(set, &entry->key);
    ASSERT(slot != NULL);
    const struct log_field fields[] = {
        LOG_INT("request", (int64_t)entry->request),
        LOG_STR("kind", entry->kind == ERASE_USER ? "user" : "anon"),
        LOG_STR("key", erase_key_hex(&entry->key, key)),
        LOG_INT("asked_ms", entry->time_ms),
        LOG_INT("sequence", (int64_t)entry->sequence),
        LOG_INT("events", (int64_t)slot->events),
        LOG_INT("decisions", (int64_t)slot->decisions),
    };
    return ledger_append(ledger, fields, sizeof fields / sizeof fields[0], &head, &tampered, err);
}

enum err_code erasure_write_receipts(const char *dir, const struct clock *clock,
                                     const struct erasure_round *round, struct err *err)
{
    const struct ledger_options options = {
        .dir = dir, .bytes_max = ERASURE_RECEIPTS_BYTES, .clock = clock};
    struct ledger *ledger = NULL;
    enum err_code rc = ledger_create(&options, &ledger, err);
    for (uint32_t i = 0; i < round->entry_count && rc == ERR_OK; i++)
        rc = write_one(ledger, &round->set, &round->entry[i], err);
    ledger_destroy(&ledger);
    return rc;
}

enum err_code erasure_remove_moved(const char *data_dir, struct err *err)
{
    char path[FILE_PATH_BYTES];
    enum err_code rc = ERR_OK;
    DIR *dir = opendir(data_dir);
    if (dir == NULL)
        return err_set(err, ERR_IO, "cannot open %.300s: %s", data_dir, strerror(errno));
    for (struct dirent *entry = readdir(dir); entry != NULL && rc == ERR_OK; entry = readdir(dir)) {
        if (strncmp(entry->d_name, MOVED_PREFIX, sizeof MOVED_PREFIX - 1) != 0)
            continue;
        rc = file_join(data_dir, entry->d_name, path, sizeof path, err);
        if (rc == ERR_OK)
            rc = file_remove_tree(path, err);
        if (rc == ERR_OK)
            log_at(LOG_WARN,
                   "what a restore had moved aside is deleted, since it holds people who "
                   "are to be forgotten",
                   LOG_STR("path", path));
    }
    closedir(dir);
    return rc;
}
