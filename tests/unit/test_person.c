/* SPDX-License-Identifier: Apache-2.0 */
/* A full history keeps purchases: what stays, and that it is the same in whatever order the events
 * come. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "featurestore/person.h"

enum { LIMIT = 20, OTHERS = 5, MANY = 3000, ROUNDS = 300, ITEMS = 60 };

static struct person_edit edit;
static uint32_t now_s;

static void begin(uint32_t items_max)
{
    person_edit_deinit(&edit);
    assert_int_equal(person_edit_init(&edit, items_max, NULL), ERR_OK);
    person_edit_begin(&edit, NULL);
    now_s = 1000000;
}

static int tear_down(void **state)
{
    (void)state;
    person_edit_deinit(&edit);
    return 0;
}

static void act(enum event_class event_class, uint32_t item)
{
    person_edit_item(&edit, item, event_class, ++now_s);
}

/* Newest first; 'p' before a purchase: "p7 3 2". */
static void assert_kept(const char *expected)
{
    char text[1000] = "";
    size_t len = 0;
    for (uint32_t i = 0; i < edit.count; i++) {
        const char *bought = (edit.classes[i] & 1u << EVENT_CLASS_PURCHASE) != 0 ? "p" : "";
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%s%u", i > 0 ? " " : "", bought,
                                edit.item[i]);
    }
    assert_string_equal(text, expected);
}

/* ---- what stays ------------------------------------------------------------------------------ */

static void test_newer_views_do_not_push_purchases_out(void **state)
{
    (void)state;
    begin(4);
    act(EVENT_CLASS_PURCHASE, 1);
    for (uint32_t i = 0; i < MANY; i++)
        act(EVENT_CLASS_VIEW, 100 + i);
    assert_kept("3099 3098 3097 p1");
    /* What was looked at and then bought is a purchase, and so it is when it is looked at again. */
    act(EVENT_CLASS_PURCHASE, 3098);
    act(EVENT_CLASS_VIEW, 3098);
    act(EVENT_CLASS_CART, 5);
    act(EVENT_CLASS_DISLIKE, 6);
    assert_kept("6 5 p3098 p1");
    /* Late ones take their place, or none. */
    person_edit_item(&edit, 7, EVENT_CLASS_VIEW, 1);
    assert_kept("6 5 p3098 p1");
    person_edit_item(&edit, 8, EVENT_CLASS_PURCHASE, 1);
    assert_kept("6 p3098 p1 p8");
    person_edit_item(&edit, 9, EVENT_CLASS_PURCHASE, 2);
    assert_kept("6 p3098 p1 p9"); /* 8 is the oldest purchase, and 6 is kept */
    person_edit_item(&edit, 8, EVENT_CLASS_PURCHASE, 1);
    assert_kept("6 p3098 p1 p9");
    person_edit_item(&edit, 10, EVENT_CLASS_VIEW, now_s - 1); /* older than 6, newer than p3098 */
    assert_kept("6 p3098 p1 p9");
    act(EVENT_CLASS_VIEW, 10);
    assert_kept("10 p3098 p1 p9");
}

static void test_somebody_of_thousands_of_purchases_has_recent_views(void **state)
{
    (void)state;
    begin(8);
    for (uint32_t i = 0; i < MANY; i++)
        act(EVENT_CLASS_PURCHASE, i);
    assert_kept("p2999 p2998 p2997 p2996 p2995 p2994 p2993 p2992");
    for (uint32_t i = 0; i < MANY; i++)
        act(EVENT_CLASS_VIEW, 10000 + i);
    assert_kept("12999 12998 p2999 p2998 p2997 p2996 p2995 p2994");
    for (uint32_t i = 0; i < MANY; i++)
        act(EVENT_CLASS_PURCHASE, 20000 + i);
    assert_kept("p22999 p22998 p22997 p22996 p22995 p22994 12999 12998");
}

