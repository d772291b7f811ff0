/* SPDX-License-Identifier: Apache-2.0 */
/* service_replies - replies of service_rig, compared and taken apart.  What is not as expected
 * fails the test. */
#ifndef TESTS_SUPPORT_SERVICE_REPLIES_H
#define TESTS_SUPPORT_SERVICE_REPLIES_H

#include "tests/support/service_rig.h"

/* The value of a key: "" or NaN where there is none of that type. */
const char *service_text(const cJSON *object, const char *key);
double service_number(const cJSON *object, const char *key);
/* The reply is an error of that code that names that field. */
void service_refuses(struct service_rig *rig, const char *json, const char *code,
                     const char *field);
/* The reply, which is no error; the caller cJSON_Deletes it. */
cJSON *service_serves(struct service_rig *rig, const char *json);

#endif
