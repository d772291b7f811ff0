/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/pack.h"
#include "featurestore/reader_internal.h"
#include "featurestore/reader_json.h"

/* ---- lines ----------------------------------------------------------------------------------- */

enum line_state { LINE_THERE, LINE_TOO_LONG, LINE_NONE, LINE_FAILED };

/* Drops everything up to and including the next line feed behind the first `keep` unread bytes. */
static enum err_code step_over_line(struct reader *reader, size_t keep, struct err *err)
{
    struct reader_input *input = &reader->input;
    for (const char *at = input_at(input); at < input_at(input) + keep; at++)
        reader->line_next += *at == '\n';
    input_take(input, keep);
    for (;;) {
        const char *feed = memchr(input_at(input), '\n', input_unread(input));
        if (feed != NULL) {
            input_take(input, (size_t)(feed - input_at(input)) + 1);
            reader->line_next++;
            return ERR_OK;
        }
        input_take(input, input_unread(input));
        if (input->at_end)
            return ERR_OK;
        enum err_code rc = input_fill(input, err);
        if (rc != ERR_OK)
            return rc;
    }
}

/* Steps over blank lines.  *ret_line is without its line end, *ret_bytes with it. */
static enum line_state find_line(struct reader *reader, struct text *ret_line, size_t *ret_bytes,
                                 struct err *err)
{
    struct reader_input *input = &reader->input;
    for (;;) {
        size_t unread = input_unread(input);
        const char *feed = memchr(input_at(input), '\n', unread);
        size_t len = feed == NULL ? unread : (size_t)(feed - input_at(input));
        if (len > READER_LINE_BYTES_MAX)
            return LINE_TOO_LONG;
        if (feed == NULL && !input->at_end) {
            if (input_fill(input, err) != ERR_OK)
                return LINE_FAILED;
            continue;
        }
        if (unread == 0)
            return LINE_NONE;
        *ret_bytes = len + (feed != NULL);
        len -= len > 0 && input_at(input)[len - 1] == '\r';
        *ret_line = (struct text){input_at(input), (uint32_t)len};
        if (len > 0)
            return LINE_THERE;
        input_take(input, *ret_bytes);
        reader->line_next++;
    }
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static enum reader_outcome fail(struct reader *reader, const struct err *why, struct err *err)
{
    reader->failure = *why;
    if (err != NULL)
        *err = *why;
    return READER_FAILED;
}

static enum reader_outcome too_long(struct reader *reader, struct err *err)
{
    struct err why;
    if (step_over_line(reader, 0, &why) != ERR_OK)
        return fail(reader, &why, err);
    err_set(err, ERR_LIMIT, "line %" PRIu64 ": longer than %d bytes%s", reader->line,
            READER_LINE_BYTES_MAX,
            reader->format == READER_CSV ? ", perhaps a quote is not closed" : "");
    return READER_BAD;
}

static enum reader_outcome take_event(struct reader *reader, enum err_code rc,
                                      const struct pack *pack, struct text *ret_event,
                                      struct err *err)
{
    if (rc == ERR_OK && pack->overflow)
        rc = err_set(err, ERR_LIMIT, "line %" PRIu64 ": the event is larger than %d bytes",
                     reader->line, EVENT_BYTES_MAX);
    if (rc != ERR_OK)
        return READER_BAD;
    *ret_event = (struct text){(const char *)pack->bytes, (uint32_t)pack->used};
    return READER_EVENT;
}

static enum reader_outcome map_row(struct reader *reader, uint64_t hash, struct text *ret_event,
                                   struct err *err)
{
    struct map_row row = {reader->line, hash, reader->value};
    struct pack pack = pack_into(reader->event, sizeof reader->event);
    const struct map_rule *rule = NULL;
    enum err_code rc = map_keep(reader->map, &row, &rule, err);
    if (rc == ERR_OK && rule != NULL) {
        *ret_event = rule->name;
        return READER_SKIPPED;
    }
    if (rc == ERR_OK)
        rc = map_event(reader->map, &row, &pack, err);
    return take_event(reader, rc, &pack, ret_event, err);
}

/* The same line of the same state of the file has the same hash; a file that was written anew has
 * another one, so that an item that returns to an old price is not taken for a duplicate. */
static uint64_t line_hash(const struct reader *reader, const char *ptr, size_t len)
{
    return reader->kind == READER_ITEMS ? hash_bytes(ptr, len, reader->input.changed_ns) : 0;
}

/* ---- NDJSON ---------------------------------------------------------------------------------- */

static enum reader_outcome next_ndjson(struct reader *reader, struct text *ret_event,
                                       struct err *err)
{
    struct json_line line = {0};
    struct err why;
    size_t bytes = 0;
    enum line_state state = find_line(reader, &line.text, &bytes, &why);
    reader->line = reader->line_next;
    if (state == LINE_FAILED)
        return fail(reader, &why, err);
    if (state == LINE_TOO_LONG)
        return too_long(reader, err);
    if (state == LINE_NONE)
        return READER_DONE;
    line.number = reader->line;
    reader->line_next++;
    input_take(&reader->input, bytes); /* the bytes stay where they are until the next fill */
    uint64_t hash = line_hash(reader, line.text.ptr, line.text.len);
    struct pack pack = pack_into(reader->event, sizeof reader->event);
    enum err_code rc;
    if (reader->map != NULL) {
        rc = json_line_row(&line, reader->map, reader->value, reader->decoded, err);
        return rc == ERR_OK ? map_row(reader, hash, ret_event, err) : READER_BAD;
    }
    if (reader->kind == READER_ITEMS)
        rc = json_line_item(&line, hash, pack_into(reader->scratch, sizeof reader->scratch), &pack,
                            err);
    else
        rc = json_line_event(&line, &pack, err);
    return take_event(reader, rc, &pack, ret_event, err);
}

/* ---- CSV ------------------------------------------------------------------------------------- */

/* "field Country", or "field 9" when the header has no name for it. */
static enum err_code csv_fault(const struct reader *reader, uint32_t index, const char *what,
                               struct err *err)
{
    if (index < reader->header_count)
        return err_set(err, ERR_BAD_INPUT, "line %" PRIu64 ", field %.*s: %s", reader->line,
                       (int)reader->header[index].len, reader->header[index].ptr, what);
    return err_set(err, ERR_BAD_INPUT, "line %" PRIu64 ", field %u: %s", reader->line, index + 1,
                   what);
}

static enum reader_outcome faulty_record(struct reader *reader, struct err *err)
{
    struct err why;
    csv_fault(reader, reader->record.field_count, reader->record.fault, err);
    if (step_over_line(reader, reader->record.fault_at, &why) != ERR_OK)
        return fail(reader, &why, err);
    return READER_BAD;
}

enum reader_outcome reader_split_record(struct reader *reader, struct err *err)
{
    struct reader_input *input = &reader->input;
    struct csv_record *record = &reader->record;
    for (;;) {
        size_t unread = input_unread(input);
        reader->line = reader->line_next;
        if (input->at_end && unread == 0)
            return READER_DONE;
        enum csv_outcome outcome =
            csv_split(input_at(input), unread, input->at_end, reader->map->delimiter, record);
        if (outcome == CSV_FAULT)
            return faulty_record(reader, err);
        /* A quote that is not closed makes one record of all that follows: we go on behind the line
         * where it stands. */
        if ((outcome == CSV_MORE ? unread : record->bytes) > READER_LINE_BYTES_MAX)
            return too_long(reader, err);
        bool is_blank = *input_at(input) == '\n' || *input_at(input) == '\r';
        if (outcome == CSV_RECORD && !is_blank)
            return READER_EVENT;
        if (outcome == CSV_RECORD) {
            input_take(input, record->bytes);
            reader->line_next++;
            continue;
        }
        struct err why;
        if (input_fill(input, &why) != ERR_OK)
            return fail(reader, &why, err);
    }
}

static enum reader_outcome check_width(struct reader *reader, struct err *err)
{
    uint32_t count = reader->record.field_count;
    if (count == reader->header_count)
        return READER_EVENT;
    char what[80];
    bool is_short = count < reader->header_count;
    if (is_short)
        snprintf(what, sizeof what, "missing, the line has %u fields of %u", count,
                 reader->header_count);
    else
        snprintf(what, sizeof what, "one too many, the line has %u fields, the header %u", count,
                 reader->header_count);
    csv_fault(reader, is_short ? count : reader->header_count, what, err);
    return READER_BAD;
}

static enum reader_outcome next_csv(struct reader *reader, struct text *ret_event, struct err *err)
{
    enum reader_outcome outcome = reader_split_record(reader, err);
    if (outcome != READER_EVENT)
        return outcome;
    uint64_t hash = line_hash(reader, input_at(&reader->input), reader->record.bytes);
    input_take(&reader->input, reader->record.bytes);
    reader->line_next += reader->record.lines;
    outcome = check_width(reader, err);
    if (outcome != READER_EVENT)
        return outcome;
    for (uint32_t i = 0; i < reader->map->column_count; i++)
        reader->value[i] = csv_unquote(&reader->record, reader->csv_index[i]);
    return map_row(reader, hash, ret_event, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

enum reader_outcome reader_next(struct reader *reader, struct text *ret_event, struct err *err)
{
    if (reader->failure.code != ERR_OK) {
        struct err why = reader->failure;
        return fail(reader, &why, err);
    }
    return reader->format == READER_CSV ? next_csv(reader, ret_event, err)
                                        : next_ndjson(reader, ret_event, err);
}

struct text reader_rule(const struct reader *reader, uint32_t index)
{
    bool is_rule = reader->map != NULL && index < reader->map->rule_count;
    return is_rule ? reader->map->rule[index].name : (struct text){0};
}

void reader_progress(const struct reader *reader, struct reader_progress *ret_progress)
{
    *ret_progress = (struct reader_progress){
        .line = reader->line,
        .bytes_read = reader->input.bytes_read,
        .bytes_total = reader->input.bytes_total,
    };
}
