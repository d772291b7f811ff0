/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/earlier.h"

#include <string.h>

#include "base/json.h"

/* Format and kind; the caller deletes *ret_root, also on an error. */
static enum err_code open_result(const char *path, cJSON **ret_root, struct json_at *ret_at,
                                 const char **ret_kind, struct err *err)
{
    int64_t format = 0;
    enum err_code rc = json_parse_file(path, EARLIER_BYTES_MAX, ret_root, err);
    if (rc != ERR_OK)
        return rc;
    *ret_at = json_root(path, *ret_root);
    if ((rc = json_object(ret_at, err)) != ERR_OK)
        return rc;
    struct json_at at = json_member(ret_at, "format");
    if ((rc = json_int(&at, EARLIER_FORMAT, EARLIER_FORMAT, &format, err)) != ERR_OK)
        return rc == ERR_NOT_FOUND
                   ? err_set(err, ERR_BAD_INPUT,
                             "%s: no format is named: it is no result of decide-bench --json", path)
                   : rc;
    at = json_member(ret_at, "kind");
    return json_string(&at, ret_kind, err);
}

static enum err_code real_member(const struct json_at *object, const char *key, double max,
                                 double *ret_value, struct err *err)
{
    struct json_at at = json_member(object, key);
    return json_real(&at, 0, max, ret_value, err);
}

static enum err_code read_point(const struct json_at *pair, struct curve *curve, struct err *err)
{
    int count = 0;
    double percent = 0;
    double us = 0;
    enum err_code rc = json_array(pair, &count, err);
    if (rc == ERR_OK && count != 2)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a percentile and its microseconds",
                     pair->path);
    if (rc != ERR_OK)
        return rc;
    struct json_at first = json_element(pair, 0);
    struct json_at second = json_element(pair, 1);
    if ((rc = json_real(&first, 0, 100, &percent, err)) != ERR_OK ||
        (rc = json_real(&second, 0, EARLIER_US_MAX, &us, err)) != ERR_OK)
        return rc;
    struct curve_point point = {percent / 100, us};
    if (curve->count > 0 && (point.share <= curve->points[curve->count - 1].share ||
                             point.us < curve->points[curve->count - 1].us))
        return err_set(err, ERR_BAD_INPUT, "%s: percentiles do not ascend", pair->path);
    curve->points[curve->count++] = point;
    return ERR_OK;
}

static enum err_code read_curve(const struct json_at *run, struct curve *curve, struct err *err)
{
    int count = 0;
    struct json_at list = json_member(run, "percentiles");
    struct json_at latency = json_member(run, "latency_us");
    enum err_code rc = json_array(&list, &count, err);
    if (rc == ERR_OK && (count < 1 || count > CURVE_POINTS_MAX))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d percentiles, got %d", list.path,
                     CURVE_POINTS_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at pair = json_element(&list, i);
        rc = read_point(&pair, curve, err);
    }
    if (rc == ERR_OK)
        rc = json_object(&latency, err);
    for (int i = 0; i < QUANTILE_COUNT && rc == ERR_OK; i++)
        rc = real_member(&latency, quantiles[i].name, EARLIER_US_MAX, &curve->us[i], err);
    return rc;
}

