/* SPDX-License-Identifier: Apache-2.0 */
/* The memo of a page by itself: a row is scored once, and what was found is taken over as it was.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "server/decide/page_memo.h"
#include "server/decide/tally.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/page_shop.h"
#include "tests/support/small_models.h"

static void a_row_is_scored_once(void **state)
{
    (void)state;
    static const double weights[] = {1, 10};
    struct model *ranker = small_linear("rank", "1", "item.price item.stock", weights, 0);
    struct page_memo memo;
    double scratch[64], score[2];
    static const uint32_t item[] = {7, 9};
    double row[] = {1, 2, 3, 4};
    uint32_t place[] = {PAGE_MEMO_NONE, PAGE_MEMO_NONE};
    const struct page_group group = {item, place, row, 2};
    page_shop_open(1);
    page_memo_begin(&memo, &page_shop.worker->page, 20);
    struct page_rows *rows = page_memo_rows(&memo, ranker, false);
    assert_int_equal(page_rows_find(rows, 7), PAGE_MEMO_NONE);
    page_rows_score(rows, &group, scratch, score);
    assert_true(score[0] == 21 && score[1] == 43);
    for (uint32_t i = 0; i < 2; i++) {
        place[i] = page_rows_find(rows, item[i]);
        assert_memory_equal(page_rows_at(rows, place[i]), row + 2 * (size_t)i, 2 * sizeof row[0]);
        rows->score[place[i]] = 1000; /* to be seen where it is taken over */
    }
    row[3] = 5; /* of the second item */
    page_rows_score(rows, &group, scratch, score);
    assert_true(score[0] == 1000 && score[1] == 53);
    assert_ptr_equal(page_memo_rows(&memo, ranker, false), rows);
    assert_ptr_not_equal(page_memo_rows(&memo, ranker, true), rows);
    fixture_deinit(&page_shop);
    tally_destroy(&page_shop_tally);
    model_destroy(&ranker);
}

/* Whether a further slot of the page gives what the request gives alone. */
static bool is_as_alone(struct page_memo *memo, const char *request)
{
    const struct decision *alone = fixture_decide(&page_shop, request);
    struct decide_env env = page_shop.env;
    struct decision of_page;
    assert_int_equal(alone->level, LEVEL_full);
    env.memo = memo;
    decide(&env, page_shop.worker, &page_shop.request, &of_page);
    return of_page.level == LEVEL_full && of_page.count == alone->count &&
           of_page.items[0].item == alone->items[0].item;
}

static void what_was_found_is_taken_over(void **state)
{
    (void)state;
    static const char plain[] = "{\"op\": \"recommend\", \"user\": \"u1\", \"n\": 5}";
    static const char less[] =
        "{\"op\": \"recommend\", \"user\": \"u1\", \"n\": 5, \"exclude\": [\"i1\"]}";
    static const char narrow[] = "{\"op\": \"recommend\", \"user\": \"u1\", \"n\": 5, "
                                 "\"filters\": {\"categories\": [\"c1\"]}}";
    struct page_memo memo;
    page_shop_open(101);
    fixture_serve(&page_shop, "{\"slots\": {\"home\": {\"bought\": \"allow\", \"sources\": ["
                              "{\"source\": \"factors\", \"model\": \"taste\"},"
                              "{\"source\": \"factors\", \"model\": \"style\"}]}}}");
    page_memo_begin(&memo, &page_shop.worker->page, 10);
    assert_true(is_as_alone(&memo, less));
    assert_int_equal(memo.found_count, 2);
    for (uint32_t i = 0; i < 2; i++) { /* to be seen where it is taken over */
        assert_false(memo.found[i].is_all);
        memo.found[i].is_all = true;
        memo.found[i].found.top.count = 0;
    }
    assert_false(is_as_alone(&memo, less));
    assert_true(is_as_alone(&memo, plain)); /* i1 was refused */
    assert_true(is_as_alone(&memo, narrow));
    for (uint32_t i = 0; i < 2; i++)
        memo.found[i].is_all = false;
    assert_true(is_as_alone(&memo, less)); /* there are too few */
    assert_int_equal(memo.found_count, 2);
    fixture_deinit(&page_shop);
    tally_destroy(&page_shop_tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_is_scored_once),
        cmocka_unit_test(what_was_found_is_taken_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
