/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"

static void *volatile kept; /* so that no allocation is optimised away */

static void test_the_nth_allocation_fails_and_only_that(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 5; n++) {
        uint64_t before = alloc_count();
        alloc_fail_after(n);
        for (uint32_t i = 0; i < 5; i++) {
            switch (i) {
            case 0: kept = malloc(8); break;
            case 1: kept = calloc(2, 8); break;
            case 2: kept = realloc(NULL, 8); break;
            case 3: kept = aligned_alloc(64, 64); break;
            default: kept = strdup("abc"); break;
            }
            assert_int_equal(kept == NULL, i == n);
            free(kept);
        }
        assert_true(alloc_fail_off());
        assert_int_equal(alloc_count() - before, 5);
    }
    alloc_fail_after(1);
    kept = malloc(8);
    assert_false(alloc_fail_off());
    free(kept);
}

static void test_arena_init_survives_a_failed_allocation(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct err err = {0};
    alloc_fail_after(0);
    assert_int_equal(arena_init(&arena, 1000, &err), ERR_NOMEM);
    assert_true(alloc_fail_off());
    assert_null(arena.base);
    assert_non_null(strstr(err.text, "1000"));
    arena_deinit(&arena);
    assert_int_equal(arena_init(&arena, SIZE_MAX, &err), ERR_LIMIT);
    assert_int_equal(arena_init(&arena, 0, &err), ERR_OK);
    assert_null(arena_alloc(&arena, 1, 1));
    arena_deinit(&arena);
}

static void test_arena_gives_aligned_memory_until_it_is_full(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, 100, NULL), ERR_OK);
    uint64_t before = alloc_count();
    char *c = ARENA_NEW(&arena, char, 1);
    assert_non_null(c);
    size_t mark = arena_mark(&arena);
    double *d = ARENA_NEW(&arena, double, 2);
    assert_non_null(d);
    assert_int_equal((uintptr_t)d % sizeof *d, 0);
    assert_int_equal(arena.used_bytes, 24);
    assert_null(ARENA_NEW(&arena, double, 10));
    assert_null(ARENA_NEW(&arena, double, SIZE_MAX / 4));
    assert_null(arena_alloc(&arena, SIZE_MAX, 64));
    assert_int_equal(arena.used_bytes, 24); /* a refused allocation takes nothing */
    assert_non_null(arena_alloc(&arena, 76, 1));
    assert_null(arena_alloc(&arena, 1, 1));
    assert_int_equal(arena.used_bytes_max, 100);
    arena_rewind(&arena, mark);
    assert_ptr_equal(ARENA_NEW(&arena, double, 1), d);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 1, 1), c);
    assert_int_equal(arena.used_bytes_max, 100);
    assert_int_equal(alloc_count(), before);
    arena_deinit(&arena);
    assert_null(arena.base);
}

static void test_temp_dir_goes_away_with_its_files(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    char got[16] = "";
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "a/b/c.txt", "hello");
    temp_dir_path(&dir, "a/b/c.txt", path);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fread(got, 1, sizeof got, file), 5);
    fclose(file);
    assert_memory_equal(got, "hello", 5);
    char root[TEMP_DIR_BYTES];
    memcpy(root, dir.path, sizeof root);
    temp_dir_remove(&dir);
    assert_int_not_equal(access(root, F_OK), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_nth_allocation_fails_and_only_that),
        cmocka_unit_test(test_arena_init_survives_a_failed_allocation),
        cmocka_unit_test(test_arena_gives_aligned_memory_until_it_is_full),
        cmocka_unit_test(test_temp_dir_goes_away_with_its_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
