/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/table.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/err.h"

/* Takes over `text`. */
static void put(struct table *table, char *text)
{
    for (char *at = text; at != NULL && *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = '?';
    }
    if (text != NULL && table->count == table->capacity) {
        uint32_t capacity = table->capacity == 0 ? 64 : 2 * table->capacity;
        char **bigger = realloc(table->cell, capacity * sizeof *bigger);
        if (bigger == NULL) {
            free(text);
            text = NULL;
        } else {
            table->cell = bigger;
            table->capacity = capacity;
        }
    }
    if (text == NULL)
        table->failed = true;
    else
        table->cell[table->count++] = text;
}

void table_put(struct table *table, struct text text)
{
    if (text.ptr == NULL)
        text = TEXT_LITERAL("-");
    char *copy = malloc((size_t)text.len + 1);
    if (copy != NULL)
        text_copy(text, copy, (size_t)text.len + 1);
    put(table, copy);
}

void table_put_fmt(struct table *table, const char *fmt, ...)
{
    char *text = NULL;
    va_list list;
    va_start(list, fmt);
    if (vasprintf(&text, fmt, list) < 0)
        text = NULL;
    va_end(list);
    put(table, text);
}

void table_init(struct table *table, const char *heads)
{
    *table = (struct table){0};
    while (*heads != '\0') {
        size_t len = strcspn(heads, " ");
        bool right = heads[0] == '>';
        ASSERT(table->columns < TABLE_COLUMNS_MAX);
        table->right[table->columns++] = right;
        table_put(table, (struct text){heads + right, (uint32_t)(len - right)});
        heads += len;
        heads += strspn(heads, " ");
    }
}

/* Characters, not bytes; a byte that is no text counts as one. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void print_cell(FILE *to, const char *text, size_t width, bool right, bool last)
{
    size_t own = width_of(text);
    int blanks = (int)(width - own);
    if (right)
        fprintf(to, "%*s%s", blanks, "", text);
    else
        fprintf(to, "%s%*s", text, last ? 0 : blanks, "");
    fputs(last ? "\n" : "  ", to);
}

void table_print(const struct table *table, FILE *to)
{
    size_t width[TABLE_COLUMNS_MAX] = {0};
    if (table->failed)
        return;
    for (uint32_t i = 0; i < table->count; i++) {
        size_t own = width_of(table->cell[i]);
        if (own > width[i % table->columns])
            width[i % table->columns] = own;
    }
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t column = i % table->columns;
        print_cell(to, table->cell[i], width[column], table->right[column],
                   column + 1 == table->columns);
    }
}

void table_deinit(struct table *table)
{
    for (uint32_t i = 0; i < table->count; i++)
        free(table->cell[i]);
    free(table->cell);
    *table = (struct table){0};
}
