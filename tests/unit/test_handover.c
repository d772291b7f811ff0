/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of a hand-over, and what becomes of a successor.  This program is its own successor:
 * started with a plan as its argument it acts by that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/control/handover_internal.h"
#include "tests/support/temp_dir.h"

enum { WAIT_MS = 20000, SOCKETS_WANTED = 2 };

static struct err err;

static int open_null(void)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void fill(struct handover_gift *gift, uint32_t sockets, bool has_models_lock)
{
    handover_gift_init(gift);
    gift->data_lock_fd = open_null();
    gift->models_lock_fd = has_models_lock ? open_null() : -1;
    gift->socket_count = sockets;
    for (uint32_t i = 0; i < sockets; i++) {
        gift->socket[i].fd = open_null();
        snprintf(gift->socket[i].address, HANDOVER_ADDRESS_BYTES, "tcp://127.0.0.1:%u", i);
    }
}

static void test_a_gift_arrives(void **state)
{
    (void)state;
    for (uint32_t sockets = 0; sockets <= HANDOVER_SOCKETS_MAX; sockets++) {
        int pair[2];
        struct handover_gift given, taken;
        struct stat info;
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
        fill(&given, sockets, sockets % 2 == 0);
        handover_gift_init(&taken);
        assert_int_equal(handover_send_gift(pair[0], &given, &err), ERR_OK);
        assert_int_equal(handover_receive_gift(pair[1], &taken, &err), ERR_OK);
        assert_int_equal(taken.socket_count, sockets);
        assert_true(taken.data_lock_fd >= 0 && taken.data_lock_fd != given.data_lock_fd);
        assert_int_equal(taken.models_lock_fd >= 0, sockets % 2 == 0);
        for (uint32_t i = 0; i < sockets; i++) {
            int fd = handover_gift_take(&taken, given.socket[i].address);
            assert_int_equal(fstat(fd, &info), 0);
            assert_int_equal(handover_gift_take(&taken, given.socket[i].address), -1); /* once */
            close(fd);
        }
        assert_int_equal(handover_gift_take(&taken, "tcp://10.0.0.1:1"), -1);
        handover_gift_close(&taken);
        handover_gift_close(&given);
        close(pair[0]);
        close(pair[1]);
    }
}

static void test_what_is_no_gift(void **state)
{
    (void)state;
    static const char *const messages[] = {"", "x", "a message that is longer than one byte"};
    struct handover_gift gift;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    for (size_t i = 0; i < sizeof messages / sizeof messages[0]; i++) {
        handover_gift_init(&gift);
        assert_true(send(pair[0], messages[i], strlen(messages[i]), 0) >= 0);
        assert_int_equal(handover_receive_gift(pair[1], &gift, &err), ERR_BAD_INPUT);
    }
    /* Descriptors that come with nonsense are not kept open. */
    int before = open_null(), count_before = before;
    close(before);
    struct handover_gift given;
    fill(&given, 3, true);
    given.socket_count = 3;
    assert_int_equal(handover_send_gift(pair[0], &given, &err), ERR_OK);
    handover_gift_close(&given);
    assert_int_equal(handover_receive_gift(pair[1], &gift, &err), ERR_OK);
    handover_gift_close(&gift);
    int after = open_null();
    assert_int_equal(after, count_before);
    close(after);
    close(pair[0]);
    assert_int_equal(handover_receive_gift(pair[1], &gift, &err), ERR_BAD_INPUT);
    close(pair[1]);
}

static void test_the_variable(void **state)
{
    (void)state;
    struct handover_parent parent;
    struct handover_gift gift;
    unsetenv(HANDOVER_VARIABLE);
    assert_int_equal(handover_take(&parent, &gift, &err), ERR_OK);
    assert_int_equal(parent.fd, -1);
    static const char *const wrong[] = {"", "x", "-1", "99999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        setenv(HANDOVER_VARIABLE, wrong[i], 1);
        assert_int_equal(handover_take(&parent, &gift, &err), ERR_BAD_INPUT);
        assert_int_equal(parent.fd, -1);
    }
    unsetenv(HANDOVER_VARIABLE);
}

/* ---- successors ------------------------------------------------------------------------------ */

static enum err_code wait_for_news(struct handover_child *child)
{
    enum err_code rc = ERR_BUSY;
    while (rc == ERR_BUSY) {
        struct pollfd pollfd = {.fd = child->fd, .events = POLLIN};
        assert_int_equal(poll(&pollfd, 1, WAIT_MS), 1);
        rc = handover_child_news(child, &err);
    }
    return rc;
}

