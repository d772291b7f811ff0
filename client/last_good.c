/* SPDX-License-Identifier: Apache-2.0 */
#include "client/last_good.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/clock.h"
#include "client/reply.h"

enum { BYTES_PER_BUCKET = 1024, ALLOCATION_BYTES = 16 };

/* A single allocation, including scores, ids and their texts. */
struct client_answer {
    struct client_answer *newer, *older; /* by use */
    struct client_answer *next;          /* in its bucket */
    uint64_t key, stored_ns;
    size_t bytes, count;
    const char **ids;
    double scores[];
};

enum decide_status client_last_good_init(struct client_last_good *cache, size_t bytes_max,
                                         uint64_t age_us_max)
{
    if (bytes_max == 0)
        return DECIDE_OK;
    if (bytes_max < CLIENT_LAST_GOOD_BYTES_MIN)
        return DECIDE_INVALID;
    size_t bucket_count = 1;
    while (bucket_count < bytes_max / BYTES_PER_BUCKET)
        bucket_count *= 2;
    cache->buckets = calloc(bucket_count, sizeof(*cache->buckets));
    if (cache->buckets == NULL)
        return DECIDE_NOMEM;
    pthread_mutex_init(&cache->mutex, NULL);
    cache->bucket_count = bucket_count;
    cache->bytes_max = bytes_max;
    cache->bytes_used = bucket_count * sizeof(*cache->buckets);
    cache->age_ns_max =
        age_us_max < UINT64_MAX / CLIENT_NS_PER_US ? age_us_max * CLIENT_NS_PER_US : UINT64_MAX;
    return DECIDE_OK;
}

static struct client_answer **place_of(struct client_last_good *cache, uint64_t key)
{
    struct client_answer **place = &cache->buckets[key >> 1 & (cache->bucket_count - 1)];
    while (*place != NULL && (*place)->key != key)
        place = &(*place)->next;
    return place;
}

static void unlink_use(struct client_last_good *cache, struct client_answer *answer)
{
    *(answer->newer != NULL ? &answer->newer->older : &cache->newest) = answer->older;
    *(answer->older != NULL ? &answer->older->newer : &cache->oldest) = answer->newer;
}

static void link_newest(struct client_last_good *cache, struct client_answer *answer)
{
    answer->newer = NULL;
    answer->older = cache->newest;
    *(cache->newest != NULL ? &cache->newest->newer : &cache->oldest) = answer;
    cache->newest = answer;
}

static void forget(struct client_last_good *cache, struct client_answer **place)
{
    struct client_answer *answer = *place;
    *place = answer->next;
    unlink_use(cache, answer);
    cache->bytes_used -= answer->bytes;
    free(answer);
}

void client_last_good_deinit(struct client_last_good *cache)
{
    if (cache->buckets == NULL)
        return;
    while (cache->oldest != NULL)
        forget(cache, place_of(cache, cache->oldest->key));
    free(cache->buckets);
    cache->buckets = NULL;
    pthread_mutex_destroy(&cache->mutex);
}

void client_last_good_forget_parent(struct client_last_good *cache)
{
    if (cache->buckets == NULL)
        return;
    /* One of the parent's threads may have been changing the lists: leak their entries. */
    pthread_mutex_init(&cache->mutex, NULL);
    memset(cache->buckets, 0, cache->bucket_count * sizeof(*cache->buckets));
    cache->bytes_used = cache->bucket_count * sizeof(*cache->buckets);
    cache->newest = cache->oldest = NULL;
}

static bool is_worth_keeping(const struct decide_reply *reply)
{
    return !reply->fallback && reply->item_count > 0 && reply->level != NULL &&
           (strcmp(reply->level, "full") == 0 || strcmp(reply->level, "reduced") == 0);
}

static struct client_answer *copy_reply(uint64_t key, const struct decide_reply *reply,
                                        uint64_t now_ns)
{
    size_t count = reply->item_count;
    size_t bytes = sizeof(struct client_answer) + count * (sizeof(double) + sizeof(char *));
    for (size_t i = 0; i < count; i++)
        bytes += strlen(reply->items[i].id) + 1;
    struct client_answer *answer = malloc(bytes);
    if (answer == NULL)
        return NULL;
    *answer = (struct client_answer){.key = key,
                                     .stored_ns = now_ns,
                                     .bytes = bytes + ALLOCATION_BYTES,
                                     .count = count,
                                     .ids = (const char **)(answer->scores + count)};
    char *text = (char *)(answer->ids + count);
    for (size_t i = 0; i < count; i++) {
        size_t id_bytes = strlen(reply->items[i].id) + 1;
        answer->scores[i] = reply->items[i].score;
        answer->ids[i] = memcpy(text, reply->items[i].id, id_bytes);
        text += id_bytes;
    }
    return answer;
}

void client_last_good_put(struct client_last_good *cache, uint64_t key,
                          const struct decide_reply *reply, uint64_t now_ns)
{
    if (cache->buckets == NULL || key == 0 || !is_worth_keeping(reply))
        return;
    struct client_answer *answer = copy_reply(key, reply, now_ns);
    if (answer == NULL)
        return;
    pthread_mutex_lock(&cache->mutex);
    struct client_answer **place = place_of(cache, key);
    if (*place != NULL)
        forget(cache, place);
    while (cache->bytes_used + answer->bytes > cache->bytes_max && cache->oldest != NULL)
        forget(cache, place_of(cache, cache->oldest->key));
    bool fits = cache->bytes_used + answer->bytes <= cache->bytes_max;
    if (fits) {
        place = &cache->buckets[key >> 1 & (cache->bucket_count - 1)];
        answer->next = *place;
        *place = answer;
        link_newest(cache, answer);
        cache->bytes_used += answer->bytes;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (!fits)
        free(answer);
}

struct decide_reply *client_last_good_get(struct client_last_good *cache, uint64_t key,
                                          struct client_reader request,
                                          const struct decide_reply *failed, uint64_t now_ns)
{
    if (cache->buckets == NULL || key == 0)
        return NULL;
    struct decide_reply *reply = NULL;
    pthread_mutex_lock(&cache->mutex);
    struct client_answer *answer = *place_of(cache, key);
    uint64_t age_ns = answer == NULL || now_ns < answer->stored_ns ? 0 : now_ns - answer->stored_ns;
    if (answer != NULL && age_ns <= cache->age_ns_max) {
        unlink_use(cache, answer);
        link_newest(cache, answer);
        struct client_stand_in stand_in = {.level = "last_good",
                                           .ids = answer->ids,
                                           .scores = answer->scores,
                                           .count = answer->count,
                                           .age_us = age_ns / CLIENT_NS_PER_US};
        reply = client_reply_stand_in(&stand_in, request, failed);
    }
    pthread_mutex_unlock(&cache->mutex);
    return reply;
}
