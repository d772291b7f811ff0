/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a round, each on the store thread for somebody who waits. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

/* ---- who ------------------------------------------------------------------------------------- */

struct beginning {
    struct erasure_round *round;
    enum err_code rc;
    struct err *err;
};

static enum err_code take_entries(const struct erase_ledger *ledger, struct erasure_round *round,
                                  struct err *err)
{
    uint64_t done = erase_ledger_done_request(ledger), count = 0;
    enum err_code rc = ERR_OK;
    for (uint64_t i = 0; i < erase_ledger_count(ledger); i++) {
        const struct erase_entry *entry = erase_ledger_at(ledger, i);
        count += entry->kind != ERASE_DONE && entry->request > done;
    }
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "nobody is to be erased");
    round->entry = malloc(count * sizeof *round->entry);
    if (round->entry == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the people to be erased");
    for (uint64_t i = 0; i < erase_ledger_count(ledger) && rc == ERR_OK; i++) {
        const struct erase_entry *entry = erase_ledger_at(ledger, i);
        if (entry->kind == ERASE_DONE || entry->request <= done)
            continue;
        round->entry[round->entry_count++] = *entry;
        if (entry->sequence > round->sequence)
            round->sequence = entry->sequence;
        rc = erase_set_add(&round->set, &entry->key, entry->sequence, err);
    }
    return rc;
}

static void run_begin(struct store *store, void *ctx)
{
    struct beginning *beginning = ctx;
    struct erasure_round *round = beginning->round;
    struct store_erase *erase = store->erase;
    if (!store_is_recovered(store)) {
        beginning->rc = err_set(beginning->err, ERR_BUSY, "the store is being recovered");
        return;
    }
    if (store_has_uncommitted(store))
        store_commit(store);
    erase_set_init(&round->set, erase_ledger_salt(erase->ledger));
    round->request_last = erase_ledger_last_request(erase->ledger);
    beginning->rc = take_entries(erase->ledger, round, beginning->err);
    if (beginning->rc != ERR_OK)
        return;
    round->person = erase->person;
    round->person_count = erase->person_count;
    erase->person = NULL;
    erase->person_count = erase->person_capacity = 0;
}

enum err_code store_erasure_begin(struct store *store, struct erasure_round *ret_round,
                                  struct err *err)
{
    struct erasure_round round = {0};
    struct beginning beginning = {.round = &round, .err = err};
    store_ask(store, run_begin, &beginning);
    if (beginning.rc == ERR_OK)
        *ret_round = round;
    else
        store_erasure_deinit(&round);
    return beginning.rc;
}

void store_erasure_deinit(struct erasure_round *round)
{
    erase_set_deinit(&round->set);
    free(round->entry);
    free(round->person);
    *round = (struct erasure_round){0};
}

/* ---- checkpoints ----------------------------------------------------------------------------- */

struct drop {
    uint64_t sequence;
    uint64_t newest; /* that reaches it */
    enum err_code rc;
    struct err *err;
};

/* Whether there is one that reaches the sequence; begins it otherwise. */
static void run_look(struct store *store, void *ctx)
{
    struct drop *drop = ctx;
    struct store_checkpoints *checkpoints = store->checkpoints;
    drop->newest = checkpoints->sequence[0];
    if (drop->newest > 0 && drop->newest >= drop->sequence)
        return;
    if (store_has_uncommitted(store))
        store_commit(store);
    drop->rc = store_checkpoint_begin(store, drop->err);
    if (drop->rc == ERR_OK)
        drop->rc = err_set(drop->err, ERR_BUSY, "a checkpoint is being written");
}

/* Files that no note names: what a crash left, and what could not be removed. */
static enum err_code remove_strays(const struct store_checkpoints *checkpoints, struct err *err)
{
    char newest[64], other[64], writing[64];
    enum err_code rc = ERR_OK;
    DIR *dir = opendir(checkpoints->dir);
    if (dir == NULL)
        return err_set(err, ERR_IO, "cannot open %.300s: %s", checkpoints->dir, strerror(errno));
    store_checkpoint_name(checkpoints->sequence[0], newest, sizeof newest);
    store_checkpoint_name(checkpoints->sequence[1], other, sizeof other);
    store_checkpoint_name(checkpoints->at_sequence, writing, sizeof writing);
    for (struct dirent *entry = readdir(dir); entry != NULL && rc == ERR_OK; entry = readdir(dir)) {
        bool is_ours =
            strcmp(entry->d_name, newest) == 0 || strcmp(entry->d_name, other) == 0 ||
            (checkpoints->writer != NULL && strncmp(entry->d_name, writing, strlen(writing)) == 0);
        if (entry->d_name[0] == '.' || is_ours)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT)
            rc = err_set(err, ERR_IO, "cannot remove %.200s/%.100s: %s", checkpoints->dir,
                         entry->d_name, strerror(errno));
    }
    closedir(dir);
    return rc == ERR_OK ? file_sync_dir(checkpoints->dir, err) : rc;
}