static void test_the_smallest_histories(void **state)
{
    (void)state;
    begin(1); /* the newest */
    act(EVENT_CLASS_PURCHASE, 1);
    act(EVENT_CLASS_VIEW, 2);
    assert_kept("2");
    act(EVENT_CLASS_PURCHASE, 3);
    assert_kept("p3");
    begin(2);
    act(EVENT_CLASS_PURCHASE, 1);
    act(EVENT_CLASS_PURCHASE, 2);
    assert_kept("p2 p1");
    act(EVENT_CLASS_VIEW, 3);
    act(EVENT_CLASS_VIEW, 4);
    assert_kept("4 p2");
    act(EVENT_CLASS_PURCHASE, 5);
    assert_kept("p5 4");
}

/* ---- the order of events --------------------------------------------------------------------- */

struct act {
    uint32_t item, time_s;
    enum event_class event_class;
};

static void shuffle(struct act *acts, uint32_t count, struct rand *rand)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)rand_below(rand, i);
        struct act kept = acts[i - 1];
        acts[i - 1] = acts[other];
        acts[other] = kept;
    }
}

/* Of all entries, newest first, those that a share keeps. */
static void check_share(uint32_t count)
{
    uint8_t classes[ITEMS];
    uint32_t item[ITEMS];
    uint32_t kept = 0;
    assert_true(edit.count == count && count <= ITEMS);
    memcpy(classes, edit.classes, count);
    memcpy(item, edit.item, count * sizeof *item);
    struct person_share share = person_share(classes, count, LIMIT);
    begin(LIMIT);
    for (uint32_t i = 0; i < count; i++) {
        bool bought = person_is_purchase(classes[i], LIMIT);
        uint32_t *left = bought ? &share.purchases : &share.others;
        if (*left == 0)
            continue;
        --*left;
        edit.item[kept] = item[i];
        edit.classes[kept++] = classes[i];
    }
    edit.count = kept;
    assert_true(share.purchases == 0 && share.others == 0);
}

static void test_what_stays_does_not_depend_on_the_order(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t full = 0;
    rand_init(&rand, 21);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct act acts[ITEMS];
        uint32_t count = 1 + (uint32_t)rand_below(&rand, ITEMS);
        uint32_t purchases = (uint32_t)rand_below(&rand, count + 1), kept_purchases = 0;
        for (uint32_t i = 0; i < count; i++)
            acts[i] = (struct act){
                i, 1 + i, i < purchases ? EVENT_CLASS_PURCHASE : (enum event_class)(i % 2)};
        shuffle(acts, count, &rand);
        for (uint32_t i = 0; i < count; i++) /* times are of their own */
            acts[i].time_s = 1 + i;
        begin(ITEMS);
        for (uint32_t i = 0; i < count; i++)
            person_edit_item(&edit, acts[i].item, acts[i].event_class, acts[i].time_s);
        check_share(count);
        uint32_t item[LIMIT];
        uint32_t kept = edit.count;
        memcpy(item, edit.item, kept * sizeof *item);
        for (uint32_t order = 0; order < 3; order++) {
            shuffle(acts, count, &rand);
            begin(LIMIT);
            for (uint32_t i = 0; i < count; i++)
                person_edit_item(&edit, acts[i].item, acts[i].event_class, acts[i].time_s);
            assert_int_equal(edit.count, kept);
            assert_memory_equal(edit.item, item, kept * sizeof *item);
        }
        for (uint32_t i = 0; i < kept; i++)
            kept_purchases += person_is_purchase(edit.classes[i], LIMIT);
        assert_int_equal(kept, count < LIMIT ? count : LIMIT);
        assert_true(kept_purchases == purchases || kept_purchases >= LIMIT - OTHERS);
        assert_true(kept - kept_purchases >= OTHERS || kept - kept_purchases == count - purchases);
        full += count > LIMIT;
    }
    assert_true(full > ROUNDS / 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_newer_views_do_not_push_purchases_out),
        TEST(test_somebody_of_thousands_of_purchases_has_recent_views),
        TEST(test_the_smallest_histories),
        TEST(test_what_stays_does_not_depend_on_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
