/* SPDX-License-Identifier: Apache-2.0 */
/* A person is forgotten: by memory at once, by the files in a round; all others stay as they were.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>
#include <string.h>

#include "featurestore/store_erase.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/feature_rig.h"
#include "tests/support/forget_rig.h"

static void test_a_person_leaves_memory_at_once_and_files_in_a_round(void **state)
{
    (void)state;
    struct history history;
    struct store_stats before, after;
    forget_rig_alice_lives();
    forget_rig_bob_lives();
    forget_rig_commit();
    store_stats(forget_rig.store, &before);
    assert_int_equal(before.users, 2);
    assert_int_equal(before.links, 1);
    assert_true(forget_rig_search(ALICE) > 0);
    assert_true(forget_rig_search(DEVICE) > 0);
    assert_int_equal(forget_rig_forget(ALICE, NULL), 1);
    forget_rig_assert_unknown(ALICE, DEVICE);
    store_stats(forget_rig.store, &after);
    assert_int_equal(after.users, 1);
    assert_int_equal(after.anons, 0);
    assert_int_equal(after.links, 0);
    assert_int_equal(after.history_entries, 2);
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
    assert_true(forget_rig_search(ALICE) > 0); /* files come later */

    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search(ALICE), 0);
    assert_int_equal(forget_rig_search(DEVICE), 0);
    assert_int_equal(forget_rig_search("secret"), 0);
    assert_true(forget_rig_search(BOB) > 0);
    store_stats(forget_rig.store, &after); /* the pairs, too */
    assert_true(after.feature_rows < before.feature_rows);
    assert_true(store_history(forget_rig.store, text_of(BOB), NOBODY, &history));
    assert_int_equal(history.count, 2);
    /* What she bought and saw counts on for the items. */
    uint32_t shoe = store_item_find(forget_rig.store, text_of("shoe"));
    assert_int_equal(store_item_events(forget_rig.store, shoe, EVENT_CLASS_VIEW, STORE_WINDOW_30D),
                     3);
    assert_int_equal(
        store_item_events(forget_rig.store, shoe, EVENT_CLASS_PURCHASE, STORE_WINDOW_30D), 1);

    uint64_t erased = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == erased);
    forget_rig_reopen();
    assert_true(durable_rig_hash(&forget_rig) == erased);
    forget_rig_assert_unknown(ALICE, DEVICE);
    assert_int_equal(durable_rig_erase(&forget_rig),
                     ERR_NOT_FOUND); /* nothing is left to be done */

    /* Whoever comes back is somebody new, and stays. */
    forget_rig_add("{\"type\":\"view\",\"user\":\"" ALICE "\",\"items\":[{\"id\":\"hat\"}]}");
    forget_rig_commit();
    forget_rig_reopen();
    assert_true(store_history(forget_rig.store, text_of(ALICE), NOBODY, &history));
    assert_int_equal(history.count, 1);
    assert_true(forget_rig_search(ALICE) > 0);
}

static void test_a_forget_event_of_a_batch(void **state)
{
    (void)state;
    forget_rig_alice_lives();
    forget_rig_add("{\"id\":\"secret-f\",\"type\":\"forget\",\"user\":\"" ALICE
                   "\",\"anons\":[\"" BOB
                   "\"],\"shared\":[1]}"); /* what only records say means nothing here */
    forget_rig_add("{\"id\":\"b3\",\"type\":\"view\",\"user\":\"" BOB
                   "\",\"items\":[{\"id\":\"hat\"}]}");
    forget_rig_add("{\"id\":\"x\",\"type\":\"forget\"}");
    forget_rig_commit();
    uint64_t hash = durable_rig_hash(&forget_rig);
    struct store_stats stats;
    store_stats(forget_rig.store, &stats);
    assert_int_equal(stats.events_rejected, 1);
    forget_rig_assert_unknown(ALICE, DEVICE);
    assert_true(forget_rig_hash_of_replay() == hash);
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(
        forget_rig_search(ALICE) + forget_rig_search(DEVICE) + forget_rig_search("secret"), 0);
    assert_true(forget_rig_search(BOB) > 0);
    hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
    /* Its id is forgotten, as the others are: it would not be a duplicate. */
    forget_rig_add("{\"id\":\"secret-a1\",\"type\":\"view\",\"user\":\"" BOB
                   "\",\"items\":[{\"id\":\"shoe\"}]}");
    forget_rig_commit();
    store_stats(forget_rig.store, &stats);
    assert_int_equal(stats.events_duplicate, 0);
}

