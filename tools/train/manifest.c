/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/manifest.h"

#include <stdio.h>

#include "base/clock.h"

/* Folding in sums thousands of products in single precision, in whatever order the daemon's
 * machine does it. */
#define FACTORS_TOLERANCE 1e-4

static bool add_number(cJSON *to, const char *key, double value)
{
    return cJSON_AddNumberToObject(to, key, value) != NULL;
}

bool manifest_add_metrics(cJSON *to, const struct evaluation *evaluation)
{
    bool ok = true;
    for (int mode = 0; mode < EVALUATE_MODES; mode++) {
        const struct mode_metrics *metrics = &evaluation->mode[mode];
        const struct {
            const char *name;
            double value;
        } one[] = {{"recall", metrics->mean.recall},
                   {"ndcg", metrics->mean.ndcg},
                   {"hr", metrics->mean.hr}};
        cJSON *object = cJSON_AddObjectToObject(to, evaluate_mode_name((enum evaluate_mode)mode));
        ok = ok && object != NULL && add_number(object, "users", metrics->users);
        for (size_t i = 0; i < sizeof one / sizeof one[0] && ok; i++) {
            char key[32];
            snprintf(key, sizeof key, "%s@%u", one[i].name, evaluation->k);
            ok = add_number(object, key, one[i].value);
        }
    }
    return ok;
}

static bool add_params(cJSON *extra, const struct ials_options *options)
{
    cJSON *params = cJSON_AddObjectToObject(extra, "params");
    cJSON *golden = cJSON_AddObjectToObject(extra, "golden");
    return params != NULL && add_number(params, "unobserved_weight", options->unobserved_weight) &&
           add_number(params, "regularization", options->regularization) &&
           add_number(params, "regularization_exponent", options->regularization_exponent) &&
           golden != NULL && add_number(golden, "tolerance", FACTORS_TOLERANCE);
}

static bool add_trained(cJSON *extra, const struct dataset *dataset,
                        const struct evaluation *evaluation)
{
    char at[CLOCK_ISO_BYTES];
    cJSON *trained = cJSON_AddObjectToObject(extra, "trained");
    clock_format_iso((int64_t)dataset->newest_s * 1000, at);
    bool ok = trained != NULL && cJSON_AddStringToObject(trained, "at", at) != NULL &&
              add_number(trained, "events", (double)dataset->interaction_count) &&
              add_number(trained, "users", dataset->pairs.row_count) &&
              add_number(trained, "items", dataset->pairs.column_count);
    if (ok && evaluation != NULL) {
        cJSON *metrics = cJSON_AddObjectToObject(trained, "metrics");
        ok = metrics != NULL && manifest_add_metrics(metrics, evaluation);
    }
    return ok;
}

enum err_code manifest_extra(const struct trained *trained, const struct dataset *dataset,
                             const struct evaluation *evaluation, cJSON **ret_extra,
                             struct err *err)
{
    cJSON *extra = cJSON_CreateObject();
    bool ok = extra != NULL && add_trained(extra, dataset, evaluation);
    if (ok && trained->kind == TRAIN_FACTORS)
        ok = add_params(extra, &trained->ials_options);
    if (!ok) {
        cJSON_Delete(extra);
        return err_set(err, ERR_NOMEM, "manifest: out of memory");
    }
    *ret_extra = extra;
    return ERR_OK;
}
