/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/feature_tables.h"

#include <stdlib.h>
#include <string.h>

/* Rows that one event can change: one of each key without an item, and one of each other key for
 * every item; in the set in force, and in the one that is staged. */
enum { PENDING_MAX = 2 * (3 + (FEATURE_KEY_COUNT - 3) * EVENT_ITEMS_MAX) };

/* ---- sets ------------------------------------------------------------------------------------ */

void feature_set_destroy(struct feature_set **set)
{
    struct feature_set *old = *set;
    if (old == NULL)
        return;
    definitions_destroy(&old->definitions);
    free(old->index);
    free(old->is_filling);
    free(old);
    *set = NULL;
}

static void find_keys(struct feature_set *set)
{
    for (uint32_t i = set->definitions->count; i > 0; i--) {
        enum feature_key key = set->definitions->definition[i - 1].key;
        set->first[key] = i - 1;
        set->count[key]++;
    }
}

enum err_code feature_set_create(const struct feature_tables *tables,
                                 struct definitions *definitions, struct feature_set **ret_set,
                                 struct err *err)
{
    struct feature_set *set = calloc(1, sizeof *set);
    if (set == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for features");
    set->number_count = idmap_count(tables->names);
    set->index = malloc((set->number_count + 1) * sizeof *set->index);
    set->is_filling = calloc(definitions->count + 1, sizeof *set->is_filling);
    if (set->index == NULL || set->is_filling == NULL) {
        feature_set_destroy(&set);
        return err_set(err, ERR_NOMEM, "out of memory for features");
    }
    memset(set->index, 0xff, (set->number_count + 1) * sizeof *set->index);
    for (uint32_t i = 0; i < definitions->count; i++)
        set->index[idmap_find(tables->names, text_of(definitions->definition[i].name))] = i;
    set->definitions = definitions;
    find_keys(set);
    *ret_set = set;
    return ERR_OK;
}

enum err_code feature_tables_declare(struct feature_tables *tables,
                                     const struct definitions *definitions, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < definitions->count && rc == ERR_OK; i++) {
        uint32_t number;
        rc = idmap_add(tables->names, text_of(definitions->definition[i].name), &number, NULL, err);
        if (rc == ERR_LIMIT)
            rc = err_set(err, ERR_LIMIT,
                         "features.%s: more than %d names since the daemon started: start it anew",
                         definitions->definition[i].name, FEATURE_NUMBERS_MAX);
    }
    return rc;
}

/* ---- the tables ------------------------------------------------------------------------------ */

static enum err_code tables_init(struct feature_tables *tables, struct err *err)
{
    struct definitions *none = NULL;
    struct feature_set *set = NULL;
    enum err_code rc = idmap_create(FEATURE_NUMBERS_MAX, &tables->names, err);
    tables->item = malloc(EVENT_ITEMS_MAX * sizeof *tables->item);
    tables->wants = malloc(DEFINITIONS_MAX * sizeof *tables->wants);
    tables->pending = malloc(PENDING_MAX * sizeof *tables->pending);
    if (rc == ERR_OK && (tables->item == NULL || tables->wants == NULL || tables->pending == NULL))
        rc = err_set(err, ERR_NOMEM, "out of memory for features");
    if (rc == ERR_OK)
        rc = definitions_empty(&none, err);
    if (rc == ERR_OK)
        rc = feature_set_create(tables, none, &set, err);
    if (rc != ERR_OK)
        definitions_destroy(&none);
    atomic_init(&tables->set, set);
    return rc;
}

enum err_code feature_tables_create(uint32_t rows_max, struct feature_tables **ret_tables,
                                    struct err *err)
{
    struct feature_tables *tables = calloc(1, sizeof *tables);
    if (tables == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for features");
    tables->rows_max = rows_max;
    enum err_code rc = tables_init(tables, err);
    if (rc != ERR_OK)
        feature_tables_destroy(&tables);
    *ret_tables = tables;
    return rc;
}

void feature_tables_destroy(struct feature_tables **tables)
{
    struct feature_tables *old = *tables;
    if (old == NULL)
        return;
    struct feature_set *set = atomic_load_explicit(&old->set, memory_order_relaxed);
    feature_tables_unstage(old);
    for (uint32_t t = 0; set != NULL && t < FEATURE_TABLE_COUNT; t++)
        feature_rows_destroy(&set->rows[t]);
    feature_set_destroy(&set);
    idmap_destroy(&old->names);
    struct idmap *query_ids = feature_query_ids(old), *slot_ids = feature_slot_ids(old);
    idmap_destroy(&query_ids);
    idmap_destroy(&slot_ids);
    free(old->item);
    free(old->wants);
    free(old->pending);
    free(old);
    *tables = NULL;
}

void feature_tables_filled(struct feature_tables *tables)
{
    struct feature_set *set = feature_tables_filling(tables);
    memset(set->is_filling, 0, set->definitions->count * sizeof *set->is_filling);
    set->any_is_filling = false;
}

static uint64_t sum_of_rows(const struct feature_tables *tables, bool bytes)
{
    const struct feature_set *set = feature_set_of(tables);
    uint64_t sum = 0;
    for (uint32_t t = 0; t < FEATURE_TABLE_COUNT; t++) {
        if (set->rows[t] != NULL)
            sum += atomic_load_explicit(bytes ? &set->rows[t]->bytes : &set->rows[t]->row_count,
                                        memory_order_relaxed);
    }
    return sum;
}

uint64_t feature_tables_bytes(const struct feature_tables *tables)
{
    return sum_of_rows(tables, true);
}

uint64_t feature_tables_row_count(const struct feature_tables *tables)
{
    return sum_of_rows(tables, false);
}
