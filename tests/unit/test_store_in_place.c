/* SPDX-License-Identifier: Apache-2.0 */
/* Histories that a replay edits in place: they are what copies would be, and nobody reads them
 * before they are done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "base/rcu.h"
#include "featurestore/person.h"
#include "tests/support/durable_rig.h"

enum { STEPS = 4000, ITEMS_MAX = 40, ITEMS = 60, DAYS = 40, EVENTS = 12000, BATCH = 400 };

static struct durable_rig rig;

static int tear_down(void **state)
{
    (void)state;
    durable_rig_destroy(&rig);
    return 0;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static void assert_same(const struct person *a, const struct person *b)
{
    struct history of_a = person_history(a), of_b = person_history(b);
    assert_int_equal(a->capacity, b->capacity);
    assert_int_equal(of_a.count, of_b.count);
    assert_int_equal(of_a.events, of_b.events);
    assert_int_equal(of_a.purchases, of_b.purchases);
    assert_memory_equal(of_a.item, of_b.item, of_a.count * sizeof *of_a.item);
    assert_memory_equal(of_a.last_s, of_b.last_s, of_a.count * sizeof *of_a.last_s);
    assert_memory_equal(of_a.classes, of_b.classes, of_a.count);
    assert_memory_equal(of_a.days, of_b.days, of_a.count);
}

struct change {
    enum event_class event_class;
    uint32_t item_count;
    uint32_t item[3];
    uint32_t time_s;
};

static struct change random_change(struct rand *rand)
{
    struct change change = {.event_class = (enum event_class)rand_below(rand, EVENT_CLASS_NONE),
                            .item_count = (uint32_t)rand_below(rand, 4),
                            .time_s = (uint32_t)rand_below(rand, DAYS * 86400) + 1};
    for (uint32_t i = 0; i < change.item_count; i++)
        change.item[i] = (uint32_t)rand_below(rand, ITEMS);
    return change;
}

static void edit(struct person_edit *edit, const struct change *change)
{
    person_edit_event(edit, change->event_class);
    for (uint32_t i = 0; i < change->item_count; i++)
        person_edit_item(edit, change->item[i], change->event_class, change->time_s);
}

static struct person *copy_with(struct person_edit *scratch, const struct person *person,
                                const struct change *change, struct slabs *slabs)
{
    person_edit_begin(scratch, person);
    edit(scratch, change);
    struct person *copy = person_edit_finish(scratch, slabs);
    assert_non_null(copy);
    return copy;
}

static void test_a_block_edited_in_place_is_what_a_new_one_would_be(void **state)
{
    (void)state;
    struct slabs *slabs = NULL;
    struct person_edit scratch;
    struct person *copied = NULL, *edited = NULL;
    struct rand rand;
    uint32_t in_place = 0;
    rand_init(&rand, 11);
    assert_int_equal(slabs_create(&slabs, NULL), ERR_OK);
    assert_int_equal(person_edit_init(&scratch, ITEMS_MAX, NULL), ERR_OK);
    assert_false(person_has_room(NULL, 0, ITEMS_MAX));
    for (uint32_t step = 0; step < STEPS; step++) {
        const struct change change = random_change(&rand);
        struct person *next = copy_with(&scratch, copied, &change, slabs);
        slabs_free(slabs, copied, person_bytes(copied));
        copied = next;
        if (person_has_room(edited, change.item_count, ITEMS_MAX)) {
            struct person_edit place = person_edit_open(edited, ITEMS_MAX);
            edit(&place, &change);
            person_edit_close(&place, edited);
            in_place++;
        } else {
            next = copy_with(&scratch, edited, &change, slabs);
            slabs_free(slabs, edited, person_bytes(edited));
            edited = next;
        }
        assert_same(copied, edited);
    }
    assert_int_equal(edited->count, ITEMS_MAX);
    assert_true(in_place > STEPS * 9 / 10 && in_place < STEPS);
    slabs_free(slabs, copied, person_bytes(copied));
    slabs_free(slabs, edited, person_bytes(edited));
    person_edit_deinit(&scratch);
    slabs_destroy(&slabs);
}

/* ---- replays --------------------------------------------------------------------------------- */

/* Views, carts and purchases, some of them late; of users, of anonymous ids that come to belong to
 * one or more of them; and now and then somebody is forgotten. */
