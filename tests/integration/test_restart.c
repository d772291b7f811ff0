/* SPDX-License-Identifier: Apache-2.0 */
/* A restart under load: the new process takes the sockets over, no call fails, no connection is
 * refused, no event is lost; and one that cannot start leaves the old one as it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "client/decide.h"
#include "tests/support/daemon.h"
#include "tests/support/daemon_client.h"
#include "tests/support/restart_load.h"

enum { RESTARTS = 3, PHASE_S = 120 };

#define TIMEOUT_US UINT64_C(3000000) /* machines that are shared pause longer than a hand-over */

static struct daemon served;

static cJSON *ask(const char *op)
{
    return daemon_ask_nng(&served, op, "{}");
}

/* Whoever is refused data_dir is told who has it: asked until the new one has taken it over. */
static void check_lock(const char *lock)
{
    char path[2 * TEMP_DIR_BYTES];
    long pid = 0;
    uint64_t end_ns = clock_now_ns(clock_system()) + PHASE_S * UINT64_C(1000000000);
    temp_dir_path(&served.dir, lock, path);
    while (pid != served.pid && clock_now_ns(clock_system()) < end_ns) {
        uint8_t *bytes = NULL;
        size_t len = 0;
        enum err_code rc = file_read(path, 64, &bytes, &len, NULL);
        if (rc == ERR_OK)
            pid = strtol((char *)bytes, NULL, 10);
        else
            assert_int_equal(rc, ERR_IO); /* it was written while it was read */
        free(bytes);
        sched_yield();
    }
    assert_int_equal(pid, served.pid);
}

/* The new process is a child of the old one, and of this test once that has ended. */
static void restart(const char *lock)
{
    int status = 0;
    pid_t old = served.pid;
    cJSON *reply = ask("restart");
    if (!reply_ok(reply))
        fail_msg("%s", reply_error_text(reply, "message"));
    const cJSON *pid = cJSON_GetObjectItem(reply, "process_id");
    served.pid = (pid_t)pid->valuedouble;
    cJSON_Delete(reply);
    assert_int_equal(waitpid(old, &status, 0), old);
    assert_int_equal(status, 0);
    check_lock(lock);
}

static void test_no_call_fails(void **state)
{
    (void)state;
    daemon_start(&served, NULL);
    restart_load_start(served.url);
    for (int i = 0; i < RESTARTS; i++) {
        restart_load_wait(300);
        restart("state/lock");
    }
    restart_load_wait(300);
    uint64_t event_count = restart_load_stop();
    cJSON *reply = ask("status");
    const cJSON *log = cJSON_GetObjectItem(reply, "log");
    assert_int_equal((uint64_t)cJSON_GetObjectItem(log, "last_sequence")->valuedouble, event_count);
    cJSON_Delete(reply);
    char body[256];
    assert_int_equal(daemon_get(&served, "/readyz", body, sizeof body), 200); /* the same port */
    daemon_stop(&served);
}

/* The restart fails as it should, and the daemon takes events as ever. */
static void check_refused(const char *how, const char *event)
{
    cJSON *reply = ask("restart");
    assert_false(reply_ok(reply));
    if (strstr(reply_error_text(reply, "message"), how) == NULL)
        fail_msg("no '%s' in '%s'", how, reply_error_text(reply, "message"));
    cJSON_Delete(reply);
    reply = daemon_ask_nng(&served, "events", event);
    assert_true(reply_ok(reply));
    assert_int_equal(cJSON_GetObjectItem(reply, "accepted")->valueint, 1);
    cJSON_Delete(reply);
}

static void test_one_that_cannot_start_changes_nothing(void **state)
{
    (void)state;
    daemon_start(&served, NULL);
    temp_dir_write_text(&served.dir, "decided.json", "{\"listenn\": []}");
    check_refused("exit code 78", "{\"events\": [{\"id\": \"1\", \"type\": \"view\", \"user\": "
                                  "\"a\", \"items\": [{\"id\": \"i\"}]}]}");
    check_refused("exit code 78", "{\"events\": [{\"id\": \"2\", \"type\": \"view\", \"user\": "
                                  "\"b\", \"items\": [{\"id\": \"i\"}]}]}");
    /* One that starts, and cannot take in what there is: two people in a checkpoint. */
    cJSON_Delete(ask("checkpoint"));
    assert_true(daemon_log_has(&served, "\"msg\":\"checkpoint\""));
    daemon_keep_port(&served, "\"people_max\": 1");
    check_refused("exit code 1", "{\"events\": [{\"id\": \"3\", \"type\": \"view\", \"user\": "
                                 "\"c\", \"items\": [{\"id\": \"i\"}]}]}");
    daemon_stop(&served);
}

/* What was given under another name is closed and opened again, and refuses in between. */
static void wait_until_it_answers(void)
{
    char error[DECIDE_ERROR_BYTES];
    uint64_t end_ns = clock_now_ns(clock_system()) + PHASE_S * UINT64_C(1000000000);
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    options.urls = served.url;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    enum decide_status status = DECIDE_UNREACHABLE;
    while (status != DECIDE_OK && clock_now_ns(clock_system()) < end_ns) {
        struct decide_reply *reply = decide_call(client, "ping", NULL, 0, TIMEOUT_US);
        status = reply->status;
        decide_reply_free(reply);
    }
    assert_int_equal(status, DECIDE_OK);
    decide_client_destroy(&client);
}

