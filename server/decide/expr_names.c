/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/json.h"
#include "server/decide/expr_internal.h"

/* ---- names ----------------------------------------------------------------------------------- */

static enum err_code unknown_field(const struct expr_parser *p, uint32_t at, struct text path)
{
    const char *nearest =
        p->schema->nearest == NULL ? NULL : p->schema->nearest(p->schema->ctx, path);
    if (nearest != NULL && !text_is(path, nearest))
        return expr_fault(p->lexer.source, at, p->err, "unknown field '%.*s', did you mean '%s'?",
                          (int)(path.len < 100 ? path.len : 100), path.ptr, nearest);
    return expr_fault(p->lexer.source, at, p->err, "unknown field '%.*s'%s",
                      (int)(path.len < 100 ? path.len : 100), path.ptr,
                      nearest != NULL ? " here" : "");
}

static void put_path(struct expr_parser *p, struct text *path, struct text part)
{
    char *to = p->lexer.blob + p->lexer.blob_used;
    if (path->len > 0)
        *to++ = '.';
    memcpy(to, part.ptr, part.len);
    p->lexer.blob_used += part.len + (path->len > 0);
    path->len += part.len + (path->len > 0);
}

/* The path "a.b" for a["b"] is built in the blob, after the strings that it consists of. */
static enum err_code parse_rest_of_path(struct expr_parser *p, struct text first, uint32_t at,
                                        uint32_t *ret_node, struct text *ret_method)
{
    struct text parts[EXPR_DEPTH_MAX] = {first};
    uint32_t count = 1;
    enum err_code rc = ERR_OK;
    *ret_method = (struct text){NULL, 0};
    while (rc == ERR_OK && (expr_is_sign(p, ".") || expr_is_sign(p, "["))) {
        bool by_dot = expr_is_sign(p, ".");
        rc = expr_advance(p);
        if (rc == ERR_OK && p->token.kind != (by_dot ? TOKEN_NAME : TOKEN_STRING))
            return expr_unexpected(p, by_dot ? "a name" : "a text in quotes");
        struct text part = p->token.text;
        if (rc == ERR_OK)
            rc = expr_advance(p);
        if (rc == ERR_OK && !by_dot)
            rc = expr_expect(p, "]");
        if (rc == ERR_OK && by_dot && expr_is_sign(p, "(")) {
            *ret_method = part;
            break;
        }
        if (rc == ERR_OK && count == EXPR_DEPTH_MAX)
            return expr_fault(p->lexer.source, at, p->err, "more than %d names", EXPR_DEPTH_MAX);
        parts[count++] = part;
    }
    struct text path = {p->lexer.blob + p->lexer.blob_used, 0};
    for (uint32_t i = 0; i < count && rc == ERR_OK; i++)
        put_path(p, &path, parts[i]);
    struct expr_field field = {0};
    if (rc == ERR_OK && !p->schema->find(p->schema->ctx, path, &field))
        return unknown_field(p, at, path);
    if (rc == ERR_OK && field.unfit != NULL)
        return expr_fault(p->lexer.source, at, p->err, "'%.*s' %s",
                          (int)(path.len < 100 ? path.len : 100), path.ptr, field.unfit);
    if (rc == ERR_OK)
        rc = expr_add(p, NODE_FIELD, at, ret_node);
    if (rc == ERR_OK) {
        expr_node(p->tree, *ret_node)->field = field;
        expr_node(p->tree, *ret_node)->type = (uint8_t)field.type;
    }
    return rc;
}

/* ---- calls ----------------------------------------------------------------------------------- */

struct function {
    const char *name;
    enum expr_function function;
    uint32_t count_min, count_max; /* of arguments, the receiver included */
    bool is_method;                /* x.f(y), else f(x, y) */
};

static const struct function functions[] = {
    {"size", FUNCTION_SIZE, 1, 1, false},
    {"size", FUNCTION_SIZE, 1, 1, true},
    {"int", FUNCTION_INT, 1, 1, false},
    {"double", FUNCTION_DOUBLE, 1, 1, false},
    {"string", FUNCTION_STRING, 1, 1, false},
    {"startsWith", FUNCTION_STARTS_WITH, 2, 2, true},
    {"endsWith", FUNCTION_ENDS_WITH, 2, 2, true},
    {"contains", FUNCTION_CONTAINS, 2, 2, true},
    {"math.least", FUNCTION_LEAST, 1, EXPR_DEPTH_MAX, false},
    {"math.greatest", FUNCTION_GREATEST, 1, EXPR_DEPTH_MAX, false},
};
static const char *const function_names[] = {"size",          "int",      "double",   "string",
                                             "startsWith",    "endsWith", "contains", "math.least",
                                             "math.greatest", "has",      NULL};

static const struct function *find_function(struct text name, bool is_method)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (functions[i].is_method == is_method && text_is(name, functions[i].name))
            return &functions[i];
    }
    return NULL;
}

