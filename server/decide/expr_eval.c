/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <string.h>

#include "base/cursor.h"
#include "server/decide/expr_internal.h"
#include "server/decide/expr_set.h"

/* ---- arithmetic: false is unknown ------------------------------------------------------------ */

static bool calculate_int(uint32_t op, int64_t a, int64_t b, int64_t *ret)
{
    switch (op) {
    case '+': return !__builtin_add_overflow(a, b, ret);
    case '-': return !__builtin_sub_overflow(a, b, ret);
    case '*': return !__builtin_mul_overflow(a, b, ret);
    default: break;
    }
    if (b == 0 || (a == INT64_MIN && b == -1))
        return false;
    *ret = op == '/' ? a / b : a % b;
    return true;
}

static double calculate_double(uint32_t op, double a, double b)
{
    switch (op) {
    case '+': return a + b;
    case '-': return a - b;
    case '*': return a * b;
    default: return a / b;
    }
}

static bool to_int(double real, int64_t *ret)
{
    if (!(real > -9223372036854775808.0 && real < 9223372036854775808.0))
        return false;
    *ret = (int64_t)real;
    return true;
}

/* ---- comparisons: a bit of ORDER_ ------------------------------------------------------------ */

static uint32_t order_int(int64_t a, int64_t b)
{
    return a < b ? ORDER_LESS : a > b ? ORDER_GREATER : ORDER_EQUAL;
}

static uint32_t order_double(double a, double b)
{
    return a < b ? ORDER_LESS : a > b ? ORDER_GREATER : a == b ? ORDER_EQUAL : ORDER_NONE;
}

/* Compares exactly: converting the int to double would round. */
static uint32_t order_int_double(int64_t a, double b)
{
    if (isnan(b))
        return ORDER_NONE;
    if (b >= 9223372036854775808.0)
        return ORDER_LESS;
    if (b < -9223372036854775808.0)
        return ORDER_GREATER;
    uint32_t order = order_int(a, (int64_t)b);
    if (order != ORDER_EQUAL)
        return order;
    double rest = b - trunc(b);
    return rest > 0.0 ? ORDER_LESS : rest < 0.0 ? ORDER_GREATER : ORDER_EQUAL;
}

static uint32_t order_text(struct text a, struct text b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.ptr, b.ptr, len);
    if (order != 0)
        return order < 0 ? ORDER_LESS : ORDER_GREATER;
    return order_int(a.len, b.len);
}

/* Fast path for equality, the common case: texts of different lengths differ. */
static bool compare_text(struct text a, struct text b, uint32_t wanted)
{
    if (wanted == ORDER_EQUAL)
        return text_equal(a, b);
    if (wanted == (ORDER_LESS | ORDER_GREATER | ORDER_NONE))
        return !text_equal(a, b);
    return (order_text(a, b) & wanted) != 0;
}

/* ---- texts ----------------------------------------------------------------------------------- */

static bool starts_with(struct text text, struct text part)
{
    return part.len == 0 || (part.len <= text.len && memcmp(text.ptr, part.ptr, part.len) == 0);
}

static bool ends_with(struct text text, struct text part)
{
    return part.len == 0 || (part.len <= text.len &&
                             memcmp(text.ptr + text.len - part.len, part.ptr, part.len) == 0);
}

static bool contains(struct text text, struct text part)
{
    return part.len == 0 ||
           (part.len <= text.len && memmem(text.ptr, text.len, part.ptr, part.len) != NULL);
}

static int64_t characters(struct text text)
{
    int64_t count = 0;
    for (uint32_t i = 0; i < text.len; i++)
        count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
    return count;
}

