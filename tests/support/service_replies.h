/* SPDX-License-Identifier: Apache-2.0 */
/* service_replies - replies of service_rig, compared and taken apart.  What is not as expected
 * fails the test. */
#ifndef TESTS_SUPPORT_SERVICE_REPLIES_H
#define TESTS_SUPPORT_SERVICE_REPLIES_H

#include "tests/support/service_rig.h"

const char *service_text(const cJSON *object, const char *key);
double service_number(const cJSON *object, const char *key);
void service_refuses(struct service_rig *rig, const char *json, const char *code,
                     const char *field);
cJSON *service_serves(struct service_rig *rig, const char *json);

#endif
