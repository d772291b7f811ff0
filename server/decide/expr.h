/* SPDX-License-Identifier: Apache-2.0 */
/* expr - expressions written by merchandisers, such as
 *
 *     item.category in ["toys", "games"] && item.price >= 1000 && !("sale" in item.attributes.tags)
 *
 * A subset of CEL (https://github.com/google/cel-spec, doc/langdef.md), checked against a schema of
 * fields when compiled.  Evaluation takes nanoseconds: it creates no strings, allocates nothing,
 * and its time is bounded by the length of the text.  docs/expressions.md has the grammar.
 *
 * A field without a value is *unknown*, as are overflow, division by zero and a number that does
 * not fit: CEL's errors.  `false && unknown` is false, `true || unknown` is true, in either order;
 * anything else with an unknown operand is unknown.  A condition holds only if it is true.
 *
 * Threads: compile and destroy on the loader; evaluation on any thread, without allocation, each
 * with its own expr_env.
 * Limits: EXPR_BYTES_MAX bytes, EXPR_NODES_MAX nodes, EXPR_DEPTH_MAX levels of nesting. */
#ifndef SERVER_DECIDE_EXPR_H
#define SERVER_DECIDE_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define EXPR_BYTES_MAX 65536
#define EXPR_NODES_MAX 16384
#define EXPR_DEPTH_MAX 64 /* CEL requires 32 of each kind */

struct expr;

enum expr_type {
    EXPR_BOOL,
    EXPR_INT,
    EXPR_DOUBLE,
    EXPR_STRING,
    EXPR_STRINGS, /* a list of strings */
    EXPR_ANY      /* a field without declared type: read as the type of the other operand */
};
const char *expr_type_name(enum expr_type type); /* "int" */

union expr_value {
    bool truth;
    int64_t integer;
    double real;
    struct text
        text; /* STRING; STRINGS: begins with a MessagePack array that passed cursor_check */
};

/* What a name resolves to. */
struct expr_field {
    enum expr_type type;
    uint32_t id;       /* chosen by the schema's owner, passed to read */
    uint32_t scope;    /* bits chosen by the owner; expr_scopes is the union over all fields */
    const char *unfit; /* why the field cannot be used, "has no ..."; NULL: it can */
};

struct expr_schema {
    /* False: no such field.  `path` has no blanks, and a["b"] is given as "a.b"; it stays valid as
     * long as the expression. */
    bool (*find)(void *ctx, struct text path, struct expr_field *ret_field);
    /* For "did you mean": the known name most similar to `path`, or NULL; valid until the next
     * call.  May itself be NULL. */
    const char *(*nearest)(void *ctx, struct text path);
    void *ctx;
    /* Scopes that vary within a decision.  Subexpressions that use no field in them are "steady":
     * they have the same value throughout a decision, and are cached.  *steady_count counts them
     * over all expressions of the schema; NULL: no caching. */
    uint32_t varying;
    uint32_t *steady_count;
};

/* Compiles `source`, which must give a bool (wanted EXPR_BOOL) or a number (EXPR_DOUBLE).
 * ERR_BAD_INPUT "line 1, column 9: ..."; ERR_LIMIT, ERR_NOMEM. */
MUST_CHECK enum err_code expr_compile(struct text source, const struct expr_schema *schema,
                                      enum expr_type wanted, struct expr **ret_expr,
                                      struct err *err);
void expr_destroy(struct expr **expr);
uint32_t expr_scopes(const struct expr *expr);

/* ---- evaluation ------------------------------------------------------------------------------ */

/* The cached value of a steady subexpression; all zero: not evaluated yet. */
struct expr_steady {
    union expr_value as;
    bool known, is_there;
};

/* Supplies the values of fields.  read returns false for unknown; with EXPR_ANY it is only asked
 * whether there is a value. */
struct expr_env {
    bool (*read)(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value);
    void *ctx;
    /* The cache: *steady_count entries, zeroed when a decision begins; NULL: no caching. */
    struct expr_steady *steady;
};

enum expr_truth { EXPR_FALSE, EXPR_TRUE, EXPR_UNKNOWN };

enum expr_truth expr_test(const struct expr *expr, const struct expr_env *env);
/* If the condition implies that the field is one of up to `max` texts: stores them in ret_text and
 * returns their number.  0: it does not. */
uint32_t expr_texts_needed(const struct expr *expr, uint32_t field, struct text *ret_text,
                           uint32_t max);
/* If the condition implies limits on the field, an int: narrows *io_min and *io_max to them.
 * False: it does not. */
bool expr_range_needed(const struct expr *expr, uint32_t field, int64_t *io_min, int64_t *io_max);
/* False: unknown, or not a finite number. */
bool expr_number(const struct expr *expr, const struct expr_env *env, double *ret_number);

#endif
