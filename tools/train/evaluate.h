/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate - how well lists of k items meet what people did next.
 *
 * For every person with targets: recall = hits / min(k, targets), ndcg with binary gains
 * (sum 1 / log2(1 + place) over hits, divided by the best possible), hr = any hit; then means over
 * people.  Two modes:
 *   new  targets that the person had not bought before; bought ones are not recommended
 *   any  all targets, repeat purchases included
 * ("bought": did what makes a target, see dataset.h.)
 *
 * The result does not depend on the number of threads. */
#ifndef TOOLS_TRAIN_EVALUATE_H
#define TOOLS_TRAIN_EVALUATE_H

#include "base/err.h"
#include "tools/train/dataset.h"

#define EVALUATE_K_MAX 500

enum evaluate_mode { EVALUATE_NEW, EVALUATE_ANY, EVALUATE_MODES };
const char *evaluate_mode_name(enum evaluate_mode mode); /* "new" */

struct person_metrics {
    double recall, ndcg, hr;
};

struct mode_metrics {
    uint32_t users; /* people with targets */
    struct person_metrics mean;
};

struct evaluation {
    uint32_t k;
    struct mode_metrics mode[EVALUATE_MODES];
};

/* The list of at most k columns (best first, each once) for the person of that row; columns that
 * the model does not know are DATASET_NONE.  Called on any of the threads.  Returns how many; the
 * error text goes to *err. */
struct lists_source {
    void *ctx;
    enum err_code (*list)(void *ctx, uint32_t thread, uint32_t row, enum evaluate_mode mode,
                          uint32_t k, uint32_t *ret_columns, uint32_t *ret_count, struct err *err);
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* NULL: none; any thread, one at a
                                                                   time */
    void *progress_ctx;
};

/* Metrics of one list against `target_count` targets (at least 1, ascending). */
struct person_metrics evaluate_list(const uint32_t *columns, uint32_t count, uint32_t k,
                                    const uint32_t *targets, uint32_t target_count);

/* Stops at the first list that fails and passes its error on.  ERR_NOMEM. */
MUST_CHECK enum err_code evaluate(const struct dataset *dataset, const struct targets *targets,
                                  const struct lists_source *source, uint32_t k, uint32_t threads,
                                  struct evaluation *ret_evaluation, struct err *err);

#endif
