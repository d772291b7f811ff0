/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a checkpoint become state; bytes from disk are checked, whatever their checksums say. */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_rows.h"

enum err_code store_row_corrupt(const struct checkpoint_row *row, const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "checkpoint, row %u of kind %u: %s", row->number, row->kind,
                   what);
}

/* ---- ids ------------------------------------------------------------------------------------- */

void store_numbering_deinit(struct store_numbering *numbering)
{
    for (int i = 0; i < ROW_END; i++)
        free(numbering->of[i].number);
    for (int i = 0; i < FEATURE_TABLE_COUNT; i++)
        free(numbering->layout[i].place);
    store_event_ids_deinit(&numbering->event_ids);
    *numbering = (struct store_numbering){0};
}

/* Ids come in the order of their numbers, so that the table grows by one. */
static enum err_code append(struct store_numbers *numbers, uint32_t number, struct err *err)
{
    uint32_t count = numbers->count;
    if ((count & (count - 1)) == 0) { /* full at each power of two */
        size_t capacity = count == 0 ? 1 : (size_t)count * 2;
        uint32_t *grown = realloc(numbers->number, capacity * sizeof *grown);
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "out of memory to number the ids of a checkpoint");
        numbers->number = grown;
    }
    numbers->same_count += number == count && numbers->same_count == count;
    numbers->number[numbers->count++] = number;
    return ERR_OK;
}

/* The option that limits them. */
static const char *option_of(uint8_t kind)
{
    switch (kind) {
    case ROW_USER_ID:
    case ROW_ANON_ID: return "people_max";
    case ROW_QUERY_ID:
    case ROW_SLOT_ID: return "feature_rows_max";
    default: return "items_max";
    }
}

static bool is_id(uint8_t kind)
{
    return kind == ROW_CATEGORY || kind == ROW_BRAND || kind == ROW_ITEM_ID ||
           kind == ROW_USER_ID || kind == ROW_ANON_ID || kind == ROW_QUERY_ID ||
           kind == ROW_SLOT_ID;
}

enum err_code store_row_read_id(struct store *store, const struct checkpoint_row *row,
                                struct store_numbering *numbering, struct err *err)
{
    struct idmap *ids = is_id(row->kind) ? store_row_ids(store, (enum store_row)row->kind) : NULL;
    uint32_t number = IDMAP_NONE;
    if (row->kind == ROW_STATE)
        return store_event_id_span_read(row, &numbering->event_ids, err);
    if (row->kind == ROW_EVENT_IDS)
        return store_event_id_row_read(row, &numbering->event_ids, err);
    if (row->kind == ROW_FEATURE_LAYOUT)
        return store_feature_layout_read(store, row, numbering, err);
    if (ids == NULL)
        return ERR_OK; /* another row, or ids that no feature needs any more */
    if (row->number != numbering->of[row->kind].count)
        return store_row_corrupt(row, "ids are missing before it", err);
    bool is_of_person = row->kind == ROW_USER_ID || row->kind == ROW_ANON_ID;
    if (is_of_person && row->bytes.len == 0)
        return append(&numbering->of[row->kind], IDMAP_NONE, err); /* erased */
    char buf[FEATURE_QUERY_KEY_BYTES];
    struct text id = row->kind == ROW_QUERY_ID ? feature_query_key(row->bytes, buf) : row->bytes;
    enum err_code rc = idmap_add(ids, id, &number, NULL, err);
    if (rc == ERR_BAD_INPUT)
        return store_row_corrupt(row, "it is no id", err);
    if (rc == ERR_LIMIT)
        return err_set(err, ERR_LIMIT, "the checkpoint has more ids than %s allows: raise it",
                       option_of(row->kind));
    return rc == ERR_OK ? append(&numbering->of[row->kind], number, err) : rc;
}

bool store_row_number(const struct store_numbering *numbering, enum store_row kind, uint32_t old,
                      uint32_t *ret_number)
{
    const struct store_numbers *numbers = &numbering->of[kind];
    if (old >= numbers->count)
        return false;
    *ret_number = old < numbers->same_count ? old : numbers->number[old];
    return true;
}

/* ---- items ----------------------------------------------------------------------------------- */

/* The newest, when fewer are kept than were.  They lie in the store's scratch. */
static bool get_prices(struct checkpoint_fields *fields, struct store *store, struct item *record)
{
    uint32_t count = 0;
    if (!checkpoint_get_u32(fields, &count) || count > STORE_PRICES_MAX)
        return false;
    uint32_t kept = count < store->limits.prices_max ? count : store->limits.prices_max;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t price = 0;
        struct price_change change = {0};
        if (!checkpoint_get_u64(fields, &price) || !checkpoint_get_u32(fields, &change.since_s) ||
            !checkpoint_get_u32(fields, &change.currency))
            return false;
        change.price_minor = (int64_t)price;
        if (i >= count - kept)
            store->prices[i - (count - kept)] = change;
    }
    record->prices = store->prices;
    record->price_count = kept;
    return true;
}

