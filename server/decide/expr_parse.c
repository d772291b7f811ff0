/* SPDX-License-Identifier: Apache-2.0 */
/* Recursive descent over CEL's grammar:
 *
 *   expr     = or [ "?" or ":" expr ]
 *   or       = and { "||" and }
 *   and      = relation { "&&" relation }
 *   relation = sum { ("<" | "<=" | ">" | ">=" | "==" | "!=" | "in") sum }
 *   sum      = product { ("+" | "-") product }
 *   product  = unary { ("*" | "/" | "%") unary }
 *   unary    = { "!" } member | { "-" } member
 *   member   = primary { "." NAME "(" args ")" }
 *   primary  = literal | path | NAME "(" args ")" | "(" expr ")" | "[" list "]"
 *   path     = NAME { "." NAME | "[" STRING "]" } */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/decide/expr_internal.h"

static enum err_code parse_unary(struct expr_parser *p, uint32_t *ret_node);

enum err_code expr_advance(struct expr_parser *p)
{
    return expr_lex_next(&p->lexer, &p->token, p->err);
}

bool expr_is_sign(const struct expr_parser *p, const char *sign)
{
    return p->token.kind == TOKEN_SIGN && text_is(p->token.text, sign);
}

static bool is_name(const struct expr_parser *p, const char *name)
{
    return p->token.kind == TOKEN_NAME && text_is(p->token.text, name);
}

/* "expected ')', got 'x'". */
enum err_code expr_unexpected(const struct expr_parser *p, const char *expected)
{
    uint32_t len = p->lexer.at - p->token.at;
    if (p->token.kind == TOKEN_END)
        return expr_fault(p->lexer.source, p->token.at, p->err, "expected %s, got the end",
                          expected);
    return expr_fault(p->lexer.source, p->token.at, p->err, "expected %s, got '%.*s'", expected,
                      (int)(len < 40 ? len : 40), p->lexer.source.ptr + p->token.at);
}

enum err_code expr_expect(struct expr_parser *p, const char *sign)
{
    char quoted[8];
    snprintf(quoted, sizeof quoted, "'%s'", sign);
    return expr_is_sign(p, sign) ? expr_advance(p) : expr_unexpected(p, quoted);
}

enum err_code expr_add(struct expr_parser *p, enum expr_kind kind, uint32_t at, uint32_t *ret_node)
{
    struct expr_tree *tree = p->tree;
    if (tree->count == tree->capacity) {
        uint32_t wanted = tree->capacity == 0 ? 32 : 2 * tree->capacity;
        if (tree->count == EXPR_NODES_MAX)
            return err_set(p->err, ERR_LIMIT, "more than %d parts", EXPR_NODES_MAX);
        struct expr_node *bigger = realloc(tree->node, wanted * sizeof *bigger);
        if (bigger == NULL)
            return err_set(p->err, ERR_NOMEM, "no memory for an expression");
        tree->node = bigger;
        tree->capacity = wanted;
    }
    tree->node[tree->count] = (struct expr_node){.kind = (uint8_t)kind,
                                                 .at = at,
                                                 .first = NO_NODE,
                                                 .second = NO_NODE,
                                                 .third = NO_NODE,
                                                 .next = NO_NODE};
    *ret_node = tree->count++;
    return ERR_OK;
}

static enum err_code add_pair(struct expr_parser *p, enum expr_kind kind, uint8_t op, uint32_t at,
                              uint32_t second, uint32_t *node)
{
    uint32_t added = NO_NODE;
    enum err_code rc = expr_add(p, kind, at, &added);
    if (rc != ERR_OK)
        return rc;
    expr_node(p->tree, added)->op = op;
    expr_node(p->tree, added)->first = *node;
    expr_node(p->tree, added)->second = second;
    *node = added;
    return ERR_OK;
}

enum err_code expr_add_constant(struct expr_parser *p, enum expr_type type, union expr_value value,
                                uint32_t at, uint32_t *ret_node)
{
    enum err_code rc = expr_add(p, NODE_CONSTANT, at, ret_node);
    if (rc == ERR_OK) {
        expr_node(p->tree, *ret_node)->type = (uint8_t)type;
        expr_node(p->tree, *ret_node)->value = value;
    }
    return rc;
}

/* ---- literals -------------------------------------------------------------------------------- */

/* `negative`: after a '-', when the range extends one further (INT64_MIN). */
static enum err_code parse_number(struct expr_parser *p, bool negative, uint32_t at,
                                  uint32_t *ret_node)
{
    union expr_value value = {0};
    enum expr_type type = p->token.kind == TOKEN_DOUBLE ? EXPR_DOUBLE : EXPR_INT;
    if (type == EXPR_DOUBLE)
        value.real = negative ? -p->token.real : p->token.real;
    else if (negative)
        value.integer = (int64_t)(0 - p->token.integer);
    else if (p->token.integer > INT64_MAX)
        return expr_fault(p->lexer.source, p->token.at, p->err, "the number is beyond 64 bits");
    else
        value.integer = (int64_t)p->token.integer;
    enum err_code rc = expr_add_constant(p, type, value, at, ret_node);
    return rc == ERR_OK ? expr_advance(p) : rc;
}

