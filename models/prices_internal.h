/* SPDX-License-Identifier: Apache-2.0 */
/* prices_internal - price rules in memory, from the parser to the hot path.
 *
 *  1. rule[] is in rank order: higher priority first, then file order.
 *  2. A term is one text that some rule matches an item, a category or a brand against.  A rule's
 *     terms in one dimension are numbers in ascending order; none: the dimension is not tested.
 *  3. Each rule is in the postings of all its terms of one dimension, the first of item, category
 *     and brand that it tests; or, if it tests none, in `general`.  Postings and `general` are in
 *     ascending rank, and no rule is in a posting twice.
 *  4. All texts point into `texts`. */
#ifndef MODELS_PRICES_INTERNAL_H
#define MODELS_PRICES_INTERNAL_H

#include "base/hash.h"
#include "models/model_internal.h"

#define PRICE_RULES_MAX 100000
#define PRICE_NO_TERM   UINT32_MAX
#define PRICE_NO_MARGIN (-1)

enum price_dimension { PRICE_ITEM, PRICE_CATEGORY, PRICE_BRAND, PRICE_DIMENSIONS };

enum price_adjust { PRICE_KEEP, PRICE_PERCENT, PRICE_ADD, PRICE_SET };

enum price_ending_to { PRICE_NEAREST, PRICE_DOWN, PRICE_UP };

struct price_span {
    uint32_t first, count;
};

struct price_rule {
    const char *name;
    int32_t priority;
    currency_code currency; /* 0: any */
    enum price_adjust adjust;
    int64_t adjust_value;             /* ppm of the list price, or minor units */
    int64_t floor_minor;              /* 0: none */
    int64_t ceiling_minor;            /* MONEY_MINOR_MAX: none */
    int64_t margin_ppm;               /* PRICE_NO_MARGIN: none */
    int64_t ending_digits, ending_of; /* ending_of 0: none */
    enum price_ending_to ending_to;
    int64_t qty_min, qty_max;
    struct price_span terms[PRICE_DIMENSIONS]; /* in term_of_rule */
    struct price_span conditions;              /* in condition */
};

/* One key of the context, and the values one of which it must have. */
struct price_condition {
    struct text key;
    struct price_span values; /* in value */
};

struct price_term {
    struct text text;
    enum price_dimension dimension;
    struct price_span postings; /* in posting */
};

struct prices {
    struct price_rule *rule; /* owned, as all arrays here */
    uint32_t rule_count;
    struct price_condition *condition;
    uint32_t condition_count;
    struct text *value;
    uint32_t value_count;
    uint32_t *term_of_rule;
    struct price_term *term;
    uint32_t term_count;
    uint32_t *slot; /* terms by hash, linear probing; PRICE_NO_TERM is free */
    uint64_t slot_mask;
    uint64_t seed;
    uint32_t *posting;
    uint32_t *general;
    uint32_t general_count;
    char *texts;
};

/* What the parser notes of one text in `match`, for the index. */
struct price_ref {
    struct text text;
    enum price_dimension dimension;
    uint32_t rule;
};

static inline uint64_t price_term_hash(uint64_t seed, enum price_dimension dimension,
                                       struct text text)
{
    return hash_text(text, seed + dimension);
}

/* rules.json to rules; `name` is for messages. */
MUST_CHECK enum err_code prices_parse(const char *name, const char *bytes, size_t len,
                                      struct prices **ret_prices, struct err *err);

/* Fills in terms, postings and slots from the texts that the rules ask for. */
MUST_CHECK enum err_code prices_index(const char *name, struct prices *prices,
                                      struct price_ref *refs, uint32_t ref_count, struct err *err);

/* Whether a golden row, the inputs of a price with the `amount` that is expected and maybe the
 * `rule`, comes out like that; `index` of the row is for messages. */
MUST_CHECK enum err_code prices_golden_row(const struct prices *prices, const struct json_at *row,
                                           uint32_t index, struct err *err);

uint64_t prices_bytes(const struct prices *prices);

#endif
