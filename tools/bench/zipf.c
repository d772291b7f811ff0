/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/zipf.h"

#include <math.h>
#include <stdlib.h>

/* Every column gets the average weight: a light one is topped up by one heavy one. `stack` holds
 * light columns from its start and heavy ones from its end. */
static void fill(struct zipf *zipf, double *weights, uint32_t *stack)
{
    uint32_t light_count = 0;
    uint32_t heavy_at = zipf->count;
    for (uint32_t i = 0; i < zipf->count; i++) {
        zipf->keep[i] = 1;
        zipf->alias[i] = i;
        if (weights[i] < 1)
            stack[light_count++] = i;
        else
            stack[--heavy_at] = i;
    }
    while (light_count > 0 && heavy_at < zipf->count) {
        uint32_t light = stack[--light_count];
        uint32_t heavy = stack[heavy_at];
        zipf->keep[light] = (float)weights[light];
        zipf->alias[light] = heavy;
        weights[heavy] -= 1 - weights[light];
        if (weights[heavy] < 1) {
            heavy_at++;
            stack[light_count++] = heavy;
        }
    }
}

enum err_code zipf_init(struct zipf *zipf, uint32_t count, double exponent, struct err *err)
{
    ASSERT(count >= 1 && count <= ZIPF_COUNT_MAX);
    enum err_code rc = ERR_OK;
    double *weights = calloc(count, sizeof *weights);
    uint32_t *stack = calloc(count, sizeof *stack);
    *zipf = (struct zipf){.count = count};
    zipf->keep = calloc(count, sizeof *zipf->keep);
    zipf->alias = calloc(count, sizeof *zipf->alias);
    if (weights == NULL || stack == NULL || zipf->keep == NULL || zipf->alias == NULL) {
        zipf_deinit(zipf);
        rc = err_set(err, ERR_NOMEM, "out of memory for the shares of %u names", count);
        goto out;
    }
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = pow((double)i + 1, -exponent);
        sum += weights[i];
    }
    for (uint32_t i = 0; i < count; i++)
        weights[i] *= (double)count / sum;
    fill(zipf, weights, stack);
out:
    free(stack);
    free(weights);
    return rc;
}

void zipf_deinit(struct zipf *zipf)
{
    free(zipf->keep);
    free(zipf->alias);
    *zipf = (struct zipf){0};
}

uint32_t zipf_draw(const struct zipf *zipf, struct rand *rand)
{
    uint32_t column = (uint32_t)rand_below(rand, zipf->count);
    return rand_unit(rand) < (double)zipf->keep[column] ? column : zipf->alias[column];
}
