/* SPDX-License-Identifier: Apache-2.0 */
/* A successor that dies at each stage of a hand-over, under load.  In place of the program stands
 * this one: started by a daemon it takes what it is given and acts by its plan.  No call fails, the
 * daemon goes on or starts again, and systemd is told of the new process only once that serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/control/handover_internal.h"
#include "tests/support/daemon.h"
#include "tests/support/daemon_client.h"
#include "tests/support/restart_load.h"

enum { PHASE_S = 120, PROGRAM_BYTES_MAX = 1 << 30 };

#define RELEASED "the successor may write"

static struct daemon served;
static struct temp_dir programs; /* "decided", as it is started, and "plan" */
static char program[2 * TEMP_DIR_BYTES];
static int notices = -1; /* what systemd would get */

/* ---- the successor --------------------------------------------------------------------------- */

static int succeed(void)
{
    struct handover_parent parent;
    struct handover_gift gift;
    struct err err;
    char plan[64] = "", path[4096];
    const char *config = getenv("PLAN_FILE");
    snprintf(path, sizeof path, "%s", config == NULL ? "" : config);
    FILE *file = fopen(path, "re");
    if (file == NULL || fgets(plan, sizeof plan, file) == NULL)
        return 99;
    fclose(file);
    if (handover_take(&parent, &gift, &err) != ERR_OK || gift.socket_count < 2)
        return 98;
    if (strcmp(plan, "early") == 0)
        raise(SIGKILL);
    handover_tell_ready(&parent, UINT32_MAX);
    if (strcmp(plan, "ready") == 0)
        raise(SIGKILL);
    while (strcmp(plan, "drain") == 0) /* until the test kills it */
        pause();
    while (!handover_is_released(&parent))
        poll(NULL, 0, 1);
    fprintf(stderr, "%s\n", RELEASED); /* into the log of the daemon */
    while (strcmp(plan, "silent") == 0)
        pause();
    return 3;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

/* The daemon's own program, or this one. */
static void put_program(const char *from, const char *plan)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err;
    temp_dir_write_text(&programs, "plan", plan);
    assert_int_equal(file_read(from, PROGRAM_BYTES_MAX, &bytes, &len, &err), ERR_OK);
    temp_dir_write(&programs, "next", bytes, len);
    free(bytes);
    temp_dir_path(&programs, "next", path);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(rename(path, program), 0);
}

static void open_notices(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char path[2 * TEMP_DIR_BYTES];
    const struct timeval limit = {.tv_sec = PHASE_S};
    temp_dir_path(&programs, "n", path);
    assert_true(strlen(path) < sizeof address.sun_path);
    memcpy(address.sun_path, path, strlen(path) + 1);
    notices = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(notices, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(notices, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit), 0);
    setenv("NOTIFY_SOCKET", path, 1);
}

