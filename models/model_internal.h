/* SPDX-License-Identifier: Apache-2.0 */
/* model_internal - the layouts shared by the loaders (one file per kind) and the evaluators of the
 * hot path, and helpers common to all loaders.
 *
 * Loaders check everything, so evaluators may rely on it: sizes agree, rows are in range, values
 * are finite and far enough from the limits of a float that no sum of them overflows. */
#ifndef MODELS_MODEL_INTERNAL_H
#define MODELS_MODEL_INTERNAL_H

#include "models/blend.h"
#include "models/factors_index.h"
#include "models/forest_fast.h"
#include "models/ids.h"
#include "models/model.h"
#include "models/safetensors.h"
#include "models/uppers.h"

#define FACTOR_ABS_MAX        1e9 /* also for the weights of neighbors */
#define INDEX_ITEMS_DEFAULT   200000
#define INDEX_RECALL_DEFAULT  0.95
#define POPULARITY_MAX        ((double)1e30f) /* the float that 1e30 becomes is within */
#define LINEAR_ABS_MAX        1e12            /* weights and values */
#define NEIGHBORS_PER_ROW_MAX 4096
#define MLP_LAYERS_MAX        16
#define MLP_WIDTH_MAX         4096
#define MLP_PARAMETERS_MAX    ((uint64_t)1 << 26)
#define MLP_WEIGHT_MAX        1e9 /* times MLP_VALUE_MAX and MLP_WIDTH_MAX: a float holds it */
#define MLP_VALUE_MAX         1e15
#define RULES_BYTES_MAX       ((size_t)16 << 20)

struct factors {
    uint32_t user_count, item_count, dim;
    const float *user, *item;                  /* rows of dim floats, in the files below */
    float *unit;                               /* owned: the items of embeddings */
    struct safetensors *user_file, *item_file; /* owned */
    struct ids *user_ids;                      /* owned */
    double unobserved_weight;                  /* alpha0 */
    double regularization, regularization_exponent;
    double *gram;                       /* owned: alpha0 V'V, the upper triangle of dim rows */
    struct factors_index *index;        /* owned; NULL: every item is read */
    uint64_t prepare_ns, prepare_bytes; /* what index or sieve took to make, and take */
    struct sieve *sieve;                /* the items' rows in bytes: the index's, or owned */
    struct uppers *uppers;              /* owned; NULL before model_bind, and with many items */
};

struct neighbors {
    uint32_t row_count;
    const int64_t *offset;
    uint32_t *other; /* in the file below: rows, and item numbers once the model is bound */
    const float *weight;
    struct safetensors *file; /* owned */
};

struct popularity {
    uint32_t row_count;
    const float *score;
    uint32_t *order;          /* owned */
    struct safetensors *file; /* owned */
};

struct linear {
    uint32_t feature_count;
    bool logistic;
    double bias;
    const double *weight;
    struct bundle_feature *feature; /* owned */
    struct safetensors *file;       /* owned */
};

struct trees {
    struct forest *forest;    /* owned */
    struct forest_fast *fast; /* owned; NULL for gblinear */
    uint32_t feature_count;
    struct bundle_feature *feature; /* owned */
    bool has_fallback;              /* of any feature */
    bool is_raw;                    /* the score is a margin */
    uint32_t output;                /* which of several */
};

/* gelu is the exact one, x (1 + erf(x / sqrt 2)) / 2. */
#define MLP_ACTIVATIONS(X) X(none) X(relu) X(gelu) X(tanh) X(sigmoid) X(silu)

enum mlp_activation {
#define X(name) MLP_##name,
    MLP_ACTIVATIONS(X)
#undef X
        MLP_ACTIVATION_COUNT
};

struct mlp_layer {
    uint32_t in, out;
    enum mlp_activation activation;
    float *weight; /* owned: out rows of `in`, with batch norm folded in */
    float *bias;   /* owned */
};

struct mlp {
    uint32_t feature_count, layer_count;
    uint32_t width; /* of the widest layer, the features included */
    bool sigmoid;
    struct mlp_layer layer[MLP_LAYERS_MAX];
    double *mean, *scale;           /* owned: by feature; 0 and 1 where the bundle has none */
    struct bundle_feature *feature; /* owned */
};

