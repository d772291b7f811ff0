/* SPDX-License-Identifier: Apache-2.0 */
/* histogram - a latency distribution as text: a table of percentiles, and a bar for each range.
 * Threads: none. */
#ifndef TOOLS_BENCH_HISTOGRAM_H
#define TOOLS_BENCH_HISTOGRAM_H

#include <stdio.h>

#include "base/hist.h"

void histogram_print(const struct hist *hist, FILE *out);

#endif
