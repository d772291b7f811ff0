/* SPDX-License-Identifier: Apache-2.0 */
/* trained - a model of any of the kinds in memory, and the lists that it gives people of the
 * training part.  Threads: made by one, then read by any. */
#ifndef TOOLS_TRAIN_TRAINED_H
#define TOOLS_TRAIN_TRAINED_H

#include "base/err.h"
#include "tools/train/dataset.h"
#include "tools/train/evaluate.h"
#include "tools/train/ials.h"
#include "tools/train/neighbors.h"
#include "tools/train/options.h"

struct trained {
    enum train_command kind;
    struct ials ials;
    struct ials_options ials_options;
    struct neighbor_lists lists;
    float *popularity; /* owned; per column: views + 3 carts + 10 purchases, by people */
};

struct trained_progress {
    void (*step)(void *ctx, uint64_t done, uint64_t total); /* NULL: none */
    void *ctx;
};

/* Errors are those of the method. */
MUST_CHECK enum err_code trained_make(const struct train_options *options,
                                      const struct interactions *interactions,
                                      const struct dataset *dataset,
                                      struct trained_progress progress, struct trained *ret_trained,
                                      struct err *err);
void trained_deinit(struct trained *trained); /* fine when zeroed */

/* The score of every column for the person of that row. */
void trained_score(const struct trained *trained, const struct dataset *dataset, uint32_t row,
                   float *ret_scores);

/* Metrics of the model's own lists. */
MUST_CHECK enum err_code trained_evaluate(const struct trained *trained,
                                          const struct dataset *dataset,
                                          const struct targets *targets, uint32_t k,
                                          uint32_t threads, struct evaluation *ret_evaluation,
                                          struct err *err);

#endif