static bool get_record(struct checkpoint_fields *fields, const struct store_numbering *numbering,
                       struct store *store, struct item *record)
{
    uint64_t price, cost;
    uint32_t currency, stock, category, brand, deleted;
    if (!checkpoint_get_u64(fields, &price) || !checkpoint_get_u64(fields, &cost) ||
        !checkpoint_get_u32(fields, &currency) || !checkpoint_get_u32(fields, &stock) ||
        !checkpoint_get_u32(fields, &category) || !checkpoint_get_u32(fields, &brand) ||
        !checkpoint_get_u32(fields, &deleted) || deleted > 1 ||
        !checkpoint_get_text(fields, &record->title) ||
        !checkpoint_get_text(fields, &record->attributes) || !get_prices(fields, store, record))
        return false;
    if (category != IDMAP_NONE && !store_row_number(numbering, ROW_CATEGORY, category, &category))
        return false;
    if (brand != IDMAP_NONE && !store_row_number(numbering, ROW_BRAND, brand, &brand))
        return false;
    /* Readers walk through the attributes without looking for their end. */
    if (record->attributes.ptr != NULL &&
        cursor_check((const uint8_t *)record->attributes.ptr, record->attributes.len,
                     CURSOR_VALUES_MAX, NULL) != ERR_OK)
        return false;
    record->price_minor = (int64_t)price;
    record->cost_minor = (int64_t)cost;
    record->currency = currency;
    record->stock = (int32_t)stock;
    record->category = category;
    record->brand = brand;
    record->deleted = deleted == 1;
    return true;
}

static bool get_all_u32(struct checkpoint_fields *fields, uint32_t *value, uint32_t count)
{
    bool good = true;
    for (uint32_t i = 0; i < count && good; i++)
        good = checkpoint_get_u32(fields, &value[i]);
    return good;
}

static bool get_windows(struct checkpoint_fields *fields, struct windows *windows)
{
    return checkpoint_get_u32(fields, &windows->now) &&
           get_all_u32(fields, windows->fine, WINDOWS_FINE_TILES) &&
           get_all_u32(fields, windows->hour, WINDOWS_HOUR_TILES) &&
           get_all_u32(fields, windows->day, WINDOWS_DAY_TILES);
}

static enum err_code read_item(struct store *store, const struct checkpoint_row *row,
                               const struct store_numbering *numbering, struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    uint32_t item, has;
    struct item record;
    enum err_code rc = ERR_OK;
    record.added_s = 0;
    if (!store_row_number(numbering, ROW_ITEM_ID, row->number, &item) ||
        !checkpoint_get_u32(&fields, &has) || has > ROW_RECORD_ADDED ||
        (has == ROW_RECORD_ADDED && !checkpoint_get_u32(&fields, &record.added_s)) ||
        (has != ROW_RECORD_NONE && !get_record(&fields, numbering, store, &record)))
        return store_row_corrupt(row, "expected an item", err);
    if (has == ROW_RECORD_PLAIN && record.price_count > 0)
        record.added_s = record.prices[0].since_s; /* the earliest that is known */
    if (has != ROW_RECORD_NONE)
        rc = store_catalogue_put(store, item, &record, err);
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES && rc == ERR_OK; c++) {
        struct windows read = {0};
        if (!checkpoint_get_u32(&fields, &has) || has > 1 ||
            (has == 1 && !get_windows(&fields, &read)))
            return store_row_corrupt(row, "expected windows", err);
        if (has == 0)
            continue;
        if (!store_make_windows(store, item, (enum event_class)c))
            return err_set(err, ERR_NOMEM, "out of memory for the counts of an item");
        windows_restore(store_windows(store_item_slot(store, item), c), &read);
    }
    return rc == ERR_OK && fields.at != fields.end ? store_row_corrupt(row, "it is too long", err)
                                                   : rc;
}

/* ---- people ---------------------------------------------------------------------------------- */

/* As they are in the file becomes as they are here.  Millions of them are read when a daemon
 * starts: no call for each. */
static bool number_items(const struct store_numbers *numbers, uint32_t count, uint32_t *item)
{
    uint32_t largest = 0;
    for (uint32_t i = 0; i < count; i++) {
        item[i] = le32toh(item[i]);
        largest = item[i] > largest ? item[i] : largest;
    }
    if (count > 0 && largest >= numbers->count)
        return false;
    for (uint32_t i = 0; i < count && largest >= numbers->same_count; i++)
        item[i] = numbers->number[item[i]];
    return true;
}

