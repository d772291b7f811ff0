/* SPDX-License-Identifier: Apache-2.0 */
/* reader - reads event files line by line: CSV (RFC 4180) and NDJSON, plain, gzipped or compressed
 * with Zstandard.
 *
 * Each good line becomes one event in wire format (featurestore/event.h), so that importing and
 * training read files identically.  A bad line is an error that names line and field, and the
 * reader continues with the next.  A CSV file needs a map of columns to event fields, which also
 * selects lines; docs/import.md describes it.  NDJSON lines are events already, or are mapped too
 * if a map is given (its columns are then member names).
 *
 * A line longer than READER_LINE_BYTES_MAX is an error and is skipped.
 * Threads: one owner.  Memory is bounded whatever the file contains. */
#ifndef FEATURESTORE_READER_H
#define FEATURESTORE_READER_H

#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define READER_LINE_BYTES_MAX 65536
#define READER_RULES_MAX      32 /* rules of a map that leave lines out */
#define READER_RULE_BYTES     64 /* of a rule's name, with a NUL behind it */

enum reader_format { READER_AUTO, READER_CSV, READER_NDJSON }; /* AUTO: by file name */
enum reader_kind { READER_EVENTS, READER_ITEMS };              /* items: each line an item_upsert */

struct reader;

struct reader_options {
    enum reader_format format;
    enum reader_kind kind;
    const char *map_path; /* NULL: none */
};

/* READER_AUTO becomes what the name says, ".gz" or ".zst" aside; ERR_BAD_INPUT when it says
 * nothing.
 */
MUST_CHECK enum err_code reader_find_format(const char *path, enum reader_format *format,
                                            struct err *err);

MUST_CHECK enum err_code reader_open(const char *path, const struct reader_options *options,
                                     struct reader **ret_reader, struct err *err);
void reader_close(struct reader **reader);

enum reader_outcome {
    READER_EVENT,   /* *ret_event is one MessagePack map, valid until the next call */
    READER_SKIPPED, /* left out by a keep rule; the rule's name is in *ret_event */
    READER_BAD,     /* err: "line 17, field UnitPrice: expected a decimal number, got 'abc'" */
    READER_DONE,
    READER_FAILED, /* the file could not be read further; err says why */
};

/* The names of the map's rules in their order; .ptr is NULL behind the last.  Valid until close. */
struct text reader_rule(const struct reader *reader, uint32_t index);

enum reader_outcome reader_next(struct reader *reader, struct text *ret_event, struct err *err);

struct reader_progress {
    uint64_t line;        /* of the outcome just returned; the header is line 1 */
    uint64_t bytes_read;  /* of the file on disk (packed, when it is) */
    uint64_t bytes_total; /* 0 when unknown */
};
void reader_progress(const struct reader *reader, struct reader_progress *ret_progress);

#endif
