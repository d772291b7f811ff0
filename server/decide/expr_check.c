/* SPDX-License-Identifier: Apache-2.0 */
/* Type checking from the leaves upwards, by the rules of CEL: no implicit conversion, except that
 * ints and doubles may be compared.  A field without declared type takes the type of the other
 * operand. */
#include "server/decide/expr_internal.h"

/* Not limited by EXPR_DEPTH_MAX: how long a chain such as a || b || c ... may be. */
#define LEVELS_MAX 1024

struct check {
    struct expr_tree *tree;
    struct err *err;
    uint32_t levels;
};

static enum err_code check_node(struct check *c, uint32_t number);

const char *expr_type_name(enum expr_type type)
{
    static const char *const names[] = {"bool", "int", "double", "string", "list of strings",
                                        "any"};
    return names[type];
}

static struct expr_node *node_of(const struct check *c, uint32_t number)
{
    return expr_node(c->tree, number);
}

static bool is_number(uint8_t type)
{
    return type == EXPR_INT || type == EXPR_DOUBLE;
}

/* Gives a node without declared type the type `type`. */
static void settle(const struct check *c, uint32_t number, enum expr_type type)
{
    struct expr_node *node = node_of(c, number);
    if (node->type != EXPR_ANY)
        return;
    node->type = (uint8_t)type;
    if (node->kind == NODE_CHOOSE) {
        settle(c, node->second, type);
        settle(c, node->third, type);
    }
}

static enum err_code fault(const struct check *c, const struct expr_node *node, const char *what)
{
    return expr_fault(c->tree->source, node->at, c->err, "%s", what);
}

static enum err_code need(const struct check *c, uint32_t number, enum expr_type type)
{
    settle(c, number, type);
    const struct expr_node *node = node_of(c, number);
    if (node->type == type)
        return ERR_OK;
    return expr_fault(c->tree->source, node->at, c->err, "expected a %s here, got a %s",
                      expr_type_name(type), expr_type_name((enum expr_type)node->type));
}

static enum err_code need_number(const struct check *c, uint32_t number)
{
    settle(c, number, EXPR_DOUBLE);
    const struct expr_node *node = node_of(c, number);
    if (is_number(node->type))
        return ERR_OK;
    return expr_fault(c->tree->source, node->at, c->err, "expected a number here, got a %s",
                      expr_type_name((enum expr_type)node->type));
}

/* If one of the two operands lacks a type it takes that of the other. */
static void settle_pair(const struct check *c, uint32_t first, uint32_t second)
{
    settle(c, first, (enum expr_type)node_of(c, second)->type);
    settle(c, second, (enum expr_type)node_of(c, first)->type);
}

static enum err_code mismatch(const struct check *c, const struct expr_node *node, const char *what)
{
    const struct expr_node *first = node_of(c, node->first), *second = node_of(c, node->second);
    bool convert = is_number(first->type) && is_number(second->type);
    return expr_fault(c->tree->source, node->at, c->err, "cannot %s a %s and a %s%s", what,
                      expr_type_name((enum expr_type)first->type),
                      expr_type_name((enum expr_type)second->type),
                      convert ? "; convert one with int() or double()" : "");
}

static enum err_code check_arithmetic(const struct check *c, struct expr_node *node)
{
    settle_pair(c, node->first, node->second);
    if (node_of(c, node->first)->type == EXPR_STRING)
        return fault(c, node, "texts cannot be put together");
    enum err_code rc = need_number(c, node->first);
    if (rc == ERR_OK)
        rc = need_number(c, node->second);
    if (rc != ERR_OK)
        return rc;
    node->type = node_of(c, node->first)->type;
    if (node->type != node_of(c, node->second)->type)
        return mismatch(c, node, "calculate with");
    if (node->op == '%' && node->type == EXPR_DOUBLE)
        return fault(c, node, "'%' takes ints alone");
    return ERR_OK;
}

static enum err_code check_compare(const struct check *c, struct expr_node *node)
{
    /* Numbers without declared type are doubles: an attribute that is 1.5 must not be read as 1. */
    for (int i = 0; i < 2; i++) {
        uint32_t one = i == 0 ? node->first : node->second;
        uint32_t other = i == 0 ? node->second : node->first;
        uint8_t type = node_of(c, other)->type;
        settle(c, one, type == EXPR_INT ? EXPR_DOUBLE : (enum expr_type)type);
    }
    uint8_t first = node_of(c, node->first)->type, second = node_of(c, node->second)->type;
    node->type = EXPR_BOOL;
    if (first == EXPR_ANY)
        return fault(c, node,
                     "the type of both sides is unknown; say it with int(), double() or string()");
    if ((first != second && !(is_number(first) && is_number(second))) || first == EXPR_STRINGS)
        return mismatch(c, node, "compare");
    return ERR_OK;
}

static enum err_code check_in(struct check *c, struct expr_node *node)
{
    struct expr_node *list = node_of(c, node->second);
    node->type = EXPR_BOOL;
    if (list->kind != NODE_LIST) {
        enum err_code rc = check_node(c, node->second);
        if (rc == ERR_OK)
            rc = need(c, node->second, EXPR_STRINGS);
        return rc == ERR_OK ? need(c, node->first, EXPR_STRING) : rc;
    }
    if (list->count == 0) {
        settle(c, node->first, EXPR_STRING);
        return ERR_OK;
    }
    enum expr_type type = (enum expr_type)node_of(c, list->first)->type;
    for (uint32_t member = list->first; member != NO_NODE; member = node_of(c, member)->next) {
        if (node_of(c, member)->type != type)
            return fault(c, node_of(c, member), "the members of a list are of one type");
    }
    return need(c, node->first, type);
}

