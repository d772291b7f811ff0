/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>

#include "base/file.h"
#include "featurestore/snapshot_internal.h"

enum { ARENA_BYTES = EVENT_ITEMS_MAX * sizeof(struct event_item) + 4096 };

/* It was accepted once, so that a start takes it in again. */
static enum err_code check_event(const struct event_record *record, struct arena *arena,
                                 struct err *err)
{
    const struct event_rules rules = {.strictness = EVENT_STORED,
                                      .arrival_ms = record->arrival_ms,
                                      .skew_ms = record->skew_ms,
                                      .erased = record->erased};
    const uint8_t *bytes = (const uint8_t *)record->event.ptr;
    struct event event;
    struct err why = {.text = ""};
    enum err_code rc = cursor_check(bytes, record->event.len, CURSOR_VALUES_MAX, &why);
    struct cursor cursor = cursor_of(bytes, record->event.len);
    arena_reset(arena);
    if (rc == ERR_OK)
        rc = event_decode_by(&cursor, &rules, arena, &event, &why);
    if (rc == ERR_OK)
        return ERR_OK;
    return err_set(err, ERR_CORRUPT, "event log, record %" PRIu64 " is no event: %.300s",
                   record->sequence, why.text);
}

static enum err_code check_records(struct event_log *log, struct snapshot_report *report,
                                   struct err *err)
{
    struct event_log_reader reader;
    struct event_record record;
    struct arena arena;
    enum err_code rc = arena_init(&arena, ARENA_BYTES, err);
    if (rc != ERR_OK)
        return rc;
    rc = event_log_read_begin(log, 1, &reader, err);
    if (rc == ERR_OK) {
        while ((rc = event_log_read_next(&reader, &record, err)) == ERR_OK &&
               (rc = check_event(&record, &arena, err)) == ERR_OK) {
            if (report->events++ == 0)
                report->first_sequence = record.sequence;
            report->last_sequence = record.sequence;
        }
        event_log_read_end(&reader);
    }
    arena_deinit(&arena);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

static enum err_code check_log(const char *dir, struct snapshot_report *report, struct err *err)
{
    struct event_log *log = NULL;
    enum err_code rc = snapshot_open_log(dir, &log, err);
    if (rc == ERR_OK)
        rc = check_records(log, report, err);
    event_log_close(&log);
    return rc;
}

static enum err_code check_checkpoint(const char *dir, uint64_t sequence, uint64_t *rows,
                                      struct err *err)
{
    char name[64], folder[FILE_PATH_BYTES], path[FILE_PATH_BYTES];
    struct checkpoint_reader *reader = NULL;
    struct checkpoint_row row;
    uint64_t found = 0;
    store_checkpoint_name(sequence, name, sizeof name);
    enum err_code rc = file_join(dir, "checkpoints", folder, sizeof folder, err);
    if (rc == ERR_OK)
        rc = file_join(folder, name, path, sizeof path, err);
    if (rc == ERR_OK)
        rc = checkpoint_reader_open(path, &reader, &found, err);
    if (rc != ERR_OK)
        return rc;
    if (found != sequence)
        rc = err_set(err, ERR_CORRUPT, "%.300s holds sequence %" PRIu64, path, found);
    while (rc == ERR_OK && (rc = checkpoint_reader_next(reader, &row, err)) == ERR_OK)
        (*rows)++;
    checkpoint_reader_close(&reader);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

enum err_code snapshot_verify(const char *dir, void (*tell)(void *ctx, const struct err *err),
                              void *ctx, struct snapshot_report *ret_report, struct err *err)
{
    uint64_t sequence[STORE_CHECKPOINTS_KEPT];
    struct snapshot_report *report = ret_report;
    *report = (struct snapshot_report){0};
    enum err_code rc = check_log(dir, report, err);
    if (rc == ERR_OK)
        rc = snapshot_note(dir, sequence, err);
    for (int i = 0; rc == ERR_OK && i < STORE_CHECKPOINTS_KEPT && sequence[i] != 0; i++) {
        struct err why = {.text = ""};
        uint64_t rows = 0;
        report->checkpoints++;
        if (check_checkpoint(dir, sequence[i], &rows, &why) != ERR_OK) {
            report->damaged_checkpoints++;
            tell(ctx, &why);
            continue;
        }
        report->rows += rows;
        if (report->checkpoint_sequence == 0)
            report->checkpoint_sequence = sequence[i];
    }
    /* Everything from the beginning, or from within a checkpoint that can be read. */
    report->is_whole = rc == ERR_OK && (report->first_sequence <= 1 ||
                                        report->first_sequence <= report->checkpoint_sequence + 1);
    return rc;
}
