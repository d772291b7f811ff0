/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench: how replies are told apart, and how a sweep finds the knee. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/bench/sweep.h"
#include "tools/bench/traffic.h"

static void replies_are_told_apart(void **state)
{
    (void)state;
    struct text what;
#define READ(literal) traffic_read((const uint8_t *)(literal), sizeof(literal) - 1, &what)
    assert_int_equal(READ("\x82\xA2ok\xC3\xA5level\xA4"
                          "full"),
                     ANSWER_OK);
    assert_true(text_is(what, "full"));
    assert_int_equal(READ("\x82\xA2ok\xC2\xA5"
                          "error\x81\xA4"
                          "code\xA8"
                          "internal"),
                     ANSWER_REFUSED);
    assert_true(text_is(what, "internal"));
    assert_int_equal(READ("\x82\xA2ok\xC3\xA5slots\x93\x81\xA5level\xA4"
                          "full\x82\xA1x\x01\xA5level\xA7reduced\x81\xA5level\xA6static"),
                     ANSWER_OK);
    assert_true(text_is(what, "reduced"));
    assert_int_equal(READ("\x82\xA2ok\xC3\xA5slots\x91\x81\xA5level\xA4"
                          "full"),
                     ANSWER_OK);
    assert_true(text_is(what, "full"));
    assert_int_equal(READ("\x82\xA2ok\xC3\xA5slots\x90"), ANSWER_OK);
    assert_null(what.ptr);
    assert_int_equal(READ("\x80"), ANSWER_MALFORMED);
    assert_int_equal(READ("\xC1"), ANSWER_MALFORMED);
    assert_int_equal(READ("\x81\xA2ok\x01"), ANSWER_MALFORMED);
#undef READ
    struct tally tally = {0};
    tally_add(&tally, text_of("full"), 2);
    tally_add(&tally, text_of("no \"quotes\""), 1);
    tally_add(&tally, text_of("full"), 1);
    assert_int_equal(tally.used, 2);
    assert_int_equal(tally.rows[0].count, 3);
    assert_string_equal(tally.rows[1].name, "other");
    for (char c = 'a'; c <= 'z'; c++)
        tally_add(&tally, (struct text){&c, 1}, 1);
    assert_int_equal(tally.used, TALLY_ROWS_MAX - 1);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < tally.used; i++)
        sum += tally.rows[i].count;
    assert_int_equal(sum, 4 + 26);
}

/* A daemon whose p99 passes the limit above `peak`, and that has one bad moment. */
static void sweep_a_model(struct sweep *sweep, double peak, uint32_t bad_moment)
{
    double rate = 0;
    uint32_t try_count = 0;
    for (sweep_begin(sweep, 1000, 1000000); sweep_next(sweep, &rate);) {
        bool good = rate <= peak && ++try_count != bad_moment;
        const struct sweep_try one = {
            .rate = rate, .achieved_share = 1, .p99_ns = good ? 900000 : 1100000};
        sweep_take(sweep, &one);
    }
}

static void a_sweep_finds_the_knee_and_what_is_around_it(void **state)
{
    (void)state;
    static const double peaks[] = {12, 990, 1000, 1001, 54321, 9.9e6};
    static struct sweep sweep;
    for (size_t i = 0; i < sizeof peaks / sizeof peaks[0]; i++) {
        sweep_a_model(&sweep, peaks[i], 2);
        assert_true(sweep.peak_rate <= peaks[i]);
        assert_true(sweep.peak_rate * SWEEP_PRECISION >= peaks[i]);
        assert_true(sweep.try_count < SWEEP_TRIES_MAX);
        bool at_half = false;
        for (uint32_t k = 0; k < sweep.try_count; k++) {
            assert_true(k == 0 || sweep.tries[k].rate >= sweep.tries[k - 1].rate);
            at_half = at_half || sweep.tries[k].rate == sweep.peak_rate / 2;
        }
        assert_true(at_half);
        assert_true(sweep.tries[0].rate <= 0.1 * sweep.peak_rate);
    }
    sweep_a_model(&sweep, 1, 0);
    assert_true(sweep.peak_rate == 0);
    /* Losses and a rate that is not achieved are no better than a high p99. */
    for (int i = 0; i < 2; i++) {
        const struct sweep_try one = {.achieved_share = i == 0 ? 0.98 : 1, .failed_count = i};
        sweep_begin(&sweep, 1000, 1000000);
        sweep_take(&sweep, &one);
        assert_false(sweep.tries[0].good);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_told_apart),
        cmocka_unit_test(a_sweep_finds_the_knee_and_what_is_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
