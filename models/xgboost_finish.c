/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said only when the whole file was read: parameters stand behind the trees. */
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "models/xgboost_internal.h"

/* How base_score, which stands in the file as a prediction, becomes a margin. */
enum link { LINK_NONE, LINK_LOGIT, LINK_LOG };

static const struct objective {
    const char *name;
    enum forest_transform transform;
    enum link link;
} objectives[] = {
    {"reg:squarederror", TRANSFORM_NONE, LINK_NONE},
    {"reg:linear", TRANSFORM_NONE, LINK_NONE},
    {"reg:squaredlogerror", TRANSFORM_NONE, LINK_NONE},
    {"reg:pseudohubererror", TRANSFORM_NONE, LINK_NONE},
    {"reg:absoluteerror", TRANSFORM_NONE, LINK_NONE},
    {"reg:quantileerror", TRANSFORM_NONE, LINK_NONE},
    {"reg:logistic", TRANSFORM_SIGMOID, LINK_LOGIT},
    {"binary:logistic", TRANSFORM_SIGMOID, LINK_LOGIT},
    {"binary:logitraw", TRANSFORM_NONE, LINK_NONE},
    {"binary:hinge", TRANSFORM_SIGN, LINK_NONE},
    {"count:poisson", TRANSFORM_EXP, LINK_LOG},
    {"reg:gamma", TRANSFORM_EXP, LINK_LOG},
    {"reg:tweedie", TRANSFORM_EXP, LINK_LOG},
    {"survival:cox", TRANSFORM_EXP, LINK_LOG},
    {"survival:aft", TRANSFORM_EXP, LINK_LOG},
    {"multi:softprob", TRANSFORM_SOFTMAX, LINK_NONE},
    {"multi:softmax", TRANSFORM_CLASS, LINK_NONE},
    {"rank:pairwise", TRANSFORM_NONE, LINK_NONE},
    {"rank:ndcg", TRANSFORM_NONE, LINK_NONE},
    {"rank:map", TRANSFORM_NONE, LINK_NONE},
};

static const struct objective *find_objective(struct xgboost_document *d)
{
    for (size_t i = 0; i < sizeof objectives / sizeof *objectives; i++) {
        if (strcmp(objectives[i].name, d->objective) == 0)
            return &objectives[i];
    }
    xgboost_fail(&d->reader, ERR_UNSUPPORTED, "learner.objective.name: '%s' is not supported",
                 d->objective);
    return NULL;
}

/* ---- base_score ------------------------------------------------------------------------------ */

static struct text trimmed(const char *from, const char *end)
{
    while (from < end && strchr(" \t\r\n", *from) != NULL)
        from++;
    while (end > from && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    return (struct text){from, (uint32_t)(end - from)};
}

static bool to_margin(struct xgboost_document *d, enum link link, float base, float *ret_margin)
{
    if (link == LINK_LOGIT && base >= 0.0f && base <= 1.0f)
        *ret_margin = -logf(1.0f / fminf(fmaxf(base, 1e-6f), 1.0f - 1e-6f) - 1.0f);
    else if (link == LINK_LOG && base > 0.0f)
        *ret_margin = logf(base);
    else if (link == LINK_NONE)
        *ret_margin = base;
    else
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "learner.learner_model_param.base_score: %g cannot be a prediction of "
                            "%s",
                            (double)base, d->objective);
    return true;
}

/* "5E-1", or from 3.1 on "[1.2E-1,3E-1]": one for all outputs or one for each. */
static bool set_base(struct xgboost_document *d, enum link link)
{
    struct text all = trimmed(d->base_score, d->base_score + strlen(d->base_score));
    const char *end = all.ptr + all.len;
    uint32_t count = 0;
    if (all.len >= 2 && all.ptr[0] == '[' && end[-1] == ']') {
        all.ptr++;
        end--;
    }
    for (const char *at = all.ptr; at <= end; count++) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        float base = 0.0f;
        float margin = 0.0f;
        if (count == d->forest->output_count ||
            !num_parse_real32(trimmed(at, comma == NULL ? end : comma), &base))
            return xgboost_fail(&d->reader, ERR_CORRUPT,
                                "learner.learner_model_param.base_score: expected one or %u finite "
                                "numbers, got '%.80s'",
                                d->forest->output_count, d->base_score);
        if (!to_margin(d, link, base, &margin))
            return false;
        d->forest->base[count] = (double)margin;
        at = comma == NULL ? end + 1 : comma + 1;
    }
    if (count != 1 && count != d->forest->output_count)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "learner.learner_model_param.base_score: expected one or %u numbers, "
                            "got %u",
                            d->forest->output_count, count);
    for (uint32_t k = count; k < d->forest->output_count; k++)
        d->forest->base[k] = d->forest->base[0];
    return true;
}

