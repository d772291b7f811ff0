/* SPDX-License-Identifier: Apache-2.0 */
/* Golden rows: what the trainer's own code computed, computed again by ours. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/bundle_internal.h"
#include "models/model_internal.h"
#include "models/prices_internal.h"
#include "models/ranker.h"

enum { GOLDEN_ROWS_MAX = 10000, HISTORY_MAX = 1000 };

struct checker {
    const struct model *model;
    double tolerance;
    uint32_t index;     /* of the row */
    struct arena arena; /* factors: for folding in */
    float *user;        /* factors: a vector */
    uint32_t *history;  /* factors: rows of a history */
    double *values;     /* rankers: a value per feature */
    void *scratch;      /* rankers */
    struct err *err;
};

static enum err_code compare(struct checker *c, double expected, double got)
{
    double scale = fabs(expected) > 1.0 ? fabs(expected) : 1.0;
    if (fabs(got - expected) <= c->tolerance * scale)
        return ERR_OK;
    return err_set(c->err, ERR_CORRUPT, "%s: row %u: expected %.9g, got %.9g (tolerance %g)",
                   GOLDEN_NAME, c->index, expected, got, c->tolerance);
}

static enum err_code read_number(struct checker *c, const struct json_at *row, const char *key,
                                 double *ret_value)
{
    struct json_at at = json_member(row, key);
    return json_real(&at, -1e300, 1e300, ret_value, c->err);
}

static enum err_code find_row(struct checker *c, const struct json_at *at, uint32_t *ret_row)
{
    const char *id = NULL;
    enum err_code rc = json_string(at, &id, c->err);
    if (rc != ERR_OK)
        return rc;
    *ret_row = ids_find(c->model->items, text_of(id));
    if (*ret_row == UINT32_MAX)
        return err_set(c->err, ERR_CORRUPT, "%s: '%.128s' is not among the items", at->path, id);
    return ERR_OK;
}

static enum err_code find_member_row(struct checker *c, const struct json_at *row, const char *key,
                                     uint32_t *ret_row)
{
    struct json_at at = json_member(row, key);
    return find_row(c, &at, ret_row);
}

/* ---- factors --------------------------------------------------------------------------------- */

static enum err_code trained_vector(struct checker *c, const struct json_at *at,
                                    const float **ret_vector)
{
    const char *id = NULL;
    enum err_code rc = json_string(at, &id, c->err);
    if (rc != ERR_OK)
        return rc;
    *ret_vector = factors_user(c->model->as.factors, text_of(id));
    if (*ret_vector == NULL)
        return err_set(c->err, ERR_CORRUPT, "%s: '%.128s' is not among the users", at->path, id);
    return ERR_OK;
}

/* The rows of those ids into c->history. */
static enum err_code find_history(struct checker *c, const struct json_at *at, uint32_t *ret_count)
{
    int count = 0;
    enum err_code rc = json_array(at, &count, c->err);
    if (rc == ERR_OK && (count < 1 || count > HISTORY_MAX))
        rc = err_set(c->err, ERR_CORRUPT, "%s: expected 1..%d ids, got %d", at->path, HISTORY_MAX,
                     count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at element = json_element(at, i);
        rc = find_row(c, &element, &c->history[i]);
    }
    *ret_count = (uint32_t)count;
    return rc;
}

static enum err_code folded_vector(struct checker *c, const struct json_at *at,
                                   const float **ret_vector)
{
    uint32_t count = 0;
    enum err_code rc = find_history(c, at, &count);
    if (rc != ERR_OK)
        return rc;
    if (!factors_fold_in(c->model->as.factors, c->history, count, &c->arena, c->user))
        return err_set(c->err, ERR_CORRUPT,
                       "%s: the system of this history has no solution (see params)", at->path);
    *ret_vector = c->user;
    return ERR_OK;
}

static enum err_code check_factors(struct checker *c, const struct json_at *row)
{
    static const char *const known[] = {"user", "history", "item", "score", NULL};
    const struct factors *factors = c->model->as.factors;
    const float *vector = NULL;
    uint32_t item = 0;
    double expected = 0;
    struct json_at user = json_member(row, "user");
    struct json_at history = json_member(row, "history");
    enum err_code rc = json_only(row, known, c->err);
    if (rc == ERR_OK && (user.value != NULL) == (history.value != NULL))
        rc = err_set(c->err, ERR_CORRUPT, "%s: expected one of user and history", row->path);
    if (rc == ERR_OK)
        rc = user.value != NULL ? trained_vector(c, &user, &vector)
                                : folded_vector(c, &history, &vector);
    if (rc == ERR_OK)
        rc = find_member_row(c, row, "item", &item);
    if (rc == ERR_OK)
        rc = read_number(c, row, "score", &expected);
    if (rc == ERR_OK)
        rc = compare(c, expected, (double)factors_score(factors, vector, item));
    return rc;
}

