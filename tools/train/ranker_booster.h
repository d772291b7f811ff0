/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_booster - gradient-boosted trees that order items, trained through XGBoost's C API.
 *
 * After each round the trees so far are measured on the validation part; when ndcg@k has not risen
 * for `patience` rounds, training ends and the rounds up to the best one are kept.  With one thread
 * the same rows, options and seed give the same bytes.
 *
 * Threads: one caller; XGBoost starts `threads` of its own.  Errors of the library are ERR_IO with
 * its own words. */
#ifndef TOOLS_TRAIN_RANKER_BOOSTER_H
#define TOOLS_TRAIN_RANKER_BOOSTER_H

#include "tools/train/ranker_metrics.h"
#include "tools/train/ranker_rows.h"

struct ranker_booster_options {
    const char *objective; /* "ndcg", "pairwise" or "logistic" */
    enum ranker_label label;
    uint32_t rounds, patience, depth, pairs, threads, k;
    uint64_t seed;
    double learning_rate, min_child_weight, l2, subsample, column_share;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* NULL: none */
    void *progress_ctx;
};

struct ranker_importance {
    uint32_t column;
    double gain; /* of all its splits; the sum over all columns is 1 */
};

struct ranker_model {
    uint8_t *bytes; /* owned: as XGBoost saves it (UBJSON) */
    size_t len;
    uint32_t rounds;                      /* kept */
    bool is_measured;                     /* there is a validation part */
    struct ranker_metrics metrics, shown; /* of its validation part, and of the order shown there */
    struct ranker_importance *importance; /* owned; most first, those with a gain alone */
    uint32_t importance_count;
    float *golden; /* owned; scores of the rows asked for */
};

/* Groups [0, train_count) teach, those behind them validate.  `golden`: golden_count rows of
 * feature_count values each, whose scores the caller wants to have. */
MUST_CHECK enum err_code ranker_boost(const struct ranker_rows *rows, uint64_t train_count,
                                      const struct ranker_booster_options *options,
                                      const float *golden, uint32_t golden_count,
                                      struct ranker_model *ret_model, struct err *err);
void ranker_model_deinit(struct ranker_model *model); /* fine when zeroed */

#endif
