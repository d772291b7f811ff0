/* SPDX-License-Identifier: Apache-2.0 */
/* policy_fields - the fields that policy expressions may use, by name:
 *
 *   item.id item.title item.category item.brand item.currency   texts
 *   item.price item.cost item.stock item.age_s                  ints; money in minor units
 *   item.attributes.NAME                                        as the catalogue has it
 *   item.NAME user.NAME user_category.NAME ...                  doubles: features
 *   user.id query context.NAME                                  texts of the request
 *   now now.hour now.weekday                                    ints, UTC; 1 is Monday
 *   score                                                       double; in boosts
 *
 * Also the table of the fields used by the expressions of one policy set; expressions refer to
 * fields by index.  Threads: filled by the loader, then read by any. */
#ifndef SERVER_DECIDE_POLICY_FIELDS_H
#define SERVER_DECIDE_POLICY_FIELDS_H

#include "featurestore/feature_reader.h"
#include "server/decide/expr.h"

/* Scopes of expressions: what their evaluation needs. */
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
    FIELD_ITEM_ATTRIBUTE, /* policy_field.name */
    FIELD_USER_ID,
    FIELD_QUERY,
    FIELD_CONTEXT, /* policy_field.name */
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
    uint32_t steady_count;     /* entries of expr_env.steady, for all expressions */
    const struct store *store; /* during compilation; NULL: any well-formed name of a defined
                                  feature is accepted */
    char nearest[192];         /* the latest suggestion for "did you mean" */
    bool no_memory;            /* a name could not be added for lack of memory */
    bool takes_score;          /* `score` may be used in the expression compiled next */
};

void policy_fields_deinit(struct policy_fields *fields);
/* For expr_compile; the compiled texts need not outlive it. */
struct expr_schema policy_fields_schema(struct policy_fields *fields);

/* ---- policy_fields_read.c: the hot path ------------------------------------------------------ */

struct request;

/* The index of the field of that kind (not ATTRIBUTE, CONTEXT or FEATURE), if any expression uses
 * it. */
bool policy_field_of(const struct policy_fields *fields, enum policy_field_kind kind,
                     uint32_t *ret_field);

/* The sources of field values.  A missing source makes its fields unknown. */
struct policy_asked {
    const struct policy_fields *fields;
    const struct store *store;
    const struct request *request;
    struct feature_reader *reader; /* moves along to the item; NULL unless a feature is used */
    bool is_hidden;                /* nothing about the person may be used */
    int64_t now_s, hour, weekday;
    uint32_t item;             /* IDMAP_NONE: none */
    uint32_t read_item;        /* the reader's current item */
    const struct item *record; /* its catalogue record */
    double score;
    char currency[4]; /* buffer for the text of item.currency */
};

/* Sets everything except fields, store, request, reader and is_hidden; at no item. */
void policy_asked_begin(struct policy_asked *asked, int64_t wall_ms);
/* Moves on to an item. */
void policy_asked_item(struct policy_asked *asked, uint32_t item);

/* `ctx` is a struct policy_asked: expr_env.read. */
bool policy_field_read(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value);

#endif
