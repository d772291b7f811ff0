/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_metrics - how good an order of the shown items is, against what came of them.
 *
 *   ndcg@k    gains 2^grade - 1, discounts 1 / log2(1 + place)
 *   recall@k  items with a grade above 0 among the first k, of min(k, all of them)
 *   mrr       1 / place of the first item with a grade above 0
 * Means over decisions; of equal scores the one that was shown first stands first.
 * Threads: no state. */
#ifndef TOOLS_TRAIN_RANKER_METRICS_H
#define TOOLS_TRAIN_RANKER_METRICS_H

#include <stdint.h>

#include "base/err.h"

struct ranker_metrics {
    double ndcg, recall, mrr;
};

/* Rows of several decisions, one after the other. */
struct ranker_lists {
    const float *grade; /* of each row */
    const uint32_t *row_count;
    uint64_t count; /* of decisions, at least 1; each has a row with a grade above 0 */
};

/* `score` NULL: the order in which they were shown.  ERR_NOMEM. */
MUST_CHECK enum err_code ranker_measure(const struct ranker_lists *lists, const float *score,
                                        uint32_t k, struct ranker_metrics *ret_metrics,
                                        struct err *err);

#endif
