/* SPDX-License-Identifier: Apache-2.0 */
/* Requests to forget people, and the ledger of them. */
#include "featurestore/store_erase.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "base/rand.h"
#include "featurestore/store_apply.h"

enum err_code store_erase_create(struct store *store, struct err *err)
{
    store->erase = calloc(1, sizeof *store->erase);
    return store->erase != NULL ? ERR_OK : err_set(err, ERR_NOMEM, "out of memory for the store");
}

void store_erase_destroy(struct store_erase **erase)
{
    if (*erase == NULL)
        return;
    erase_ledger_close(&(*erase)->ledger);
    erase_set_deinit(&(*erase)->pending);
    free((*erase)->person);
    free((*erase)->seen);
    free(*erase);
    *erase = NULL;
}

enum err_code store_open_erasures(struct store *store, const char *path, void (*wake)(void *ctx),
                                  void *ctx, struct err *err)
{
    struct store_erase *erase = store->erase;
    ASSERT(erase->ledger == NULL && !store->joinable);
    enum err_code rc = erase_ledger_open(path, &erase->ledger, err);
    if (rc != ERR_OK)
        return rc;
    erase->wake = wake;
    erase->ctx = ctx;
    return store_erase_find_pending(store, err);
}

void store_erasure_stats(const struct store *store, struct erasure_stats *ret_stats)
{
    const struct store_erase *erase = store->erase;
    *ret_stats = (struct erasure_stats){
        .last_request = atomic_load_explicit(&erase->last_request, memory_order_relaxed),
        .done_request = atomic_load_explicit(&erase->done_request, memory_order_relaxed),
        .pending = atomic_load_explicit(&erase->pending_count, memory_order_relaxed)};
}

static void note_stats(struct store_erase *erase)
{
    const struct erase_ledger *ledger = erase->ledger;
    atomic_store_explicit(&erase->last_request, erase_ledger_last_request(ledger),
                          memory_order_relaxed);
    atomic_store_explicit(&erase->done_request, erase_ledger_done_request(ledger),
                          memory_order_relaxed);
    atomic_store_explicit(&erase->pending_count, erase->pending.count, memory_order_relaxed);
}

enum err_code store_erase_find_pending(struct store *store, struct err *err)
{
    struct store_erase *erase = store->erase;
    struct erase_set set;
    enum err_code rc = ERR_OK;
    uint64_t done = erase_ledger_done_request(erase->ledger);
    erase_set_init(&set, erase_ledger_salt(erase->ledger));
    for (uint64_t i = 0; i < erase_ledger_count(erase->ledger) && rc == ERR_OK; i++) {
        const struct erase_entry *entry = erase_ledger_at(erase->ledger, i);
        if (entry->kind != ERASE_DONE && entry->request > done)
            rc = erase_set_add(&set, &entry->key, entry->sequence, err);
    }
    if (rc != ERR_OK) {
        erase_set_deinit(&set);
        return rc;
    }
    erase_set_deinit(&erase->pending);
    erase->pending = set;
    note_stats(erase);
    return ERR_OK;
}

/* ---- a forget event -------------------------------------------------------------------------- */

/* Whoever keeps something by this hash is told in the next round.  Without memory nobody is, and
 * what they keep goes when the process does. */
static void note_person(struct store_erase *erase, enum erase_kind kind, struct text id)
{
    if (erase->person_count == erase->person_capacity) {
        uint32_t capacity = erase->person_capacity == 0 ? 64 : erase->person_capacity * 2;
        uint64_t *grown = realloc(erase->person, capacity * sizeof *grown);
        if (grown == NULL)
            return;
        erase->person = grown;
        erase->person_capacity = capacity;
    }
    erase->person[erase->person_count++] = erase_person_hash(kind, id);
}

static void make_entry(struct store_erase *erase, enum erase_kind kind, struct text id)
{
    if (id.ptr == NULL)
        return;
    note_person(erase, kind, id);
    erase->entry[erase->entry_count++] = (struct erase_entry){
        .kind = (uint8_t)kind, .key = erase_key_of(erase->pending.salt, kind, id)};
}

static void make_entries(struct store_erase *erase)
{
    const struct event_forget *forget = &erase->forget;
    erase->entry_count = 0;
    make_entry(erase, ERASE_USER, forget->user);
    make_entry(erase, ERASE_ANON, forget->anon);
    for (uint32_t i = 0; i < forget->anon_count; i++)
        make_entry(erase, ERASE_ANON, forget->anons[i]);
}

enum err_code store_erase_reserve(struct store *store, struct err *err)
{
    struct store_erase *erase = store->erase;
    if (erase->ledger == NULL)
        return ERR_OK;
    make_entries(erase);
    enum err_code rc = erase_ledger_reserve(erase->ledger, erase->entry_count, err);
    return rc == ERR_OK ? erase_set_reserve(&erase->pending, erase->entry_count, err) : rc;
}

