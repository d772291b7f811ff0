/* SPDX-License-Identifier: Apache-2.0 */
/* reader_internal - the reader's state, shared by its files. */
#ifndef FEATURESTORE_READER_INTERNAL_H
#define FEATURESTORE_READER_INTERNAL_H

#include "featurestore/event.h"
#include "featurestore/reader.h"
#include "featurestore/reader_csv.h"
#include "featurestore/reader_input.h"
#include "featurestore/reader_map.h"

struct reader {
    struct reader_input input;
    enum reader_format format;
    enum reader_kind kind;
    struct reader_map *map; /* owned; NULL: lines are events */

    uint64_t line;      /* of the last outcome */
    uint64_t line_next; /* of the first unread byte */
    struct err failure; /* code is not ERR_OK: the file cannot be read further */

    /* CSV: the header, and where each of the map's columns stands. */
    char *header_bytes; /* owned; NULL when the map itself says the columns */
    struct text *header;
    uint32_t header_count;
    uint32_t csv_index[MAP_COLUMNS_MAX];
    struct csv_record record;

    struct text value[MAP_COLUMNS_MAX]; /* the row for the map */
    char decoded[READER_LINE_BYTES_MAX];
    uint8_t scratch[EVENT_BYTES_MAX];
    uint8_t event[EVENT_BYTES_MAX];
};

/* Splits the next CSV record that is no blank line; its bytes are not taken yet.  READER_EVENT
 * stands for a record. */
enum reader_outcome reader_split_record(struct reader *reader, struct err *err);

#endif
