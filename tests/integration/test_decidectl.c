/* SPDX-License-Identifier: Apache-2.0 */
/* decidectl as people and scripts use it: what it prints where, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/file.h"
#include "tests/support/ctl_rig.h"
#include "tests/support/daemon.h"

static void test_output_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    static const char *const lines[] = {"decidectl --help", "decide-train --help",
                                        "decide-bench --version", "decide-shop --version"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char command[FILE_PATH_BYTES];
        snprintf(command, sizeof command, "\"%s\"/%s >/dev/full 2>/dev/null",
                 getenv("DECIDED_TOOLS"), lines[i]);
        int status = system(command);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 1);
    }
}

static void test_ping_and_status(void **state)
{
    struct ctl_rig *bench = *state;
    CHECK(0, "answers: decided ", NULL, "ping");
    CHECK(0, "\"ok\":true", NULL, "ping", "--json");
    CHECK(0, "no model serves", NULL, "status");
    CHECK(0, "\"uptime_s\":", NULL, "--json", "status");
    CHECK(2, NULL, "expected nothing, got 1 argument", "ping", "pong");
}

static void test_without_a_daemon_it_fails_and_says_what_to_do(void **state)
{
    struct ctl_rig *bench = *state;
    /* Port 1 of loopback: nobody listens there. */
    CHECK(1, NULL, "is decided running there?", "--url", "tcp://127.0.0.1:1", "--timeout", "200ms",
          "ping");
    CHECK(1, "{\"ok\":false,\"error\":{\"code\":\"unreachable\"", "decidectl: ping: ", "--url",
          "tcp://127.0.0.1:1", "--timeout", "200ms", "--json", "ping");
    /* What may take minutes where there is a daemon. */
#define NOBODY "--url", "tcp://127.0.0.1:1", "--timeout", "50ms"
    CHECK(1, NULL, "is decided running there?", NOBODY, "model", "promote", "m", "1");
    CHECK(1, NULL, "is decided running there?", NOBODY, "model", "rollback", "m");
    CHECK(1, NULL, "is decided running there?", NOBODY, "release", "rollback");
    CHECK(1, NULL, "is decided running there?", NOBODY, "restart");
    CHECK(1, NULL, "is decided running there?", NOBODY, "snapshot", "/nonexistent/snapshot");
    CHECK(1, NULL, "is decided running there?", NOBODY, "export", "events");
#undef NOBODY
    CHECK(2, NULL, "expected tcp://", "--url", "nonsense", "ping");
    CHECK(2, NULL, "cannot open", "--token-file", "/nonexistent/token", "ping");
}

static void test_every_failure_is_json_where_it_was_asked_for(void **state)
{
    struct ctl_rig *bench = *state;
    CHECK(1, "{\"ok\":false,", "'m' has no shadow", "model", "shadow", "m", "--json");
    CHECK(1, "{\"ok\":false,", "cannot read", "release", "push", "/nonexistent", "--json");
    CHECK(1, "{\"ok\":false,", "not in the log", "replay", "x", "--models", "/nonexistent",
          "--json");
    /* Not shown is exit code 1, told as people or programs want it. */
    CHECK(1, "is not known", NULL, "why-not", "u1", "nothing");
    CHECK(1, "level static (no_model), policy home@builtin", NULL, "why-not", "u1", "nothing",
          "--slot", "hom");
    CHECK(1, "\"stage\":\"unknown_item\"", NULL, "why-not", "u1", "nothing", "--json");
}

