/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that asks the kernel for awake processors holds the device while it runs; where it may
 * not, it does not start. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/control/wakeup_latency.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"

static bool holds_device(pid_t pid)
{
    char folder[64], path[PATH_MAX], target[PATH_MAX];
    snprintf(folder, sizeof folder, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    bool found = false;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        ssize_t len = readlink(path, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = '\0';
        found = found || strcmp(target, WAKEUP_LATENCY_DEVICE) == 0;
    }
    closedir(dir);
    return found;
}

static void expect_refusal(void)
{
    static struct program program;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "decided.json",
                        "{\"listen\": [\"tcp://127.0.0.1:0\"], \"http\": \"127.0.0.1:0\", "
                        "\"data_dir\": \"state\", \"cpu_wakeup_latency_us\": 20}");
    temp_dir_path(&dir, "decided.json", path);
    program_run(&program, (const char *const[]){getenv("DECIDED_BINARY"), "--config", path, NULL});
    assert_int_equal(program.exit_code, 1);
    assert_non_null(strstr(program.err, "cpu_wakeup_latency_us: " WAKEUP_LATENCY_DEVICE));
    temp_dir_remove(&dir);
}

static void test_the_device_is_held_when_it_was_asked_for(void **state)
{
    struct daemon daemon;
    (void)state;
    daemon_start(&daemon, NULL);
    assert_false(holds_device(daemon.pid));
    daemon_stop(&daemon);
    if (access(WAKEUP_LATENCY_DEVICE, W_OK) != 0) {
        print_message("%s may not be written here: only its refusal is tested\n",
                      WAKEUP_LATENCY_DEVICE);
        expect_refusal();
        return;
    }
    daemon_start(&daemon, "\"cpu_wakeup_latency_us\": 20");
    assert_true(holds_device(daemon.pid));
    daemon_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_device_is_held_when_it_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
