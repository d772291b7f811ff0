/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/export_names.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/csv.h"

enum { NO_COLUMN = NAMES_MAX };

struct export_names {
    char *name[NAMES_MAX]; /* owned, each */
    uint32_t count;
    uint32_t column[NAMES_MAX]; /* of the decision's i-th value, or NO_COLUMN */
    uint32_t value_count;
    double value[NAMES_MAX]; /* by column */
};

enum err_code export_names_create(struct export_names **ret_names, struct err *err)
{
    *ret_names = calloc(1, sizeof **ret_names);
    return *ret_names == NULL ? err_set(err, ERR_NOMEM, "out of memory for names of features")
                              : ERR_OK;
}

void export_names_destroy(struct export_names **names)
{
    if (*names == NULL)
        return;
    for (uint32_t i = 0; i < (*names)->count; i++)
        free((*names)->name[i]);
    free(*names);
    *names = NULL;
}

/* Decisions of one ranker have the same names in the same places, so that is where to look first.
 */
static uint32_t find(const struct export_names *names, struct text name, uint32_t likely)
{
    if (likely < names->count && text_is(name, names->name[likely]))
        return likely;
    for (uint32_t i = 0; i < names->count; i++) {
        if (text_is(name, names->name[i]))
            return i;
    }
    return NO_COLUMN;
}

enum err_code export_names_add(struct export_names *names, const struct decision_record *decision,
                               struct err *err)
{
    struct cursor at = decision->names;
    for (uint32_t i = 0; i < decision->name_count; i++) {
        struct text name;
        (void)cursor_text(&at, &name);
        if (find(names, name, i) != NO_COLUMN)
            continue;
        if (names->count == NAMES_MAX)
            return err_set(err, ERR_LIMIT, "the rankers have more than %d features: use ndjson",
                           NAMES_MAX);
        char *copy = malloc((size_t)name.len + 1);
        if (copy == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for names of features");
        names->name[names->count++] = text_copy(name, copy, (size_t)name.len + 1);
    }
    return ERR_OK;
}

void export_names_put(const struct export_names *names, struct buffer *buffer)
{
    for (uint32_t i = 0; i < names->count; i++)
        csv_text(buffer, text_of(names->name[i]));
}

void export_names_use(struct export_names *names, const struct decision_record *decision)
{
    struct cursor at = decision->names;
    names->value_count = decision->name_count < NAMES_MAX ? decision->name_count : NAMES_MAX;
    for (uint32_t i = 0; i < names->value_count; i++) {
        struct text name;
        (void)cursor_text(&at, &name);
        names->column[i] = find(names, name, i);
    }
}

void export_names_put_values(struct export_names *names, const struct decision_record_item *item,
                             struct buffer *buffer)
{
    struct cursor at = item->features;
    for (uint32_t column = 0; column < names->count; column++)
        names->value[column] = NAN;
    for (uint32_t i = 0; item->has_features && i < names->value_count; i++) {
        double value = NAN;
        if (!cursor_nil(&at))
            (void)cursor_real(&at, &value);
        if (names->column[i] != NO_COLUMN)
            names->value[names->column[i]] = value;
    }
    for (uint32_t column = 0; column < names->count; column++)
        csv_real(buffer, names->value[column]);
}
