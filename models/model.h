/* SPDX-License-Identifier: Apache-2.0 */
/* model - a loaded, verified, immutable model of any kind, ready for evaluation.
 *
 * Life cycle: model_load (from an opened bundle; checks structure, finite values and index ranges)
 * -> model_check_golden (recomputes the golden rows of the bundle) -> model_bind (maps rows to item
 * numbers) -> evaluated by any number of threads -> model_destroy after the last reader has left.
 *
 * Threads: load, check, bind, destroy on the loader; the evaluators below on any thread, without
 * allocation or locks of ours.  A process that serves calls model_use_one_blas_thread first. */
#ifndef MODELS_MODEL_H
#define MODELS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/breaker.h"
#include "base/err.h"
#include "base/money.h"
#include "base/text.h"
#include "base/top.h"
#include "models/bundle.h"

#define MODEL_NO_ROW UINT32_MAX

struct factors;
struct neighbors;
struct popularity;
struct linear;
struct trees;
struct mlp;
struct blend;
struct prices;
struct ids;

struct model {
    enum model_kind kind;
    char name[MODEL_NAME_BYTES];
    char version[MODEL_NAME_BYTES];
    char label[2 * MODEL_NAME_BYTES]; /* "name@version" */
    int64_t trained_at_ms;            /* 0: not in the manifest */
    uint64_t bytes;                   /* memory held */
    struct breaker *breaker;          /* owned; for its use in decisions; the only mutable part */
    union {
        struct factors *factors; /* and embeddings */
        struct neighbors *neighbors;
        struct popularity *popularity;
        struct linear *linear;
        struct trees *trees;
        struct mlp *mlp;
        struct blend *blend;
        struct prices *prices;
    } as;
    uint32_t feature_count; /* rankers (ranker.h): the columns of a row */
    const struct bundle_feature *feature;
    struct ids *items;     /* row -> id; NULL for rankers and prices */
    uint32_t *item_of_row; /* row -> item number, after model_bind */
    uint32_t *row_of_item; /* item number -> row or MODEL_NO_ROW; row_of_item_count places */
    uint32_t row_of_item_count;
};

/* Sets OpenBLAS to one thread: its own threads would serialise callers and spin after each call.
 * To be called first in main of a serving process, not in a trainer.  In addition,
 * OPENBLAS_NUM_THREADS=1 in the environment keeps the library from starting threads at all. */
void model_use_one_blas_thread(void);
/* False: the OpenBLAS found at run time is the serial variant, which must not be called from
 * several threads. */
bool model_blas_is_thread_safe(void);

MUST_CHECK enum err_code model_load(struct bundle *bundle, struct model **ret_model,
                                    struct err *err);
void model_destroy(struct model **model);

/* Recomputes golden.json; ERR_CORRUPT "golden.json: row 3: expected 0.1234, got 0.1301 (tolerance
 * 1e-05)".  A bundle without golden rows is refused. */
MUST_CHECK enum err_code model_check_golden(const struct model *model, const struct bundle *bundle,
                                            struct err *err);

/* `numbers[row]` for each row of `items`, once in a model's life.  Takes copies.  ERR_NOMEM. */
MUST_CHECK enum err_code model_bind(struct model *model, const uint32_t *numbers, uint32_t count,
                                    struct err *err);

static inline uint32_t model_row(const struct model *model, uint32_t item)
{
    return item < model->row_of_item_count ? model->row_of_item[item] : MODEL_NO_ROW;
}
static inline void model_fetch_row(const struct model *model, uint32_t item) /* for model_row */
{
    if (item < model->row_of_item_count)
        __builtin_prefetch(&model->row_of_item[item]);
}

uint32_t model_row_count(const struct model *model); /* 0 for rankers, blends and prices */

/* ---- factors: score = user . item ------------------------------------------------------------ */

#define FACTORS_DIM_MAX 512

/* Arena space used temporarily by factors_fold_in. */
#define FACTORS_FOLD_IN_BYTES(dim) (((dim) + 33) * (dim) * sizeof(double) + 64)

uint32_t factors_dim(const struct factors *factors);
/* The row of a user seen in training (dim floats), or NULL. */
const float *factors_user(const struct factors *factors, struct text user);
/* The row of an item. */
const float *factors_item(const struct factors *factors, uint32_t row);
/* Folds a history in: the user half-step of iALS (Rendle et al. 2021) over the set S of rows:
 *   (sum_S v v' + a0 V'V + reg (|S| + a0 I)^nu Id) u = sum_S v
 * Rows beyond the first 1,000 are ignored; a row given twice counts twice.  ret_user: dim floats.
 * False: there is no row, the arena is full, or the system is not positive definite. */
bool factors_fold_in(const struct factors *factors, const uint32_t *rows, uint32_t row_count,
                     struct arena *arena, float *ret_user);
float factors_score(const struct factors *factors, const float *user, uint32_t row);
/* Adds an upper bound of weight * score to io_upper[item] for each item of the model (and possibly
 * a tiny positive number to others); weight >= 0.  The bound is tight and several times as fast as
 * the score; compute the exact score where it matters.  Before model_bind an item's number is its
 * row. */
void factors_add_upper(const struct model *model, const float *user, float weight, float *io_upper);

/* How the best items are found: by scanning all rows in 8 bits, or through an index built by the
 * loader (models/factors_index.h). */
