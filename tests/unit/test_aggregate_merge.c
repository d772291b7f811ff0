/* SPDX-License-Identifier: Apache-2.0 */
/* States of one feature of several keys, merged, are the state of one key that had all events. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/hash.h"
#include "base/rand.h"
#include "featurestore/aggregate.h"

enum { START_S = 1700000000, DAY_S = 86400, PARTS = 3, ROUNDS = 300 };

static struct definitions *definitions;
static uint8_t whole[DEFINITION_STATE_BYTES_MAX], part[PARTS][DEFINITION_STATE_BYTES_MAX];

/* One feature, described by JSON members; all states are empty. */
static const struct definition *define(const char *members)
{
    char file[512];
    struct err err = {.text = ""};
    int len = snprintf(file, sizeof file, "{\"features\": {\"user.x\": {%s}}}", members);
    assert_in_range(len, 1, sizeof file - 1);
    definitions_destroy(&definitions);
    if (definitions_parse("features.json", file, (size_t)len, &definitions, &err) != ERR_OK)
        fail_msg("%s", err.text);
    const struct definition *definition = &definitions->definition[0];
    aggregate_init(definition, whole);
    for (uint32_t i = 0; i < PARTS; i++)
        aggregate_init(definition, part[i]);
    return definition;
}

static int tear_down(void **unused)
{
    (void)unused;
    definitions_destroy(&definitions);
    return 0;
}

static void add(const struct definition *definition, uint32_t to, const struct reading *reading)
{
    aggregate_add(definition, whole, reading);
    aggregate_add(definition, part[to], reading);
}

static const uint8_t *merged(const struct definition *definition)
{
    static uint8_t state[DEFINITION_STATE_BYTES_MAX];
    static const uint8_t nothing[DEFINITION_STATE_BYTES_MAX];
    memset(state, 0, sizeof state); /* as of a key without a row */
    for (uint32_t i = 0; i < PARTS; i++) {
        aggregate_merge(definition, state, part[i]);
        aggregate_merge(definition, state, nothing);
        assert_true(aggregate_check(definition, state));
    }
    return state;
}

/* Events go to the keys by chance, most to one for a while, so that windows end apart; some are
 * late, some by more than a window.  No two are of one time. */
static void compare(const char *members, uint64_t seed)
{
    const struct definition *definition = define(members);
    uint32_t window_s = definition->tile_s * definition->tile_count;
    struct rand rand;
    uint32_t now_s = START_S;
    if (!definition_is_tiled(definition) || definition->tile_reciprocal == 0)
        window_s = DAY_S;
    rand_init(&rand, seed);
    for (uint32_t step = 0; step < ROUNDS; step++) {
        bool leaps = rand_below(&rand, 40) == 0, is_late = rand_below(&rand, 3) == 0;
        now_s += 2 + (uint32_t)rand_below(&rand, leaps ? 2 * window_s : window_s / 10 + 2);
        uint32_t behind_s = is_late ? 2 * (uint32_t)rand_below(&rand, window_s) + 1 : 0;
        uint32_t id = (uint32_t)rand_below(&rand, 100);
        struct reading reading = {.time_s = now_s - behind_s,
                                  .id = id,
                                  .number = (double)rand_below(&rand, 1000) - 300.0,
                                  .hash = hash_bytes(&id, sizeof id, 3)};
        uint32_t to = (uint32_t)rand_below(&rand, PARTS);
        add(definition, rand_below(&rand, 3) == 0 ? to : step / 50 % PARTS, &reading);
        if (memcmp(merged(definition), whole, definition->bytes) == 0)
            continue;
        struct aggregate_value got, expected;
        aggregate_read(definition, merged(definition) - definition->offset, now_s, &got);
        aggregate_read(definition, whole - definition->offset, now_s, &expected);
        if (definition->kind != FEATURE_KIND_decayed || got.as_of_s != expected.as_of_s ||
            fabs(got.number - expected.number) > 1e-5 * (fabs(expected.number) + 1000.0))
            fail_msg("%s, step %u: %.17g of %u, expected %.17g of %u", members, step, got.number,
                     got.as_of_s, expected.number, expected.as_of_s);
    }
}

