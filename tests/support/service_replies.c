/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/service_replies.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

const char *service_text(const cJSON *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text == NULL ? "" : text;
}

double service_number(const cJSON *object, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(object, key));
}

void service_refuses(struct service_rig *rig, const char *json, const char *code, const char *field)
{
    cJSON *reply = service_rig_ask(rig, json);
    const cJSON *error = cJSON_GetObjectItemCaseSensitive(reply, "error");
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(reply, "ok")));
    if (strcmp(service_text(error, "code"), code) != 0 ||
        strcmp(service_text(error, "field"), field) != 0)
        fail_msg("%s: %s of '%s', expected %s of '%s'", json, service_text(error, "code"),
                 service_text(error, "field"), code, field);
    assert_true(service_text(error, "message")[0] != '\0');
    assert_string_equal(reply_code_name(rig->code), code);
    cJSON_Delete(reply);
}

cJSON *service_serves(struct service_rig *rig, const char *json)
{
    cJSON *reply = service_rig_ask(rig, json);
    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(reply, "ok")))
        fail_msg("%s: %s", json, cJSON_Print(reply));
    assert_int_equal(rig->code, REPLY_ok);
    assert_true(cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(reply, "took_us")));
    return reply;
}
