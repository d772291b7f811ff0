/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/admin_calls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

#include "tests/support/service_replies.h"

cJSON *admin_answers(struct service_rig *rig, const char *json, enum reply_code code)
{
    cJSON *reply = service_rig_ask(rig, json);
    if (rig->code != code)
        fail_msg("%s: %s, expected %s", json, cJSON_Print(reply), reply_code_name(code));
    return reply;
}

void admin_refuses(struct service_rig *rig, const char *json, enum reply_code code,
                   const char *field, const char *says)
{
    cJSON *reply = admin_answers(rig, json, code);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    assert_string_equal(service_text(error, "field"), field);
    if (strstr(service_text(error, "message"), says) == NULL)
        fail_msg("%s: '%s' without '%s'", json, service_text(error, "message"), says);
    cJSON_Delete(reply);
}

void admin_serves(struct service_rig *rig, const char *json)
{
    cJSON_Delete(admin_answers(rig, json, REPLY_ok));
}
