/* SPDX-License-Identifier: Apache-2.0 */
/* reader_json - reads one line of NDJSON, as an event or as a row for a map.
 * Threads: no state.  Errors name line and column. */
#ifndef FEATURESTORE_READER_JSON_H
#define FEATURESTORE_READER_JSON_H

#include <stdint.h>

#include "base/err.h"
#include "base/pack.h"
#include "base/text.h"
#include "featurestore/reader_map.h"

struct json_line {
    uint64_t number;
    struct text text; /* without its line end */
};

/* The line is an event. */
MUST_CHECK enum err_code json_line_event(const struct json_line *line, struct pack *pack,
                                         struct err *err);

/* The line is an item_upsert or item_delete, or an item alone, which becomes an item_upsert: its
 * currency and ts move to the event.  `scratch` is written to first. */
MUST_CHECK enum err_code json_line_item(const struct json_line *line, uint64_t hash,
                                        struct pack scratch, struct pack *pack, struct err *err);

/* The members that the map names, as texts; those that are absent or null are empty.  `decoded` has
 * room for line->text.len bytes; values point into it or into the line. */
MUST_CHECK enum err_code json_line_row(const struct json_line *line, const struct reader_map *map,
                                       struct text *ret_values, char *decoded, struct err *err);

#endif
