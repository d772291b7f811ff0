/* SPDX-License-Identifier: Apache-2.0 */
/* What the slots of a page share: every slot gives, to the bit, what it gives as a request of its
 * own that excludes what is shown, over random shops, policies and pages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/rand.h"
#include "server/decide/page.h"
#include "server/decide/tally.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/page_shop.h"

static void ask_page(void)
{
    uint32_t count = 2 + (uint32_t)rand_below(&page_shop_rand, 5);
    page_shop_text_used = 0;
    page_shop_say("{\"op\": \"decide\", \"user\": \"u%u\", \"explain\": %s, \"slots\": [",
                  (uint32_t)rand_below(&page_shop_rand, 14),
                  page_shop_one_in(3) ? "true" : "false");
    for (uint32_t i = 0; i < count; i++) {
        page_shop_say("%s{\"slot\": \"s%u\", \"n\": %u", i > 0 ? "," : "",
                      (uint32_t)rand_below(&page_shop_rand, SLOTS),
                      1 + (uint32_t)rand_below(&page_shop_rand, 12));
        if (page_shop_one_in(4))
            page_shop_say(", \"seeds\": [\"i%u\"]", (uint32_t)rand_below(&page_shop_rand, ITEMS));
        if (page_shop_one_in(4))
            page_shop_say(", \"exclude\": [\"i%u\"]", (uint32_t)rand_below(&page_shop_rand, ITEMS));
        if (page_shop_one_in(4))
            page_shop_say(", \"filters\": {\"categories\": [\"c%u\", \"c1\"]}",
                          (uint32_t)rand_below(&page_shop_rand, 7));
        page_shop_say("}");
    }
    page_shop_say("]%s}", page_shop_one_in(3) ? ", \"exclude\": [\"i3\", \"i4\"]" : "");
    char request[TEXT_BYTES];
    memcpy(request, page_shop_text, page_shop_text_used + 1);
    (void)fixture_decide(&page_shop, request); /* reads the request */
}

struct seen {
    uint32_t slots, ranked, full;
    uint64_t advance_ns; /* of the clock, after each slot */
};

static void same_item(const struct decision *decision, const struct decision_item *one,
                      const struct decision_item *other)
{
    assert_int_equal(one->item, other->item);
    assert_true(text_equal(one->id, other->id));
    assert_memory_equal(&one->score, &other->score, sizeof one->score);
    assert_memory_equal(&one->ranked, &other->ranked, sizeof one->ranked);
    assert_int_equal(one->features == NULL, other->features == NULL);
    if (one->features != NULL)
        assert_memory_equal(one->features, other->features,
                            decision->ranker->feature_count * sizeof one->features[0]);
    assert_int_equal(one->why_count, other->why_count);
    for (uint32_t w = 0; w < one->why_count; w++) {
        assert_string_equal(one->why[w].source, other->why[w].source);
        assert_memory_equal(&one->why[w].value, &other->why[w].value, sizeof(float));
    }
    assert_int_equal(one->contributions == NULL, other->contributions == NULL);
}

/* The slot was decided; now as a request of its own, in the same state of everything. */
static void compare(void *ctx, const struct page_slot *slot)
{
    struct seen *seen = ctx;
    const struct decision *of_page = slot->decision;
    struct decision alone;
    decide(&page_shop.env, page_shop.worker, slot->request, &alone);
    assert_int_equal(of_page->level, alone.level);
    assert_int_equal(of_page->reason, alone.reason);
    assert_int_equal(of_page->left_out, alone.left_out);
    assert_int_equal(of_page->count, alone.count);
    assert_ptr_equal(of_page->ranker, alone.ranker);
    assert_ptr_equal(of_page->fallback, alone.fallback);
    assert_int_equal(of_page->model_count, alone.model_count);
    for (uint32_t i = 0; i < alone.model_count; i++)
        assert_string_equal(of_page->models[i], alone.models[i]);
    for (uint32_t i = 0; i < alone.count; i++)
        same_item(of_page, &of_page->items[i], &alone.items[i]);
    seen->slots++;
    seen->ranked += alone.ranker != NULL;
    seen->full += alone.level == LEVEL_full;
    clock_manual_advance_ns(&page_shop.clock, seen->advance_ns);
}

static struct seen compare_pages(size_t page_bytes, uint64_t advance_ns)
{
    struct seen seen = {.advance_ns = advance_ns};
    for (uint64_t shop = 0; shop < SHOPS; shop++) {
        page_shop_open(100 + shop);
        size_t capacity_bytes = page_shop.worker->page.capacity_bytes;
        if (page_bytes < capacity_bytes)
            page_shop.worker->page.capacity_bytes = page_bytes;
        for (uint32_t page = 0; page < PAGES; page++) {
            ask_page();
            if (advance_ns > 0)
                page_shop.env.deadline_ns =
                    clock_now_ns(&page_shop.clock.clock) + 5 * advance_ns / 2;
            decide_page(&page_shop.env, page_shop.worker, &page_shop.request, compare, &seen);
            assert_true(page_shop.worker->page.used_bytes <= page_bytes);
        }
        fixture_deinit(&page_shop);
        tally_destroy(&page_shop_tally);
    }
    return seen;
}

static void slots_of_a_page_give_what_they_give_alone(void **state)
{
    (void)state;
    struct seen seen = compare_pages(WORKER_PAGE_BYTES, 0);
    assert_true(seen.ranked > SHOPS * PAGES && seen.full > SHOPS * PAGES);
}

static void they_do_without_room_for_what_they_share(void **state)
{
    (void)state;
    static const size_t bytes[] = {0, 100, 3000, 9000, 40000};
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++)
        (void)compare_pages(bytes[i], 0);
}

static void they_do_when_the_deadline_comes_in_the_middle_of_a_page(void **state)
{
    (void)state;
    struct seen seen = compare_pages(WORKER_PAGE_BYTES, 1000000);
    assert_true(seen.full > 0 && seen.full < seen.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_of_a_page_give_what_they_give_alone),
        cmocka_unit_test(they_do_without_room_for_what_they_share),
        cmocka_unit_test(they_do_when_the_deadline_comes_in_the_middle_of_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
