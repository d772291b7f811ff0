/* SPDX-License-Identifier: Apache-2.0 */
#include <cblas-openblas.h>
#include <math.h>
#include <stdlib.h>

#include "base/background.h"
#include "base/clock.h"
#include "models/model_internal.h"

enum { GRAM_BLOCK_ROWS = 1024 };

_Static_assert(FACTORS_DIM_MAX <= SIEVE_DIM_MAX, "a sieve takes every row");

enum err_code factors_take_matrix(struct bundle *bundle, struct model *model, const char *key,
                                  uint64_t dim, struct safetensors **ret_file,
                                  const struct tensor **ret_tensor, struct err *err)
{
    const uint64_t dims[] = {UINT64_MAX, dim};
    struct bundle_file *source = NULL;
    enum err_code rc = bundle_file(bundle, key, &source, err);
    if (rc == ERR_OK)
        rc = model_take_tensors(bundle, key, 1, ret_file, err);
    if (rc == ERR_OK)
        rc = model_make_floats(model, *ret_file, key, TENSOR_F32, err);
    if (rc == ERR_OK)
        rc = safetensors_expect(*ret_file, key, TENSOR_F32, dims, 2, ret_tensor, err);
    if (rc == ERR_OK && ((*ret_tensor)->dim[1] < 1 || (*ret_tensor)->dim[1] > FACTORS_DIM_MAX))
        rc = err_set(err, ERR_CORRUPT, "%s: tensor '%s': expected 1..%d factors, got %llu",
                     source->path, key, FACTORS_DIM_MAX, (unsigned long long)(*ret_tensor)->dim[1]);
    if (rc == ERR_OK)
        rc = model_check_values(source->path, *ret_tensor, -FACTOR_ABS_MAX, FACTOR_ABS_MAX, err);
    return rc;
}

/* The part of the fold-in's system that does not depend on the person, in double: with millions of
 * rows a float would not hold the sum. */
static bool compute_gram(struct factors *factors)
{
    size_t dim = factors->dim;
    double *block = malloc(GRAM_BLOCK_ROWS * dim * sizeof *block);
    factors->gram = calloc(dim * dim, sizeof *factors->gram);
    bool ok = block != NULL && factors->gram != NULL;
    for (uint32_t first = 0; ok && first < factors->item_count; first += GRAM_BLOCK_ROWS) {
        uint32_t left = factors->item_count - first;
        uint32_t rows = left < GRAM_BLOCK_ROWS ? left : GRAM_BLOCK_ROWS;
        const float *from = factors->item + first * dim;
        for (size_t i = 0; i < rows * dim; i++)
            block[i] = from[i];
        cblas_dsyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)dim, (int)rows,
                    factors->unobserved_weight, block, (int)dim, 1.0, factors->gram, (int)dim);
        background_rest();
    }
    free(block);
    return ok;
}

static enum err_code load_params(struct bundle *bundle, struct factors *factors, struct err *err)
{
    enum err_code rc =
        bundle_param(bundle, "unobserved_weight", 0, 1e6, NAN, &factors->unobserved_weight, err);
    if (rc == ERR_OK)
        rc = bundle_param(bundle, "regularization", 0, 1e9, NAN, &factors->regularization, err);
    if (rc == ERR_OK)
        rc = bundle_param(bundle, "regularization_exponent", 0, 2, 1,
                          &factors->regularization_exponent, err);
    return rc;
}

/* Every item is read where there are few, and the lists of an index where there are more. */
enum err_code factors_prepare(const struct bundle *bundle, struct model *model, struct err *err)
{
    struct factors *factors = model->as.factors;
    double index_items = INDEX_ITEMS_DEFAULT;
    struct factors_index_spec spec = {.items = factors->item,
                                      .item_count = factors->item_count,
                                      .dim = factors->dim,
                                      .users = factors->user,
                                      .user_count = factors->user_count};
    enum err_code rc =
        bundle_param(bundle, "index_items", 1, UINT32_MAX, INDEX_ITEMS_DEFAULT, &index_items, err);
    if (rc == ERR_OK)
        rc = bundle_param(bundle, "index_recall", 0.5, 1, INDEX_RECALL_DEFAULT, &spec.recall, err);
    if (rc != ERR_OK)
        return rc;
    uint64_t began_ns = clock_now_ns(clock_system());
    if (factors->item_count < index_items)
        rc = sieve_create(factors->item, factors->item_count, factors->dim, NULL, 1,
                          &factors->sieve, err);
    else
        rc = factors_index_create(&spec, &factors->index, err);
    if (rc != ERR_OK)
        return rc;
    factors->prepare_ns = clock_now_ns(clock_system()) - began_ns;
    if (factors->index != NULL)
        factors->sieve = factors->index->lists;
    factors->prepare_bytes =
        factors->index == NULL ? sieve_bytes(factors->sieve) : factors_index_bytes(factors->index);
    model->bytes += factors->prepare_bytes;
    return ERR_OK;
}

enum err_code factors_load(struct bundle *bundle, struct model *model, struct err *err)
{
    const struct tensor *user = NULL;
    const struct tensor *item = NULL;
    struct factors *factors = calloc(1, sizeof *factors);
    model->as.factors = factors;
    if (factors == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    enum err_code rc = load_params(bundle, factors, err);
    if (rc == ERR_OK)
        rc = factors_take_matrix(bundle, model, "item_factors", UINT64_MAX, &factors->item_file,
                                 &item, err);
    if (rc == ERR_OK)
        rc = factors_take_matrix(bundle, model, "user_factors", item->dim[1], &factors->user_file,
                                 &user, err);
    if (rc == ERR_OK)
        rc = model_take_ids(bundle, "item_ids", item->dim[0], &model->items, err);
    if (rc == ERR_OK)
        rc = model_take_ids(bundle, "user_ids", user->dim[0], &factors->user_ids, err);
    if (rc != ERR_OK)
        return rc;
    if (item->dim[0] == 0)
        return err_set(err, ERR_CORRUPT, "tensor 'item_factors': expected at least one row");
    factors->dim = (uint32_t)item->dim[1];
    factors->item_count = (uint32_t)item->dim[0];
    factors->user_count = (uint32_t)user->dim[0];
    factors->item = item->data;
    factors->user = user->data;
    if (!compute_gram(factors))
        return err_set(err, ERR_NOMEM, "out of memory for %u factors of model %s", factors->dim,
                       model->label);
    model->bytes += sizeof *factors + ids_bytes(factors->user_ids) +
                    (uint64_t)factors->dim * factors->dim * sizeof *factors->gram;
    return factors_prepare(bundle, model, err);
}

enum err_code factors_bind(struct model *model, const uint32_t *row_of_item, uint32_t item_count,
                           struct err *err)
{
    struct factors *factors = model->as.factors;
    if (item_count > UPPERS_ITEMS_MAX)
        return ERR_OK;
    enum err_code rc =
        uppers_create(factors->item, factors->dim, row_of_item, item_count, &factors->uppers, err);
    if (rc == ERR_OK)
        model->bytes += uppers_bytes(factors->uppers);
    return rc;
}

void factors_destroy(struct factors *factors)
{
    if (factors == NULL)
        return;
    safetensors_close(&factors->user_file);
    safetensors_close(&factors->item_file);
    ids_close(&factors->user_ids);
    free(factors->gram);
    free(factors->unit);
    if (factors->index == NULL)
        sieve_destroy(&factors->sieve);
    factors_index_destroy(&factors->index);
    uppers_destroy(&factors->uppers);
    free(factors);
}
