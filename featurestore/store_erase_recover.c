/* SPDX-License-Identifier: Apache-2.0 */
/* What a start finds: requests that the ledger does not know, and people in it whom an older log
 * has brought back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_erase.h"

/* ---- requests that the log has and the ledger has not ---------------------------------------- */

enum err_code store_erase_saw(struct store *store, uint64_t sequence, struct err *err)
{
    struct store_erase *erase = store->erase;
    if (erase->ledger == NULL)
        return ERR_OK;
    if (erase->seen_count == erase->seen_capacity) {
        uint32_t capacity = erase->seen_capacity == 0 ? 64 : erase->seen_capacity * 2;
        uint64_t *grown = realloc(erase->seen, capacity * sizeof *grown);
        if (grown == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for the people to be forgotten");
        erase->seen = grown;
        erase->seen_capacity = capacity;
    }
    erase->seen[erase->seen_count++] = sequence;
    return ERR_OK;
}

/* The record of that sequence; false when it is gone. */
static bool read_record(struct store *store, uint64_t sequence, struct event_log_reader *reader,
                        struct event_record *record)
{
    if (event_log_read_begin(store->log, sequence, reader, NULL) != ERR_OK)
        return false;
    if (event_log_read_next(reader, record, NULL) == ERR_OK && record->sequence == sequence)
        return true;
    event_log_read_end(reader);
    return false;
}

static bool is_noted(const struct store_erase *erase, const struct event_record *record)
{
    for (uint64_t i = erase_ledger_count(erase->ledger); i > 0; i--) {
        const struct erase_entry *entry = erase_ledger_at(erase->ledger, i - 1);
        if (entry->sequence == record->sequence && entry->arrival_ms == record->arrival_ms)
            return true;
    }
    return false;
}

static enum err_code note_seen(struct store *store, uint64_t sequence, struct err *err)
{
    struct store_erase *erase = store->erase;
    struct event_log_reader reader;
    struct event_record record;
    struct event event;
    enum err_code rc = ERR_OK;
    if (!read_record(store, sequence, &reader, &record))
        return ERR_OK;
    if (!is_noted(erase, &record)) {
        arena_reset(&store->arena);
        rc = store_decode_record(&record, &store->arena, &event, err);
        if (rc == ERR_OK)
            rc = store_erase_note_record(store, &event, &record, err);
    }
    event_log_read_end(&reader);
    return rc;
}

/* ---- people whom the log has and should not have --------------------------------------------- */

/* The log holds the record that an entry names, or did and was pruned since. */
static bool is_in_log(struct store *store, const struct erase_entry *entry)
{
    struct event_log_reader reader;
    struct event_record record;
    bool is_there = false;
    if (event_log_read_begin(store->log, entry->sequence, &reader, NULL) != ERR_OK)
        return false;
    if (event_log_read_next(&reader, &record, NULL) == ERR_OK) {
        is_there = record.sequence == entry->sequence ? record.arrival_ms == entry->arrival_ms
                                                      : record.arrival_ms >= entry->arrival_ms;
    }
    event_log_read_end(&reader);
    return is_there;
}

/* Of a set whose sequences are places in the ledger, from 1 on. */
static uint64_t place_in(const struct erase_set *set, const struct erase_key *key)
{
    const struct erase_set_slot *slot = erase_set_find_key(set, key);
    return slot == NULL ? 0 : slot->sequence;
}

/* The people whose newest entry is not in the log, each with its place in the ledger. */
static enum err_code find_returned(struct store *store, struct erase_set *returned, struct err *err)
{
    const struct erase_ledger *ledger = store->erase->ledger;
    struct erase_set newest;
    enum err_code rc = ERR_OK;
    erase_set_init(&newest, erase_ledger_salt(ledger));
    for (uint64_t i = 0; i < erase_ledger_count(ledger) && rc == ERR_OK; i++) {
        if (erase_ledger_at(ledger, i)->kind != ERASE_DONE)
            rc = erase_set_add(&newest, &erase_ledger_at(ledger, i)->key, i + 1, err);
    }
    for (uint64_t i = 0; i < erase_ledger_count(ledger) && rc == ERR_OK; i++) {
        const struct erase_entry *entry = erase_ledger_at(ledger, i);
        if (entry->kind != ERASE_DONE && place_in(&newest, &entry->key) == i + 1 &&
            !is_in_log(store, entry))
            rc = erase_set_add(returned, &entry->key, i + 1, err);
    }
    erase_set_deinit(&newest);
    return rc;
}

static enum err_code forget_known(struct store *store, enum erase_kind kind,
                                  const struct erase_set *returned, struct err *err)
{
    const struct people *people = kind == ERASE_USER ? &store->users : &store->anons;
    const struct text none = {NULL, 0};
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < idmap_count(people->ids) && rc == ERR_OK; i++) {
        char buf[ID_BYTES_MAX];
        struct text id = idmap_text(people->ids, i);
        if (erase_set_find(returned, kind, id) == NULL)
            continue;
        memcpy(buf, id.ptr, id.len); /* it is about to be overwritten */
        id.ptr = buf;
        rc = store_forget_here(store, kind == ERASE_USER ? id : none,
                               kind == ERASE_USER ? none : id, err);
    }
    return rc;
}

