/* SPDX-License-Identifier: Apache-2.0 */
/* decidectl as people and scripts use it: what it prints where, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "tests/support/daemon.h"
#include "tests/support/model_sample.h"

#define ARGS_MAX     24
#define OUTPUT_BYTES (1 << 20)

struct bench {
    struct daemon daemon;
    struct temp_dir dir; /* outputs and bundles */
};

/* What one call of the program left. */
struct result {
    int code;
    char *out, *err; /* owned */
};

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL)
        return -1;
    temp_dir_create(&bench->dir);
    daemon_start(&bench->daemon, NULL);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    daemon_stop(&bench->daemon);
    temp_dir_remove(&bench->dir);
    free(bench);
    return 0;
}

static char *read_text(const char *path)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    assert_int_equal(file_read(path, OUTPUT_BYTES, &bytes, &len, NULL), ERR_OK);
    return (char *)bytes;
}

static void redirect(const char *path, int to)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(126);
}

static struct result run(const struct bench *bench, char *const argv[])
{
    char out[2 * TEMP_DIR_BYTES], err[2 * TEMP_DIR_BYTES], program[FILE_PATH_BYTES];
    const char *tools = getenv("DECIDED_TOOLS");
    int status = 0;
    assert_non_null(tools);
    snprintf(program, sizeof program, "%s/decidectl", tools);
    temp_dir_path(&bench->dir, "stdout", out);
    temp_dir_path(&bench->dir, "stderr", err);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        redirect(out, STDOUT_FILENO);
        redirect(err, STDERR_FILENO);
        execv(program, argv);
        _exit(126);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status)); /* not by a signal, no sanitizer's abort */
    return (struct result){WEXITSTATUS(status), read_text(out), read_text(err)};
}

static void free_result(struct result *result)
{
    free(result->out);
    free(result->err);
}

/* Runs it with --url of the daemon and compares; a text of NULL: must be empty, "": anything. */
static void check(const struct bench *bench, int code, const char *out, const char *err,
                  const char *const *args)
{
    char *argv[ARGS_MAX] = {"decidectl", "--url", (char *)bench->daemon.url};
    size_t count = 3;
    for (; *args != NULL; args++) {
        assert_true(count + 1 < ARGS_MAX);
        argv[count++] = (char *)*args;
    }
    struct result result = run(bench, argv);
    bool good = result.code == code &&
                (out == NULL ? result.out[0] == '\0' : strstr(result.out, out) != NULL) &&
                (err == NULL ? result.err[0] == '\0' : strstr(result.err, err) != NULL);
    if (!good) {
        fprintf(stderr, "decidectl");
        for (size_t i = 1; i < count; i++)
            fprintf(stderr, " %s", argv[i]);
        fprintf(stderr, "\nended with %d, expected %d\nstdout: %s\nstderr: %s\n", result.code, code,
                result.out, result.err);
    }
    free_result(&result);
    assert_true(good);
}

#define CHECK(code, out, err, ...) \
    check(bench, code, out, err, (const char *const[]){__VA_ARGS__, NULL})

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
    struct bench *bench = *state;
    CHECK(0, "answers: decided ", NULL, "ping");
    CHECK(0, "\"ok\":true", NULL, "ping", "--json");
    CHECK(0, "no model serves", NULL, "status");
    CHECK(0, "\"uptime_s\":", NULL, "--json", "status");
    CHECK(2, NULL, "expected nothing, got 1 argument", "ping", "pong");
}

static void test_without_a_daemon_it_fails_and_says_what_to_do(void **state)
{
    struct bench *bench = *state;
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
    struct bench *bench = *state;
    CHECK(1, "{\"ok\":false,", "'m' has no shadow", "model", "shadow", "m", "--json");
    CHECK(1, "{\"ok\":false,", "cannot read", "release", "push", "/nonexistent", "--json");
    CHECK(1, "{\"ok\":false,", "not in the log", "replay", "x", "--models", "/nonexistent",
          "--json");
    /* Not shown is exit code 1, told as people or programs want it. */
    CHECK(1, "is not known", NULL, "why-not", "u1", "nothing");
    CHECK(1, "\"stage\":\"unknown_item\"", NULL, "why-not", "u1", "nothing", "--json");
}

