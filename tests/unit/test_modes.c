/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "server/control/modes.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"

#define MS UINT64_C(1000000)

struct fixture {
    struct temp_dir dir;
    struct clock_manual clock;
    struct modes modes;
};

static void begin(struct fixture *fixture)
{
    struct err warning, err;
    temp_dir_create(&fixture->dir);
    clock_manual_init(&fixture->clock, 5 * MS, 1000000);
    assert_int_equal(
        modes_init(&fixture->modes, fixture->dir.path, &fixture->clock.clock, &warning, &err),
        ERR_OK);
    assert_int_equal(warning.code, ERR_OK);
}

static void end(struct fixture *fixture)
{
    modes_deinit(&fixture->modes);
    temp_dir_remove(&fixture->dir);
}

/* As after a restart; the monotonic clock of the new process has nothing to do with the old one. */
static enum err_code restart(struct fixture *fixture, int64_t wall_ms)
{
    struct err warning, err;
    modes_deinit(&fixture->modes);
    clock_manual_init(&fixture->clock, 77 * MS, wall_ms);
    assert_int_equal(
        modes_init(&fixture->modes, fixture->dir.path, &fixture->clock.clock, &warning, &err),
        ERR_OK);
    return warning.code;
}

static enum level floor_now(struct fixture *fixture)
{
    return modes_floor(&fixture->modes, clock_now_ns(&fixture->clock.clock));
}

static void set(struct fixture *fixture, enum level level, int64_t for_ms, const char *reason)
{
    struct err err;
    assert_int_equal(modes_set(&fixture->modes, level, for_ms, text_of(reason), &err), ERR_OK);
}

static void test_a_mode_stands_until_it_is_changed(void **state)
{
    (void)state;
    struct fixture f;
    struct mode mode;
    begin(&f);
    assert_int_equal(floor_now(&f), LEVEL_full);
    set(&f, LEVEL_generic, 0, "sale");
    clock_manual_advance_ns(&f.clock, UINT64_C(1) << 55);
    assert_int_equal(floor_now(&f), LEVEL_generic);
    modes_get(&f.modes, &mode);
    assert_int_equal(mode.level, LEVEL_generic);
    assert_int_equal(mode.until_ms, 0);
    assert_string_equal(mode.reason, "sale");
    assert_false(modes_take_ended(&f.modes, &mode));
    set(&f, LEVEL_full, 0, "");
    assert_int_equal(floor_now(&f), LEVEL_full);
    end(&f);
}

static void test_it_ends_to_the_nanosecond_without_a_timer(void **state)
{
    (void)state;
    struct fixture f;
    struct mode mode;
    begin(&f);
    set(&f, LEVEL_static, 30, "incident");
    clock_manual_advance_ns(&f.clock, 30 * MS - 1);
    assert_int_equal(floor_now(&f), LEVEL_static);
    assert_false(modes_take_ended(&f.modes, &mode));
    modes_get(&f.modes, &mode);
    assert_int_equal(mode.until_ms, 1000030);
    clock_manual_advance_ns(&f.clock, 1);
    assert_int_equal(floor_now(&f), LEVEL_full);
    modes_get(&f.modes, &mode);
    assert_int_equal(mode.level, LEVEL_full);
    assert_true(modes_take_ended(&f.modes, &mode));
    assert_int_equal(mode.level, LEVEL_static);
    assert_string_equal(mode.reason, "incident");
    assert_false(modes_take_ended(&f.modes, &mode)); /* told once */
    end(&f);
}

