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
#include "tests/bench/log_store.h"

/* ---- the yardstick --------------------------------------------------------------------------- */

static void check(int rc)
{
    if (rc != 0)
        log_store_die("LMDB", mdb_strerror(rc));
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
    double before_s = log_store_now_s();
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
    double took_s = log_store_now_s() - before_s;
    mdb_env_close(env);
    return batches * BATCH / took_s;
}

/* ---- the store ------------------------------------------------------------------------------- */

static double durable(const char *dir, const struct batch *batch, uint32_t batches, uint32_t most)
{
    struct flight flight = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                            .changed = PTHREAD_COND_INITIALIZER};
    struct store *store = log_store_open(dir, 200000);
    log_store_recover(store);
    double before_s = log_store_now_s();
    for (uint32_t b = 0; b < batches; b++)
        log_store_submit(store,
                         (struct store_batch){
                             .bytes = batch[b].bytes, .len = batch[b].len, .ack = STORE_ACK_DISK},
                         &flight, most);
    log_store_wait_until(&flight, 0);
    double took_s = log_store_now_s() - before_s;
    log_store_close(&store);
    return batches * BATCH / took_s;
}

static double replay(const char *dir, uint64_t events)
{
    double before_s = log_store_now_s();
    struct store *store = log_store_open(dir, 200000);
    log_store_recover(store);
    double took_s = log_store_now_s() - before_s;
    log_store_close(&store);
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
            snprintf(id, sizeof id, "p%" PRIu64, log_store_event_count++);
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
        log_store_submit(
            store, (struct store_batch){.bytes = bytes, .len = pack.used, .ack = STORE_ACK_MEMORY},
            &flight, IN_FLIGHT);
    }
    log_store_wait_until(&flight, 0);
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
        log_store_make_batch(&batch, &rand);
        log_store_submit(
            store,
            (struct store_batch){.bytes = batch.bytes, .len = batch.len, .ack = STORE_ACK_MEMORY},
            &flight, IN_FLIGHT);
    }
    log_store_wait_until(&flight, 0);
}

static void large_store(const char *dir, uint32_t people)
{
    struct store_checkpoint_stats stats;
    struct err err = {.text = ""};
    struct store *store = log_store_open(dir, people + 100000);
    log_store_recover(store);
    fill_people(store, people);
    fill_events(store);
    if (store_checkpoint(store, &err) != ERR_OK)
        log_store_die("checkpoint", err.text);
    double deadline_s = log_store_now_s() + WAIT_S;
    store_checkpoint_stats(store, &stats);
    while (stats.written == 0) {
        if (stats.failures > 0)
            log_store_die("checkpoint", "it failed; the log says why");
        log_store_pause_until(deadline_s, "checkpoint");
        store_checkpoint_stats(store, &stats);
    }
    log_store_close(&store);
    double before_s = log_store_now_s();
    store = log_store_open(dir, people + 100000);
    log_store_recover(store);
    printf("\nstart from a checkpoint of %u people with %d entries: %.2f s (%.0f MB, written in "
           "%.2f s)\n",
           people, HISTORY_ITEMS, log_store_now_s() - before_s, (double)stats.bytes / 1e6,
           (double)stats.took_ms / 1e3);
    log_store_close(&store);
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
            log_store_die(dir, "it cannot be made");
        struct store *store = log_store_open(dir, 200000);
        log_store_recover(store);
        for (uint32_t b = 0; b < batches; b++) {
            log_store_make_batch(&batch, &rand);
            log_store_submit(store,
                             (struct store_batch){
                                 .bytes = batch.bytes, .len = batch.len, .ack = STORE_ACK_MEMORY},
                             &flight, IN_FLIGHT);
        }
        log_store_wait_until(&flight, 0);
        printf("state %016" PRIx64 ", applied live\n", store_state_hash(store, &(uint64_t){0}));
        log_store_close(&store);
    }
    for (int round = 0; round < ROUNDS; round++) {
        double took_s = log_store_now_s();
        struct store *store = log_store_open(dir, 200000);
        log_store_recover(store);
        took_s = log_store_now_s() - took_s;
        uint64_t records = 0;
        uint64_t hash = store_state_hash(store, &records);
        printf("state %016" PRIx64 ", %" PRIu64 " records replayed: %.0f/s\n", hash, records,
               (double)records / took_s);
        log_store_close(&store);
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
        log_store_die(argv[1], "it is there already, or cannot be made");
    uint32_t batches = (uint32_t)(events / BATCH);
    struct rand rand;
    rand_init(&rand, 1);
    printf("%-6s %14s %14s %7s %14s %7s %12s\n", "round", "bare LMDB/s", "store, 1 on way", "ratio",
           "16 on their way", "ratio", "replay/s");
    for (int round = 0; round < ROUNDS; round++) {
        struct batch *batch = malloc(batches * sizeof *batch);
        if (batch == NULL)
            log_store_die("batches", "out of memory");
        for (uint32_t b = 0; b < batches; b++)
            log_store_make_batch(&batch[b], &rand);
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
