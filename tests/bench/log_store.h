/* SPDX-License-Identifier: Apache-2.0 */
/* log_store - the store that bench_log measures: batches of events, and one store that is opened,
 * fed and closed.  What fails ends the program. */
#ifndef TESTS_BENCH_LOG_STORE_H
#define TESTS_BENCH_LOG_STORE_H

#include <pthread.h>

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

extern uint64_t log_store_event_count;
_Noreturn void log_store_die(const char *what, const char *why);
double log_store_now_s(void);
void log_store_make_batch(struct batch *batch, struct rand *rand);

struct flight {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint32_t in_flight;
};

void log_store_wait_until(struct flight *flight, uint32_t most);
struct store *log_store_open(const char *dir, uint32_t people);

/* Between two looks at something that the store thread does. */
void log_store_pause_until(double deadline_s, const char *what);

void log_store_recover(struct store *store);
void log_store_close(struct store **store);

/* `most` batches on their way at once. */
void log_store_submit(struct store *store, struct store_batch batch, struct flight *flight,
                      uint32_t most);

#endif
