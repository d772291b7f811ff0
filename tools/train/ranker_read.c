/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ranker_read.h"

#include <stdlib.h>
#include <string.h>

#include "featurestore/reader_input.h"
#include "tools/train/ranker_line.h"

struct row_file {
    const struct ranker_read_options *options;
    struct reader_input input;
    struct csv_record record;
    struct ranker_line line;
    uint64_t rows;
    bool input_failed; /* such errors name the file already */
};

static enum err_code fill(struct row_file *file, struct err *err)
{
    enum err_code rc = input_fill(&file->input, err);
    file->input_failed = rc != ERR_OK;
    return rc;
}

static void show_progress(const struct row_file *file)
{
    const struct reader_input *input = &file->input;
    if (file->options->progress != NULL)
        progress_show(file->options->progress,
                      input->bytes_total == 0
                          ? PROGRESS_UNKNOWN
                          : (double)input->bytes_read / (double)input->bytes_total,
                      file->rows);
}

static enum err_code too_long(const struct row_file *file, struct err *err)
{
    return err_set(err, ERR_LIMIT, "line %llu: longer than %d bytes",
                   (unsigned long long)file->line.number, READER_LINE_BYTES_MAX);
}

/* One line; blank ones are stepped over. */
static enum err_code read_json_line(struct row_file *file, struct text text, struct err *err)
{
    if (text.len > 0 && text.ptr[text.len - 1] == '\r')
        text.len--;
    if (text.len == 0)
        return ERR_OK;
    file->rows++;
    return ranker_line_json(&file->line, text, err);
}

static enum err_code read_json(struct row_file *file, struct err *err)
{
    struct reader_input *input = &file->input;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK) {
        const size_t unread = input_unread(input);
        const char *feed = memchr(input_at(input), '\n', unread);
        const size_t len = feed == NULL ? unread : (size_t)(feed - input_at(input));
        if (len > READER_LINE_BYTES_MAX)
            return too_long(file, err);
        if (feed == NULL && !input->at_end) {
            rc = fill(file, err);
            continue;
        }
        if (unread == 0)
            return ERR_OK;
        rc = read_json_line(file, (struct text){input_at(input), (uint32_t)len}, err);
        input_take(input, len + (feed != NULL));
        file->line.number++;
        show_progress(file);
    }
    return rc;
}

static enum err_code read_record(struct row_file *file, struct err *err)
{
    struct csv_record *record = &file->record;
    if (record->field_count == 1 && record->field[0].len == 0)
        return ERR_OK; /* a blank line */
    if (file->line.csv.column_count == 0)
        return ranker_line_csv_header(&file->line, record, err);
    file->rows++;
    return ranker_line_csv(&file->line, record, err);
}

static enum err_code read_csv(struct row_file *file, struct err *err)
{
    struct reader_input *input = &file->input;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK) {
        const size_t unread = input_unread(input);
        if (unread == 0 && input->at_end)
            return file->line.csv.column_count > 0
                       ? ERR_OK
                       : err_set(err, ERR_BAD_INPUT, "expected a header line, got an empty file");
        switch (unread == 0
                    ? CSV_MORE
                    : csv_split(input_at(input), unread, input->at_end, ',', &file->record)) {
        case CSV_MORE:
            if (unread > READER_LINE_BYTES_MAX)
                return too_long(file, err);
            rc = fill(file, err);
            break;
        case CSV_FAULT:
            return err_set(err, ERR_BAD_INPUT, "line %llu, column %u: %s",
                           (unsigned long long)file->line.number, file->record.field_count + 1,
                           file->record.fault);
        case CSV_RECORD:
            rc = read_record(file, err);
            input_take(input, file->record.bytes);
            file->line.number += file->record.lines;
            show_progress(file);
        }
    }
    return rc;
}

enum err_code ranker_read(const struct ranker_read_options *options, struct ranker_rows *rows,
                          uint64_t *ret_lines, struct err *err)
{
    struct row_file *file = calloc(1, sizeof *file);
    enum reader_format format = options->format;
    struct err why;
    if (file == NULL)
        return err_set(err, ERR_NOMEM, "'%s': out of memory", options->path);
    file->options = options;
    file->line.number = 1;
    file->line.impressed_only = options->impressed_only;
    file->line.slot = options->slot;
    file->line.rows = rows;
    enum err_code rc = reader_find_format(options->path, &format, err);
    if (rc == ERR_OK)
        rc = input_open(options->path, &file->input, err);
    if (rc == ERR_OK) {
        rc = format == READER_CSV ? read_csv(file, &why) : read_json(file, &why);
        if (rc != ERR_OK && file->input_failed)
            err_set(err, rc, "%s", why.text);
        else if (rc != ERR_OK)
            err_set(err, rc, "'%s': %s", options->path, why.text);
    }
    *ret_lines = file->rows;
    input_close(&file->input);
    free(file);
    return rc;
}