static void test_it_survives_a_restart_with_its_end(void **state)
{
    (void)state;
    struct fixture f;
    struct mode mode;
    begin(&f);
    set(&f, LEVEL_cached, 1000, "\"quoted\" \xc3\xa9");
    assert_int_equal(restart(&f, 1000400), ERR_OK);
    modes_get(&f.modes, &mode);
    assert_int_equal(mode.level, LEVEL_cached);
    assert_int_equal(mode.until_ms, 1001000);
    assert_string_equal(mode.reason, "\"quoted\" \xc3\xa9");
    clock_manual_advance_ns(&f.clock, 600 * MS - 1);
    assert_int_equal(floor_now(&f), LEVEL_cached);
    clock_manual_advance_ns(&f.clock, 1);
    assert_int_equal(floor_now(&f), LEVEL_full);
    assert_int_equal(restart(&f, 1001000), ERR_OK); /* over while it was down */
    assert_int_equal(floor_now(&f), LEVEL_full);
    set(&f, LEVEL_reduced, 0, "");
    assert_int_equal(restart(&f, 9000000), ERR_OK);
    assert_int_equal(floor_now(&f), LEVEL_reduced);
    set(&f, LEVEL_full, 0, "");
    assert_int_equal(restart(&f, 9000000), ERR_OK);
    assert_int_equal(floor_now(&f), LEVEL_full);
    end(&f);
}

static void test_a_bad_file_leaves_full_and_is_told(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "{\"level\": \"generic\"}",
        "{\"level\": \"best\", \"until_ms\": 0, \"reason\": \"\"}",
        "{\"level\": \"generic\", \"until_ms\": -1, \"reason\": \"\"}",
        "{\"level\": \"generic\", \"until_ms\": 0, \"reason\": 3}",
        "{\"level\": \"generic\", \"until_ms\": 0, \"reason\": \"\", \"x\": 1}",
    };
    struct fixture f;
    begin(&f);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        temp_dir_write_text(&f.dir, "mode.json", bad[i]);
        assert_int_not_equal(restart(&f, 1000000), ERR_OK);
        assert_int_equal(floor_now(&f), LEVEL_full);
    }
    end(&f);
}

static void test_a_long_reason_is_cut_and_a_failed_write_is_told(void **state)
{
    (void)state;
    struct fixture f;
    struct mode mode;
    struct err err;
    char reason[300], path[2 * TEMP_DIR_BYTES];
    begin(&f);
    memset(reason, 'r', sizeof reason);
    assert_int_equal(modes_set(&f.modes, LEVEL_generic, 0, (struct text){reason, 300}, &err),
                     ERR_OK);
    modes_get(&f.modes, &mode);
    assert_int_equal(strlen(mode.reason), MODES_REASON_BYTES - 1);
    /* A directory in the way of the file: root may write everywhere, but not this. */
    temp_dir_path(&f.dir, "mode.json", path);
    assert_int_equal(remove(path), 0);
    temp_dir_write_text(&f.dir, "mode.json/in-the-way", "");
    assert_int_equal(modes_set(&f.modes, LEVEL_static, 0, text_of("x"), &err), ERR_IO);
    assert_int_equal(floor_now(&f), LEVEL_static);
    end(&f);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct fixture f;
    struct err warning, err;
    begin(&f);
    set(&f, LEVEL_generic, 0, "kept");
    modes_deinit(&f.modes);
    for (uint32_t n = 0;; n++) {
        alloc_fail_after(n);
        enum err_code rc = modes_init(&f.modes, f.dir.path, &f.clock.clock, &warning, &err);
        bool failed = alloc_fail_off();
        if (rc == ERR_OK && warning.code == ERR_OK)
            assert_int_equal(floor_now(&f), LEVEL_generic);
        if (rc != ERR_OK)
            assert_int_equal(rc, ERR_NOMEM);
        modes_deinit(&f.modes);
        if (!failed)
            break;
    }
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mode_stands_until_it_is_changed),
        cmocka_unit_test(test_it_ends_to_the_nanosecond_without_a_timer),
        cmocka_unit_test(test_it_survives_a_restart_with_its_end),
        cmocka_unit_test(test_a_bad_file_leaves_full_and_is_told),
        cmocka_unit_test(test_a_long_reason_is_cut_and_a_failed_write_is_told),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