/* Elements up to `end`, each parsed by `parse`, linked to `owner`. */
enum err_code expr_parse_chain(struct expr_parser *p, const char *end,
                               enum err_code (*parse)(struct expr_parser *, uint32_t *),
                               uint32_t owner)
{
    uint32_t last = NO_NODE;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && !expr_is_sign(p, end)) {
        uint32_t element = NO_NODE;
        rc = parse(p, &element);
        if (rc != ERR_OK)
            return rc;
        if (last == NO_NODE)
            expr_node(p->tree, owner)->first = element;
        else
            expr_node(p->tree, last)->next = element;
        last = element;
        expr_node(p->tree, owner)->count++;
        if (expr_is_sign(p, end))
            break;
        rc = expr_expect(p, ",");
    }
    return rc == ERR_OK ? expr_expect(p, end) : rc;
}

/* A list holds constants. */
static enum err_code parse_element(struct expr_parser *p, uint32_t *ret_node)
{
    uint32_t at = p->token.at;
    union expr_value value = {.text = p->token.text};
    bool negative = expr_is_sign(p, "-");
    enum err_code rc = negative ? expr_advance(p) : ERR_OK;
    if (rc == ERR_OK && (p->token.kind == TOKEN_INT || p->token.kind == TOKEN_DOUBLE))
        return parse_number(p, negative, at, ret_node);
    if (rc == ERR_OK && (negative || p->token.kind != TOKEN_STRING))
        return expr_unexpected(p, negative ? "a number" : "a number or a text in quotes");
    if (rc == ERR_OK)
        rc = expr_add_constant(p, EXPR_STRING, value, at, ret_node);
    return rc == ERR_OK ? expr_advance(p) : rc;
}

static enum err_code parse_list(struct expr_parser *p, uint32_t *ret_node)
{
    enum err_code rc = expr_add(p, NODE_LIST, p->token.at, ret_node);
    if (rc == ERR_OK)
        rc = expr_advance(p);
    return rc == ERR_OK ? expr_parse_chain(p, "]", parse_element, *ret_node) : rc;
}

/* ---- from the innermost outwards ------------------------------------------------------------- */

static enum err_code parse_primary(struct expr_parser *p, uint32_t *ret_node)
{
    enum err_code rc = ERR_OK;
    union expr_value value = {.text = p->token.text};
    switch (p->token.kind) {
    case TOKEN_INT:
    case TOKEN_DOUBLE: return parse_number(p, false, p->token.at, ret_node);
    case TOKEN_STRING:
        rc = expr_add_constant(p, EXPR_STRING, value, p->token.at, ret_node);
        return rc == ERR_OK ? expr_advance(p) : rc;
    case TOKEN_NAME: return expr_parse_name(p, ret_node);
    default: break;
    }
    if (expr_is_sign(p, "["))
        return parse_list(p, ret_node);
    if (!expr_is_sign(p, "("))
        return expr_unexpected(p, "a value");
    rc = expr_advance(p);
    if (rc == ERR_OK)
        rc = expr_parse_any(p, ret_node);
    return rc == ERR_OK ? expr_expect(p, ")") : rc;
}

static enum err_code parse_member(struct expr_parser *p, uint32_t *ret_node)
{
    enum err_code rc = parse_primary(p, ret_node);
    while (rc == ERR_OK && expr_is_sign(p, ".")) {
        uint32_t at = p->token.at;
        rc = expr_advance(p);
        if (rc == ERR_OK && p->token.kind != TOKEN_NAME)
            return expr_unexpected(p, "a name");
        struct text method = p->token.text;
        if (rc == ERR_OK)
            rc = expr_advance(p);
        if (rc == ERR_OK)
            rc = expr_expect(p, "(");
        if (rc == ERR_OK)
            rc = expr_parse_call(p, method, at, *ret_node, ret_node);
    }
    return rc;
}

static enum err_code parse_unary(struct expr_parser *p, uint32_t *ret_node)
{
    uint32_t at = p->token.at;
    bool negates = expr_is_sign(p, "-");
    if (!negates && !expr_is_sign(p, "!"))
        return parse_member(p, ret_node);
    if (++p->depth > EXPR_DEPTH_MAX)
        return expr_fault(p->lexer.source, at, p->err, "nested deeper than %d", EXPR_DEPTH_MAX);
    uint32_t operand = NO_NODE;
    enum err_code rc = expr_advance(p);
    bool is_number = p->token.kind == TOKEN_INT || p->token.kind == TOKEN_DOUBLE;
    if (rc == ERR_OK && negates && is_number) {
        rc = parse_number(p, true, at, ret_node);
    } else if (rc == ERR_OK) {
        rc = parse_unary(p, &operand);
        if (rc == ERR_OK)
            rc = expr_add(p, negates ? NODE_NEGATE : NODE_NOT, at, ret_node);
        if (rc == ERR_OK)
            expr_node(p->tree, *ret_node)->first = operand;
    }
    p->depth--;
    return rc;
}

