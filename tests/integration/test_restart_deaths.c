/* SPDX-License-Identifier: Apache-2.0 */
/* A successor that dies at each stage of a hand-over, under load.  No call fails, the daemon
 * goes on or starts again, and systemd is told of the new process only once that serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/decide.h"
#include "tests/support/daemon.h"
#include "tests/support/daemon_client.h"
#include "tests/support/restart_load.h"
#include "tests/support/succession.h"

static struct daemon served;

static int set_up(void **state)
{
    (void)state;
    succession_start(&served, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    succession_stop(&served);
    return 0;
}

static void check_same_process(void)
{
    assert_int_equal(waitpid(served.pid, NULL, WNOHANG), 0);
    succession_wait_ready(&served);
    succession_check_notices();
}

static void check_events(uint64_t count)
{
    cJSON *reply = daemon_ask_nng(&served, "status", "{}");
    const cJSON *log = cJSON_GetObjectItem(reply, "log");
    assert_int_equal((uint64_t)cJSON_GetObjectItem(log, "last_sequence")->valuedouble, count);
    cJSON_Delete(reply);
}

/* ---- stages ---------------------------------------------------------------------------------- */

static void test_before_it_is_ready(void **state)
{
    (void)state;
    restart_load_start(served.url);
    succession_plan("early");
    restart_load_wait(50);
    cJSON *reply = daemon_ask_nng(&served, "restart", "{}");
    assert_false(reply_ok(reply));
    assert_non_null(strstr(reply_error_text(reply, "message"), "ended by signal 9"));
    cJSON_Delete(reply);
    restart_load_wait(50);
    uint64_t count = restart_load_stop();
    assert_true(daemon_log_has(&served, "the restart failed, this process serves on"));
    check_same_process();
    check_events(count);
}

static void check_it_starts_again(const char *plan, const char *how)
{
    succession_plan(plan);
    restart_load_start(served.url);
    restart_load_wait(50);
    assert_true(succession_restart(&served) > 0);
    assert_true(daemon_log_has(&served, "the new process does not serve, this process starts"));
    assert_true(daemon_log_has(&served, how));
    restart_load_wait(100);
    uint64_t count = restart_load_stop();
    check_same_process();
    check_events(count);
}

static void test_just_after_it_was_ready(void **state)
{
    (void)state;
    check_it_starts_again("ready", "ended by signal 9");
}

static void test_when_the_log_is_its_own(void **state)
{
    (void)state;
    check_it_starts_again("released", "ended with exit code 3");
}

/* At each address; those of the nng library are opened again. */
static void check_answers(const char *url)
{
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    options.urls = url;
    assert_int_equal(decide_client_create(&options, &client, NULL), DECIDE_OK);
    struct decide_reply *reply = decide_call(client, "ping", NULL, 0, UINT64_C(20000000));
    if (reply->status != DECIDE_OK)
        fail_msg("%s: %s", url, reply->error_message);
    decide_reply_free(reply);
    decide_client_destroy(&client);
}

static void test_addresses_of_every_kind(void **state)
{
    (void)state;
    char text[1024], ipc[2 * TEMP_DIR_BYTES], nng[2 * TEMP_DIR_BYTES], url[2 * TEMP_DIR_BYTES + 8];
    pid_t old = served.pid;
    temp_dir_path(&served.dir, "ipc", ipc);
    temp_dir_path(&served.dir, "nng", nng);
    snprintf(text, sizeof text,
             "{\"listen\": [\"%s\", \"ipc://%.200s\", \"nng+ipc://%.200s\"], \"http\": "
             "\"%s\", \"data_dir\": \"state\", \"models_dir\": \"models\"}",
             served.url, ipc, nng, served.http);
    temp_dir_write_text(&served.dir, "decided.json", text);
    succession_real();
    served.pid = succession_restart(&served);
    assert_int_equal(waitpid(old, NULL, 0), old);
    succession_wait_ready(&served);
    for (int i = 0; i < 2; i++) {
        static const char *const plans[] = {"ready", "released"};
        succession_plan(plans[i]);
        assert_true(succession_restart(&served) > 0);
        check_answers(served.url);
        snprintf(url, sizeof url, "ipc://%s", ipc);
        check_answers(url);
        snprintf(url, sizeof url, "ipc://%s", nng);
        check_answers(url);
    }
    succession_real();
    daemon_signal(&served, SIGTERM);
    assert_int_equal(daemon_wait(&served), 0);
    char notice[128];
    while (succession_notice(notice, false))
        continue;
    daemon_keep_port(&served, NULL);
    daemon_restart(&served);
}

