/* SPDX-License-Identifier: Apache-2.0 */
/* model_speed - how long a model takes for one row and for a hundred, measured here and now.
 *
 * The rows are the golden ones, over and over.  What is reported is the median over many runs of
 * some 0.1 s in all: this machine's, on one thread, with warm caches.  A row is a candidate: of a
 * ranker all its features, of the other kinds one item's score, neighbors or price.
 * Threads: one. */
#ifndef TOOLS_CTL_MODEL_SPEED_H
#define TOOLS_CTL_MODEL_SPEED_H

#include "models/model.h"

enum { MODEL_SPEED_BATCH = 100 };

struct model_speed {
    double one_row_us;
    double batch_row_us; /* of each of MODEL_SPEED_BATCH rows */
};

/* `rows` of golden.json.  ERR_NOMEM. */
MUST_CHECK enum err_code model_speed(const struct model *model, const cJSON *rows,
                                     struct model_speed *ret_speed, struct err *err);

#endif