static void add_event(struct rand *rand, uint32_t number)
{
    static const char *const types[] = {"view", "cart_add", "purchase", "identify", "forget"};
    char json[400], who[48];
    uint32_t kind = number % 211 == 210 ? 4 : number % 37 == 36 ? 3 : (uint32_t)rand_below(rand, 3);
    uint32_t user = (uint32_t)rand_below(rand, 60), anon = (uint32_t)rand_below(rand, 90);
    int64_t late_ms = rand_below(rand, 4) == 0 ? (int64_t)rand_below(rand, 86400000) : 0;
    if (kind == 3)
        snprintf(who, sizeof who, "\"user\": \"u%u\", \"anon\": \"a%u\"", user, anon);
    else if (rand_below(rand, 2) == 0)
        snprintf(who, sizeof who, "\"user\": \"u%u\"", user);
    else
        snprintf(who, sizeof who, "\"anon\": \"a%u\"", anon);
    int len =
        snprintf(json, sizeof json, "{\"id\": \"e%u\", \"type\": \"%s\", \"ts\": %" PRId64 ", %s",
                 number, types[kind], DURABLE_RIG_NOW_MS - EVENTS + number - late_ms, who);
    if (kind < 3)
        snprintf(json + len, sizeof json - (size_t)len,
                 ", \"items\": [{\"id\": \"i%u\"}, {\"id\": \"i%u\"}]}",
                 (unsigned)rand_below(rand, 80), (unsigned)rand_below(rand, 80));
    else
        snprintf(json + len, sizeof json - (size_t)len, "}");
    events_add_json(&rig.events, json);
}

static void fill(uint32_t count)
{
    const struct store_limits limits = {.items_max = 1000,
                                        .people_max = 1000,
                                        .history_items_max = 20,
                                        .queue_events_max = 100000,
                                        .link_anons_max = 4,
                                        .link_users_max = 2,
                                        .dedup_events_max = 2000};
    struct rand rand;
    rand_init(&rand, 12);
    durable_rig_create(&rig, &limits);
    durable_rig_open(&rig, NULL);
    for (uint32_t i = 0; i < count; i++) {
        add_event(&rand, i);
        if (rig.events.count == BATCH || i + 1 == count)
            durable_rig_submit(&rig);
    }
}

static void test_a_replay_leads_to_the_state_and_the_memory_of_events(void **state)
{
    (void)state;
    struct store_stats live, replayed;
    struct store_recovery recovery;
    fill(EVENTS);
    uint64_t hash = durable_rig_hash(&rig);
    store_stats(rig.store, &live);
    assert_true(live.history_entries > 1000 && live.links > 10);
    assert_true(live.events_accepted > EVENTS - 400); /* links have their limits */
    for (uint32_t round = 0; round < 2; round++) { /* of the log, then of what it made and more */
        durable_rig_close(&rig);
        durable_rig_open(&rig, NULL);
        durable_rig_recover(&rig, &recovery);
        assert_int_equal(recovery.state, STORE_RECOVERED);
        assert_int_equal(durable_rig_hash(&rig), hash);
        store_stats(rig.store, &replayed);
        assert_int_equal(replayed.history_entries, live.history_entries);
        assert_int_equal(replayed.bytes_people, live.bytes_people);
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
    }
}

static bool has_history(const char *user)
{
    struct history by_id, by_number;
    struct text attributes;
    uint8_t consent;
    rcu_read_begin();
    bool has = store_history(rig.store, text_of(user), (struct text){0}, &by_id);
    assert_int_equal(has, store_user_at(rig.store, 0, &by_number, &attributes, &consent));
    assert_int_equal(by_id.count, by_number.count);
    assert_int_equal(by_id.count > 0, has);
    rcu_read_end();
    return has;
}

/* Opened beside another process, so that the replay does not end before it is told to. */
static void test_histories_are_given_once_the_store_is_recovered(void **state)
{
    (void)state;
    struct store_recovery recovery;
    fill(0);
    events_add_json(&rig.events, "{\"id\": \"e1\", \"type\": \"view\", \"user\": \"u1\", "
                                 "\"items\": [{\"id\": \"i1\"}]}");
    durable_rig_submit(&rig);
    (void)durable_rig_hash(&rig);
    assert_true(has_history("u1"));
    durable_rig_close(&rig);
    assert_int_equal(store_create(&rig.limits, &rig.clock.clock, &rig.store, &rig.err), ERR_OK);
    assert_int_equal(store_open_log(rig.store, &rig.log, &rig.checkpoints, &rig.err), ERR_OK);
    store_follow(rig.store);
    assert_int_equal(store_start(rig.store, &rig.err), ERR_OK);
    durable_rig_recover(&rig, &recovery);
    assert_int_equal(recovery.state, STORE_FOLLOWING);
    assert_int_equal(recovery.at_sequence, 1);
    assert_int_equal(store_user_count(rig.store), 1);
    assert_false(has_history("u1"));
    store_end_follow(rig.store);
    while (!store_is_recovered(rig.store))
        sched_yield();
    assert_true(has_history("u1"));
    assert_false(
        store_history(rig.store, TEXT_LITERAL("u2"), (struct text){0}, &(struct history){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_edited_in_place_is_what_a_new_one_would_be),
        cmocka_unit_test_teardown(test_a_replay_leads_to_the_state_and_the_memory_of_events,
                                  tear_down),
        cmocka_unit_test_teardown(test_histories_are_given_once_the_store_is_recovered, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
