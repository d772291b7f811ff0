/* SPDX-License-Identifier: Apache-2.0 */
/* bench_log - what durability costs: events through the store beside bare LMDB appends of the same
 * bytes in the same run, replay of the log, and a start from a checkpoint.
 *
 * usage: bench_log DIR [EVENTS [PEOPLE | replay]]    (default 300000 events)
 *
 * With PEOPLE also a start from their checkpoint; `replay`: nothing but replay.
 *
 * DIR is on the disk that counts, and is not there yet; for the replay alone it may be there, with
 * the log that this program left, so that other builds can replay the same. */
#include <inttypes.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/num.h"
#include "base/pack.h"
#include "base/rand.h"
#include "featurestore/store.h"

enum { DEDUP_EVENTS = 1000000, IN_FLIGHT = 16, WAIT_S = 600 };
enum { BATCH = 256, ROUNDS = 3, HISTORY_ITEMS = 50, BATCH_BYTES = 64 << 10 };

#define NOW_MS INT64_C(1700000000000)

struct batch {
    uint8_t bytes[BATCH_BYTES];
    size_t len;
    struct text event[BATCH]; /* in `bytes` */
};

static uint64_t event_count;

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "bench_log: %s: %s\n", what, why);
    exit(1);
}

static double now_s(void)
{
    return (double)clock_now_ns(clock_system()) / 1e9;
}

static void pack_event(struct pack *pack, const char *user, const char *item)
{
    char id[24];
    snprintf(id, sizeof id, "e%" PRIu64, event_count++);
    pack_map(pack, 5);
    pack_key(pack, "id");
    pack_str(pack, id);
    pack_key(pack, "type");
    pack_str(pack, "view");
    pack_key(pack, "ts");
    pack_int(pack, NOW_MS + (int64_t)(event_count / 1000));
    pack_key(pack, "user");
    pack_str(pack, user);
    pack_key(pack, "items");
    pack_array(pack, 1);
    pack_map(pack, 1);
    pack_key(pack, "id");
    pack_str(pack, item);
}

static void make_batch(struct batch *batch, struct rand *rand)
{
    struct pack pack = pack_into(batch->bytes, sizeof batch->bytes);
    pack_array(&pack, BATCH);
    for (uint32_t i = 0; i < BATCH; i++) {
        char user[24], item[24];
        size_t from = pack.used;
        snprintf(user, sizeof user, "u%u", (unsigned)rand_below(rand, 100000));
        snprintf(item, sizeof item, "i%u", (unsigned)rand_below(rand, 20000));
        pack_event(&pack, user, item);
        batch->event[i] = (struct text){(char *)batch->bytes + from, (uint32_t)(pack.used - from)};
    }
    if (pack.overflow)
        die("a batch", "too long");
    batch->len = pack.used;
}

/* ---- the yardstick --------------------------------------------------------------------------- */

static void check(int rc)
{
    if (rc != 0)
        die("LMDB", mdb_strerror(rc));
}

static double bare_lmdb(const char *dir, const struct batch *batch, uint32_t batches)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    MDB_dbi dbi;
    uint64_t sequence = 0;
    mkdir(dir, 0750);
    check(mdb_env_create(&env));
    check(mdb_env_set_mapsize(env, (size_t)4 << 30));
    check(mdb_env_open(env, dir, MDB_NORDAHEAD, 0640));
    check(mdb_txn_begin(env, NULL, 0, &txn));
    check(mdb_dbi_open(txn, NULL, 0, &dbi));
    check(mdb_txn_commit(txn));
    double before_s = now_s();
    for (uint32_t b = 0; b < batches; b++) {
        check(mdb_txn_begin(env, NULL, 0, &txn));
        for (uint32_t i = 0; i < BATCH; i++) {
            uint64_t big_endian = __builtin_bswap64(++sequence);
            MDB_val key = {sizeof big_endian, &big_endian};
            MDB_val value = {batch[b].event[i].len, (void *)batch[b].event[i].ptr};
            check(mdb_put(txn, dbi, &key, &value, MDB_APPEND));
        }
        check(mdb_txn_commit(txn));
    }
    double took_s = now_s() - before_s;
    mdb_env_close(env);
    return batches * BATCH / took_s;
}

/* ---- the store ------------------------------------------------------------------------------- */

struct flight {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t in_flight;
};

static void on_done(void *ctx, const struct store_batch_result *result)
{
    struct flight *flight = ctx;
    if (result->status != ERR_OK || result->rejected > 0)
        die("a batch was refused",
            result->status != ERR_OK ? result->error : result->rejection[0].message);
    pthread_mutex_lock(&flight->mutex);
    flight->in_flight--;
    pthread_cond_signal(&flight->changed);
    pthread_mutex_unlock(&flight->mutex);
}

