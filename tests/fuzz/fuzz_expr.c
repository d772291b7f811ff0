/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says what is wanted and which fields are unknown, the rest is the expression. With
 * room for steady parts it gives the same, at first and again. */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "server/decide/expr.h"

enum { VARYING = 1, PLACES_MAX = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx;
    *ret_field = (struct expr_field){.type = (enum expr_type)(path.len % (EXPR_ANY + 1)),
                                     .id = path.len,
                                     .scope = path.len % 4 == 0 ? VARYING : 0};
    return path.len > 0 && path.ptr[0] != 'x';
}

static bool read_field(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value)
{
    static const char strings[] = "\x92\xa1"
                                  "a\xa1"
                                  "b";
    uint8_t flags = *(const uint8_t *)ctx;
    switch (type) {
    case EXPR_BOOL: ret_value->truth = (id & 1) != 0; break;
    case EXPR_INT: ret_value->integer = id % 3 == 0 ? INT64_MIN : id; break;
    case EXPR_DOUBLE: ret_value->real = id % 3 == 0 ? -1e308 : 0.5 * id; break;
    case EXPR_STRING: ret_value->text = TEXT_LITERAL("ab"); break;
    case EXPR_STRINGS: ret_value->text = (struct text){strings, sizeof strings - 1}; break;
    case EXPR_ANY: break;
    }
    return (flags >> id % 7 & 2) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint32_t steady_count = 0;
    const struct expr_schema schema = {
        .find = find, .varying = VARYING, .steady_count = &steady_count};
    struct expr_steady room[PLACES_MAX] = {0};
    struct expr *expr = NULL;
    struct err err;
    if (size == 0)
        return 0;
    uint8_t flags = data[0];
    const struct expr_env env = {.read = read_field, .ctx = &flags};
    const struct text source = {(const char *)data + 1, (uint32_t)size - 1};
    enum expr_type wanted = (flags & 1) != 0 ? EXPR_DOUBLE : EXPR_BOOL;
    if (expr_compile(source, &schema, wanted, &expr, &err) != ERR_OK) {
        ASSERT(err.text[0] != '\0');
        return 0;
    }
    const struct expr_env kept = {
        .read = read_field, .ctx = &flags, .steady = steady_count <= PLACES_MAX ? room : NULL};
    double number = 0.0, again = 0.0;
    if (wanted == EXPR_BOOL)
        ASSERT(expr_test(expr, &env) <= EXPR_UNKNOWN);
    else if (expr_number(expr, &env, &number))
        ASSERT(isfinite(number));
    for (int i = 0; i < 2; i++) {
        if (wanted == EXPR_BOOL)
            ASSERT(expr_test(expr, &kept) == expr_test(expr, &env));
        else
            ASSERT(expr_number(expr, &kept, &again) == expr_number(expr, &env, &number) &&
                   (again == number || !isfinite(number)));
    }
    expr_destroy(&expr);
    return 0;
}
