/* SPDX-License-Identifier: Apache-2.0 */
/* factors_world - a bundle of random factors in a folder of its own, the model that was loaded from
 * it, and what was written.  What cannot be made fails the test.  Threads: one owner. */
#ifndef TESTS_SUPPORT_FACTORS_WORLD_H
#define TESTS_SUPPORT_FACTORS_WORLD_H

#include "models/model.h"
#include "tests/support/temp_dir.h"

enum { ITEMS_MAX = 1500, USERS = 3, HISTORY_MAX = 1200 };

/* Of the bundle: what was not observed, and the regularization with its exponent. */
extern const double factors_world_weight;
extern const double factors_world_ridge;
extern const double factors_world_nu;

struct factors_world {
    struct temp_dir dir;
    struct model *model;
    uint32_t item_count, dim;
    float *item; /* what was written to the bundle */
    float *user;
    struct arena arena;
};

/* The model of any bundle in that folder. */
void factors_world_load(const char *path, struct model **ret_model);
void factors_world_create(struct factors_world *world, uint32_t item_count, uint32_t dim);
void factors_world_destroy(struct factors_world *world);

#endif
