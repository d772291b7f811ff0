/* SPDX-License-Identifier: Apache-2.0 */
/* policy_rules - the filters, boosts and pins of a slot, from policies.json.
 * Threads: the loader or main. */
#ifndef SERVER_DECIDE_POLICY_RULES_H
#define SERVER_DECIDE_POLICY_RULES_H

#include "server/decide/policy.h"

/* What was read stays in the slot when it fails: policy_free_rules. */
MUST_CHECK enum err_code policy_parse_rules(const struct json_at *slot_at,
                                            struct policy_fields *fields, struct policy_slot *slot,
                                            struct err *err);
/* An expression that gives a number. */
MUST_CHECK enum err_code policy_compile_number(const struct json_at *at,
                                               struct policy_fields *fields,
                                               struct policy_slot *slot, struct expr **ret_expr,
                                               struct err *err);
void policy_free_rules(struct policy_slot *slot);

#endif
