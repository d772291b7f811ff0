/* SPDX-License-Identifier: Apache-2.0 */
/* reader_csv - splits CSV into records and fields, strictly after RFC 4180.
 *
 * A field with a delimiter, a quote, CR or LF must be quoted; quotes within it are doubled. Records
 * end with LF or CRLF, the last one also at the end of the text.  Blanks belong to the field.
 * Threads: no state.  Allocates nothing. */
#ifndef FEATURESTORE_READER_CSV_H
#define FEATURESTORE_READER_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

#define CSV_FIELDS_MAX 1024

enum csv_outcome {
    CSV_RECORD, /* a whole record */
    CSV_MORE,   /* the record goes on behind the bytes given */
    CSV_FAULT,  /* see fault and fault_at */
};

struct csv_record {
    size_t bytes;         /* with its line end */
    uint32_t lines;       /* physical lines; more than one when a field holds line feeds */
    uint32_t field_count; /* of the record; or the number of the faulty field, from 0 */
    const char *fault;    /* a static string */
    size_t fault_at;      /* going on with the line behind this byte is reasonable */
    struct text field[CSV_FIELDS_MAX];
    bool has_doubled_quotes[CSV_FIELDS_MAX];
};

/* Splits the record that begins at `bytes`; `at_end`: nothing follows behind them.  Fields point
 * into the bytes. */
enum csv_outcome csv_split(char *bytes, size_t len, bool at_end, char delimiter,
                           struct csv_record *ret_record);

/* The field without its doubled quotes, which are taken out in place. */
struct text csv_unquote(struct csv_record *record, uint32_t index);

#endif
