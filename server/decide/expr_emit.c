/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "server/decide/expr_internal.h"

struct emit {
    const struct expr_tree *tree;
    const struct expr_schema *schema;
    struct expr *expr;
    struct err *err;
    bool is_steady;            /* what is emitted now is part of a steady one */
    uint32_t depth, depth_max; /* of the stack */
};

static enum err_code emit_node(struct emit *e, uint32_t number);

/* Three for the largest node, see emit_choose, and three more to cache it if it is steady. */
static uint32_t instructions_max(const struct expr_tree *tree)
{
    return 6 * tree->count + 1;
}

static uint32_t put(struct emit *e, enum expr_opcode opcode, uint32_t operand)
{
    e->expr->instruction[e->expr->instruction_count] =
        (struct expr_instruction){(uint16_t)opcode, NO_CONSTANT, operand};
    return e->expr->instruction_count++;
}

/* Makes the jump at that index land at the next instruction. */
static void land(const struct emit *e, uint32_t place)
{
    e->expr->instruction[place].operand = e->expr->instruction_count;
}

static void grow_stack(struct emit *e)
{
    if (++e->depth > e->depth_max)
        e->depth_max = e->depth;
}

static const struct expr_node *node_of(const struct emit *e, uint32_t number)
{
    return expr_node(e->tree, number);
}

static uint32_t add_use(struct expr *expr, const struct expr_field *field, enum expr_type type)
{
    for (uint32_t i = 0; i < expr->use_count; i++) {
        if (expr->use[i].id == field->id && expr->use[i].type == type)
            return i;
    }
    expr->use[expr->use_count] = (struct expr_use){field->id, type};
    expr->scopes |= field->scope;
    return expr->use_count++;
}

static enum err_code emit_field(struct emit *e, const struct expr_node *node, bool asks_has)
{
    enum expr_type type = asks_has ? EXPR_ANY : (enum expr_type)node->type;
    put(e, asks_has ? OP_HAS : OP_FIELD, add_use(e->expr, &node->field, type));
    grow_stack(e);
    return ERR_OK;
}

/* On the stack a bool is an int. */
static union expr_value constant_of(const struct expr_node *node)
{
    if (node->type != EXPR_BOOL)
        return node->value;
    return (union expr_value){.integer = node->value.truth};
}

static uint32_t add_constant(struct emit *e, union expr_value value)
{
    e->expr->constant[e->expr->constant_count] = (struct expr_known){value, true};
    return e->expr->constant_count++;
}

/* Fuses "load field, load constant, operate" into one instruction; otherwise the opcode itself.
 * (Safe, since no jump lands between a field and the instruction after it.) */
static enum expr_opcode fused(const struct emit *e, uint32_t first, enum expr_opcode opcode)
{
    if (node_of(e, first)->kind != NODE_FIELD)
        return opcode;
    switch (opcode) {
    case OP_COMPARE_INT: return OP_FIELD_INT;
    case OP_COMPARE_DOUBLE: return OP_FIELD_DOUBLE;
    case OP_COMPARE_STRING: return OP_FIELD_STRING;
    case OP_IN_SET: return OP_FIELD_SET;
    default: return opcode;
    }
}

static void put_fused(struct emit *e, enum expr_opcode opcode, uint32_t field, uint16_t constant,
                      uint32_t order)
{
    const struct expr_node *node = node_of(e, field);
    uint32_t use = add_use(e->expr, &node->field, (enum expr_type)node->type);
    uint32_t place = put(e, opcode, FIELD_OPERAND(use, order));
    e->expr->instruction[place].constant = constant;
    grow_stack(e);
}

/* Two operands and their operation. */
static enum err_code emit_pair(struct emit *e, uint32_t first, uint32_t second,
                               enum expr_opcode opcode, uint32_t operand)
{
    const struct expr_node *last = node_of(e, second);
    bool has_constant = last->kind == NODE_CONSTANT && e->expr->constant_count < NO_CONSTANT;
    enum expr_opcode both = has_constant ? fused(e, first, opcode) : opcode;
    if (both != opcode) {
        put_fused(e, both, first, (uint16_t)add_constant(e, constant_of(last)), operand);
        return ERR_OK;
    }
    enum err_code rc = emit_node(e, first);
    if (has_constant) {
        uint32_t place = put(e, opcode, operand);
        e->expr->instruction[place].constant = (uint16_t)add_constant(e, constant_of(last));
        return rc;
    }
    if (rc == ERR_OK)
        rc = emit_node(e, second);
    e->depth--;
    put(e, opcode, operand);
    return rc;
}

