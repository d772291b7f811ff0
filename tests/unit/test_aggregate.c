/* SPDX-License-Identifier: Apache-2.0 */
/* Every kind of feature against a reference that keeps all readings and computes from them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/rand.h"
#include "featurestore/aggregate.h"

enum { READINGS_MAX = 4000, START_S = 1700000000, DAY_S = 86400 };

static struct reading reading[READINGS_MAX];
static uint32_t reading_count;
static struct definitions *definitions;
static uint8_t state[DEFINITION_STATE_BYTES_MAX];
static struct err err;

/* One feature, described by JSON members. */
static const struct definition *define(const char *members)
{
    char file[512];
    int len = snprintf(file, sizeof file, "{\"features\": {\"user.x\": {%s}}}", members);
    assert_in_range(len, 1, sizeof file - 1);
    definitions_destroy(&definitions);
    if (definitions_parse("features.json", file, (size_t)len, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(definitions->definition[0].bytes, definitions->block_bytes[KEY_user]);
    aggregate_init(&definitions->definition[0], state);
    reading_count = 0;
    return &definitions->definition[0];
}

static int tear_down(void **unused)
{
    (void)unused;
    definitions_destroy(&definitions);
    return 0;
}

static void add(const struct definition *definition, struct reading next)
{
    assert_true(reading_count < READINGS_MAX);
    reading[reading_count++] = next;
    aggregate_add(definition, state, &next);
    assert_true(aggregate_check(definition, state));
}

static struct aggregate_value value_at(const struct definition *definition, uint32_t now_s)
{
    struct aggregate_value value;
    aggregate_read(definition, state, now_s, &value);
    return value;
}

/* What a window of these tiles holds when nothing was forgotten. */
static double naive(const struct definition *definition, uint32_t now_s)
{
    double sum = 0.0, least = (double)NAN, most = (double)NAN;
    uint32_t count = 0;
    int64_t now = now_s / definition->tile_s;
    for (uint32_t i = 0; i < reading_count; i++) {
        int64_t tile = reading[i].time_s / definition->tile_s;
        if (tile > now || tile <= now - (int64_t)definition->tile_count)
            continue;
        double value = reading[i].number;
        count++;
        sum += value;
        least = count == 1 || value < least ? value : least;
        most = count == 1 || value > most ? value : most;
    }
    switch (definition->kind) {
    case FEATURE_KIND_count: return count;
    case FEATURE_KIND_sum: return sum;
    case FEATURE_KIND_mean: return count == 0 ? (double)NAN : sum / count;
    case FEATURE_KIND_min: return least;
    default: return most;
    }
}

static void assert_same(double got, double expected, const char *what, uint32_t step)
{
    if (isnan(got) != isnan(expected) || (!isnan(got) && got != expected))
        fail_msg("%s, step %u: expected %.17g, got %.17g", what, step, expected, got);
}

/* Time moves on by up to a tenth of the window, at times by more than all of it; a third of the
 * events are late, some by more than the window. */
static void compare_with_naive(const char *members, uint64_t seed)
{
    const struct definition *definition = define(members);
    uint32_t window_s = definition->tile_s * definition->tile_count;
    struct rand rand;
    rand_init(&rand, seed);
    uint32_t now_s = START_S + (uint32_t)rand_below(&rand, DAY_S);
    for (uint32_t step = 0; step < READINGS_MAX; step++) {
        bool leaps = rand_below(&rand, 100) == 0;
        now_s += (uint32_t)rand_below(&rand, leaps ? 2 * window_s : window_s / 10 + 2);
        bool late = rand_below(&rand, 3) == 0;
        uint32_t behind_s = late ? (uint32_t)rand_below(&rand, window_s + window_s / 4) : 0;
        add(definition, (struct reading){.time_s = now_s - behind_s,
                                         .number = (double)rand_below(&rand, 1000) - 300.0});
        uint32_t later_s = now_s + (uint32_t)rand_below(&rand, window_s / 5);
        assert_same(value_at(definition, now_s).number, naive(definition, now_s), members, step);
        assert_same(value_at(definition, later_s).number, naive(definition, later_s), members,
                    step);
    }
}

static void test_windows_agree_with_a_recomputation_over_all_events(void **unused)
{
    (void)unused;
    static const char *const windows[] = {"\"window\": \"1m\"",
                                          "\"window\": \"1h\"",
                                          "\"window\": \"7d\"",
                                          "\"window\": \"90d\"",
                                          "\"window\": \"24h\", \"tile\": \"15m\"",
                                          "\"window\": \"2m\", \"tile\": \"1m\""};
    static const char *const kinds[] = {
        "\"kind\": \"count\"", "\"kind\": \"sum\", \"value\": \"price\"",
        "\"kind\": \"mean\", \"value\": \"price\"", "\"kind\": \"min\", \"value\": \"price\"",
        "\"kind\": \"max\", \"value\": \"price\""};
    for (uint32_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        for (uint32_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
            char members[200];
            snprintf(members, sizeof members, "%s, %s, \"events\": [\"view\"]", kinds[k],
                     windows[w]);
            compare_with_naive(members, 1 + w * 100 + k);
        }
    }
}

static void test_a_window_is_cut_into_few_tiles_and_covers_all_but_one_of_them(void **unused)
{
    (void)unused;
    static const struct {
        const char *window;
        uint32_t tile_s, tile_count;
    } cases[] = {{"1m", 5, 12},         {"1h", 300, 12},       {"1d", 10800, 8},
                 {"7d", DAY_S, 7},      {"14d", 2 * DAY_S, 7}, {"30d", 2 * DAY_S, 15},
                 {"90d", 10 * DAY_S, 9}};
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char members[200];
        snprintf(members, sizeof members,
                 "\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"%s\"",
                 cases[i].window);
        const struct definition *definition = define(members);
        assert_int_equal(definition->tile_s, cases[i].tile_s);
        assert_int_equal(definition->tile_count, cases[i].tile_count);
        uint32_t window_s = definition->tile_s * definition->tile_count;
        add(definition, (struct reading){.time_s = START_S});
        assert_true(value_at(definition, START_S + window_s - definition->tile_s).number == 1.0);
        assert_true(value_at(definition, START_S + window_s).number == 0.0);
        assert_int_equal(value_at(definition, START_S + window_s).as_of_s, START_S);
    }
}

static void test_without_a_window_everything_counts(void **unused)
{
    (void)unused;
    const struct definition *definition =
        define("\"kind\": \"sum\", \"value\": \"qty\", \"events\": [\"purchase\"]");
    assert_int_equal(value_at(definition, START_S).as_of_s, 0);
    add(definition, (struct reading){.time_s = START_S, .number = 2});
    add(definition, (struct reading){.time_s = 1, .number = 3});
    add(definition, (struct reading){.time_s = UINT32_MAX, .number = 5});
    assert_true(value_at(definition, START_S).number == 10.0);
    assert_int_equal(value_at(definition, START_S).as_of_s, UINT32_MAX);
}

static void test_decayed_counters_agree_with_the_sum_of_powers(void **unused)
{
    (void)unused;
    const struct definition *definition =
        define("\"kind\": \"decayed\", \"value\": \"price\", \"half_life\": \"3h\", \"events\": "
               "[\"view\"]");
    struct rand rand;
    rand_init(&rand, 7);
    uint32_t now_s = START_S;
    for (uint32_t step = 0; step < 2000; step++) {
        now_s += (uint32_t)rand_below(&rand, 4000);
        uint32_t behind_s = rand_below(&rand, 3) == 0 ? (uint32_t)rand_below(&rand, DAY_S) : 0;
        add(definition,
            (struct reading){.time_s = now_s - behind_s, .number = (double)rand_below(&rand, 100)});
        double expected = 0.0;
        for (uint32_t i = 0; i < reading_count; i++)
            expected += reading[i].number * exp2(-((double)now_s - reading[i].time_s) / 10800.0);
        double got = value_at(definition, now_s).number;
        if (fabs(got - expected) > 1e-5 * (expected + 1.0))
            fail_msg("step %u: expected %.9g, got %.9g", step, expected, got);
    }
    assert_true(value_at(definition, UINT32_MAX).number == 0.0);
}

static void test_decay_is_a_power_of_one_half(void **unused)
{
    (void)unused;
    for (uint32_t elapsed_s = 0; elapsed_s < 200000; elapsed_s += 7) {
        double expected = exp2(-(double)elapsed_s / 3600.0);
        assert_true(fabs(aggregate_decay(elapsed_s / 3600.0) - expected) <= expected * 0x1p-31);
    }
    assert_true(aggregate_decay(UINT32_MAX) == 0.0);
}

static int newest_first(const void *a, const void *b)
{
    const struct reading *left = a, *right = b;
    if (left->time_s != right->time_s)
        return left->time_s < right->time_s ? 1 : -1;
    return left->id < right->id ? 1 : -1; /* ids rise with the order */
}

static void test_a_list_holds_the_newest_in_the_order_of_time(void **unused)
{
    (void)unused;
    static const char *const values[] = {"item", "price"};
    for (uint32_t v = 0; v < 2; v++) {
        char members[200];
        snprintf(members, sizeof members,
                 "\"kind\": \"last\", \"n\": 5, \"value\": \"%s\", \"events\": [\"view\"]",
                 values[v]);
        const struct definition *definition = define(members);
        struct rand rand;
        rand_init(&rand, 11 + v);
        for (uint32_t step = 0; step < 300; step++) {
            add(definition, (struct reading){.time_s = START_S + (uint32_t)rand_below(&rand, 200),
                                             .id = step,
                                             .number = step});
            static struct reading sorted[READINGS_MAX];
            memcpy(sorted, reading, reading_count * sizeof sorted[0]);
            qsort(sorted, reading_count, sizeof sorted[0], newest_first);
            uint32_t count = reading_count < 5 ? reading_count : 5;
            assert_int_equal(aggregate_list_count(state), count);
            for (uint32_t i = 0; i < count; i++) {
                if (v == 0)
                    assert_int_equal(aggregate_list_id(state, i), sorted[i].id);
                else
                    assert_true(aggregate_list_number(state, i) == sorted[i].number);
            }
            struct aggregate_value value = value_at(definition, START_S);
            assert_int_equal(value.as_of_s, sorted[0].time_s);
            assert_true(v == 0 ? isnan(value.number) : value.number == sorted[0].number);
        }
    }
}

static void test_times_since_and_between(void **unused)
{
    (void)unused;
    const struct definition *since = define("\"kind\": \"since\", \"events\": [\"view\"]");
    assert_true(isnan(value_at(since, START_S).number));
    add(since, (struct reading){.time_s = START_S});
    add(since, (struct reading){.time_s = START_S - 50});
    assert_true(value_at(since, START_S + 10).number == 10.0);
    assert_true(value_at(since, START_S - 10).number == 0.0);

    const struct definition *interval = define("\"kind\": \"interval\", \"events\": [\"view\"]");
    add(interval, (struct reading){.time_s = START_S});
    assert_true(isnan(value_at(interval, START_S).number));
    assert_int_equal(value_at(interval, START_S).as_of_s, START_S);
    add(interval, (struct reading){.time_s = START_S + 70});
    add(interval, (struct reading){.time_s = START_S - 30});
    assert_true(value_at(interval, START_S + 1000).number == 50.0);
}

static void test_an_attribute_is_what_was_said_last(void **unused)
{
    (void)unused;
    const struct definition *definition = define("\"kind\": \"attribute\", \"attribute\": \"a\"");
    assert_true(isnan(value_at(definition, START_S).number));
    aggregate_set(definition, state, 2.5, START_S);
    aggregate_set(definition, state, 1.5, START_S - 10);
    assert_true(value_at(definition, START_S).number == 1.5);
    assert_int_equal(value_at(definition, START_S).as_of_s, START_S - 10);
    aggregate_set(definition, state, (double)NAN, START_S);
    assert_true(isnan(value_at(definition, START_S).number));
    assert_int_equal(value_at(definition, START_S).as_of_s, 0);
}

static void test_distinct_counts_are_close_and_exact_when_few(void **unused)
{
    (void)unused;
    static const uint32_t sizes[] = {0, 1, 2, 5, 20, 100, 500, 1000, 4000};
    for (uint32_t precision = 4; precision <= 12; precision++) {
        for (uint32_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
            char members[200];
            snprintf(members, sizeof members,
                     "\"kind\": \"distinct\", \"value\": \"item\", \"precision\": %u, "
                     "\"events\": [\"view\"]",
                     precision);
            const struct definition *definition = define(members);
            for (uint32_t i = 0; i < sizes[s]; i++) {
                struct reading next = {.time_s = START_S, .hash = hash_bytes(&i, sizeof i, 3)};
                aggregate_add(definition, state, &next);
                aggregate_add(definition, state, &next); /* again: counts once */
            }
            double got = value_at(definition, START_S).number;
            double bound = 4.0 * 1.04 / sqrt((double)(1u << precision)) * sizes[s];
            if (sizes[s] == 0)
                assert_true(isnan(got));
            else if (fabs(got - sizes[s]) > bound + 0.5)
                fail_msg("precision %u: %u counted as %.1f", precision, sizes[s], got);
        }
    }
}

static void test_distinct_counts_have_windows(void **unused)
{
    (void)unused;
    const struct definition *definition = define(
        "\"kind\": \"distinct\", \"value\": \"item\", \"precision\": 10, \"window\": \"7d\", "
        "\"events\": [\"view\"]");
    for (uint32_t day = 0; day < 20; day++) {
        for (uint32_t i = 0; i < 10; i++) {
            uint32_t id = day * 5 + i; /* half of them were there the day before */
            struct reading next = {.time_s = START_S + day * DAY_S,
                                   .hash = hash_bytes(&id, sizeof id, 3)};
            aggregate_add(definition, state, &next);
        }
        double expected = day < 7 ? 10.0 + day * 5.0 : 40.0;
        assert_true(fabs(value_at(definition, START_S + day * DAY_S).number - expected) < 4.0);
    }
    assert_true(value_at(definition, START_S + 40 * DAY_S).number == 0.0);
}

static void test_states_that_cannot_be_are_refused(void **unused)
{
    (void)unused;
    const struct definition *list =
        define("\"kind\": \"last\", \"n\": 2, \"value\": \"item\", \"events\": [\"view\"]");
    assert_true(aggregate_check(list, state));
    state[0] = 3; /* more entries than there are places */
    assert_false(aggregate_check(list, state));
    state[0] = 1; /* an entry without a time */
    assert_false(aggregate_check(list, state));
    const struct definition *distinct = define(
        "\"kind\": \"distinct\", \"value\": \"item\", \"precision\": 4, \"events\": [\"view\"]");
    state[4] = 61;
    assert_true(aggregate_check(distinct, state));
    state[4] = 62;
    assert_false(aggregate_check(distinct, state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows_agree_with_a_recomputation_over_all_events),
        cmocka_unit_test(test_a_window_is_cut_into_few_tiles_and_covers_all_but_one_of_them),
        cmocka_unit_test(test_without_a_window_everything_counts),
        cmocka_unit_test(test_decayed_counters_agree_with_the_sum_of_powers),
        cmocka_unit_test(test_decay_is_a_power_of_one_half),
        cmocka_unit_test(test_a_list_holds_the_newest_in_the_order_of_time),
        cmocka_unit_test(test_times_since_and_between),
        cmocka_unit_test(test_an_attribute_is_what_was_said_last),
        cmocka_unit_test(test_distinct_counts_are_close_and_exact_when_few),
        cmocka_unit_test(test_distinct_counts_have_windows),
        cmocka_unit_test(test_states_that_cannot_be_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
