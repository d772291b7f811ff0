/* SPDX-License-Identifier: Apache-2.0 */
/* Remembered event ids as rows, by their place in the ring of dedup.c: a start knows them although
 * their records were pruned. */
#include <stdlib.h>

#include "featurestore/store_checkpoint.h"

enum { IDS_PER_ROW = 1024, ID_BYTES = 12 };

/* How many ids of the span are older than the one at that place. */
static uint32_t age_of(const struct dedup_span *span, uint32_t place)
{
    uint32_t oldest = span->next >= span->count ? span->next - span->count
                                                : span->next + span->capacity - span->count;
    return place >= oldest ? place - oldest : place + span->capacity - oldest;
}

/* The places of a row. */
static void places_of(const struct dedup_span *span, uint32_t row, uint32_t *ret_first,
                      uint32_t *ret_end)
{
    *ret_first = row * IDS_PER_ROW;
    *ret_end =
        span->capacity - *ret_first > IDS_PER_ROW ? *ret_first + IDS_PER_ROW : span->capacity;
}

/* As of the checkpoint that is written; as they are, where there are none. */
static struct dedup_span span_of(const struct store *store)
{
    return store->checkpoints != NULL ? store->checkpoints->ids : dedup_span(store->dedup);
}

uint32_t store_event_id_row_of(uint32_t place)
{
    return place / IDS_PER_ROW;
}

uint32_t store_event_id_row_count(const struct store *store)
{
    return (dedup_span(store->dedup).capacity + IDS_PER_ROW - 1) / IDS_PER_ROW;
}

void store_event_id_span_write(const struct store *store, struct checkpoint_block *block)
{
    const struct dedup_span span = span_of(store);
    checkpoint_put_u32(block, span.capacity);
    checkpoint_put_u32(block, span.count);
    checkpoint_put_u32(block, span.next);
}

void store_event_id_row_write(const struct store *store, uint32_t number,
                              struct checkpoint_block *block)
{
    const struct dedup_span span = span_of(store);
    uint32_t first, end;
    places_of(&span, number, &first, &end);
    uint32_t age = age_of(&span, first);
    if (age >= span.count && (span.count == 0 || age + (end - first) <= span.capacity))
        return; /* none of them is of the span */
    size_t mark = checkpoint_row_open(block, ROW_EVENT_IDS, number);
    for (uint32_t place = first; place < end; place++) {
        uint32_t time_s;
        checkpoint_put_u64(block, dedup_at(store->dedup, place, &time_s));
        checkpoint_put_u32(block, time_s);
    }
    checkpoint_row_close(block, mark);
}

/* ---- reading --------------------------------------------------------------------------------- */

void store_event_ids_deinit(struct store_event_ids *ids)
{
    free(ids->key);
    free(ids->time_s);
    *ids = (struct store_event_ids){0};
}

enum err_code store_event_id_span_read(const struct checkpoint_row *row,
                                       struct store_event_ids *ids, struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    struct dedup_span span = {0};
    uint64_t watermark;
    if (!checkpoint_get_u64(&fields, &watermark) || fields.at == fields.end)
        return ERR_OK; /* an older version wrote it, or it is no state, as the second pass says */
    if (ids->is_known || !checkpoint_get_u32(&fields, &span.capacity) ||
        !checkpoint_get_u32(&fields, &span.count) || !checkpoint_get_u32(&fields, &span.next) ||
        fields.at != fields.end || span.capacity > DEDUP_EVENTS_MAX || span.count > span.capacity ||
        span.next > span.capacity)
        return store_row_corrupt(row, "expected a time and remembered ids", err);
    ids->span = span;
    ids->is_known = true;
    ids->key = calloc(span.count + 1, sizeof *ids->key);
    ids->time_s = calloc(span.count + 1, sizeof *ids->time_s);
    if (ids->key == NULL || ids->time_s == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the event ids of a checkpoint");
    return ERR_OK;
}

enum err_code store_event_id_row_read(const struct checkpoint_row *row, struct store_event_ids *ids,
                                      struct err *err)
{
    struct checkpoint_fields fields = checkpoint_fields_of(row);
    uint32_t first, end;
    if (!ids->is_known || (uint64_t)row->number * IDS_PER_ROW >= ids->span.capacity)
        return store_row_corrupt(row, "no event ids are expected", err);
    places_of(&ids->span, row->number, &first, &end);
    if (row->bytes.len != (size_t)(end - first) * ID_BYTES)
        return store_row_corrupt(row, "expected event ids", err);
    for (uint32_t place = first; place < end; place++) {
        uint32_t age = age_of(&ids->span, place), time_s;
        uint64_t key;
        bool is_there = checkpoint_get_u64(&fields, &key) && checkpoint_get_u32(&fields, &time_s);
        if (!is_there || age >= ids->span.count)
            continue;
        ids->key[age] = key;
        ids->time_s[age] = time_s;
        ids->found++;
    }
    return ERR_OK;
}

enum err_code store_event_ids_check(const struct store_event_ids *ids, struct err *err)
{
    return ids->found == ids->span.count
               ? ERR_OK
               : err_set(err, ERR_CORRUPT, "a checkpoint names %u of %u event ids", ids->found,
                         ids->span.count);
}

void store_event_ids_take(struct store *store, uint64_t in_log)
{
    struct store_event_ids *ids = &store->checkpoints->restored_ids;
    for (uint32_t i = 0; i < ids->span.count && ids->span.count - i > in_log; i++)
        dedup_add_key(store->dedup, ids->key[i], ids->time_s[i]);
    atomic_store_explicit(&store->dedup_oldest_ms, INT64_C(1000) * dedup_oldest_s(store->dedup),
                          memory_order_relaxed);
    store_event_ids_deinit(ids);
}
