/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/erase_strip.h"

#include <inttypes.h>
#include <stdlib.h>

#include "featurestore/decision_record.h"
#include "featurestore/dedup.h"
#include "featurestore/event_write.h"

enum { ARENA_BYTES = EVENT_ITEMS_MAX * sizeof(struct event_item) + 4096, DEDUP_MIN = 256 };

enum err_code erase_strip_create(const struct erase_set *set, struct erase_strip **ret_strip,
                                 struct err *err)
{
    struct erase_strip *strip = calloc(1, sizeof *strip);
    if (strip == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to erase people");
    strip->set = set;
    enum err_code rc = arena_init(&strip->arena, ARENA_BYTES, err);
    if (rc != ERR_OK) {
        free(strip);
        return rc;
    }
    *ret_strip = strip;
    return ERR_OK;
}

void erase_strip_destroy(struct erase_strip **strip)
{
    if (*strip == NULL)
        return;
    arena_deinit(&(*strip)->arena);
    free((*strip)->dedup);
    free(*strip);
    *strip = NULL;
}

/* The log is read from its beginning, perhaps once more. */
static void note_record(struct erase_strip *strip, const struct event_record *record)
{
    if (record->sequence <= strip->sequence) {
        strip->dedup_count = 0;
        erase_set_clear_counts(strip->set, strip->of_decisions);
    }
    strip->sequence = record->sequence;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* NULL: the record may name them. */
static struct erase_set_slot *who_goes(const struct erase_strip *strip, enum erase_kind kind,
                                       struct text id)
{
    struct erase_set_slot *slot = erase_set_find(strip->set, kind, id);
    return slot != NULL && strip->sequence <= slot->sequence ? slot : NULL;
}

static enum err_code decode(struct erase_strip *strip, const struct event_record *record,
                            struct event *ret_event, struct err *err)
{
    const struct event_rules rules = {.strictness = EVENT_STORED,
                                      .arrival_ms = record->arrival_ms,
                                      .skew_ms = record->skew_ms,
                                      .erased = record->erased};
    const uint8_t *bytes = (const uint8_t *)record->event.ptr;
    struct cursor cursor = cursor_of(bytes, record->event.len);
    struct err why = {.text = ""};
    arena_reset(&strip->arena);
    enum err_code rc = cursor_check(bytes, record->event.len, CURSOR_VALUES_MAX, &why);
    if (rc == ERR_OK)
        rc = event_decode_by(&cursor, &rules, &strip->arena, ret_event, &why);
    if (rc == ERR_OK)
        return ERR_OK;
    return err_set(err, ERR_CORRUPT, "event log, record %" PRIu64 " is no event: %.300s",
                   record->sequence, why.text);
}

static enum err_code finish(const struct pack *pack, struct event_record *record, struct err *err)
{
    if (pack->overflow)
        return err_set(err, ERR_LIMIT, "event log, record %" PRIu64 " has become longer than %d",
                       record->sequence, EVENT_RECORD_BYTES_MAX);
    record->event = (struct text){(const char *)pack->bytes, (uint32_t)pack->used};
    return ERR_OK;
}

/* The id of the event goes with it. */
static enum err_code forget_id(struct erase_strip *strip, struct text id, struct err *err)
{
    if (id.ptr == NULL)
        return ERR_OK;
    if (strip->dedup_count == strip->dedup_capacity) {
        uint64_t capacity = strip->dedup_capacity == 0 ? DEDUP_MIN : strip->dedup_capacity * 2;
        uint64_t *grown = realloc(strip->dedup, capacity * sizeof *grown);
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for the ids of erased events");
        strip->dedup = grown;
        strip->dedup_capacity = capacity;
    }
    strip->dedup[strip->dedup_count++] = dedup_key(id);
    return ERR_OK;
}

static enum err_code make_nameless(struct erase_strip *strip, const struct event *event,
                                   bool keeps_anon, struct event_record *record, struct err *err)
{
    struct pack pack = pack_into(strip->bytes, sizeof strip->bytes);
    enum err_code rc = forget_id(strip, event->id, err);
    if (rc != ERR_OK)
        return rc;
    event_write_erased(&pack, event, keeps_anon);
    record->erased = true;
    record->skew_ms = 0; /* it is in `ts` */
    return finish(&pack, record, err);
}

/* Everything but some keys, as it came. */
static enum err_code drop_keys(struct erase_strip *strip, const char *const *keys,
                               struct event_record *record, struct err *err)
{
    struct cursor cursor = cursor_of((const uint8_t *)record->event.ptr, record->event.len);
    struct pack pack = pack_into(strip->bytes, sizeof strip->bytes);
    uint32_t pairs = 0, kept = 0;
    size_t mark = pack_map_open(&pack);
    for (cursor_map(&cursor, &pairs); pairs > 0; pairs--) {
        struct text key = {0}, value;
        bool is_wanted = true;
        cursor_text(&cursor, &key);
        cursor_skip(&cursor, &value);
        for (uint32_t i = 0; keys[i] != NULL; i++)
            is_wanted = is_wanted && !text_is(key, keys[i]);
        if (!is_wanted)
            continue;
        pack_text(&pack, key);
        pack_raw(&pack, value.ptr, value.len);
        kept++;
    }
    pack_map_close(&pack, mark, kept);
    return finish(&pack, record, err);
}

static uint32_t staying(const struct erase_strip *strip, struct cursor at, uint32_t count,
                        struct text *ids)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        cursor_text(&at, &ids[kept]);
        kept += who_goes(strip, ERASE_ANON, ids[kept]) == NULL;
    }
    return kept;
}

