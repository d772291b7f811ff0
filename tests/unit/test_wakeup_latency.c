/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel is asked for is in its device, or it is told why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "server/control/wakeup_latency.h"
#include "tests/support/temp_dir.h"

static void test_the_number_is_in_the_device_and_it_stays_open(void **state)
{
    static const int32_t wishes_us[] = {0, 1, 20, 1000000};
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    (void)state;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "device", path);
    for (size_t i = 0; i < sizeof wishes_us / sizeof wishes_us[0]; i++) {
        struct err err = {.text = ""};
        int fd = -1;
        int32_t got[2] = {-7, -7};
        temp_dir_write_text(&dir, "device", "");
        assert_int_equal(wakeup_latency_ask(path, wishes_us[i], &fd, &err), ERR_OK);
        assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
        int file = open(path, O_RDONLY | O_CLOEXEC);
        assert_int_equal(read(file, got, sizeof got), sizeof got[0]);
        assert_int_equal(got[0], wishes_us[i]);
        close(file);
        close(fd);
    }
    temp_dir_remove(&dir);
}

static void expect_refusal(const char *path, const char *why)
{
    struct err err = {.text = ""};
    char wanted[3 * TEMP_DIR_BYTES];
    int fd = 99;
    snprintf(wanted, sizeof wanted,
             "cpu_wakeup_latency_us: %s does not take 20: %s; expected a device that this user may "
             "write",
             path, why);
    assert_int_equal(wakeup_latency_ask(path, 20, &fd, &err), ERR_IO);
    assert_string_equal(err.text, wanted);
    assert_int_equal(fd, -1);
}

static void test_a_device_that_does_not_take_it_is_told(void **state)
{
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    (void)state;
    temp_dir_create(&dir);
    expect_refusal(temp_dir_path(&dir, "none", path), "No such file or directory");
    expect_refusal(dir.path, "Is a directory");
    expect_refusal("/dev/full", "No space left on device");
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_number_is_in_the_device_and_it_stays_open),
        cmocka_unit_test(test_a_device_that_does_not_take_it_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
