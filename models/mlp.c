/* SPDX-License-Identifier: Apache-2.0 */
/* Loads a bundle of the kind mlp: tensors of any type of floats become floats in memory of our own,
 * with batch norm folded in. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/bundle_internal.h"
#include "models/model_internal.h"

enum { LINE_BYTES = 64, TENSOR_NAME_BYTES = 64 };

#define MEAN_MAX     1e12
#define VARIANCE_MAX 1e24
#define SCALE_MIN    1e-12
#define SCALE_SUFFIX "_scale"

static const char *const parts[] = {"weight",  "bias",   "bn_weight", "bn_bias",
                                    "bn_mean", "bn_var", NULL};
enum { WEIGHT, BIAS, BN_WEIGHT, BN_BIAS, BN_MEAN, BN_VAR, PART_COUNT };

struct loading {
    struct mlp *mlp;
    struct safetensors *file;
    const char *path; /* for messages */
    double bn_eps;
    uint64_t parameter_count; /* so far */
};

static void name_part(uint32_t layer, uint32_t part, char name[TENSOR_NAME_BYTES])
{
    snprintf(name, TENSOR_NAME_BYTES, "layers.%u.%s", layer, parts[part]);
}

/* ---- the manifest ---------------------------------------------------------------------------- */

static enum err_code parse_activation(const struct json_at *at, enum mlp_activation *ret_activation,
                                      struct err *err)
{
    static const char *const names[] = {
#define X(name) #name,
        MLP_ACTIVATIONS(X)
#undef X
            "identity",
        NULL};
    uint32_t index = 0;
    enum err_code rc = json_name(at, names, &index, err);
    if (rc == ERR_OK)
        *ret_activation = index == MLP_ACTIVATION_COUNT ? MLP_none : (enum mlp_activation)index;
    return rc;
}

/* One for each layer, which says how many there are. */
static enum err_code parse_activations(const struct bundle *bundle, struct mlp *mlp,
                                       struct err *err)
{
    int count = 0;
    struct json_at root = json_root(MANIFEST_NAME, bundle->manifest);
    struct json_at params = json_member(&root, "params");
    struct json_at at = json_member(&params, "activations");
    enum err_code rc = json_array(&at, &count, err);
    if (rc == ERR_OK && (count < 1 || count > MLP_LAYERS_MAX))
        rc = err_set(err, ERR_CORRUPT, "%s: expected one for each of 1..%d layers, got %d", at.path,
                     MLP_LAYERS_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(&at, i);
        rc = parse_activation(&element, &mlp->layer[i].activation, err);
    }
    if (rc == ERR_OK)
        mlp->layer_count = (uint32_t)count;
    return bundle_fault(rc, err);
}

static enum err_code parse_params(const struct bundle *bundle, struct loading *loading,
                                  struct err *err)
{
    double sigmoid = 0;
    enum err_code rc = parse_activations(bundle, loading->mlp, err);
    if (rc == ERR_OK)
        rc = bundle_param(bundle, "sigmoid", 0, 1, 0, &sigmoid, err);
    if (rc == ERR_OK && sigmoid != 0.0 && sigmoid != 1.0)
        rc = err_set(err, ERR_CORRUPT, "manifest.json: params.sigmoid: expected 0 or 1, got %g",
                     sigmoid);
    if (rc == ERR_OK)
        rc = bundle_param(bundle, "bn_eps", 0, 1, 1e-5, &loading->bn_eps, err);
    loading->mlp->sigmoid = sigmoid == 1.0;
    return rc;
}

/* ---- the tensors ----------------------------------------------------------------------------- */

static bool is_part(const char *name, uint32_t layer_count)
{
    char known[TENSOR_NAME_BYTES];
    bool found = strcmp(name, "mean") == 0 || strcmp(name, "scale") == 0;
    for (uint32_t i = 0; i < layer_count * PART_COUNT && !found; i++) {
        name_part(i / PART_COUNT, i % PART_COUNT, known);
        found = strcmp(name, known) == 0;
    }
    return found;
}

