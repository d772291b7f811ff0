/* SPDX-License-Identifier: Apache-2.0 */
/* expr_internal - from text to instructions.
 *
 *   expr_lex.c     text -> tokens
 *   expr_parse.c   tokens -> a tree: literals and operators
 *   expr_names.c   names of fields and calls of functions
 *   expr_check.c   the types of the tree
 *   expr_emit.c    the tree -> instructions for a stack
 *   expr_eval.c    instructions -> a value
 *   expr_needs.c   what has to hold for an expression to be true
 *   expr_set.c     what `in` looks through
 *
 * Threads: one owner until the expression is compiled. */
#ifndef SERVER_DECIDE_EXPR_INTERNAL_H
#define SERVER_DECIDE_EXPR_INTERNAL_H

#include "server/decide/expr.h"

/* ---- tokens ---------------------------------------------------------------------------------- */

enum expr_token_kind {
    TOKEN_END,
    TOKEN_INT,
    TOKEN_DOUBLE,
    TOKEN_STRING,
    TOKEN_NAME,
    TOKEN_SIGN /* text holds one or two characters */
};

struct expr_token {
    enum expr_token_kind kind;
    uint32_t at;      /* byte in the source */
    struct text text; /* as it stands there; STRING: without escapes */
    uint64_t integer; /* INT: its magnitude, at most 2^63 */
    double real;
};

struct expr_lexer {
    struct text source;
    uint32_t at;
    char *blob; /* borrowed: room for all strings without escapes */
    uint32_t blob_used;
};

MUST_CHECK enum err_code expr_lex_next(struct expr_lexer *lexer, struct expr_token *ret_token,
                                       struct err *err);
