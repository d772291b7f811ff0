/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/pipeline.h"

const float *sources_mean_embedding(struct pipeline *p, uint32_t s)
{
    const struct model *model = p->models->source[s];
    uint32_t count = 0;
    const float *heard = sources_history_weights(p, s, &count);
    uint32_t *row = ARENA_NEW(p->arena, uint32_t, p->seed_count + count);
    float *weight = ARENA_NEW(p->arena, float, p->seed_count + count);
    float *vector = ARENA_NEW(p->arena, float, factors_dim(model->as.factors));
    if (heard == NULL || row == NULL || weight == NULL || vector == NULL) {
        p->no_room = true;
        return NULL;
    }
    for (uint32_t i = 0; i < p->seed_count; i++) {
        row[i] = model_row(model, p->seed[i]);
        weight[i] = 1.0f;
    }
    for (uint32_t i = 0; i < count; i++) {
        row[p->seed_count + i] = model_row(model, p->history.item[i]);
        weight[p->seed_count + i] = heard[i];
    }
    bool is_known = embeddings_mean(model->as.factors, row, weight, p->seed_count + count, vector);
    return is_known ? vector : NULL;
}
