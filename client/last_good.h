/* SPDX-License-Identifier: Apache-2.0 */
/* last_good - an LRU cache of the last good answer to each question, for when no daemon answers.
 *
 * Holds ids and scores of decisions at level full or reduced; no prices, which may have changed.
 * Threads: any; one mutex, under which an answer is copied in or out.
 * Limit: bytes_max, table included; with 0 the cache is disabled.  If memory runs out nothing is
 * stored. */
#ifndef CLIENT_LAST_GOOD_H
#define CLIENT_LAST_GOOD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "client/decide.h"
#include "client/reader.h"

struct client_answer;

struct client_last_good {
    pthread_mutex_t mutex;
    size_t bytes_max, bytes_used;
    uint64_t age_ns_max;
    struct client_answer **buckets; /* owned; NULL: disabled */
    size_t bucket_count;            /* a power of two */
    struct client_answer *newest, *oldest;
};

/* DECIDE_INVALID: fewer bytes than CLIENT_LAST_GOOD_BYTES_MIN, and not 0. */
#define CLIENT_LAST_GOOD_BYTES_MIN 4096
enum decide_status client_last_good_init(struct client_last_good *cache, size_t bytes_max,
                                         uint64_t age_us_max);
void client_last_good_deinit(struct client_last_good *cache);
void client_last_good_forget_parent(struct client_last_good *cache);

/* Ignores key 0, and replies that are not good answers. */
void client_last_good_put(struct client_last_good *cache, uint64_t key,
                          const struct decide_reply *reply, uint64_t now_ns);
/* A reply made by client_reply_stand_in, or NULL. */
struct decide_reply *client_last_good_get(struct client_last_good *cache, uint64_t key,
                                          struct client_reader request,
                                          const struct decide_reply *failed, uint64_t now_ns);

#endif
