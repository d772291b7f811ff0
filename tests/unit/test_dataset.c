/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/alloc_fail.h"
#include "tools/train/dataset.h"
#include "tools/train/event_ids.h"

#define DAY 86400

/* One event with up to three items; the id counts up unless one is given. */
static enum err_code add(struct interactions *to, enum event_type type, const char *user,
                         const char *anon, const char *const *items, int64_t day, const char *id)
{
    static unsigned next;
    char made[16];
    struct event_item item[3] = {{.qty = 1}};
    struct event event = {.type = type, .ts_ms = day * DAY * 1000 + 999, .items = item};
    snprintf(made, sizeof made, "e%u", next++);
    event.id = text_of(id != NULL ? id : made);
    event.user = text_of(user);
    event.anon = text_of(anon);
    for (; event.item_count < 3 && items[event.item_count] != NULL; event.item_count++)
        item[event.item_count].id = text_of(items[event.item_count]);
    struct err err = {0};
    return interactions_add(to, &event, &err);
}

#define ITEMS(...)                    \
    (const char *const[])             \
    {                                 \
        __VA_ARGS__, NULL, NULL, NULL \
    }

static struct interactions history(void)
{
    struct interactions in = {0};
    assert_int_equal(interactions_create(&in, NULL), ERR_OK);
    enum err_code rc = add(&in, EVENT_purchase, "ann", NULL, ITEMS("a", "b"), 1, NULL);
    rc |= add(&in, EVENT_view, "ann", NULL, ITEMS("a"), 2, NULL);
    rc |= add(&in, EVENT_view, "bob", NULL, ITEMS("a"), 2, NULL);
    rc |= add(&in, EVENT_cart_add, "bob", NULL, ITEMS("a"), 3, NULL);
    rc |= add(&in, EVENT_view, "bob", NULL, ITEMS("c"), 3, NULL);
    rc |= add(&in, EVENT_purchase, "cyd", NULL, ITEMS("c"), 3, NULL);
    rc |= add(&in, EVENT_dislike, "cyd", NULL, ITEMS("c"), 4, NULL);
    rc |= add(&in, EVENT_click, NULL, "ann", ITEMS("b"), 4, NULL); /* somebody else */
    rc |= add(&in, EVENT_purchase, "ann", NULL, ITEMS("c", "a"), 10, NULL);
    rc |= add(&in, EVENT_view, "bob", NULL, ITEMS("b"), 10, NULL);
    rc |= add(&in, EVENT_purchase, "bob", NULL, ITEMS("new"), 11, NULL);
    rc |= add(&in, EVENT_purchase, "dan", NULL, ITEMS("a"), 11, NULL);
    assert_int_equal(rc, ERR_OK);
    return in;
}

static float weight(const struct dataset *d, uint32_t person, const char *item,
                    const struct interactions *in)
{
    uint32_t number = idmap_find(in->items, text_of(item));
    return matrix_at(&d->pairs, d->row_of_person[person], d->column_of_item[number]);
}

static void test_pairs_weigh_what_the_strongest_event_weighs(void **state)
{
    (void)state;
    struct interactions in = history();
    struct dataset d = {0};
    assert_int_equal(dataset_build(&in, (struct span){0, 10 * DAY}, &d, NULL), ERR_OK);
    assert_int_equal(d.pairs.row_count, 4); /* ann, bob, cyd and the anonymous ann */
    assert_int_equal(d.pairs.column_count, 3);
    assert_int_equal(d.interaction_count, 8);
    assert_int_equal(d.newest_s, 4 * DAY);
    uint32_t anonymous_ann = idmap_count(in.users);
    assert_true(weight(&d, 0, "a", &in) == 1.0f);
    assert_true(weight(&d, 0, "b", &in) == 1.0f);
    assert_true(weight(&d, 0, "c", &in) == 0.0f);
    assert_true(weight(&d, 1, "a", &in) == 0.6f);
    assert_true(weight(&d, 1, "c", &in) == 0.3f);
    assert_true(weight(&d, 2, "c", &in) == 0.0f); /* bought, then disliked */
    assert_true(weight(&d, anonymous_ann, "b", &in) == 0.3f);
    assert_true(weight(&d, anonymous_ann, "a", &in) == 0.0f);
    assert_int_equal(d.row_of_person[idmap_find(in.users, TEXT_LITERAL("dan"))], DATASET_NONE);
    assert_int_equal(d.column_of_item[idmap_find(in.items, TEXT_LITERAL("new"))], DATASET_NONE);
    bool anonymous = false;
    assert_true(text_is(interactions_id(&in, anonymous_ann, &anonymous), "ann"));
    assert_true(anonymous);
    assert_true(text_is(interactions_id(&in, 0, &anonymous), "ann"));
    assert_false(anonymous);
    dataset_deinit(&d);
    interactions_destroy(&in);
}

