/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/succession.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "server/control/handover_internal.h"
#include "tests/support/daemon_client.h"

enum { PHASE_S = 120, PROGRAM_BYTES_MAX = 1 << 30 };

#define PLAN_VARIABLE "SUCCESSION_PLAN"
#define REAL_VARIABLE "SUCCESSION_REAL"

static struct temp_dir programs; /* "decided", as it is started, "plan", "go" and "n" */
static char program[2 * TEMP_DIR_BYTES];
static int notices = -1;

/* ---- the successor --------------------------------------------------------------------------- */

static void wait_for_go(const char *plan_path)
{
    char path[4096];
    snprintf(path, sizeof path, "%.4000s", plan_path);
    char *slash = strrchr(path, '/');
    memcpy(slash, "/go", sizeof "/go");
    while (access(path, F_OK) != 0)
        poll(NULL, 0, 1);
}

static int succeed(void)
{
    struct handover_parent parent;
    struct handover_gift gift;
    struct err err;
    char plan[64] = "";
    const char *path = getenv(PLAN_VARIABLE);
    FILE *file = path == NULL ? NULL : fopen(path, "re");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (file == NULL || fgets(plan, sizeof plan, file) == NULL)
        return 99;
    fclose(file);
    if (handover_take(&parent, &gift, &err) != ERR_OK || gift.socket_count < 2)
        return 98;
    if (strcmp(plan, "early") == 0)
        raise(SIGKILL);
    if (strcmp(plan, "wait") == 0)
        wait_for_go(path);
    handover_tell_ready(&parent, UINT32_MAX);
    if (strcmp(plan, "ready") == 0)
        raise(SIGKILL);
    while (strcmp(plan, "drain") == 0)
        pause();
    while (!handover_is_released(&parent))
        poll(NULL, 0, 1);
    fprintf(stderr, "%s\n", SUCCESSION_RELEASED); /* into the log of the daemon */
    while (strcmp(plan, "silent") == 0)
        pause();
    return 3;
}

bool succession_run(int *ret_code)
{
    if (getenv(HANDOVER_VARIABLE) == NULL)
        return false;
    *ret_code = succeed();
    return true;
}

/* ---- the daemon ------------------------------------------------------------------------------ */

static void put_program(const char *from)
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct err err;
    assert_int_equal(file_read(from, PROGRAM_BYTES_MAX, &bytes, &len, &err), ERR_OK);
    temp_dir_write(&programs, "next", bytes, len);
    free(bytes);
    temp_dir_path(&programs, "next", path);
    assert_int_equal(chmod(path, 0755), 0);
    assert_int_equal(rename(path, program), 0);
}

void succession_plan(const char *plan)
{
    temp_dir_write_text(&programs, "plan", plan);
    put_program("/proc/self/exe");
}

void succession_real(void)
{
    put_program(getenv(REAL_VARIABLE));
}

void succession_go(void)
{
    temp_dir_write_text(&programs, "go", "");
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

void succession_start(struct daemon *daemon, const char *config_extra)
{
    char path[2 * TEMP_DIR_BYTES];
    const char *binary = getenv("DECIDED_BINARY");
    prctl(PR_SET_CHILD_SUBREAPER, 1); /* successors come to this process when their parents end */
    setenv(REAL_VARIABLE, binary == NULL ? "" : binary, 0);
    temp_dir_create(&programs);
    temp_dir_path(&programs, "decided", program);
    setenv(PLAN_VARIABLE, temp_dir_path(&programs, "plan", path), 1);
    succession_real();
    setenv("DECIDED_BINARY", program, 1);
    open_notices();
    daemon_start(daemon, config_extra);
    daemon_keep_port(daemon, config_extra);
}

void succession_stop(struct daemon *daemon)
{
    daemon_stop(daemon);
    close(notices);
    setenv("DECIDED_BINARY", getenv(REAL_VARIABLE), 1);
    temp_dir_remove(&programs);
}

pid_t succession_restart(const struct daemon *daemon)
{
    cJSON *reply = daemon_ask_nng(daemon, "restart", "{}");
    if (!reply_ok(reply))
        fail_msg("%s", reply_error_text(reply, "message"));
    pid_t successor = (pid_t)cJSON_GetObjectItem(reply, "process_id")->valuedouble;
    cJSON_Delete(reply);
    return successor;
}

bool succession_notice(char text[128], bool wait)
{
    ssize_t got = recv(notices, text, 127, wait ? 0 : MSG_DONTWAIT);
    text[got < 0 ? 0 : got] = '\0';
    assert_true(got > 0 || !wait);
    return got > 0;
}

void succession_check_notices(void)
{
    char text[128];
    while (succession_notice(text, false)) {
        assert_null(strstr(text, "MAINPID"));
        assert_null(strstr(text, "STOPPING"));
    }
}

void succession_wait_ready(const struct daemon *daemon)
{
    char body[4096];
    int status = 0;
    uint64_t end_ns = clock_now_ns(clock_system()) + PHASE_S * UINT64_C(1000000000);
    while (status != 200 && clock_now_ns(clock_system()) < end_ns) {
        status = daemon_get(daemon, "/readyz", body, sizeof body);
        assert_true(status == 200 || status == 503 || status == -1); /* -1: cut off by the end */
    }
    assert_int_equal(status, 200);
}