static void configure(const char *listen, const char *http)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"listen\": [%s], \"http\": \"%s\", \"data_dir\": \"state\", "
             "\"models_dir\": \"models\"}",
             listen, http);
    temp_dir_write_text(&served.dir, "decided.json", text);
}

/* *port: 0 for a free one, which it becomes. */
static int listen_on(const char *host, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(*port)};
    socklen_t bytes = sizeof address;
    assert_int_equal(inet_pton(AF_INET, host, &address.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, bytes), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &bytes), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* Somebody else has the new address: that is found out while the old one still serves. */
static void test_an_address_that_is_taken_changes_nothing(void **state)
{
    (void)state;
    uint16_t port = 0;
    char listens[300], http[40];
    static const char event[] = "{\"events\": [{\"id\": \"%d\", \"type\": \"view\", "
                                "\"user\": \"a\", \"items\": [{\"id\": \"i\"}]}]}";
    static const char *const schemes[] = {"tcp://", "nng+tcp://"};
    int fd = listen_on("127.0.0.1", &port);
    daemon_start(&served, NULL);
    for (int i = 0; i < 3; i++) {
        char numbered[sizeof event + 16];
        snprintf(numbered, sizeof numbered, event, i);
        snprintf(listens, sizeof listens, i < 2 ? "\"%s\", \"%s127.0.0.1:%u\"" : "\"%s\"",
                 served.url, i < 2 ? schemes[i] : "", port);
        snprintf(http, sizeof http, "127.0.0.1:%u", i < 2 ? 0u : port);
        configure(listens, http);
        check_refused("exit code 1", numbered);
    }
    close(fd);
    daemon_stop(&served);
}

/* Another address, with the port that is its own already: nobody's, and somebody else's. */
static void test_a_port_of_another_host_changes_nothing(void **state)
{
    (void)state;
    static const char *const hosts[] = {"192.0.2.1", "127.0.0.2"};
    char listens[300], event[128];
    daemon_start(&served, NULL);
    uint16_t port = (uint16_t)strtol(strrchr(served.url, ':') + 1, NULL, 10);
    int fd = listen_on("127.0.0.2", &port);
    for (int i = 0; i < 2; i++) {
        snprintf(event, sizeof event,
                 "{\"events\": [{\"id\": \"%d\", \"type\": \"view\", \"user\": \"a\", "
                 "\"items\": [{\"id\": \"i\"}]}]}",
                 i);
        snprintf(listens, sizeof listens, "\"tcp://%s:%u\"", hosts[i], port);
        configure(listens, served.http);
        check_refused("exit code 1", event);
    }
    close(fd);
    daemon_stop(&served);
}

/* The nng library where the native responder was, and back, and 0.0.0.0 where 127.0.0.1 was. */
static void test_an_address_under_another_name(void **state)
{
    (void)state;
    /* The last is open to others, so that nobody may administer it. */
    static const char *const forms[] = {
        "nng+tcp://127.0.0.1:", "tcp://localhost:", "tcp://127.0.0.1:", "tcp://0.0.0.0:"};
    char body[256];
    daemon_start(&served, NULL);
    const char *port = strrchr(served.url, ':') + 1;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char listens[300];
        snprintf(listens, sizeof listens, "\"%s%s\"", forms[i], port);
        configure(listens, i < 2 ? "127.0.0.1:0" : served.http);
        restart("state/lock");
        wait_until_it_answers();
        assert_int_equal(daemon_get(&served, "/readyz", body, sizeof body), 200);
    }
    daemon_stop(&served);
}

/* The locks of the old folders say nothing about new ones. */
static void test_other_folders_are_locked(void **state)
{
    (void)state;
    char text[600], path[2 * TEMP_DIR_BYTES];
    struct err err = {.text = ""};
    int fd = -1;
    daemon_start(&served, NULL);
    snprintf(text, sizeof text,
             "{\"listen\": [\"%s\"], \"http\": \"%s\", \"data_dir\": \"state2\", "
             "\"models_dir\": \"models2\"}",
             served.url, served.http);
    temp_dir_write_text(&served.dir, "decided.json", text);
    restart("state2/lock");
    assert_int_equal(file_lock_dir(temp_dir_path(&served.dir, "state2", path), "lock", &fd, &err),
                     ERR_BUSY);
    assert_int_equal(file_lock_dir(temp_dir_path(&served.dir, "models2", path), ".lock", &fd, &err),
                     ERR_BUSY);
    /* Those of before become free; one that somebody has is refused. */
    uint64_t end_ns = clock_now_ns(clock_system()) + PHASE_S * UINT64_C(1000000000);
    enum err_code rc = ERR_BUSY;
    temp_dir_path(&served.dir, "state", path);
    while (rc == ERR_BUSY && clock_now_ns(clock_system()) < end_ns)
        rc = file_lock_dir(path, "lock", &fd, &err);
    assert_int_equal(rc, ERR_OK);
    daemon_keep_port(&served, NULL);
    check_refused("exit code 1", "{\"events\": [{\"id\": \"1\", \"type\": \"view\", \"user\": "
                                 "\"a\", \"items\": [{\"id\": \"i\"}]}]}");
    close(fd);
    daemon_stop(&served);
}

int main(void)
{
    /* Successors come to this process when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_call_fails),
        cmocka_unit_test(test_one_that_cannot_start_changes_nothing),
        cmocka_unit_test(test_an_address_that_is_taken_changes_nothing),
        cmocka_unit_test(test_a_port_of_another_host_changes_nothing),
        cmocka_unit_test(test_an_address_under_another_name),
        cmocka_unit_test(test_other_folders_are_locked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
