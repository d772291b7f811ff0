/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "featurestore/dedup.h"
#include "tests/support/alloc_fail.h"

static struct text id_of(uint32_t number, char buf[16])
{
    snprintf(buf, 16, "e%u", number);
    return text_of(buf);
}

static void test_the_newest_ids_are_remembered(void **state)
{
    (void)state;
    static const uint32_t capacities[] = {1, 2, 3, 7, 64, 1000};
    for (size_t k = 0; k < sizeof capacities / sizeof capacities[0]; k++) {
        uint32_t capacity = capacities[k];
        struct dedup *dedup = NULL;
        struct err err;
        char buf[16];
        assert_int_equal(dedup_create(capacity, 0, &dedup, &err), ERR_OK);
        for (uint32_t i = 0; i < 5 * capacity + 3; i++) {
            assert_false(dedup_has(dedup, id_of(i, buf), 0));
            dedup_add(dedup, id_of(i, buf), 0);
            /* All of the last `capacity` ids, and the one before them not. */
            if (i % 13 == 0 || capacity < 64) {
                for (uint32_t back = 0; back < capacity && back <= i; back++)
                    assert_true(dedup_has(dedup, id_of(i - back, buf), 0));
            }
            if (i >= capacity)
                assert_false(dedup_has(dedup, id_of(i - capacity, buf), 0));
        }
        dedup_destroy(&dedup);
        assert_null(dedup);
    }
}

static void test_no_capacity_remembers_nothing(void **state)
{
    (void)state;
    struct dedup *dedup = NULL;
    struct err err;
    assert_int_equal(dedup_create(0, 0, &dedup, &err), ERR_OK);
    dedup_add(dedup, TEXT_LITERAL("e"), 0);
    assert_false(dedup_has(dedup, TEXT_LITERAL("e"), 0));
    dedup_destroy(&dedup);
    dedup_destroy(&dedup);
}

static void test_ids_are_forgotten_with_time(void **state)
{
    (void)state;
    struct dedup *dedup = NULL;
    struct err err;
    assert_int_equal(dedup_create(4, 100, &dedup, &err), ERR_OK);
    assert_int_equal(dedup_oldest_s(dedup), 0);
    dedup_add(dedup, TEXT_LITERAL("a"), 1000);
    dedup_add(dedup, TEXT_LITERAL("b"), 1050);
    assert_true(dedup_has(dedup, TEXT_LITERAL("a"), 1100));
    assert_false(dedup_has(dedup, TEXT_LITERAL("a"), 1101)); /* looking forgets nothing */
    assert_int_equal(dedup_oldest_s(dedup), 1000);
    uint64_t before = dedup_hash(dedup);
    dedup_add(dedup, TEXT_LITERAL("c"), 1101);
    assert_int_equal(dedup_oldest_s(dedup), 1050);
    assert_true(dedup_has(dedup, TEXT_LITERAL("b"), 1150));
    assert_true(dedup_hash(dedup) != before);
    dedup_destroy(&dedup);

    /* The same is remembered by one that saw only what the other still knows. */
    struct dedup *late = NULL;
    assert_int_equal(dedup_create(4, 100, &dedup, &err), ERR_OK);
    assert_int_equal(dedup_create(4, 100, &late, &err), ERR_OK);
    for (uint32_t i = 0; i < 50; i++) {
        char buf[16];
        dedup_add(dedup, id_of(i, buf), 1000 + 30 * i);
        if (i >= 46)
            dedup_add(late, id_of(i, buf), 1000 + 30 * i);
    }
    assert_int_equal(dedup_oldest_s(dedup), 1000 + 30 * 46);
    assert_int_equal(dedup_hash(late), dedup_hash(dedup));
    dedup_destroy(&late);
    dedup_destroy(&dedup);
}

static void test_a_clock_that_goes_back_leaves_the_index_whole(void **state)
{
    (void)state;
    struct dedup *dedup = NULL;
    struct err err;
    uint32_t seed = 7;
    assert_int_equal(dedup_create(16, 100, &dedup, &err), ERR_OK);
    for (uint32_t i = 0; i < 20000; i++) {
        char buf[16];
        seed = seed * 1664525u + 1013904223u;
        uint32_t now_s = 1000 + i / 4 + (seed >> 24);
        struct text id = id_of(seed >> 8 & 63, buf);
        if (!dedup_has(dedup, id, now_s))
            dedup_add(dedup, id, now_s);
        assert_true(dedup_has(dedup, id, now_s));
    }
    for (uint32_t i = 0; i < 16; i++) { /* and nothing stays behind in it */
        char buf[16];
        dedup_add(dedup, id_of(1000 + i, buf), 100000);
    }
    for (uint32_t i = 0; i < 64; i++) {
        char buf[16];
        assert_false(dedup_has(dedup, id_of(i, buf), 6000));
    }
    dedup_destroy(&dedup);
}

/* A ring in which some ids were erased is one to which they were never added, place for place. */
static void test_erased_ids_leave_their_places(void **state)
{
    (void)state;
    struct dedup *live = NULL, *replayed = NULL;
    struct err err;
    char buf[16];
    assert_int_equal(dedup_create(100, 50, &live, &err), ERR_OK);
    assert_int_equal(dedup_create(100, 50, &replayed, &err), ERR_OK);
    for (uint32_t i = 0; i < 1000; i++) {
        dedup_add(live, id_of(i, buf), 1000 + i / 3);
        if (i % 7 == 0)
            dedup_erase(live, dedup_key(id_of(i, buf)));
    }
    dedup_erase(live, dedup_key(id_of(5000, buf))); /* one that is not there */
    dedup_erase(live, dedup_key(id_of(994, buf)));  /* and one that is not any more */
    for (uint32_t i = 0; i < 1000; i++) {
        if (i % 7 == 0)
            dedup_add_erased(replayed, 1000 + i / 3);
        else
            dedup_add(replayed, id_of(i, buf), 1000 + i / 3);
    }
    assert_true(dedup_hash(live) == dedup_hash(replayed));
    assert_int_equal(dedup_oldest_s(live), dedup_oldest_s(replayed));
    for (uint32_t i = 900; i < 1000; i++)
        assert_int_equal(dedup_has(live, id_of(i, buf), 1333), i % 7 != 0);
    for (uint32_t i = 0; i < 200; i++) { /* all places come round again */
        dedup_add(live, id_of(2000 + i, buf), 1400);
        dedup_add(replayed, id_of(2000 + i, buf), 1400);
    }
    assert_true(dedup_hash(live) == dedup_hash(replayed));
    dedup_destroy(&live);
    dedup_destroy(&replayed);
}

static void test_creation_fails_cleanly_without_memory(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct dedup *dedup = NULL;
        struct err err;
        alloc_fail_after(n);
        enum err_code rc = dedup_create(100, 0, &dedup, &err);
        bool failed = alloc_fail_off();
        dedup_destroy(&dedup);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_ids_are_remembered),
        cmocka_unit_test(test_no_capacity_remembers_nothing),
        cmocka_unit_test(test_ids_are_forgotten_with_time),
        cmocka_unit_test(test_a_clock_that_goes_back_leaves_the_index_whole),
        cmocka_unit_test(test_erased_ids_leave_their_places),
        cmocka_unit_test(test_creation_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
