/* SPDX-License-Identifier: Apache-2.0 */
/* Applies batches to the state. */
#include <inttypes.h>
#include <stdlib.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

/* An event's content about one person and some items, ready to be applied. */
struct mention {
    struct people *people;
    uint32_t person;
    enum event_class event_class;
    int64_t time_ms;
    int64_t watermark_ms; /* after this event */
    bool counted;         /* in windows: the class is, and the time is within the longest one */
};

static bool within_windows(int64_t time_ms, int64_t watermark_ms)
{
    const int64_t day_ms = INT64_C(86400000);
    return watermark_ms / day_ms - time_ms / day_ms < WINDOWS_DAY_TILES;
}

/* Names the option in the error: the table does not know which one limits it. */
static enum err_code add_id(struct idmap *ids, struct text id, const char *option,
                            uint32_t *ret_number, struct err *err)
{
    enum err_code rc = idmap_add(ids, id, ret_number, NULL, err);
    if (rc != ERR_LIMIT)
        return rc;
    return err_set(err, ERR_LIMIT, "%s is reached: there is no room for '%.*s'", option,
                   (int)id.len, id.ptr);
}

enum err_code store_add_item_id(struct store *store, struct text id, uint32_t *ret_number,
                                struct err *err)
{
    return add_id(store->item_ids, id, "items_max", ret_number, err);
}

enum err_code store_add_person_id(struct people *people, struct text id, uint32_t *ret_number,
                                  struct err *err)
{
    return add_id(people->ids, id, "people_max", ret_number, err);
}

static enum err_code resolve(struct store *store, const struct event *event,
                             struct mention *mention, struct err *err)
{
    bool by_user = event->user.ptr != NULL;
    mention->people = by_user ? &store->users : &store->anons;
    enum err_code rc =
        event->erased ? ERR_OK
                      : store_add_person_id(mention->people, by_user ? event->user : event->anon,
                                            &mention->person, err);
    for (uint32_t i = 0; i < event->item_count && rc == ERR_OK; i++) {
        rc = store_add_item_id(store, event->items[i].id, &store->item[i], err);
        if (rc == ERR_OK && mention->counted &&
            !store_make_windows(store, store->item[i], mention->event_class))
            rc = err_set(err, ERR_NOMEM, "out of memory for the counts of an item");
    }
    return rc;
}

static void edit_by_event(const struct store *store, const struct event *event,
                          const struct mention *mention, struct person_edit *edit)
{
    uint32_t time_s = (uint32_t)(mention->time_ms / 1000);
    person_edit_event(edit, mention->event_class);
    for (uint32_t i = 0; i < event->item_count; i++)
        person_edit_item(edit, store->item[i], mention->event_class, time_s);
}

/* The person's history after the event; NULL: out of memory. */
static struct person *history_after(struct store *store, const struct event *event,
                                    const struct mention *mention)
{
    person_edit_begin(&store->edit, store_person(mention->people, mention->person));
    edit_by_event(store, event, mention, &store->edit);
    return person_edit_finish(&store->edit, store->slabs);
}

void store_person_publish(struct store *store, _Atomic(const struct person *) *slot,
                          const struct person *person)
{
    const struct person *old = atomic_load_explicit(slot, memory_order_relaxed);
    int64_t bytes = (int64_t)slabs_block_bytes(person_bytes(person)) -
                    (int64_t)slabs_block_bytes(person_bytes(old));
    int64_t entries = (int64_t)person->count - (old == NULL ? 0 : old->count);
    atomic_store_explicit(slot, person, memory_order_release);
    retire_block(&store->retire, old, person_bytes(old));
    store_counter_add(store, COUNTER_BYTES_PEOPLE, bytes);
    store_counter_add(store, COUNTER_HISTORY_ENTRIES, entries);
}