static void test_usage(void **state)
{
    struct bench *bench = *state;
    char *nothing[] = {"decidectl", NULL};
    struct result result = run(bench, nothing);
    assert_int_equal(result.code, 2);
    assert_non_null(strstr(result.err, "decidectl: a command is missing"));
    free_result(&result);
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
    struct bench *bench = *state;
    CHECK(0, "\"pad\":\"", NULL, "call", "ping", "{\"pad\": 3}");
    CHECK(1, "\"code\":\"unknown_op\"", "unknown_op", "call", "fly");
    CHECK(1, "\"field\":\"n\"", "bad_request", "call", "recommend", "{\"n\": 0}");
}

static void test_decisions(void **state)
{
    struct bench *bench = *state;
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
    struct bench *bench = *state;
    CHECK(0, "mode full", NULL, "mode");
    CHECK(0, "mode generic until ", NULL, "mode", "generic", "--for", "30m", "--reason", "a test");
    CHECK(0, "(a test)", NULL, "mode");
    CHECK(0, "level ", NULL, "recommend", "u1");
    CHECK(1, NULL, "bad_request", "mode", "best");
    CHECK(0, "mode full", NULL, "mode", "full");
}

/* Pushes versions 1 and 2 of m, from folders of these names. */
static void push_two_versions(struct bench *bench, char dir[2 * TEMP_DIR_BYTES])
{
    for (const char *version = "1"; version != NULL; version = version[0] == '1' ? "2" : NULL) {
        temp_dir_path(&bench->dir, version, dir);
        model_sample_write(dir, "m", version, MODEL_factors);
        CHECK(0, "kind factors", NULL, "model", "verify", dir);
        CHECK(0, version, NULL, "model", "push", dir);
    }
}

static void test_models_are_pushed_listed_and_rolled_back(void **state)
{
    struct bench *bench = *state;
    char dir[2 * TEMP_DIR_BYTES], path[4 * TEMP_DIR_BYTES];
    push_two_versions(bench, dir);
    CHECK(0, "m: version 2 serves", NULL, "model", "push", dir); /* again is fine */
    CHECK(0, "stable", NULL, "model", "list");
    CHECK(0, "m@2: closed", NULL, "breaker", "m");
    CHECK(0, "m@2: held_open", NULL, "breaker", "m", "open");
    CHECK(0, "\"breaker\":\"held_open\"", NULL, "status", "--json");
    CHECK(0, "held_open", NULL, "status");
    CHECK(0, "m@2: closed", NULL, "breaker", "m", "auto");
    CHECK(1, NULL, "no model of that name", "breaker", "x");
    CHECK(1, NULL, "expected auto, open or closed", "breaker", "m", "ajar");
    /* What decisions use whatever happens cannot be held open. */
    temp_dir_path(&bench->dir, "p1", path);
    model_sample_write(path, "p", "1", MODEL_popularity);
    CHECK(0, "p: version 1 serves", NULL, "model", "push", path);
    CHECK(1, NULL, "a model of the kind popularity has no breaker", "breaker", "p", "open");
    CHECK(1, "\"code\":\"bad_request\"", "", "breaker", "p", "closed", "--json");
    CHECK(0, "p@1: closed", NULL, "breaker", "p");
    CHECK(2, NULL, "expected MODEL", "breaker");
    CHECK(0, "\"state\":\"previous\"", NULL, "model", "list", "--json");
    CHECK(0, " STATE", NULL, "model", "list");
    char *status[] = {"decidectl", "--url", bench->daemon.url, "status", NULL};
    struct result result = run(bench, status);
    assert_non_null(strstr(result.out, "\nMODEL "));
    assert_null(strstr(result.out, "STATE")); /* what the reply does not tell has no column */
    free_result(&result);
    CHECK(0, "m: version 1 serves", NULL, "model", "rollback", "m");
    CHECK(1, NULL, "there is no version of 'm' before 1", "model", "rollback", "m");
    CHECK(1, "\"code\":\"not_found\"", "not_found", "model", "rollback", "x", "--json");

    /* What is bad is found before it is sent; the daemon is not asked. */
    snprintf(path, sizeof path, "%s/user_ids.txt", dir);
    assert_int_equal(truncate(path, 3), 0);
    CHECK(1, NULL, "user_ids.txt", "model", "verify", dir);
    CHECK(1, "{\"ok\":false", "user_ids.txt", "model", "verify", "--json", dir);
    CHECK(1, NULL, "refused: ", "--url", "tcp://127.0.0.1:1", "model", "push", dir);
    /* Same version, other content. */
    assert_int_equal(file_remove_tree(dir, NULL), ERR_OK);
    model_sample_write(dir, "m", "2", MODEL_popularity);
    CHECK(1, NULL, "publish under a new one", "model", "push", dir);
}

