/* SPDX-License-Identifier: Apache-2.0 */
#include "server/decide/expr_internal.h"

/* Whether a false result at this instruction makes the whole expression not true: only && follows.
 */
static bool decides_alone(const struct expr *expr, uint32_t place)
{
    uint32_t at = place + 1;
    while (at < expr->instruction_count) {
        const struct expr_instruction *next = &expr->instruction[at];
        if (next->opcode == OP_AND_JUMP)
            at = next->operand;
        else if (next->opcode == OP_AND)
            at++;
        else
            return false;
    }
    return true;
}

/* The texts with which the instruction compares the field. */
static uint32_t texts_of(const struct expr *expr, const struct expr_instruction *at,
                         struct text *ret_text, uint32_t max)
{
    if (at->opcode == OP_FIELD_STRING && (at->operand & 255) == ORDER_EQUAL) {
        ret_text[0] = expr->constant[at->constant].as.text;
        return 1;
    }
    if (at->opcode != OP_FIELD_SET)
        return 0;
    const struct expr_set *set = &expr->set[at->constant];
    for (uint32_t i = 0; i < set->count && set->count <= max; i++)
        ret_text[i] = set->value[i].text;
    return set->count <= max ? set->count : 0;
}

uint32_t expr_texts_needed(const struct expr *expr, uint32_t field, struct text *ret_text,
                           uint32_t max)
{
    for (uint32_t place = 0; place < expr->instruction_count; place++) {
        const struct expr_instruction *at = &expr->instruction[place];
        bool is_fused = at->opcode == OP_FIELD_STRING || at->opcode == OP_FIELD_SET;
        if (!is_fused || expr->use[at->operand >> 8].id != field || !decides_alone(expr, place))
            continue;
        uint32_t count = texts_of(expr, at, ret_text, max);
        if (count > 0)
            return count;
    }
    return 0;
}

static void narrow(uint32_t order, int64_t constant, int64_t *io_min, int64_t *io_max)
{
    int64_t min = constant, max = constant;
    if ((order & ORDER_LESS) != 0)
        min = INT64_MIN;
    if ((order & ORDER_GREATER) != 0)
        max = INT64_MAX;
    if ((order & ORDER_EQUAL) == 0 && min == INT64_MIN && constant > INT64_MIN)
        max = constant - 1;
    if ((order & ORDER_EQUAL) == 0 && max == INT64_MAX && constant < INT64_MAX)
        min = constant + 1;
    *io_min = min > *io_min ? min : *io_min;
    *io_max = max < *io_max ? max : *io_max;
}

bool expr_range_needed(const struct expr *expr, uint32_t field, int64_t *io_min, int64_t *io_max)
{
    const uint32_t all = ORDER_LESS | ORDER_EQUAL | ORDER_GREATER;
    bool any = false;
    for (uint32_t place = 0; place < expr->instruction_count; place++) {
        const struct expr_instruction *at = &expr->instruction[place];
        uint32_t order = at->operand & all;
        if (at->opcode != OP_FIELD_INT || expr->use[at->operand >> 8].id != field ||
            (order & (ORDER_LESS | ORDER_GREATER)) == (ORDER_LESS | ORDER_GREATER) ||
            !decides_alone(expr, place))
            continue;
        narrow(order, expr->constant[at->constant].as.integer, io_min, io_max);
        any = true;
    }
    return any;
}
