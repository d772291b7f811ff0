/* SPDX-License-Identifier: Apache-2.0 */
/* expr - conditions and numbers that merchandisers write, such as
 *
 *     item.category in ["toys", "games"] && item.price >= 1000 && !("sale" in item.attributes.tags)
 *
 * A subset of CEL (https://github.com/google/cel-spec, doc/langdef.md), checked against a schema of
 * fields when it is compiled and evaluated in nanoseconds: no strings are made, no memory is taken,
 * the time is bounded by the length of the text.  docs/expressions.md has the grammar.
 *
 * What a field does not have is *unknown*, as are overflow, division by zero and a number that does
 * not fit: CEL's errors.  `false && unknown` is false, `true || unknown` is true, in either order;
 * anything else with an unknown part is unknown.  A condition holds only when it is true.
 *
 * Threads: compile and destroy on the loader; evaluation on any thread, without allocation, each
 * with its own expr_env.
 * Limits: EXPR_BYTES_MAX bytes, EXPR_NODES_MAX parts, EXPR_DEPTH_MAX levels of nesting. */
#ifndef SERVER_DECIDE_EXPR_H
#define SERVER_DECIDE_EXPR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define EXPR_BYTES_MAX 65536
#define EXPR_NODES_MAX 16384
#define EXPR_DEPTH_MAX 64 /* CEL asks for 32 of each kind */

struct expr;

enum expr_type {
    EXPR_BOOL,
    EXPR_INT,
    EXPR_DOUBLE,
    EXPR_STRING,
    EXPR_STRINGS, /* a list of strings */
    EXPR_ANY      /* a field of no declared type: it is read as what it is compared with */
};
const char *expr_type_name(enum expr_type type); /* "int" */

union expr_value {
    bool truth;
    int64_t integer;
    double real;
    struct text
        text; /* STRING; STRINGS: begins with a MessagePack array that passed cursor_check */
};

/* What a name stands for. */
struct expr_field {
    enum expr_type type;
    uint32_t id;       /* the owner's, for read */
    uint32_t scope;    /* the owner's bits; expr_scopes unites those of all fields */
    const char *unfit; /* why there is nothing to ask of it, "has no ..."; NULL: there is */
};

struct expr_schema {
    /* False when there is no such field.  `path` without blanks, and "a.b" for a["b"]; it is valid
     * as long as the expression. */
    bool (*find)(void *ctx, struct text path, struct expr_field *ret_field);
    /* For "did you mean": the known name that `path` looks like, NULL when there is none; valid
     * until the next call.  NULL: names nothing. */
    const char *(*nearest)(void *ctx, struct text path);
    void *ctx;
    /* Parts that ask only for fields outside these scopes are steady: they give the same for one
     * decision.  Their number, over all expressions of the schema, is counted here; NULL: none is
     * told apart. */
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

/* What a steady part gave; all zero: it was not evaluated yet. */
struct expr_steady {
    union expr_value as;
    bool known, is_there;
};

/* Where the values of fields come from.  False: unknown.  EXPR_ANY asks only whether there is a
 * value. */
struct expr_env {
    bool (*read)(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value);
    void *ctx;
    /* Room for what steady parts give, of the schema's number, all zero when a decision begins;
     * NULL: they are evaluated each time. */
    struct expr_steady *steady;
};

enum expr_truth { EXPR_FALSE, EXPR_TRUE, EXPR_UNKNOWN };

enum expr_truth expr_test(const struct expr *expr, const struct expr_env *env);
/* The condition is true only where that field is one of the texts in ret_text, `max` at most; 0: it
 * says nothing of the kind. */
uint32_t expr_texts_needed(const struct expr *expr, uint32_t field, struct text *ret_text,
                           uint32_t max);
/* The condition is true only where that field, an int, is within limits: narrows *io_min and
 * *io_max to them, and returns false when it says nothing of the kind. */
bool expr_range_needed(const struct expr *expr, uint32_t field, int64_t *io_min, int64_t *io_max);
/* False: unknown, or no finite number. */
bool expr_number(const struct expr *expr, const struct expr_env *env, double *ret_number);

#endif