/* A forget of nobody, as one that is done: a log that holds it is the one from which people were
 * taken. */
static enum err_code put_mark(struct store *store, struct event_record *ret_mark, struct err *err)
{
    uint8_t bytes[64];
    struct pack pack = pack_into(bytes, sizeof bytes);
    const struct event_forget nobody = {.ts_ms = clock_wall_ms(store->clock)};
    event_write_forget(&pack, &nobody);
    struct event_record mark = {.arrival_ms = nobody.ts_ms,
                                .type = EVENT_forget,
                                .erased = true,
                                .event = {(const char *)bytes, (uint32_t)pack.used}};
    enum err_code rc = event_log_reserve(store->log, mark.event.len, err);
    if (rc != ERR_OK)
        return rc;
    event_log_add(store->log, &mark);
    dedup_add_erased(store->dedup, (uint32_t)(mark.arrival_ms / 1000));
    mark.sequence = event_log_next(store->log) - 1;
    *ret_mark = mark;
    return ERR_OK;
}

/* Whoever is not known may have records all the same, in all of the log as it is.  `first`: from
 * that place on the ledger has those who were known. */
static enum err_code note_others(struct store *store, const struct erase_set *returned,
                                 uint64_t first, struct err *err)
{
    struct erase_ledger *ledger = store->erase->ledger;
    uint64_t request = erase_ledger_last_request(ledger) + 1;
    struct event_record mark = {0};
    struct erase_set known;
    enum err_code rc = ERR_OK;
    erase_set_init(&known, erase_ledger_salt(ledger));
    for (uint64_t i = first; i < erase_ledger_count(ledger) && rc == ERR_OK; i++)
        rc = erase_set_add(&known, &erase_ledger_at(ledger, i)->key, 1, err);
    for (uint64_t i = 0; i < first && rc == ERR_OK; i++) {
        struct erase_entry entry = *erase_ledger_at(ledger, i);
        if (entry.kind == ERASE_DONE || place_in(returned, &entry.key) != i + 1 ||
            erase_set_find_key(&known, &entry.key) != NULL)
            continue;
        if (mark.sequence == 0)
            rc = put_mark(store, &mark, err);
        if (rc == ERR_OK)
            rc = erase_ledger_reserve(ledger, 1, err);
        entry.request = request;
        entry.sequence = mark.sequence;
        entry.arrival_ms = mark.arrival_ms;
        entry.time_ms = clock_wall_ms(store->clock);
        if (rc == ERR_OK)
            erase_ledger_add(ledger, &entry);
    }
    erase_set_deinit(&known);
    return rc;
}

/* Those who are known first, so that an append that is cut off leaves nobody noted whom the state
 * still has. */
static enum err_code erase_all(struct store *store, const struct erase_set *returned,
                               struct err *err)
{
    uint64_t first = erase_ledger_count(store->erase->ledger);
    log_at(LOG_WARN, "the event log is older than erasures: these people are erased again",
           LOG_INT("people", returned->count));
    enum err_code rc = forget_known(store, ERASE_USER, returned, err);
    if (rc == ERR_OK)
        rc = forget_known(store, ERASE_ANON, returned, err);
    return rc == ERR_OK ? note_others(store, returned, first, err) : rc;
}

static enum err_code erase_returned(struct store *store, struct err *err)
{
    struct erase_set returned;
    erase_set_init(&returned, erase_ledger_salt(store->erase->ledger));
    enum err_code rc = find_returned(store, &returned, err);
    if (rc == ERR_OK && returned.count > 0)
        rc = erase_all(store, &returned, err);
    erase_set_deinit(&returned);
    return rc;
}

enum err_code store_erase_recovered(struct store *store, struct err *err)
{
    struct store_erase *erase = store->erase;
    if (erase->ledger == NULL)
        return ERR_OK;
    enum err_code rc = erase_ledger_load(erase->ledger, err);
    for (uint32_t i = 0; i < erase->seen_count && rc == ERR_OK; i++)
        rc = note_seen(store, erase->seen[i], err);
    if (rc == ERR_OK && store->log != NULL && event_log_next(store->log) > 1)
        rc = erase_returned(store, err);
    if (rc == ERR_OK)
        rc = store_erase_find_pending(store, err);
    if (rc == ERR_OK && store_has_uncommitted(store))
        store_commit(store);
    if (rc == ERR_OK && erase->pending.count > 0 && erase->wake != NULL)
        erase->wake(erase->ctx);
    erase->seen_count = 0;
    return rc;
}