/* A part, or the scales of one of I8. */
static bool is_known(const struct loading *loading, const char *name)
{
    char part[TENSOR_NAME_BYTES];
    size_t len = strlen(name);
    size_t suffix_len = strlen(SCALE_SUFFIX);
    if (is_part(name, loading->mlp->layer_count))
        return true;
    if (len <= suffix_len || len - suffix_len >= sizeof part ||
        strcmp(name + len - suffix_len, SCALE_SUFFIX) != 0)
        return false;
    text_copy((struct text){name, (uint32_t)(len - suffix_len)}, part, sizeof part);
    const struct tensor *tensor = safetensors_find(loading->file, part);
    return tensor != NULL && tensor->type == TENSOR_I8 && is_part(part, loading->mlp->layer_count);
}

static enum err_code make_floats(struct loading *loading, struct err *err)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = 0; i < safetensors_count(loading->file) && rc == ERR_OK; i++) {
        const struct tensor *tensor = safetensors_at(loading->file, i);
        if (tensor->type == TENSOR_I8)
            rc = safetensors_make_floats(loading->file, tensor->name, TENSOR_F32, err);
    }
    return rc;
}

static enum err_code refuse_unknown(const struct loading *loading, struct err *err)
{
    for (uint32_t i = 0; i < safetensors_count(loading->file); i++) {
        const char *name = safetensors_at(loading->file, i)->name;
        if (!is_known(loading, name))
            return err_set(err, ERR_CORRUPT,
                           "%s: tensor '%.128s': unknown; there are the %u layers of "
                           "params.activations, mean and scale",
                           loading->path, name, loading->mlp->layer_count);
    }
    return ERR_OK;
}

static enum err_code take(const struct loading *loading, const char *name, const uint64_t *dims,
                          uint32_t dim_count, double min, double max,
                          const struct tensor **ret_tensor, struct err *err)
{
    enum err_code rc =
        safetensors_expect_floats(loading->file, name, dims, dim_count, ret_tensor, err);
    return rc == ERR_OK ? model_check_values(loading->path, *ret_tensor, min, max, err) : rc;
}

/* One value for each feature, `otherwise` without that tensor. */
static enum err_code read_by_feature(const struct loading *loading, const char *name, double min,
                                     double otherwise, double **ret_values, struct err *err)
{
    uint32_t count = loading->mlp->feature_count;
    const struct tensor *tensor = NULL;
    if (safetensors_find(loading->file, name) != NULL) {
        enum err_code rc =
            take(loading, name, (const uint64_t[]){count}, 1, min, MEAN_MAX, &tensor, err);
        if (rc != ERR_OK)
            return rc;
    }
    double *values = malloc(count * sizeof *values);
    if (values == NULL)
        return err_set(err, ERR_NOMEM, "%s: out of memory for %u features", loading->path, count);
    for (uint32_t i = 0; i < count; i++)
        values[i] = tensor == NULL ? otherwise : tensor_float(tensor, i);
    *ret_values = values;
    return ERR_OK;
}