static void start(const char *plan, struct handover_child *child)
{
    struct handover_gift gift;
    char *argv[] = {(char *)"successor", (char *)plan, NULL};
    fill(&gift, 2, true);
    assert_int_equal(handover_spawn(argv, &gift, child, &err), ERR_OK);
    handover_gift_close(&gift);
}

static void test_successors(void **state)
{
    (void)state;
    struct handover_child child;
    assert_int_equal(handover_note_program(&err), ERR_OK);
    start("exit", &child);
    assert_int_equal(wait_for_news(&child), ERR_IO);
    assert_non_null(strstr(err.text, "exit code 7"));
    start("crash", &child);
    assert_int_equal(wait_for_news(&child), ERR_IO);
    assert_non_null(strstr(err.text, "signal"));
    start("hang", &child);
    assert_int_equal(handover_child_news(&child, &err), ERR_BUSY);
    handover_abandon(&child);
}

static void test_successors_to_the_end(void **state)
{
    (void)state;
    struct handover_child child;
    assert_int_equal(handover_note_program(&err), ERR_OK);
    start("serve", &child);
    pid_t pid = child.pid;
    assert_int_equal(wait_for_news(&child), ERR_OK);
    assert_int_equal(child.sockets, SOCKETS_WANTED);
    assert_int_equal(handover_await(&child, 0, &err), ERR_BUSY); /* it must not yet */
    handover_release(&child);
    assert_int_equal(handover_await(&child, WAIT_MS, &err), ERR_OK);
    assert_int_equal(child.fd, -1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* it was there */
    start("fade", &child);
    assert_int_equal(wait_for_news(&child), ERR_OK);
    handover_release(&child);
    assert_int_equal(handover_await(&child, WAIT_MS, &err), ERR_IO);
    assert_non_null(strstr(err.text, "exit code 9"));
    assert_int_equal(child.pid, -1);
    start("babble", &child);
    assert_int_equal(wait_for_news(&child), ERR_OK);
    handover_release(&child);
    assert_int_equal(handover_await(&child, WAIT_MS, &err), ERR_IO);
    assert_int_equal(child.pid, -1);
}

static void test_a_copy(void **state)
{
    (void)state;
    struct handover_gift gift, copy;
    fill(&gift, 3, false);
    handover_gift_copy(&gift, 1u << 0 | 1u << 2, &copy);
    assert_true(copy.data_lock_fd >= 0 && copy.data_lock_fd != gift.data_lock_fd);
    assert_int_equal(copy.models_lock_fd, -1);
    assert_int_equal(copy.socket_count, 2);
    handover_gift_close(&gift);
    assert_int_equal(handover_gift_take(&copy, "tcp://127.0.0.1:1"), -1);
    for (int i = 0; i <= 2; i += 2) {
        char address[HANDOVER_ADDRESS_BYTES];
        snprintf(address, sizeof address, "tcp://127.0.0.1:%d", i);
        int fd = handover_gift_take(&copy, address);
        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        close(fd);
    }
    handover_gift_close(&copy);
}

/* As the daemon does. */
static int succeed(const char *plan)
{
    struct handover_parent parent;
    struct handover_gift gift;
    if (handover_take(&parent, &gift, &err) != ERR_OK || gift.socket_count != 2)
        return 99;
    if (getenv(HANDOVER_VARIABLE) != NULL)
        return 98;
    if (strcmp(plan, "exit") == 0)
        return 7;
    if (strcmp(plan, "crash") == 0)
        raise(SIGKILL);
    if (strcmp(plan, "hang") != 0)
        handover_tell_ready(&parent, SOCKETS_WANTED);
    while (!handover_is_released(&parent))
        poll(NULL, 0, 1);
    handover_gift_close(&gift);
    if (strcmp(plan, "fade") == 0)
        return 9;
    if (strcmp(plan, "babble") == 0)
        (void)!send(parent.fd, "?", 1, 0);
    else
        handover_tell_serving(&parent);
    while (true)
        pause();
}

int main(int argc, char **argv)
{
    if (argc == 2)
        return succeed(argv[1]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_gift_arrives),        cmocka_unit_test(test_what_is_no_gift),
        cmocka_unit_test(test_the_variable),          cmocka_unit_test(test_successors),
        cmocka_unit_test(test_successors_to_the_end), cmocka_unit_test(test_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
