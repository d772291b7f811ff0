/* SPDX-License-Identifier: Apache-2.0 */
/* Start, reload, drain and stop of a real daemon; under load: test_daemon_load.c. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/daemon_client.h"
#include "tests/support/program.h"

static const char *binary(void)
{
    return getenv("DECIDED_BINARY");
}

/* Runs a second daemon with a configuration; it must end by itself. */
static void run_second(struct program *program, struct daemon *daemon, const char *config)
{
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_write_text(&daemon->dir, "second.json", config);
    temp_dir_path(&daemon->dir, "second.json", path);
    program_run(program, (const char *const[]){binary(), "--config", path, NULL});
}

static void test_a_second_daemon_is_refused(void **state)
{
    (void)state;
    static struct program program;
    struct daemon daemon;
    char config[1024], expected[64];
    daemon_start(&daemon, NULL);
    run_second(&program, &daemon,
               "{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"127.0.0.1:0\", \"data_dir\": "
               "\"state\"}");
    assert_int_equal(program.exit_code, 1);
    snprintf(expected, sizeof expected, "process %d", (int)daemon.pid);
    if (strstr(program.err, expected) == NULL || strstr(program.err, "state") == NULL)
        fail_msg("no '%s' in %s", expected, program.err);

    snprintf(config, sizeof config,
             "{\"listen\": [\"%s\"], \"http\": \"127.0.0.1:0\", \"data_dir\": \"state2\"}",
             daemon.url);
    run_second(&program, &daemon, config);
    assert_int_equal(program.exit_code, 1);
    assert_non_null(strstr(program.err, "cannot start"));
    assert_non_null(strstr(program.err, daemon.url));
    assert_null(strstr(program.err, "\"act\":")); /* it has not started, so neither it stops */

    snprintf(config, sizeof config,
             "{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"%s\", \"data_dir\": \"state3\"}",
             daemon.http);
    run_second(&program, &daemon, config);
    assert_int_equal(program.exit_code, 1);
    assert_non_null(strstr(program.err, daemon.http));

    cJSON *reply = daemon_ask_nng(&daemon, "ping", "{}");
    assert_true(reply_ok(reply)); /* the first one did not notice */
    cJSON_Delete(reply);
    daemon_stop(&daemon);
}

static void test_a_bad_start_ends_with_its_code(void **state)
{
    (void)state;
    static struct program program;
    struct daemon daemon;
    static const struct {
        const char *config, *says;
        int code;
    } bad[] = {
        {"{\"items_maxx\": 1}", "items_max", 78},
        {"{\"policies\": \"none.json\"}", "none.json", 78},
        {"{\"data_dir\": \"decided.json\"}", "decided.json' is not a directory", 78},
        {"{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"192.0.2.1:1\", \"data_dir\": \"s\"}",
         "192.0.2.1", 1},
        {"{\"listen\": [\"tcp://192.0.2.1:1\"], \"http\": \"127.0.0.1:0\", \"data_dir\": \"s\"}",
         "192.0.2.1", 1},
    };
    daemon_start(&daemon, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        run_second(&program, &daemon, bad[i].config);
        if (program.exit_code != bad[i].code || strstr(program.err, bad[i].says) == NULL)
            fail_msg("%s: exit %d, %s", bad[i].config, program.exit_code, program.err);
    }
    daemon_stop(&daemon);
}

/* ---- load ------------------------------------------------------------------------------------ */

static void test_the_delay_serves_on_and_a_second_signal_ends_it(void **state)
{
    (void)state;
    struct daemon daemon;
    char body[256];
    daemon_start(&daemon, "\"drain_delay_ms\": 600000");
    daemon_signal(&daemon, SIGTERM);
    assert_true(daemon_log_has(&daemon, "\"draining\""));
    assert_int_equal(daemon_get(&daemon, "/readyz", body, sizeof body), 503);
    assert_non_null(strstr(body, "about to stop"));
    assert_int_equal(daemon_get(&daemon, "/livez", body, sizeof body), 200);
    for (int i = 0; i < 3; i++) { /* on new connections */
        cJSON *reply = daemon_ask_nng(&daemon, "ping", "{}");
        assert_true(reply_ok(reply));
        cJSON_Delete(reply);
    }
    cJSON *status = daemon_ask_nng(&daemon, "status", "{}");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(status, "draining")));
    cJSON_Delete(status);
    daemon_signal(&daemon, SIGINT);
    assert_int_equal(daemon_wait(&daemon), 0);
    assert_true(daemon_log_has(&daemon, "a second signal"));
    daemon_stop(&daemon);
}