static void test_usage(void **state)
{
    struct ctl_rig *bench = *state;
    char *nothing[] = {"decidectl", NULL};
    struct ctl_result result = ctl_rig_run(bench, nothing);
    assert_int_equal(result.code, 2);
    assert_non_null(strstr(result.err, "decidectl: a command is missing"));
    ctl_result_free(&result);
    CHECK(0, "Exit codes:", NULL, "--help");
    CHECK(0, "usage: decidectl model list", NULL, "model", "--help");
    CHECK(0, "decidectl 0", NULL, "--version");
    CHECK(2, NULL, "did you mean 'recommend'?", "recomend", "u1");
    CHECK(2, NULL, "did you mean '--slot'?", "recommend", "u1", "--slott", "x");
    CHECK(2, NULL, "expected USER", "recommend");
    CHECK(2, NULL, "1..200", "recommend", "u1", "-n", "201");
    CHECK(2, NULL, "expected user or item", "features", "shop", "x");
    CHECK(2, NULL, "need a LEVEL", "mode", "--for", "5m");
    CHECK(2, NULL, "1h30m", "mode", "full", "--for", "5");
    CHECK(2, NULL, "JSON: line 1", "call", "ping", "{\"a\"");
    CHECK(2, NULL, "expected an object", "call", "ping", "[]");
    CHECK(2, NULL, "expected list, push DIR", "model", "pull");
    CHECK(2, NULL, "behind the last '='", "price", "a=many");
    CHECK(2, NULL, "decidectl: recommend: -n: expected a whole number 1..200, got '0'", "recommend",
          "u1", "-n", "0");
    CHECK(2, NULL, "at most 366d, got '367d'", "mode", "generic", "--for", "367d");
    CHECK(2, NULL, "expected ids separated by commas, got 'a,,b'", "recommend", "u1", "--seeds",
          "a,,b");
    CHECK(2, NULL, "expected ids separated by commas, got ''", "recommend", "u1", "--seeds", "");
    /* With --json also for programs, whatever stands before or behind it. */
    CHECK(2,
          "{\"ok\":false,\"error\":{\"code\":\"usage\",\"message\":\"there is no command 'bogus'",
          "", "--json", "bogus");
    CHECK(2, "\"message\":\"-n: expected a whole number 1..200, got '0'\"", "", "recommend", "u1",
          "-n", "0", "--json");
    CHECK(2, "\"message\":\"expected USER, got 0 arguments\"", "", "recommend", "--json");
    CHECK(2, "{\"ok\":false,", "expected tcp://", "--url", "nonsense", "--json", "ping");
    CHECK(2, "{\"ok\":false,", "cannot open", "--token-file", "/nonexistent/token", "--json",
          "ping");
}

static void test_call_prints_the_reply_and_fails_with_it(void **state)
{
    struct ctl_rig *bench = *state;
    CHECK(0, "\"pad\":\"", NULL, "call", "ping", "{\"pad\": 3}");
    CHECK(1, "\"code\":\"unknown_op\"", "unknown_op", "call", "fly");
    CHECK(1, "\"field\":\"n\"", "bad_request", "call", "recommend", "{\"n\": 0}");
}

static void test_decisions(void **state)
{
    struct ctl_rig *bench = *state;
    CHECK(0, "level ", NULL, "recommend", "u1", "-n", "3", "--explain", "--price");
    CHECK(0, "level ", NULL, "similar", "i1", "i2", "-n", "3");
    CHECK(0, "i2", NULL, "rank", "u1", "i1=0.5", "i2", "i3=-1e-3");
    CHECK(0, "a=b", NULL, "price", "a=b=2", "i1");
    CHECK(0, "\"decision\":\"", NULL, "recommend", "--json", "u1", "--seeds", "i1,i2");
    CHECK(0, "level ", NULL, "recommend", "--", "-u");
    CHECK(1, NULL, "decidectl: recommend: ", "recommend", "bad\x01user");
    CHECK(1, "\"field\":\"user\"", "nothing is known", "--json", "features", "user", "u1");
}

static void test_modes(void **state)
{
    struct ctl_rig *bench = *state;
    CHECK(0, "mode full", NULL, "mode");
    CHECK(0, "mode generic until ", NULL, "mode", "generic", "--for", "30m", "--reason", "a test");
    CHECK(0, "(a test)", NULL, "mode");
    CHECK(0, "level ", NULL, "recommend", "u1");
    CHECK(1, NULL, "bad_request", "mode", "best");
    CHECK(0, "mode full", NULL, "mode", "full");
}