typedef enum err_code (*parse_fn)(struct expr_parser *p, uint32_t *ret_node);

/* A left-associative chain: operands parsed by `parse`, separated by one of the operators. */
static enum err_code parse_arithmetic(struct expr_parser *p, const char *signs, parse_fn parse,
                                      uint32_t *node)
{
    enum err_code rc = parse(p, node);
    while (rc == ERR_OK && p->token.kind == TOKEN_SIGN && p->token.text.len == 1 &&
           strchr(signs, p->token.text.ptr[0]) != NULL) {
        uint8_t op = (uint8_t)p->token.text.ptr[0];
        uint32_t at = p->token.at, second = NO_NODE;
        rc = expr_advance(p);
        if (rc == ERR_OK)
            rc = parse(p, &second);
        if (rc == ERR_OK)
            rc = add_pair(p, NODE_ARITHMETIC, op, at, second, node);
    }
    return rc;
}

static enum err_code parse_product(struct expr_parser *p, uint32_t *node)
{
    return parse_arithmetic(p, "*/%", parse_unary, node);
}

static enum err_code parse_sum(struct expr_parser *p, uint32_t *node)
{
    return parse_arithmetic(p, "+-", parse_product, node);
}

/* 0: the next token is not a relation. */
static uint8_t relation_of(const struct expr_parser *p)
{
    static const struct {
        const char *sign;
        uint8_t found;
    } relations[] = {{"<", ORDER_LESS},    {"<=", ORDER_LESS | ORDER_EQUAL},
                     {">", ORDER_GREATER}, {">=", ORDER_GREATER | ORDER_EQUAL},
                     {"==", ORDER_EQUAL},  {"!=", ORDER_LESS | ORDER_GREATER | ORDER_NONE}};
    for (size_t i = 0; i < sizeof relations / sizeof relations[0]; i++) {
        if (expr_is_sign(p, relations[i].sign))
            return relations[i].found;
    }
    return 0;
}

static enum err_code parse_relation(struct expr_parser *p, uint32_t *node)
{
    enum err_code rc = parse_sum(p, node);
    while (rc == ERR_OK && (relation_of(p) != 0 || is_name(p, "in"))) {
        uint8_t relation = relation_of(p);
        uint32_t at = p->token.at, second = NO_NODE;
        rc = expr_advance(p);
        if (rc == ERR_OK)
            rc = parse_sum(p, &second);
        if (rc == ERR_OK)
            rc = add_pair(p, relation != 0 ? NODE_COMPARE : NODE_IN, relation, at, second, node);
    }
    return rc;
}

static enum err_code parse_logic(struct expr_parser *p, const char *sign, enum expr_kind kind,
                                 parse_fn parse, uint32_t *node)
{
    enum err_code rc = parse(p, node);
    while (rc == ERR_OK && expr_is_sign(p, sign)) {
        uint32_t at = p->token.at, second = NO_NODE;
        rc = expr_advance(p);
        if (rc == ERR_OK)
            rc = parse(p, &second);
        if (rc == ERR_OK)
            rc = add_pair(p, kind, 0, at, second, node);
    }
    return rc;
}

static enum err_code parse_and(struct expr_parser *p, uint32_t *node)
{
    return parse_logic(p, "&&", NODE_AND, parse_relation, node);
}

static enum err_code parse_or(struct expr_parser *p, uint32_t *node)
{
    return parse_logic(p, "||", NODE_OR, parse_and, node);
}

enum err_code expr_parse_any(struct expr_parser *p, uint32_t *ret_node)
{
    uint32_t at = p->token.at, yes = NO_NODE, no = NO_NODE;
    if (++p->depth > EXPR_DEPTH_MAX)
        return expr_fault(p->lexer.source, at, p->err, "nested deeper than %d", EXPR_DEPTH_MAX);
    enum err_code rc = parse_or(p, ret_node);
    at = p->token.at;
    if (rc == ERR_OK && expr_is_sign(p, "?")) {
        rc = expr_advance(p);
        if (rc == ERR_OK)
            rc = parse_or(p, &yes);
        if (rc == ERR_OK)
            rc = expr_expect(p, ":");
        if (rc == ERR_OK)
            rc = expr_parse_any(p, &no);
        if (rc == ERR_OK)
            rc = add_pair(p, NODE_CHOOSE, 0, at, yes, ret_node);
        if (rc == ERR_OK)
            expr_node(p->tree, *ret_node)->third = no;
    }
    p->depth--;
    return rc;
}

enum err_code expr_parse(struct text source, const struct expr_schema *schema, char *blob,
                         struct expr_tree *tree, struct err *err)
{
    struct expr_parser p = {
        .lexer = {.source = source, .blob = blob}, .schema = schema, .tree = tree, .err = err};
    tree->source = source;
    enum err_code rc = expr_advance(&p);
    if (rc == ERR_OK)
        rc = expr_parse_any(&p, &tree->root);
    if (rc == ERR_OK && p.token.kind != TOKEN_END)
        return expr_unexpected(&p, "an operator or the end");
    return rc;
}
