/* SPDX-License-Identifier: Apache-2.0 */
/* decidectl and data: events exported and imported again, snapshots verified and restored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/support/ctl_rig.h"
#include "tests/support/daemon.h"

static char *out_path(const struct ctl_rig *bench, const char *name)
{
    static char path[2 * TEMP_DIR_BYTES];
    return temp_dir_path(&bench->dir, name, path);
}

static void test_events_are_exported_and_imported_again(void **state)
{
    struct ctl_rig *bench = *state;
    static const char batch[] =
        "{\"events\": [{\"id\": \"e1\", \"type\": \"view\", \"user\": \"u,1\", \"ts\": "
        "1700000000000, "
        "\"items\": [{\"id\": \"a\\\"b\"}, {\"id\": \"c\", \"qty\": 3}]}, "
        "{\"id\": \"e2\", \"type\": \"search\", \"anon\": \"x\", \"query\": \"tea\"}]}";
    CHECK(0, "", NULL, "export", "events"); /* nothing yet is fine */
    CHECK(0, "\"accepted\":2", NULL, "call", "events", batch);
    CHECK(0,
          "{\"id\":\"e1\",\"type\":\"view\",\"user\":\"u,1\",\"ts\":1700000000000,\"items\":", NULL,
          "export", "events");
    CHECK(0, ",\"id\":\"e2\",\"type\":\"search\",\"anon\":\"x\",\"query\":\"tea\"}\n", NULL,
          "export", "events", "--from", "2");
    CHECK(0,
          "e1,view,2023-11-14T22:13:20.000Z,\"u,1\",,,,\"a\"\"b\",1,,,,,,,\r\n"
          "e1,view,2023-11-14T22:13:20.000Z,\"u,1\",,,,c,3,,,,,,,\r\n",
          NULL, "export", "events", "--format", "csv");
    CHECK(0, NULL, NULL, "export", "events", "--before", "2020-01-01");
    CHECK(2, NULL, "expected a time", "export", "events", "--since", "yesterday");
    CHECK(2, NULL, "expected ndjson or csv", "export", "events", "--format", "xml");
    CHECK(2, NULL, "expected events, decisions, training or person, got 'people'", "export",
          "people");
    CHECK(1, NULL, "cannot open /nonexistent/", "export", "events", "--out",
          "/nonexistent/x.ndjson");
    CHECK(0, "2 events in ", NULL, "export", "events", "--out", out_path(bench, "log.ndjson.gz"));
    CHECK(1, NULL, "Connection refused", "--url", "tcp://127.0.0.1:1", "export", "events", "--out",
          out_path(bench, "log.ndjson.gz")); /* leaves what is there */
    CHECK(0, "duplicate                                 2", NULL, "import", "events",
          out_path(bench, "log.ndjson.gz"));
    CHECK(0, "events: disk, records 1..2", NULL, "status");
    CHECK(0, "\"sequence\":2", NULL, "call", "state_hash");
    CHECK(1, "what: events or decisions", "", "call", "export", "{\"what\": \"people\"}");
    CHECK(1, "\"field\":\"from\"", "", "call", "export", "{\"what\": \"events\", \"from\": 0}");
}

/* Their clock is an hour behind, so the event happened two seconds ago. */
static void test_times_are_exported_as_they_count(void **state)
{
    struct ctl_rig *bench = *state;
    char batch[256], wrong[64], line[4096];
    int64_t sent_at = clock_wall_ms(clock_system()) - 3600000;
    snprintf(wrong, sizeof wrong, "%lld", (long long)sent_at - 2000);
    snprintf(batch, sizeof batch,
             "{\"sent_at\": %lld, \"events\": [{\"id\": \"e1\", \"type\": \"custom:quiz\", "
             "\"anon\": \"a\", \"ts\": %s}]}",
             (long long)sent_at, wrong);
    CHECK(0, "\"accepted\":1", NULL, "call", "events", batch);
    CHECK(0, "e1,custom:quiz,", NULL, "export", "events", "--format", "csv");
    CHECK(0, "1 events in ", NULL, "export", "events", "--out", out_path(bench, "log.ndjson"));
    FILE *file = fopen(out_path(bench, "log.ndjson"), "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    cJSON *event = cJSON_Parse(line);
    assert_non_null(event);
    double late_ms = cJSON_GetNumberValue(cJSON_GetObjectItem(event, "ts")) - (double)sent_at;
    assert_true(late_ms >= 3600000 - 2000 && late_ms < 3600000 + 60000);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(event, "type")), "custom:quiz");
    cJSON_Delete(event);
}

static void test_a_snapshot_is_verified_and_restored(void **state)
{
    struct ctl_rig *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], data_dir[2 * TEMP_DIR_BYTES], file[2 * TEMP_DIR_BYTES];
    snprintf(dir, sizeof dir, "%s", out_path(bench, "snapshot"));
    snprintf(data_dir, sizeof data_dir, "%s", out_path(bench, "restored"));
    static const char batch[] =
        "{\"events\": [{\"id\": \"e1\", \"type\": \"view\", \"user\": \"u\", "
        "\"items\": [{\"id\": \"a\"}]}]}";
    CHECK(0, "\"accepted\":1", NULL, "call", "events", batch);
    CHECK(0, "\"ok\":true", NULL, "call", "checkpoint");
    CHECK(0, dir, NULL, "snapshot", dir);
    CHECK(1, NULL, "is there already", "snapshot", dir);
    CHECK(1, NULL, "cannot make", "snapshot", "/proc/no/snapshot");
    CHECK(0, "events       1, records 1..1", NULL, "verify", dir);
    CHECK(0, "\"ok\": true", NULL, "verify", "--json", dir);
    CHECK(1, NULL, "/nonexistent", "verify", "/nonexistent");
    CHECK(2, NULL, "expected SNAPSHOT DATA_DIR", "restore", dir);
    CHECK(1, NULL, "state", "restore", dir, temp_dir_path(&bench->daemon.dir, "state", file));
    CHECK(0, "1 events up to record 1", NULL, "restore", dir, data_dir);
    CHECK(0, "what was there before is in", NULL, "restore", dir, data_dir);
    CHECK(0, "events       1, records 1..1", NULL, "verify", data_dir);
    snprintf(file, sizeof file, "%.500s/events/data.mdb", dir);
    assert_int_equal(truncate(file, 5000), 0);
    CHECK(1, NULL, "decidectl: verify: ", "verify", dir);
    CHECK(1, NULL, "decidectl: restore: ", "restore", dir, data_dir);
    CHECK(0, "events       1, records 1..1", NULL, "verify", data_dir); /* as it was */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(test_events_are_exported_and_imported_again),
        WITH_DAEMON(test_times_are_exported_as_they_count),
        WITH_DAEMON(test_a_snapshot_is_verified_and_restored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
