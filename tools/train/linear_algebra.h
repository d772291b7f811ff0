/* SPDX-License-Identifier: Apache-2.0 */
/* linear_algebra - what training needs of BLAS and LAPACK, both in OpenBLAS.
 *
 * Matrices are row-major; a symmetric one is given by its lower triangle.  OpenBLAS runs with one
 * thread (linear_algebra_start, first thing in main) beside our own threads; only the inverse of a
 * large matrix, which is one long computation, lets it use more.  Threads: any, each with its own
 * matrices; linear_algebra_invert by one at a time and with no other call in progress. */
#ifndef TOOLS_TRAIN_LINEAR_ALGEBRA_H
#define TOOLS_TRAIN_LINEAR_ALGEBRA_H

#include <stdbool.h>
#include <stdint.h>

void linear_algebra_start(void);

/* gram += rows' * rows for `count` rows of `dim` floats; only the lower triangle is touched. */
void linear_algebra_add_gram(const float *rows, uint32_t count, uint32_t dim, float *gram);

/* Solves system * x = right for a symmetric positive definite system, in place: the system becomes
 * its Cholesky factor, `right` the solution.  False when it is not positive definite. */
bool linear_algebra_solve(float *system, uint32_t dim, float *right);

/* ret_scores[i] = rows[i] . vector */
void linear_algebra_score(const float *rows, uint32_t count, uint32_t dim, const float *vector,
                          float *ret_scores);

/* Inverse of a symmetric positive definite matrix in place, both triangles filled.  False when it
 * is not positive definite. */
bool linear_algebra_invert(float *matrix, uint32_t dim, uint32_t threads);

#endif
