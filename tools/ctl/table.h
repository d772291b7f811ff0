/* SPDX-License-Identifier: Apache-2.0 */
/* table - columns of text for people: as wide as their widest cell, counted in characters.
 * Control characters become '?', so that nobody's data can steer a terminal.
 *
 * Threads: one owner.  Limits: TABLE_COLUMNS_MAX columns. */
#ifndef TOOLS_CTL_TABLE_H
#define TOOLS_CTL_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/text.h"

#define TABLE_COLUMNS_MAX 12

struct table {
    uint32_t columns;
    uint32_t count, capacity; /* cells, heads included */
    char **cell;              /* owned, each owned */
    bool right[TABLE_COLUMNS_MAX];
    bool failed; /* out of memory; table_print then prints nothing */
};

/* `heads`: names separated by blanks, numbers' columns beginning with '>': "ITEM >SCORE RULE". */
void table_init(struct table *table, const char *heads);
void table_put(struct table *table, struct text text); /* the next cell; absent: "-" */
void table_put_fmt(struct table *table, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *table, FILE *to);
void table_deinit(struct table *table);

#endif
