/* SPDX-License-Identifier: Apache-2.0 */
/* policy_choice - how a slot chooses among its candidates: limits, likeness, freshness, what was
 * seen, where it turns to when there is too little, and what its stages may take.
 * Threads: the loader or main. */
#ifndef SERVER_DECIDE_POLICY_CHOICE_H
#define SERVER_DECIDE_POLICY_CHOICE_H

#include "server/decide/policy.h"

MUST_CHECK enum err_code policy_parse_choice(const struct json_at *slot_at, struct policy_set *set,
                                             struct policy_slot *slot, struct err *err);
/* The slot that a fallback names, once all are there. */
MUST_CHECK enum err_code policy_resolve_fallback(const struct json_at *root,
                                                 const struct policy_set *set,
                                                 struct policy_slot *slot, struct err *err);

#endif
