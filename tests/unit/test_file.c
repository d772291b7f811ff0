/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"

struct fixture {
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    temp_dir_create(&fixture->dir);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    temp_dir_remove(&fixture->dir);
    free(fixture);
    return 0;
}

static void test_a_file_is_read_whole_aligned_and_terminated(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    char bytes[200];
    memset(bytes, 'z', sizeof bytes);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        uint8_t *got = NULL;
        size_t got_len = 99;
        temp_dir_write(&fixture->dir, "f", bytes, len);
        temp_dir_path(&fixture->dir, "f", fixture->path);
        assert_int_equal(file_read(fixture->path, sizeof bytes, &got, &got_len, &err), ERR_OK);
        assert_int_equal(got_len, len);
        assert_int_equal((uintptr_t)got % 64, 0);
        assert_memory_equal(got, bytes, len);
        assert_int_equal(got[len], 0);
        free(got);
    }
}

static void test_what_cannot_be_read_is_refused_by_name(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    uint8_t *got = NULL;
    size_t len = 0;
    temp_dir_write_text(&fixture->dir, "eleven", "12345678901");
    temp_dir_path(&fixture->dir, "eleven", fixture->path);
    assert_int_equal(file_read(fixture->path, 10, &got, &len, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "eleven"));
    assert_non_null(strstr(err.text, "11 bytes"));
    temp_dir_path(&fixture->dir, "absent", fixture->path);
    assert_int_equal(file_read(fixture->path, 10, &got, &len, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "absent"));
    assert_int_equal(file_read(fixture->dir.path, 10, &got, &len, &err), ERR_BAD_INPUT);
    assert_int_equal(file_read("/dev/zero", 10, &got, &len, &err), ERR_BAD_INPUT);
    assert_int_equal(file_read("/proc/self/status", 1 << 20, &got, &len, &err), ERR_IO);
    temp_dir_path(&fixture->dir, "pipe", fixture->path);
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    assert_int_equal(file_read(fixture->path, 10, &got, &len, &err), ERR_BAD_INPUT);
    temp_dir_path(&fixture->dir, "eleven", fixture->path);
    alloc_fail_after(0);
    assert_int_equal(file_read(fixture->path, 11, &got, &len, &err), ERR_NOMEM);
    assert_true(alloc_fail_off());
    assert_null(got);
}

static int entry_count(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count - 2;
}

static void test_atomic_write_replaces_and_leaves_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    uint8_t *got = NULL;
    size_t len = 0;
    temp_dir_path(&fixture->dir, "out", fixture->path);
    assert_int_equal(file_write_atomic(fixture->path, "one", 3, &err), ERR_OK);
    assert_int_equal(file_write_atomic(fixture->path, "second", 6, &err), ERR_OK);
    assert_int_equal(file_read(fixture->path, 100, &got, &len, &err), ERR_OK);
    assert_string_equal((char *)got, "second");
    free(got);
    assert_int_equal(entry_count(fixture->dir.path), 1);
    temp_dir_path(&fixture->dir, "no/such/dir", fixture->path);
    assert_int_equal(file_write_atomic(fixture->path, "x", 1, &err), ERR_NOT_FOUND);
    temp_dir_path(&fixture->dir, "folder", fixture->path);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    assert_int_equal(file_write_atomic(fixture->path, "x", 1, &err), ERR_IO);
    assert_int_equal(entry_count(fixture->dir.path), 2); /* the temporary file is gone */
    char long_path[FILE_PATH_BYTES + 10];
    memset(long_path, 'a', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    assert_int_equal(file_write_atomic(long_path, "x", 1, &err), ERR_LIMIT);
}

