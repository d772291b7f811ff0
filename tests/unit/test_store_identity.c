/* SPDX-License-Identifier: Apache-2.0 */
/* identify: histories read through links, and nothing left behind when a link is undone; over
 * random streams: test_store_identity_random.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "featurestore/store_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/events.h"
#include "tests/support/identity_rig.h"

#define DAY_MS INT64_C(86400000)

static void identify(const char *user, const char *anon, int64_t ts_ms)
{
    identity_rig_add(user, anon, ts_ms, false);
    assert_string_equal(identity_rig_rejection(), "accepted");
}

static void assert_history(const char *user, const char *anon, const char *expected)
{
    struct history history;
    char text[512] = "";
    bool known = store_history(identity_rig_store, text_of(user), text_of(anon), &history);
    assert_int_equal(known, expected[0] != '\0');
    for (uint32_t i = 0; i < history.count; i++) {
        struct text id = store_item_id(identity_rig_store, history.item[i]);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : " ", (int)id.len, id.ptr);
    }
    assert_string_equal(text, expected);
}

static void test_histories_are_read_through_a_link_in_both_directions(void **state)
{
    (void)state;
    struct history history;
    identity_rig_act("view", "user", "u", "old", NOW_MS - 9000);
    identity_rig_act("purchase", "anon", "a", "both", NOW_MS - 8000);
    identity_rig_act("view", "user", "u", "both", NOW_MS - 7000);
    identity_rig_act("view", "anon", "a", "new", NOW_MS - 6000);
    assert_history("u", NULL, "both old");
    identify("u", "a", NOW_MS - 5000);
    assert_history("u", NULL, "new both old");
    assert_history(NULL, "a", "new both old");
    assert_history("u", "a", "new both old");
    assert_true(store_history(identity_rig_store, TEXT_LITERAL("u"), NOBODY, &history));
    assert_int_equal(history.events, 4);
    assert_int_equal(history.purchases, 1);
    assert_int_equal(history.classes[1] & 15, 1 << EVENT_CLASS_VIEW | 1 << EVENT_CLASS_PURCHASE);
    assert_int_equal(history.last_s[1], (NOW_MS - 7000) / 1000);
    assert_int_equal(history.days[1], 1);
    /* What either does next is seen at once. */
    identity_rig_act("view", "anon", "a", "later", NOW_MS - 3000);
    identity_rig_act("cart_add", "user", "u", "old", NOW_MS - 2000);
    assert_history("u", NULL, "old later new both");
    /* A user of whom nothing else is known. */
    identity_rig_act("view", "anon", "b", "x", NOW_MS);
    identify("v", "b", NOW_MS);
    assert_history("v", NULL, "x");
    struct store_link link;
    assert_true(store_link_at(identity_rig_store, TEXT_LITERAL("u"), NOBODY, 0, &link));
    assert_true(text_is(link.anon, "a") && link.at_ms == NOW_MS - 5000 && link.event.len > 1);
    assert_false(store_link_at(identity_rig_store, TEXT_LITERAL("u"), NOBODY, 1, &link));
    assert_true(store_link_at(identity_rig_store, NOBODY, TEXT_LITERAL("b"), 0, &link));
    assert_true(text_is(link.user, "v"));
    assert_true(text_is(store_linked_user(identity_rig_store, TEXT_LITERAL("b")), "v"));
    assert_null(store_linked_user(identity_rig_store, TEXT_LITERAL("c")).ptr);
}

static void test_what_is_undone_leaves_nothing_behind(void **state)
{
    (void)state;
    identity_rig_act("view", "user", "u", "x", NOW_MS - 9000);
    identity_rig_act("view", "anon", "a", "y", NOW_MS - 8000);
    uint64_t before = identity_rig_hash();
    identify("u", "a", NOW_MS);
    uint64_t linked = identity_rig_hash();
    assert_true(linked != before);
    identify("u", "a", NOW_MS - 500); /* earlier: what is known stays */
    assert_true(identity_rig_hash() == linked);
    identity_rig_undo("u", "a");
    assert_true(identity_rig_hash() == before);
    assert_null(store_profile_block(&identity_rig_store->users, 0));
    assert_null(store_view(&identity_rig_store->users, 0));
    assert_history("u", NULL, "x");
    assert_history(NULL, "a", "y");
    identity_rig_undo("u", "a"); /* again, and what never was */
    identity_rig_undo("w", "a");
    identity_rig_undo("u", "b");
    assert_true(identity_rig_hash() == before);
}

