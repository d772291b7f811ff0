/* SPDX-License-Identifier: Apache-2.0 */
/* A crash at any rename of a switch, before and after it, leaves the old release or the new one.
 * Everything on disk becomes visible by a rename, so these are all the moments that differ. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/release_rig.h"

enum { CRASHED = 42, FINISHED = 0, MOMENTS_MAX = 200, DEADLINE_S = 60 };

/* How many moments are left before the process ends; negative: never. */
static _Atomic int moments_left = -1;

static void pass_moment(void)
{
    if (moments_left > 0 && --moments_left == 0)
        _exit(CRASHED);
}

/* In the place of that of libc. */
int rename(const char *from, const char *to)
{
    pass_moment();
    long rc = syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pass_moment();
    return (int)rc;
}

/* A rig on a folder of the caller's. */
static void rig_on(struct registry_rig *rig, const struct temp_dir *dir)
{
    rig_create(rig);
    temp_dir_remove(&rig->dir);
    rig->dir = *dir;
}

/* Ends the process at the moment-th rename of the act, or with FINISHED. */
static _Noreturn void act(const struct temp_dir *dir, bool back, int moment)
{
    static struct registry_rig rig;
    struct err err;
    alarm(DEADLINE_S);
    rig_on(&rig, dir);
    rig_start(&rig);
    if (!back)
        release_write(&rig, "incoming", "2");
    moments_left = moment;
    enum err_code rc =
        back ? release_rollback(&rig, &err) : release_install(&rig, "incoming", "r2", &err);
    if (rc == ERR_OK)
        rig_scan(&rig); /* with what is done after the answer */
    _exit(rc == ERR_OK ? FINISHED : 1);
}

static int run_act(const struct temp_dir *dir, bool back, int moment)
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        act(dir, back, moment);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* What a start finds; a second look and another start find the same. */
static bool found(const struct temp_dir *dir, char ret_serving[64])
{
    int status = 0, fds[2];
    assert_int_equal(pipe(fds), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static struct registry_rig rig;
        char text[64];
        alarm(DEADLINE_S);
        rig_on(&rig, dir);
        rig_start(&rig);
        snprintf(text, sizeof text, "%s", release_all(&rig));
        rig_scan(&rig);
        bool same = strcmp(text, release_all(&rig)) == 0;
        rig_stop(&rig);
        rig_start(&rig);
        same = same && strcmp(text, release_all(&rig)) == 0;
        _exit(same && write(fds[1], text, sizeof text) == (ssize_t)sizeof text ? 0 : 1);
    }
    close(fds[1]);
    bool whole = read(fds[0], ret_serving, 64) == 64;
    close(fds[0]);
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return whole && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Two releases are there, or one; in a folder of its own for each crash. */
static void prepare(struct temp_dir *dir, bool back)
{
    int status = 0;
    temp_dir_create(dir);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        static struct registry_rig rig;
        alarm(DEADLINE_S);
        rig_on(&rig, dir);
        rig_start(&rig);
        release_push(&rig, "1");
        if (back)
            release_push(&rig, "2");
        rig_scan(&rig);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void crash_everywhere(bool back)
{
    static const char *const one = "1 1 1 1", *const two = "2 2 2 2";
    const char *before = back ? two : one, *after = back ? one : two;
    int old = 0, new = 0;
    for (int moment = 1;; moment++) {
        struct temp_dir dir;
        char serving[64] = "";
        assert_true(moment < MOMENTS_MAX);
        prepare(&dir, back);
        int code = run_act(&dir, back, moment);
        assert_true(code == CRASHED || code == FINISHED);
        if (!found(&dir, serving))
            fail_msg("after moment %d a start does not know what serves: '%s'", moment, serving);
        bool is_new = strcmp(serving, after) == 0;
        if (!is_new && strcmp(serving, before) != 0)
            fail_msg("after moment %d a mixture serves: '%s'", moment, serving);
        assert_false(!is_new && new > 0); /* once it is there, it stays */
        assert_false(!is_new && code == FINISHED);
        old += !is_new;
        new += is_new;
        temp_dir_remove(&dir);
        if (code == FINISHED)
            break;
    }
    assert_true(old > 0 && new > 1); /* there were moments on both sides */
}

static void test_a_crash_while_a_release_comes(void **state)
{
    (void)state;
    crash_everywhere(false);
}

static void test_a_crash_on_the_way_back(void **state)
{
    (void)state;
    crash_everywhere(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_crash_while_a_release_comes),
        cmocka_unit_test(test_a_crash_on_the_way_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
