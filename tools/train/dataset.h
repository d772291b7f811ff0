/* SPDX-License-Identifier: Apache-2.0 */
/* dataset - the interactions of a span of time as a matrix of people by items, and what came after
 * them as targets.
 *
 * A pair of person and item weighs what the strongest of its events weighs: purchase 1, cart 0.6,
 * view 0.3, as the daemon weighs a history; so data of purchases alone is binary.  A pair with a
 * dislike is left out.  Rows and columns are numbered in the order in which people and items first
 * occur in the file.
 *
 * Threads: built by one, then read by any. */
#ifndef TOOLS_TRAIN_DATASET_H
#define TOOLS_TRAIN_DATASET_H

#include "tools/train/interactions.h"
#include "tools/train/matrix.h"

#define DATASET_NONE UINT32_MAX
#define DATASET_ALL  UINT32_MAX /* as `until_s` */

/* Seconds since the epoch: from_s <= time < until_s. */
struct span {
    uint32_t from_s, until_s;
};

struct dataset {
    struct matrix pairs;      /* people by items */
    uint32_t *person;         /* owned; row -> person (interactions_person) */
    uint32_t *item;           /* owned; column -> item number */
    uint32_t *row_of_person;  /* owned; or DATASET_NONE */
    uint32_t *column_of_item; /* owned; or DATASET_NONE */
    uint64_t interaction_count;
    uint32_t newest_s;
};

float dataset_weight(enum event_class event_class); /* 0 for a dislike and for none */

/* ERR_NOT_FOUND when no view, cart or purchase is in the span, ERR_NOMEM. */
MUST_CHECK enum err_code dataset_build(const struct interactions *interactions, struct span span,
                                       struct dataset *ret_dataset, struct err *err);
void dataset_deinit(struct dataset *dataset); /* fine when zeroed */

/* What people of the dataset did in the span with items of the dataset. */
struct targets {
    struct matrix items;          /* rows and columns of the dataset */
    enum event_class event_class; /* the strongest that the span holds: only these are targets */
};

/* ERR_NOT_FOUND when there are none, ERR_NOMEM. */
MUST_CHECK enum err_code targets_build(const struct interactions *interactions, struct span span,
                                       const struct dataset *dataset, struct targets *ret_targets,
                                       struct err *err);
void targets_deinit(struct targets *targets);

/* Did the person of that row do before what makes a target? */
static inline bool targets_known(const struct targets *targets, float pair_weight)
{
    return pair_weight >= dataset_weight(targets->event_class);
}

#endif