static enum err_code emit_compare(struct emit *e, const struct expr_node *node)
{
    uint8_t first = node_of(e, node->first)->type, second = node_of(e, node->second)->type;
    uint32_t found = node->op;
    if (first == EXPR_DOUBLE && second == EXPR_INT) {
        /* The int goes first, so swap less and greater. */
        found = (found & (ORDER_EQUAL | ORDER_NONE)) |
                ((found & ORDER_LESS) != 0 ? ORDER_GREATER : 0) |
                ((found & ORDER_GREATER) != 0 ? ORDER_LESS : 0);
        return emit_pair(e, node->second, node->first, OP_COMPARE_INT_DOUBLE, found);
    }
    enum expr_opcode opcode = first == EXPR_BOOL     ? OP_COMPARE_BOOL
                              : first == EXPR_STRING ? OP_COMPARE_STRING
                              : second == EXPR_INT   ? OP_COMPARE_INT
                              : first == EXPR_INT    ? OP_COMPARE_INT_DOUBLE
                                                     : OP_COMPARE_DOUBLE;
    return emit_pair(e, node->first, node->second, opcode, found);
}

static enum err_code emit_logic(struct emit *e, const struct expr_node *node)
{
    bool is_and = node->kind == NODE_AND;
    enum err_code rc = emit_node(e, node->first);
    uint32_t jump = put(e, is_and ? OP_AND_JUMP : OP_OR_JUMP, 0);
    if (rc == ERR_OK)
        rc = emit_node(e, node->second);
    e->depth--;
    put(e, is_and ? OP_AND : OP_OR, 0);
    land(e, jump);
    return rc;
}

/*   condition, UNKNOWN_JUMP end, ELSE_JUMP no, yes, JUMP end, no: ..., end: */
static enum err_code emit_choose(struct emit *e, const struct expr_node *node)
{
    enum err_code rc = emit_node(e, node->first);
    uint32_t unknown = put(e, OP_UNKNOWN_JUMP, 0);
    uint32_t otherwise = put(e, OP_ELSE_JUMP, 0);
    e->depth--;
    if (rc == ERR_OK)
        rc = emit_node(e, node->second);
    uint32_t end = put(e, OP_JUMP, 0);
    land(e, otherwise);
    e->depth--;
    if (rc == ERR_OK)
        rc = emit_node(e, node->third);
    land(e, end);
    land(e, unknown);
    return rc;
}

static enum err_code emit_in(struct emit *e, const struct expr_node *node)
{
    const struct expr_node *list = node_of(e, node->second);
    if (list->kind != NODE_LIST)
        return emit_pair(e, node->first, node->second, OP_IN_STRINGS, 0);
    enum err_code rc = ERR_OK;
    uint32_t number = e->expr->set_count++;
    struct expr_set *set = &e->expr->set[number];
    if (fused(e, node->first, OP_IN_SET) == OP_FIELD_SET) {
        put_fused(e, OP_FIELD_SET, node->first, (uint16_t)number, 0);
    } else {
        rc = emit_node(e, node->first);
        put(e, OP_IN_SET, number);
    }
    *set = (struct expr_set){.type = (enum expr_type)node_of(e, node->first)->type};
    set->value = calloc((size_t)list->count + 1, sizeof *set->value);
    if (rc == ERR_OK && set->value == NULL)
        return err_set(e->err, ERR_NOMEM, "no memory for a list of %u", list->count);
    for (uint32_t i = list->first; rc == ERR_OK && i != NO_NODE; i = node_of(e, i)->next)
        set->value[set->count++] = node_of(e, i)->value;
    return rc == ERR_OK ? expr_set_make(set, e->err) : rc;
}

static enum expr_opcode call_opcode(const struct emit *e, const struct expr_node *node)
{
    uint8_t first = node_of(e, node->first)->type;
    switch ((enum expr_function)node->op) {
    case FUNCTION_SIZE: return first == EXPR_STRING ? OP_SIZE_STRING : OP_SIZE_STRINGS;
    case FUNCTION_INT: return OP_TO_INT;
    case FUNCTION_DOUBLE: return OP_TO_DOUBLE;
    case FUNCTION_STARTS_WITH: return OP_STARTS_WITH;
    case FUNCTION_ENDS_WITH: return OP_ENDS_WITH;
    case FUNCTION_LEAST: return first == EXPR_INT ? OP_LEAST_INT : OP_LEAST_DOUBLE;
    case FUNCTION_GREATEST: return first == EXPR_INT ? OP_GREATEST_INT : OP_GREATEST_DOUBLE;
    default: return OP_CONTAINS;
    }
}