/* ---- trees ----------------------------------------------------------------------------------- */

static bool set_outputs(struct xgboost_document *d)
{
    struct forest *forest = d->forest;
    if (forest->tree_count != d->tree_count || d->tree_info.count != forest->tree_count)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "num_trees is %lld, but there are %u trees and %u elements of "
                            "tree_info",
                            (long long)d->tree_count, forest->tree_count, d->tree_info.count);
    for (uint32_t t = 0; t < forest->tree_count; t++) {
        int32_t output = d->tree_info.value[t];
        if (output < 0 || output >= (int32_t)forest->output_count)
            return xgboost_fail(&d->reader, ERR_CORRUPT, "tree_info[%u]: expected 0..%u, got %d", t,
                                forest->output_count - 1, output);
        forest->tree[t].output = (uint32_t)output;
    }
    return true;
}

static bool check_features(struct xgboost_document *d)
{
    const struct forest *forest = d->forest;
    for (uint32_t t = 0; t < forest->tree_count; t++) {
        const struct forest_tree *tree = &forest->tree[t];
        for (uint32_t n = 0; n < tree->node_count; n++) {
            uint32_t feature = forest->node[tree->node_begin + n].feature;
            if (feature >= forest->feature_count)
                return xgboost_fail(&d->reader, ERR_CORRUPT,
                                    "trees[%u]: splits on feature %u, num_feature is %u", t,
                                    feature, forest->feature_count);
        }
    }
    return true;
}

/* Dart: each tree counts with its weight, in float as there.  Trees beyond the list weigh 1. */
static bool weigh_trees(struct xgboost_document *d)
{
    struct forest *forest = d->forest;
    bool is_dart = strcmp(d->booster, "dart") == 0;
    if (d->weight_drop.count > forest->tree_count ||
        (is_dart && d->weight_drop.count != forest->tree_count))
        return xgboost_fail(&d->reader, ERR_CORRUPT, "weight_drop: expected %u elements, got %u",
                            forest->tree_count, d->weight_drop.count);
    for (uint32_t t = 0; t < d->weight_drop.count; t++) {
        const struct forest_tree *tree = &forest->tree[t];
        for (uint32_t n = 0; n < tree->node_count; n++)
            forest->node[tree->node_begin + n].mean *= (double)d->weight_drop.value[t];
        for (uint32_t leaf = 0; leaf < tree->leaf_count; leaf++) {
            double *value = &forest->leaf_value[tree->leaf_begin + leaf];
            *value = (double)((float)*value * d->weight_drop.value[t]);
            if (!isfinite(*value))
                return xgboost_fail(&d->reader, ERR_CORRUPT,
                                    "weight_drop[%u]: its leaf values are not finite", t);
        }
    }
    return true;
}

static bool set_rounds(struct xgboost_document *d)
{
    struct forest *forest = d->forest;
    const struct xgboost_integers *begin = &d->round_begin;
    int64_t parallel = d->parallel_count < 1 ? 1 : d->parallel_count;
    int64_t trees = parallel * (int64_t)forest->output_count;
    if (begin->count == 0 && forest->tree_count % trees != 0)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "%u trees are no whole number of rounds of %lld trees",
                            forest->tree_count, (long long)trees);
    uint32_t count = begin->count > 0 ? begin->count - 1 : (uint32_t)(forest->tree_count / trees);
    forest->round_end = malloc((count + 1ULL) * sizeof *forest->round_end);
    if (forest->round_end == NULL)
        return xgboost_fail(&d->reader, ERR_NOMEM, "out of memory");
    forest->round_count = count;
    for (uint32_t r = 0; r < count; r++) {
        int64_t end = begin->count > 0 ? begin->value[r + 1] : (r + 1) * trees;
        int64_t before = r == 0 ? 0 : forest->round_end[r - 1];
        if (end < before || end > forest->tree_count)
            return xgboost_fail(&d->reader, ERR_CORRUPT,
                                "iteration_indptr[%u]: expected %lld..%u, got %lld", r + 1,
                                (long long)before, forest->tree_count, (long long)end);
        forest->round_end[r] = (uint32_t)end;
    }
    if (count > 0 && forest->round_end[count - 1] != forest->tree_count)
        return xgboost_fail(&d->reader, ERR_CORRUPT, "iteration_indptr ends at %u of %u trees",
                            forest->round_end[count - 1], forest->tree_count);
    return true;
}

