/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

#define ITEMS_LIMIT   16000000u
#define PEOPLE_LIMIT  200000000u
#define HISTORY_LIMIT 1000u
#define QUEUE_LIMIT   1000000u
#define ROWS_LIMIT    200000000u

static enum err_code check_limit(const char *name, uint32_t value, uint32_t min, uint32_t max,
                                 struct err *err)
{
    if (value < min || value > max)
        return err_set(err, ERR_LIMIT, "%s: expected %u..%u, got %u", name, min, max, value);
    return ERR_OK;
}

static enum err_code check_limits(const struct store_limits *limits, struct err *err)
{
    enum err_code rc = check_limit("items_max", limits->items_max, 1, ITEMS_LIMIT, err);
    if (rc == ERR_OK)
        rc = check_limit("people_max", limits->people_max, 1, PEOPLE_LIMIT, err);
    if (rc == ERR_OK)
        rc = check_limit("history_items_max", limits->history_items_max, 1, HISTORY_LIMIT, err);
    if (rc == ERR_OK)
        rc = check_limit("queue_events_max", limits->queue_events_max, 1, QUEUE_LIMIT, err);
    if (rc == ERR_OK)
        rc = check_limit("dedup_events_max", limits->dedup_events_max, 0, DEDUP_EVENTS_MAX, err);
    if (rc == ERR_OK)
        rc = check_limit("prices_max", limits->prices_max, 0, STORE_PRICES_MAX, err);
    if (rc == ERR_OK)
        rc = check_limit("feature_rows_max", limits->feature_rows_max, 0, ROWS_LIMIT, err);
    if (rc == ERR_OK)
        rc = check_limit("link_anons_max", limits->link_anons_max, 0, PROFILE_ANONS_MAX, err);
    if (rc == ERR_OK)
        rc = check_limit("link_users_max", limits->link_users_max, 0, PROFILE_LINKS_MAX, err);
    return rc;
}