static bool strings_have(struct text strings, struct text wanted)
{
    struct cursor cursor = cursor_of((const uint8_t *)strings.ptr, strings.len);
    uint32_t count = 0;
    if (!cursor_usual_array(&cursor, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        struct text text;
        if (!cursor_short_text(&cursor, &text) && !cursor_text(&cursor, &text))
            cursor_skip(&cursor, NULL);
        else if (text_equal(text, wanted))
            return true;
    }
    return false;
}

static int64_t strings_count(struct text strings)
{
    struct cursor cursor = cursor_of((const uint8_t *)strings.ptr, strings.len);
    uint32_t count = 0;
    (void)cursor_array(&cursor, &count);
    return count;
}

/* ---- instructions: on the stack a bool is an int, 0 or 1, so that all that is written there is
 * read in the same width ----------------------------------------------------------------------- */

/* Replaces the top two values, both of which must be known, by the result. */
static void run_pair(const struct expr_instruction *at, struct expr_known *a,
                     const struct expr_known *b)
{
    uint32_t operand = at->operand;
    if (!a->known || !b->known) {
        a->known = false;
        return;
    }
    switch ((enum expr_opcode)at->opcode) {
    case OP_INT:
        a->known = calculate_int(operand, a->as.integer, b->as.integer, &a->as.integer);
        break;
    case OP_DOUBLE: a->as.real = calculate_double(operand, a->as.real, b->as.real); break;
    case OP_COMPARE_BOOL:
        a->as.integer = (order_int(a->as.integer, b->as.integer) & operand) != 0;
        break;
    case OP_COMPARE_INT:
        a->as.integer = (order_int(a->as.integer, b->as.integer) & operand) != 0;
        break;
    case OP_COMPARE_DOUBLE:
        a->as.integer = (order_double(a->as.real, b->as.real) & operand) != 0;
        break;
    case OP_COMPARE_INT_DOUBLE:
        a->as.integer = (order_int_double(a->as.integer, b->as.real) & operand) != 0;
        break;
    case OP_COMPARE_STRING: a->as.integer = compare_text(a->as.text, b->as.text, operand); break;
    case OP_IN_STRINGS: a->as.integer = strings_have(b->as.text, a->as.text); break;
    case OP_STARTS_WITH: a->as.integer = starts_with(a->as.text, b->as.text); break;
    case OP_ENDS_WITH: a->as.integer = ends_with(a->as.text, b->as.text); break;
    case OP_CONTAINS: a->as.integer = contains(a->as.text, b->as.text); break;
    case OP_LEAST_INT:
        a->as.integer = b->as.integer < a->as.integer ? b->as.integer : a->as.integer;
        break;
    case OP_GREATEST_INT:
        a->as.integer = b->as.integer > a->as.integer ? b->as.integer : a->as.integer;
        break;
    case OP_LEAST_DOUBLE: a->as.real = b->as.real < a->as.real ? b->as.real : a->as.real; break;
    case OP_GREATEST_DOUBLE: a->as.real = b->as.real > a->as.real ? b->as.real : a->as.real; break;
    default: break;
    }
}

static void run_one(const struct expr *expr, const struct expr_instruction *at,
                    struct expr_known *a)
{
    if (!a->known)
        return;
    switch ((enum expr_opcode)at->opcode) {
    case OP_NOT: a->as.integer = !a->as.integer; break;
    case OP_NEGATE_INT:
        a->known = !__builtin_sub_overflow((int64_t)0, a->as.integer, &a->as.integer);
        break;
    case OP_NEGATE_DOUBLE: a->as.real = -a->as.real; break;
    case OP_IN_SET: a->as.integer = expr_set_has(&expr->set[at->operand], a->as); break;
    case OP_SIZE_STRING: a->as.integer = characters(a->as.text); break;
    case OP_SIZE_STRINGS: a->as.integer = strings_count(a->as.text); break;
    case OP_TO_DOUBLE: a->as.real = (double)a->as.integer; break;
    case OP_TO_INT: a->known = to_int(a->as.real, &a->as.integer); break;
    default: break;
    }
}

/* An operand that decides the result does so whatever the other is; else both must be known. */
static void run_logic(struct expr_known *a, const struct expr_known *b, bool decides)
{
    if ((a->known && a->as.integer == decides) || (b->known && b->as.integer == decides)) {
        a->as.integer = decides;
        a->known = true;
    } else {
        a->as.integer = !decides;
        a->known = a->known && b->known;
    }
}

/* The result is a bool or a number. */
struct outcome {
    bool known;
    union {
        int64_t integer;
        double real;
    } as;
};

static struct expr_known *run_pair_at(const struct expr *expr, const struct expr_instruction *at,
                                      struct expr_known *top)
{
    if (at->constant != NO_CONSTANT) {
        run_pair(at, top, &expr->constant[at->constant]);
        return top;
    }
    run_pair(at, top - 1, top);
    return top - 1;
}

static void read_field(const struct expr_use *use, const struct expr_env *env,
                       struct expr_known *ret)
{
    ret->known = env->read(env->ctx, use->id, use->type, &ret->as);
    if (use->type == EXPR_BOOL)
        ret->as.integer = ret->known && ret->as.truth;
}

/* Members of a list, characters of a text; unknown for anything else. */
static void read_size(const struct expr_use *use, const struct expr_env *env,
                      struct expr_known *ret)
{
    union expr_value value;
    ret->known = true;
    if (env->read(env->ctx, use->id, EXPR_STRINGS, &value))
        ret->as.integer = strings_count(value.text);
    else if (env->read(env->ctx, use->id, EXPR_STRING, &value))
        ret->as.integer = characters(value.text);
    else
        ret->known = false;
}

/* The fused comparison of a field with a constant, which bypasses the stack. */
static void run_fused(const struct expr *expr, const struct expr_instruction *at,
                      const struct expr_env *env, struct expr_known *ret)
{
    const struct expr_use *use = &expr->use[at->operand >> 8];
    uint32_t wanted = at->operand & 255;
    union expr_value value;
    ret->known = env->read(env->ctx, use->id, use->type, &value);
    if (!ret->known)
        return;
    if (at->opcode == OP_FIELD_SET) {
        ret->as.integer = expr_set_has(&expr->set[at->constant], value);
        return;
    }
    const union expr_value *constant = &expr->constant[at->constant].as;
    switch ((enum expr_opcode)at->opcode) {
    case OP_FIELD_INT:
        ret->as.integer = (order_int(value.integer, constant->integer) & wanted) != 0;
        break;
    case OP_FIELD_DOUBLE:
        ret->as.integer = (order_double(value.real, constant->real) & wanted) != 0;
        break;
    default: ret->as.integer = compare_text(value.text, constant->text, wanted); break;
    }
}

/* Pushes the cached value of a steady subexpression; false: it must be evaluated. */
static bool give_steady(const struct expr_env *env, uint32_t place, struct expr_known *ret)
{
    if (env->steady == NULL || !env->steady[place].is_there)
        return false;
    ret->as = env->steady[place].as;
    ret->known = env->steady[place].known;
    return true;
}

static void keep_steady(const struct expr_env *env, uint32_t place, const struct expr_known *value)
{
    if (env->steady != NULL)
        env->steady[place] =
            (struct expr_steady){.as = value->as, .known = value->known, .is_there = true};
}

static struct outcome run(const struct expr *expr, const struct expr_env *env)
{
    struct expr_known stack[EXPR_STACK_MAX + 1];
    struct expr_known *top = stack; /* the first is never used */
    const struct expr_instruction *at = expr->instruction;
    const struct expr_instruction *end = at + expr->instruction_count;
    while (at < end) {
        const struct expr_instruction *next = at + 1;
        if (at->opcode >= OP_INT) {
            top = run_pair_at(expr, at, top);
            at = next;
            continue;
        }
        switch ((enum expr_opcode)at->opcode) {
        case OP_CONSTANT: *++top = expr->constant[at->operand]; break;
        case OP_FIELD: read_field(&expr->use[at->operand], env, ++top); break;
        case OP_SIZE_FIELD: read_size(&expr->use[at->operand], env, ++top); break;
        case OP_HAS:
            ++top;
            top->as.integer = env->read(env->ctx, expr->use[at->operand].id, EXPR_ANY, &top->as);
            top->known = true;
            break;
        case OP_AND_JUMP:
        case OP_OR_JUMP:
            if (top->known && top->as.integer == (at->opcode == OP_OR_JUMP))
                next = expr->instruction + at->operand;
            break;
        case OP_AND:
        case OP_OR:
            top--;
            run_logic(top, top + 1, at->opcode == OP_OR);
            break;
        case OP_UNKNOWN_JUMP:
            if (!top->known)
                next = expr->instruction + at->operand;
            break;
        case OP_ELSE_JUMP:
            if (top->as.integer == 0)
                next = expr->instruction + at->operand;
            top--;
            break;
        case OP_JUMP: next = expr->instruction + at->operand; break;
        case OP_STEADY:
            if (give_steady(env, at->operand, top + 1)) {
                top++;
                next = expr->instruction + next->operand;
            } else {
                next++; /* past that jump */
            }
            break;
        case OP_KEEP: keep_steady(env, at->operand, top); break;
        case OP_FIELD_INT:
        case OP_FIELD_DOUBLE:
        case OP_FIELD_STRING:
        case OP_FIELD_SET: run_fused(expr, at, env, ++top); break;
        default: run_one(expr, at, top); break;
        }
        at = next;
    }
    struct outcome outcome = {.known = top->known};
    outcome.as.integer = top->as.integer; /* or the bits of a double */
    return outcome;
}

enum expr_truth expr_test(const struct expr *expr, const struct expr_env *env)
{
    struct outcome outcome = run(expr, env);
    return !outcome.known ? EXPR_UNKNOWN : outcome.as.integer != 0 ? EXPR_TRUE : EXPR_FALSE;
}

bool expr_number(const struct expr *expr, const struct expr_env *env, double *ret_number)
{
    struct outcome outcome = run(expr, env);
    if (!outcome.known)
        return false;
    *ret_number = expr->type == EXPR_INT ? (double)outcome.as.integer : outcome.as.real;
    return isfinite(*ret_number);
}
