/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/erasure_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "featurestore/erase_ledger.h"
#include "tests/support/daemon_client.h"
#include "tests/support/file_search.h"

#define BOB     "bob-1234-timbuktu"
#define WAIT_NS UINT64_C(60000000000)

struct daemon erasure_rig_daemon;
char erasure_rig_dir[2 * TEMP_DIR_BYTES];

void erasure_rig_start(const char *config)
{
    char with_features[1024];
    snprintf(with_features, sizeof with_features, "%s, \"features\": \"%s/deploy/features.json\"",
             config, getenv("DECIDED_SOURCE"));
    daemon_start(&erasure_rig_daemon, with_features);
    temp_dir_path(&erasure_rig_daemon.dir, "state", erasure_rig_dir);
}

int erasure_rig_tear_down(void **state)
{
    (void)state;
    daemon_stop(&erasure_rig_daemon);
    return 0;
}

cJSON *erasure_rig_ask(const char *op, const char *json)
{
    cJSON *reply = daemon_ask_nng(&erasure_rig_daemon, op, json);
    if (!reply_ok(reply))
        fail_msg("%s %s: %s", op, json, reply_error_text(reply, "message"));
    return reply;
}

void erasure_rig_tell(const char *op, const char *json)
{
    cJSON_Delete(erasure_rig_ask(op, json));
}

int erasure_rig_number(const cJSON *reply, const char *key)
{
    const cJSON *value = cJSON_GetObjectItem(reply, key);
    assert_non_null(value);
    return value->valueint;
}

void erasure_rig_people_live(void)
{
    erasure_rig_tell(
        "events",
        "{\"events\": [{\"id\": \"i\", \"type\": \"item_upsert\", \"items\": [{\"id\": \"shoe\", "
        "\"category\": \"feet\", \"price\": 100}], \"currency\": \"EUR\"},"
        "{\"id\": \"secret-1\", \"type\": \"view\", \"anon\": \"" DEVICE
        "\", \"items\": [{\"id\": \"shoe\"}], \"session\": \"secret-session\"},"
        "{\"id\": \"secret-2\", \"type\": \"identify\", \"user\": \"" ALICE
        "\", \"anon\": \"" DEVICE "\"},"
        "{\"id\": \"secret-3\", \"type\": \"purchase\", \"user\": \"" ALICE
        "\", \"items\": [{\"id\": \"shoe\", \"price\": 100}], \"currency\": \"EUR\", \"order\": "
        "\"secret-order\"},"
        "{\"id\": \"secret-4\", \"type\": \"user_upsert\", \"user\": \"" ALICE
        "\", \"attributes\": {\"name\": \"secret-name\"}},"
        "{\"id\": \"secret-5\", \"type\": \"search\", \"user\": \"" ALICE
        "\", \"query\": \"secret-query\"},"
        "{\"id\": \"secret-7\", \"type\": \"click\", \"user\": \"" ALICE
        "\", \"query\": \"My secret-query  is long\", \"items\": [{\"id\": \"shoe\"}]},"
        "{\"id\": \"secret-6\", \"type\": \"consent\", \"user\": \"" ALICE
        "\", \"consent\": {\"ads\": false}},"
        "{\"id\": \"b1\", \"type\": \"view\", \"user\": \"" BOB
        "\", \"items\": [{\"id\": \"shoe\"}]},"
        "{\"id\": \"b2\", \"type\": \"view\", \"user\": \"" BOB
        "\", \"items\": [{\"id\": \"hat\"}]}]}");
    erasure_rig_tell("recommend",
                     "{\"user\": \"" ALICE "\", \"session\": \"secret-session\", \"n\": 5}");
    erasure_rig_tell("recommend", "{\"anon\": \"" DEVICE "\", \"n\": 5}");
    erasure_rig_tell("recommend", "{\"user\": \"" BOB "\", \"n\": 5}");
}

cJSON *erasure_rig_forget(const char *json)
{
    return erasure_rig_ask("erase", json);
}

cJSON *erasure_rig_wait(void)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    for (;;) {
        cJSON *reply = erasure_rig_ask("erasures", "{}");
        const cJSON *pending = cJSON_GetObjectItem(reply, "pending");
        if (erasure_rig_number(pending, "ids") == 0)
            return reply;
        if (clock_now_ns(clock_system()) > end_ns)
            fail_msg("%s", cJSON_Print(pending));
        cJSON_Delete(reply);
        sched_yield();
    }
}

void erasure_rig_check_gone(void)
{
    assert_int_equal(file_search(erasure_rig_dir, ALICE), 0);
    assert_int_equal(file_search(erasure_rig_dir, DEVICE), 0);
    assert_int_equal(file_search(erasure_rig_dir, "secret-"), 0);
    cJSON *reply = daemon_ask_nng(&erasure_rig_daemon, "features", "{\"user\": \"" ALICE "\"}");
    assert_string_equal(reply_error_text(reply, "code"), "not_found");
    cJSON_Delete(reply);
}

void erasure_rig_check_bob(void)
{
    assert_true(file_search(erasure_rig_dir, BOB) > 0);
    cJSON *reply = erasure_rig_ask("features", "{\"user\": \"" BOB "\"}");
    assert_int_equal(erasure_rig_number(cJSON_GetObjectItem(reply, "features"), "user.items"), 2);
    cJSON_Delete(reply);
}
