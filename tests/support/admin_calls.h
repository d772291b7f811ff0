/* SPDX-License-Identifier: Apache-2.0 */
/* admin_calls - operations of administration through service_rig and how they must end.  What is
 * not as expected fails the test. */
#ifndef TESTS_SUPPORT_ADMIN_CALLS_H
#define TESTS_SUPPORT_ADMIN_CALLS_H

#include "tests/support/service_rig.h"

#define ADMIN_TOKEN "a-token-of-administration"

/* The reply, which has that code; the caller cJSON_Deletes it. */
cJSON *admin_answers(struct service_rig *rig, const char *json, enum reply_code code);

/* The field and part of the message of a refusal. */
void admin_refuses(struct service_rig *rig, const char *json, enum reply_code code,
                   const char *field, const char *says);

void admin_serves(struct service_rig *rig, const char *json);

#endif