static void test_targets_are_purchases_of_known_people_and_items(void **state)
{
    (void)state;
    struct interactions in = history();
    struct dataset d = {0};
    struct targets t = {0};
    assert_int_equal(dataset_build(&in, (struct span){0, 10 * DAY}, &d, NULL), ERR_OK);
    assert_int_equal(targets_build(&in, (struct span){10 * DAY, DATASET_ALL}, &d, &t, NULL),
                     ERR_OK);
    assert_int_equal(t.event_class, EVENT_CLASS_PURCHASE);
    assert_int_equal(matrix_count(&t.items), 2); /* ann: c and a; nothing of bob or dan */
    assert_int_equal(matrix_row_length(&t.items, 0), 2);
    assert_true(targets_known(&t, 1.0f));
    assert_false(targets_known(&t, 0.6f));
    targets_deinit(&t);
    /* In a time without purchases the strongest that there is counts. */
    assert_int_equal(targets_build(&in, (struct span){2 * DAY, 3 * DAY}, &d, &t, NULL), ERR_OK);
    assert_int_equal(t.event_class, EVENT_CLASS_VIEW);
    assert_int_equal(matrix_count(&t.items), 2);
    assert_true(targets_known(&t, 0.3f));
    targets_deinit(&t);
    struct err err = {0};
    assert_int_equal(targets_build(&in, (struct span){20 * DAY, DATASET_ALL}, &d, &t, &err),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "nothing to test on"));
    dataset_deinit(&d);
    interactions_destroy(&in);
}

static void test_the_span_is_half_open(void **state)
{
    (void)state;
    struct interactions in = history();
    struct dataset d = {0};
    assert_int_equal(dataset_build(&in, (struct span){3 * DAY, 4 * DAY}, &d, NULL), ERR_OK);
    assert_int_equal(d.interaction_count, 3);
    dataset_deinit(&d);
    assert_int_equal(dataset_build(&in, (struct span){11 * DAY, DATASET_ALL}, &d, NULL), ERR_OK);
    assert_int_equal(d.interaction_count, 2);
    dataset_deinit(&d);
    struct err err = {0};
    assert_int_equal(dataset_build(&in, (struct span){5 * DAY, 10 * DAY}, &d, &err), ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "nothing to train on"));
    interactions_destroy(&in);
}

static void test_no_events_at_all(void **state)
{
    (void)state;
    struct interactions in = {0};
    struct dataset d = {0};
    assert_int_equal(interactions_create(&in, NULL), ERR_OK);
    assert_int_equal(dataset_build(&in, (struct span){0, DATASET_ALL}, &d, NULL), ERR_NOT_FOUND);
    interactions_destroy(&in);
}

static void test_an_event_counts_once_and_others_not_at_all(void **state)
{
    (void)state;
    struct interactions in = {0};
    assert_int_equal(interactions_create(&in, NULL), ERR_OK);
    assert_int_equal(add(&in, EVENT_purchase, "ann", NULL, ITEMS("a"), 1, "same"), ERR_OK);
    assert_int_equal(add(&in, EVENT_purchase, "ann", NULL, ITEMS("b"), 2, "same"), ERR_OK);
    assert_int_equal(add(&in, EVENT_purchase, "ann", NULL, ITEMS("b"), 2, "other"), ERR_OK);
    assert_int_equal(add(&in, EVENT_impression, "ann", NULL, ITEMS("c"), 2, NULL), ERR_OK);
    assert_int_equal(add(&in, EVENT_item_upsert, NULL, NULL, ITEMS("d"), 2, NULL), ERR_OK);
    assert_int_equal(add(&in, EVENT_view, "ann", NULL, ITEMS(NULL), 2, NULL), ERR_OK);
    assert_int_equal(in.count, 2);
    assert_int_equal(in.events, 2);
    assert_int_equal(in.duplicates, 1);
    assert_int_equal(in.unused, 3);
    assert_int_equal(idmap_count(in.items), 2);
    interactions_destroy(&in);
}

static void test_thousands_of_event_ids(void **state)
{
    (void)state;
    struct event_ids *ids = NULL;
    assert_int_equal(event_ids_create(&ids, NULL), ERR_OK);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 20000; i++) {
            char id[16];
            bool added = false;
            snprintf(id, sizeof id, "id-%d", i);
            assert_int_equal(event_ids_add(ids, text_of(id), &added, NULL), ERR_OK);
            assert_int_equal(added, round == 0);
        }
    }
    event_ids_destroy(&ids);
    assert_null(ids);
}

static void test_no_memory(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct interactions in = {0};
        struct dataset d = {0};
        struct targets t = {0};
        alloc_fail_after(n);
        enum err_code rc = interactions_create(&in, NULL);
        if (rc == ERR_OK)
            rc = add(&in, EVENT_purchase, "ann", NULL, ITEMS("a", "b"), 1, NULL);
        if (rc == ERR_OK)
            rc = dataset_build(&in, (struct span){0, DATASET_ALL}, &d, NULL);
        if (rc == ERR_OK)
            rc = targets_build(&in, (struct span){0, DATASET_ALL}, &d, &t, NULL);
        bool failed = alloc_fail_off();
        targets_deinit(&t);
        dataset_deinit(&d);
        interactions_destroy(&in);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_weigh_what_the_strongest_event_weighs),
        cmocka_unit_test(test_targets_are_purchases_of_known_people_and_items),
        cmocka_unit_test(test_the_span_is_half_open),
        cmocka_unit_test(test_no_events_at_all),
        cmocka_unit_test(test_an_event_counts_once_and_others_not_at_all),
        cmocka_unit_test(test_thousands_of_event_ids),
        cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