static void test_versions_are_promoted_and_tried(void **state)
{
    struct bench *bench = *state;
    char dir[2 * TEMP_DIR_BYTES];
    push_two_versions(bench, dir);
    CHECK(0, "m: version 1 serves", NULL, "model", "rollback", "m");
    CHECK(0, "m: version 2 serves", NULL, "model", "promote", "m", "2");
    CHECK(0, "m: version 1 serves", NULL, "model", "rollback", "m");
    CHECK(1, NULL, "there is no version 7 of 'm' in models_dir", "model", "promote", "m", "7");
    CHECK(1, "\"code\":\"not_found\"", "there is no model 'x'", "model", "promote", "x", "1",
          "--json");
    CHECK(1, NULL, "version: expected 1..64", "model", "promote", "m", "../1");
    CHECK(2, NULL, "expected promote NAME VERSION", "model", "promote", "m");

    CHECK(0, "m: version 2 is the canary, 12.5 %", NULL, "model", "canary", "m", "2", "--percent",
          "12.5%", "--max-errors", "0.5%", "--max-latency=2", "--latency-floor", "2ms",
          "--max-degraded", "1", "--min-decisions", "100");
    CHECK(0, "CANARY", NULL, "model", "list");
    CHECK(0, "\"label\":\"canary\"", NULL, "status", "--json");
    CHECK(1, NULL, "percent: expected a number 0.01..100", "model", "canary", "m", "2", "--percent",
          "0");
    CHECK(1, NULL, "version 1 of 'm' serves already", "model", "canary", "m", "1", "--percent",
          "5");
    CHECK(2, NULL, "--percent: expected a number, got 'five'", "model", "canary", "m", "2",
          "--percent", "five");
    CHECK(2, NULL, "expected canary NAME VERSION --percent P", "model", "canary", "m", "2");
    CHECK(2, NULL, "expected canary NAME VERSION --percent P", "model", "canary", "m", "2",
          "--stop");
    CHECK(2, NULL, "did you mean '--percent'", "model", "canary", "m", "2", "--precent", "5");
    CHECK(0, "m: no canary any more", NULL, "model", "canary", "m", "--stop");
    CHECK(1, NULL, "'m' has no canary", "model", "canary", "m", "--stop");
    CHECK(1, NULL, "'m' has no shadow", "model", "shadow", "m");
    CHECK(0, "m: version 2 is the shadow, 25 %", NULL, "model", "shadow", "m", "2", "--percent",
          "25");
    CHECK(0, "version 2 is asked for 25 %", NULL, "model", "shadow", "m");
    CHECK(0, "\"rank_correlation\":null", NULL, "model", "shadow", "m", "--json");
    CHECK(0, "shadow", NULL, "model", "list");
    CHECK(2, NULL, "expected shadow NAME", "model", "shadow", "m", "2", "--stop");
    CHECK(2, NULL, "expected shadow NAME", "model", "shadow", "m", "--percent", "5");
    CHECK(1, NULL, "percent: expected a number", "model", "shadow", "m", "2", "--percent", "0");
    CHECK(0, "m: no shadow any more", NULL, "model", "shadow", "m", "--stop");
}