/* All of batch norm's tensors or none of them. */
static enum err_code take_batch_norm(const struct loading *loading, uint32_t index,
                                     const struct tensor *part[PART_COUNT], struct err *err)
{
    static const struct {
        double min, max;
    } range[PART_COUNT] = {[BN_WEIGHT] = {-MLP_WEIGHT_MAX, MLP_WEIGHT_MAX},
                           [BN_BIAS] = {-MLP_WEIGHT_MAX, MLP_WEIGHT_MAX},
                           [BN_MEAN] = {-MEAN_MAX, MEAN_MAX},
                           [BN_VAR] = {0, VARIANCE_MAX}};
    char name[TENSOR_NAME_BYTES];
    const uint64_t dims[] = {loading->mlp->layer[index].out};
    bool any = false;
    enum err_code rc = ERR_OK;
    for (uint32_t p = BN_WEIGHT; p < PART_COUNT; p++) {
        name_part(index, p, name);
        any = any || safetensors_find(loading->file, name) != NULL;
    }
    for (uint32_t p = BN_WEIGHT; p < PART_COUNT && any && rc == ERR_OK; p++) {
        name_part(index, p, name);
        rc = take(loading, name, dims, 1, range[p].min, range[p].max, &part[p], err);
    }
    for (uint64_t i = 0; any && rc == ERR_OK && i < dims[0]; i++) {
        if (!(tensor_float(part[BN_VAR], i) + loading->bn_eps > 0))
            rc = err_set(err, ERR_CORRUPT, "%s: tensor '%s', element %llu: 0, and so is bn_eps",
                         loading->path, part[BN_VAR]->name, (unsigned long long)i);
    }
    return rc;
}

/* What batch norm makes of one output: y = (W x + b - mean) factor + shift. */
static void read_norm(const struct loading *loading, const struct tensor *const part[PART_COUNT],
                      uint64_t out, double *ret_factor, double *ret_bias)
{
    double bias = tensor_float(part[BIAS], out);
    double factor = 1.0;
    if (part[BN_VAR] != NULL) {
        factor = tensor_float(part[BN_WEIGHT], out) /
                 sqrt(tensor_float(part[BN_VAR], out) + loading->bn_eps);
        bias =
            (bias - tensor_float(part[BN_MEAN], out)) * factor + tensor_float(part[BN_BIAS], out);
    }
    *ret_factor = factor;
    *ret_bias = bias;
}

static enum err_code fold(const struct loading *loading,
                          const struct tensor *const part[PART_COUNT], struct mlp_layer *layer,
                          struct err *err)
{
    for (uint64_t o = 0; o < layer->out; o++) {
        double factor = 0;
        double bias = 0;
        read_norm(loading, part, o, &factor, &bias);
        double largest = fabs(bias);
        for (uint64_t i = o * layer->in; i < (o + 1) * layer->in; i++) {
            double weight = tensor_float(part[WEIGHT], i) * factor;
            largest = fmax(largest, fabs(weight));
            layer->weight[i] = (float)fmin(fmax(weight, -MLP_WEIGHT_MAX), MLP_WEIGHT_MAX);
        }
        if (!(largest <= MLP_WEIGHT_MAX))
            return err_set(err, ERR_CORRUPT,
                           "%s: tensor '%s', output %llu: batch norm makes %g of it, expected "
                           "up to %g",
                           loading->path, part[WEIGHT]->name, (unsigned long long)o, largest,
                           MLP_WEIGHT_MAX);
        layer->bias[o] = (float)bias;
    }
    return ERR_OK;
}