/* A request over HTTP that comes slowly makes the drain long. */
static int begin_request(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    static const char half[] = "POST /v1/recommend HTTP/1.1\r\nContent-Length: 2\r\n\r\n{";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    address.sin_port = htons((uint16_t)strtol(strrchr(served.http, ':') + 1, NULL, 10));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(send(fd, half, sizeof half - 1, 0), sizeof half - 1);
    succession_wait_ready(&served); /* behind it in the queue: it was accepted */
    return fd;
}

static void test_in_the_middle_of_the_drain(void **state)
{
    (void)state;
    succession_plan("drain");
    restart_load_start(served.url);
    restart_load_wait(50);
    int fd = begin_request();
    pid_t successor = succession_restart(&served);
    assert_true(successor > 0);
    assert_int_equal(kill(successor, SIGKILL), 0);
    assert_int_equal(send(fd, "}", 1, 0), 1);
    restart_load_wait(100);
    uint64_t count = restart_load_stop();
    close(fd);
    assert_true(daemon_log_has(&served, "the new process does not serve, this process starts"));
    check_same_process();
    check_events(count);
}

/* Whoever stops the old one stops the service. */
static void check_it_ends(void)
{
    char text[128] = "";
    daemon_signal(&served, SIGTERM);
    while (strcmp(text, "STOPPING=1") != 0) {
        (void)succession_notice(text, true);
        assert_null(strstr(text, "MAINPID"));
    }
    assert_int_equal(daemon_wait(&served), 0);
    assert_true(waitpid(-1, NULL, 0) == -1); /* nobody is left */
    succession_check_notices();
    succession_real();
    daemon_restart(&served);
}

static void test_a_signal_during_the_drain(void **state)
{
    (void)state;
    succession_plan("drain");
    int fd = begin_request();
    assert_true(succession_restart(&served) > 0);
    check_it_ends();
    close(fd);
}

static void test_a_signal_while_the_other_one_is_silent(void **state)
{
    (void)state;
    succession_plan("silent");
    assert_true(succession_restart(&served) > 0);
    assert_true(daemon_log_has(&served, SUCCESSION_RELEASED));
    check_it_ends();
}

static void test_after_the_old_one_ended(void **state)
{
    (void)state;
    char text[128] = "", wanted[64];
    int status = 0;
    pid_t old = served.pid;
    succession_check_notices();
    restart_load_start(served.url);
    restart_load_wait(50);
    served.pid = succession_restart(&served);
    assert_true(served.pid > 0);
    snprintf(wanted, sizeof wanted, "MAINPID=%d", (int)served.pid);
    while (strcmp(text, wanted) != 0)
        (void)succession_notice(text, true);
    assert_int_equal(waitpid(old, &status, 0), old);
    assert_int_equal(status, 0);
    restart_load_wait(50);
    (void)restart_load_stop();
    daemon_signal(&served, SIGKILL); /* the main process for systemd, which sees it fail */
    assert_int_equal(daemon_wait(&served), SIGKILL);
    daemon_restart(&served);
    succession_wait_ready(&served);
}

int main(void)
{
    int code = 0;
    if (succession_run(&code))
        return code;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_it_is_ready),
        cmocka_unit_test(test_just_after_it_was_ready),
        cmocka_unit_test(test_in_the_middle_of_the_drain),
        cmocka_unit_test(test_when_the_log_is_its_own),
        cmocka_unit_test(test_addresses_of_every_kind),
        cmocka_unit_test(test_a_signal_during_the_drain),
        cmocka_unit_test(test_a_signal_while_the_other_one_is_silent),
        cmocka_unit_test(test_after_the_old_one_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
