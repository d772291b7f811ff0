/* SPDX-License-Identifier: Apache-2.0 */
/* policy_sources - the sources of a slot and the lists that they name, from policies.json.
 * Threads: the loader or main. */
#ifndef SERVER_DECIDE_POLICY_SOURCES_H
#define SERVER_DECIDE_POLICY_SOURCES_H

#include "server/decide/policy.h"

/* The editors' lists, before the slots that name them.  What was read stays in the set when it
 * fails: policy_free_lists. */
MUST_CHECK enum err_code policy_parse_lists(const struct json_at *root, struct policy_set *set,
                                            struct err *err);
void policy_free_lists(struct policy_set *set);
MUST_CHECK enum err_code policy_parse_sources(const struct json_at *slot_at, struct policy_set *set,
                                              struct policy_slot *slot, struct err *err);
void policy_free_sources(struct policy_slot *slot);
/* The list of the source, when it is of a kind that has one. */
MUST_CHECK enum err_code policy_parse_list_of(const struct json_at *at, struct policy_set *set,
                                              struct policy_source *source, struct err *err);
/* The number of the list of items that are alike. */
MUST_CHECK enum err_code policy_add_content_list(const struct json_at *at, struct policy_set *set,
                                                 uint32_t *ret_list, struct err *err);

/* A model's name: plain, or "*" for the first one of the kind that is wanted; absent: stays. */
MUST_CHECK enum err_code policy_parse_model(const struct json_at *object, const char *key,
                                            char ret_model[MODEL_NAME_BYTES], struct err *err);
MUST_CHECK enum err_code policy_parse_window(const struct json_at *object, const char *key,
                                             enum store_window *ret_window, struct err *err);

#endif
