/* SPDX-License-Identifier: Apache-2.0 */
/* model_view - the description of a model common to `status` and `model_list`. */
#ifndef SERVER_CONTROL_MODEL_VIEW_H
#define SERVER_CONTROL_MODEL_VIEW_H

#include "base/pack.h"
#include "models/model.h"

/* The value of "retrieval": {by: "exact"} or {by: "index", lists, probes, recall}; nil where the
 * model is not of factors. */
void model_view_pack_retrieval(const struct model *model, struct pack *pack);

#endif