static void test_the_operation_drain_ends_the_daemon(void **state)
{
    (void)state;
    struct daemon daemon;
    int status = 0;
    daemon_start(&daemon, NULL);
    cJSON *reply = daemon_ask_http(&daemon, "drain", "{}", &status);
    assert_true(reply_ok(reply));
    cJSON_Delete(reply);
    assert_int_equal(daemon_wait(&daemon), 0);
    daemon_stop(&daemon);
}

/* ---- reload by signal ------------------------------------------------------------------------ */

static void write_config(struct daemon *daemon, const char *extra)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"127.0.0.1:0\", "
             "\"data_dir\": \"state\", \"models_dir\": \"models\"%s}",
             extra);
    temp_dir_write_text(&daemon->dir, "decided.json", text);
}

static void first_item_is(const struct daemon *daemon, const char *id)
{
    cJSON *reply = daemon_ask_nng(daemon, "recommend", "{}");
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(reply, "items");
    assert_string_equal(reply_text(cJSON_GetArrayItem(items, 0), "id"), id);
    cJSON_Delete(reply);
}

static void test_sighup_applies_or_refuses_as_a_whole(void **state)
{
    (void)state;
    struct daemon daemon;
    static char body[262144];
    daemon_start(&daemon, "\"static_items\": [\"a\"]");
    first_item_is(&daemon, "a");
    write_config(&daemon, ", \"static_items\": [\"b\"], \"policies\": \"none.json\"");
    daemon_signal(&daemon, SIGHUP);
    assert_true(daemon_log_has(&daemon, "reload refused"));
    first_item_is(&daemon, "a");
    assert_int_equal(daemon_get(&daemon, "/metrics", body, sizeof body), 200);
    assert_non_null(strstr(body, "\ndecided_config_last_reload_successful 0\n"));
    write_config(&daemon, ", \"static_items\": [\"b\"], \"items_max\": 77");
    daemon_signal(&daemon, SIGHUP);
    assert_true(daemon_log_has(&daemon, "\"option\":\"items_max\""));
    first_item_is(&daemon, "b");
    assert_int_equal(daemon_get(&daemon, "/metrics", body, sizeof body), 200);
    assert_non_null(strstr(body, "\ndecided_config_last_reload_successful 1\n"));
    daemon_stop(&daemon);
}

/* ---- systemd --------------------------------------------------------------------------------- */

static int open_notify_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = 20};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    return fd;
}

/* The next message that is no sign of life; those are counted. */
static void next_notice(int fd, char text[128], uint32_t *watchdogs)
{
    do {
        ssize_t got = recv(fd, text, 127, 0);
        assert_true(got > 0);
        text[got] = '\0';
        *watchdogs += strcmp(text, "WATCHDOG=1") == 0;
    } while (strcmp(text, "WATCHDOG=1") == 0);
}

static void test_systemd_is_told(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct daemon daemon;
    char path[2 * TEMP_DIR_BYTES], text[128];
    uint32_t watchdogs = 0;
    temp_dir_create(&dir);
    int fd = open_notify_socket(temp_dir_path(&dir, "n", path));
    setenv("NOTIFY_SOCKET", path, 1);
    setenv("WATCHDOG_USEC", "40000", 1);
    daemon_start(&daemon, NULL);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    next_notice(fd, text, &watchdogs);
    assert_string_equal(text, "READY=1");
    ssize_t got = recv(fd, text, sizeof text - 1, 0);
    assert_true(got > 0);
    assert_memory_equal(text, "WATCHDOG=1", (size_t)got);
    daemon_signal(&daemon, SIGHUP);
    next_notice(fd, text, &watchdogs);
    assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
    next_notice(fd, text, &watchdogs);
    assert_string_equal(text, "READY=1");
    daemon_signal(&daemon, SIGTERM);
    next_notice(fd, text, &watchdogs);
    assert_string_equal(text, "STOPPING=1");
    assert_int_equal(daemon_wait(&daemon), 0);
    daemon_stop(&daemon);
    close(fd);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_second_daemon_is_refused),
        cmocka_unit_test(test_a_bad_start_ends_with_its_code),
        cmocka_unit_test(test_the_delay_serves_on_and_a_second_signal_ends_it),
        cmocka_unit_test(test_the_operation_drain_ends_the_daemon),
        cmocka_unit_test(test_sighup_applies_or_refuses_as_a_whole),
        cmocka_unit_test(test_systemd_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
