/* SPDX-License-Identifier: Apache-2.0 */
/* policy_fields - what the expressions of policies may ask, by name:
 *
 *   item.id item.title item.category item.brand item.currency   texts
 *   item.price item.cost item.stock item.age_s                  ints; money in minor units
 *   item.attributes.NAME                                        as the catalogue has it
 *   item.NAME user.NAME user_category.NAME ...                  doubles: features
 *   user.id query context.NAME                                  texts of the request
 *   now now.hour now.weekday                                    ints, UTC; 1 is Monday
 *   score                                                       double; in boosts
 *
 * A table of the names that the expressions of one policy set use; an expression holds places in
 * it.  Threads: filled by the loader, then read by any. */
#ifndef SERVER_DECIDE_POLICY_FIELDS_H
#define SERVER_DECIDE_POLICY_FIELDS_H

#include "featurestore/feature_reader.h"
#include "server/decide/expr.h"

/* Scopes of expressions: what has to be there before they can be evaluated. */
#define POLICY_SCOPE_ITEM    1u
#define POLICY_SCOPE_FEATURE 2u /* a reader of features */
#define POLICY_SCOPE_SCORE   4u

enum policy_field_kind {
    FIELD_ITEM_ID,
    FIELD_ITEM_TITLE,
    FIELD_ITEM_CATEGORY,
    FIELD_ITEM_BRAND,
    FIELD_ITEM_CURRENCY,
    FIELD_ITEM_PRICE,
    FIELD_ITEM_COST,
    FIELD_ITEM_STOCK,
    FIELD_ITEM_AGE_S,
    FIELD_ITEM_ATTRIBUTE, /* of that name */
    FIELD_USER_ID,
    FIELD_QUERY,
    FIELD_CONTEXT, /* of that name */
    FIELD_NOW,
    FIELD_HOUR,
    FIELD_WEEKDAY,
    FIELD_SCORE,
    FIELD_FEATURE
};

struct policy_field {
    enum policy_field_kind kind;
    struct text name; /* ATTRIBUTE, CONTEXT, FEATURE; owned */
    struct feature feature;
};

struct policy_fields {
    struct policy_field *field; /* owned */
    uint32_t count, capacity;
    uint32_t steady_count;     /* of expr_env, for all expressions */
    const struct store *store; /* while expressions are compiled; NULL: every name that may be one
                                  of a defined feature is taken for one */
    char nearest[192];         /* the name that was given last for "did you mean" */
    bool no_memory;            /* a name is missing because of that */
    bool takes_score;          /* `score` is known in what is compiled next */
};

void policy_fields_deinit(struct policy_fields *fields);
/* For expr_compile, whose texts need not stay. */
struct expr_schema policy_fields_schema(struct policy_fields *fields);

/* ---- policy_fields_read.c: the hot path ------------------------------------------------------ */

struct request;

/* Which one is of that kind (not ATTRIBUTE, CONTEXT or FEATURE), if any expression asks for it. */
bool policy_field_of(const struct policy_fields *fields, enum policy_field_kind kind,
                     uint32_t *ret_field);

/* Where values come from.  What is not there is unknown. */
struct policy_asked {
    const struct policy_fields *fields;
    const struct store *store;
    const struct request *request;
    struct feature_reader *reader; /* follows to the item; NULL unless a feature is asked for */
    bool is_hidden;                /* nothing of the person may go in */
    int64_t now_s, hour, weekday;
    uint32_t item;             /* IDMAP_NONE: none */
    uint32_t read_item;        /* where the reader stands */
    const struct item *record; /* its */
    double score;
    char currency[4]; /* room for the text of one */
};

/* All but fields, store, request, reader and is_hidden; at no item. */
void policy_asked_begin(struct policy_asked *asked, int64_t wall_ms);
/* Moves on to an item. */
void policy_asked_item(struct policy_asked *asked, uint32_t item);

/* `ctx` is a struct policy_asked: expr_env.read. */
bool policy_field_read(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value);

#endif