/* What is left of it says which devices count as shared from then on. */
static enum err_code strip_forget(struct erase_strip *strip, const struct event *event,
                                  struct event_record *record, struct err *err)
{
    struct event_forget left = {.ts_ms = event->ts_ms};
    struct pack pack = pack_into(strip->bytes, sizeof strip->bytes);
    struct erase_set_slot *user = who_goes(strip, ERASE_USER, event->user);
    struct erase_set_slot *anon = who_goes(strip, ERASE_ANON, event->anon);
    bool is_done = user != NULL || anon != NULL;
    left.shared_count = staying(strip, event->shared, event->shared_count, left.shared);
    if (!is_done && (!event->erased || left.shared_count == event->shared_count))
        return ERR_OK;
    enum err_code rc = forget_id(strip, event->id, err);
    if (rc != ERR_OK)
        return rc;
    event_write_forget(&pack, &left);
    record->erased = true;
    record->skew_ms = 0;
    return finish(&pack, record, err);
}

enum err_code erase_strip_event(void *ctx, struct event_record *record, struct err *err)
{
    static const char *const names[] = {"user", "anon", "session", NULL};
    static const char *const anon_name[] = {"anon", NULL};
    struct erase_strip *strip = ctx;
    struct event event;
    note_record(strip, record);
    enum err_code rc = decode(strip, record, &event, err);
    if (rc != ERR_OK)
        return rc;
    if (event.type == EVENT_forget)
        return strip_forget(strip, &event, record, err);
    struct erase_set_slot *user = who_goes(strip, ERASE_USER, event.user);
    struct erase_set_slot *anon = who_goes(strip, ERASE_ANON, event.anon);
    if (user == NULL && anon == NULL)
        return ERR_OK;
    (user != NULL ? user : anon)->events++;
    if (event.type == EVENT_item_upsert || event.type == EVENT_item_delete)
        return drop_keys(strip, names, record, err); /* they have no place there anyhow */
    bool is_theirs = event.user.ptr == NULL || user != NULL;
    if (is_theirs || event.type == EVENT_identify)
        return make_nameless(strip, &event, anon == NULL, record, err);
    return drop_keys(strip, anon_name, record, err);
}

/* ---- decisions ------------------------------------------------------------------------------- */

/* NULL: nobody's who is erased. */
static struct erase_set_slot *whose(const struct erase_strip *strip,
                                    const struct decision_record *decision)
{
    struct erase_set_slot *user = erase_set_find(strip->set, ERASE_USER, decision->user);
    return user != NULL ? user : erase_set_find(strip->set, ERASE_ANON, decision->anon);
}

enum err_code erase_strip_decision(void *ctx, struct event_record *record, struct err *err)
{
    static const char nil[] = "\xc0";
    struct erase_strip *strip = ctx;
    struct decision_record decision;
    (void)err;
    strip->of_decisions = true;
    note_record(strip, record);
    if (record->erased || record->sequence > strip->decision_last)
        return ERR_OK;
    if (decision_record_read(record->event, &decision, NULL) == ERR_OK) {
        struct erase_set_slot *slot = whose(strip, &decision);
        if (slot == NULL)
            return ERR_OK;
        slot->decisions++;
    }
    record->event = text_of(nil);
    record->erased = true;
    return ERR_OK;
}
