/* SPDX-License-Identifier: Apache-2.0 */
/* replay - logged decisions computed again: what their ranker, or another one, makes of the
 * features as they were served.
 *
 *   replay.c          the command line, decisions from a daemon or a file
 *   replay_models.c   versions of models, read from a folder of bundles
 *   replay_compute.c  scores again, and the comparison
 *
 * A decision that is equal has the very bits: trees and linear models compute the same on every
 * machine of one kind.  The scores of an mlp depend on how many rows went through BLAS together, so
 * they are equal to rounding.  Threads: one. */
#ifndef TOOLS_CTL_REPLAY_H
#define TOOLS_CTL_REPLAY_H

#include "featurestore/decision_record.h"
#include "models/blend.h"
#include "tools/ctl/command.h"

#define REPLAY_ITEMS_MAX  1000
#define REPLAY_MODELS_MAX 64

struct replay_models {
    const char *dir; /* holds NAME/VERSION */
    uint32_t count;
    struct model *model[REPLAY_MODELS_MAX]; /* owned */
};

/* "rank@3", kept for the next time.  ERR_NOT_FOUND "rank@3 is not in 'models'": that version was
 * removed; ERR_UNSUPPORTED when it is no ranker; the errors of a bundle. */
MUST_CHECK enum err_code replay_model(struct replay_models *models, struct text label,
                                      const struct model **ret_model, struct err *err);
/* Versions of parts that are wanted in the place of those that made a decision. */
struct replay_parts {
    uint32_t count;
    const struct model *model[BLEND_PARTS_MAX]; /* borrowed */
};
/* ERR_BAD_INPUT unless each is written as NAME@VERSION; whether there is one is not looked at. */
MUST_CHECK enum err_code replay_labels_check(struct text labels, struct err *err);
/* "blend@2,part@1,...": a version, and, of a blend, versions of its parts.  As replay_model;
 * ERR_BAD_INPUT: no part of it. */
MUST_CHECK enum err_code replay_with(struct replay_models *models, struct text labels,
                                     const struct model **ret_model, struct replay_parts *ret_parts,
                                     struct err *err);
/* A blend with `parts`, else those that made the decision; one that is in neither is not there.
 * blend_release.  ERR_NOT_FOUND: one that must be. */
MUST_CHECK enum err_code replay_assemble(struct replay_models *models,
                                         const struct decision_record *decision,
                                         const struct model *blend,
                                         const struct replay_parts *parts,
                                         struct model **ret_ranker, struct err *err);
/* Its scores depend on how many rows came together (models/model.h). */
bool replay_rounds(const struct model *ranker);
void replay_models_close(struct replay_models *models);

struct replay_item {
    struct text item;
    double score;   /* as it was answered */
    float logged;   /* the ranker's own */
    float computed; /* again, or by another ranker */
    uint32_t place; /* by `computed`, from 1; 0: no ranker saw it */
    bool is_ranked;
    bool is_equal;
};

struct replay {
    struct replay_item item[REPLAY_ITEMS_MAX];
    uint32_t count, ranked_count, differing_count;
    bool order_differs; /* scores rise from one item to the next */
};

/* Scores of `model` for the items of the decision.  ERR_NOT_FOUND "rank@3 looks at 'item.x', which
 * the log of this decision does not have"; ERR_CORRUPT for too many items; ERR_NOMEM. */
MUST_CHECK enum err_code replay_compute(const struct decision_record *decision,
                                        const struct model *model, struct replay *ret_replay,
                                        struct err *err);

#endif