/* ---- gblinear -------------------------------------------------------------------------------- */

/* Weights of the features, then the biases, which are a part of the base. */
static bool set_weights(struct xgboost_document *d)
{
    struct forest *forest = d->forest;
    uint32_t outputs = forest->output_count;
    uint32_t wanted = (forest->feature_count + 1) * outputs;
    if (d->weights.count != wanted)
        return xgboost_fail(&d->reader, ERR_CORRUPT, "weights: expected %u elements, got %u",
                            wanted, d->weights.count);
    for (uint32_t i = 0; i < wanted; i++) {
        if (!isfinite(d->weights.value[i]))
            return xgboost_fail(&d->reader, ERR_CORRUPT, "weights[%u]: expected a finite number",
                                i);
    }
    for (uint32_t k = 1; k < outputs; k++) {
        if (forest->base[k] != forest->base[0]) /* XGBoost 3.2 adds the first to all of them */
            return xgboost_fail(&d->reader, ERR_UNSUPPORTED,
                                "learner.learner_model_param.base_score: different numbers for the "
                                "outputs of gblinear are ambiguous");
    }
    for (uint32_t k = 0; k < outputs; k++)
        forest->base[k] = (double)(d->weights.value[wanted - outputs + k] + (float)forest->base[k]);
    for (uint32_t k = 0; k < outputs; k++) {
        if (!isfinite(forest->base[k]))
            return xgboost_fail(&d->reader, ERR_CORRUPT,
                                "weights[%u]: with base_score it is beyond a float",
                                wanted - outputs + k);
    }
    forest->linear_weight = d->weights.value;
    d->weights.value = NULL;
    return true;
}

/* ---- all ------------------------------------------------------------------------------------- */

static bool set_shape(struct xgboost_document *d, const struct objective *objective)
{
    struct forest *forest = d->forest;
    bool has_classes =
        objective->transform == TRANSFORM_SOFTMAX || objective->transform == TRANSFORM_CLASS;
    int64_t outputs = d->class_count > d->target_count ? d->class_count : d->target_count;
    forest->feature_count = (uint32_t)d->feature_count;
    forest->output_count = outputs < 1 ? 1 : (uint32_t)outputs;
    forest->transform = objective->transform;
    if (d->name_count != 0 && d->name_count != forest->feature_count)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "learner.feature_names: expected %u names, got %u",
                            forest->feature_count, d->name_count);
    if (has_classes && (d->class_count < 1 || d->target_count > 1))
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "learner_model_param: num_class is %lld and num_target %lld with %s",
                            (long long)d->class_count, (long long)d->target_count, d->objective);
    if (forest->set_count > 0 && d->version_major == 1 && d->version_minor < 7)
        return xgboost_fail(&d->reader, ERR_UNSUPPORTED,
                            "categorical splits of XGBoost 1.%lld are ambiguous: from 1.7 on a "
                            "category that is not in the set goes elsewhere; save the model with a "
                            "newer version",
                            (long long)d->version_minor);
    /* From 3.4 on the quantiles of a row are sorted. */
    if (strcmp(d->objective, "reg:quantileerror") == 0 && forest->output_count > 1 &&
        d->version_major == 3 && d->version_minor >= 4)
        return xgboost_fail(&d->reader, ERR_UNSUPPORTED,
                            "reg:quantileerror of XGBoost %lld.%lld with several quantiles is not "
                            "supported",
                            (long long)d->version_major, (long long)d->version_minor);
    return true;
}

bool xgboost_finish(struct xgboost_document *d)
{
    bool is_linear = strcmp(d->booster, "gblinear") == 0;
    const struct objective *objective = find_objective(d);
    if (objective == NULL)
        return false;
    if (!is_linear && strcmp(d->booster, "gbtree") != 0 && strcmp(d->booster, "dart") != 0)
        return xgboost_fail(&d->reader, ERR_UNSUPPORTED,
                            "learner.gradient_booster.name: '%s' is not supported", d->booster);
    if (is_linear ? !d->has_weights || d->has_trees : !d->has_trees || d->has_weights)
        return xgboost_fail(&d->reader, ERR_CORRUPT,
                            "learner.gradient_booster: the model is not one of %s", d->booster);
    if (!set_shape(d, objective) || !set_base(d, objective->link))
        return false;
    if (is_linear)
        return set_weights(d);
    return set_outputs(d) && check_features(d) && weigh_trees(d) && set_rounds(d);
}
