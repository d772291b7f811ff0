/* SPDX-License-Identifier: Apache-2.0 */
/* quality - what lists are like beside whether they hit: how much of the catalogue they show, how
 * well known it is, how much the items of a list differ, and how long the answers took.
 *
 *   coverage   share of the items of the training part that stand in any list
 *   novelty    mean over shown items of -log2(share of the people who had to do with it)
 *   diversity  mean over lists of the mean over its pairs of 1 - cosine of the people who had to do
 *              with both (intra-list distance); lists of one item have none
 *
 * Items that the training part does not have count for none of them.
 *
 * Threads: quality_take on any; the rest on one. */
#ifndef TOOLS_BENCH_QUALITY_H
#define TOOLS_BENCH_QUALITY_H

#include <pthread.h>
#include <stdio.h>

#include "base/hist.h"
#include "tools/train/remote.h"

struct quality_mode {
    uint8_t *shown; /* owned; by column */
    uint64_t item_count, pair_lists;
    double novelty_sum, diversity_sum;
};

struct quality_level {
    char name[REMOTE_LEVEL_BYTES];
    struct hist latency;
};

struct quality {
    const struct interactions *interactions;
    const struct dataset *dataset;
    const struct targets *targets;
    struct matrix people; /* of each item; owned */
    pthread_mutex_t lock; /* guards what follows */
    double *sum;          /* owned; by person, all zero between answers */
    struct quality_mode mode[EVALUATE_MODES];
    struct quality_level *level; /* owned; REMOTE_LEVELS_MAX */
    uint32_t level_count;
    FILE *outcomes; /* borrowed; NULL: not wanted */
    uint64_t outcome_count;
};

/* ERR_NOMEM. */
MUST_CHECK enum err_code quality_init(struct quality *quality,
                                      const struct interactions *interactions,
                                      const struct dataset *dataset, const struct targets *targets,
                                      struct err *err);
void quality_deinit(struct quality *quality); /* fine when zeroed */

/* One answer (remote_options.answered), with `ctx` the quality: measured, and what the person did
 * with the items of the list written as an event that names the decision. */
void quality_take(void *ctx, const struct remote_answer *answer);

double quality_coverage(const struct quality *quality, enum evaluate_mode mode);
double quality_novelty(const struct quality *quality, enum evaluate_mode mode);   /* NaN: no item */
double quality_diversity(const struct quality *quality, enum evaluate_mode mode); /* NaN: no pair */

#endif
