/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/store_checkpoint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

/* A log that is as full makes a checkpoint due, so that it can be pruned. */
#define FULL_PERCENT 70

/* After one that failed; and when events are refused until there is one. */
#define RETRY_NS        UINT64_C(60000000000)
#define RETRY_URGENT_NS UINT64_C(1000000000)

void store_checkpoint_name(uint64_t sequence, char *buf, size_t buf_bytes)
{
    snprintf(buf, buf_bytes, "%020" PRIu64 ".checkpoint", sequence);
}

void store_checkpoint_path(const struct store_checkpoints *checkpoints, uint64_t sequence,
                           char *buf, size_t buf_bytes)
{
    char name[64];
    store_checkpoint_name(sequence, name, sizeof name);
    snprintf(buf, buf_bytes, "%s/%s", checkpoints->dir, name);
}

void store_checkpoints_destroy(struct store_checkpoints **checkpoints)
{
    struct store_checkpoints *old = *checkpoints;
    if (old == NULL)
        return;
    checkpoint_writer_destroy(&old->writer);
    buffer_deinit(&old->block.buffer);
    store_event_ids_deinit(&old->restored_ids);
    for (int i = 0; i < ROW_END; i++)
        free(old->kept[i]);
    free(old);
    *checkpoints = NULL;
}

/* The one under way is over, well or not. */
static void clear(struct store_checkpoints *checkpoints)
{
    checkpoint_writer_destroy(&checkpoints->writer);
    buffer_deinit(&checkpoints->block.buffer);
    checkpoints->block.row_count = 0;
    for (int i = 0; i < ROW_END; i++) {
        free(checkpoints->kept[i]);
        checkpoints->kept[i] = NULL;
    }
}

void store_checkpoint_abandon(struct store *store)
{
    if (store->checkpoints != NULL && store->checkpoints->writer != NULL)
        clear(store->checkpoints);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool had_its_turn(const struct store_checkpoints *checkpoints, enum store_row kind,
                         uint32_t number)
{
    return kind < checkpoints->kind || (kind == checkpoints->kind && number < checkpoints->next);
}

static bool is_kept(const struct store_checkpoints *checkpoints, enum store_row kind,
                    uint32_t number)
{
    return checkpoints->kept[kind] != NULL &&
           (checkpoints->kept[kind][number / 8] >> number % 8 & 1) != 0;
}

void store_keep_row(struct store *store, enum store_row kind, uint32_t number)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    if (number >= checkpoints->count[kind] || had_its_turn(checkpoints, kind, number) ||
        is_kept(checkpoints, kind, number))
        return;
    checkpoints->kept[kind][number / 8] |= (uint8_t)(1u << number % 8);
    store_row_write(store, kind, number, &checkpoints->block);
    if (checkpoints->block.buffer.used >= CHECKPOINT_BLOCK_BYTES)
        checkpoint_writer_put(checkpoints->writer, &checkpoints->block);
}

static void write_block(struct store *store)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    while (checkpoints->kind < ROW_END && checkpoints->block.buffer.used < CHECKPOINT_BLOCK_BYTES) {
        enum store_row kind = (enum store_row)checkpoints->kind;
        if (checkpoints->next == checkpoints->count[kind]) {
            checkpoints->kind++;
            checkpoints->next = 0;
            continue;
        }
        uint32_t number = checkpoints->next++;
        if (!is_kept(checkpoints, kind, number))
            store_row_write(store, kind, number, &checkpoints->block);
        if (checkpoints->block.buffer.failed)
            break;
    }
    checkpoint_writer_put(checkpoints->writer, &checkpoints->block);
    if (checkpoints->kind == ROW_END) {
        checkpoints->kind++;
        checkpoint_writer_finish(checkpoints->writer);
    }
}

/* ---- beginning ------------------------------------------------------------------------------- */