static void test_a_shared_device_is_nobodys(void **state)
{
    (void)state;
    identity_rig_act("view", "anon", "a", "secret", NOW_MS - 9000);
    identity_rig_act("view", "user", "u", "x", NOW_MS - 8000);
    identity_rig_act("view", "user", "v", "y", NOW_MS - 7000);
    identify("u", "a", NOW_MS - 6000);
    assert_history("u", NULL, "x secret");
    assert_history("v", "a", "y");
    assert_history("w", "a", ""); /* it is somebody else's */
    uint64_t one = identity_rig_hash();
    identify("v", "a", NOW_MS - 5000);
    assert_true(store_is_shared(identity_rig_store, TEXT_LITERAL("a")));
    assert_history("u", NULL, "x");
    assert_history("v", NULL, "y");
    assert_history("u", "a", "x");
    assert_history(NULL, "a", "secret");
    assert_history("w", "a", "");
    identity_rig_act("view", "anon", "a", "more", NOW_MS - 4000);
    assert_history("u", NULL, "x");
    assert_history("v", NULL, "y");
    assert_history(NULL, "a", "more secret");
    identity_rig_undo("u", "a");
    assert_history("v", NULL, "more y secret");
    assert_history("u", NULL, "x");
    identify("u", "a", NOW_MS - 6000);
    identity_rig_undo("v", "a");
    assert_history("u", NULL, "more x secret");
    assert_true(identity_rig_hash() != one); /* there was one more event */
}

static void test_caps_hold(void **state)
{
    (void)state;
    char anon[16];
    for (int i = 0; i < 4; i++) {
        snprintf(anon, sizeof anon, "a%d", i);
        identify("u", anon, NOW_MS);
    }
    identity_rig_add("u", "a4", NOW_MS, false);
    assert_string_equal(identity_rig_rejection(),
                        "user: 4 anonymous ids are linked to them (identity_anons_max)");
    identity_rig_add("u", "a3", NOW_MS, false);
    assert_string_equal(identity_rig_rejection(), "accepted");
    identity_rig_undo("u", "a0");
    identify("u", "a4", NOW_MS);

    identity_rig_act("view", "anon", "k", "kiosk", NOW_MS - 30 * DAY_MS);
    identity_rig_act("view", "user", "k0", "x", NOW_MS - 30 * DAY_MS);
    identify("k0", "k", NOW_MS - 20 * DAY_MS);
    identify("k1", "k", NOW_MS - 3 * DAY_MS);
    identify("k2", "k", NOW_MS - 2 * DAY_MS);
    identify("k3", "k", NOW_MS - DAY_MS); /* k0 makes room */
    identity_rig_add("k4", "k", NOW_MS, false);
    assert_string_equal(identity_rig_rejection(),
                        "anon: 3 users are linked to it (identity_users_max, identity_days)");
    struct store_link link;
    assert_false(store_link_at(identity_rig_store, TEXT_LITERAL("k0"), NOBODY, 0, &link));
    assert_true(store_link_at(identity_rig_store, NOBODY, TEXT_LITERAL("k"), 0, &link));
    assert_true(text_is(link.user, "k1"));
    /* One user is left, and it was others', too. */
    identity_rig_undo("k1", "k");
    identity_rig_undo("k2", "k");
    assert_true(store_is_shared(identity_rig_store, TEXT_LITERAL("k")));
    assert_history("k3", NULL, "");
    assert_history(NULL, "k", "kiosk");
    assert_history("k0", NULL, "x");
}

