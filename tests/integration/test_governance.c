/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody may ask of a shop: what is known of them, all of it, and who looked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/support/daemon_client.h"
#include "tests/support/program.h"

#define EVENTS                                                                                    \
    "{\"events\": ["                                                                              \
    "{\"id\": \"e1\", \"type\": \"view\", \"anon\": \"a1\", \"items\": [{\"id\": \"i1\"}]},"      \
    "{\"id\": \"e2\", \"type\": \"identify\", \"user\": \"u1\", \"anon\": \"a1\"},"               \
    "{\"id\": \"e3\", \"type\": \"purchase\", \"user\": \"u1\", \"items\": [{\"id\": \"i2\"}]},"  \
    "{\"id\": \"e4\", \"type\": \"consent\", \"user\": \"u1\", \"consent\": {\"train\": false}}," \
    "{\"id\": \"e5\", \"type\": \"view\", \"anon\": \"shared\", \"items\": [{\"id\": \"i3\"}]},"  \
    "{\"id\": \"e6\", \"type\": \"identify\", \"user\": \"u1\", \"anon\": \"shared\"},"           \
    "{\"id\": \"e7\", \"type\": \"identify\", \"user\": \"u2\", \"anon\": \"shared\"},"           \
    "{\"id\": \"e8\", \"type\": \"view\", \"user\": \"u2\", \"anon\": \"a1\","                    \
    " \"items\": [{\"id\": \"i4\"}]},"                                                            \
    "{\"id\": \"e9\", \"type\": \"user_upsert\", \"user\": \"u1\","                               \
    " \"attributes\": {\"tier\": \"gold\"}},"                                                     \
    "{\"id\": \"e10\", \"type\": \"view\", \"anon\": \"a2\", \"items\": [{\"id\": \"i5\"}]}]}"

static struct program program;

static int setup(void **state)
{
    struct daemon *daemon = calloc(1, sizeof *daemon);
    daemon_start(daemon, NULL);
    cJSON *reply = daemon_ask_nng(daemon, "events", EVENTS);
    bool all = cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "accepted")) == 10;
    cJSON_Delete(reply);
    cJSON_Delete(daemon_ask_nng(daemon, "recommend", "{\"user\": \"u1\"}"));
    cJSON_Delete(daemon_ask_nng(daemon, "recommend", "{\"anon\": \"a1\"}"));
    cJSON_Delete(daemon_ask_nng(daemon, "recommend", "{\"user\": \"u2\"}"));
    *state = daemon;
    return all ? 0 : -1;
}

static int teardown(void **state)
{
    daemon_stop(*state);
    free(*state);
    return 0;
}

/* decidectl with up to five arguments; NULL where there are fewer. */
static void run(const struct daemon *daemon, const char *const args[5])
{
    char path[FILE_PATH_BYTES];
    snprintf(path, sizeof path, "%s/decidectl", getenv("DECIDED_TOOLS"));
    program_run(&program, (const char *const[]){path, "--url", daemon->url, args[0], args[1],
                                                args[2], args[3], args[4], NULL});
}

#define RUN(...) run(daemon, (const char *const[5]){__VA_ARGS__})

static void ends(int code, const char *out_says, const char *err_says)
{
    if (program.exit_code != code || strstr(program.out, out_says) == NULL ||
        strstr(program.err, err_says) == NULL)
        fail_msg("exit %d, expected %d\nout: %s\nerr: %s\nexpected '%s' and '%s'",
                 program.exit_code, code, program.out, program.err, out_says, err_says);
}

static void lacks(const char *text)
{
    if (strstr(program.out, text) != NULL)
        fail_msg("'%s' is in: %s", text, program.out);
}

static void test_links_and_consent_are_shown(void **state)
{
    struct daemon *daemon = *state;
    RUN("person", "u1");
    ends(0, "train        no       deny ", "");
    ends(0, "process      yes      -", "");
    ends(0, "anon       a1 ", "");
    ends(0, "tier       gold", "");
    RUN("person", "--anon", "shared");
    ends(0, "user       u2 ", "");
    RUN("person", "u1", "--json");
    ends(0, "\"links\":[{\"anon\":\"a1\",\"at_ms\":", "");
    ends(0, "\"event\":\"e6\",\"shared\":true}]", "");
    RUN("person", "nobody");
    ends(1, "", "nothing is known of this person");
    RUN("person");
    ends(2, "", "expected USER, --anon ID or both");
}

/* The decision log is committed a second after the decision at the latest. */
static void await_decisions(const struct daemon *daemon)
{
    double last = 0;
    for (int i = 0; i < 30000 && last < 3; i++) {
        cJSON *reply = daemon_ask_nng(daemon, "status", "{}");
        const cJSON *log = cJSON_GetObjectItem(reply, "decision_log");
        last = cJSON_GetNumberValue(cJSON_GetObjectItem(log, "last_sequence"));
        cJSON_Delete(reply);
    }
    assert_true(last == 3);
}

