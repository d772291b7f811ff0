/* SPDX-License-Identifier: Apache-2.0 */
/* reader_map - the mapping from columns of a file to fields of an event; docs/import.md is its
 * manual.
 *
 * A map is a JSON file.  Its section `events` (or `items`, by kind) is a template of the event,
 * with {Column} where a column's text goes; `keep` selects lines.  Columns are numbered in the
 * order in which the map mentions them, whatever their order in the file; a row is an array of
 * texts by these numbers.
 *
 * Threads: immutable after parsing.  Ownership: texts point into the map's own JSON tree. */
#ifndef FEATURESTORE_READER_MAP_H
#define FEATURESTORE_READER_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/json.h"
#include "base/pack.h"
#include "base/text.h"
#include "featurestore/reader.h"

#define MAP_BYTES_MAX   65536
#define MAP_COLUMNS_MAX 64
#define MAP_PIECES_MAX  8
#define MAP_FIELDS_MAX  16
#define MAP_EXTRAS_MAX  32

enum map_filter { MAP_AS_IS, MAP_TRIM, MAP_INTEGER };

/* "{InvoiceNo}-{#line}" is a column, a literal and the line's number. */
struct map_piece {
    enum { MAP_LITERAL, MAP_COLUMN, MAP_LINE } kind;
    enum map_filter filter;
    struct text literal;
    uint32_t column;
};

struct map_template {
    uint32_t piece_count; /* 0: the text is empty */
    struct map_piece piece[MAP_PIECES_MAX];
};

enum map_value {
    MAP_VALUE_ID,
    MAP_VALUE_TEXT,
    MAP_VALUE_TYPE,
    MAP_VALUE_TIME,
    MAP_VALUE_CURRENCY,
    MAP_VALUE_MONEY,
    MAP_VALUE_INT,
};

/* A key of the event that a map may fill; see the tables in reader_map.c. */
struct map_key {
    const char *key;
    enum map_value value;
    bool is_required;
    int64_t min, max; /* of the number, or of the bytes of a text or id */
};

struct map_field {
    const struct map_key *key;
    const char *name; /* key->key, or the name of an extra */
    struct map_template text;
};

struct map_fields {
    uint32_t count;
    struct map_field field[MAP_FIELDS_MAX];
};

enum map_test {
    MAP_NOT_EMPTY,
    MAP_ABOVE,
    MAP_BELOW,
    MAP_BEGINS_WITH,
    MAP_BEGINS_NOT_WITH,
    MAP_BEGINS_WITH_DIGIT,
    MAP_ONE_OF,
    MAP_NONE_OF,
};

struct map_rule {
    struct text name;
    uint32_t column;
    enum map_test test;
    double number;
    struct text text;
    const cJSON *list; /* first text of one_of and none_of */
};

struct reader_map {
    cJSON *root;             /* owned */
    const cJSON *header;     /* first column name when the file has no header line, or NULL */
    const cJSON *types;      /* first renamed type, or NULL */
    const char *time_format; /* "iso", "unix", "unix_ms" or a pattern of strptime */
    bool money_is_minor;
    char delimiter;
    enum reader_kind kind;
    uint32_t column_count;
    struct text column[MAP_COLUMNS_MAX]; /* their names */
    uint32_t rule_count;
    struct map_rule rule[READER_RULES_MAX];
    const struct map_field *currency; /* one of `outer`, or NULL: it says how many decimals */
    struct map_fields outer;          /* keys of the event */
    bool has_item;
    struct map_fields inner; /* keys of its one item */
    uint32_t extra_count;    /* props of an event, attributes of an item */
    struct map_field extra[MAP_EXTRAS_MAX];
};

/* `name` is used in messages, which name the place: "map.json: events.user: no ..." */
MUST_CHECK enum err_code reader_map_parse(const char *name, const char *bytes, size_t len,
                                          enum reader_kind kind, struct reader_map **ret_map,
                                          struct err *err);
MUST_CHECK enum err_code reader_map_read(const char *path, enum reader_kind kind,
                                         struct reader_map **ret_map, struct err *err);
void reader_map_destroy(struct reader_map **map);

/* The number of a column, which is added when it is new; false when there are too many. */
bool map_column_number(struct reader_map *map, struct text name, uint32_t *ret_column);

/* ---- a row through the map ------------------------------------------------------------------- */

struct map_row {
    uint64_t line;
    uint64_t item_hash;       /* of the line; for READER_ITEMS */
    const struct text *value; /* by column number */
};

/* ERR_OK with *ret_rule NULL when the row is to be kept, or the rule that leaves it out; otherwise
 * ERR_BAD_INPUT "line 17, field Quantity: expected a number, got 'x'". */
MUST_CHECK enum err_code map_keep(const struct reader_map *map, const struct map_row *row,
                                  const struct map_rule **ret_rule, struct err *err);

/* Writes the event. */
MUST_CHECK enum err_code map_event(const struct reader_map *map, const struct map_row *row,
                                   struct pack *pack, struct err *err);

/* Begins an item_upsert: writes its id and type, and returns the number of pairs.  The id is made
 * of the line's number and hash, so that the same file imported again changes nothing. */
uint32_t map_item_head(struct pack *pack, uint64_t hash, uint64_t line);

/* "line 17, field F: expected E, got 'V'", with the value cut and made printable. */
enum err_code map_fault(struct err *err, uint64_t line, struct text field, const char *expected,
                        struct text got);

#endif