static void wait_until(struct flight *flight, uint32_t most)
{
    pthread_mutex_lock(&flight->mutex);
    while (flight->in_flight > most)
        pthread_cond_wait(&flight->changed, &flight->mutex);
    pthread_mutex_unlock(&flight->mutex);
}

static struct store *open_store(const char *dir, uint32_t people)
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
        die("store", err.text);
    return store;
}

/* Between two looks at something that the store thread does. */
static void pause_until(double deadline_s, const char *what)
{
    const struct timespec pause = {0, 1000000};
    if (now_s() > deadline_s)
        die(what, "it took too long");
    (void)nanosleep(&pause, NULL); /* one that is cut short is as good */
}

static void wait_for_recovery(struct store *store)
{
    struct store_recovery recovery;
    struct err err = {.text = ""};
    double deadline_s = now_s() + WAIT_S;
    store_recovery(store, &recovery, &err);
    while (recovery.state == STORE_RECOVERING) {
        pause_until(deadline_s, "recovery");
        store_recovery(store, &recovery, &err);
    }
    if (recovery.state != STORE_RECOVERED)
        die("recovery", err.text);
}

static void close_store(struct store **store)
{
    store_stop(*store);
    store_destroy(store);
}

/* `most` batches on their way at once. */
static void submit(struct store *store, struct store_batch batch, struct flight *flight,
                   uint32_t most)
{
    struct err err = {.text = ""};
    wait_until(flight, most - 1);
    pthread_mutex_lock(&flight->mutex);
    flight->in_flight++;
    pthread_mutex_unlock(&flight->mutex);
    batch.done = on_done;
    batch.ctx = flight;
    if (store_submit(store, &batch, &err) != ERR_OK)
        die("submit", err.text);
}

static double durable(const char *dir, const struct batch *batch, uint32_t batches, uint32_t most)
{
    struct flight flight = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    struct store *store = open_store(dir, 200000);
    wait_for_recovery(store);
    double before_s = now_s();
    for (uint32_t b = 0; b < batches; b++)
        submit(store,
               (struct store_batch){
                   .bytes = batch[b].bytes, .len = batch[b].len, .ack = STORE_ACK_DISK},
               &flight, most);
    wait_until(&flight, 0);
    double took_s = now_s() - before_s;
    close_store(&store);
    return batches * BATCH / took_s;
}

static double replay(const char *dir, uint64_t events)
{
    double before_s = now_s();
    struct store *store = open_store(dir, 200000);
    wait_for_recovery(store);
    double took_s = now_s() - before_s;
    close_store(&store);
    return (double)events / took_s;
}

/* ---- a large store --------------------------------------------------------------------------- */

static void fill_people(struct store *store, uint32_t people)
{
    static uint8_t bytes[400000];
    struct flight flight = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    struct rand rand;
    rand_init(&rand, 5);
    for (uint32_t first = 0; first < people;) {
        struct pack pack = pack_into(bytes, sizeof bytes);
        size_t mark = pack_array_open(&pack);
        uint32_t count = 0;
        for (; first < people && count < 200; first++, count++) {
            char user[24], id[24];
            snprintf(user, sizeof user, "p%u", first);
            snprintf(id, sizeof id, "p%" PRIu64, event_count++);
            pack_map(&pack, 5);
            pack_key(&pack, "id");
            pack_str(&pack, id);
            pack_key(&pack, "type");
            pack_str(&pack, "view");
            pack_key(&pack, "ts");
            pack_int(&pack, NOW_MS);
            pack_key(&pack, "user");
            pack_str(&pack, user);
            pack_key(&pack, "items");
            pack_array(&pack, HISTORY_ITEMS);
            for (uint32_t i = 0; i < HISTORY_ITEMS; i++) {
                char item[24];
                snprintf(item, sizeof item, "i%u", (unsigned)rand_below(&rand, 20000));
                pack_map(&pack, 1);
                pack_key(&pack, "id");
                pack_str(&pack, item);
            }
        }
        pack_array_close(&pack, mark, count);
        submit(store,
               (struct store_batch){.bytes = bytes, .len = pack.used, .ack = STORE_ACK_MEMORY},
               &flight, IN_FLIGHT);
    }
    wait_until(&flight, 0);
}

/* Ordinary events, whose ids a start must know again. */
static void fill_events(struct store *store)
{
    static struct batch batch;
    struct flight flight = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    struct rand rand;
    rand_init(&rand, 6);
    for (uint32_t i = 0; i < DEDUP_EVENTS / BATCH; i++) {
        make_batch(&batch, &rand);
        submit(
            store,
            (struct store_batch){.bytes = batch.bytes, .len = batch.len, .ack = STORE_ACK_MEMORY},
            &flight, IN_FLIGHT);
    }
    wait_until(&flight, 0);
}