static void run_drop(struct store *store, void *ctx)
{
    struct drop *drop = ctx;
    struct store_checkpoints *checkpoints = store->checkpoints;
    if (checkpoints->sequence[1] < drop->sequence)
        drop->rc = store_checkpoint_forget_older(store, drop->err);
    if (drop->rc == ERR_OK)
        drop->rc = remove_strays(checkpoints, drop->err);
}

/* The older ones are a second chance, which is given up for one that can surely be read. */
static enum err_code read_through(const struct store *store, uint64_t sequence, struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct checkpoint_reader *reader = NULL;
    struct checkpoint_row row;
    uint64_t found = 0;
    store_checkpoint_path(store->checkpoints, sequence, path, sizeof path);
    enum err_code rc = checkpoint_reader_open(path, &reader, &found, err);
    while (rc == ERR_OK)
        rc = checkpoint_reader_next(reader, &row, err);
    checkpoint_reader_close(&reader);
    return rc == ERR_NOT_FOUND && found == sequence ? ERR_OK : rc;
}

enum err_code store_erasure_drop_checkpoints(struct store *store, uint64_t sequence,
                                             struct err *err)
{
    struct drop drop = {.sequence = sequence, .err = err};
    if (store->checkpoints == NULL)
        return ERR_OK;
    store_ask(store, run_look, &drop);
    if (drop.rc == ERR_OK)
        drop.rc = read_through(store, drop.newest, err);
    if (drop.rc == ERR_OK)
        store_ask(store, run_drop, &drop);
    return drop.rc;
}

/* ---- the log --------------------------------------------------------------------------------- */

struct swap {
    struct event_log_rebuild *rebuild;
    const struct erase_strip *strip;
    enum err_code rc;
    struct err *err;
};

static void run_swap(struct store *store, void *ctx)
{
    struct swap *swap = ctx;
    if (store_has_uncommitted(store))
        store_commit(store);
    if (!store_takes_events(store)) {
        swap->rc = err_set(swap->err, store->commit_err.code, "%s", store->commit_err.text);
        return;
    }
    swap->rc = event_log_rebuild_swap(swap->rebuild, swap->err);
    for (uint64_t i = 0; swap->rc == ERR_OK && i < swap->strip->dedup_count; i++)
        dedup_erase(store->dedup, swap->strip->dedup[i]);
}

enum err_code store_erasure_swap(struct store *store, struct event_log_rebuild *rebuild,
                                 const struct erase_strip *strip, struct err *err)
{
    struct swap swap = {.rebuild = rebuild, .strip = strip, .err = err};
    store_ask(store, run_swap, &swap);
    return swap.rc;
}

/* ---- the end --------------------------------------------------------------------------------- */

struct ending {
    uint64_t request_last;
    enum err_code rc;
    struct err *err;
};

static void run_done(struct store *store, void *ctx)
{
    struct ending *ending = ctx;
    struct erase_ledger *ledger = store->erase->ledger;
    struct event_log_stats stats = {0};
    if (store->log != NULL)
        event_log_stats(store->log, &stats);
    const struct erase_entry entry = {.kind = ERASE_DONE,
                                      .request = ending->request_last,
                                      .sequence = stats.last_sequence,
                                      .time_ms = clock_wall_ms(store->clock)};
    ending->rc = erase_ledger_reserve(ledger, 1, ending->err);
    if (ending->rc != ERR_OK)
        return;
    erase_ledger_add(ledger, &entry);
    ending->rc = erase_ledger_flush(ledger, ending->err);
    if (ending->rc == ERR_OK)
        ending->rc = store_erase_find_pending(store, ending->err);
}

enum err_code store_erasure_done(struct store *store, uint64_t request_last, struct err *err)
{
    struct ending ending = {.request_last = request_last, .err = err};
    store_ask(store, run_done, &ending);
    return ending.rc;
}
