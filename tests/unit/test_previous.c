/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions stay loaded: the choice alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "server/control/previous.h"

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

/* The tags of those that stay, such as "0 2", in their order. */
static const char *stay(struct previous *list, uint32_t count, uint64_t bytes_max)
{
    static char text[1024];
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        list[i].tag = i;
    previous_choose(list, count, bytes_max);
    text[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        if (list[i].stays)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%u", used > 0 ? " " : "",
                                     list[i].tag);
    }
    return text;
}

static void test_the_least_recently_served_go_first(void **state)
{
    static const struct previous versions[] = {{.bytes = 10, .served = 3},
                                               {.bytes = 10, .served = 1},
                                               {.bytes = 10, .served = 4},
                                               {.bytes = 10, .served = 2}};
    static const struct {
        uint64_t bytes_max;
        const char *stay;
    } cases[] = {{0, ""},     {9, ""},       {10, "2"},       {19, "2"},
                 {20, "2 0"}, {39, "2 0 3"}, {40, "2 0 3 1"}, {UINT64_MAX, "2 0 3 1"}};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct previous list[COUNT(versions)];
        memcpy(list, versions, sizeof list);
        assert_string_equal(stay(list, COUNT(list), cases[i].bytes_max), cases[i].stay);
    }
    assert_string_equal(stay(NULL, 0, 100), "");
}

static void test_what_a_rollback_serves_goes_last(void **state)
{
    struct previous list[] = {{.bytes = 10, .served = 9},
                              {.bytes = 10, .served = 1, .is_next = true},
                              {.bytes = 10, .served = 0, .is_next = true}};
    (void)state;
    assert_string_equal(stay(list, COUNT(list), 20), "1 2");
}

static void test_one_that_never_fits_takes_nothing_from_the_others(void **state)
{
    struct previous list[] = {{.bytes = 101, .served = 3, .is_next = true},
                              {.bytes = 60, .served = 2},
                              {.bytes = 40, .served = 1}};
    (void)state;
    assert_string_equal(stay(list, COUNT(list), 100), "1 2");
    /* One that would fit alone goes before an older one that still fits is asked. */
    struct previous tail[] = {
        {.bytes = 60, .served = 3}, {.bytes = 50, .served = 2}, {.bytes = 10, .served = 1}};
    assert_string_equal(stay(tail, COUNT(tail), 100), "0");
    struct previous huge[] = {{.bytes = UINT64_MAX, .served = 2}, {.bytes = 1, .served = 1}};
    assert_string_equal(stay(huge, COUNT(huge), UINT64_MAX), "0");
}

static void test_no_more_stay_than_the_list_has_room_for(void **state)
{
    static struct previous list[PREVIOUS_MAX + 10];
    uint32_t count = 0;
    (void)state;
    for (uint32_t i = 0; i < COUNT(list); i++)
        list[i] = (struct previous){.bytes = 0, .served = i + 1};
    (void)stay(list, COUNT(list), 1);
    for (uint32_t i = 0; i < COUNT(list); i++) {
        assert_int_equal(list[i].served, COUNT(list) - i);
        count += list[i].stays;
    }
    assert_int_equal(count, PREVIOUS_MAX);
}

/* The sum is within the budget, and nothing stays behind one that could have fitted. */
static void test_any_list_holds_the_budget(void **state)
{
    struct rand rand;
    (void)state;
    rand_init(&rand, 7);
    for (int round = 0; round < 2000; round++) {
        struct previous list[12];
        uint32_t count = (uint32_t)rand_below(&rand, COUNT(list) + 1);
        uint64_t bytes_max = rand_below(&rand, 200), sum = 0;
        bool gone = false;
        for (uint32_t i = 0; i < count; i++)
            list[i] = (struct previous){.bytes = rand_below(&rand, 100),
                                        .served = rand_below(&rand, 5),
                                        .is_next = rand_below(&rand, 2) == 0,
                                        .tag = i};
        previous_choose(list, count, bytes_max);
        for (uint32_t i = 0; i < count; i++) {
            sum += list[i].stays ? list[i].bytes : 0;
            assert_false(gone && list[i].stays);
            gone = gone || (!list[i].stays && list[i].bytes <= bytes_max);
        }
        assert_true(sum <= bytes_max);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_least_recently_served_go_first),
        cmocka_unit_test(test_what_a_rollback_serves_goes_last),
        cmocka_unit_test(test_one_that_never_fits_takes_nothing_from_the_others),
        cmocka_unit_test(test_no_more_stay_than_the_list_has_room_for),
        cmocka_unit_test(test_any_list_holds_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
