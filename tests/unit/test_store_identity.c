/* SPDX-License-Identifier: Apache-2.0 */
/* identify: histories read through links, and nothing left behind when a link is undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "featurestore/store_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/events.h"

#define NOW_MS INT64_C(1700000000000)
#define DAY_MS INT64_C(86400000)
#define NOBODY ((struct text){NULL, 0})

static const struct store_limits limits = {.items_max = 1000,
                                           .people_max = 1000,
                                           .history_items_max = 100,
                                           .queue_events_max = 2000,
                                           .link_anons_max = 4,
                                           .link_users_max = 3,
                                           .link_window_s = 7 * 86400};
static struct clock_manual clock_now;
static struct store *store;
static struct events events;
static struct err err;

static struct store *make_store(const struct store_limits *with)
{
    struct store *made = NULL;
    clock_manual_init(&clock_now, 1, NOW_MS);
    assert_int_equal(store_create(with, &clock_now.clock, &made, &err), ERR_OK);
    return made;
}

static int set_up(void **state)
{
    (void)state;
    events_begin(&events);
    store = make_store(&limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_destroy(&store);
    return 0;
}

static const struct store_batch_result *apply(void)
{
    size_t len = events_end(&events);
    events_apply(store, &events, len, NOW_MS);
    retire_flush(&store->retire);
    events_begin(&events);
    return &store->result;
}

static const char *rejection(void)
{
    const struct store_batch_result *result = apply();
    return result->rejected == 1 ? result->rejection[0].message : "accepted";
}

static void add_identify(const char *user, const char *anon, int64_t ts_ms, bool undo)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\":\"identify\",\"user\":\"%s\",\"anon\":\"%s\",\"ts\":%lld,\"undo\":%s}",
             user, anon, (long long)ts_ms, undo ? "true" : "false");
    events_add_json(&events, json);
}

static void identify(const char *user, const char *anon, int64_t ts_ms)
{
    add_identify(user, anon, ts_ms, false);
    assert_string_equal(rejection(), "accepted");
}

static void undo(const char *user, const char *anon)
{
    add_identify(user, anon, NOW_MS, true);
    assert_string_equal(rejection(), "accepted");
}

static void act(const char *type, const char *kind, const char *who, const char *item,
                int64_t ts_ms)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\":\"%s\",\"%s\":\"%s\",\"ts\":%lld,\"items\":[{\"id\":\"%s\"}]}", type, kind,
             who, (long long)ts_ms, item);
    events_add_json(&events, json);
    assert_string_equal(rejection(), "accepted");
}

static void assert_history(const char *user, const char *anon, const char *expected)
{
    struct history history;
    char text[512] = "";
    bool known = store_history(store, text_of(user), text_of(anon), &history);
    assert_int_equal(known, expected[0] != '\0');
    for (uint32_t i = 0; i < history.count; i++) {
        struct text id = store_item_id(store, history.item[i]);
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%.*s", i == 0 ? "" : " ", (int)id.len, id.ptr);
    }
    assert_string_equal(text, expected);
}

static uint64_t hash(void)
{
    uint64_t sequence;
    return store_state_hash(store, &sequence);
}

static void test_histories_are_read_through_a_link_in_both_directions(void **state)
{
    (void)state;
    struct history history;
    act("view", "user", "u", "old", NOW_MS - 9000);
    act("purchase", "anon", "a", "both", NOW_MS - 8000);
    act("view", "user", "u", "both", NOW_MS - 7000);
    act("view", "anon", "a", "new", NOW_MS - 6000);
    assert_history("u", NULL, "both old");
    identify("u", "a", NOW_MS - 5000);
    assert_history("u", NULL, "new both old");
    assert_history(NULL, "a", "new both old");
    assert_history("u", "a", "new both old");
    assert_true(store_history(store, TEXT_LITERAL("u"), NOBODY, &history));
    assert_int_equal(history.events, 4);
    assert_int_equal(history.purchases, 1);
    assert_int_equal(history.classes[1] & 15, 1 << EVENT_CLASS_VIEW | 1 << EVENT_CLASS_PURCHASE);
    assert_int_equal(history.last_s[1], (NOW_MS - 7000) / 1000);
    assert_int_equal(history.days[1], 1);
    /* What either does next is seen at once. */
    act("view", "anon", "a", "later", NOW_MS - 3000);
    act("cart_add", "user", "u", "old", NOW_MS - 2000);
    assert_history("u", NULL, "old later new both");
    /* A user of whom nothing else is known. */
    act("view", "anon", "b", "x", NOW_MS);
    identify("v", "b", NOW_MS);
    assert_history("v", NULL, "x");
    struct store_link link;
    assert_true(store_link_at(store, TEXT_LITERAL("u"), NOBODY, 0, &link));
    assert_true(text_is(link.anon, "a") && link.at_ms == NOW_MS - 5000 && link.event.len > 1);
    assert_false(store_link_at(store, TEXT_LITERAL("u"), NOBODY, 1, &link));
    assert_true(store_link_at(store, NOBODY, TEXT_LITERAL("b"), 0, &link));
    assert_true(text_is(link.user, "v"));
    assert_true(text_is(store_linked_user(store, TEXT_LITERAL("b")), "v"));
    assert_null(store_linked_user(store, TEXT_LITERAL("c")).ptr);
}