static void wake_store(void *ctx)
{
    struct store *store = ctx;
    pthread_mutex_lock(&store->mutex);
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

static bool is_due(const struct store *store, uint64_t last_sequence)
{
    const struct store_checkpoints *checkpoints = store->checkpoints;
    struct event_log_stats stats;
    uint64_t since = last_sequence - checkpoints->sequence[0];
    uint64_t passed_ns = clock_now_ns(store->clock) - checkpoints->at_ns;
    bool is_urgent = !store_takes_events(store);
    uint64_t retry_ns = is_urgent ? RETRY_URGENT_NS : RETRY_NS;
    if (since == 0 || (checkpoints->failures > 0 && passed_ns < retry_ns))
        return false;
    if (is_urgent || since >= checkpoints->options.events ||
        passed_ns >= checkpoints->options.interval_ms * UINT64_C(1000000))
        return true;
    event_log_stats(store->log, &stats);
    return stats.bytes_used > stats.bytes_max / 100 * FULL_PERCENT &&
           since > (stats.last_sequence - stats.first_sequence) / 8;
}

static enum err_code begin(struct store *store, uint64_t sequence, struct err *err)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    char path[4096];
    checkpoints->at_sequence = sequence;
    checkpoints->next = 0;
    checkpoints->ids = dedup_span(store->dedup);
    for (uint32_t kind = ROW_STATE; kind < ROW_END; kind++) {
        checkpoints->count[kind] = store_row_count(store, (enum store_row)kind);
        if (kind < ROW_ITEM)
            continue;
        checkpoints->kept[kind] = calloc(checkpoints->count[kind] / 8 + 1, 1);
        if (checkpoints->kept[kind] == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for a checkpoint");
    }
    store_row_write(store, ROW_STATE, 0, &checkpoints->block); /* it changes with every event */
    checkpoints->kind = ROW_STATE + 1;
    store_checkpoint_path(checkpoints, sequence, path, sizeof path);
    return checkpoint_writer_create(path, sequence, wake_store, store, &checkpoints->writer, err);
}

static void note_failure(struct store_checkpoints *checkpoints, const struct err *err)
{
    checkpoints->failures++;
    log_at(LOG_ERROR, "no checkpoint", LOG_STR("error", err->text));
}

/* A log that takes nothing more can only be pruned after a checkpoint.  But the state must be that
 * of what is on disk. */
static bool may_begin(const struct store *store)
{
    return event_log_gathered_count(store->log) == 0 &&
           (store_takes_events(store) || store->commit_err.code == ERR_DISK_FULL);
}

enum err_code store_checkpoint_begin(struct store *store, struct err *err)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    if (checkpoints == NULL)
        return err_set(err, ERR_UNSUPPORTED, "there is no event log, so there are no checkpoints");
    if (checkpoints->writer != NULL)
        return ERR_OK;
    if (!may_begin(store))
        return err_set(err, store->commit_err.code, "%s", store->commit_err.text);
    checkpoints->at_ns = clock_now_ns(store->clock);
    enum err_code rc = begin(store, event_log_next(store->log) - 1, err);
    if (rc != ERR_OK)
        clear(checkpoints);
    return rc;
}

void store_checkpoint_consider(struct store *store)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    if (checkpoints == NULL || checkpoints->writer != NULL ||
        !is_due(store, event_log_next(store->log) - 1))
        return;
    if (event_log_gathered_count(store->log) > 0 && store_takes_events(store))
        store_commit(store); /* what was applied beside the last one */
    if (!may_begin(store))
        return;
    struct err err = {.text = ""};
    if (store_checkpoint_begin(store, &err) != ERR_OK)
        note_failure(checkpoints, &err);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* From here on it is what a start reads. */
static enum err_code put_note(struct store *store, uint64_t newest, uint64_t older, struct err *err)
{
    char note[64];
    int len = snprintf(note, sizeof note, "%" PRIu64 " %" PRIu64, newest, older);
    return event_log_put_note(store->log, STORE_CHECKPOINT_NOTE, note, (size_t)len, err);
}