/* ---- embeddings ------------------------------------------------------------------------------ */

static enum err_code check_embeddings(struct checker *c, const struct json_at *row)
{
    static const char *const known[] = {"history", "item", "score", NULL};
    const struct factors *factors = c->model->as.factors;
    struct json_at history = json_member(row, "history");
    uint32_t item = 0, count = 0;
    double expected = 0;
    enum err_code rc = json_only(row, known, c->err);
    if (rc == ERR_OK)
        rc = find_history(c, &history, &count);
    if (rc == ERR_OK)
        rc = find_member_row(c, row, "item", &item);
    if (rc == ERR_OK)
        rc = read_number(c, row, "score", &expected);
    if (rc == ERR_OK && !embeddings_mean(factors, c->history, NULL, count, c->user))
        rc = err_set(c->err, ERR_CORRUPT, "%s: these embeddings cancel out", history.path);
    return rc == ERR_OK ? compare(c, expected, (double)factors_score(factors, c->user, item)) : rc;
}

/* ---- neighbors, popularity ------------------------------------------------------------------- */

static enum err_code check_neighbors(struct checker *c, const struct json_at *row)
{
    static const char *const known[] = {"item", "neighbor", "weight", NULL};
    struct json_at weight = json_member(row, "weight");
    struct neighbor_list list = {0};
    uint32_t item = 0;
    uint32_t neighbor = 0;
    double expected = 0;
    bool wants_none = cJSON_IsNull(weight.value);
    enum err_code rc = json_only(row, known, c->err);
    if (rc == ERR_OK)
        rc = find_member_row(c, row, "item", &item);
    if (rc == ERR_OK)
        rc = find_member_row(c, row, "neighbor", &neighbor);
    if (rc == ERR_OK && !wants_none)
        rc = read_number(c, row, "weight", &expected);
    if (rc != ERR_OK)
        return rc;
    neighbors_of(c->model->as.neighbors, item, &list);
    uint32_t place = 0;
    while (place < list.count && list.other[place] != neighbor)
        place++;
    if (wants_none != (place == list.count))
        return err_set(c->err, ERR_CORRUPT, "%s: row %u: expected %s neighbor, got %s", GOLDEN_NAME,
                       c->index, wants_none ? "no" : "a", wants_none ? "one" : "none");
    return wants_none ? ERR_OK : compare(c, expected, (double)list.weight[place]);
}

static enum err_code check_popularity(struct checker *c, const struct json_at *row)
{
    static const char *const known[] = {"item", "score", NULL};
    uint32_t item = 0;
    double expected = 0;
    enum err_code rc = json_only(row, known, c->err);
    if (rc == ERR_OK)
        rc = find_member_row(c, row, "item", &item);
    if (rc == ERR_OK)
        rc = read_number(c, row, "score", &expected);
    if (rc != ERR_OK)
        return rc;
    return compare(c, expected, (double)popularity_score(c->model->as.popularity, item));
}

/* ---- rankers --------------------------------------------------------------------------------- */

static enum err_code read_feature(struct checker *c, const struct json_at *features,
                                  const cJSON *given)
{
    for (uint32_t i = 0; i < c->model->feature_count; i++) {
        if (strcmp(c->model->feature[i].name, given->string) != 0)
            continue;
        return cJSON_IsNull(given) ? ERR_OK
                                   : read_number(c, features, given->string, &c->values[i]);
    }
    return err_set(c->err, ERR_CORRUPT, "%s: '%.128s' is not among the features", features->path,
                   given->string);
}

/* The evaluator that serves is held against the plain one, too: trees to the last bit; those of an
 * mlp add up floats in another order, so that the tolerance of the row holds. */
static enum err_code compare_plainly(const struct checker *c, double got)
{
    double plain = got;
    double bound = 0.0;
    if (c->model->kind == MODEL_trees)
        plain = trees_score_plainly(c->model->as.trees, c->values, c->scratch);
    if (c->model->kind == MODEL_mlp) {
        plain = mlp_score_plainly(c->model->as.mlp, c->values, c->scratch);
        bound = c->tolerance * fmax(1.0, fabs(plain));
    }
    if (plain == got || fabs(plain - got) <= bound)
        return ERR_OK;
    return err_set(c->err, ERR_CORRUPT,
                   "%s: row %u: the fast evaluator gives %.17g, the plain one "
                   "%.17g",
                   GOLDEN_NAME, c->index, got, plain);
}