static void add_entries(struct store *store, uint64_t sequence, int64_t arrival_ms)
{
    struct store_erase *erase = store->erase;
    struct err unused;
    uint64_t request = erase_ledger_last_request(erase->ledger) + 1;
    for (uint32_t i = 0; i < erase->entry_count; i++) {
        struct erase_entry *entry = &erase->entry[i];
        entry->request = request;
        entry->sequence = sequence;
        entry->arrival_ms = arrival_ms;
        entry->time_ms = clock_wall_ms(store->clock);
        erase_ledger_add(erase->ledger, entry);
        (void)!erase_set_add(&erase->pending, &entry->key, sequence, &unused); /* there is room */
    }
    note_stats(erase);
}

void store_erase_note(struct store *store, int64_t arrival_ms)
{
    if (store->erase->ledger != NULL)
        add_entries(store, store->log == NULL ? 0 : event_log_next(store->log) - 1, arrival_ms);
}

enum err_code store_erase_note_record(struct store *store, const struct event *event,
                                      const struct event_record *record, struct err *err)
{
    store_forget_read(store, event);
    enum err_code rc = store_erase_reserve(store, err);
    if (rc == ERR_OK)
        add_entries(store, record->sequence, record->arrival_ms);
    return rc;
}

bool store_erase_has_unsynced(const struct store *store)
{
    return store->erase->ledger != NULL && erase_ledger_is_gathered(store->erase->ledger);
}

enum err_code store_erase_flush(struct store *store, struct err *err)
{
    if (!store_erase_has_unsynced(store))
        return ERR_OK;
    enum err_code rc = erase_ledger_flush(store->erase->ledger, err);
    if (rc == ERR_OK && store->erase->wake != NULL)
        store->erase->wake(store->erase->ctx);
    return rc;
}

bool store_erase_covers(const struct store *store, const struct event *event, uint64_t sequence)
{
    const struct erase_set *pending = &store->erase->pending;
    const struct erase_set_slot *user = erase_set_find(pending, ERASE_USER, event->user);
    const struct erase_set_slot *anon = erase_set_find(pending, ERASE_ANON, event->anon);
    return (user != NULL && sequence <= user->sequence) ||
           (anon != NULL && sequence <= anon->sequence);
}

/* ---- asked for by somebody who waits --------------------------------------------------------- */

/* An id for the event that no other has. */
static struct text make_id(const struct store *store, char buf[EVENT_ID_BYTES_MAX])
{
    struct rand rand;
    char ulid[ULID_BYTES];
    rand_init(&rand, rand_seed_system());
    ulid_make(&rand, clock_wall_ms(store->clock), ulid);
    int len = snprintf(buf, EVENT_ID_BYTES_MAX, "forget-%s", ulid);
    return (struct text){buf, (uint32_t)len};
}

/* As a batch of one event. */
enum err_code store_forget_here(struct store *store, struct text user, struct text anon,
                                struct err *err)
{
    uint8_t bytes[4 * ID_BYTES_MAX];
    char buf[EVENT_ID_BYTES_MAX];
    struct pack pack = pack_into(bytes, sizeof bytes);
    const struct event_rules rules = {.arrival_ms = clock_wall_ms(store->clock),
                                      .strictness = EVENT_LENIENT};
    pack_array(&pack, 1);
    pack_map(&pack, 2u + (user.ptr != NULL) + (anon.ptr != NULL));
    event_write_pair(&pack, "id", make_id(store, buf));
    event_write_pair(&pack, "type", TEXT_LITERAL("forget"));
    if (user.ptr != NULL)
        event_write_pair(&pack, "user", user);
    if (anon.ptr != NULL)
        event_write_pair(&pack, "anon", anon);
    ASSERT(!pack.overflow); /* three ids */
    store_apply_batch(store, pack.bytes, pack.used, &rules);
    retire_flush(&store->retire);
    store_erase_wipe(store);
    if (store->result.accepted == 1)
        return ERR_OK;
    return err_set(err, store->result.rejection[0].code, "%s", store->result.rejection[0].message);
}

/* ---- asked for by somebody who waits --------------------------------------------------------- */

struct forgetting {
    struct text user, anon;
    uint64_t request;
    enum err_code rc;
    struct err *err;
};

static void run_forget(struct store *store, void *ctx)
{
    struct forgetting *forgetting = ctx;
    if (store_takes_events(store))
        forgetting->rc =
            store_forget_here(store, forgetting->user, forgetting->anon, forgetting->err);
    if (forgetting->rc != ERR_OK)
        return;
    if (store->erase->ledger != NULL)
        forgetting->request = erase_ledger_last_request(store->erase->ledger);
    if (store_has_uncommitted(store))
        store_commit(store);
    if (!store_takes_events(store))
        forgetting->rc =
            err_set(forgetting->err, store->commit_err.code, "%s", store->commit_err.text);
}

enum err_code store_forget(struct store *store, struct text user, struct text anon,
                           uint64_t *ret_request, struct err *err)
{
    struct forgetting forgetting = {.user = user, .anon = anon, .err = err};
    if ((user.ptr == NULL && anon.ptr == NULL) || (user.ptr != NULL && !text_is_id(user)) ||
        (anon.ptr != NULL && !text_is_id(anon)))
        return err_set(err, ERR_BAD_INPUT, "an id is 1..%d bytes of UTF-8 without controls",
                       ID_BYTES_MAX);
    store_ask(store, run_forget, &forgetting);
    if (forgetting.rc == ERR_OK)
        *ret_request = forgetting.request;
    return forgetting.rc;
}