static void test_what_is_undone_leaves_nothing_behind(void **state)
{
    (void)state;
    act("view", "user", "u", "x", NOW_MS - 9000);
    act("view", "anon", "a", "y", NOW_MS - 8000);
    uint64_t before = hash();
    identify("u", "a", NOW_MS);
    uint64_t linked = hash();
    assert_true(linked != before);
    identify("u", "a", NOW_MS - 500); /* earlier: what is known stays */
    assert_true(hash() == linked);
    undo("u", "a");
    assert_true(hash() == before);
    assert_null(store_profile_block(&store->users, 0));
    assert_null(store_view(&store->users, 0));
    assert_history("u", NULL, "x");
    assert_history(NULL, "a", "y");
    undo("u", "a"); /* again, and what never was */
    undo("w", "a");
    undo("u", "b");
    assert_true(hash() == before);
}

static void test_a_shared_device_is_nobodys(void **state)
{
    (void)state;
    act("view", "anon", "a", "secret", NOW_MS - 9000);
    act("view", "user", "u", "x", NOW_MS - 8000);
    act("view", "user", "v", "y", NOW_MS - 7000);
    identify("u", "a", NOW_MS - 6000);
    assert_history("u", NULL, "x secret");
    assert_history("v", "a", "y");
    assert_history("w", "a", ""); /* it is somebody else's */
    uint64_t one = hash();
    identify("v", "a", NOW_MS - 5000);
    assert_true(store_is_shared(store, TEXT_LITERAL("a")));
    assert_history("u", NULL, "x");
    assert_history("v", NULL, "y");
    assert_history("u", "a", "x");
    assert_history(NULL, "a", "secret");
    assert_history("w", "a", "");
    act("view", "anon", "a", "more", NOW_MS - 4000);
    assert_history("u", NULL, "x");
    assert_history("v", NULL, "y");
    assert_history(NULL, "a", "more secret");
    undo("u", "a");
    assert_history("v", NULL, "more y secret");
    assert_history("u", NULL, "x");
    identify("u", "a", NOW_MS - 6000);
    undo("v", "a");
    assert_history("u", NULL, "more x secret");
    assert_true(hash() != one); /* there was one more event */
}

static void test_caps_hold(void **state)
{
    (void)state;
    char anon[16];
    for (int i = 0; i < 4; i++) {
        snprintf(anon, sizeof anon, "a%d", i);
        identify("u", anon, NOW_MS);
    }
    add_identify("u", "a4", NOW_MS, false);
    assert_string_equal(rejection(),
                        "user: 4 anonymous ids are linked to them (identity_anons_max)");
    add_identify("u", "a3", NOW_MS, false);
    assert_string_equal(rejection(), "accepted");
    undo("u", "a0");
    identify("u", "a4", NOW_MS);

    act("view", "anon", "k", "kiosk", NOW_MS - 30 * DAY_MS);
    act("view", "user", "k0", "x", NOW_MS - 30 * DAY_MS);
    identify("k0", "k", NOW_MS - 20 * DAY_MS);
    identify("k1", "k", NOW_MS - 3 * DAY_MS);
    identify("k2", "k", NOW_MS - 2 * DAY_MS);
    identify("k3", "k", NOW_MS - DAY_MS); /* k0 makes room */
    add_identify("k4", "k", NOW_MS, false);
    assert_string_equal(rejection(),
                        "anon: 3 users are linked to it (identity_users_max, identity_days)");
    struct store_link link;
    assert_false(store_link_at(store, TEXT_LITERAL("k0"), NOBODY, 0, &link));
    assert_true(store_link_at(store, NOBODY, TEXT_LITERAL("k"), 0, &link));
    assert_true(text_is(link.user, "k1"));
    /* One user is left, and it was others', too. */
    undo("k1", "k");
    undo("k2", "k");
    assert_true(store_is_shared(store, TEXT_LITERAL("k")));
    assert_history("k3", NULL, "");
    assert_history(NULL, "k", "kiosk");
    assert_history("k0", NULL, "x");
}