static enum err_code allocate(struct mlp_layer *layer, struct err *err)
{
    size_t bytes = (size_t)layer->in * layer->out * sizeof *layer->weight;
    layer->weight = aligned_alloc(LINE_BYTES, (bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES);
    layer->bias = malloc(layer->out * sizeof *layer->bias);
    if (layer->weight == NULL || layer->bias == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a layer of %u by %u", layer->out,
                       layer->in);
    return ERR_OK;
}

static enum err_code load_layer(struct loading *loading, uint32_t index, struct err *err)
{
    struct mlp *mlp = loading->mlp;
    struct mlp_layer *layer = &mlp->layer[index];
    const struct tensor *part[PART_COUNT] = {NULL};
    char name[TENSOR_NAME_BYTES];
    bool is_last = index + 1 == mlp->layer_count;
    layer->in = index == 0 ? mlp->feature_count : mlp->layer[index - 1].out;
    name_part(index, WEIGHT, name);
    enum err_code rc = take(loading, name, (const uint64_t[]){is_last ? 1 : UINT64_MAX, layer->in},
                            2, -MLP_WEIGHT_MAX, MLP_WEIGHT_MAX, &part[WEIGHT], err);
    if (rc != ERR_OK)
        return rc;
    uint64_t out = part[WEIGHT]->dim[0];
    if (out < 1 || out > MLP_WIDTH_MAX)
        return err_set(err, ERR_CORRUPT, "%s: tensor '%s': expected 1..%d outputs, got %llu",
                       loading->path, name, MLP_WIDTH_MAX, (unsigned long long)out);
    layer->out = (uint32_t)out;
    loading->parameter_count += out * (layer->in + 1ULL);
    if (loading->parameter_count > MLP_PARAMETERS_MAX)
        return err_set(err, ERR_LIMIT, "%s: tensor '%s': more than %llu parameters in all",
                       loading->path, name, (unsigned long long)MLP_PARAMETERS_MAX);
    name_part(index, BIAS, name);
    rc = take(loading, name, &out, 1, -MLP_WEIGHT_MAX, MLP_WEIGHT_MAX, &part[BIAS], err);
    if (rc == ERR_OK)
        rc = take_batch_norm(loading, index, part, err);
    if (rc == ERR_OK)
        rc = allocate(layer, err);
    if (rc == ERR_OK)
        rc = fold(loading, part, layer, err);
    if (layer->out > mlp->width)
        mlp->width = layer->out;
    return rc;
}

static enum err_code load_tensors(struct bundle *bundle, struct loading *loading, struct err *err)
{
    struct mlp *mlp = loading->mlp;
    struct bundle_file *source = NULL;
    struct safetensors *file = NULL;
    enum err_code rc = bundle_file(bundle, "weights", &source, err);
    if (rc == ERR_OK)
        rc = safetensors_open(source->path, source->bytes, source->len, &file, err);
    if (rc != ERR_OK)
        return rc;
    source->bytes = NULL; /* the tensors own them now */
    loading->file = file;
    loading->path = source->path;
    rc = refuse_unknown(loading, err);
    if (rc == ERR_OK)
        rc = make_floats(loading, err);
    if (rc == ERR_OK)
        rc = read_by_feature(loading, "mean", -MEAN_MAX, 0.0, &mlp->mean, err);
    if (rc == ERR_OK)
        rc = read_by_feature(loading, "scale", SCALE_MIN, 1.0, &mlp->scale, err);
    for (uint32_t i = 0; i < mlp->layer_count && rc == ERR_OK; i++)
        rc = load_layer(loading, i, err);
    safetensors_close(&file);
    return rc;
}

enum err_code mlp_load(struct bundle *bundle, struct model *model, struct err *err)
{
    struct mlp *mlp = calloc(1, sizeof *mlp);
    model->as.mlp = mlp;
    if (mlp == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for model %s", model->label);
    struct loading loading = {.mlp = mlp};
    mlp->feature = bundle->feature; /* handed over */
    mlp->feature_count = mlp->width = bundle->feature_count;
    bundle->feature = NULL;
    bundle->feature_count = 0;
    enum err_code rc = parse_params(bundle, &loading, err);
    if (rc == ERR_OK)
        rc = load_tensors(bundle, &loading, err);
    if (rc != ERR_OK)
        return rc;
    model->feature = mlp->feature;
    model->feature_count = mlp->feature_count;
    model->bytes += sizeof *mlp + loading.parameter_count * sizeof(float) +
                    mlp->feature_count * (sizeof *mlp->feature + 2 * sizeof *mlp->mean);
    model->bytes -= bundle->bytes; /* the file itself is not kept */
    return ERR_OK;
}

void mlp_destroy(struct mlp *mlp)
{
    if (mlp == NULL)
        return;
    for (uint32_t i = 0; i < MLP_LAYERS_MAX; i++) {
        free(mlp->layer[i].weight);
        free(mlp->layer[i].bias);
    }
    free(mlp->mean);
    free(mlp->scale);
    free(mlp->feature);
    free(mlp);
}