static void count_items(struct store *store, const struct event *event,
                        const struct mention *mention)
{
    uint32_t now = windows_tile(mention->watermark_ms);
    for (uint32_t i = 0; i < event->item_count; i++) {
        store_keep(store, ROW_ITEM, store->item[i]);
        struct windows *windows =
            store_windows(store_item_slot(store, store->item[i]), mention->event_class);
        windows_advance(windows, now);
        windows_count(windows, windows_tile(mention->time_ms));
    }
}

static enum store_row row_of(const struct store *store, const struct mention *mention)
{
    return mention->people == &store->users ? ROW_USER : ROW_ANON;
}

/* During recovery, when histories have no readers: edits in place if the block has room and no
 * joined view depends on it.  False: nothing was done. */
static bool edit_in_place(struct store *store, const struct event *event,
                          const struct mention *mention)
{
    uint32_t items_max = store->limits.history_items_max;
    if (store_histories_are_read(store))
        return false;
    struct person *person = (struct person *)store_person(mention->people, mention->person);
    if (!person_has_room(person, event->item_count, items_max) ||
        store_view_user(store, mention->people, mention->person) != IDMAP_NONE)
        return false;
    store_keep(store, row_of(store, mention), mention->person);
    struct person_edit edit = person_edit_open(person, items_max);
    edit_by_event(store, event, mention, &edit);
    store_counter_add(store, COUNTER_HISTORY_ENTRIES, (int64_t)edit.count - person->count);
    person_edit_close(&edit, person);
    return true;
}