static void test_no_links_where_none_are_wanted(void **state)
{
    (void)state;
    struct store_limits none = limits;
    none.link_anons_max = 0;
    store_destroy(&store);
    store = make_store(&none);
    add_identify("u", "a", NOW_MS, false);
    assert_string_equal(rejection(),
                        "user: 0 anonymous ids are linked to them (identity_anons_max)");
    none.link_anons_max = 1;
    none.link_users_max = 0;
    store_destroy(&store);
    store = make_store(&none);
    add_identify("u", "a", NOW_MS, false);
    assert_string_equal(rejection(),
                        "anon: 0 users are linked to it (identity_users_max, identity_days)");
    events_add_json(&events, "{\"type\":\"identify\",\"user\":\"u\"}");
    assert_string_equal(rejection(), "anon: needed by identify");
    events_add_json(&events, "{\"type\":\"identify\",\"anon\":\"a\"}");
    assert_string_equal(rejection(), "user: needed by identify");
}

static void test_a_full_history_keeps_the_newest_of_both(void **state)
{
    (void)state;
    struct store_limits few = limits;
    few.history_items_max = 3;
    store_destroy(&store);
    store = make_store(&few);
    for (int i = 0; i < 3; i++) {
        char item[16];
        snprintf(item, sizeof item, "u%d", i);
        act("view", "user", "u", item, NOW_MS - 9000 + i * 2000);
        snprintf(item, sizeof item, "a%d", i);
        act("view", "anon", "a", item, NOW_MS - 9000 + i * 2000 + 1000);
    }
    act("view", "anon", "a", "u0", NOW_MS - 100000);
    identify("u", "a", NOW_MS);
    assert_history("u", NULL, "a2 u2 a1");
    undo("u", "a");
    assert_history("u", NULL, "u2 u1 u0");
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    for (int what = 0; what < 4; what++) {
        for (uint32_t n = 0;; n++) {
            store_destroy(&store);
            store = make_store(&limits);
            act("view", "anon", "a", "x", NOW_MS - 9000);
            act("view", "user", "u", "y", NOW_MS - 9000);
            identify("v", "b", NOW_MS);
            if (what > 0)
                identify("u", "a", NOW_MS);
            uint64_t before = hash();
            const struct person *view = store_view(&store->users, 0);
            if (what == 2)
                add_identify("u", "a", NOW_MS, true);
            else if (what == 3)
                events_add(&events, "view", "u", "y", NOW_MS);
            else
                add_identify(what == 0 ? "u" : "v", "a", NOW_MS, false);
            size_t len = events_end(&events);
            alloc_fail_after(n);
            events_apply(store, &events, len, NOW_MS);
            bool failed = alloc_fail_off();
            events_begin(&events);
            if (!failed) {
                assert_int_equal(store->result.accepted, 1);
                assert_true(hash() != before);
                assert_true(n >= 2 || what == 2);
                break;
            }
            assert_int_equal(store->result.rejection[0].code, ERR_NOMEM);
            assert_true(hash() == before);
            assert_ptr_equal(store_view(&store->users, 0), view);
        }
    }
}

/* ---- random streams -------------------------------------------------------------------------- */

enum { USERS = 5, ANONS = 6, ITEMS = 12, STEPS = 1500 };

static bool link_is_there[ANONS][USERS];

struct seen {
    uint32_t last_s, days;
    uint8_t classes;
};

static void take_in(const struct people *people, const char *id, struct seen seen[ITEMS],
                    uint32_t *events_count)
{
    uint32_t number = idmap_find(people->ids, text_of(id));
    if (number == IDMAP_NONE)
        return;
    struct history history = person_history(store_person(people, number));
    *events_count += history.events;
    for (uint32_t i = 0; i < history.count; i++) {
        struct text name = store_item_id(store, history.item[i]);
        struct seen *at = &seen[name.ptr[1] - 'a'];
        at->last_s = history.last_s[i] > at->last_s ? history.last_s[i] : at->last_s;
        at->classes |= history.classes[i] & 15;
        at->days += history.days[i];
    }
}

