/* SPDX-License-Identifier: Apache-2.0 */
/* load_sample - results of a load as decide-bench counts them, made up, and the text of a file that
 * it wrote. */
#ifndef TESTS_SUPPORT_LOAD_SAMPLE_H
#define TESTS_SUPPORT_LOAD_SAMPLE_H

#include <stdio.h>

#include "tools/bench/histogram.h"
#include "tools/bench/report.h"

/* Latencies with a long tail, around `middle_us`. */
void load_sample_fill(struct load_result *result, double middle_us, uint32_t count);

/* What was written to the file, which is closed; the caller frees it. */
char *load_sample_read(FILE *file, size_t *ret_len);

#endif
