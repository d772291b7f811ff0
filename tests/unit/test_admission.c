/* SPDX-License-Identifier: Apache-2.0 */
/* Running costs of stages, how long requests wait, and what becomes of requests when they wait. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "base/rand.h"
#include "server/control/admission.h"
#include "server/control/effort.h"
#include "server/decide/costs.h"

#define MS UINT64_C(1000000)

static void test_a_cost_settles_at_the_ninth_decile(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t estimate = 0;
    uint32_t above = 0;
    enum { SAMPLES = 20000, SETTLED = 2000 };
    rand_init(&rand, 17);
    for (int i = 0; i < SAMPLES; i++) {
        uint64_t sample = 10000 + rand_below(&rand, 90001); /* 10..100 us, evenly */
        if (i >= SETTLED)
            above += sample > estimate;
        cost_learn(&estimate, sample);
    }
    assert_in_range(above, (SAMPLES - SETTLED) / 20, (SAMPLES - SETTLED) / 6);
    assert_in_range(estimate, 75000, 110000);
}

static void test_a_cost_knows_its_limits(void **state)
{
    (void)state;
    uint32_t estimate = 0;
    cost_learn(&estimate, UINT64_MAX);
    assert_int_equal(estimate, COST_NS_MAX);
    cost_learn(&estimate, UINT64_MAX);
    assert_int_equal(estimate, COST_NS_MAX);
    estimate = 1;
    cost_learn(&estimate, 5);
    assert_in_range(estimate, 2, 5);
    cost_learn(&estimate, 0);
    assert_in_range(estimate, 1, 5);
    /* What is left out for its cost is tried again: three hundred times more than halve it. */
    estimate = 1000000;
    for (int i = 0; i < 300; i++)
        cost_fade(&estimate);
    assert_in_range(estimate, 200000, 500000);
}

static const struct admission usual = {.target_ns = MS / 2, .max_ns = 2 * MS};

/* So many requests in a tenth of a second, of which `late` wait a millisecond. */
static void window(struct queue_delay *queue, uint64_t *now_ns, uint32_t count, uint32_t late)
{
    for (uint32_t i = 0; i < count; i++) {
        admission_note(&usual, queue, *now_ns, i < late ? MS : 0);
        *now_ns += 100 * MS / count;
    }
}

static void test_steps_up_and_down(void **state)
{
    (void)state;
    struct queue_delay queue = {0};
    uint64_t now_ns = 1000 * MS;
    static const struct {
        uint32_t count, late;
        enum overload after;
    } windows[] = {
        {100, 80, OVERLOAD_FINE},     /* what is in the first windows is not known before */
        {100, 100, OVERLOAD_FINE},    /* 80 of 100 are not nearly all */
        {100, 90, OVERLOAD_CHEAPER},  /* judged by the window before */
        {100, 95, OVERLOAD_CHEAPEST}, /* 90 are */
        {100, 50, OVERLOAD_REFUSING}, {100, 11, OVERLOAD_REFUSING}, /* half: as it is */
        {100, 10, OVERLOAD_REFUSING}, {100, 0, OVERLOAD_CHEAPEST},  /* 10 are nearly none */
        {100, 0, OVERLOAD_CHEAPER},   {100, 0, OVERLOAD_FINE},      {100, 0, OVERLOAD_FINE},
    };
    for (size_t i = 0; i < sizeof windows / sizeof windows[0]; i++) {
        window(&queue, &now_ns, windows[i].count, windows[i].late);
        assert_int_equal(queue.overload, windows[i].after);
    }
}

static void test_few_requests_say_nothing_and_idling_forgets(void **state)
{
    (void)state;
    struct queue_delay queue = {0};
    uint64_t now_ns = 1000 * MS;
    for (int i = 0; i < 4; i++)
        window(&queue, &now_ns, 3, 3); /* twelve in 0.4 s */
    assert_int_equal(queue.overload, OVERLOAD_FINE);
    for (int i = 0; i < 3; i++)
        window(&queue, &now_ns, 100, 100);
    assert_int_not_equal(queue.overload, OVERLOAD_FINE);
    now_ns += 1000 * MS;
    window(&queue, &now_ns, 1, 1);
    assert_int_equal(queue.overload, OVERLOAD_FINE);
}

