/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "models/blend.h"
#include "models/model_internal.h"

static double transformed(enum blend_transform transform, double score)
{
    return transform == BLEND_sigmoid ? 1.0 / (1.0 + exp(-score)) : score;
}

double blend_add(const struct blend_part *part, double sum, double score)
{
    return sum + part->weight * transformed(part->transform, score);
}

double blend_of_scores(const struct model *blend, const double *scores)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < blend->as.blend->part_count; i++) {
        const struct blend_part *part = &blend->as.blend->part[i];
        sum = blend_add(part, sum, isnan(scores[i]) ? part->fallback : scores[i]);
    }
    return sum;
}