/* "line 2, column 7: " and what is said, of that byte. */
enum err_code expr_fault(struct text source, uint32_t at, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* ---- the tree -------------------------------------------------------------------------------- */

enum expr_kind {
    NODE_CONSTANT,
    NODE_FIELD,
    NODE_HAS, /* of the field first */
    NODE_NOT,
    NODE_NEGATE,
    NODE_ARITHMETIC, /* op: + - * / % */
    NODE_COMPARE,    /* op: enum expr_relation */
    NODE_AND,
    NODE_OR,
    NODE_CHOOSE, /* first ? second : third */
    NODE_IN,     /* first in second */
    NODE_LIST,   /* of constants: first, and next of each */
    NODE_CALL    /* op: enum expr_function; arguments: first, and next of each */
};

/* Bits of what a comparison may find, so that one instruction serves all six. */
enum { ORDER_LESS = 1, ORDER_EQUAL = 2, ORDER_GREATER = 4, ORDER_NONE = 8 /* with NaN */ };

enum expr_function {
    FUNCTION_SIZE,
    FUNCTION_INT,
    FUNCTION_DOUBLE,
    FUNCTION_STRING,
    FUNCTION_STARTS_WITH,
    FUNCTION_ENDS_WITH,
    FUNCTION_CONTAINS,
    FUNCTION_LEAST,
    FUNCTION_GREATEST
};

#define NO_NODE   UINT32_MAX
#define SCOPE_ANY (1u << 31) /* there is a field, whatever its scope */

struct expr_node {
    uint8_t kind, type, op;
    uint32_t at;
    uint32_t first, second, third, next; /* numbers of nodes, or NO_NODE */
    uint32_t count;                      /* of the members of a list or the arguments of a call */
    uint32_t scopes;                     /* of the fields in it, and SCOPE_ANY; from expr_check */
    struct expr_field field;
    union expr_value value;
};

struct expr_tree {
    struct text source;
    struct expr_node *node; /* owned */
    uint32_t count, capacity;
    uint32_t root;
};

static inline struct expr_node *expr_node(const struct expr_tree *tree, uint32_t number)
{
    return &tree->node[number];
}

/* `blob` holds source.len bytes twice. */
MUST_CHECK enum err_code expr_parse(struct text source, const struct expr_schema *schema,
                                    char *blob, struct expr_tree *tree, struct err *err);
MUST_CHECK enum err_code expr_check(struct expr_tree *tree, enum expr_type wanted, struct err *err);

/* ---- the parser ------------------------------------------------------------------------------ */

struct expr_parser {
    struct expr_lexer lexer;
    const struct expr_schema *schema;
    struct expr_tree *tree;
    struct expr_token token; /* the next one */
    uint32_t depth;
    struct err *err;
};

MUST_CHECK enum err_code expr_advance(struct expr_parser *p);
bool expr_is_sign(const struct expr_parser *p, const char *sign);
/* "expected a value, got 'x'" */
enum err_code expr_unexpected(const struct expr_parser *p, const char *expected);
MUST_CHECK enum err_code expr_expect(struct expr_parser *p, const char *sign);
MUST_CHECK enum err_code expr_add(struct expr_parser *p, enum expr_kind kind, uint32_t at,
                                  uint32_t *ret_node);
MUST_CHECK enum err_code expr_add_constant(struct expr_parser *p, enum expr_type type,
                                           union expr_value value, uint32_t at, uint32_t *ret_node);
/* Elements up to the sign `end`, as a chain behind `owner`. */
MUST_CHECK enum err_code expr_parse_chain(struct expr_parser *p, const char *end,
                                          enum err_code (*parse)(struct expr_parser *, uint32_t *),
                                          uint32_t owner);
MUST_CHECK enum err_code expr_parse_any(struct expr_parser *p, uint32_t *ret_node);

/* ---- expr_names.c: a path, a call, true or false; the next token is a name. */
MUST_CHECK enum err_code expr_parse_name(struct expr_parser *p, uint32_t *ret_node);
/* Behind the '(' of x.name(. */
MUST_CHECK enum err_code expr_parse_call(struct expr_parser *p, struct text name, uint32_t at,
                                         uint32_t receiver, uint32_t *ret_node);

/* ---- what is left ---------------------------------------------------------------------------- */

enum expr_opcode {
    OP_CONSTANT, /* of that number */
    OP_FIELD,    /* of that number */
    OP_HAS,
    OP_SIZE_FIELD, /* of a field that is a text or a list */
    OP_AND_JUMP,   /* past the other side when this one decides; the operand is where to */
    OP_AND,
    OP_OR_JUMP,
    OP_OR,
    OP_ELSE_JUMP,    /* to the other branch when false; takes the condition away */
    OP_UNKNOWN_JUMP, /* to the end when unknown, which stays */
    OP_JUMP,
    OP_STEADY, /* gives what that part gave before and takes the jump that follows, or passes it */
    OP_KEEP,   /* for that */

    OP_FIELD_INT, /* a field compared with a constant in one step, as most conditions begin */
    OP_FIELD_DOUBLE,
    OP_FIELD_STRING,
    OP_FIELD_SET, /* a field in the set `constant` */

    OP_NOT, /* from here on: of one value, which must be known */
    OP_NEGATE_INT,
    OP_NEGATE_DOUBLE,
    OP_IN_SET, /* of that number */
    OP_SIZE_STRING,
    OP_SIZE_STRINGS,
    OP_TO_DOUBLE,
    OP_TO_INT,

    OP_INT, /* from here on: of two values; arithmetic, whose operand is the character */
    OP_DOUBLE,
    OP_COMPARE_BOOL, /* the operand is bits of ORDER_ */
    OP_COMPARE_INT,
    OP_COMPARE_DOUBLE,
    OP_COMPARE_INT_DOUBLE,
    OP_COMPARE_STRING,
    OP_IN_STRINGS,
    OP_STARTS_WITH,
    OP_ENDS_WITH,
    OP_CONTAINS,
    OP_LEAST_INT,
    OP_LEAST_DOUBLE,
    OP_GREATEST_INT,
    OP_GREATEST_DOUBLE
};

/* The operand of OP_FIELD_: number of the field, and bits of ORDER_. */
#define FIELD_OPERAND(use, order) ((use) << 8 | (order))

/* Of the two values that some take, the second is a constant so often that it need not be on the
 * stack. */
#define NO_CONSTANT UINT16_MAX

struct expr_instruction {
    uint16_t opcode;
    uint16_t constant; /* number of the second value, or NO_CONSTANT */
    uint32_t operand;
};

struct expr_known { /* a value, or that there is none */
    union expr_value as;
    bool known;
};

struct expr_use { /* a field, and what it is read as */
    uint32_t id;
    enum expr_type type;
};

/* Constants that `in` looks through. */
struct expr_set {
    enum expr_type type;
    uint32_t count;
    union expr_value *value; /* owned; numbers ascend */
    uint32_t *slot;          /* owned; strings: number + 1 by hash, 0 is free; NULL: a scan does */
    uint32_t mask;
};

MUST_CHECK enum err_code expr_set_make(struct expr_set *set,
                                       struct err *err); /* after the values */
void expr_set_free(struct expr_set *set);

_Static_assert(EXPR_NODES_MAX < NO_CONSTANT, "numbers of sets and fields fit");

#define EXPR_STACK_MAX (2 * EXPR_DEPTH_MAX + 8)

struct expr {
    struct expr_instruction *instruction; /* owned, as all of these */
    struct expr_known *constant;
    struct expr_use *use;
    struct expr_set *set;
    char *blob;
    uint32_t instruction_count, constant_count, use_count, set_count;
    uint32_t scopes;
    enum expr_type type; /* of the result: BOOL, INT or DOUBLE */
};

/* Fills what is still empty of *expr, which keeps what it has when it fails. */
MUST_CHECK enum err_code expr_emit(const struct expr_tree *tree, const struct expr_schema *schema,
                                   struct expr *expr, struct err *err);

#endif