struct blend {
    uint32_t part_count;
    struct blend_part part[BLEND_PARTS_MAX];
    /* Of one that is assembled. */
    const struct model *from;                   /* what was loaded */
    const struct model *model[BLEND_PARTS_MAX]; /* borrowed; NULL: not there */
    uint32_t *column[BLEND_PARTS_MAX];          /* owned: of the blend, by feature of the part */
    struct bundle_feature *feature;             /* owned: of all parts */
    uint32_t feature_count;
    uint32_t widest;      /* features of the part that has most */
    size_t scratch_bytes; /* of the part that needs most */
};

/* Each sets its pointer of model->as (also when it fails, as far as it came), model->items where
 * the kind has some, and adds to model->bytes. */
MUST_CHECK enum err_code factors_load(struct bundle *bundle, struct model *model, struct err *err);
MUST_CHECK enum err_code neighbors_load(struct bundle *bundle, struct model *model,
                                        struct err *err);
void neighbors_bind(struct neighbors *neighbors, const uint32_t *item_of_row);
MUST_CHECK enum err_code popularity_load(struct bundle *bundle, struct model *model,
                                         struct err *err);
MUST_CHECK enum err_code linear_load(struct bundle *bundle, struct model *model, struct err *err);
MUST_CHECK enum err_code trees_load(struct bundle *bundle, struct model *model, struct err *err);
MUST_CHECK enum err_code mlp_load(struct bundle *bundle, struct model *model, struct err *err);
MUST_CHECK enum err_code blend_load(struct bundle *bundle, struct model *model, struct err *err);
MUST_CHECK enum err_code prices_load(struct bundle *bundle, struct model *model, struct err *err);

MUST_CHECK enum err_code embeddings_load(struct bundle *bundle, struct model *model,
                                         struct err *err);

/* Of factors and embeddings: the tensor of the file of that key, [any, dim] of bounded floats. */
MUST_CHECK enum err_code factors_take_matrix(struct bundle *bundle, struct model *model,
                                             const char *key, uint64_t dim,
                                             struct safetensors **ret_file,
                                             const struct tensor **ret_tensor, struct err *err);
/* What goes by item number; counted in model->bytes. */
MUST_CHECK enum err_code factors_bind(struct model *model, const uint32_t *row_of_item,
                                      uint32_t item_count, struct err *err);
/* How their best items are found, once the items are there; counted in model->bytes. */
MUST_CHECK enum err_code factors_prepare(const struct bundle *bundle, struct model *model,
                                         struct err *err);

/* NULL is fine. */
void factors_destroy(struct factors *factors);
void neighbors_destroy(struct neighbors *neighbors);
void popularity_destroy(struct popularity *popularity);
void linear_destroy(struct linear *linear);
void trees_destroy(struct trees *trees);
void mlp_destroy(struct mlp *mlp);
void blend_destroy(struct blend *blend);
void prices_destroy(struct prices *prices);

/* The sum with what a part of that score adds. */
double blend_add(const struct blend_part *part, double sum, double score);
/* A golden row of a blend, {"scores": {PART: score}, "score": expected}, where a part that is left
 * out is not there. */
MUST_CHECK enum err_code blend_golden_row(const struct model *blend, const struct json_at *row,
                                          double *ret_got, struct err *err);

/* Takes the file of that key out of the bundle; it holds `tensor_count` tensors. */
MUST_CHECK enum err_code model_take_tensors(struct bundle *bundle, const char *key,
                                            uint32_t tensor_count, struct safetensors **ret_file,
                                            struct err *err);
/* As safetensors_make_floats; model->bytes follows. */
MUST_CHECK enum err_code model_make_floats(struct model *model, struct safetensors *file,
                                           const char *tensor_name, enum tensor_type type,
                                           struct err *err);
MUST_CHECK enum err_code model_take_ids(struct bundle *bundle, const char *key, uint64_t count,
                                        struct ids **ret_ids, struct err *err);
/* Of a tensor of floats: every value is finite and within min..max; ERR_CORRUPT names the first
 * that is not. */
MUST_CHECK enum err_code model_check_values(const char *file, const struct tensor *tensor,
                                            double min, double max, struct err *err);

#endif