static void remove_file(const struct store_checkpoints *checkpoints, uint64_t sequence)
{
    char path[4096];
    store_checkpoint_path(checkpoints, sequence, path, sizeof path);
    if (sequence != 0 && unlink(path) != 0)
        log_at(LOG_WARN, "cannot remove an old checkpoint", LOG_STR("path", path));
}

static void finish(struct store *store, uint64_t bytes)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    struct err err = {.text = ""};
    /* One of a sequence that had one already has taken its place. */
    bool is_again = checkpoints->at_sequence == checkpoints->sequence[0];
    uint64_t older = checkpoints->sequence[is_again ? 1 : 0];
    if (!is_again && put_note(store, checkpoints->at_sequence, older, &err) != ERR_OK) {
        remove_file(checkpoints, checkpoints->at_sequence);
        note_failure(checkpoints, &err);
        return;
    }
    if (!is_again)
        remove_file(checkpoints, checkpoints->sequence[1]);
    checkpoints->sequence[1] = older;
    checkpoints->sequence[0] = checkpoints->at_sequence;
    checkpoints->has_ids = true;
    store_allow_prune(store);
    checkpoints->failures = 0;
    checkpoints->last_sequence = checkpoints->at_sequence;
    checkpoints->last_bytes = bytes;
    checkpoints->last_ms = (clock_now_ns(store->clock) - checkpoints->at_ns) / 1000000;
    checkpoints->written++; /* last: whoever sees it sees the rest */
    log_at(LOG_INFO, "checkpoint", LOG_INT("sequence", (int64_t)checkpoints->at_sequence),
           LOG_INT("bytes", (int64_t)bytes), LOG_INT("took_ms", (int64_t)checkpoints->last_ms));
}

enum err_code store_checkpoint_forget_older(struct store *store, struct err *err)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    enum err_code rc = put_note(store, checkpoints->sequence[0], 0, err);
    if (rc != ERR_OK)
        return rc;
    remove_file(checkpoints, checkpoints->sequence[1]);
    checkpoints->sequence[1] = 0;
    store_allow_prune(store);
    return ERR_OK;
}

bool store_checkpoint_has_work(const struct store *store)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    uint64_t bytes;
    if (checkpoints == NULL || checkpoints->writer == NULL)
        return false;
    if (checkpoint_writer_state(checkpoints->writer, &bytes, NULL) != CHECKPOINT_WRITING)
        return store->committer.state == COMMIT_NONE; /* its end is noted in the log */
    return checkpoints->kind <= ROW_END && checkpoint_writer_has_room(checkpoints->writer);
}

void store_checkpoint_step(struct store *store)
{
    struct store_checkpoints *checkpoints = store->checkpoints;
    struct err err = {.text = ""};
    uint64_t bytes = 0;
    switch (checkpoint_writer_state(checkpoints->writer, &bytes, &err)) {
    case CHECKPOINT_WRITING: write_block(store); return;
    case CHECKPOINT_DONE:
        finish(store, bytes);
        clear(checkpoints);
        return;
    case CHECKPOINT_FAILED:
        note_failure(checkpoints, &err);
        clear(checkpoints);
        return;
    }
}

void store_checkpoint_stats(const struct store *store, struct store_checkpoint_stats *ret_stats)
{
    const struct store_checkpoints *checkpoints = store->checkpoints;
    *ret_stats = (struct store_checkpoint_stats){0};
    if (checkpoints == NULL)
        return;
#define GET(name) atomic_load_explicit(&checkpoints->name, memory_order_relaxed)
    ret_stats->written = atomic_load(&checkpoints->written);
    ret_stats->failures = GET(failures);
    ret_stats->sequence = GET(last_sequence);
    ret_stats->bytes = GET(last_bytes);
    ret_stats->took_ms = GET(last_ms);
#undef GET
}