static void test_everything_about_one_person_is_exported(void **state)
{
    struct daemon *daemon = *state;
    await_decisions(daemon);
    RUN("export", "person", "u1");
    ends(0, "{\"part\":\"profile\",\"user\":\"u1\",\"consent\":", "");
    ends(0, "{\"part\":\"history\",\"user\":\"u1\",\"events\":2,", "");
    ends(0, "{\"item\":\"i1\",", ""); /* seen before there was a name */
    ends(0, "{\"part\":\"features\",\"user\":\"u1\",\"features\":{\"user.events\":2.0,", "");
    ends(0, "{\"part\":\"event\",\"through\":\"link\",\"sequence\":1,", "");
    ends(0, "{\"part\":\"event\",\"through\":\"user\",\"sequence\":2,", "");
    ends(0, "{\"part\":\"decision\",\"through\":\"user\",", "");
    ends(0, "{\"part\":\"decision\",\"through\":\"link\",", "");
    ends(0, "{\"part\":\"end\",\"events\":6,\"decisions\":2}\n", "");
    lacks("\"e5\""); /* of a device that others use, too */
    lacks("\"e8\""); /* of u2, with an anonymous id of u1 */
    lacks("\"e10\"");
    lacks("\"took_us\"");
    RUN("export", "person", "--anon", "a2");
    ends(0, "{\"part\":\"event\",\"through\":\"anon\",\"sequence\":10,", "");
    ends(0, "{\"part\":\"end\",\"events\":1,\"decisions\":0}\n", "");
    RUN("export", "person", "u2", "--anon", "a2");
    ends(0, "{\"part\":\"end\",\"events\":3,\"decisions\":1}\n", "");
}

static void test_what_does_not_fit_a_person_is_refused(void **state)
{
    struct daemon *daemon = *state;
    RUN("export", "person");
    ends(2, "", "person: expected USER, --anon ID or both");
    RUN("export", "person", "u1", "--format=csv");
    ends(2, "", "person: it comes as ndjson");
    RUN("export", "person", "u1", "--since=2020-01-01");
    ends(2, "", "person: all of it is exported");
    RUN("export", "events", "u1");
    ends(2, "", "only `person` takes an id");
    RUN("export", "events", "--anon", "a1");
    ends(2, "", "--anon is for `person`");
    RUN("export", "person", "nobody");
    ends(1, "", "nothing is known of this person");
    RUN("export", "person", "u1", "--zstd", "--out=x.gz");
    ends(2, "", "--zstd: 'x.gz' says gzip");
    RUN("export", "events", "--zstd");
    ends(0, "\x28\xb5\x2f\xfd", ""); /* the magic number of a frame */
    RUN("call", "person", "{\"user\": \"u1\", \"part\": \"all\"}");
    ends(1, "\"field\":\"part\"", "");
    RUN("call", "export", "{\"what\": \"decisions\", \"for\": \"training\", \"user\": \"u1\"}");
    ends(1, "\"field\":\"for\"", "");
}

static void test_who_looked_is_on_record_and_whom_at_is_not(void **state)
{
    struct daemon *daemon = *state;
    char data_dir[2 * TEMP_DIR_BYTES], audit[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    RUN("export", "person", "u1");
    RUN("audit");
    ends(0, "part=features", "");
    ends(0, "what=event one_person=yes from=1", "");
    temp_dir_path(&daemon->dir, "state/audit/0000000000000001.jsonl", audit);
    assert_int_equal(file_read(audit, 1 << 20, &bytes, &len, NULL), ERR_OK);
    assert_null(strstr((char *)bytes, "u1"));
    free(bytes);
    RUN("audit", "verify", temp_dir_path(&daemon->dir, "state", data_dir));
    ends(0, "acts ", "");
}

/* A restart hands the chain over. */
static void test_the_audit_log_survives_a_restart(void **state)
{
    struct daemon *daemon = *state;
    char data_dir[2 * TEMP_DIR_BYTES], hash[65] = "";
    RUN("mode", "generic", "--reason", "a test");
    assert_true(daemon_log_has(daemon, "\"msg\":\"audited\",\"act\":\"mode\""));
    daemon_signal(daemon, 15);
    assert_int_equal(daemon_wait(daemon), 0);
    temp_dir_path(&daemon->dir, "state", data_dir);
    RUN("audit", "verify", data_dir, "--json");
    ends(0, "\"ok\": true", "");
    const char *at = strstr(program.out, "\"hash\": \"");
    assert_non_null(at);
    snprintf(hash, sizeof hash, "%.64s", at + strlen("\"hash\": \""));
    daemon_restart(daemon);
    RUN("mode", "full");
    RUN("audit", "verify", data_dir, "--expect", hash);
    ends(0, "acts ", "");
    memset(hash, 'a', 64);
    RUN("audit", "verify", data_dir, "--expect", hash);
    ends(1, "acts ", "no line has the hash");
    RUN("audit", "--since", "2100-01-01");
    ends(0, "TIME", "");
    lacks("generic");
    RUN("audit");
    ends(0, "mode=generic for_ms=0 reason=a test", "");
}

#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_DAEMON(test_links_and_consent_are_shown),
        WITH_DAEMON(test_everything_about_one_person_is_exported),
        WITH_DAEMON(test_what_does_not_fit_a_person_is_refused),
        WITH_DAEMON(test_who_looked_is_on_record_and_whom_at_is_not),
        WITH_DAEMON(test_the_audit_log_survives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