/* What a user sees is what they and the devices of theirs alone did. */
static void check_view(uint32_t user)
{
    struct seen seen[ITEMS] = {{0}};
    struct history history;
    char id[16];
    uint32_t events_count = 0, items = 0;
    snprintf(id, sizeof id, "u%u", user);
    take_in(&store->users, id, seen, &events_count);
    for (uint32_t a = 0; a < ANONS; a++) {
        char anon[16];
        uint32_t links = 0;
        for (uint32_t u = 0; u < USERS; u++)
            links += link_is_there[a][u];
        snprintf(anon, sizeof anon, "a%u", a);
        if (links == 1 && link_is_there[a][user])
            take_in(&store->anons, anon, seen, &events_count);
    }
    (void)store_history(store, text_of(id), NOBODY, &history);
    assert_int_equal(history.events, events_count);
    for (uint32_t i = 0; i < ITEMS; i++)
        items += seen[i].classes != 0;
    assert_int_equal(history.count, items);
    for (uint32_t i = 0; i < history.count; i++) {
        const struct seen *at = &seen[store_item_id(store, history.item[i]).ptr[1] - 'a'];
        assert_int_equal(history.last_s[i], at->last_s);
        assert_int_equal(history.classes[i] & 15, at->classes);
        assert_int_equal(history.days[i], at->days);
        assert_true(i == 0 || history.last_s[i] <= history.last_s[i - 1]);
    }
}

static void random_act(struct rand *rand)
{
    static const char *const types[] = {"view", "cart_add", "purchase", "dislike"};
    char who[16], item[16];
    bool by_user = rand_below(rand, 2) == 0;
    snprintf(who, sizeof who, "%c%u", by_user ? 'u' : 'a',
             (unsigned)rand_below(rand, by_user ? USERS : ANONS));
    snprintf(item, sizeof item, "i%c", (char)('a' + rand_below(rand, ITEMS)));
    act(types[rand_below(rand, 4)], by_user ? "user" : "anon", who, item,
        NOW_MS - (int64_t)rand_below(rand, 20 * 86400) * 1000);
}

static void random_link(struct rand *rand)
{
    char user[16], anon[16];
    unsigned u = (unsigned)rand_below(rand, USERS), a = (unsigned)rand_below(rand, ANONS);
    bool off = rand_below(rand, 2) == 0;
    snprintf(user, sizeof user, "u%u", u);
    snprintf(anon, sizeof anon, "a%u", a);
    add_identify(user, anon, NOW_MS - (int64_t)rand_below(rand, 1000), off);
    if (strcmp(rejection(), "accepted") == 0)
        link_is_there[a][u] = !off;
}

/* The same people act; in one store they are linked and unlinked meanwhile. */
static void test_any_links_undone_give_the_state_without_them(void **state)
{
    (void)state;
    struct rand rand, replay;
    memset(link_is_there, 0, sizeof link_is_there);
    rand_init(&rand, 3);
    rand_init(&replay, 3);
    for (int i = 0; i < STEPS; i++) {
        random_act(&rand);
        struct rand aside;
        rand_init(&aside, (uint64_t)i + 100);
        random_link(&aside);
        for (uint32_t u = 0; u < USERS; u++)
            check_view(u);
    }
    for (uint32_t a = 0; a < ANONS; a++) {
        for (uint32_t u = 0; u < USERS; u++) {
            char user[16], anon[16];
            snprintf(user, sizeof user, "u%u", u);
            snprintf(anon, sizeof anon, "a%u", a);
            undo(user, anon);
            link_is_there[a][u] = false;
            check_view(u);
        }
    }
    uint64_t after = hash();
    struct store_stats stats;
    store_stats(store, &stats);
    assert_int_equal(stats.links, 0);
    store_destroy(&store);
    store = make_store(&limits);
    for (int i = 0; i < STEPS; i++)
        random_act(&replay);
    assert_true(hash() == after);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_histories_are_read_through_a_link_in_both_directions),
        TEST(test_what_is_undone_leaves_nothing_behind),
        TEST(test_a_shared_device_is_nobodys),
        TEST(test_caps_hold),
        TEST(test_no_links_where_none_are_wanted),
        TEST(test_a_full_history_keeps_the_newest_of_both),
        TEST(test_without_memory_nothing_changes),
        TEST(test_any_links_undone_give_the_state_without_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
