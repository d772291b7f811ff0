/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "models/dot_int8.h"

enum { GROUPS = 5, QUADS_MAX = 128, LINE_BYTES = 64 };

static int8_t *groups; /* GROUPS * QUADS_MAX * DOT_INT8_GROUP * 4, as kernels want it */
static int8_t vector[4 * QUADS_MAX];

static int make_groups(void **state)
{
    (void)state;
    groups = aligned_alloc(LINE_BYTES, (size_t)GROUPS * QUADS_MAX * DOT_INT8_GROUP * 4);
    return groups == NULL;
}

static int free_groups(void **state)
{
    (void)state;
    free(groups);
    return 0;
}

/* At the extremes sums of pairs are as large as they get. */
static int8_t number(struct rand *rand, uint32_t style)
{
    switch (style) {
    case 0: return rand_below(rand, 2) ? 127 : -127;
    case 1: return 127;
    case 2: return -127;
    case 3: return 0;
    default: return (int8_t)((int)rand_below(rand, 255) - 127);
    }
}

static int32_t product_of(uint32_t group, uint32_t row, uint32_t quad_count)
{
    const int8_t *from = groups + (size_t)group * quad_count * DOT_INT8_GROUP * 4;
    int32_t sum = 0;
    for (uint32_t k = 0; k < quad_count * 4; k++)
        sum += from[((size_t)(k / 4) * DOT_INT8_GROUP + row) * 4 + k % 4] * vector[k];
    return sum;
}

static void check(const struct dot_int8_kernel *kernel, uint32_t group_count, uint32_t quad_count,
                  const int32_t *limit)
{
    int32_t product[GROUPS * DOT_INT8_GROUP + 1];
    uint16_t mask[GROUPS + 1];
    product[group_count * DOT_INT8_GROUP] = 77;
    mask[group_count] = 0x1234;
    kernel->fn(groups, group_count, quad_count, vector, limit, product, mask);
    for (uint32_t g = 0; g < group_count; g++) {
        for (uint32_t r = 0; r < DOT_INT8_GROUP; r++) {
            int32_t expected = product_of(g, r, quad_count);
            if (product[g * DOT_INT8_GROUP + r] != expected)
                fail_msg("%s: group %u, row %u of %u quads: expected %d, got %d", kernel->name, g,
                         r, quad_count, expected, product[g * DOT_INT8_GROUP + r]);
            assert_int_equal(mask[g] >> r & 1, expected >= limit[g]);
        }
    }
    assert_int_equal(product[group_count * DOT_INT8_GROUP], 77); /* not a row too many */
    assert_int_equal(mask[group_count], 0x1234);
}

/* Each kernel that this machine can run, by itself, against plain sums. */
static void test_every_kernel_gives_the_same_whole_numbers(void **state)
{
    (void)state;
    static const uint32_t quads[] = {1, 2, 3, 15, 16, 17, 64, QUADS_MAX};
    struct dot_int8_kernel kernel[DOT_INT8_KERNELS_MAX];
    uint32_t kernel_count = dot_int8_kernels(kernel);
    struct rand rand;
    rand_init(&rand, 5);
    assert_string_equal(kernel[kernel_count - 1].name, "portable");
    for (uint32_t round = 0; round < 200; round++) {
        uint32_t quad_count = quads[round % (sizeof quads / sizeof quads[0])];
        int32_t limit[GROUPS];
        for (size_t i = 0; i < (size_t)GROUPS * quad_count * DOT_INT8_GROUP * 4; i++)
            groups[i] = number(&rand, round % 5);
        for (size_t i = 0; i < sizeof vector; i++)
            vector[i] = number(&rand, round / 5 % 5);
        for (uint32_t g = 0; g < GROUPS; g++)
            limit[g] = product_of(g, (uint32_t)rand_below(&rand, DOT_INT8_GROUP), quad_count);
        limit[0] = round % 2 == 0 ? INT32_MIN : INT32_MAX;
        for (uint32_t k = 0; k < kernel_count; k++) {
            for (uint32_t group_count = 0; group_count <= GROUPS; group_count++)
                check(&kernel[k], group_count, quad_count, limit);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_kernel_gives_the_same_whole_numbers),
    };
    return cmocka_run_group_tests(tests, make_groups, free_groups);
}