/* One tree on the score of the caller. */
static void test_a_bare_model_file_is_pushed(void **state)
{
    static const char text[] =
        "tree\nversion=v4\nnum_class=1\nmax_feature_idx=0\nobjective=regression\n"
        "feature_names=caller.score\n\nTree=0\nnum_leaves=2\nsplit_feature=0\nthreshold=0.5\n"
        "left_child=-1\nright_child=-2\nleaf_value=1 2\n\nend of trees\n";
    struct bench *bench = *state;
    char file[2 * TEMP_DIR_BYTES], map[2 * TEMP_DIR_BYTES];
    temp_dir_path(&bench->dir, "model.bin", file);
    temp_dir_path(&bench->dir, "map.json", map);
    temp_dir_write_text(&bench->dir, "model.bin", text);
    CHECK(2, NULL, "a model file needs --name", "model", "push", file);
    CHECK(1, NULL, "cannot open '/nonexistent.json': No such file", "model", "verify",
          "/nonexistent.json", "--name", "trees");
    CHECK(0, "trees: version 1 serves", NULL, "model", "push", file, "--name", "trees", "--version",
          "1");
    CHECK(0, "trees: version ", NULL, "model", "push", file,
          "--name=trees"); /* named by its hash */
    temp_dir_write_text(&bench->dir, "map.json", "{\"caller.score\": \"request.x\"}");
    CHECK(0, "trees: version 2 serves", NULL, "model", "push", file, "--name", "trees", "--version",
          "2", "--feature-map", map);
    temp_dir_write_text(&bench->dir, "map.json", "{\"caller.score\": \"item.colour\"}");
    CHECK(1, NULL, "nothing supplies 'item.colour'", "model", "push", file, "--name", "trees",
          "--version", "3", "--feature-map", map);
    temp_dir_write_text(&bench->dir, "model.bin", "treetop");
    CHECK(1, "{\"ok\":false", "nor the text of LightGBM", "model", "push", file, "--name", "trees",
          "--json");
    CHECK(2, NULL, "the options are for a model file", "model", "push", bench->dir.path, "--raw");
}

static void test_configuration(void **state)
{
    struct bench *bench = *state;
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
    struct bench *bench = *state;
    char config[2 * TEMP_DIR_BYTES];
    CHECK(0, "reloaded", NULL, "reload");
    char *text = read_text(temp_dir_path(&bench->daemon.dir, "decided.json", config));
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
    struct bench *bench = *state;
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

#define WITH_DAEMON(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

static char *out_path(const struct bench *bench, const char *name)
{
    static char path[2 * TEMP_DIR_BYTES];
    return temp_dir_path(&bench->dir, name, path);
}

static void test_events_are_exported_and_imported_again(void **state)
{
    struct bench *bench = *state;
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
    struct bench *bench = *state;
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
    struct bench *bench = *state;
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

static void test_uploads_that_nobody_ends_are_waited_for(void **state)
{
    const struct bench *bench = *state;
    static char what[] = "{\"name\": \"m\", \"version\": \"1\"}";
    for (int i = 0; i < 4; i++)
        CHECK(0, "\"upload\":", NULL, "call", "model_begin", what);
    CHECK(1, "overloaded",
          "4 uploads are open, which is the limit: one must be finished or aborted, or is given up "
          "when nothing came for ten minutes (overloaded)\n",
          "call", "model_begin", what);
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
        WITH_DAEMON(test_events_are_exported_and_imported_again),
        WITH_DAEMON(test_times_are_exported_as_they_count),
        WITH_DAEMON(test_a_snapshot_is_verified_and_restored),
        WITH_DAEMON(test_modes),
        WITH_DAEMON(test_models_are_pushed_listed_and_rolled_back),
        WITH_DAEMON(test_versions_are_promoted_and_tried),
        WITH_DAEMON(test_a_bare_model_file_is_pushed),
        WITH_DAEMON(test_uploads_that_nobody_ends_are_waited_for),
        WITH_DAEMON(test_configuration),
        WITH_DAEMON(test_reload_and_drain),
        WITH_DAEMON(test_a_token_file_is_read_as_the_daemon_reads_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