static enum err_code apply_to_history(struct store *store, const struct event *event,
                                      const struct mention *mention, struct err *err)
{
    if (edit_in_place(store, event, mention))
        return ERR_OK;
    _Atomic(const struct person *) *slot =
        store_person_slot_make(store, mention->people, mention->person);
    struct person *person = slot == NULL ? NULL : history_after(store, event, mention);
    if (person == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a history");
    const struct store_pending pending = {
        .people = mention->people, .number = mention->person, .person = person};
    enum err_code rc = store_views_follow(store, &pending, err);
    if (rc != ERR_OK) {
        slabs_free(store->slabs, person, person_bytes(person));
        return rc;
    }
    store_keep(store, row_of(store, mention), mention->person);
    store_person_publish(store, slot, person);
    store_views_publish(store);
    return ERR_OK;
}

static enum err_code apply_shopper(struct store *store, const struct event *event,
                                   int64_t arrival_ms, struct err *err)
{
    int64_t time_ms = event->ts_ms < arrival_ms ? event->ts_ms : arrival_ms;
    int64_t watermark_ms = atomic_load_explicit(&store->watermark_ms, memory_order_relaxed);
    if (time_ms > watermark_ms)
        watermark_ms = time_ms;
    struct mention mention = {.event_class = event_type_class(event->type),
                              .time_ms = time_ms,
                              .watermark_ms = watermark_ms};
    mention.counted =
        mention.event_class < EVENT_COUNTED_CLASSES && within_windows(time_ms, watermark_ms);
    if (mention.event_class != EVENT_CLASS_NONE) {
        enum err_code rc = resolve(store, event, &mention, err);
        if (rc != ERR_OK)
            return rc;
        if (!event->erased)
            rc = apply_to_history(store, event, &mention, err);
        if (rc != ERR_OK)
            return rc;
        if (mention.counted)
            count_items(store, event, &mention);
    }
    atomic_store_explicit(&store->watermark_ms, watermark_ms, memory_order_release);
    store->refresh.is_due = true;
    return ERR_OK;
}

static enum err_code apply_person(struct store *store, const struct event *event,
                                  int64_t arrival_ms, struct err *err)
{
    enum err_code rc = store_consent_prepare(store, event, arrival_ms, err);
    if (rc == ERR_OK && event->type != EVENT_consent) {
        rc = apply_shopper(store, event, arrival_ms, err);
        if (rc != ERR_OK)
            store_consent_discard(store);
    }
    if (rc == ERR_OK)
        store_consent_publish(store);
    return rc;
}

static enum err_code apply_to_state(struct store *store, const struct event *event,
                                    int64_t arrival_ms, struct err *err)
{
    if (event->erased && (event->type == EVENT_user_upsert || event->type == EVENT_identify))
        return ERR_OK;
    switch (event->type) {
    case EVENT_item_upsert: return store_catalogue_upsert(store, event, arrival_ms, err);
    case EVENT_item_delete: return store_catalogue_delete(store, event, err);
    case EVENT_user_upsert: return store_user_upsert(store, event, err);
    case EVENT_identify: return store_identify(store, event, arrival_ms, err);
    default: return apply_person(store, event, arrival_ms, err);
    }
}

static uint32_t feature_time_s(const struct event *event, int64_t arrival_ms)
{
    return (uint32_t)((event->ts_ms < arrival_ms ? event->ts_ms : arrival_ms) / 1000);
}

static enum err_code apply_event(struct store *store, const struct event *event, int64_t arrival_ms,
                                 struct err *err)
{
    uint32_t time_s = feature_time_s(event, arrival_ms);
    struct event counted = *event;
    if (event->type == EVENT_forget)
        return store_forget_apply(store, err);
    if (event->erased)
        event_make_nameless(&counted); /* consent may be left in it, and is nobody's event */
    enum err_code rc = feature_tables_prepare(store, &counted, time_s, FEATURES_LIVE, err);
    if (rc != ERR_OK)
        return rc;
    rc = apply_to_state(store, event, arrival_ms, err);
    if (rc == ERR_OK)
        feature_tables_commit(store);
    else
        feature_tables_cancel(store);
    return rc;
}

static void reject(struct store *store, uint32_t index, enum err_code code, const struct err *err)
{
    struct store_batch_result *result = &store->result;
    result->rejected++;
    store_counter_add(store, COUNTER_REJECTED, 1);
    if (result->described == STORE_REJECTED_MAX)
        return;
    struct store_rejection *rejection = &result->rejection[result->described++];
    rejection->index = index;
    rejection->code = code;
    text_copy(text_of(err->text), rejection->message, sizeof rejection->message);
}

/* Queues the event for the next commit to the log. */
static void gather(struct store *store, const struct event *event, const struct event_rules *rules,
                   struct text bytes)
{
    struct event_record record = {.arrival_ms = rules->arrival_ms,
                                  .skew_ms = (int32_t)rules->skew_ms,
                                  .type = event->type,
                                  .event = bytes};
    if (store->log != NULL)
        event_log_add(store->log, &record);
}

static bool is_remembered(const struct store *store, struct text id, int64_t arrival_ms)
{
    return dedup_has(store->dedup, id, (uint32_t)(arrival_ms / 1000));
}

static void remember(struct store *store, struct text id, int64_t arrival_ms)
{
    store_keep(store, ROW_EVENT_IDS, store_event_id_row_of(dedup_span(store->dedup).next));
    dedup_add(store->dedup, id, (uint32_t)(arrival_ms / 1000));
    atomic_store_explicit(&store->dedup_oldest_ms, INT64_C(1000) * dedup_oldest_s(store->dedup),
                          memory_order_relaxed);
}

/* The next event of a batch. */
static enum err_code apply_next(struct store *store, struct cursor *cursor,
                                const struct event_rules *rules, struct err *err)
{
    struct event event;
    struct text bytes = {(const char *)cursor->at, 0};
    arena_reset(&store->arena);
    enum err_code rc = event_decode_by(cursor, rules, &store->arena, &event, err);
    if (rc == ERR_OK && is_remembered(store, event.id, rules->arrival_ms)) {
        store->result.duplicate++;
        store_counter_add(store, COUNTER_DUPLICATE, 1);
        return ERR_OK;
    }
    bytes.len = (uint32_t)((const char *)cursor->at - bytes.ptr);
    struct event_rules kept = *rules;
    if (rc == ERR_OK && (event.consent_denied & CONSENT_BIT(process)) != 0 &&
        event.type != EVENT_consent) {
        store_consent_strip(store, &event, &bytes);
        kept.skew_ms = 0;
    }
    if (rc == ERR_OK && event.type == EVENT_forget) {
        store_forget_resolve(store, &event, &bytes);
        kept.skew_ms = 0;
        rc = store_erase_reserve(store, err);
    }
    if (rc == ERR_OK)
        rc = store_consent_check(store, &event, err);
    if (rc == ERR_OK && store->log != NULL)
        rc = event_log_reserve(store->log, bytes.len, err);
    if (rc == ERR_OK)
        rc = apply_event(store, &event, rules->arrival_ms, err);
    if (rc != ERR_OK)
        return rc;
    gather(store, &event, &kept, bytes);
    if (event.type == EVENT_forget)
        store_erase_note(store, rules->arrival_ms);
    remember(store, event.id, rules->arrival_ms);
    store->result.accepted++;
    store_counter_add(store, COUNTER_ACCEPTED, 1);
    store_counter_add(store, COUNTER_FIELDS_DROPPED, event.dropped);
    return ERR_OK;
}

void store_apply_batch(struct store *store, const uint8_t *bytes, size_t len,
                       const struct event_rules *rules)
{
    struct cursor cursor = cursor_of(bytes, len);
    uint32_t count = 0;
    bool is_array = cursor_array(&cursor, &count);
    ASSERT(is_array); /* store_submit has looked */
    store->result.accepted = store->result.duplicate = 0;
    store->result.rejected = store->result.described = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct err err;
        enum err_code rc = apply_next(store, &cursor, rules, &err);
        if (rc != ERR_OK)
            reject(store, i, rc, &err);
    }
}

