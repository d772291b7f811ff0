/* SPDX-License-Identifier: Apache-2.0 */
/* parallel - one loop over 0..count-1, shared by a few threads.
 *
 * Blocks of indexes are handed out in order; which thread gets which is not fixed, so a loop whose
 * result must not depend on that writes each result to its own place.  Threads: the caller's and
 * threads - 1 of its own, gone on return.  When one cannot be started the others do its share.
 * BLAS runs with one thread meanwhile (linear_algebra.h). */
#ifndef TOOLS_TRAIN_PARALLEL_H
#define TOOLS_TRAIN_PARALLEL_H

#include <stdint.h>

#define PARALLEL_THREADS_MAX 64

/* `thread` is 0..threads-1: the place of this thread's scratch. */
typedef void (*parallel_fn)(void *ctx, uint32_t thread, uint32_t begin, uint32_t end);

/* threads: 1..PARALLEL_THREADS_MAX; block: at least 1. */
void parallel_for(uint32_t threads, uint32_t count, uint32_t block, parallel_fn fn, void *ctx);

#endif
