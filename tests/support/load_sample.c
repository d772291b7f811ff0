/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/load_sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"

void load_sample_fill(struct load_result *result, double middle_us, uint32_t count)
{
    struct rand rand;
    rand_init(&rand, 3);
    memset(result, 0, sizeof *result);
    for (uint32_t i = 0; i < count; i++) {
        double us = middle_us * exp(0.5 * rand_normal(&rand)) + (i % 100 == 0 ? 9 * middle_us : 0);
        hist_record(&result->latency, (uint64_t)(1000 * us));
        hist_record(&result->lag, 1000);
    }
    result->due_count = result->ok_count = result->answered_in_time = count;
    result->reply_bytes = 50 * (uint64_t)count;
    result->measured_ns = result->wall_ns = 1000000000;
    result->cpu_ns = 250000000;
    tally_add(&result->levels, text_of("full"), count);
}

char *load_sample_read(FILE *file, size_t *ret_len)
{
    long len = ftell(file);
    char *text = calloc(1, (size_t)len + 1);
    rewind(file);
    *ret_len = fread(text, 1, (size_t)len, file);
    assert_int_equal(*ret_len, len);
    fclose(file);
    return text;
}