enum err_code store_decode_record(const struct event_record *record, struct arena *arena,
                                  struct event *ret_event, struct err *err)
{
    const uint8_t *bytes = (const uint8_t *)record->event.ptr;
    const struct event_rules rules = {.strictness = EVENT_STORED,
                                      .arrival_ms = record->arrival_ms,
                                      .skew_ms = record->skew_ms,
                                      .erased = record->erased};
    struct cursor cursor = cursor_of(bytes, record->event.len);
    struct err why = {.text = ""};
    enum err_code rc = cursor_check(bytes, record->event.len, CURSOR_VALUES_MAX, &why);
    if (rc == ERR_OK)
        rc = event_decode_by(&cursor, &rules, arena, ret_event, &why);
    if (rc != ERR_OK)
        return err_set(err, ERR_CORRUPT, "event log, record %" PRIu64 " is no event: %.300s",
                       record->sequence, why.text);
    return ERR_OK;
}

void store_remember_record(struct store *store, const struct event_record *record,
                           const struct event *event)
{
    if (record->erased)
        dedup_add_erased(store->dedup, (uint32_t)(record->arrival_ms / 1000));
    else if (!is_remembered(store, event->id, record->arrival_ms))
        remember(store, event->id, record->arrival_ms);
}

enum err_code store_fill_record(struct store *store, const struct event_record *record,
                                const struct event *event, struct err *err)
{
    struct event counted = *event;
    if (event->type == EVENT_forget)
        return ERR_OK;
    if (event->erased || store_erase_covers(store, event, record->sequence))
        event_make_nameless(&counted); /* whoever has gone does not come back by what is filled */
    enum err_code rc = feature_tables_prepare(
        store, &counted, feature_time_s(event, record->arrival_ms), FEATURES_FILLING, err);
    if (rc == ERR_OK)
        feature_tables_commit(store);
    return rc;
}

enum err_code store_apply_record(struct store *store, const struct event_record *record,
                                 const struct event *event, struct err *err)
{
    if (event->type == EVENT_forget)
        store_forget_read(store, event);
    enum err_code rc = apply_event(store, event, record->arrival_ms, err);
    if (rc == ERR_OK)
        store_remember_record(store, record, event);
    return rc;
}
