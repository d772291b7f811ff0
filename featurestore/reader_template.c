/* SPDX-License-Identifier: Apache-2.0 */
/* Templates of a map: "{InvoiceNo}-{#line}", "{CustomerID|integer}", "purchase". */
#include <string.h>

#include "featurestore/reader_map_parse.h"

static enum err_code add_piece(struct map_template *template, struct map_piece piece,
                               const struct json_at *at, struct err *err)
{
    if (template->piece_count == MAP_PIECES_MAX)
        return err_set(err, ERR_LIMIT, "%s: more than %d pieces", at->path, MAP_PIECES_MAX);
    template->piece[template->piece_count++] = piece;
    return ERR_OK;
}

/* `inside` is what stands between the braces. */
static enum err_code add_column(struct reader_map *map, struct map_template *template,
                                struct text inside, const struct json_at *at, struct err *err)
{
    struct map_piece piece = {.kind = MAP_COLUMN};
    if (text_is(inside, "#line")) {
        piece.kind = MAP_LINE;
        return add_piece(template, piece, at, err);
    }
    struct text name = inside;
    const char *bar = memchr(inside.ptr, '|', inside.len);
    if (bar != NULL) {
        name.len = (uint32_t)(bar - inside.ptr);
        struct text filter = {bar + 1, inside.len - name.len - 1};
        piece.filter = text_is(filter, "trim")      ? MAP_TRIM
                       : text_is(filter, "integer") ? MAP_INTEGER
                                                    : MAP_AS_IS;
        if (piece.filter == MAP_AS_IS)
            return err_set(err, ERR_BAD_INPUT, "%s: expected {%.*s|trim} or {%.*s|integer}",
                           at->path, (int)name.len, name.ptr, (int)name.len, name.ptr);
    }
    if (name.len == 0)
        return err_set(err, ERR_BAD_INPUT, "%s: a column without a name", at->path);
    if (!map_column_number(map, name, &piece.column))
        return err_set(err, ERR_LIMIT, "%s: the map names more than %d columns", at->path,
                       MAP_COLUMNS_MAX);
    return add_piece(template, piece, at, err);
}

enum err_code map_parse_template(struct reader_map *map, const struct json_at *at,
                                 struct map_template *ret_template, struct err *err)
{
    const char *text = NULL;
    struct map_template template = {0};
    enum err_code rc = json_string(at, &text, err);
    while (rc == ERR_OK && *text != '\0') {
        size_t len = strcspn(text, "{}");
        if (len > 0) {
            struct map_piece piece = {.kind = MAP_LITERAL, .literal = {text, (uint32_t)len}};
            rc = add_piece(&template, piece, at, err);
            text += len;
            continue;
        }
        size_t inside = strcspn(text + 1, "{}");
        if (text[0] == '}' || text[1 + inside] != '}')
            return err_set(err, ERR_BAD_INPUT, "%s: %s at '%.40s'", at->path,
                           text[0] == '}' ? "} without {" : "{ without }", text);
        rc = add_column(map, &template, (struct text){text + 1, (uint32_t)inside}, at, err);
        text += inside + 2;
    }
    if (rc == ERR_OK)
        *ret_template = template;
    return rc;
}
