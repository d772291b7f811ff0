/* SPDX-License-Identifier: Apache-2.0 */
/* expr_shop - fields of one item and one user to write conditions on, as constants.  Threads: any.
 */
#ifndef TESTS_SUPPORT_EXPR_SHOP_H
#define TESTS_SUPPORT_EXPR_SHOP_H

#include "server/decide/expr.h"

enum {
    STOCK,
    PRICE,
    CATEGORY,
    CTR,
    FLAG,
    TAGS,
    COLOUR,
    YEAR,
    WEIGHT,
    NEW,
    LABELS,
    GONE,
    GONE_BOOL
};

bool expr_shop_read(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret);
extern const struct expr_env expr_shop_env;
/* Compiles with the fields of the shop. */
enum err_code expr_shop_compile(const char *source, enum expr_type wanted, struct expr **ret_expr,
                                struct err *err);
/* What a condition that must compile says of the item. */
enum expr_truth expr_shop_test(const char *source);

#endif