static void test_no_links_where_none_are_wanted(void **state)
{
    (void)state;
    struct store_limits none = identity_rig_limits;
    none.link_anons_max = 0;
    store_destroy(&identity_rig_store);
    identity_rig_store = identity_rig_make_store(&none);
    identity_rig_add("u", "a", NOW_MS, false);
    assert_string_equal(identity_rig_rejection(),
                        "user: 0 anonymous ids are linked to them (identity_anons_max)");
    none.link_anons_max = 1;
    none.link_users_max = 0;
    store_destroy(&identity_rig_store);
    identity_rig_store = identity_rig_make_store(&none);
    identity_rig_add("u", "a", NOW_MS, false);
    assert_string_equal(identity_rig_rejection(),
                        "anon: 0 users are linked to it (identity_users_max, identity_days)");
    events_add_json(&identity_rig_events, "{\"type\":\"identify\",\"user\":\"u\"}");
    assert_string_equal(identity_rig_rejection(), "anon: needed by identify");
    events_add_json(&identity_rig_events, "{\"type\":\"identify\",\"anon\":\"a\"}");
    assert_string_equal(identity_rig_rejection(), "user: needed by identify");
}

static void test_a_full_history_keeps_the_newest_of_both(void **state)
{
    (void)state;
    struct store_limits few = identity_rig_limits;
    few.history_items_max = 3;
    store_destroy(&identity_rig_store);
    identity_rig_store = identity_rig_make_store(&few);
    for (int i = 0; i < 3; i++) {
        char item[16];
        snprintf(item, sizeof item, "u%d", i);
        identity_rig_act("view", "user", "u", item, NOW_MS - 9000 + i * 2000);
        snprintf(item, sizeof item, "a%d", i);
        identity_rig_act("view", "anon", "a", item, NOW_MS - 9000 + i * 2000 + 1000);
    }
    identity_rig_act("view", "anon", "a", "u0", NOW_MS - 100000);
    identify("u", "a", NOW_MS);
    assert_history("u", NULL, "a2 u2 a1");
    identity_rig_undo("u", "a");
    assert_history("u", NULL, "u2 u1 u0");
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        for (uint32_t n = 0;; n++) {
            store_destroy(&identity_rig_store);
            identity_rig_store = identity_rig_make_store(&identity_rig_limits);
            identity_rig_act("view", "anon", "a", "x", NOW_MS - 9000);
            identity_rig_act("view", "user", "u", "y", NOW_MS - 9000);
            identify("v", "b", NOW_MS);
            if (what > 0)
                identify("u", "a", NOW_MS);
            uint64_t before = identity_rig_hash();
            const struct person *view = store_view(&identity_rig_store->users, 0);
            if (what == 2)
                identity_rig_add("u", "a", NOW_MS, true);
            else if (what == 3)
                events_add(&identity_rig_events, "view", "u", "y", NOW_MS);
            else
                identity_rig_add(what == 0 ? "u" : "v", "a", NOW_MS, false);
            size_t len = events_end(&identity_rig_events);
            alloc_fail_after(n);
            events_apply(identity_rig_store, &identity_rig_events, len, NOW_MS);
            bool failed = alloc_fail_off();
            events_begin(&identity_rig_events);
            if (!failed) {
                assert_int_equal(identity_rig_store->result.accepted, 1);
                assert_true(identity_rig_hash() != before);
                assert_true(n >= 2 || what == 2);
                break;
            }
            assert_int_equal(identity_rig_store->result.rejection[0].code, ERR_NOMEM);
            assert_true(identity_rig_hash() == before);
            assert_ptr_equal(store_view(&identity_rig_store->users, 0), view);
        }
    }
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, identity_rig_set_up, identity_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_histories_are_read_through_a_link_in_both_directions),
        TEST(test_what_is_undone_leaves_nothing_behind),
        TEST(test_a_shared_device_is_nobodys),
        TEST(test_caps_hold),
        TEST(test_no_links_where_none_are_wanted),
        TEST(test_a_full_history_keeps_the_newest_of_both),
        TEST(test_without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
