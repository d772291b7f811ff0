/* SPDX-License-Identifier: Apache-2.0 */
/* Opens a reader: the format, the map and where its columns stand in the file. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "featurestore/reader_internal.h"

/* Keeps a copy of the header, which is the record just split. */
static enum err_code copy_header(struct reader *reader, struct err *err)
{
    struct csv_record *record = &reader->record;
    size_t bytes = 0;
    for (uint32_t i = 0; i < record->field_count; i++)
        bytes += csv_unquote(record, i).len;
    reader->header_bytes = malloc(bytes + 1); /* a header may consist of one empty name */
    reader->header = calloc(record->field_count, sizeof *reader->header);
    if (reader->header_bytes == NULL || reader->header == NULL)
        return err_set(err, ERR_NOMEM, "'%s': out of memory for its header", reader->input.path);
    char *to = reader->header_bytes;
    for (uint32_t i = 0; i < record->field_count; i++) {
        struct text name = record->field[i];
        memcpy(to, name.ptr, name.len);
        reader->header[i] = (struct text){to, name.len};
        to += name.len;
    }
    reader->header_count = record->field_count;
    return ERR_OK;
}

static enum err_code read_header(struct reader *reader, struct err *err)
{
    struct err why;
    enum reader_outcome outcome = reader_split_record(reader, &why);
    if (outcome == READER_DONE)
        return err_set(err, ERR_BAD_INPUT, "'%s': expected a header line, got an empty file",
                       reader->input.path);
    if (outcome != READER_EVENT)
        return err_set(err, why.code, "'%s': the header: %s", reader->input.path, why.text);
    enum err_code rc = copy_header(reader, err);
    input_take(&reader->input, reader->record.bytes);
    reader->line_next += reader->record.lines;
    return rc;
}

/* The map says the columns of a file without a header. */
static enum err_code take_header(struct reader *reader, struct err *err)
{
    uint32_t count = 0;
    for (const cJSON *name = reader->map->header; name != NULL; name = name->next)
        count++;
    reader->header = calloc(count, sizeof *reader->header);
    if (reader->header == NULL)
        return err_set(err, ERR_NOMEM, "'%s': out of memory for its columns", reader->input.path);
    for (const cJSON *name = reader->map->header; name != NULL; name = name->next)
        reader->header[reader->header_count++] = text_of(name->valuestring);
    return ERR_OK;
}

static enum err_code no_column(const struct reader *reader, struct text name, struct err *err)
{
    struct text nearest = TEXT_LITERAL("");
    uint32_t nearest_distance = UINT32_MAX;
    for (uint32_t i = 0; i < reader->header_count; i++) {
        uint32_t distance = text_distance(reader->header[i], name);
        if (distance < nearest_distance) {
            nearest_distance = distance;
            nearest = reader->header[i];
        }
    }
    bool is_near = nearest_distance <= name.len / 3;
    return err_set(err, ERR_BAD_INPUT,
                   "'%s': the map names column '%.*s', which is not there%s%.*s%s",
                   reader->input.path, (int)name.len, name.ptr, is_near ? "; did you mean '" : "",
                   is_near ? (int)nearest.len : 0, nearest.ptr, is_near ? "'?" : "");
}

/* Where the map's columns stand in the file. */
static enum err_code find_columns(struct reader *reader, struct err *err)
{
    for (uint32_t i = 0; i < reader->map->column_count; i++) {
        struct text name = reader->map->column[i];
        uint32_t found_count = 0;
        for (uint32_t at = 0; at < reader->header_count; at++) {
            if (!text_equal(reader->header[at], name))
                continue;
            reader->csv_index[i] = at;
            found_count++;
        }
        if (found_count == 0)
            return no_column(reader, name, err);
        if (found_count > 1)
            return err_set(err, ERR_BAD_INPUT, "'%s': column '%.*s' stands in the header %u times",
                           reader->input.path, (int)name.len, name.ptr, found_count);
    }
    return ERR_OK;
}

static bool ends_with(const char *text, size_t len, const char *suffix)
{
    size_t suffix_len = strlen(suffix);
    return len >= suffix_len && strncasecmp(text + len - suffix_len, suffix, suffix_len) == 0;
}

enum err_code reader_find_format(const char *path, enum reader_format *format, struct err *err)
{
    size_t len = strlen(path);
    if (*format != READER_AUTO)
        return ERR_OK;
    if (ends_with(path, len, ".gz"))
        len -= strlen(".gz");
    else if (ends_with(path, len, ".zst"))
        len -= strlen(".zst");
    if (ends_with(path, len, ".csv"))
        *format = READER_CSV;
    else if (ends_with(path, len, ".ndjson") || ends_with(path, len, ".jsonl"))
        *format = READER_NDJSON;
    else
        return err_set(err, ERR_BAD_INPUT,
                       "'%s': the format cannot be told from the name; say --format csv or ndjson",
                       path);
    return ERR_OK;
}

static enum err_code open_reader(struct reader *reader, const char *path, const char *map_path,
                                 struct err *err)
{
    enum err_code rc = reader_find_format(path, &reader->format, err);
    bool is_csv = reader->format == READER_CSV;
    if (rc == ERR_OK && is_csv && map_path == NULL)
        rc = err_set(err, ERR_BAD_INPUT, "'%s': a CSV file needs a map of its columns", path);
    if (rc == ERR_OK && map_path != NULL)
        rc = reader_map_read(map_path, reader->kind, &reader->map, err);
    if (rc == ERR_OK)
        rc = input_open(path, &reader->input, err);
    if (rc == ERR_OK && is_csv)
        rc = reader->map->header == NULL ? read_header(reader, err) : take_header(reader, err);
    if (rc == ERR_OK && is_csv)
        rc = find_columns(reader, err);
    return rc;
}

enum err_code reader_open(const char *path, const struct reader_options *options,
                          struct reader **ret_reader, struct err *err)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to read '%s'", path);
    reader->format = options->format;
    reader->kind = options->kind;
    reader->line_next = 1;
    enum err_code rc = open_reader(reader, path, options->map_path, err);
    if (rc == ERR_OK) {
        *ret_reader = reader;
        reader = NULL;
    }
    reader_close(&reader);
    return rc;
}

void reader_close(struct reader **reader)
{
    if (*reader == NULL)
        return;
    input_close(&(*reader)->input);
    reader_map_destroy(&(*reader)->map);
    free((*reader)->header_bytes);
    free((*reader)->header);
    free(*reader);
    *reader = NULL;
}