static enum err_code check_slot(const struct json_at *at, const char *wanted, struct err *err)
{
    const char *slot = NULL;
    if (at->value != NULL && !cJSON_IsNull(at->value)) {
        enum err_code rc = json_string(at, &slot, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (at->value == NULL || (slot == NULL) != (wanted == NULL) ||
        (slot != NULL && strcmp(slot, wanted) != 0))
        return err_set(err, ERR_BAD_INPUT, "%s: expected %s to compare with, got %s", at->path,
                       wanted == NULL ? "none" : wanted,
                       at->value == NULL ? "nothing"
                       : slot == NULL    ? "none"
                                         : slot);
    return ERR_OK;
}

/* Other requests take other times. */
static enum err_code check_request(const struct json_at *run, const struct bench_options *options,
                                   struct err *err)
{
    const char *op = NULL;
    int64_t n = 0;
    struct json_at at = json_member(run, "op");
    enum err_code rc = json_string(&at, &op, err);
    if (rc != ERR_OK)
        return rc;
    if (strcmp(op, bench_op_name(options->op)) != 0)
        return err_set(err, ERR_BAD_INPUT, "%s: expected %s to compare with, got %s", at.path,
                       bench_op_name(options->op), op);
    at = json_member(run, "n");
    if (bench_op_has_n(options->op)) {
        if ((rc = json_int(&at, 0, BENCH_ITEMS_MAX, &n, err)) != ERR_OK)
            return rc;
        if (n != options->n)
            return err_set(err, ERR_BAD_INPUT, "%s: expected %u to compare with, got %d", at.path,
                           options->n, (int)n);
    }
    at = json_member(run, "slot");
    return bench_op_has_slot(options->op) ? check_slot(&at, options->slot, err) : ERR_OK;
}

enum err_code earlier_read_curve(const char *path, const struct bench_options *options,
                                 struct curve *ret_curve, struct err *err)
{
    cJSON *root = NULL;
    struct json_at run;
    const char *kind = NULL;
    struct curve curve = {0};
    enum err_code rc = open_result(path, &root, &run, &kind, err);
    if (rc == ERR_OK && strcmp(kind, "sweep") == 0) {
        run = json_member(&run, "at_half");
        if (run.value == NULL || cJSON_IsNull(run.value))
            rc = err_set(err, ERR_BAD_INPUT, "%s: this sweep found no peak to compare with", path);
    } else if (rc == ERR_OK && strcmp(kind, "run") != 0) {
        rc =
            err_set(err, ERR_BAD_INPUT, "%s: expected the kind run or sweep, got '%s'", path, kind);
    }
    if (rc == ERR_OK)
        rc = read_curve(&run, &curve, err);
    if (rc == ERR_OK)
        rc = check_request(&run, options, err);
    if (rc == ERR_OK)
        *ret_curve = curve;
    cJSON_Delete(root);
    return rc;
}

static enum err_code read_try(const struct json_at *at, struct earlier_sweep *sweep,
                              struct err *err)
{
    struct earlier_try one = {0};
    double failed_count = 0;
    double share = 0;
    enum err_code rc = json_object(at, err);
    if (rc == ERR_OK)
        rc = real_member(at, "rate", 10 * BENCH_RATE_MAX, &one.rate, err);
    if (rc == ERR_OK)
        rc = real_member(at, "p99_us", EARLIER_US_MAX, &one.p99_us, err);
    if (rc == ERR_OK)
        rc = real_member(at, "failed", 1e18, &failed_count, err);
    if (rc == ERR_OK)
        rc = real_member(at, "achieved_share", 1e6, &share, err);
    if (rc != ERR_OK)
        return rc;
    one.failed = failed_count > 0 || share < SWEEP_ACHIEVED_MIN;
    double before = sweep->try_count == 0 ? 0 : sweep->tries[sweep->try_count - 1].rate;
    if (one.rate < before || one.rate <= 0)
        return err_set(err, ERR_BAD_INPUT, "%s: rates do not ascend", at->path);
    if (one.rate > before)
        sweep->try_count++;
    sweep->tries[sweep->try_count - 1] = one;
    return ERR_OK;
}

enum err_code earlier_read_sweep(const char *path, struct earlier_sweep *ret_sweep, struct err *err)
{
    cJSON *root = NULL;
    struct json_at at;
    const char *kind = NULL;
    int count = 0;
    struct earlier_sweep sweep = {0};
    enum err_code rc = open_result(path, &root, &at, &kind, err);
    if (rc == ERR_OK && strcmp(kind, "sweep") != 0)
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected a result of --sweep, got the kind '%s'",
                     path, kind);
    if (rc == ERR_OK)
        rc = real_member(&at, "limit_us", EARLIER_US_MAX, &sweep.limit_us, err);
    if (rc == ERR_OK)
        rc = real_member(&at, "peak_rate", BENCH_RATE_MAX, &sweep.peak_rate, err);
    struct json_at list = {0};
    if (rc == ERR_OK) {
        list = json_member(&at, "tries");
        rc = json_array(&list, &count, err);
    }
    if (rc == ERR_OK && (count < 1 || count > SWEEP_TRIES_MAX))
        rc = err_set(err, ERR_BAD_INPUT, "%s: expected 1..%d tries, got %d", list.path,
                     SWEEP_TRIES_MAX, count);
    for (int i = 0; i < count && rc == ERR_OK; i++) {
        struct json_at one = json_element(&list, i);
        rc = read_try(&one, &sweep, err);
    }
    if (rc == ERR_OK)
        *ret_sweep = sweep;
    cJSON_Delete(root);
    return rc;
}
