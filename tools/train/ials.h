/* SPDX-License-Identifier: Apache-2.0 */
/* ials - matrix factorisation of implicit feedback by alternating least squares, after Rendle,
 * Krichene, Zhang, Koren, "Revisiting the performance of iALS on item recommendation benchmarks"
 * (2021).
 *
 * Minimises, over the observed pairs S of n(u) items a user,
 *
 *     sum_S (w.h - 1)^2  +  a0 * sum_all (w.h)^2
 *       + reg * (sum_u (n(u) + a0 |I|)^nu |w|^2 + sum_i (n(i) + a0 |U|)^nu |h|^2).
 *
 * Each half of a sweep solves one small system per row; a last user half makes every user's vector
 * the fold-in of that user's items, which is what the daemon computes for newcomers.  The result is
 * the same for a seed whatever the number of threads.
 *
 * Memory: 4 * dim bytes a user and an item.  Threads: its own (parallel.h). */
#ifndef TOOLS_TRAIN_IALS_H
#define TOOLS_TRAIN_IALS_H

#include "base/err.h"
#include "tools/train/matrix.h"

struct ials_options {
    uint32_t dim;    /* 1..512 */
    uint32_t sweeps; /* at least 1 */
    double regularization;
    double regularization_exponent; /* nu */
    double unobserved_weight;       /* a0 */
    uint64_t seed;
    uint32_t threads;
    void (*progress)(void *ctx, uint64_t done, uint64_t total); /* half sweeps; NULL: none */
    void *progress_ctx;
};

struct ials {
    uint32_t dim, user_count, item_count;
    float *user; /* owned; user_count rows of dim */
    float *item; /* owned */
};

/* Values of the pairs are not looked at: a pair is observed or not.  ERR_NOMEM; ERR_BAD_INPUT when
 * a system is not positive definite (regularization and unobserved_weight both 0). */
MUST_CHECK enum err_code ials_train(const struct matrix *pairs, const struct ials_options *options,
                                    struct ials *ret_ials, struct err *err);
void ials_deinit(struct ials *ials); /* fine on a zeroed one */

/* A vector for somebody with these items: ret_user[dim]. */
MUST_CHECK enum err_code ials_fold_in(const struct ials *ials, const struct ials_options *options,
                                      const uint32_t *items, uint32_t count, float *ret_user,
                                      struct err *err);

#endif