struct factors_retrieval {
    bool is_exact;
    uint32_t list_count, probes; /* index: number of lists, and how many a query reads */
    double recall;               /* index: measured at the best 100, over recall_queries */
    uint32_t recall_queries;
    uint64_t build_ns, bytes; /* build time, and memory in addition to the floats */
};
void factors_retrieval(const struct factors *factors, struct factors_retrieval *ret_retrieval);

/* The best n items that pass a filter.  The filter is called only for items that score high enough,
 * and even a narrow one yields n items if there are that many. */
struct factors_query {
    const float *user;
    uint32_t n;
    const uint64_t *allowed; /* bits by item number, in whole words; NULL: all are */
    uint32_t allowed_count;  /* number of valid bits; further ones are 0 */
    bool (*admits)(const void *ctx, uint32_t item); /* called after the bits; NULL: all pass */
    const void *ctx;
};

struct factors_found {
    struct top top;        /* item numbers, best first, ties to the smaller one; in the arena */
    float unseen;          /* upper bound for all other items; -INFINITY: there are none */
    bool is_exact;         /* false: `unseen` and `top` are subject to the index's recall */
    uint32_t lists_probed; /* of an index; 0 without one */
};

/* Before model_bind an item's number is its row.  False: the arena is full.  Needs
 * FACTORS_TOP_BYTES(n) of it, and releases all but the items. */
#define FACTORS_TOP_BYTES(n) ((size_t)(n)*88 + 368640)
bool factors_top(const struct model *model, const struct factors_query *query, struct arena *arena,
                 struct factors_found *ret_found);

/* ---- embeddings: rows of length 1, so that inner products are cosines ------------------------
 *
 * Stored as factors without users: everything above applies, except factors_user and
 * factors_fold_in. */

/* Whether model->as.factors is set. */
static inline bool model_has_vectors(const struct model *model)
{
    return model->kind == MODEL_factors || model->kind == MODEL_embeddings;
}

/* The weighted sum of the rows (weight NULL: 1 each), normalised to length 1.  MODEL_NO_ROW entries
 * are skipped.  False: the sum is empty or zero. */
bool embeddings_mean(const struct factors *factors, const uint32_t *rows, const float *weight,
                     uint32_t row_count, float *ret_vector);

/* ---- neighbors: item to item, the strongest few per row -------------------------------------- */

struct neighbor_list {
    uint32_t count;
    const uint32_t *other; /* rows; item numbers once the model is bound */
    const float *weight;   /* descending */
};
void neighbors_of(const struct neighbors *neighbors, uint32_t row, struct neighbor_list *ret_list);

/* ---- popularity ------------------------------------------------------------------------------ */

float popularity_score(const struct popularity *popularity, uint32_t row);
/* All rows, best first; ties by row. */
const uint32_t *popularity_order(const struct popularity *popularity);

/* ---- linear: bias + sum of weight * feature, optionally through the logistic function ----------
 */

/* values[feature_count]; NaN is replaced by the fallback; values are clamped to +-1e12. */
double linear_score(const struct linear *linear, const double *values);

/* ---- trees: a model of XGBoost or LightGBM --------------------------------------------------- */

#define TREES_BLOCK 32 /* rows that are scored in lockstep */

/* values[row_count][feature_count]; NaN is replaced by the fallback, or counts as missing.
 * `scratch` has trees_scratch_bytes and is aligned to 64 bytes. */
void trees_score_rows(const struct trees *trees, const double *values, uint32_t row_count,
                      void *scratch, double *ret_score);
size_t trees_scratch_bytes(const struct trees *trees);
/* The same score by the plain evaluator: the reference for tests. */
double trees_score_plainly(const struct trees *trees, const double *values, void *scratch);

/* ---- mlp: dense layers ----------------------------------------------------------------------- */

#define MLP_BLOCK 32 /* rows that go through the layers together */

/* values[row_count][feature_count]; NaN is replaced by the fallback; values are clamped to +-1e12.
 * `scratch` has mlp_scratch_bytes and is aligned to 64 bytes.  The last digits of a row's score
 * depend on row_count, since BLAS sums in a different order. */
void mlp_score_rows(const struct mlp *mlp, const double *values, uint32_t row_count, void *scratch,
                    double *ret_score);
size_t mlp_scratch_bytes(const struct mlp *mlp);
/* The same by plain loops in double: the reference for tests. */
double mlp_score_plainly(const struct mlp *mlp, const double *values, void *scratch);

/* ---- prices: rules ----------------------------------------------------------------------------
 */

struct price_context {
    struct text key, value;
};

struct price_input {
    struct text item;     /* id */
    struct text category; /* .ptr NULL: unknown */
    struct text brand;
    int64_t price_minor; /* the list price */
    int64_t cost_minor;  /* INT64_MIN: unknown */
    currency_code currency;
    int64_t qty;
    const struct price_context *context;
    uint32_t context_count;
};

struct price_output {
    int64_t amount_minor;
    const char *rule;  /* the rule that set the price; NULL: the list price */
    const char *bound; /* "floor", "ceiling" or "margin" if a bound moved it, else NULL */
};

/* Always gives a price within every bound that applies to the item; docs/bundles.md has the order
 * of steps.  Never fails: if a rule cannot be computed (overflow, a margin without a cost) the list
 * price is used, within the bounds. */
void prices_apply(const struct prices *prices, const struct price_input *input,
                  struct price_output *ret_output);

#endif