static enum err_code people_init(struct store *store, struct people *people, struct err *err)
{
    uint32_t people_max = store->limits.people_max;
    people->page_count_max = (people_max - 1) / PERSON_PAGE_SLOTS + 1;
    people->page = calloc(people->page_count_max, sizeof *people->page);
    if (people->page == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a table of %u people", people_max);
    store_counter_add(store, COUNTER_BYTES_PEOPLE,
                      (int64_t)heap_bytes(people->page_count_max * sizeof *people->page));
    enum err_code rc = store_profiles_init(store, people, err);
    return rc == ERR_OK ? idmap_create(people_max, &people->ids, err) : rc;
}

static void people_deinit(struct people *people, struct slabs *slabs)
{
    for (uint32_t i = 0; people->page != NULL && i < people->page_count_max; i++) {
        struct person_page *page = atomic_load_explicit(&people->page[i], memory_order_relaxed);
        for (uint32_t s = 0; page != NULL && s < PERSON_PAGE_SLOTS; s++) {
            const struct person *person =
                atomic_load_explicit(&page->slot[s], memory_order_relaxed);
            slabs_free(slabs, person, person_bytes(person));
        }
        free(page);
    }
    free(people->page);
    store_profiles_deinit(people, slabs);
    idmap_destroy(&people->ids);
}

static enum err_code items_init(struct store *store, struct err *err)
{
    uint32_t items_max = store->limits.items_max;
    store->item_page_count_max = (items_max - 1) / ITEM_PAGE_SLOTS + 1;
    store->item_page = calloc(store->item_page_count_max, sizeof *store->item_page);
    if (store->item_page == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a table of %u items", items_max);
    store_counter_add(store, COUNTER_BYTES_ITEMS,
                      (int64_t)heap_bytes(store->item_page_count_max * sizeof *store->item_page));
    enum err_code rc = idmap_create(items_max, &store->item_ids, err);
    if (rc == ERR_OK)
        rc = idmap_create(items_max, &store->category_ids, err);
    if (rc == ERR_OK)
        rc = idmap_create(items_max, &store->brand_ids, err);
    return rc;
}

static void item_slot_free(const struct item_slot *slot)
{
    free((void *)atomic_load_explicit(&slot->record, memory_order_relaxed));
    for (uint32_t c = 0; c < EVENT_COUNTED_CLASSES; c++)
        free(store_windows(slot, c));
}

static void items_deinit(struct store *store)
{
    for (uint32_t i = 0; store->item_page != NULL && i < store->item_page_count_max; i++) {
        struct item_page *page = atomic_load_explicit(&store->item_page[i], memory_order_relaxed);
        for (uint32_t s = 0; page != NULL && s < ITEM_PAGE_SLOTS; s++)
            item_slot_free(&page->slot[s]);
        free(page);
    }
    free(store->item_page);
    free(store->active);
    idmap_destroy(&store->item_ids);
    idmap_destroy(&store->category_ids);
    idmap_destroy(&store->brand_ids);
}

static enum err_code queue_init(struct store *store, struct err *err)
{
    pthread_condattr_t attr;
    if (pthread_condattr_init(&attr) != 0)
        return err_set(err, ERR_IO, "cannot make the attributes of a condition");
    bool made = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
                pthread_mutex_init(&store->mutex, NULL) == 0 &&
                pthread_cond_init(&store->wake, &attr) == 0 &&
                pthread_cond_init(&store->done, NULL) == 0 &&
                pthread_cond_init(&store->committer.wake, NULL) == 0;
    pthread_condattr_destroy(&attr);
    return made ? ERR_OK : err_set(err, ERR_IO, "cannot make the lock of the queue");
}

enum err_code store_create(const struct store_limits *limits, const struct clock *clock,
                           struct store **ret_store, struct err *err)
{
    enum err_code rc = check_limits(limits, err);
    if (rc != ERR_OK)
        return rc;
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the store");
    store->limits = *limits;
    store->clock = clock;
    atomic_init(&store->recovery, STORE_RECOVERED); /* nothing is to be recovered */
    rc = queue_init(store, err);
    if (rc == ERR_OK)
        rc = slabs_create(&store->slabs, err);
    if (rc == ERR_OK)
        rc = retire_init(&store->retire, store->slabs, err);
    if (rc == ERR_OK)
        rc = items_init(store, err);
    if (rc == ERR_OK)
        rc = people_init(store, &store->users, err);
    if (rc == ERR_OK)
        rc = people_init(store, &store->anons, err);
    if (rc == ERR_OK)
        rc = dedup_create(limits->dedup_events_max, limits->dedup_window_s, &store->dedup, err);
    if (rc == ERR_OK)
        rc = feature_tables_create(limits->feature_rows_max, &store->features, err);
    if (rc == ERR_OK)
        rc = person_edit_init(&store->edit, limits->history_items_max, err);
    if (rc == ERR_OK)
        rc = person_edit_init(&store->view_edit, limits->history_items_max, err);
    if (rc == ERR_OK)
        rc = arena_init(&store->arena, EVENT_ITEMS_MAX * sizeof(struct event_item) + 64, err);
    if (rc == ERR_OK)
        rc = store_erase_create(store, err);
    if (rc != ERR_OK) {
        store_destroy(&store);
        return rc;
    }
    *ret_store = store;
    return ERR_OK;
}

/* Batches that nobody will apply. */
static void free_jobs(struct store_jobs *jobs)
{
    for (struct store_job *job = store_jobs_pop(jobs); job != NULL; job = store_jobs_pop(jobs))
        store_job_free(job);
}

void store_destroy(struct store **store)
{
    struct store *old = *store;
    if (old == NULL)
        return;
    ASSERT(!old->joinable);
    free_jobs(&old->queue);
    free_jobs(&old->uncommitted);
    store_checkpoints_destroy(&old->checkpoints);
    event_log_close(&old->log);
    store_erase_destroy(&old->erase);
    retire_flush(&old->retire);
    free(atomic_load_explicit(&old->top, memory_order_relaxed));
    free(old->refresh.item);
    free(old->refresh.order);
    free(old->refresh.category_end);
    items_deinit(old);
    people_deinit(&old->users, old->slabs);
    people_deinit(&old->anons, old->slabs);
    feature_tables_destroy(&old->features);
    retire_deinit(&old->retire);
    slabs_destroy(&old->slabs);
    dedup_destroy(&old->dedup);
    person_edit_deinit(&old->edit);
    person_edit_deinit(&old->view_edit);
    arena_deinit(&old->arena);
    pthread_cond_destroy(&old->committer.wake);
    pthread_cond_destroy(&old->done);
    pthread_cond_destroy(&old->wake);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *store = NULL;
}

struct item_slot *store_item_slot_make(struct store *store, uint32_t item)
{
    struct item_slot *slot = store_item_slot(store, item);
    if (slot != NULL)
        return slot;
    struct item_page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return NULL;
    store_counter_add(store, COUNTER_BYTES_ITEMS, (int64_t)heap_bytes(sizeof *page));
    atomic_store_explicit(&store->item_page[item >> ITEM_PAGE_BITS], page, memory_order_release);
    return &page->slot[item & (ITEM_PAGE_SLOTS - 1)];
}

_Atomic(const struct person *) *store_person_slot_make(struct store *store, struct people *people,
                                                       uint32_t number)
{
    uint32_t at = number >> PERSON_PAGE_BITS;
    struct person_page *page = atomic_load_explicit(&people->page[at], memory_order_relaxed);
    if (page == NULL) {
        page = calloc(1, sizeof *page);
        if (page == NULL)
            return NULL;
        store_counter_add(store, COUNTER_BYTES_PEOPLE, (int64_t)heap_bytes(sizeof *page));
        atomic_store_explicit(&people->page[at], page, memory_order_release);
    }
    return &page->slot[number & (PERSON_PAGE_SLOTS - 1)];
}