static enum err_code check_choose(const struct check *c, struct expr_node *node)
{
    settle_pair(c, node->second, node->third);
    node->type = node_of(c, node->second)->type;
    if (node->type != node_of(c, node->third)->type || node->type == EXPR_STRINGS)
        return fault(c, node, "both branches of ?: must give the same type, and no list");
    return need(c, node->first, EXPR_BOOL);
}

/* math.least and math.greatest: all ints or all doubles. */
static enum err_code check_extreme(const struct check *c, struct expr_node *node)
{
    enum err_code rc = ERR_OK;
    for (uint32_t i = node->first; i != NO_NODE; i = node_of(c, i)->next) {
        settle(c, i, (enum expr_type)node_of(c, node->first)->type);
        rc = need_number(c, i);
        if (rc != ERR_OK)
            return rc;
        if (node_of(c, i)->type != node_of(c, node->first)->type)
            return fault(c, node_of(c, i),
                         "the numbers are of one kind; convert with int() or double()");
    }
    node->type = node_of(c, node->first)->type;
    return rc;
}

static enum err_code check_size(const struct check *c, struct expr_node *node)
{
    const struct expr_node *of = node_of(c, node->first);
    node->type = EXPR_INT;
    if (of->type == EXPR_STRINGS || (of->type == EXPR_ANY && of->kind == NODE_FIELD))
        return ERR_OK; /* a field of any type: a text or a list, as its value is */
    return need(c, node->first, EXPR_STRING);
}

static enum err_code check_call(struct check *c, struct expr_node *node)
{
    switch ((enum expr_function)node->op) {
    case FUNCTION_SIZE: return check_size(c, node);
    case FUNCTION_INT:
        node->type = EXPR_INT;
        settle(c, node->first, EXPR_INT);
        return need_number(c, node->first);
    case FUNCTION_DOUBLE: node->type = EXPR_DOUBLE; return need_number(c, node->first);
    case FUNCTION_STRING: node->type = EXPR_STRING; return need(c, node->first, EXPR_STRING);
    case FUNCTION_LEAST:
    case FUNCTION_GREATEST: return check_extreme(c, node);
    default: break;
    }
    node->type = EXPR_BOOL;
    enum err_code rc = need(c, node->first, EXPR_STRING);
    return rc == ERR_OK ? need(c, node_of(c, node->first)->next, EXPR_STRING) : rc;
}

static enum err_code check_pair(struct check *c, struct expr_node *node)
{
    enum err_code rc = need(c, node->first, EXPR_BOOL);
    node->type = EXPR_BOOL;
    return rc == ERR_OK ? need(c, node->second, EXPR_BOOL) : rc;
}

/* Checks a node whose operands have been checked. */
static enum err_code check_self(struct check *c, struct expr_node *node)
{
    switch ((enum expr_kind)node->kind) {
    case NODE_CONSTANT:
    case NODE_FIELD: return ERR_OK;
    case NODE_HAS: node->type = EXPR_BOOL; return ERR_OK;
    case NODE_NOT: node->type = EXPR_BOOL; return need(c, node->first, EXPR_BOOL);
    case NODE_NEGATE: {
        enum err_code rc = need_number(c, node->first);
        node->type = node_of(c, node->first)->type;
        return rc;
    }
    case NODE_ARITHMETIC: return check_arithmetic(c, node);
    case NODE_COMPARE: return check_compare(c, node);
    case NODE_AND:
    case NODE_OR: return check_pair(c, node);
    case NODE_CHOOSE: return check_choose(c, node);
    case NODE_IN: return check_in(c, node);
    case NODE_CALL: return check_call(c, node);
    case NODE_LIST: return fault(c, node, "a list stands to the right of 'in' alone");
    }
    return ERR_OK;
}

/* Determines the scopes of a node from those of its operands. */
static void unite_scopes(const struct check *c, struct expr_node *node)
{
    const uint32_t parts[] = {node->first, node->second, node->third};
    if (node->kind == NODE_FIELD)
        node->scopes = node->field.scope | SCOPE_ANY;
    for (uint32_t i = 0; i < 3; i++)
        node->scopes |= parts[i] == NO_NODE ? 0 : node_of(c, parts[i])->scopes;
    for (uint32_t i = node->first; node->kind == NODE_CALL && i != NO_NODE; i = node_of(c, i)->next)
        node->scopes |= node_of(c, i)->scopes;
}

static enum err_code check_node(struct check *c, uint32_t number)
{
    struct expr_node *node = node_of(c, number);
    enum err_code rc = ERR_OK;
    if (++c->levels > LEVELS_MAX)
        return fault(c, node, "too long a chain; lists and 'in' are shorter");
    if (node->kind == NODE_CALL) {
        for (uint32_t i = node->first; i != NO_NODE && rc == ERR_OK; i = node_of(c, i)->next)
            rc = check_node(c, i);
    } else if (node->kind != NODE_LIST) {
        const uint32_t parts[] = {node->first, node->kind == NODE_IN ? NO_NODE : node->second,
                                  node->third};
        for (uint32_t i = 0; i < 3 && rc == ERR_OK; i++)
            rc = parts[i] == NO_NODE ? ERR_OK : check_node(c, parts[i]);
    }
    if (rc == ERR_OK)
        rc = check_self(c, node);
    unite_scopes(c, node);
    c->levels--;
    return rc;
}

enum err_code expr_check(struct expr_tree *tree, enum expr_type wanted, struct err *err)
{
    struct check c = {.tree = tree, .err = err};
    enum err_code rc = check_node(&c, tree->root);
    if (rc != ERR_OK)
        return rc;
    return wanted == EXPR_BOOL ? need(&c, tree->root, EXPR_BOOL) : need_number(&c, tree->root);
}
