/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "server/control/shadow_internal.h"
#include "server/decide/trial.h"
#include "server/metrics.h"

/* Bits: the shadows that want to see the decision. */
static uint32_t wanted_by(const struct snapshot *snapshot, const struct decision *decision)
{
    uint32_t trials = 0;
    for (uint32_t t = 0; t < snapshot->trial_count; t++) {
        const struct snapshot_trial *trial = &snapshot->trial[t];
        bool took_part = false;
        for (uint32_t i = 0; i < decision->model_count && !took_part; i++)
            took_part = decision->models[i] == trial->stable->label;
        if (took_part && trial_takes(trial, text_of(decision->id)))
            trials |= 1u << t;
    }
    return trials;
}

static uint8_t *write_record(struct arena *arena, const struct shadow_record *record,
                             const struct shadow_served *served, uint32_t *ret_len)
{
    const struct decision *decision = served->decision;
    size_t items_bytes = record->item_count * sizeof(struct shadow_item);
    size_t shown_bytes = record->shown_count * sizeof(uint32_t);
    size_t len = sizeof *record + items_bytes + shown_bytes + record->request_bytes;
    uint8_t *bytes = arena_alloc(arena, len, _Alignof(struct shadow_record));
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, record, sizeof *record);
    uint8_t *next = bytes + sizeof *record;
    for (uint32_t i = 0; i < record->item_count; i++, next += sizeof(struct shadow_item)) {
        const struct shadow_item item = {shadow_key(decision->items[i].item, decision->items[i].id),
                                         decision->items[i].score};
        memcpy(next, &item, sizeof item);
    }
    if (shown_bytes > 0)
        memcpy(next, served->slot->shown, shown_bytes);
    memcpy(next + shown_bytes, served->call->request, record->request_bytes);
    *ret_len = (uint32_t)len;
    return bytes;
}

static void drop(struct shadow *shadow, uint32_t trials)
{
    for (uint32_t t = 0; t < SNAPSHOT_TRIALS_MAX; t++) {
        if ((trials >> t & 1) != 0)
            atomic_fetch_add_explicit(&shadow->dropped[t], 1, memory_order_relaxed);
    }
}

void shadow_put(struct shadow *shadow, struct worker *worker, const struct decide_env *env,
                const struct shadow_served *served)
{
    const struct decision *decision = served->decision;
    const struct page_slot *slot = served->slot;
    const struct snapshot *snapshot = shadow == NULL ? NULL : serving_current(&shadow->serving);
    if (snapshot == NULL || decision->level != LEVEL_full || decision->trials != 0)
        return;
    const struct shadow_record record = {.epoch = snapshot->epoch,
                                         .trials = wanted_by(snapshot, decision),
                                         .item_count = decision->count,
                                         .slot = slot == NULL ? SHADOW_NO_SLOT : slot->index,
                                         .shown_count = slot == NULL ? 0 : slot->shown_count,
                                         .request_bytes = (uint32_t)served->call->request_bytes,
                                         .spared_permille = env->spared_permille,
                                         .took_ns = served->took_ns,
                                         .wall_ms = env->wall_ms};
    if (record.trials == 0)
        return;
    struct arena *arena = &worker->arena;
    size_t mark = arena_mark(arena);
    uint32_t len = 0;
    uint8_t *bytes = NULL;
    if (served->call->request_bytes <= SHADOW_REQUEST_BYTES_MAX &&
        decision->count <= SHADOW_ITEMS_MAX)
        bytes = write_record(arena, &record, served, &len);
    if (bytes == NULL || !ring_put(&shadow->ring[worker->index], bytes, len)) {
        drop(shadow, record.trials);
        metric_add(worker->metrics, M_SHADOW_DECISIONS, SHADOW_DROPPED, 0, 1);
    }
    arena_rewind(arena, mark);
}