static void test_a_shared_device_stays_and_stays_shared(void **state)
{
    (void)state;
    struct history history;
    forget_rig_add("{\"type\":\"view\",\"anon\":\"tablet\",\"items\":[{\"id\":\"shoe\"}]}");
    forget_rig_add("{\"type\":\"identify\",\"user\":\"" ALICE "\",\"anon\":\"tablet\"}");
    forget_rig_add("{\"type\":\"identify\",\"user\":\"" BOB "\",\"anon\":\"tablet\"}");
    forget_rig_add("{\"type\":\"view\",\"user\":\"" BOB "\",\"items\":[{\"id\":\"hat\"}]}");
    forget_rig_add(
        "{\"type\":\"view\",\"user\":\"" ALICE
        "\",\"anon\":\"tablet\",\"items\":[{\"id\":\"hat\"}],\"consent\":{\"ads\":false}}");
    forget_rig_commit();
    forget_rig_forget(ALICE, NULL);
    for (int i = 0; i < 3; i++) {
        assert_true(store_history(forget_rig.store, NOBODY, text_of("tablet"), &history));
        assert_int_equal(history.count, 1);
        assert_true(store_is_shared(forget_rig.store, text_of("tablet")));
        assert_true(store_history(forget_rig.store, text_of(BOB), NOBODY, &history));
        assert_int_equal(history.count, 1); /* what she did on it does not become his */
        assert_int_equal(store_consent(forget_rig.store, NOBODY, text_of("tablet")),
                         CONSENT_ALL & ~CONSENT_BIT(ads));
        uint64_t hash = durable_rig_hash(&forget_rig);
        assert_true(forget_rig_hash_of_replay() == hash);
        if (i == 0)
            assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
        else
            forget_rig_reopen();
    }
    assert_int_equal(forget_rig_search(ALICE), 0);
    assert_true(forget_rig_search("tablet") > 0);
    forget_rig_forget(NULL, "tablet"); /* and goes when it is asked for itself */
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search("tablet"), 0);
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
}

static void test_an_anonymous_id_leaves_its_user(void **state)
{
    (void)state;
    struct history history;
    struct store_link link;
    forget_rig_alice_lives();
    forget_rig_add("{\"id\":\"a8\",\"type\":\"view\",\"user\":\"" ALICE "\",\"anon\":\"" DEVICE
                   "\",\"items\":[{\"id\":\"hat\"}]}");
    forget_rig_commit();
    forget_rig_forget(NULL, DEVICE);
    assert_true(store_history(forget_rig.store, text_of(ALICE), NOBODY, &history));
    assert_int_equal(history.count, 2);
    assert_false(store_link_at(forget_rig.store, text_of(ALICE), NOBODY, 0, &link));
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search(DEVICE), 0);
    assert_int_equal(forget_rig_search("secret-a1"), 0);
    assert_true(forget_rig_search(ALICE) > 0);
    assert_true(forget_rig_search("secret-order") > 0);
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
    forget_rig_reopen();
    assert_true(durable_rig_hash(&forget_rig) == hash);
}

