/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas-openblas.h>

#include "models/model_internal.h"

uint32_t factors_dim(const struct factors *factors)
{
    return factors->dim;
}

const float *factors_user(const struct factors *factors, struct text user)
{
    uint32_t row = ids_find(factors->user_ids, user);
    return row == UINT32_MAX ? NULL : factors->user + (size_t)row * factors->dim;
}

float factors_score(const struct factors *factors, const float *user, uint32_t row)
{
    ASSERT(row < factors->item_count);
    return cblas_sdot((int)factors->dim, user, 1, factors->item + (size_t)row * factors->dim, 1);
}

void factors_add_upper(const struct model *model, const float *user, float weight, float *io_upper)
{
    const struct factors *factors = model->as.factors;
    if (factors->uppers != NULL)
        uppers_add(factors->uppers, user, factors->dim, weight, io_upper);
    else
        sieve_add_upper(factors->sieve, user, weight, model->item_of_row, io_upper);
}

void factors_retrieval(const struct factors *factors, struct factors_retrieval *ret_retrieval)
{
    const struct factors_index *index = factors->index;
    *ret_retrieval = (struct factors_retrieval){.is_exact = index == NULL,
                                                .recall = 1.0,
                                                .build_ns = factors->prepare_ns,
                                                .bytes = factors->prepare_bytes};
    if (index == NULL)
        return;
    ret_retrieval->list_count = index->lists->list_count;
    ret_retrieval->probes = index->probes;
    ret_retrieval->recall = index->recall;
    ret_retrieval->recall_queries = index->recall_queries;
}
