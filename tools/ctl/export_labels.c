/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/export_labels.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/num.h"

enum { CAPACITY_MIN = 1024 };

struct entry {
    uint64_t key[2]; /* both 0: free */
    struct labels labels;
};

/* Open addressing, linear probing, at most half full. */
struct label_table {
    struct entry *entry; /* owned */
    uint32_t capacity;   /* a power of two */
    uint32_t count;
};

enum err_code label_table_create(struct label_table **ret_table, struct err *err)
{
    struct label_table *table = calloc(1, sizeof *table);
    if (table != NULL)
        table->entry = calloc(CAPACITY_MIN, sizeof *table->entry);
    if (table == NULL || table->entry == NULL) {
        free(table);
        return err_set(err, ERR_NOMEM, "out of memory for labels");
    }
    table->capacity = CAPACITY_MIN;
    *ret_table = table;
    return ERR_OK;
}

void label_table_destroy(struct label_table **table)
{
    if (*table == NULL)
        return;
    free((*table)->entry);
    free(*table);
    *table = NULL;
}

static void make_key(struct text decision, struct text item, uint64_t key[2])
{
    for (uint64_t half = 0; half < 2; half++)
        key[half] = hash_text(item, hash_text(decision, half + 1));
    key[0] |= 1; /* never free */
}

/* Where it is, or would be. */
static struct entry *find(const struct label_table *table, const uint64_t key[2])
{
    uint32_t mask = table->capacity - 1;
    uint32_t i = (uint32_t)(key[1] & mask);
    while (table->entry[i].key[0] != 0 &&
           (table->entry[i].key[0] != key[0] || table->entry[i].key[1] != key[1]))
        i = (i + 1) & mask;
    return &table->entry[i];
}

static enum err_code grow(struct label_table *table, struct err *err)
{
    struct label_table larger = {.capacity = table->capacity * 2, .count = table->count};
    if (table->count >= LABELS_MAX)
        return err_set(err, ERR_LIMIT,
                       "events name more than %u items of decisions: export less at once, with "
                       "--since and --before",
                       LABELS_MAX);
    larger.entry = calloc(larger.capacity, sizeof *larger.entry);
    if (larger.entry == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the labels of %u items of decisions",
                       table->count);
    for (uint32_t i = 0; i < table->capacity; i++) {
        if (table->entry[i].key[0] != 0)
            *find(&larger, table->entry[i].key) = table->entry[i];
    }
    free(table->entry);
    *table = larger;
    return ERR_OK;
}

bool labels_need(enum event_type type)
{
    return type == EVENT_impression || type == EVENT_click || type == EVENT_view ||
           type == EVENT_cart_add || type == EVENT_purchase;
}

static void note(struct labels *labels, enum event_type type, const struct event_item *item)
{
    int64_t revenue = 0, sum = 0;
    labels->impressed |= type == EVENT_impression;
    labels->clicked |= type == EVENT_click || type == EVENT_view;
    labels->carted |= type == EVENT_cart_add;
    labels->purchased |= type == EVENT_purchase;
    if (type == EVENT_purchase && item->price_minor != EVENT_ABSENT &&
        num_mul(item->qty, item->price_minor, &revenue) &&
        num_add(labels->revenue_minor, revenue, &sum))
        labels->revenue_minor = sum;
}

enum err_code label_table_add(struct label_table *table, const struct event *event, struct err *err)
{
    for (uint32_t i = 0; i < event->item_count && labels_need(event->type); i++) {
        uint64_t key[2];
        enum err_code rc = table->count >= table->capacity / 2 ? grow(table, err) : ERR_OK;
        if (rc != ERR_OK)
            return rc;
        make_key(event->decision, event->items[i].id, key);
        struct entry *entry = find(table, key);
        table->count += entry->key[0] == 0;
        entry->key[0] = key[0];
        entry->key[1] = key[1];
        note(&entry->labels, event->type, &event->items[i]);
    }
    return ERR_OK;
}

struct labels label_table_find(const struct label_table *table, struct text decision,
                               struct text item)
{
    uint64_t key[2];
    make_key(decision, item, key);
    return find(table, key)->labels;
}
