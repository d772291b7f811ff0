/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/log_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/pack.h"

uint64_t log_store_event_count;

_Noreturn void log_store_die(const char *what, const char *why)
{
    fprintf(stderr, "bench_log: %s: %s\n", what, why);
    exit(1);
}

double log_store_now_s(void)
{
    return (double)clock_now_ns(clock_system()) / 1e9;
}

static void log_store_pack_event(struct pack *pack, const char *user, const char *item)
{
    char id[24];
    snprintf(id, sizeof id, "e%" PRIu64, log_store_event_count++);
    pack_map(pack, 5);
    pack_key(pack, "id");
    pack_str(pack, id);
    pack_key(pack, "type");
    pack_str(pack, "view");
    pack_key(pack, "ts");
    pack_int(pack, NOW_MS + (int64_t)(log_store_event_count / 1000));
    pack_key(pack, "user");
    pack_str(pack, user);
    pack_key(pack, "items");
    pack_array(pack, 1);
    pack_map(pack, 1);
    pack_key(pack, "id");
    pack_str(pack, item);
}

void log_store_make_batch(struct batch *batch, struct rand *rand)
{
    struct pack pack = pack_into(batch->bytes, sizeof batch->bytes);
    pack_array(&pack, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) {
        char user[24], item[24];
        size_t from = pack.used;
        snprintf(user, sizeof user, "u%u", (unsigned)rand_below(rand, 100000));
        snprintf(item, sizeof item, "i%u", (unsigned)rand_below(rand, 20000));
        log_store_pack_event(&pack, user, item);
        batch->event[i] = (struct text){(char *)batch->bytes + from, (uint32_t)(pack.used - from)};
    }
    if (pack.overflow)
        log_store_die("a batch", "too long");
    batch->len = pack.used;
}

static void log_store_on_done(void *ctx, const struct store_batch_result *result)
{
    struct flight *flight = ctx;
    if (result->status != ERR_OK || result->rejected > 0)
        log_store_die("a batch was refused",
                      result->status != ERR_OK ? result->error : result->rejection[0].message);
    pthread_mutex_lock(&flight->mutex);
    flight->in_flight--;
    pthread_cond_signal(&flight->changed);
    pthread_mutex_unlock(&flight->mutex);
}

void log_store_wait_until(struct flight *flight, uint32_t most)
{
    pthread_mutex_lock(&flight->mutex);
    while (flight->in_flight > most)
        pthread_cond_wait(&flight->changed, &flight->mutex);
    pthread_mutex_unlock(&flight->mutex);
}

struct store *log_store_open(const char *dir, uint32_t people)
{
    static char log_dir[4096], checkpoint_dir[4096];
    struct store *store = NULL;
    struct err err = {.text = ""};
    struct store_limits limits = {.items_max = 100000,
                                  .people_max = people,
                                  .history_items_max = 100,
                                  .queue_events_max = 1000000,
                                  .dedup_events_max = DEDUP_EVENTS};
    snprintf(log_dir, sizeof log_dir, "%s/events", dir);
    snprintf(checkpoint_dir, sizeof checkpoint_dir, "%s/checkpoints", dir);
    struct event_log_options log = {
        .dir = log_dir, .bytes_max = (uint64_t)64 << 30, .clock = clock_system()};
    struct store_checkpoint_options checkpoints = {
        .dir = checkpoint_dir, .events = UINT64_MAX, .interval_ms = UINT32_MAX};
    if (store_create(&limits, clock_system(), &store, &err) != ERR_OK ||
        store_open_log(store, &log, &checkpoints, &err) != ERR_OK ||
        store_start(store, &err) != ERR_OK)
        log_store_die("store", err.text);
    return store;
}

void log_store_pause_until(double deadline_s, const char *what)
{
    const struct timespec pause = {0, 1000000};
    if (log_store_now_s() > deadline_s)
        log_store_die(what, "it took too long");
    (void)nanosleep(&pause, NULL); /* one that is cut short is as good */
}

void log_store_recover(struct store *store)
{
    struct store_recovery recovery;
    struct err err = {.text = ""};
    double deadline_s = log_store_now_s() + WAIT_S;
    store_recovery(store, &recovery, &err);
    while (recovery.state == STORE_RECOVERING) {
        log_store_pause_until(deadline_s, "recovery");
        store_recovery(store, &recovery, &err);
    }
    if (recovery.state != STORE_RECOVERED)
        log_store_die("recovery", err.text);
}

void log_store_close(struct store **store)
{
    store_stop(*store);
    store_destroy(store);
}

void log_store_submit(struct store *store, struct store_batch batch, struct flight *flight,
                      uint32_t most)
{
    struct err err = {.text = ""};
    log_store_wait_until(flight, most - 1);
    pthread_mutex_lock(&flight->mutex);
    flight->in_flight++;
    pthread_mutex_unlock(&flight->mutex);
    batch.done = log_store_on_done;
    batch.ctx = flight;
    if (store_submit(store, &batch, &err) != ERR_OK)
        log_store_die("submit", err.text);
}
