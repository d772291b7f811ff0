/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/json_internal.h"
#include "base/json_scan.h"

/* A place in 31 bits: lines up to about a million, columns up to 2,047. */
#define COLUMN_BITS 11
#define COLUMN_MAX  ((1u << COLUMN_BITS) - 1)
#define LINE_MAX    ((1u << (31 - COLUMN_BITS)) - 1)

/* Counts lines as it moves on. */
struct place {
    const char *at, *line_start;
    uint32_t line;
};

static int pack_place(struct place *place, const char *at)
{
    for (; place->at < at; place->at++) {
        if (*place->at == '\n') {
            place->line++;
            place->line_start = place->at + 1;
        }
    }
    uint32_t line = place->line < LINE_MAX ? place->line : LINE_MAX;
    size_t column = (size_t)(at - place->line_start) + 1;
    return (int)(line << COLUMN_BITS | (column <= COLUMN_MAX ? (uint32_t)column : 0));
}

/* The first byte of the value that was scanned last. */
static const char *value_start(const struct json_scan *scan, enum json_token token)
{
    switch (token) {
    case JSON_TOKEN_STRING: return scan->raw.ptr - 1;
    case JSON_TOKEN_INTEGER:
    case JSON_TOKEN_REAL: return scan->raw.ptr;
    case JSON_TOKEN_TRUE:
    case JSON_TOKEN_NULL: return scan->at - strlen("true");
    case JSON_TOKEN_FALSE: return scan->at - strlen("false");
    default: return scan->at - 1;
    }
}

void json_mark_places(cJSON *root, const char *bytes, size_t len)
{
    struct json_scan scan;
    struct place place = {bytes, bytes, 1};
    cJSON *parent[JSON_SCAN_DEPTH_MAX];
    uint32_t depth = 0;
    const char *key = NULL;
    cJSON *next = root;
    enum json_token token;
    json_scan_init(&scan, bytes, len, JSON_SCAN_DEPTH_MAX);
    while ((token = json_scan_next(&scan)) != JSON_TOKEN_END && token != JSON_TOKEN_BAD) {
        if (token == JSON_TOKEN_KEY) {
            key = scan.raw.ptr - 1;
        } else if (token == JSON_TOKEN_OBJECT_END || token == JSON_TOKEN_ARRAY_END) {
            next = parent[--depth]->next;
        } else {
            ASSERT(next != NULL);
            next->valueint = pack_place(&place, key != NULL ? key : value_start(&scan, token));
            key = NULL;
            bool is_container = token == JSON_TOKEN_OBJECT || token == JSON_TOKEN_ARRAY;
            if (is_container)
                parent[depth++] = next;
            next = is_container ? next->child : next->next;
        }
    }
    json_scan_deinit(&scan);
    if (token == JSON_TOKEN_BAD) /* no memory for the keys of a text that was good */
        root->valueint = 0;
}

void json_place_text(const cJSON *value, char ret_text[JSON_PLACE_BYTES])
{
    uint32_t place = value == NULL ? 0 : (uint32_t)value->valueint;
    uint32_t line = place >> COLUMN_BITS, column = place & COLUMN_MAX;
    ret_text[0] = '\0';
    if (line > 0 && column > 0)
        snprintf(ret_text, JSON_PLACE_BYTES, ":%u:%u", line, column);
    else if (line > 0)
        snprintf(ret_text, JSON_PLACE_BYTES, ":%u", line);
}