static void test_directories_are_made_with_parents_and_removed_with_children(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_path(&fixture->dir, "a//b/c/", fixture->path);
    assert_int_equal(file_make_dir(fixture->path, &err), ERR_OK);
    assert_int_equal(file_make_dir(fixture->path, &err), ERR_OK);
    temp_dir_write_text(&fixture->dir, "a/b/file", "x");
    temp_dir_write_text(&fixture->dir, "keep/me", "x");
    temp_dir_path(&fixture->dir, "a/b/file", fixture->path);
    assert_int_equal(file_make_dir(fixture->path, &err), ERR_EXISTS);
    assert_int_equal(file_make_dir("", &err), ERR_LIMIT);

    temp_dir_path(&fixture->dir, "a/link", fixture->path);
    assert_int_equal(symlink(temp_dir_path(&fixture->dir, "keep", path), fixture->path), 0);
    assert_int_equal(file_remove_tree(fixture->path, &err), ERR_BAD_INPUT);
    temp_dir_path(&fixture->dir, "a", fixture->path);
    assert_int_equal(file_remove_tree(fixture->path, &err), ERR_OK);
    assert_int_not_equal(access(fixture->path, F_OK), 0);
    assert_int_equal(access(temp_dir_path(&fixture->dir, "keep/me", path), F_OK), 0);
    assert_int_equal(file_remove_tree(fixture->path, &err), ERR_OK); /* absent is fine */
    assert_int_equal(file_sync_dir(fixture->dir.path, &err), ERR_OK);
    assert_int_equal(file_sync_dir(fixture->path, &err), ERR_NOT_FOUND);
}

static void test_trees_that_are_too_deep_are_refused(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    temp_dir_path(&fixture->dir, "1/2/3/4/5/6/7/8", fixture->path);
    assert_int_equal(file_make_dir(fixture->path, &err), ERR_OK);
    temp_dir_path(&fixture->dir, "d/1/2/3/4/5/6/7/8", fixture->path);
    assert_int_equal(file_make_dir(fixture->path, &err), ERR_OK);
    assert_int_equal(file_remove_tree(temp_dir_path(&fixture->dir, "1", fixture->path), &err),
                     ERR_OK);
    assert_int_equal(file_remove_tree(temp_dir_path(&fixture->dir, "d", fixture->path), &err),
                     ERR_LIMIT);
}

static void test_a_directory_has_one_owner_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    struct err err = {0};
    int fd = -1;
    assert_int_equal(file_lock_dir(fixture->dir.path, "lock", &fd, &err), ERR_OK);
    pid_t child = fork();
    if (child == 0) {
        int other = -1;
        char pid[32];
        enum err_code rc = file_lock_dir(fixture->dir.path, "lock", &other, &err);
        snprintf(pid, sizeof pid, "process %ld", (long)getppid());
        _exit(rc == ERR_BUSY && strstr(err.text, pid) != NULL && other == -1 ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    close(fd);
    assert_int_equal(file_lock_dir(fixture->dir.path, "lock", &fd, &err), ERR_OK);
    close(fd);
    assert_int_equal(file_lock_dir("/no/such/dir", "lock", &fd, &err), ERR_NOT_FOUND);
}

static void test_joined_and_plain_paths(void **state)
{
    (void)state;
    struct err err = {0};
    char buf[8];
    assert_int_equal(file_join("ab", "cd", buf, sizeof buf, &err), ERR_OK);
    assert_string_equal(buf, "ab/cd");
    assert_int_equal(file_join("ab/", "cd", buf, sizeof buf, &err), ERR_OK);
    assert_string_equal(buf, "ab/cd");
    assert_int_equal(file_join("abcd", "efg", buf, sizeof buf, &err), ERR_LIMIT);
    static const char *const good[] = {"a", "home-factors", "v1.2_3", "9", "a..b"};
    static const char *const bad[] = {"",    ".",   "..",       ".a",   "-a", "a/b",
                                      "a b", "a\n", "\xC3\xA9", "a\\b", "a:b"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        assert_true(file_is_plain_name(good[i]));
        assert_true(file_is_plain_path(good[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(file_is_plain_name(bad[i]));
    assert_true(file_is_plain_path("a/b/c/d"));
    static const char *const bad_paths[] = {"",      "/a",   "a/",        "a//b", "a/../b",
                                            "a/./b", "../a", "a/b/c/d/e", "a/.b"};
    for (size_t i = 0; i < sizeof bad_paths / sizeof bad_paths[0]; i++)
        assert_false(file_is_plain_path(bad_paths[i]));
    char name[66];
    memset(name, 'a', sizeof name);
    name[65] = '\0';
    assert_false(file_is_plain_name(name));
    name[64] = '\0';
    assert_true(file_is_plain_name(name));
    assert_false(file_is_plain_name(NULL));
    assert_false(file_is_plain_path(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_file_is_read_whole_aligned_and_terminated, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read_is_refused_by_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_atomic_write_replaces_and_leaves_nothing_behind,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_directories_are_made_with_parents_and_removed_with_children, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trees_that_are_too_deep_are_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_directory_has_one_owner_at_a_time, set_up,
                                        tear_down),
        cmocka_unit_test(test_joined_and_plain_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