static void test_merged_is_as_if_all_had_come_to_one(void **unused)
{
    (void)unused;
    static const char *const windows[] = {"", ", \"window\": \"1m\"", ", \"window\": \"7d\"",
                                          ", \"window\": \"2m\", \"tile\": \"1m\"",
                                          ", \"window\": \"90d\""};
    static const char *const tiled[] = {
        "\"kind\": \"count\"",
        "\"kind\": \"sum\", \"value\": \"price\"",
        "\"kind\": \"mean\", \"value\": \"price\"",
        "\"kind\": \"min\", \"value\": \"price\"",
        "\"kind\": \"max\", \"value\": \"price\"",
        "\"kind\": \"distinct\", \"value\": \"item\", \"precision\": 4"};
    static const char *const others[] = {
        "\"kind\": \"decayed\", \"half_life\": \"3h\"",
        "\"kind\": \"decayed\", \"value\": \"price\", \"half_life\": \"30d\"",
        "\"kind\": \"last\", \"n\": 1, \"value\": \"item\"",
        "\"kind\": \"last\", \"n\": 100, \"value\": \"item\"",
        "\"kind\": \"last\", \"n\": 7, \"value\": \"price\"",
        "\"kind\": \"since\"",
        "\"kind\": \"interval\""};
    char members[200];
    for (uint32_t k = 0; k < sizeof tiled / sizeof tiled[0]; k++) {
        for (uint32_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
            snprintf(members, sizeof members, "%s, \"events\": [\"view\"]%s", tiled[k], windows[w]);
            compare(members, 1 + k * 100 + w);
        }
    }
    for (uint32_t k = 0; k < sizeof others / sizeof others[0]; k++) {
        snprintf(members, sizeof members, "%s, \"events\": [\"view\"]", others[k]);
        compare(members, 1000 + k);
    }
}

static void test_a_count_that_is_full_stays_full(void **unused)
{
    (void)unused;
    const struct definition *definition = define("\"kind\": \"count\", \"events\": [\"view\"]");
    struct aggregate_value value;
    uint32_t full = UINT32_MAX - 1;
    for (uint32_t i = 0; i < 2; i++) {
        add(definition, i, &(struct reading){.time_s = START_S});
        memcpy(part[i] + AGGREGATE_TILES_AT, &full, sizeof full);
    }
    aggregate_read(definition, merged(definition), START_S, &value);
    assert_true(value.number == (double)UINT32_MAX);
}

static void test_the_newer_attribute_holds_and_an_old_one_does_not_return(void **unused)
{
    (void)unused;
    const struct definition *definition = define("\"kind\": \"attribute\", \"attribute\": \"a\"");
    struct aggregate_value value;
    aggregate_set(definition, part[0], 1.0, START_S);
    aggregate_set(definition, part[1], 2.0, START_S + 1);
    aggregate_set(definition, part[2], 3.0, START_S + 1); /* of the same time: the first one's */
    aggregate_read(definition, merged(definition), START_S, &value);
    assert_true(value.number == 2.0);
    assert_int_equal(value.as_of_s, START_S + 1);
    aggregate_set(definition, part[1], (double)NAN, START_S + 2);
    aggregate_read(definition, merged(definition), START_S, &value);
    assert_true(value.number == 3.0);
}

static void test_of_one_time_the_own_entry_comes_first(void **unused)
{
    (void)unused;
    const struct definition *definition =
        define("\"kind\": \"last\", \"n\": 2, \"value\": \"item\", \"events\": [\"view\"]");
    for (uint32_t i = 0; i < PARTS; i++)
        add(definition, i, &(struct reading){.time_s = START_S, .id = 10 + i});
    const uint8_t *state = merged(definition);
    assert_int_equal(aggregate_list_count(state), 2);
    assert_int_equal(aggregate_list_id(state, 0), 10);
    assert_int_equal(aggregate_list_id(state, 1), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merged_is_as_if_all_had_come_to_one),
        cmocka_unit_test(test_a_count_that_is_full_stays_full),
        cmocka_unit_test(test_the_newer_attribute_holds_and_an_old_one_does_not_return),
        cmocka_unit_test(test_of_one_time_the_own_entry_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, tear_down);
}
