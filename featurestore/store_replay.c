/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/store_replay.h"
#include "featurestore/store_apply.h"

#include <stdlib.h>
#include <string.h>

/* A reader of the log holds old pages in place, so it begins again after so many records. */
enum { RECORDS_PER_READ = 100000, BYTES_SPARE = 64 << 10 };

#define ARENA_BYTES_MIN (EVENT_ITEMS_MAX * sizeof(struct event_item) + 64)

/*  1. group[read % REPLAY_GROUPS] is the one that was handed out; those up to `filled` wait.
 *  2. The thread fills group[filled % REPLAY_GROUPS] while filled - read < REPLAY_GROUPS. */
struct replay {
    struct event_log *log; /* borrowed */
    uint64_t at;           /* the next record; of the thread while there is one */
    struct event_log_reader reader;
    uint32_t read_count; /* records that `reader` gave; 0: it is not open */
    struct replay_group group[REPLAY_GROUPS];

    bool has_thread;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t read, filled; /* under the mutex, like those below */
    bool is_out;           /* group[read % REPLAY_GROUPS] is with the caller */
    bool stops;
};

static void group_deinit(struct replay_group *group)
{
    arena_deinit(&group->arena);
    free(group->bytes);
}

static enum err_code group_init(struct replay_group *group, struct err *err)
{
    group->bytes = malloc(EVENT_LOG_RECORD_BYTES_MAX + BYTES_SPARE);
    if (group->bytes == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to read the event log");
    return arena_init(&group->arena, 2 * ARENA_BYTES_MIN, err);
}

enum err_code replay_create(struct event_log *log, uint64_t from_sequence,
                            struct replay **ret_replay, struct err *err)
{
    struct replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to read the event log");
    replay->log = log;
    replay->at = from_sequence;
    pthread_mutex_init(&replay->mutex, NULL);
    pthread_cond_init(&replay->changed, NULL);
    enum err_code rc = group_init(&replay->group[0], err);
    if (rc != ERR_OK)
        replay_destroy(&replay);
    else
        *ret_replay = replay;
    return rc;
}

static void close_reader(struct replay *replay)
{
    if (replay->read_count > 0)
        event_log_read_end(&replay->reader);
    replay->read_count = 0;
}

void replay_destroy(struct replay **replay)
{
    struct replay *old = *replay;
    if (old == NULL)
        return;
    if (old->has_thread) {
        pthread_mutex_lock(&old->mutex);
        old->stops = true;
        pthread_cond_signal(&old->changed);
        pthread_mutex_unlock(&old->mutex);
        pthread_join(old->thread, NULL);
    }
    close_reader(old);
    for (uint32_t i = 0; i < REPLAY_GROUPS; i++)
        group_deinit(&old->group[i]);
    pthread_cond_destroy(&old->changed);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *replay = NULL;
}

/* ---- filling --------------------------------------------------------------------------------- */

static enum err_code read_record(struct replay *replay, struct event_record *ret_record,
                                 struct err *err)
{
    if (replay->read_count == RECORDS_PER_READ)
        close_reader(replay);
    if (replay->read_count == 0) {
        enum err_code rc = event_log_read_begin(replay->log, replay->at, &replay->reader, err);
        if (rc != ERR_OK)
            return rc;
    }
    replay->read_count++;
    return event_log_read_next(&replay->reader, ret_record, err);
}

static bool has_room(const struct replay_group *group)
{
    return group->count < STORE_FETCH_MAX &&
           group->arena.capacity_bytes - group->arena.used_bytes >= ARENA_BYTES_MIN &&
           group->bytes_used <= BYTES_SPARE;
}

static enum err_code add_record(struct replay *replay, struct replay_group *group)
{
    struct event_record *record = &group->record[group->count];
    enum err_code rc = read_record(replay, record, &group->err);
    if (rc != ERR_OK)
        return rc;
    uint8_t *bytes = group->bytes + group->bytes_used;
    memcpy(bytes, record->event.ptr, record->event.len);
    record->event.ptr = (const char *)bytes;
    rc = store_decode_record(record, &group->arena, &group->event[group->count], &group->err);
    if (rc != ERR_OK)
        return rc;
    group->bytes_used += record->event.len;
    group->count++;
    replay->at = record->sequence + 1;
    return ERR_OK;
}

static void fill(struct replay *replay, struct replay_group *group)
{
    group->count = 0;
    group->bytes_used = 0;
    group->rc = ERR_OK;
    arena_reset(&group->arena);
    while (has_room(group) && group->rc == ERR_OK)
        group->rc = add_record(replay, group);
    if (group->rc != ERR_OK)
        close_reader(replay);
}

/* ---- ahead ----------------------------------------------------------------------------------- */

static struct replay_group *group_at(struct replay *replay, uint64_t number)
{
    return &replay->group[number % REPLAY_GROUPS];
}

/* Waits for room; false when it shall stop. */
static bool wait_for_room(struct replay *replay)
{
    pthread_mutex_lock(&replay->mutex);
    while (!replay->stops && replay->filled - replay->read == REPLAY_GROUPS)
        pthread_cond_wait(&replay->changed, &replay->mutex);
    bool goes_on = !replay->stops;
    pthread_mutex_unlock(&replay->mutex);
    return goes_on;
}

static void *run(void *ctx)
{
    struct replay *replay = ctx;
    bool goes_on = true;
    while (goes_on && wait_for_room(replay)) {
        struct replay_group *group = group_at(replay, replay->filled); /* only it counts them up */
        fill(replay, group);
        goes_on = group->rc == ERR_OK;
        pthread_mutex_lock(&replay->mutex);
        replay->filled++;
        pthread_cond_signal(&replay->changed);
        pthread_mutex_unlock(&replay->mutex);
    }
    return NULL;
}

void replay_start(struct replay *replay)
{
    ASSERT(!replay->has_thread && !replay->is_out);
    enum err_code rc = ERR_OK;
    for (uint32_t i = 1; i < REPLAY_GROUPS && rc == ERR_OK; i++)
        rc = group_init(&replay->group[i], NULL);
    replay->has_thread = rc == ERR_OK && pthread_create(&replay->thread, NULL, run, replay) == 0;
}

const struct replay_group *replay_next(struct replay *replay)
{
    if (!replay->has_thread) {
        fill(replay, &replay->group[0]);
        return &replay->group[0];
    }
    pthread_mutex_lock(&replay->mutex);
    if (replay->is_out) {
        replay->read++;
        pthread_cond_signal(&replay->changed);
    }
    while (replay->filled == replay->read)
        pthread_cond_wait(&replay->changed, &replay->mutex);
    replay->is_out = true;
    struct replay_group *group = group_at(replay, replay->read);
    pthread_mutex_unlock(&replay->mutex);
    return group;
}
