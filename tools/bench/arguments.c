/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/arguments.h"

#include <stdbool.h>
#include <string.h>

#include "base/num.h"

_Static_assert(sizeof(enum argument_kind) == sizeof(uint32_t), "set_choice writes enumerations");

static enum err_code set_number(const struct argument *row, const char *value, void *options,
                                struct err *err)
{
    char *field = (char *)options + row->offset;
    double real = 0;
    int64_t integer = 0;
    bool fine = row->kind == ARG_REAL
                    ? num_parse_real(text_of(value), &real) && real >= row->min && real <= row->max
                    : num_parse_int(text_of(value), (int64_t)row->min, (int64_t)row->max, &integer);
    if (!fine)
        return err_set(err, ERR_BAD_INPUT, "--%s: expected a%s number %.12g..%.12g, got '%s'",
                       row->name, row->kind == ARG_REAL ? "" : " whole", row->min, row->max, value);
    if (row->kind == ARG_REAL)
        *(double *)(void *)field = real;
    else if (row->kind == ARG_U32)
        *(uint32_t *)(void *)field = (uint32_t)integer;
    else
        *(uint64_t *)(void *)field = (uint64_t)integer;
    return ERR_OK;
}

static enum err_code set_choice(const struct argument *row, const char *value, void *options,
                                struct err *err)
{
    char list[128] = "";
    size_t used = 0;
    for (uint32_t i = 0; row->choices[i] != NULL; i++) {
        if (strcmp(value, row->choices[i]) == 0) {
            memcpy((char *)options + row->offset, &i, sizeof i);
            return ERR_OK;
        }
        const char *before = i == 0 ? "" : row->choices[i + 1] == NULL ? " or " : ", ";
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", before, row->choices[i]);
        ASSERT(used < sizeof list);
    }
    return err_set(err, ERR_BAD_INPUT, "--%s: expected %s, got '%s'", row->name, list, value);
}

static enum err_code set_text(const struct argument *row, const char *value, void *options,
                              struct err *err)
{
    char *field = (char *)options + row->offset;
    if (strlen(value) > (size_t)row->max)
        return err_set(err, ERR_BAD_INPUT, "--%s: expected at most %.0f bytes", row->name,
                       row->max);
    if (row->kind == ARG_TEXT) {
        *(const char **)(void *)field = value;
        return ERR_OK;
    }
    struct argument_list *list = (struct argument_list *)(void *)field;
    if (list->count == ARGUMENT_LIST_MAX)
        return err_set(err, ERR_BAD_INPUT, "--%s: expected at most %d of them", row->name,
                       ARGUMENT_LIST_MAX);
    list->values[list->count++] = value;
    return ERR_OK;
}

static const struct argument *find(const struct argument *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

enum err_code arguments_parse(int argc, char **argv, int first, const struct argument *table,
                              size_t count, void *ret_options, struct err *err)
{
    for (int i = first; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0)
            return err_set(err, ERR_BAD_INPUT, "expected an option, got '%s'", argv[i]);
        const struct argument *row = find(table, count, argv[i] + 2);
        if (row == NULL)
            return err_set(err, ERR_BAD_INPUT, "there is no option %s", argv[i]);
        if (row->kind == ARG_FLAG) {
            *(bool *)((char *)ret_options + row->offset) = true;
            continue;
        }
        if (++i == argc)
            return err_set(err, ERR_BAD_INPUT, "--%s: a value is missing", row->name);
        enum err_code rc = ERR_OK;
        switch (row->kind) {
        case ARG_FLAG: break;
        case ARG_TEXT:
        case ARG_LIST: rc = set_text(row, argv[i], ret_options, err); break;
        case ARG_CHOICE: rc = set_choice(row, argv[i], ret_options, err); break;
        case ARG_REAL:
        case ARG_U32:
        case ARG_U64: rc = set_number(row, argv[i], ret_options, err); break;
        }
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

void arguments_help(const struct argument *table, size_t count, FILE *out)
{
    for (size_t i = 0; i < count; i++) {
        char left[32];
        snprintf(left, sizeof left, "%s%s%s", table[i].name, table[i].value == NULL ? "" : " ",
                 table[i].value == NULL ? "" : table[i].value);
        fprintf(out, "  --%-22s %s\n", left, table[i].help);
    }
}