static enum err_code check_ranker(struct checker *c, const struct json_at *row)
{
    static const char *const known[] = {"features", "score", NULL};
    const cJSON *given = NULL;
    double expected = 0;
    double got = 0;
    struct json_at features = json_member(row, "features");
    enum err_code rc = json_only(row, known, c->err);
    if (rc == ERR_OK)
        rc = json_object(&features, c->err);
    if (rc == ERR_OK)
        rc = read_number(c, row, "score", &expected);
    for (uint32_t i = 0; i < c->model->feature_count; i++)
        c->values[i] = NAN;
    cJSON_ArrayForEach(given, features.value)
    {
        if (rc == ERR_OK)
            rc = read_feature(c, &features, given);
    }
    if (rc != ERR_OK)
        return rc;
    ranker_score_rows(c->model, c->values, 1, c->scratch, &got);
    rc = compare(c, expected, got);
    return rc == ERR_OK ? compare_plainly(c, got) : rc;
}

static enum err_code check_blend(struct checker *c, const struct json_at *row)
{
    double expected = 0;
    double got = 0;
    enum err_code rc = read_number(c, row, "score", &expected);
    if (rc == ERR_OK)
        rc = blend_golden_row(c->model, row, &got, c->err);
    return rc == ERR_OK ? compare(c, expected, got) : rc;
}

static enum err_code check_prices(struct checker *c, const struct json_at *row)
{
    return prices_golden_row(c->model->as.prices, row, c->index, c->err);
}

/* ---- all kinds ------------------------------------------------------------------------------- */

static enum err_code prepare(struct checker *c)
{
    const struct model *model = c->model;
    bool ok = true;
    if (model_has_vectors(model)) {
        size_t dim = factors_dim(model->as.factors);
        if (arena_init(&c->arena, FACTORS_FOLD_IN_BYTES(dim), NULL) != ERR_OK)
            return err_set(c->err, ERR_NOMEM, "%s: out of memory", GOLDEN_NAME);
        c->user = malloc(dim * sizeof *c->user);
        c->history = malloc(HISTORY_MAX * sizeof *c->history);
        ok = c->user != NULL && c->history != NULL;
    } else if (ranker_is(model->kind)) {
        c->values = malloc((model->feature_count + 1ULL) * sizeof *c->values);
        c->scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
        ok = c->values != NULL && c->scratch != NULL;
    }
    return ok ? ERR_OK : err_set(c->err, ERR_NOMEM, "%s: out of memory", GOLDEN_NAME);
}

static enum err_code check_rows(struct checker *c, const struct json_at *root)
{
    static enum err_code (*const check[MODEL_KIND_COUNT])(struct checker *,
                                                          const struct json_at *) = {
        [MODEL_factors] = check_factors,       [MODEL_neighbors] = check_neighbors,
        [MODEL_popularity] = check_popularity, [MODEL_linear] = check_ranker,
        [MODEL_trees] = check_ranker,          [MODEL_mlp] = check_ranker,
        [MODEL_blend] = check_blend,           [MODEL_prices] = check_prices,
        [MODEL_embeddings] = check_embeddings,
    };
    static const char *const known[] = {"rows", NULL};
    int count = 0;
    struct json_at rows = json_member(root, "rows");
    enum err_code rc = json_only(root, known, c->err);
    if (rc == ERR_OK)
        rc = json_array(&rows, &count, c->err);
    if (rc == ERR_OK && (count < 1 || count > GOLDEN_ROWS_MAX))
        rc = err_set(c->err, ERR_CORRUPT, "%s: expected 1..%d rows, got %d", GOLDEN_NAME,
                     GOLDEN_ROWS_MAX, count);
    struct json_at row = rows;
    for (const cJSON *child = rc == ERR_OK ? rows.value->child : NULL;
         child != NULL && rc == ERR_OK; child = child->next, c->index++) {
        row.value = child;
        snprintf(row.path, sizeof row.path, "%s: row %u", GOLDEN_NAME, c->index);
        rc = check[c->model->kind](c, &row);
    }
    return rc;
}

enum err_code model_check_golden(const struct model *model, const struct bundle *bundle,
                                 struct err *err)
{
    cJSON *json = NULL;
    struct checker checker = {.model = model, .tolerance = bundle->golden_tolerance, .err = err};
    ASSERT(model->kind == bundle->kind);
    enum err_code rc =
        json_parse(GOLDEN_NAME, (const char *)bundle->golden.bytes, bundle->golden.len, &json, err);
    struct json_at root = json_root(GOLDEN_NAME, json);
    if (rc == ERR_OK)
        rc = prepare(&checker);
    if (rc == ERR_OK)
        rc = check_rows(&checker, &root);
    arena_deinit(&checker.arena);
    free(checker.user);
    free(checker.history);
    free(checker.values);
    free(checker.scratch);
    cJSON_Delete(json);
    return bundle_fault(rc, err);
}
