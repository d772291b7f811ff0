/* SPDX-License-Identifier: Apache-2.0 */
/* ranker_result - what a run of `decide-train ranker` made, and how it is told: as a bundle of the
 * kind trees, as a table, as JSON.  Threads: one. */
#ifndef TOOLS_TRAIN_RANKER_RESULT_H
#define TOOLS_TRAIN_RANKER_RESULT_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "tools/train/options.h"
#include "tools/train/publish.h"
#include "tools/train/ranker_booster.h"

struct ranker_result {
    const struct train_options *options;
    const struct ranker_rows *rows;
    const struct ranker_model *model;
    uint64_t lines, no_contrast; /* read; decisions that say nothing about an order */
    uint64_t train_count;        /* decisions, the oldest ones */
    double read_s, train_s;
};

/* ranker_golden.c: rows of feature_count values each, spread over all, and one that knows nothing.
 * The caller frees.  ERR_NOMEM. */
MUST_CHECK enum err_code ranker_golden_choose(const struct ranker_rows *rows, float **ret_value,
                                              uint32_t *ret_count, struct err *err);
/* With the scores of the model; the caller cJSON_Deletes. */
MUST_CHECK enum err_code ranker_golden_rows(const struct ranker_rows *rows, const float *value,
                                            uint32_t count, const float *score, cJSON **ret_rows,
                                            struct err *err);

/* ranker_publish.c */
MUST_CHECK enum err_code ranker_publish(const struct publish_place *place,
                                        const struct ranker_result *result, const cJSON *golden,
                                        struct err *err);
/* {"ndcg@20", "recall@20", "mrr"}; false when memory is out. */
bool ranker_add_metrics(cJSON *to, const char *key, const struct ranker_metrics *metrics,
                        uint32_t k);
/* {"item.price": 0.31, ...}, most first */
bool ranker_add_importance(cJSON *to, const struct ranker_result *result);

/* ranker_report.c: `bundle` is its folder. */
MUST_CHECK enum err_code ranker_report(const struct ranker_result *result, const char *bundle,
                                       FILE *out, struct err *err);

#endif
