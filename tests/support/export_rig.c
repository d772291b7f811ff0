/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/export_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"

#define WAIT_NS UINT64_C(20000000000)

struct daemon export_rig_daemon;
struct program export_rig_program;

const char *export_rig_ctl(int code, const char *a, const char *b, const char *c, const char *d,
                           const char *e)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/decidectl", getenv("DECIDED_TOOLS"));
    const char *const argv[] = {
        path, "--url", export_rig_daemon.url, "--timeout", "60s", a, b, c, d, e, NULL};
    program_run(&export_rig_program, argv);
    if (export_rig_program.exit_code != code)
        fail_msg("decidectl %s %s: %d, %s", a, b, export_rig_program.exit_code,
                 export_rig_program.err);
    return export_rig_program.out;
}

cJSON *export_rig_ask(const char *op, const char *json)
{
    cJSON *reply = daemon_ask_nng(&export_rig_daemon, op, json);
    if (!reply_ok(reply))
        fail_msg("%s %s: %s", op, json, cJSON_PrintUnformatted(reply));
    return reply;
}

void export_rig_tell(const char *json)
{
    cJSON_Delete(export_rig_ask("events", json));
}

static void push(const char *name, enum model_kind kind)
{
    char dir[2 * TEMP_DIR_BYTES], below[64];
    snprintf(below, sizeof below, "bundle-%s", name);
    model_sample_write(temp_dir_path(&export_rig_daemon.dir, below, dir), name, "1", kind);
    (void)export_rig_ctl(0, "model", "push", dir, NULL, NULL);
}

double export_rig_number(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(value))
        fail_msg("%s is no number in %s", key, cJSON_PrintUnformatted(object));
    return value->valuedouble;
}

cJSON *export_rig_lines(const char *text)
{
    cJSON *array = cJSON_CreateArray();
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        cJSON *line = cJSON_ParseWithLength(text, (size_t)(end - text));
        assert_non_null(line);
        cJSON_AddItemToArray(array, line);
        text = end + 1;
    }
    return array;
}

const char *export_rig_until(const char *wanted)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    while (strstr(export_rig_ctl(0, "export", "decisions", NULL, NULL, NULL), wanted) == NULL) {
        if (clock_now_ns(clock_system()) > until_ns)
            fail_msg("%s does not get into the log", wanted);
    }
    return export_rig_program.out;
}

int export_rig_set_up(void **state)
{
    (void)state;
    daemon_start(&export_rig_daemon, NULL);
    for (int i = 0; i < MODEL_SAMPLE_ITEMS; i++) {
        char event[256];
        snprintf(
            event, sizeof event,
            "{\"events\": [{\"id\": \"c%d\", \"type\": \"item_upsert\", \"currency\": \"EUR\", "
            "\"items\": [{\"id\": \"i%d\", \"price\": %d}]}]}",
            i, i, 333 * (i + 1));
        export_rig_tell(event);
    }
    export_rig_tell(
        "{\"events\": [{\"id\": \"v1\", \"type\": \"view\", \"user\": \"u\", \"items\": [{\"id\": "
        "\"i1\"}]}, {\"id\": \"p1\", \"type\": \"purchase\", \"user\": \"u\", \"items\": [{\"id\": "
        "\"i2\"}]}]}");
    push("near", MODEL_neighbors);
    push("rank", MODEL_linear);
    return 0;
}

int export_rig_tear_down(void **state)
{
    (void)state;
    daemon_stop(&export_rig_daemon);
    return 0;
}
