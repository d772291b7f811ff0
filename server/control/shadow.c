/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/shadow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/background.h"
#include "base/rand.h"
#include "base/rcu.h"
#include "server/control/shadow_internal.h"
#include "server/metrics.h"

enum { TAKE_MS = 10 };

/* ---- one decision again ---------------------------------------------------------------------- */

static struct shadow_answer answer_of(const struct decision *decision, struct shadow_item *items)
{
    for (uint32_t i = 0; i < decision->count; i++)
        items[i] = (struct shadow_item){shadow_key(decision->items[i].item, decision->items[i].id),
                                        decision->items[i].score};
    return (struct shadow_answer){items, decision->count};
}

static void add(struct shadow *shadow, uint32_t t, const struct shadow_record *record,
                const struct shadow_difference *difference, uint64_t took_ns)
{
    pthread_mutex_lock(&shadow->lock);
    struct shadow_sums *sums = &shadow->sums[t];
    sums->compared++;
    sums->overlap_sum += difference->overlap;
    sums->drift_sum += difference->score_drift_sum;
    sums->drift_count += difference->common_count;
    sums->drift_max = fmax(sums->drift_max, difference->score_drift_max);
    if (!isnan(difference->rank_correlation)) {
        sums->correlation_sum += difference->rank_correlation;
        sums->correlation_count++;
    }
    hist_record(&sums->served, record->took_ns);
    hist_record(&sums->shadow, took_ns);
    pthread_mutex_unlock(&shadow->lock);
    metric_add(shadow->slot, M_SHADOW_DECISIONS, SHADOW_COMPARED, 0, 1);
}

/* Inside rcu_read_begin/end.  False when there is no room for it. */
static bool decide_again(struct shadow *shadow, const struct snapshot *snapshot, uint32_t trial,
                         const struct shadow_record *record, const struct request *request,
                         struct shadow_difference *ret_difference, uint64_t *ret_took_ns)
{
    struct decision decision;
    const struct decide_env env = {.store = shadow->store,
                                   .snapshot = snapshot,
                                   .spared_permille = record->spared_permille,
                                   .wall_ms = record->wall_ms,
                                   .aside = 1u << trial};
    const struct shadow_answer served = {
        (const struct shadow_item *)(const void *)(shadow->record + sizeof *record),
        record->item_count};
    uint64_t began_ns = clock_now_ns(shadow->clock);
    decide(&env, shadow->worker, request, &decision);
    *ret_took_ns = clock_now_ns(shadow->clock) - began_ns;
    struct shadow_item *items =
        ARENA_NEW(&shadow->worker->arena, struct shadow_item, (size_t)decision.count + 1);
    if (items == NULL)
        return false;
    const struct shadow_answer answer = answer_of(&decision, items);
    shadow_compare(&served, &answer, ret_difference);
    return true;
}

/* What the page's slot asked, below the items that stood there.  False when there is no room. */
static bool slot_of_page(const struct shadow *shadow, const struct policy_set *policies,
                         const struct shadow_record *record, const uint32_t *shown,
                         struct request *request)
{
    struct arena *arena = &shadow->worker->arena;
    struct text *id = ARENA_NEW(arena, struct text, (size_t)record->shown_count + 1);
    uint32_t count = 0;
    if (id == NULL || record->slot >= request->slot_count)
        return false;
    for (uint32_t i = 0; i < record->shown_count; i++) {
        if (shown[i] != IDMAP_NONE)
            id[count++] = store_item_id(shadow->store, shown[i]);
    }
    *request =
        page_slot_request(policies, arena, request, record->slot, (struct text_list){id, count});
    return true;
}

static void drop(struct shadow *shadow, uint32_t trial)
{
    atomic_fetch_add_explicit(&shadow->dropped[trial], 1, memory_order_relaxed);
    metric_add(shadow->slot, M_SHADOW_DECISIONS, SHADOW_DROPPED, 0, 1);
}