static void large_store(const char *dir, uint32_t people)
{
    struct store_checkpoint_stats stats;
    struct err err = {.text = ""};
    struct store *store = open_store(dir, people + 100000);
    wait_for_recovery(store);
    fill_people(store, people);
    fill_events(store);
    if (store_checkpoint(store, &err) != ERR_OK)
        die("checkpoint", err.text);
    double deadline_s = now_s() + WAIT_S;
    store_checkpoint_stats(store, &stats);
    while (stats.written == 0) {
        if (stats.failures > 0)
            die("checkpoint", "it failed; the log says why");
        pause_until(deadline_s, "checkpoint");
        store_checkpoint_stats(store, &stats);
    }
    close_store(&store);
    double before_s = now_s();
    store = open_store(dir, people + 100000);
    wait_for_recovery(store);
    printf("\nstart from a checkpoint of %u people with %d entries: %.2f s (%.0f MB, written in "
           "%.2f s)\n",
           people, HISTORY_ITEMS, now_s() - before_s, (double)stats.bytes / 1e6,
           (double)stats.took_ms / 1e3);
    close_store(&store);
}

/* Rounds over one log of `batches`, which is written first unless it is there. */
static void replay_alone(const char *dir, uint32_t batches)
{
    static struct batch batch;
    struct flight flight = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    struct stat found;
    struct rand rand;
    rand_init(&rand, 1);
    if (stat(dir, &found) != 0) {
        if (mkdir(dir, 0750) != 0)
            die(dir, "it cannot be made");
        struct store *store = open_store(dir, 200000);
        wait_for_recovery(store);
        for (uint32_t b = 0; b < batches; b++) {
            make_batch(&batch, &rand);
            submit(store,
                   (struct store_batch){
                       .bytes = batch.bytes, .len = batch.len, .ack = STORE_ACK_MEMORY},
                   &flight, IN_FLIGHT);
        }
        wait_until(&flight, 0);
        printf("state %016" PRIx64 ", applied live\n", store_state_hash(store, &(uint64_t){0}));
        close_store(&store);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double took_s = now_s();
        struct store *store = open_store(dir, 200000);
        wait_for_recovery(store);
        took_s = now_s() - took_s;
        uint64_t records = 0;
        uint64_t hash = store_state_hash(store, &records);
        printf("state %016" PRIx64 ", %" PRIu64 " records replayed: %.0f/s\n", hash, records,
               (double)records / took_s);
        close_store(&store);
    }
}

int main(int argc, char **argv)
{
    int64_t events = 300000, people = 0;
    char dir[4096];
    bool replays = argc == 4 && strcmp(argv[3], "replay") == 0;
    if (argc < 2 || argc > 4 ||
        (argc > 2 && !num_parse_int(text_of(argv[2]), BATCH, 100000000, &events)) ||
        (argc > 3 && !replays && !num_parse_int(text_of(argv[3]), 0, 100000000, &people))) {
        fprintf(stderr, "usage: bench_log DIR [EVENTS [PEOPLE | replay]]\n");
        return 2;
    }
    if (replays) {
        replay_alone(argv[1], (uint32_t)(events / BATCH));
        return 0;
    }
    if (mkdir(argv[1], 0750) != 0)
        die(argv[1], "it is there already, or cannot be made");
    uint32_t batches = (uint32_t)(events / BATCH);
    struct rand rand;
    rand_init(&rand, 1);
    printf("%-6s %14s %14s %7s %14s %7s %12s\n", "round", "bare LMDB/s", "store, 1 on way", "ratio",
           "16 on their way", "ratio", "replay/s");
    for (int round = 0; round < ROUNDS; round++) {
        struct batch *batch = malloc(batches * sizeof *batch);
        if (batch == NULL)
            die("batches", "out of memory");
        for (uint32_t b = 0; b < batches; b++)
            make_batch(&batch[b], &rand);
        double rate[4];
        snprintf(dir, sizeof dir, "%s/bare%d", argv[1], round);
        rate[0] = bare_lmdb(dir, batch, batches);
        snprintf(dir, sizeof dir, "%s/one%d", argv[1], round);
        rate[1] = durable(dir, batch, batches, 1);
        snprintf(dir, sizeof dir, "%s/many%d", argv[1], round);
        rate[2] = durable(dir, batch, batches, 16);
        rate[3] = replay(dir, (uint64_t)batches * BATCH);
        printf("%-6d %14.0f %14.0f %7.2f %14.0f %7.2f %12.0f\n", round + 1, rate[0], rate[1],
               rate[1] / rate[0], rate[2], rate[2] / rate[0], rate[3]);
        fflush(stdout);
        free(batch);
    }
    if (people > 0) {
        snprintf(dir, sizeof dir, "%s/people", argv[1]);
        large_store(dir, (uint32_t)people);
    }
    return 0;
}