/* What a shorter history keeps of one that was longer. */
static void pick_entries(const uint8_t *bytes, uint32_t count, struct person_edit *edit)
{
    const uint8_t *classes = bytes + (size_t)count * 8, *days = bytes + (size_t)count * 9;
    struct person_share left = person_share(classes, count, edit->items_max);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool is_purchase = person_is_purchase(classes[i], edit->items_max);
        uint32_t *share = is_purchase ? &left.purchases : &left.others;
        if (*share == 0)
            continue;
        --*share;
        memcpy(&edit->item[kept], bytes + (size_t)i * 4, sizeof edit->item[0]);
        memcpy(&edit->last_s[kept], bytes + (size_t)(count + i) * 4, sizeof edit->last_s[0]);
        edit->classes[kept] = classes[i];
        edit->days[kept++] = days[i];
    }
    edit->count = kept;
}

static void copy_entries(const uint8_t *bytes, uint32_t count, struct person_edit *edit)
{
    memcpy(edit->item, bytes, count * sizeof edit->item[0]);
    memcpy(edit->last_s, bytes + (size_t)count * 4, count * sizeof edit->last_s[0]);
    memcpy(edit->classes, bytes + (size_t)count * 8, count);
    memcpy(edit->days, bytes + (size_t)count * 9, count);
    edit->count = count;
}

static bool get_history(struct checkpoint_fields *fields, const struct store_numbering *numbering,
                        struct person_edit *edit)
{
    uint32_t count = 0;
    bool good = checkpoint_get_u32(fields, &edit->events) &&
                checkpoint_get_u32(fields, &edit->purchases) &&
                checkpoint_get_u32(fields, &count) &&
                (size_t)(fields->end - fields->at) == (size_t)count * 10;
    if (!good)
        return false;
    if (count <= edit->items_max)
        copy_entries(fields->at, count, edit);
    else
        pick_entries(fields->at, count, edit);
    if (!number_items(&numbering->of[ROW_ITEM_ID], edit->count, edit->item))
        return false;
    for (uint32_t i = 0; i < edit->count; i++)
        edit->last_s[i] = le32toh(edit->last_s[i]);
    return true;
}

static enum err_code read_person(struct store *store, struct people *people, enum store_row ids,
                                 const struct checkpoint_row *row,
                                 const struct store_numbering *numbering, struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    uint32_t number;
    if (!store_row_number(numbering, ids, row->number, &number) ||
        !get_history(&fields, numbering, &store->edit))
        return store_row_corrupt(row, "expected a history", err);
    if (number == IDMAP_NONE)
        return ERR_OK;
    _Atomic(const struct person *) *slot = store_person_slot_make(store, people, number);
    struct person *person = slot == NULL ? NULL : person_edit_finish(&store->edit, store->slabs);
    if (person == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a history");
    store_person_publish(store, slot, person);
    return ERR_OK;
}

static enum err_code read_state(struct store *store, const struct checkpoint_row *row,
                                struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    uint64_t watermark;
    /* What follows was taken in before. */
    if (!checkpoint_get_u64(&fields, &watermark) || watermark > (uint64_t)EVENT_TS_MS_MAX)
        return store_row_corrupt(row, "expected a time", err);
    atomic_store_explicit(&store->watermark_ms, (int64_t)watermark, memory_order_release);
    return ERR_OK;
}

enum err_code store_row_read(struct store *store, const struct checkpoint_row *row,
                             const struct store_numbering *numbering, struct err *err)
{
    switch (row->kind) {
    case ROW_STATE: return read_state(store, row, err);
    case ROW_CATEGORY:
    case ROW_BRAND:
    case ROW_ITEM_ID:
    case ROW_USER_ID:
    case ROW_ANON_ID:
    case ROW_QUERY_ID:
    case ROW_SLOT_ID:
    case ROW_EVENT_IDS:
    case ROW_FEATURE_LAYOUT: return ERR_OK;
    case ROW_ITEM: return read_item(store, row, numbering, err);
    case ROW_USER: return read_person(store, &store->users, ROW_USER_ID, row, numbering, err);
    case ROW_ANON: return read_person(store, &store->anons, ROW_ANON_ID, row, numbering, err);
    case ROW_USER_PROFILE:
    case ROW_ANON_PROFILE: return store_profile_row_read(store, row, numbering, err);
    default:
        return row->kind >= ROW_FEATURES && row->kind < ROW_END
                   ? store_feature_row_read(store, row, numbering, err)
                   : store_row_corrupt(row, "a kind that this version does not know", err);
    }
}