static void compare_one(struct shadow *shadow, uint32_t trial, const struct shadow_record *record)
{
    struct request request;
    struct shadow_difference difference;
    char field[REQUEST_FIELD_BYTES];
    uint64_t took_ns = 0;
    const uint8_t *shown =
        shadow->record + sizeof *record + record->item_count * sizeof(struct shadow_item);
    const uint8_t *bytes = shown + record->shown_count * sizeof(uint32_t);
    struct arena *arena = &shadow->worker->arena;
    arena_reset(arena);
    enum err_code rc = request_decode(bytes, record->request_bytes, arena, &request, field, NULL);
    rcu_read_begin();
    const struct snapshot *snapshot = serving_current(&shadow->serving);
    /* The shadows changed since: there is nothing to compare with any more. */
    bool stands = snapshot != NULL && snapshot->epoch == record->epoch;
    bool done = rc == ERR_OK && stands &&
                (record->slot == SHADOW_NO_SLOT ||
                 slot_of_page(shadow, snapshot->policies, record,
                              (const uint32_t *)(const void *)shown, &request)) &&
                decide_again(shadow, snapshot, trial, record, &request, &difference, &took_ns);
    if (done)
        add(shadow, trial, record, &difference, took_ns);
    rcu_read_end();
    if (!done && stands)
        drop(shadow, trial);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* True when there was a record. */
static bool take_one(struct shadow *shadow, struct ring *ring)
{
    struct shadow_record record;
    uint32_t len = 0;
    if (!ring_peek(ring, &len))
        return false;
    ASSERT(len <= SHADOW_RECORD_BYTES_MAX);
    ring_take(ring, shadow->record);
    memcpy(&record, shadow->record, sizeof record);
    for (uint32_t t = 0; t < SNAPSHOT_TRIALS_MAX; t++) {
        if ((record.trials >> t & 1) != 0)
            compare_one(shadow, t, &record);
    }
    return true;
}

/* Without shadows it sleeps until there are some. */
static bool wait_a_little(struct shadow *shadow)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += TAKE_MS * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    int rc = 0;
    pthread_mutex_lock(&shadow->lock);
    while (!shadow->stopping && (shadow->sums_count == 0 || rc == 0))
        rc = shadow->sums_count == 0
                 ? pthread_cond_wait(&shadow->changed, &shadow->lock)
                 : pthread_cond_timedwait(&shadow->changed, &shadow->lock, &until);
    bool stopping = shadow->stopping;
    pthread_mutex_unlock(&shadow->lock);
    return !stopping;
}

static bool is_stopping(struct shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    bool stopping = shadow->stopping;
    pthread_mutex_unlock(&shadow->lock);
    return stopping;
}

static void *run(void *ctx)
{
    struct shadow *shadow = ctx;
    background_begin();
    while (wait_a_little(shadow)) {
        bool any = true;
        while (any && !is_stopping(shadow)) {
            any = false;
            for (uint32_t i = 0; i < shadow->ring_count; i++)
                any = take_one(shadow, &shadow->ring[i]) || any;
        }
    }
    return NULL;
}

enum err_code shadow_start(struct shadow *shadow, struct err *err)
{
    int number = pthread_create(&shadow->thread, NULL, run, shadow);
    if (number != 0)
        return err_set(err, ERR_IO, "cannot start the thread of shadows: %s", strerror(number));
    shadow->started = true;
    pthread_setname_np(shadow->thread, "shadow");
    return ERR_OK;
}

void shadow_stop(struct shadow *shadow)
{
    pthread_mutex_lock(&shadow->lock);
    shadow->stopping = true;
    pthread_cond_signal(&shadow->changed);
    pthread_mutex_unlock(&shadow->lock);
    if (shadow->started)
        pthread_join(shadow->thread, NULL);
    shadow->started = false;
}

/* ---- snapshots and what was seen ------------------------------------------------------------- */

static bool is_of(const struct shadow_sums *sums, const struct snapshot_trial *trial)
{
    return strcmp(sums->shadow_label, trial->model->label) == 0 &&
           strcmp(sums->stable_label, trial->stable->label) == 0;
}

/* What was seen of a shadow that is still one stays, at its new place. */
static void carry_sums(struct shadow *shadow, const struct snapshot *snapshot)
{
    struct shadow_sums *before = shadow->spare;
    uint64_t dropped[SNAPSHOT_TRIALS_MAX];
    uint32_t count = snapshot == NULL ? 0 : snapshot->trial_count;
    memcpy(before, shadow->sums, sizeof shadow->sums);
    for (uint32_t t = 0; t < SNAPSHOT_TRIALS_MAX; t++)
        dropped[t] = atomic_exchange_explicit(&shadow->dropped[t], 0, memory_order_relaxed);
    memset(shadow->sums, 0, sizeof shadow->sums);
    for (uint32_t t = 0; t < count; t++) {
        const struct snapshot_trial *trial = &snapshot->trial[t];
        struct shadow_sums *sums = &shadow->sums[t];
        for (uint32_t i = 0; i < shadow->sums_count; i++) {
            if (!is_of(&before[i], trial))
                continue;
            memcpy(sums, &before[i], sizeof *sums);
            atomic_fetch_add_explicit(&shadow->dropped[t], dropped[i], memory_order_relaxed);
        }
        text_copy(text_of(trial->model->name), sums->name, sizeof sums->name);
        text_copy(text_of(trial->model->label), sums->shadow_label, sizeof sums->shadow_label);
        text_copy(text_of(trial->stable->label), sums->stable_label, sizeof sums->stable_label);
    }
    shadow->sums_count = count;
}

