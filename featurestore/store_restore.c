/* SPDX-License-Identifier: Apache-2.0 */
/* A checkpoint becomes state again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"

typedef enum err_code (*row_fn)(struct store *store, const struct checkpoint_row *row,
                                struct store_numbering *numbering, struct err *err);

static enum err_code read_row(struct store *store, const struct checkpoint_row *row,
                              struct store_numbering *numbering, struct err *err)
{
    return store_row_read(store, row, numbering, err);
}

/* All rows, one after the other. */
static enum err_code pass(struct store *store, const char *path, uint64_t sequence, row_fn take,
                          struct store_numbering *numbering, struct err *err)
{
    struct checkpoint_reader *reader = NULL;
    struct checkpoint_row row;
    uint64_t found = 0, count = 0;
    enum err_code rc = checkpoint_reader_open(path, &reader, &found, err);
    if (rc == ERR_OK && found != sequence)
        rc = err_set(err, ERR_CORRUPT, "%.200s: expected sequence %" PRIu64 ", got %" PRIu64, path,
                     sequence, found);
    while (rc == ERR_OK && (rc = checkpoint_reader_next(reader, &row, err)) == ERR_OK) {
        rc = take(store, &row, numbering, err);
        if (++count % 1000 == 0) {
            retire_flush(&store->retire);
            store_serve_asks(store);
        }
    }
    checkpoint_reader_close(&reader);
    return rc == ERR_NOT_FOUND && found == sequence ? ERR_OK : rc;
}

/* The first pass reads every byte, so that a damaged file is found before it has become state: ids
 * without rows are nothing to readers. */
static enum err_code load(struct store *store, uint64_t sequence, bool *ret_changed,
                          struct err *err)
{
    char path[4096];
    struct store_numbering numbering = {0};
    store_checkpoint_path(store->checkpoints, sequence, path, sizeof path);
    *ret_changed = false;
    enum err_code rc = pass(store, path, sequence, store_row_read_id, &numbering, err);
    if (rc == ERR_OK)
        rc = store_event_ids_check(&numbering.event_ids, err);
    if (rc == ERR_OK) {
        *ret_changed = true;
        rc = pass(store, path, sequence, read_row, &numbering, err);
        store_features_fill_others(store, &numbering);
        if (rc == ERR_OK)
            rc = store_views_make_all(store, err);
    }
    if (rc == ERR_OK) {
        store->checkpoints->has_ids = numbering.event_ids.is_known;
        store->checkpoints->restored_ids = numbering.event_ids;
        numbering.event_ids = (struct store_event_ids){0};
    }
    store_numbering_deinit(&numbering);
    return rc;
}

enum err_code store_read_checkpoint_note(struct store *store, struct err *err)
{
    char note[EVENT_LOG_NOTE_BYTES_MAX + 1];
    size_t len = 0;
    uint64_t *sequence = store->checkpoints->sequence;
    enum err_code rc = event_log_get_note(store->log, STORE_CHECKPOINT_NOTE, note,
                                          EVENT_LOG_NOTE_BYTES_MAX, &len, err);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    if (rc != ERR_OK)
        return rc;
    note[len] = '\0';
    if (sscanf(note, "%" SCNu64 " %" SCNu64, &sequence[0], &sequence[1]) != 2)
        return err_set(err, ERR_CORRUPT, "the event log's note on checkpoints is '%.100s'", note);
    return ERR_OK;
}

/* What cannot be read is for others to tell. */
static bool is_of_other_rules(const struct store *store, uint64_t sequence)
{
    char path[4096];
    struct checkpoint_reader *reader = NULL;
    uint64_t found = 0;
    store_checkpoint_path(store->checkpoints, sequence, path, sizeof path);
    if (checkpoint_reader_open(path, &reader, &found, NULL) != ERR_OK)
        return false;
    bool is_other = checkpoint_reader_rules(reader) != CHECKPOINT_RULES;
    checkpoint_reader_close(&reader);
    return is_other;
}

enum err_code store_restore(struct store *store, uint64_t *ret_sequence, struct err *err)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    struct event_log_stats stats;
    bool changed = false;
    event_log_stats(store->log, &stats);
    enum err_code rc = store_read_checkpoint_note(store, err);
    for (int i = 0; i < STORE_CHECKPOINTS_KEPT && rc == ERR_OK; i++) {
        *ret_sequence = checkpoints->sequence[i];
        if (*ret_sequence == 0)
            break;
        if (event_log_is_whole(store->log) && is_of_other_rules(store, *ret_sequence)) {
            log_at(LOG_INFO, "a checkpoint of another version is left out: the log has all events",
                   LOG_INT("sequence", (int64_t)*ret_sequence));
            continue;
        }
        enum err_code loaded = load(store, *ret_sequence, &changed, err);
        if (loaded == ERR_OK)
            return ERR_OK;
        if (changed || loaded == ERR_NOMEM || loaded == ERR_LIMIT)
            return loaded;
        log_at(LOG_ERROR, "a checkpoint cannot be read", LOG_STR("error", err->text));
    }
    *ret_sequence = 0;
    if (rc == ERR_OK && stats.first_sequence > 1)
        return err_set(err, ERR_CORRUPT,
                       "no checkpoint can be read, and the event log begins at record %" PRIu64,
                       stats.first_sequence);
    return rc;
}
