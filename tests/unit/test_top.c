/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include <float.h>
#include <string.h>

#include "base/rand.h"
#include "base/top.h"

#define STREAM_MAX 2000

static int by_rank(const void *left, const void *right)
{
    const struct top_slot *a = left, *b = right;
    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    return a->key < b->key ? -1 : a->key > b->key;
}

/* The heap keeps exactly what sorting the whole stream would keep, ties included. */
static void test_equals_a_full_sort(void **state)
{
    (void)state;
    struct arena arena = {0};
    struct rand rand;
    static struct top_slot all[STREAM_MAX];
    assert_int_equal(arena_init(&arena, 1 << 20, NULL), ERR_OK);
    rand_init(&rand, 7);
    for (uint32_t round = 0; round < 300; round++) {
        uint32_t count = (uint32_t)rand_below(&rand, STREAM_MAX);
        uint32_t capacity = 1 + (uint32_t)rand_below(&rand, 60);
        arena_reset(&arena);
        struct top top = top_make(&arena, capacity);
        for (uint32_t i = 0; i < count; i++) {
            /* Few distinct scores, so that ties decide often. */
            all[i] = (struct top_slot){(float)rand_below(&rand, 9) - 4.0f, i * 7919u % 100003u};
            if (top_wants(&top, all[i].score, all[i].key))
                top_put(&top, all[i].score, all[i].key);
        }
        top_sort(&top);
        qsort(all, count, sizeof all[0], by_rank);
        assert_int_equal(top.count, count < capacity ? count : capacity);
        for (uint32_t i = 0; i < top.count; i++) {
            assert_true(top.slot[i].score == all[i].score);
            assert_int_equal(top.slot[i].key, all[i].key);
        }
    }
    arena_deinit(&arena);
}

/* Sorting digit by digit gives the same, whatever the numbers are; so does what it leaves to
 * comparisons: too many, and zeros of both signs, which are equal. */
static void test_any_numbers_are_sorted(void **state)
{
    (void)state;
    static const float awkward[] = {0.0f, -0.0f, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN};
    struct arena arena = {0};
    struct rand rand;
    static struct top_slot all[STREAM_MAX];
    assert_int_equal(arena_init(&arena, 1 << 20, NULL), ERR_OK);
    rand_init(&rand, 11);
    for (uint32_t round = 0; round < 400; round++) {
        uint32_t count = 1 + (uint32_t)rand_below(&rand, STREAM_MAX);
        uint32_t kinds = round % 4; /* which of the awkward ones are among them */
        arena_reset(&arena);
        struct top top = top_make(&arena, 1 + (uint32_t)rand_below(&rand, 1200));
        for (uint32_t i = 0; i < count; i++) {
            uint32_t bits = (uint32_t)rand_u64(&rand);
            memcpy(&all[i].score, &bits, sizeof bits);
            all[i].key = i * 40503u * 2654435769u;
            if (isnan(all[i].score))
                all[i].score = (float)rand_normal(&rand);
            if (kinds > 0 && rand_below(&rand, 5) == 0)
                all[i].score = awkward[rand_below(&rand, kinds == 1 ? 1 : kinds == 2 ? 2 : 7)];
            if (top_wants(&top, all[i].score, all[i].key))
                top_put(&top, all[i].score, all[i].key);
        }
        top_sort(&top);
        qsort(all, count, sizeof all[0], by_rank);
        for (uint32_t i = 0; i < top.count; i++)
            assert_memory_equal(&top.slot[i], &all[i], sizeof all[i]);
    }
    arena_deinit(&arena);
}

static void test_a_full_arena_wants_nothing(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, 64, NULL), ERR_OK);
    struct top top = top_make(&arena, 1000);
    assert_false(top_wants(&top, 1.0f, 1));
    top_put(&top, 1.0f, 1);
    top_sort(&top);
    assert_int_equal(top.count, 0);
    struct top small = top_make(&arena, 2);
    assert_true(top_wants(&small, 1.0f, 1));
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equals_a_full_sort),
        cmocka_unit_test(test_any_numbers_are_sorted),
        cmocka_unit_test(test_a_full_arena_wants_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