static enum err_code unknown_function(const struct expr_parser *p, uint32_t at, struct text name)
{
    const char *nearest = json_nearest(name, function_names);
    if (text_is(name, "matches"))
        return expr_fault(p->lexer.source, at, p->err,
                          "regular expressions are not supported; there are startsWith, endsWith "
                          "and contains");
    if (nearest != NULL && !text_is(name, nearest))
        return expr_fault(p->lexer.source, at, p->err,
                          "unknown function '%.*s', did you mean '%s'?",
                          (int)(name.len < 64 ? name.len : 64), name.ptr, nearest);
    return expr_fault(p->lexer.source, at, p->err, "unknown function '%.*s' here",
                      (int)(name.len < 64 ? name.len : 64), name.ptr);
}

/* Parses the arguments after the '('.  `receiver`: x of x.f(), or NO_NODE. */
enum err_code expr_parse_call(struct expr_parser *p, struct text name, uint32_t at,
                              uint32_t receiver, uint32_t *ret_node)
{
    const struct function *function = find_function(name, receiver != NO_NODE);
    uint32_t call = NO_NODE;
    if (function == NULL)
        return unknown_function(p, at, name);
    enum err_code rc = expr_add(p, NODE_CALL, at, &call);
    if (rc == ERR_OK) {
        expr_node(p->tree, call)->op = (uint8_t)function->function;
        rc = expr_parse_chain(p, ")", expr_parse_any, call);
    }
    if (rc != ERR_OK)
        return rc;
    struct expr_node *node = expr_node(p->tree, call);
    if (receiver != NO_NODE) {
        expr_node(p->tree, receiver)->next = node->first;
        node->first = receiver;
        node->count++;
    }
    if (node->count < function->count_min || node->count > function->count_max)
        return expr_fault(p->lexer.source, at, p->err, "%s: expected %u argument%s, got %u",
                          function->name, function->count_min - (receiver != NO_NODE),
                          function->count_min - (receiver != NO_NODE) == 1 ? "" : "s",
                          node->count - (receiver != NO_NODE));
    *ret_node = call;
    return ERR_OK;
}

static enum err_code parse_has(struct expr_parser *p, uint32_t at, uint32_t *ret_node)
{
    uint32_t field = NO_NODE;
    enum err_code rc = expr_parse_any(p, &field);
    if (rc == ERR_OK && expr_node(p->tree, field)->kind != NODE_FIELD)
        return expr_fault(p->lexer.source, at, p->err, "has: expected the name of a field");
    if (rc == ERR_OK)
        rc = expr_expect(p, ")");
    if (rc == ERR_OK)
        rc = expr_add(p, NODE_HAS, at, ret_node);
    if (rc == ERR_OK)
        expr_node(p->tree, *ret_node)->first = field;
    return rc;
}

/* math.least and math.greatest are functions although they look like methods of a field. */
static enum err_code parse_math(struct expr_parser *p, uint32_t at, struct text first,
                                uint32_t *ret_node)
{
    enum err_code rc = expr_advance(p); /* the '.' */
    struct text method = p->token.text;
    if (rc == ERR_OK && p->token.kind != TOKEN_NAME)
        return expr_unexpected(p, "a name");
    if (rc == ERR_OK)
        rc = expr_advance(p);
    if (rc == ERR_OK)
        rc = expr_expect(p, "(");
    if (rc != ERR_OK)
        return rc;
    struct text name = {p->lexer.blob + p->lexer.blob_used, 0};
    put_path(p, &name, first);
    put_path(p, &name, method);
    return expr_parse_call(p, name, at, NO_NODE, ret_node);
}

enum err_code expr_parse_name(struct expr_parser *p, uint32_t *ret_node)
{
    struct text name = p->token.text, method = {NULL, 0};
    uint32_t at = p->token.at;
    enum err_code rc = expr_advance(p);
    if (rc != ERR_OK)
        return rc;
    if (text_is(name, "true") || text_is(name, "false"))
        return expr_add_constant(p, EXPR_BOOL, (union expr_value){.truth = text_is(name, "true")},
                                 at, ret_node);
    if (text_is(name, "null") || text_is(name, "in"))
        return expr_fault(p->lexer.source, at, p->err, "unexpected '%.*s'", (int)name.len,
                          name.ptr);
    if (expr_is_sign(p, "(")) {
        rc = expr_advance(p);
        if (rc == ERR_OK && text_is(name, "has"))
            return parse_has(p, at, ret_node);
        return rc == ERR_OK ? expr_parse_call(p, name, at, NO_NODE, ret_node) : rc;
    }
    if (text_is(name, "math") && expr_is_sign(p, "."))
        return parse_math(p, at, name, ret_node);
    rc = parse_rest_of_path(p, name, at, ret_node, &method);
    if (rc != ERR_OK || method.ptr == NULL)
        return rc;
    rc = expr_advance(p); /* the '(' */
    return rc == ERR_OK ? expr_parse_call(p, method, at, *ret_node, ret_node) : rc;
}
