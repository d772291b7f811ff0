/* SPDX-License-Identifier: Apache-2.0 */
/* prices_parser - the state shared by the files of the rules.json parser.
 *
 *   prices_parse.c        the file, a rule and its effect on a price
 *   prices_parse_match.c  the conditions of a rule
 *
 * Threads: one owner.  Ownership: `prices` and `refs` belong to prices_parse, even after an error.
 */
#ifndef MODELS_PRICES_PARSER_H
#define MODELS_PRICES_PARSER_H

#include "base/json.h"
#include "models/prices_internal.h"

struct prices_parser {
    struct prices *prices;
    currency_code currency; /* of the file */
    size_t texts_used;
    struct price_ref *refs; /* owned */
    uint32_t ref_count, ref_capacity;
    uint32_t condition_capacity, value_capacity;
    struct err *err;
};

/* `texts` is as long as the file, where each text stands between two quotes. */
struct text prices_keep_text(struct prices_parser *p, const char *value);

/* `match` of the rule of this index, which may be absent: then the rule applies to all. */
MUST_CHECK enum err_code prices_parse_match(struct prices_parser *p, const struct json_at *rule_at,
                                            uint32_t index, struct price_rule *rule);

#endif