static int set_up(void **state)
{
    char path[2 * TEMP_DIR_BYTES];
    (void)state;
    temp_dir_create(&programs);
    temp_dir_path(&programs, "decided", program);
    setenv("PLAN_FILE", temp_dir_path(&programs, "plan", path), 1);
    put_program(getenv("DECIDED_REAL"), "");
    setenv("DECIDED_BINARY", program, 1);
    open_notices();
    daemon_start(&served, NULL);
    daemon_keep_port(&served, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    daemon_stop(&served);
    close(notices);
    temp_dir_remove(&programs);
    return 0;
}

static bool next_notice(char text[128], int flags)
{
    ssize_t got = recv(notices, text, 127, flags);
    text[got < 0 ? 0 : got] = '\0';
    return got > 0;
}

/* None that says that another process is the one, or that this one ends. */
static void check_notices(void)
{
    char text[128];
    while (next_notice(text, MSG_DONTWAIT)) {
        assert_null(strstr(text, "MAINPID"));
        assert_null(strstr(text, "STOPPING"));
    }
}

/* Ready again, and unready for a reason until then. */
static void wait_until_ready(void)
{
    char body[4096];
    int status = 0;
    uint64_t end_ns = clock_now_ns(clock_system()) + PHASE_S * UINT64_C(1000000000);
    while (status != 200 && clock_now_ns(clock_system()) < end_ns) {
        status = daemon_get(&served, "/readyz", body, sizeof body);
        assert_true(status == 200 || status == 503 || status == -1); /* -1: cut off by the end */
    }
    assert_int_equal(status, 200);
}

static void check_same_process(void)
{
    assert_int_equal(waitpid(served.pid, NULL, WNOHANG), 0);
    wait_until_ready();
    check_notices();
}

static void check_events(uint64_t count)
{
    cJSON *reply = daemon_ask_nng(&served, "status", "{}");
    const cJSON *log = cJSON_GetObjectItem(reply, "log");
    assert_int_equal((uint64_t)cJSON_GetObjectItem(log, "last_sequence")->valuedouble, count);
    cJSON_Delete(reply);
}

static pid_t ask_restart(void)
{
    cJSON *reply = daemon_ask_nng(&served, "restart", "{}");
    const cJSON *pid = cJSON_GetObjectItem(reply, "process_id");
    if (!reply_ok(reply))
        fail_msg("%s", reply_error_text(reply, "message"));
    pid_t successor = (pid_t)pid->valuedouble;
    cJSON_Delete(reply);
    return successor;
}

/* ---- stages ---------------------------------------------------------------------------------- */

static void test_before_it_is_ready(void **state)
{
    (void)state;
    restart_load_start(served.url);
    put_program("/proc/self/exe", "early");
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
    put_program("/proc/self/exe", plan);
    restart_load_start(served.url);
    restart_load_wait(50);
    assert_true(ask_restart() > 0);
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
    wait_until_ready(); /* behind it in the queue: it was accepted */
    return fd;
}

static void test_in_the_middle_of_the_drain(void **state)
{
    (void)state;
    put_program("/proc/self/exe", "drain");
    restart_load_start(served.url);
    restart_load_wait(50);
    int fd = begin_request();
    pid_t successor = ask_restart();
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
        assert_true(next_notice(text, 0));
        assert_null(strstr(text, "MAINPID"));
    }
    assert_int_equal(daemon_wait(&served), 0);
    assert_true(waitpid(-1, NULL, 0) == -1); /* nobody is left */
    check_notices();
    put_program(getenv("DECIDED_REAL"), "");
    daemon_restart(&served);
}

static void test_a_signal_during_the_drain(void **state)
{
    (void)state;
    put_program("/proc/self/exe", "drain");
    int fd = begin_request();
    assert_true(ask_restart() > 0);
    check_it_ends();
    close(fd);
}

static void test_a_signal_while_the_other_one_is_silent(void **state)
{
    (void)state;
    put_program("/proc/self/exe", "silent");
    assert_true(ask_restart() > 0);
    assert_true(daemon_log_has(&served, RELEASED));
    check_it_ends();
}

static void test_after_the_old_one_ended(void **state)
{
    (void)state;
    char text[128] = "", wanted[64];
    int status = 0;
    pid_t old = served.pid;
    check_notices();
    restart_load_start(served.url);
    restart_load_wait(50);
    served.pid = ask_restart();
    assert_true(served.pid > 0);
    snprintf(wanted, sizeof wanted, "MAINPID=%d", (int)served.pid);
    while (strcmp(text, wanted) != 0)
        assert_true(next_notice(text, 0));
    assert_int_equal(waitpid(old, &status, 0), old);
    assert_int_equal(status, 0);
    restart_load_wait(50);
    (void)restart_load_stop();
    daemon_signal(&served, SIGKILL); /* the main process for systemd, which sees it fail */
    assert_int_equal(daemon_wait(&served), SIGKILL);
    daemon_restart(&served);
    wait_until_ready();
}

int main(void)
{
    if (getenv(HANDOVER_VARIABLE) != NULL)
        return succeed();
    const char *binary = getenv("DECIDED_BINARY");
    setenv("DECIDED_REAL", binary == NULL ? "" : binary, 1);
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* successors come to this process when their parents end */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_before_it_is_ready),
        cmocka_unit_test(test_just_after_it_was_ready),
        cmocka_unit_test(test_in_the_middle_of_the_drain),
        cmocka_unit_test(test_when_the_log_is_its_own),
        cmocka_unit_test(test_a_signal_during_the_drain),
        cmocka_unit_test(test_a_signal_while_the_other_one_is_silent),
        cmocka_unit_test(test_after_the_old_one_ended),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