static void test_somebody_unknown_is_forgotten_all_the_same(void **state)
{
    (void)state;
    forget_rig_bob_lives();
    forget_rig_add("{\"type\":\"search\",\"user\":\"only-" ALICE
                   "\",\"query\":\"secret\"}"); /* not a person */
    forget_rig_commit();
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_int_equal(forget_rig_forget("nobody-has-this-id", NULL), 1);
    assert_int_equal(forget_rig_forget("only-" ALICE, NULL), 2);
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search("nobody-has-this-id") + forget_rig_search("only-" ALICE) +
                         forget_rig_search("secret"),
                     0);
    (void)hash;
    hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
    uint64_t request = 0;
    assert_int_equal(store_forget(forget_rig.store, NOBODY, NOBODY, &request, &forget_rig.err),
                     ERR_BAD_INPUT);
    assert_int_equal(
        store_forget(forget_rig.store, text_of("a\nb"), NOBODY, &request, &forget_rig.err),
        ERR_BAD_INPUT);
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    struct store_rig small;
    const struct store_limits limits = {.items_max = 100,
                                        .people_max = 100,
                                        .history_items_max = 10,
                                        .queue_events_max = 2000,
                                        .dedup_events_max = 100,
                                        .link_anons_max = 4,
                                        .link_users_max = 4,
                                        .feature_rows_max = 100};
    store_rig_create(&small, &limits);
    for (uint32_t n = 0;; n++) {
        store_rig_apply_json(&small,
                             "{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"i\"}]}");
        store_rig_apply_json(&small,
                             "{\"type\":\"view\",\"anon\":\"a\",\"items\":[{\"id\":\"i\"}]}");
        store_rig_apply_json(&small, "{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\"}");
        store_rig_apply_json(&small, "{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"s\"}");
        store_rig_apply_json(&small, "{\"type\":\"identify\",\"user\":\"v\",\"anon\":\"s\"}");
        uint64_t before = store_hash_now(small.store);
        events_add_json(&small.events, "{\"type\":\"forget\",\"user\":\"u\"}");
        size_t len = events_end(&small.events);
        alloc_fail_after(n);
        events_apply(small.store, &small.events, len, STORE_RIG_NOW_MS);
        bool failed = alloc_fail_off();
        events_begin(&small.events);
        if (!failed) {
            assert_int_equal(small.store->result.accepted, 1);
            assert_true(n > 0);
            break;
        }
        if (small.store->result.accepted == 1)
            break; /* a view that could not be made anew is not missed */
        assert_int_equal(small.store->result.rejection[0].code, ERR_NOMEM);
        assert_true(store_hash_now(small.store) == before);
    }
    assert_int_equal(idmap_find(small.store->users.ids, text_of("u")), IDMAP_NONE);
    assert_int_equal(idmap_find(small.store->anons.ids, text_of("a")), IDMAP_NONE);
    assert_true(store_is_shared(small.store, text_of("s")));
    store_rig_destroy(&small);
}

static void test_features_of_a_person_go(void **state)
{
    (void)state;
    struct store_rig small;
    feature_rig_create(&small);
    feature_rig_load_catalogue(&small);
    feature_rig_define(&small,
                       "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"]},"
                       "\"item.views\": {\"kind\": \"count\", \"events\": [\"view\"]},"
                       "\"user_item.views\": {\"kind\": \"count\", \"events\": [\"view\"]}");
    feature_rig_act(&small, "view", "u1", "shoe", 10);
    feature_rig_act(&small, "view", "u2", "shoe", 10);
    feature_rig_act(&small, "view", "@a1", "shoe", 10);
    store_rig_apply_json(&small, "{\"type\":\"forget\",\"user\":\"u1\",\"anon\":\"a1\"}");
    assert_true(feature_rig_value(&small, "item.views", (struct feature_rig_of){.item = "shoe"}) ==
                3);
    assert_true(feature_rig_value(&small, "user.views", (struct feature_rig_of){.user = "u2"}) ==
                1);
    assert_true(
        isnan(feature_rig_value(&small, "user.views", (struct feature_rig_of){.user = "u1"})));
    uint64_t hash = store_hash_now(small.store),
             rows = feature_tables_row_count(small.store->features);
    struct erasure_sweep at = {0};
    while (store_erasure_sweep(small.store, &at))
        continue;
    assert_true(store_hash_now(small.store) ==
                hash); /* what cannot be reached counts for nothing */
    assert_int_equal(feature_tables_row_count(small.store->features), rows - 2);
    feature_rig_act(&small, "view", "u1", "shoe", 10);
    assert_true(feature_rig_value(&small, "user_item.views",
                                  (struct feature_rig_of){.user = "u1", .item = "shoe"}) == 1);
    store_rig_destroy(&small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_rig_set_up, forget_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_a_person_leaves_memory_at_once_and_files_in_a_round),
        TEST(test_a_forget_event_of_a_batch),
        TEST(test_a_shared_device_stays_and_stays_shared),
        TEST(test_an_anonymous_id_leaves_its_user),
        TEST(test_somebody_unknown_is_forgotten_all_the_same),
        TEST(test_without_memory_nothing_changes),
        TEST(test_features_of_a_person_go),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
