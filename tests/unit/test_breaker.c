/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <pthread.h>

#include "base/breaker.h"

#define MS UINT64_C(1000000)

static uint64_t now_ns = 5000 * MS;

static void calls(struct breaker *breaker, int count, bool good)
{
    for (int i = 0; i < count; i++) {
        assert_true(breaker_allows(breaker, now_ns));
        breaker_record(breaker, now_ns, good);
    }
}

static void test_it_opens_when_most_calls_are_bad(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    calls(&breaker, BREAKER_CALLS - 1, false); /* too few to say anything */
    assert_string_equal(breaker_name(&breaker), "closed");
    calls(&breaker, 1, false);
    assert_string_equal(breaker_name(&breaker), "open");
    assert_false(breaker_allows(&breaker, now_ns));
    assert_false(breaker_allows(&breaker, now_ns + 1000 * MS - 1));
    assert_false(breaker_is_closed(&breaker));
    breaker = (struct breaker){0};
    for (int i = 0; i < 200; i++) /* half of them is not most of them */
        calls(&breaker, 1, i % 2 == 0);
    assert_true(breaker_is_closed(&breaker));
}

static void test_a_second_forgets(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    for (int second = 0; second < 5; second++) {
        calls(&breaker, BREAKER_CALLS - 1, false);
        now_ns += 1000 * MS;
    }
    assert_true(breaker_is_closed(&breaker));
}

static void test_good_probes_close_it_and_a_bad_one_opens_it_for_longer(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    static const uint64_t pauses_ms[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
    calls(&breaker, BREAKER_CALLS, false);
    for (size_t i = 0; i < sizeof pauses_ms / sizeof pauses_ms[0]; i++) {
        assert_false(breaker_allows(&breaker, now_ns + pauses_ms[i] * MS - 1));
        now_ns += pauses_ms[i] * MS;
        assert_true(breaker_allows(&breaker, now_ns));
        assert_string_equal(breaker_name(&breaker), "half_open");
        assert_false(breaker_allows(&breaker, now_ns)); /* one at a time */
        breaker_record(&breaker, now_ns, false);
        assert_string_equal(breaker_name(&breaker), "open");
    }
    now_ns += 30000 * MS;
    for (int probe = 0; probe < BREAKER_PROBES; probe++, now_ns += 100 * MS) {
        assert_false(breaker_is_closed(&breaker));
        calls(&breaker, 1, true);
        assert_true(probe == BREAKER_PROBES - 1 ||
                    !breaker_allows(&breaker, now_ns + 100 * MS - 1));
    }
    assert_true(breaker_is_closed(&breaker));
    calls(&breaker, BREAKER_CALLS, false); /* and it begins with a second again */
    assert_true(breaker_allows(&breaker, now_ns + 1000 * MS));
}

static void test_by_hand(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    breaker_hold(&breaker, BREAKER_HELD_CLOSED);
    calls(&breaker, 100, false);
    assert_string_equal(breaker_name(&breaker), "held_closed");
    assert_true(breaker_is_closed(&breaker));
    breaker_hold(&breaker, BREAKER_HELD_OPEN);
    assert_false(breaker_allows(&breaker, now_ns + 3600000 * MS));
    breaker_record(&breaker, now_ns, true);
    assert_string_equal(breaker_name(&breaker), "held_open");
    breaker_hold(&breaker, BREAKER_AUTO);
    assert_string_equal(breaker_name(&breaker), "closed");
    assert_true(breaker_allows(&breaker, now_ns));
}

static void *use(void *arg)
{
    struct breaker *breaker = arg;
    for (uint64_t i = 0; i < 20000; i++) {
        if (breaker_allows(breaker, 5000 * MS + i * MS))
            breaker_record(breaker, 5000 * MS + i * MS, i % 7 == 0);
    }
    return NULL;
}

/* For ThreadSanitizer; and whatever the order, it is in one of its states afterwards. */
static void test_many_threads(void **state)
{
    (void)state;
    struct breaker breaker = {0};
    pthread_t thread[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, use, &breaker), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    assert_in_range(atomic_load(&breaker.state), BREAKER_CLOSED, BREAKER_HALF_OPEN);
    assert_true(atomic_load(&breaker.opened_count) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_opens_when_most_calls_are_bad),
        cmocka_unit_test(test_a_second_forgets),
        cmocka_unit_test(test_good_probes_close_it_and_a_bad_one_opens_it_for_longer),
        cmocka_unit_test(test_by_hand),
        cmocka_unit_test(test_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
