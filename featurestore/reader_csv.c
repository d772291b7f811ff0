/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/reader_csv.h"

#include <string.h>

/* One record on its way. */
struct split {
    const char *begin;
    const char *at;
    const char *end;
    bool at_end;
    char delimiter;
    struct csv_record *record;
};

static enum csv_outcome fault(struct split *split, const char *what, const char *at)
{
    split->record->fault = what;
    split->record->fault_at = (size_t)(at - split->begin);
    return CSV_FAULT;
}

static enum csv_outcome put_field(struct split *split, const char *ptr, const char *end,
                                  bool has_doubled_quotes)
{
    struct csv_record *record = split->record;
    if (record->field_count == CSV_FIELDS_MAX)
        return fault(split, "more than 1024 fields", ptr);
    record->field[record->field_count] = (struct text){ptr, (uint32_t)(end - ptr)};
    record->has_doubled_quotes[record->field_count] = has_doubled_quotes;
    record->field_count++;
    return CSV_RECORD;
}

/* From the opening quote to behind the closing one. */
static enum csv_outcome take_quoted(struct split *split)
{
    const char *ptr = split->at + 1;
    const char *quote = ptr;
    bool has_doubled_quotes = false;
    for (;;) {
        quote = memchr(quote, '"', (size_t)(split->end - quote));
        if (quote == NULL || (quote + 1 == split->end && !split->at_end))
            break;
        if (quote + 1 == split->end || quote[1] != '"')
            break;
        has_doubled_quotes = true;
        quote += 2;
    }
    if (quote == NULL && split->at_end) /* the stray quote is more likely the fault than the rest */
        return fault(split, "a quote is not closed", split->begin);
    if (quote == NULL || (quote + 1 == split->end && !split->at_end))
        return CSV_MORE;
    for (const char *feed = ptr; (feed = memchr(feed, '\n', (size_t)(quote - feed))) != NULL;
         feed++)
        split->record->lines++;
    split->at = quote + 1;
    return put_field(split, ptr, quote, has_doubled_quotes);
}

static enum csv_outcome take_plain(struct split *split)
{
    const char *ptr = split->at;
    const char *at = ptr;
    while (at < split->end && *at != split->delimiter && *at != '\n' && *at != '\r' && *at != '"')
        at++;
    if (at < split->end && *at == '"')
        return fault(split, "a quote within a field that does not begin with one", at);
    split->at = at;
    return put_field(split, ptr, at, false);
}

/* What stands behind a field: a delimiter (*ret_last false), or the record's end. */
static enum csv_outcome take_separator(struct split *split, bool *ret_last)
{
    size_t left = (size_t)(split->end - split->at);
    size_t bytes = left >= 2 && split->at[0] == '\r' ? 2 : 1;
    *ret_last = true;
    if (left == 0 || (left == 1 && split->at[0] == '\r')) {
        split->at = split->end;
        return split->at_end ? CSV_RECORD : CSV_MORE;
    }
    if (split->at[0] == split->delimiter) {
        *ret_last = false;
        bytes = 1;
    } else if (split->at[bytes - 1] != '\n') {
        split->record->field_count--; /* the one before is the faulty one */
        return fault(split,
                     split->at[0] == '\r' ? "a carriage return without a line feed"
                                          : "text behind the closing quote",
                     split->at);
    }
    split->at += bytes;
    return CSV_RECORD;
}

enum csv_outcome csv_split(char *bytes, size_t len, bool at_end, char delimiter,
                           struct csv_record *ret_record)
{
    struct split split = {bytes, bytes, bytes + len, at_end, delimiter, ret_record};
    bool last = false;
    ret_record->field_count = 0;
    ret_record->lines = 1;
    while (!last) {
        bool is_quoted = split.at < split.end && *split.at == '"';
        enum csv_outcome outcome = is_quoted ? take_quoted(&split) : take_plain(&split);
        if (outcome == CSV_RECORD)
            outcome = take_separator(&split, &last);
        if (outcome != CSV_RECORD)
            return outcome;
    }
    ret_record->bytes = (size_t)(split.at - bytes);
    return CSV_RECORD;
}

struct text csv_unquote(struct csv_record *record, uint32_t index)
{
    struct text *field = &record->field[index];
    if (!record->has_doubled_quotes[index])
        return *field;
    char *to = (char *)field->ptr; /* the caller's own bytes: see csv_split */
    for (uint32_t from = 0; from < field->len; from++) {
        *to++ = field->ptr[from];
        from += field->ptr[from] == '"';
    }
    field->len = (uint32_t)(to - field->ptr);
    record->has_doubled_quotes[index] = false;
    return *field;
}
