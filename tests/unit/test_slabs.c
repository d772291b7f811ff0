/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "base/slabs.h"
#include "tests/support/alloc_fail.h"

enum { LIVE_MAX = 3000 };

/* A block that was asked for, filled with a byte of its own. */
struct live {
    uint8_t *block;
    uint32_t bytes;
    uint8_t fill;
};

static void check_filled(const struct live *live)
{
    for (uint32_t i = 0; i < live->bytes; i++)
        assert_int_equal(live->block[i], live->fill);
}

static void test_sizes_are_rounded_up_by_an_eighth_at_most(void **state)
{
    (void)state;
    assert_int_equal(slabs_block_bytes(0), 0);
    assert_int_equal(slabs_block_bytes(1), 8);
    assert_int_equal(slabs_block_bytes(512), 512);
    assert_int_equal(slabs_block_bytes(513), 576);
    assert_int_equal(slabs_block_bytes(1012), 1024);
    assert_int_equal(slabs_block_bytes(SLABS_BLOCK_MAX), SLABS_BLOCK_MAX);
    for (uint64_t bytes = 1; bytes <= SLABS_BLOCK_MAX; bytes++) {
        uint64_t block = slabs_block_bytes(bytes);
        assert_true(block >= bytes && block % 8 == 0);
        assert_true(block < bytes + 8 || block - bytes <= bytes / 8);
        assert_int_equal(slabs_block_bytes(block), block);
    }
}

/* Blocks of all sizes come and go; none is ever given out twice, and what is in it stays. */
static void test_blocks_keep_what_is_in_them(void **state)
{
    (void)state;
    static struct live live[LIVE_MAX];
    struct slabs *slabs = NULL;
    struct rand rng;
    struct err err;
    uint32_t count = 0;
    rand_init(&rng, 11);
    assert_int_equal(slabs_create(&slabs, &err), ERR_OK);
    for (uint32_t turn = 0; turn < 60000; turn++) {
        bool grows = turn / 10000 % 2 == 0;
        if (count < LIVE_MAX && (count == 0 || rand_below(&rng, 3) < (grows ? 2u : 1u))) {
            uint32_t limit = rand_below(&rng, 20) == 0 ? 3 * SLABS_BLOCK_MAX / 2 : 600;
            struct live made = {.bytes = (uint32_t)rand_below(&rng, limit) + 1,
                                .fill = (uint8_t)rand_below(&rng, 256)};
            made.block = slabs_alloc(slabs, made.bytes);
            assert_non_null(made.block);
            assert_int_equal((uintptr_t)made.block % 8, 0);
            memset(made.block, made.fill, made.bytes);
            live[count++] = made;
        } else {
            uint32_t at = (uint32_t)rand_below(&rng, count);
            check_filled(&live[at]);
            slabs_free(slabs, live[at].block, live[at].bytes);
            live[at] = live[--count];
        }
    }
    while (count > 0) {
        check_filled(&live[--count]);
        slabs_free(slabs, live[count].block, live[count].bytes);
    }
    slabs_destroy(&slabs);
    assert_null(slabs);
}

/* What histories do: all blocks of one class go, and larger ones come. */
static void test_empty_slabs_serve_other_classes(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    void **block = calloc(COUNT, sizeof *block);
    struct slabs *slabs = NULL;
    struct err err;
    assert_non_null(block);
    assert_int_equal(slabs_create(&slabs, &err), ERR_OK);
    for (uint32_t bytes = 104; bytes <= 504; bytes += 100) {
        for (uint32_t i = 0; i < COUNT; i++) {
            void *grown = slabs_alloc(slabs, bytes);
            assert_non_null(grown);
            memset(grown, 1, bytes);
            slabs_free(slabs, block[i], bytes - 100);
            block[i] = grown;
        }
        /* Blocks left in order, so that but the empty slabs that are kept nothing is spare. */
        assert_in_range(slabs_spare_bytes(slabs), 0, 1 << 16);
    }
    uint64_t before = alloc_count();
    for (uint32_t i = 0; i < COUNT; i++)
        slabs_free(slabs, block[i], 504);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_non_null(block[i] = slabs_alloc(slabs, 96));
    assert_int_equal(alloc_count(), before + COUNT); /* each its own call: no memory was missing */
    for (uint32_t i = 0; i < COUNT; i++)
        slabs_free(slabs, block[i], 96);
    assert_int_equal(slabs_spare_bytes(slabs), 0);
    slabs_destroy(&slabs);
    free(block);
}

static void test_half_used_slabs_are_filled_first(void **state)
{
    (void)state;
    enum { COUNT = 10000 };
    static void *block[COUNT];
    struct slabs *slabs = NULL;
    struct err err;
    assert_int_equal(slabs_create(&slabs, &err), ERR_OK);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_non_null(block[i] = slabs_alloc(slabs, 40));
    for (uint32_t i = 0; i < COUNT; i += 2)
        slabs_free(slabs, block[i], 40);
    assert_int_equal(slabs_spare_bytes(slabs), COUNT / 2 * 40);
    for (uint32_t i = 0; i < COUNT; i += 2)
        assert_non_null(block[i] = slabs_alloc(slabs, 33));
    assert_int_equal(slabs_spare_bytes(slabs), 0);
    for (uint32_t i = 0; i < COUNT; i++)
        slabs_free(slabs, block[i], 40);
    slabs_destroy(&slabs);
}

static void test_without_memory(void **state)
{
    (void)state;
    struct slabs *slabs = NULL;
    struct err err;
    alloc_fail_after(0);
    assert_int_equal(slabs_create(&slabs, &err), ERR_NOMEM);
    assert_true(alloc_fail_off());
    assert_null(slabs);
    assert_int_equal(slabs_create(&slabs, &err), ERR_OK);
    alloc_fail_after(1); /* slabs_alloc itself is the first */
    assert_null(slabs_alloc(slabs, 8));
    assert_true(alloc_fail_off());
    alloc_fail_after(1);
    assert_null(slabs_alloc(slabs, SLABS_BLOCK_MAX + 1));
    assert_true(alloc_fail_off());
    void *block = slabs_alloc(slabs, 8);
    assert_non_null(block);
    slabs_free(slabs, block, 8);
    slabs_free(slabs, NULL, 8);
    slabs_destroy(&slabs);
    slabs_destroy(&slabs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes_are_rounded_up_by_an_eighth_at_most),
        cmocka_unit_test(test_blocks_keep_what_is_in_them),
        cmocka_unit_test(test_empty_slabs_serve_other_classes),
        cmocka_unit_test(test_half_used_slabs_are_filled_first),
        cmocka_unit_test(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
