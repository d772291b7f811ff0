/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/tally.h"

#include <stdlib.h>
#include <string.h>

#define LOAD(place)         atomic_load_explicit(&(place), memory_order_relaxed)
#define STORE(place, value) atomic_store_explicit(&(place), (value), memory_order_relaxed)

enum err_code tally_create(uint32_t worker_count, struct tally **ret_tally, struct err *err)
{
    size_t counts_bytes = (size_t)worker_count * TALLY_SIDE_COUNT * sizeof(struct tally_counts);
    struct tally *tally = calloc(1, sizeof *tally + counts_bytes);
    if (tally == NULL)
        return err_set(err, ERR_NOMEM, "no memory to count for %u workers", worker_count);
    tally->worker_count = worker_count;
    *ret_tally = tally;
    return ERR_OK;
}

void tally_destroy(struct tally **tally)
{
    free(*tally);
    *tally = NULL;
}

void tally_add_up(const struct tally *tally, enum tally_side side, struct tally_counts *ret_sum)
{
    memset(ret_sum, 0, sizeof *ret_sum);
    for (uint32_t w = 0; w < tally->worker_count; w++) {
        const struct tally_counts *counts = &tally->counts[w * TALLY_SIDE_COUNT + side];
        hist_merge(&ret_sum->latency, &counts->latency);
        STORE(ret_sum->errors, LOAD(ret_sum->errors) + LOAD(counts->errors));
        STORE(ret_sum->decisions, LOAD(ret_sum->decisions) + LOAD(counts->decisions));
        STORE(ret_sum->degraded, LOAD(ret_sum->degraded) + LOAD(counts->degraded));
        STORE(ret_sum->empty, LOAD(ret_sum->empty) + LOAD(counts->empty));
    }
}

void tally_subtract(struct tally_counts *sum, const struct tally_counts *earlier)
{
    hist_subtract(&sum->latency, &earlier->latency);
    STORE(sum->errors, LOAD(sum->errors) - LOAD(earlier->errors));
    STORE(sum->decisions, LOAD(sum->decisions) - LOAD(earlier->decisions));
    STORE(sum->degraded, LOAD(sum->degraded) - LOAD(earlier->degraded));
    STORE(sum->empty, LOAD(sum->empty) - LOAD(earlier->empty));
}