static void test_configuration(void **state)
{
    struct ctl_rig *bench = *state;
    char good[2 * TEMP_DIR_BYTES], bad[2 * TEMP_DIR_BYTES], path[FILE_PATH_BYTES];
    const char *daemon = getenv("DECIDED_BINARY");
    assert_non_null(daemon);
    snprintf(path, sizeof path, "%.*s:%s", (int)(strrchr(daemon, '/') - daemon), daemon,
             getenv("PATH"));
    assert_int_equal(setenv("PATH", path, 1), 0);
    temp_dir_path(&bench->daemon.dir, "decided.json", good);
    temp_dir_write_text(&bench->dir, "bad.json", "{\"lisen\": [\"tcp://127.0.0.1:0\"]}");
    temp_dir_path(&bench->dir, "bad.json", bad);
    CHECK(0, "is fine", "", "config", "check", good);
    CHECK(78, NULL, "listen", "config", "check", bad);
    CHECK(78, "{\"ok\":false,\"error\":{\"code\":\"bad_config\",\"message\":\"", "listen", "--json",
          "config", "check", bad);
    CHECK(2, NULL, "expected check FILE", "config", "test", good);
    assert_int_equal(setenv("PATH", "/nonexistent", 1), 0);
    CHECK(1, NULL, "cannot run decided", "config", "check", good);
    assert_int_equal(setenv("PATH", path, 1), 0);
}

static void test_reload_and_drain(void **state)
{
    struct ctl_rig *bench = *state;
    char config[2 * TEMP_DIR_BYTES];
    CHECK(0, "reloaded", NULL, "reload");
    char *text = ctl_rig_read_text(temp_dir_path(&bench->daemon.dir, "decided.json", config));
    temp_dir_write_text(&bench->daemon.dir, "decided.json", "{\"lisen\": 1}");
    CHECK(1, NULL, "listen", "reload");
    temp_dir_write_text(&bench->daemon.dir, "decided.json", text);
    free(text);
    CHECK(0, "answers", NULL, "ping");
    CHECK(0, "draining", NULL, "drain");
    int status = daemon_wait(&bench->daemon);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    /* Another test's daemon may get the port before long. */
    CHECK(1, NULL, "decidectl: ping: ", "ping", "--timeout", "100ms");
}

static void test_a_token_file_is_read_as_the_daemon_reads_it(void **state)
{
    struct ctl_rig *bench = *state;
    char token[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&bench->daemon.dir, "token", " \t0123456789abcdef \r\n");
    temp_dir_write_text(&bench->daemon.dir, "decided.json",
                        "{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"127.0.0.1:0\", "
                        "\"data_dir\": \"state\", \"models_dir\": \"models\", "
                        "\"admin_token_file\": \"token\"}");
    CHECK(0, "", NULL, "reload");
    temp_dir_path(&bench->daemon.dir, "token", token);
    CHECK(1, NULL, "unauthorized", "mode", "generic");
    CHECK(0, "mode generic", NULL, "--token-file", token, "mode", "generic");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_that_cannot_be_written_is_a_failure),
        WITH_DAEMON(test_ping_and_status),
        WITH_DAEMON(test_without_a_daemon_it_fails_and_says_what_to_do),
        WITH_DAEMON(test_every_failure_is_json_where_it_was_asked_for),
        WITH_DAEMON(test_usage),
        WITH_DAEMON(test_call_prints_the_reply_and_fails_with_it),
        WITH_DAEMON(test_decisions),
        WITH_DAEMON(test_modes),
        WITH_DAEMON(test_configuration),
        WITH_DAEMON(test_reload_and_drain),
        WITH_DAEMON(test_a_token_file_is_read_as_the_daemon_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
