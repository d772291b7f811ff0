/* SPDX-License-Identifier: Apache-2.0 */
#include "models/forest_fast_internal.h"

/* Goes left of any threshold, and right of any. */
#define LEFT  (-INFINITY)
#define RIGHT NAN

static void column32(const struct forest *forest, const struct fast_column *column, const double *x,
                     uint32_t lanes, float *ret_column)
{
    const struct forest_node node = {.set = column->set, .flags = column->flags};
    if ((column->flags & NODE_CATEGORICAL) != 0) {
        for (uint32_t row = 0; row < lanes; row++)
            ret_column[row] = forest_xgboost_left(forest, &node, x[row]) ? LEFT : RIGHT;
    } else {
        const float missing = (column->flags & NODE_DEFAULT_LEFT) != 0 ? LEFT : RIGHT;
        for (uint32_t row = 0; row < lanes; row++) {
            float value = (float)x[row];
            ret_column[row] = isnan(value) ? missing : value;
        }
    }
}

static double value64(const struct forest *forest, const struct fast_column *column, double x)
{
    if ((column->flags & NODE_CATEGORICAL) != 0) {
        struct forest_node node = {.set = column->set, .flags = column->flags};
        return forest_lightgbm_left(forest, &node, x) ? LEFT : RIGHT;
    }
    if (!fast_value64(column->flags, x, &x))
        return (column->flags & NODE_DEFAULT_LEFT) != 0 ? LEFT : RIGHT;
    return x;
}

/* Rows that are not there are like the first, so that a block does not spread more for them. */
static void take_feature(const struct forest_fast *fast, const double *values, uint32_t row_count,
                         uint32_t lanes, uint32_t feature, double *x)
{
    size_t stride = fast->forest->feature_count;
    for (uint32_t row = 0; row < row_count; row++)
        x[row] = values[row * stride + feature];
    for (uint32_t row = row_count; row < lanes; row++)
        x[row] = x[0];
}

void forest_fast_fill32(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, float *ret_columns)
{
    double x[FOREST_FAST_ROWS];
    for (uint32_t f = 0; f < fast->feature_count; f++) {
        const struct fast_feature *feature = &fast->feature[f];
        take_feature(fast, values, row_count, lanes, feature->feature, x);
        for (uint32_t c = 0; c < feature->column_count; c++) {
            uint32_t place = feature->column_begin + c;
            column32(fast->forest, &fast->column[place], x, lanes,
                     ret_columns + (size_t)place * FOREST_FAST_ROWS);
        }
    }
}

void forest_fast_fill64(const struct forest_fast *fast, const double *values, uint32_t row_count,
                        uint32_t lanes, double *ret_columns)
{
    double x[FOREST_FAST_ROWS];
    for (uint32_t f = 0; f < fast->feature_count; f++) {
        const struct fast_feature *feature = &fast->feature[f];
        take_feature(fast, values, row_count, lanes, feature->feature, x);
        for (uint32_t c = 0; c < feature->column_count; c++) {
            uint32_t place = feature->column_begin + c;
            double *to = ret_columns + (size_t)place * FOREST_FAST_ROWS;
            for (uint32_t row = 0; row < lanes; row++)
                to[row] = value64(fast->forest, &fast->column[place], x[row]);
        }
    }
}