struct snapshot *shadow_publish(struct shadow *shadow, struct snapshot *snapshot)
{
    pthread_mutex_lock(&shadow->lock);
    struct snapshot *before = serving_publish(&shadow->serving, snapshot);
    carry_sums(shadow, snapshot);
    pthread_cond_signal(&shadow->changed);
    pthread_mutex_unlock(&shadow->lock);
    return before;
}

static double mean(double sum, uint64_t count)
{
    return count == 0 ? NAN : sum / (double)count;
}

bool shadow_stats(struct shadow *shadow, const char *name, struct shadow_stats *ret_stats)
{
    bool found = false;
    pthread_mutex_lock(&shadow->lock);
    for (uint32_t t = 0; t < shadow->sums_count && !found; t++) {
        const struct shadow_sums *sums = &shadow->sums[t];
        if (strcmp(sums->name, name) != 0)
            continue;
        found = true;
        *ret_stats = (struct shadow_stats){
            .compared = sums->compared,
            .dropped = atomic_load_explicit(&shadow->dropped[t], memory_order_relaxed),
            .overlap = mean(sums->overlap_sum, sums->compared),
            .rank_correlation = mean(sums->correlation_sum, sums->correlation_count),
            .score_drift = mean(sums->drift_sum, sums->drift_count),
            .score_drift_max = sums->drift_max,
            .served_p50_ns = hist_quantile(&sums->served, 0.5),
            .served_p99_ns = hist_quantile(&sums->served, 0.99),
            .shadow_p50_ns = hist_quantile(&sums->shadow, 0.5),
            .shadow_p99_ns = hist_quantile(&sums->shadow, 0.99),
        };
    }
    pthread_mutex_unlock(&shadow->lock);
    return found;
}

/* ---- life ------------------------------------------------------------------------------------ */

enum err_code shadow_create(const struct shadow_options *options, struct shadow **ret_shadow,
                            struct err *err)
{
    size_t bytes = sizeof(struct shadow) + options->worker_count * sizeof(struct ring);
    /* The counters of the rings stand on cache lines of their own. */
    struct shadow *shadow = aligned_alloc(_Alignof(struct shadow), (bytes + 63) & ~(size_t)63);
    if (shadow == NULL)
        return err_set(err, ERR_NOMEM, "no memory for shadows");
    memset(shadow, 0, bytes);
    shadow->store = options->store;
    shadow->clock = options->clock;
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&shadow->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&shadow->lock, NULL);
    shadow->record = malloc(SHADOW_RECORD_BYTES_MAX);
    shadow->spare = malloc(sizeof shadow->sums);
    enum err_code rc = shadow->record == NULL || shadow->spare == NULL
                           ? err_set(err, ERR_NOMEM, "no memory for shadows")
                           : ERR_OK;
    for (; rc == ERR_OK && shadow->ring_count < options->worker_count; shadow->ring_count++)
        rc = ring_init(&shadow->ring[shadow->ring_count], SHADOW_RING_BYTES, err);
    if (rc == ERR_OK)
        rc = metrics_slot(options->metrics, &shadow->slot, err);
    if (rc == ERR_OK)
        rc = metrics_create(server_metric_families, M_COUNT, 1, &shadow->own_metrics, err);
    if (rc == ERR_OK)
        rc = workers_create(1, shadow->own_metrics, options->clock, rand_seed_system(),
                            &shadow->workers, err);
    if (rc != ERR_OK) {
        shadow_destroy(&shadow);
        return rc;
    }
    shadow->worker = workers_claim(shadow->workers);
    *ret_shadow = shadow;
    return ERR_OK;
}

void shadow_destroy(struct shadow **shadow_ref)
{
    struct shadow *shadow = *shadow_ref;
    *shadow_ref = NULL;
    if (shadow == NULL)
        return;
    ASSERT(!shadow->started && serving_current(&shadow->serving) == NULL);
    for (uint32_t i = 0; i < shadow->ring_count; i++)
        ring_deinit(&shadow->ring[i]);
    workers_destroy(&shadow->workers);
    metrics_destroy(&shadow->own_metrics);
    pthread_cond_destroy(&shadow->changed);
    pthread_mutex_destroy(&shadow->lock);
    free(shadow->record);
    free(shadow->spare);
    free(shadow);
}
