/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers of items that slots of a page hand on: what was kept is found, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "base/rand.h"
#include "server/decide/page_memo.h"
#include "tests/support/small_models.h"

static struct arena arena;

static void init_arena(size_t bytes)
{
    assert_int_equal(arena_init(&arena, bytes, NULL), ERR_OK);
}

static float value_of(uint32_t item)
{
    return (float)item / 2.0f - 100.0f;
}

/* Items anywhere, as many as are kept, and the ends of what a number may be. */
static void what_was_kept_is_found(void **state)
{
    (void)state;
    static uint32_t item[PAGE_VALUES_MAX];
    struct page_values values;
    struct rand rand;
    rand_init(&rand, 5);
    init_arena(1 << 16);
    assert_true(page_values_create(&values, &arena));
    for (uint32_t i = 0; i < PAGE_VALUES_MAX; i++) {
        float value = 7.0f;
        item[i] = i == 0 ? 0 : i == 1 ? UINT32_MAX - 1 : (uint32_t)rand_below(&rand, 1000000);
        if (page_values_find(&values, item[i], &value))
            continue; /* it came before */
        assert_true(value == 7.0f);
        page_values_keep(&values, item[i], value_of(item[i]));
    }
    for (uint32_t i = 0; i < PAGE_VALUES_MAX; i++) {
        float value;
        assert_true(page_values_find(&values, item[i], &value));
        assert_true(value == value_of(item[i]));
    }
    arena_deinit(&arena);
}

static void a_full_table_keeps_no_more(void **state)
{
    (void)state;
    struct page_values values;
    float value = 7.0f;
    init_arena(1 << 16);
    assert_true(page_values_create(&values, &arena));
    for (uint32_t item = 0; item < PAGE_VALUES_MAX + 100; item++)
        page_values_keep(&values, item, value_of(item));
    assert_int_equal(values.count, PAGE_VALUES_MAX);
    assert_false(page_values_find(&values, PAGE_VALUES_MAX, &value));
    assert_true(value == 7.0f);
    assert_true(page_values_find(&values, PAGE_VALUES_MAX - 1, &value));
    arena_deinit(&arena);
}

static struct model *two_items(const char *name)
{
    static const float item[] = {1, 2, 3, 4};
    const struct small_factors factors = {.users = "u",
                                          .user_factors = item,
                                          .items = "a b",
                                          .item_factors = item,
                                          .dim = 2,
                                          .regularization = 0.05,
                                          .trained_at = "2023-11-14T00:00:00Z"};
    return small_factors(name, "1", &factors);
}

static void products_go_by_model_and_vector(void **state)
{
    (void)state;
    float vector[] = {1, 2}, equal[] = {1, 2}, other[] = {1, 3};
    struct model *taste = two_items("taste"), *style = two_items("style");
    struct page_memo memo;
    init_arena(1 << 20);
    page_memo_begin(&memo, &arena, 20);
    struct page_values *products = page_memo_products(&memo, taste, vector);
    assert_non_null(products);
    vector[0] = 5; /* the caller's own */
    assert_ptr_equal(page_memo_products(&memo, taste, equal), products);
    assert_ptr_not_equal(page_memo_products(&memo, taste, other), products);
    assert_ptr_not_equal(page_memo_products(&memo, style, equal), products);
    assert_int_equal(memo.products_count, 3);
    for (uint32_t i = 0; i < 2 * PAGE_MEMO_VECTORS_MAX; i++) {
        other[1] = (float)i + 10;
        assert_int_equal(page_memo_products(&memo, taste, other) != NULL,
                         i + 3 < PAGE_MEMO_VECTORS_MAX);
    }
    assert_ptr_equal(page_memo_products(&memo, taste, equal), products);
    arena_deinit(&arena);
    model_destroy(&taste);
    model_destroy(&style);
}

static void popularity_goes_by_window_and_best(void **state)
{
    (void)state;
    struct page_memo memo;
    init_arena(1 << 20);
    page_memo_begin(&memo, &arena, 20);
    struct page_values *popular = page_memo_popular(&memo, 1, 30.0f);
    assert_non_null(popular);
    assert_ptr_equal(page_memo_popular(&memo, 1, 30.0f), popular);
    assert_null(page_memo_popular(&memo, 2, 30.0f));
    assert_null(page_memo_popular(&memo, 1, 31.0f)); /* something was bought meanwhile */
    page_values_keep(popular, 3, 0.5f);
    page_memo_begin(&memo, &arena, 20);
    popular = page_memo_popular(&memo, 2, 31.0f);
    float value = 7.0f;
    assert_false(page_values_find(popular, 3, &value));
    arena_deinit(&arena);
}

static void without_room_there_is_none(void **state)
{
    (void)state;
    static const float vector[] = {1, 2};
    struct model *taste = two_items("taste");
    struct page_values values;
    struct page_memo memo;
    init_arena(1000);
    assert_false(page_values_create(&values, &arena));
    page_memo_begin(&memo, &arena, 20);
    assert_null(page_memo_products(&memo, taste, vector));
    assert_null(page_memo_popular(&memo, 1, 30.0f));
    assert_int_equal(arena_mark(&arena), 0);
    arena_deinit(&arena);
    model_destroy(&taste);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_kept_is_found),
        cmocka_unit_test(a_full_table_keeps_no_more),
        cmocka_unit_test(products_go_by_model_and_vector),
        cmocka_unit_test(popularity_goes_by_window_and_best),
        cmocka_unit_test(without_room_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
