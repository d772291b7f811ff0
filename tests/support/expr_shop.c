/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/expr_shop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/json.h"

static const struct {
    const char *name;
    enum expr_type type;
    uint32_t id, scope;
} fields[] = {
    {"item.stock", EXPR_INT, STOCK, 1},
    {"item.price", EXPR_INT, PRICE, 1},
    {"item.category", EXPR_STRING, CATEGORY, 1},
    {"item.ctr", EXPR_DOUBLE, CTR, 1},
    {"user.is_member", EXPR_BOOL, FLAG, 2},
    {"item.tags", EXPR_STRINGS, TAGS, 1},
    {"item.attributes.colour", EXPR_ANY, COLOUR, 1},
    {"item.attributes.year", EXPR_ANY, YEAR, 1},
    {"item.attributes.weight in kg", EXPR_ANY, WEIGHT, 1},
    {"item.attributes.new", EXPR_ANY, NEW, 1},
    {"item.attributes.labels", EXPR_ANY, LABELS, 1},
    {"item.gone", EXPR_INT, GONE, 1},
    {"user.gone", EXPR_BOOL, GONE_BOOL, 2},
};

static const char *nearest(void *ctx, struct text path)
{
    static const char *const names[] = {"item.stock", "item.price",     "item.category",
                                        "item.ctr",   "user.is_member", NULL};
    (void)ctx;
    return json_nearest(path, names);
}

static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (text_is(path, fields[i].name)) {
            *ret_field = (struct expr_field){
                .type = fields[i].type, .id = fields[i].id, .scope = fields[i].scope};
            return true;
        }
    }
    return false;
}

static bool give_text(enum expr_type type, const char *text, union expr_value *ret)
{
    ret->text = text_of(text);
    return type == EXPR_STRING || type == EXPR_ANY;
}

static bool give_strings(enum expr_type type, struct text array, union expr_value *ret)
{
    ret->text = array;
    return type == EXPR_STRINGS || type == EXPR_ANY;
}

bool expr_shop_read(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret)
{
    (void)ctx;
    switch (id) {
    case STOCK: ret->integer = 3; return true;
    case PRICE: ret->integer = 1999; return true;
    case CATEGORY: return give_text(type, "t\xc3\xb6ys", ret);
    case CTR: ret->real = 0.25; return true;
    case FLAG: ret->truth = true; return true;
    case TAGS: return give_strings(type, TEXT_LITERAL("\x92\xa4sale\xa3new"), ret);
    case COLOUR: return give_text(type, "red", ret);
    case YEAR:
        if (type == EXPR_DOUBLE)
            ret->real = 2024.0;
        else
            ret->integer = 2024;
        return type == EXPR_INT || type == EXPR_DOUBLE || type == EXPR_ANY;
    case WEIGHT: ret->real = 1.5; return type == EXPR_DOUBLE || type == EXPR_ANY;
    case NEW: ret->truth = true; return type == EXPR_BOOL || type == EXPR_ANY;
    case LABELS:
        return give_strings(type,
                            TEXT_LITERAL("\x93\xa1"
                                         "a\x07\xa1"
                                         "b"),
                            ret);
    default: return false;
    }
}

static const struct expr_schema expr_shop_schema = {.find = find, .nearest = nearest};

const struct expr_env expr_shop_env = {.read = expr_shop_read};

enum err_code expr_shop_compile(const char *source, enum expr_type wanted, struct expr **ret_expr,
                                struct err *err)
{
    return expr_compile(text_of(source), &expr_shop_schema, wanted, ret_expr, err);
}

enum expr_truth expr_shop_test(const char *source)
{
    struct expr *expr = NULL;
    struct err err = {0};
    if (expr_shop_compile(source, EXPR_BOOL, &expr, &err) != ERR_OK)
        fail_msg("%s: %s", source, err.text);
    enum expr_truth truth = expr_test(expr, &expr_shop_env);
    expr_destroy(&expr);
    return truth;
}
