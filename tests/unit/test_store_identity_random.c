/* SPDX-License-Identifier: Apache-2.0 */
/* identify over random streams: links that are undone leave the state without them, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "featurestore/store_internal.h"
#include "tests/support/events.h"
#include "tests/support/identity_rig.h"

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
        struct text name = store_item_id(identity_rig_store, history.item[i]);
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
    take_in(&identity_rig_store->users, id, seen, &events_count);
    for (uint32_t a = 0; a < ANONS; a++) {
        char anon[16];
        uint32_t links = 0;
        for (uint32_t u = 0; u < USERS; u++)
            links += link_is_there[a][u];
        snprintf(anon, sizeof anon, "a%u", a);
        if (links == 1 && link_is_there[a][user])
            take_in(&identity_rig_store->anons, anon, seen, &events_count);
    }
    (void)store_history(identity_rig_store, text_of(id), NOBODY, &history);
    assert_int_equal(history.events, events_count);
    for (uint32_t i = 0; i < ITEMS; i++)
        items += seen[i].classes != 0;
    assert_int_equal(history.count, items);
    for (uint32_t i = 0; i < history.count; i++) {
        const struct seen *at =
            &seen[store_item_id(identity_rig_store, history.item[i]).ptr[1] - 'a'];
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
    identity_rig_act(types[rand_below(rand, 4)], by_user ? "user" : "anon", who, item,
                     NOW_MS - (int64_t)rand_below(rand, 20 * 86400) * 1000);
}

static void random_link(struct rand *rand)
{
    char user[16], anon[16];
    unsigned u = (unsigned)rand_below(rand, USERS), a = (unsigned)rand_below(rand, ANONS);
    bool off = rand_below(rand, 2) == 0;
    snprintf(user, sizeof user, "u%u", u);
    snprintf(anon, sizeof anon, "a%u", a);
    identity_rig_add(user, anon, NOW_MS - (int64_t)rand_below(rand, 1000), off);
    if (strcmp(identity_rig_rejection(), "accepted") == 0)
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
            identity_rig_undo(user, anon);
            link_is_there[a][u] = false;
            check_view(u);
        }
    }
    uint64_t after = identity_rig_hash();
    struct store_stats stats;
    store_stats(identity_rig_store, &stats);
    assert_int_equal(stats.links, 0);
    store_destroy(&identity_rig_store);
    identity_rig_store = identity_rig_make_store(&identity_rig_limits);
    for (int i = 0; i < STEPS; i++)
        random_act(&replay);
    assert_true(identity_rig_hash() == after);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, identity_rig_set_up, identity_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_any_links_undone_give_the_state_without_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