static void test_what_gives_way_first(void **state)
{
    (void)state;
    static const struct {
        enum op op;
        enum overload overload;
        uint64_t waited_us;
        enum level floor;
        bool refused;
    } cases[] = {
        {OP_recommend, OVERLOAD_FINE, 500000, LEVEL_full, false},
        {OP_recommend, OVERLOAD_CHEAPER, 500, LEVEL_reduced, false},
        {OP_recommend, OVERLOAD_CHEAPER, 501, LEVEL_cached, false},
        {OP_recommend, OVERLOAD_CHEAPEST, 500000, LEVEL_cached, false},
        {OP_recommend, OVERLOAD_REFUSING, 2000, LEVEL_cached, false},
        {OP_recommend, OVERLOAD_REFUSING, 2001, LEVEL_cached, true},
        {OP_price, OVERLOAD_REFUSING, 2001, LEVEL_cached, true},
        {OP_events, OVERLOAD_CHEAPEST, 500000, LEVEL_cached, false},
        {OP_events, OVERLOAD_REFUSING, 1000, LEVEL_cached, false},
        {OP_events, OVERLOAD_REFUSING, 1001, LEVEL_cached, true},
        {OP_model_chunk, OVERLOAD_REFUSING, 500, LEVEL_cached, false},
        {OP_model_chunk, OVERLOAD_REFUSING, 501, LEVEL_cached, true},
        {OP_ping, OVERLOAD_REFUSING, 500000, LEVEL_cached, false},
        {OP_status, OVERLOAD_REFUSING, 500000, LEVEL_cached, false},
        {OP_mode, OVERLOAD_REFUSING, 500000, LEVEL_cached, false},
        {OP_drain, OVERLOAD_REFUSING, 500000, LEVEL_cached, false},
        {OP_model_rollback, OVERLOAD_REFUSING, 500000, LEVEL_cached, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct admission_verdict verdict =
            admission_judge(&usual, cases[i].op, cases[i].overload, cases[i].waited_us * 1000);
        assert_int_equal(verdict.floor, cases[i].floor);
        assert_int_equal(verdict.refused, cases[i].refused);
        assert_true(!verdict.refused || verdict.retry_after_ms >= 100);
    }
    const struct admission never = {.target_ns = 0, .max_ns = 2 * MS};
    struct admission_verdict verdict =
        admission_judge(&never, OP_events, OVERLOAD_REFUSING, 5000 * MS);
    assert_int_equal(verdict.floor, LEVEL_full);
    assert_false(verdict.refused);
}

static void decisions(struct effort *effort, uint64_t *now_ns, uint32_t count, uint32_t late)
{
    for (uint32_t i = 0; i < count; i++) {
        *now_ns += MS;
        effort_note(effort, MS, *now_ns, i < late ? 2 * MS : MS);
    }
}

static void test_effort_falls_quickly_and_rises_slowly(void **state)
{
    (void)state;
    struct effort effort = {0};
    uint64_t now_ns = 1000 * MS;
    decisions(&effort, &now_ns, 1, 0); /* the first window ends at once */
    decisions(&effort, &now_ns, EFFORT_DECISIONS, 2);
    assert_int_equal(effort_permille(&effort), 1000); /* one in a hundred may be late */
    decisions(&effort, &now_ns, EFFORT_DECISIONS, 3);
    assert_int_equal(effort_permille(&effort), 900);
    decisions(&effort, &now_ns, EFFORT_DECISIONS, EFFORT_DECISIONS);
    assert_int_equal(effort_permille(&effort), 810);
    decisions(&effort, &now_ns, EFFORT_DECISIONS, 1); /* near the target: as it is */
    assert_int_equal(effort_permille(&effort), 810);
    decisions(&effort, &now_ns, EFFORT_DECISIONS, 0);
    assert_int_equal(effort_permille(&effort), 830);
    for (int i = 0; i < 40; i++)
        decisions(&effort, &now_ns, EFFORT_DECISIONS, EFFORT_DECISIONS);
    assert_int_equal(effort_permille(&effort), EFFORT_LEAST);
    for (int i = 0; i < 60; i++)
        decisions(&effort, &now_ns, EFFORT_DECISIONS, 0);
    assert_int_equal(effort_permille(&effort), EFFORT_FULL);
    /* Without a target nothing is spared; with few decisions a second is a window. */
    for (int i = 0; i < 1000; i++)
        effort_note(&effort, 0, now_ns += MS, 3600000 * MS);
    assert_int_equal(effort_permille(&effort), EFFORT_FULL);
    effort_note(&effort, MS, now_ns += 2000 * MS, 2 * MS);
    assert_int_equal(effort_permille(&effort), 900);
}

static void quick(struct effort *effort, uint64_t *now_ns, uint32_t count, uint32_t near)
{
    for (uint32_t i = 0; i < count; i++)
        effort_note(effort, MS, *now_ns += MS, i < near ? MS / 2 + 1 : MS / 2);
}

static void test_effort_comes_back_twofold_when_there_is_time(void **state)
{
    (void)state;
    const struct effort spared = {.spared_permille = EFFORT_FULL - EFFORT_LEAST,
                                  .window_began_ns = 1000 * MS};
    struct effort effort = spared;
    uint64_t now_ns = 1000 * MS;
    quick(&effort, &now_ns, EFFORT_DECISIONS, 0);
    assert_int_equal(effort_permille(&effort), 200);
    quick(&effort, &now_ns, EFFORT_DECISIONS, 1); /* one in two hundred: not so few */
    assert_int_equal(effort_permille(&effort), 220);
    quick(&effort, &now_ns, EFFORT_DECISIONS, 0);
    quick(&effort, &now_ns, EFFORT_DECISIONS, 0);
    quick(&effort, &now_ns, EFFORT_DECISIONS, 0);
    assert_int_equal(effort_permille(&effort), EFFORT_FULL);
    /* While nobody asks. */
    effort = spared;
    effort_rest(&effort, now_ns = 2999 * MS);
    assert_int_equal(effort_permille(&effort), EFFORT_LEAST);
    effort_rest(&effort, now_ns = 3000 * MS);
    assert_int_equal(effort_permille(&effort), 200);
    effort_rest(&effort, now_ns += 1999 * MS); /* a second without decisions begins anew */
    assert_int_equal(effort_permille(&effort), 200);
    effort_rest(&effort, now_ns + UINT64_C(3600000) * MS);
    assert_int_equal(effort_permille(&effort), EFFORT_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_cost_settles_at_the_ninth_decile),
        cmocka_unit_test(test_a_cost_knows_its_limits),
        cmocka_unit_test(test_steps_up_and_down),
        cmocka_unit_test(test_few_requests_say_nothing_and_idling_forgets),
        cmocka_unit_test(test_what_gives_way_first),
        cmocka_unit_test(test_effort_falls_quickly_and_rises_slowly),
        cmocka_unit_test(test_effort_comes_back_twofold_when_there_is_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