static enum err_code emit_call(struct emit *e, const struct expr_node *node)
{
    enum expr_opcode opcode = call_opcode(e, node);
    uint8_t first = node_of(e, node->first)->type;
    if (node->op == FUNCTION_SIZE && first == EXPR_ANY) {
        put(e, OP_SIZE_FIELD, add_use(e->expr, &node_of(e, node->first)->field, EXPR_ANY));
        grow_stack(e);
        return ERR_OK;
    }
    bool is_conversion = node->op == FUNCTION_INT || node->op == FUNCTION_DOUBLE;
    bool says_nothing = node->op == FUNCTION_STRING || (is_conversion && first == node->type);
    enum err_code rc = emit_node(e, node->first);
    uint32_t further = node_of(e, node->first)->next;
    if (further == NO_NODE && node->op != FUNCTION_LEAST && node->op != FUNCTION_GREATEST &&
        !says_nothing)
        put(e, opcode, 0);
    for (; further != NO_NODE && rc == ERR_OK; further = node_of(e, further)->next) {
        rc = emit_node(e, further);
        e->depth--;
        put(e, opcode, 0);
    }
    return rc;
}

static enum err_code emit_unary(struct emit *e, const struct expr_node *node)
{
    enum err_code rc = emit_node(e, node->first);
    put(e,
        node->kind == NODE_NOT   ? OP_NOT
        : node->type == EXPR_INT ? OP_NEGATE_INT
                                 : OP_NEGATE_DOUBLE,
        0);
    return rc;
}

static enum err_code emit_self(struct emit *e, const struct expr_node *node)
{
    switch ((enum expr_kind)node->kind) {
    case NODE_CONSTANT:
        put(e, OP_CONSTANT, add_constant(e, constant_of(node)));
        grow_stack(e);
        return ERR_OK;
    case NODE_FIELD: return emit_field(e, node, false);
    case NODE_HAS: return emit_field(e, node_of(e, node->first), true);
    case NODE_NOT:
    case NODE_NEGATE: return emit_unary(e, node);
    case NODE_ARITHMETIC:
        return emit_pair(e, node->first, node->second, node->type == EXPR_INT ? OP_INT : OP_DOUBLE,
                         node->op);
    case NODE_COMPARE: return emit_compare(e, node);
    case NODE_AND:
    case NODE_OR: return emit_logic(e, node);
    case NODE_CHOOSE: return emit_choose(e, node);
    case NODE_IN: return emit_in(e, node);
    case NODE_CALL: return emit_call(e, node);
    case NODE_LIST: break; /* refused by expr_check */
    }
    return ERR_OK;
}

/*   STEADY, JUMP end, the part, KEEP, end: */
static enum err_code emit_steady(struct emit *e, const struct expr_node *node)
{
    uint32_t place = (*e->schema->steady_count)++;
    put(e, OP_STEADY, place);
    uint32_t jump = put(e, OP_JUMP, 0);
    e->is_steady = true;
    enum err_code rc = emit_self(e, node);
    e->is_steady = false;
    put(e, OP_KEEP, place);
    land(e, jump);
    return rc;
}

static enum err_code emit_node(struct emit *e, uint32_t number)
{
    const struct expr_node *node = node_of(e, number);
    bool begins_steady = !e->is_steady && e->schema->steady_count != NULL &&
                         (node->scopes & (e->schema->varying | SCOPE_ANY)) == SCOPE_ANY;
    return begins_steady ? emit_steady(e, node) : emit_self(e, node);
}

static enum err_code make_room(const struct expr_tree *tree, struct expr *expr, struct err *err)
{
    uint32_t fields = 0, sets = 0, constants = 0;
    for (uint32_t i = 0; i < tree->count; i++) {
        fields += tree->node[i].kind == NODE_FIELD;
        sets += tree->node[i].kind == NODE_IN;
        constants += tree->node[i].kind == NODE_CONSTANT;
    }
    expr->instruction = calloc(instructions_max(tree), sizeof *expr->instruction);
    expr->constant = calloc((size_t)constants + 1, sizeof *expr->constant);
    expr->use = calloc((size_t)fields + 1, sizeof *expr->use);
    expr->set = calloc((size_t)sets + 1, sizeof *expr->set);
    if (expr->instruction == NULL || expr->constant == NULL || expr->use == NULL ||
        expr->set == NULL)
        return err_set(err, ERR_NOMEM, "no memory for an expression");
    return ERR_OK;
}

enum err_code expr_emit(const struct expr_tree *tree, const struct expr_schema *schema,
                        struct expr *expr, struct err *err)
{
    struct emit e = {.tree = tree, .schema = schema, .expr = expr, .err = err};
    enum err_code rc = make_room(tree, expr, err);
    if (rc == ERR_OK)
        rc = emit_node(&e, tree->root);
    if (rc == ERR_OK && e.depth_max > EXPR_STACK_MAX)
        rc = err_set(err, ERR_LIMIT, "it needs more than %d values at a time", EXPR_STACK_MAX);
    expr->type = (enum expr_type)expr_node(tree, tree->root)->type;
    return rc;
}
