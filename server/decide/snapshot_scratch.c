/* SPDX-License-Identifier: Apache-2.0 */
/* Allocates the workers' arrays, sized for the models and the store of this snapshot. */
#include <stdlib.h>
#include <sys/mman.h>

#include "server/decide/snapshot_internal.h"

void snapshot_count_places(struct snapshot *snapshot)
{
    snapshot->place_count = 1; /* `similar` always has one */
    for (uint32_t i = 0; i < snapshot->policies->slot_count; i++) {
        const struct policy_slot *slot = &snapshot->policies->slot[i];
        uint32_t places = 0;
        for (uint32_t s = 0; s < slot->source_count; s++)
            places += policy_sums_items(slot->source[s].kind);
        snapshot->place_count = places > snapshot->place_count ? places : snapshot->place_count;
    }
}

/* Places the worker's arrays in `memory`; returns the rest of it. */
static float *share_out(const struct snapshot *snapshot, struct worker_scratch *scratch,
                        float *next, size_t items)
{
    for (uint32_t i = 0; i < snapshot->place_count; i++) {
        scratch->sum[i] = next;
        scratch->touched[i] = (uint32_t *)(void *)(next + items);
        next += 2 * items;
    }
    scratch->blend = next;
    scratch->upper = scratch->blend + items;
    scratch->block_best = scratch->upper + items;
    return scratch->block_best + items;
}

enum err_code snapshot_make_scratch(struct snapshot *snapshot, uint32_t item_count_max,
                                    struct err *err)
{
    /* Whole cache lines, so that each array has lines of its own. */
    size_t items = ((size_t)item_count_max + 15) & ~(size_t)15;
    size_t per_worker = items * (3 + 2 * (size_t)snapshot->place_count);
    snapshot->scratch = calloc(snapshot->worker_count, sizeof *snapshot->scratch);
    /* mmap gives zeroed memory that is resident only where used; calloc may recycle freed memory,
     * and would then touch all of it to clear it. */
    size_t bytes = per_worker * snapshot->worker_count * sizeof(float);
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) {
        snapshot->scratch_memory = memory;
        snapshot->scratch_bytes = bytes;
    }
    if (snapshot->scratch == NULL || snapshot->scratch_memory == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the scratch of %u workers, %zu items",
                       snapshot->worker_count, items);
    float *next = snapshot->scratch_memory;
    for (uint32_t w = 0; w < snapshot->worker_count; w++)
        next = share_out(snapshot, &snapshot->scratch[w], next, items);
    return ERR_OK;
}

void snapshot_free_scratch(struct snapshot *snapshot)
{
    free(snapshot->scratch);
    if (snapshot->scratch_memory != NULL)
        munmap(snapshot->scratch_memory, snapshot->scratch_bytes);
}
