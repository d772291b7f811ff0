/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "server/control/model_ops_internal.h"
#include "server/decide/trial.h"

/* A number of the body within bounds; it stays what it is when the key is absent. */
static enum err_code read_real(const struct request *request, const char *key, double min,
                               double max, double *value, const char **ret_field, struct err *err)
{
    double given = 0;
    bool ok = false;
    if (!request_body_real(request, key, &given, &ok))
        return ERR_OK;
    if (ok && given >= min && given <= max) {
        *value = given;
        return ERR_OK;
    }
    *ret_field = key;
    return err_set(err, ERR_BAD_INPUT, "%s: expected a number %g..%g", key, min, max);
}

static enum err_code read_int(const struct request *request, const char *key, int64_t min,
                              int64_t max, int64_t *value, const char **ret_field, struct err *err)
{
    int64_t given = 0;
    bool ok = false;
    if (!request_body_int(request, key, &given, &ok))
        return ERR_OK;
    if (ok && given >= min && given <= max) {
        *value = given;
        return ERR_OK;
    }
    *ret_field = key;
    return err_set(err, ERR_BAD_INPUT, "%s: expected an integer %lld..%lld", key, (long long)min,
                   (long long)max);
}

enum err_code model_trials_share(const struct request *request, double otherwise,
                                 uint32_t *ret_share_e4, const char **ret_field, struct err *err)
{
    double percent = otherwise;
    enum err_code rc = read_real(request, "percent", 0.01, 100, &percent, ret_field, err);
    if (rc == ERR_OK && percent == 0) {
        *ret_field = "percent";
        return err_set(err, ERR_BAD_INPUT, "percent: expected a number 0.01..100");
    }
    *ret_share_e4 = (uint32_t)lround(percent * TRIAL_SHARE_ALL / 100);
    return rc;
}

enum err_code model_trials_canary(const struct request *request,
                                  struct canary_settings *ret_settings, const char **ret_field,
                                  struct err *err)
{
    struct canary_settings settings = {.bounds = CANARY_BOUNDS_DEFAULT};
    struct canary_bounds *bounds = &settings.bounds;
    double errors = 100 * bounds->errors_max, degraded = 100 * bounds->degraded_max;
    int64_t floor_us = (int64_t)(bounds->latency_floor_ns / 1000);
    int64_t decisions_min = bounds->decisions_min;
    enum err_code rc = model_trials_share(request, 0, &settings.share_e4, ret_field, err);
    if (rc == ERR_OK)
        rc = read_real(request, "max_errors", 0, 100, &errors, ret_field, err);
    if (rc == ERR_OK)
        rc = read_real(request, "max_latency", 1, CANARY_RATIO_MAX, &bounds->latency_ratio_max,
                       ret_field, err);
    if (rc == ERR_OK)
        rc = read_int(request, "latency_floor_us", 0, CANARY_FLOOR_US_MAX, &floor_us, ret_field,
                      err);
    if (rc == ERR_OK)
        rc = read_real(request, "max_degraded", 0, 100, &degraded, ret_field, err);
    if (rc == ERR_OK)
        rc = read_int(request, "min_decisions", 1, CANARY_DECISIONS_MAX, &decisions_min, ret_field,
                      err);
    if (rc != ERR_OK)
        return rc;
    bounds->errors_max = errors / 100;
    bounds->degraded_max = degraded / 100;
    bounds->latency_floor_ns = (uint64_t)floor_us * 1000;
    bounds->decisions_min = (uint32_t)decisions_min;
    *ret_settings = settings;
    return ERR_OK;
}
