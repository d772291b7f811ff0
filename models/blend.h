/* SPDX-License-Identifier: Apache-2.0 */
/* blend - a ranker made of other rankers: score = sum of weight * transform(score of the part).
 *
 * A blend's bundle lists its parts by name: models of the kinds linear, trees and mlp.  A blend
 * cannot be part of another one, so there are no cycles.  The loaded bundle is only this list;
 * blend_assemble combines it with the models serving under those names into a ranker whose rows
 * hold the union of the parts' features.  The assembled ranker is used, logged and replayed like
 * any other, and reassembled whenever a part changes.
 *
 * A missing part contributes its default, if the manifest gives one.
 *
 * Threads: assemble and release on the loader; evaluated on any (models/ranker.h).
 * Limits: BLEND_PARTS_MAX parts, BUNDLE_FEATURES_MAX features of all of them. */
#ifndef MODELS_BLEND_H
#define MODELS_BLEND_H

#include "models/model.h"

#define BLEND_PARTS_MAX  8
#define BLEND_WEIGHT_MAX 1e6

#define BLEND_TRANSFORMS(X) X(none) X(sigmoid)

enum blend_transform {
#define X(name) BLEND_##name,
    BLEND_TRANSFORMS(X)
#undef X
        BLEND_TRANSFORM_COUNT
};

struct blend_part {
    char model[MODEL_NAME_BYTES]; /* its name */
    double weight;
    enum blend_transform transform;
    double fallback; /* its score, before the transform, when it is not there; NaN: it must be */
};

uint32_t blend_part_count(const struct model *blend);
const struct blend_part *blend_part_at(const struct model *blend, uint32_t index);

/* What the parts' scores make, NaN for one that is not there. */
double blend_of_scores(const struct model *blend, const double *scores);

/* `parts[i]`: the model of part i, NULL when it is not there.  All of it is borrowed and outlives
 * the result, whose label and breaker are those of `blend`.  ERR_BAD_INPUT: a part is of a kind
 * that is none; ERR_NOT_FOUND: one without default is not there; ERR_LIMIT: too many features;
 * ERR_NOMEM. */
MUST_CHECK enum err_code blend_assemble(const struct model *blend, const struct model *const *parts,
                                        struct model **ret_ranker, struct err *err);
void blend_release(struct model **ranker); /* NULL is fine; not the parts */

/* Of one that is assembled: whether the model has a part in it; also `blend` itself. */
bool blend_has(const struct model *ranker, const struct model *model);
/* The model of part i; NULL when it is not there. */
const struct model *blend_part_model(const struct model *ranker, uint32_t index);

#endif
