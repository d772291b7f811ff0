/* SPDX-License-Identifier: Apache-2.0 */
/* Versions on trial: whose decisions use them, and what is counted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/decide/tally.h"
#include "server/decide/trial.h"
#include "server/metrics.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

#define PEOPLE 20000
#define POLICIES                                                                     \
    "{\"slots\": {\"home\": {\"ranker\": \"rank\", \"sources\": [{\"source\": "      \
    "\"neighbors\", \"model\": \"near\"}]}, \"plain\": {\"sources\": [{\"source\": " \
    "\"popular\"}]}}}"

static struct fixture fixture;

/* near@1 brings b after a, near@2 brings c. */
static const float near_1[9] = {0, 1, 0, 0, 0, 0, 0, 0, 0};
static const float near_2[9] = {0, 0, 1, 0, 0, 0, 0, 0, 0};
static const double weight[1] = {1};
static const double two_weights[2] = {1, 0};

static int setup(void **state)
{
    (void)state;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c", near_1));
    fixture_add_model(&fixture, small_linear("rank", "1", "blend.score", weight, 0));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

static void add_near_2(uint32_t share_e4, struct tally *tally)
{
    fixture_add_trial(&fixture, small_neighbors("near", "2", "a b c", near_2), share_e4, tally);
}

/* ---- who is in ------------------------------------------------------------------------------- */

static bool is_in(const char *model, uint32_t share_e4, int person)
{
    char id[32];
    const struct snapshot_trial trial = {.share_e4 = share_e4, .seed = trial_seed(model)};
    snprintf(id, sizeof id, "user-%d", person);
    return trial_takes(&trial, text_of(id));
}

static void test_a_larger_share_keeps_the_people_of_a_smaller_one(void **state)
{
    (void)state;
    static const uint32_t shares[] = {0, 1, 100, 500, 1000, 5000, 9999, TRIAL_SHARE_ALL};
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        double expected = (double)PEOPLE * shares[s] / TRIAL_SHARE_ALL;
        int in = 0;
        for (int person = 0; person < PEOPLE; person++) {
            bool now = is_in("near", shares[s], person);
            assert_false(s > 0 && is_in("near", shares[s - 1], person) && !now);
            in += now;
        }
        /* Six standard deviations of a fair draw; the draw is fixed, so this holds or does not. */
        assert_true(in >= expected - 6 * 71 && in <= expected + 6 * 71);
        assert_true(shares[s] != 0 || in == 0);
        assert_true(shares[s] != TRIAL_SHARE_ALL || in == PEOPLE);
    }
}

static void test_names_share_no_more_people_than_chance_gives(void **state)
{
    (void)state;
    int both = 0;
    for (int person = 0; person < PEOPLE; person++)
        both += is_in("near", 5000, person) && is_in("rank", 5000, person);
    assert_in_range(both, PEOPLE / 4 - 400, PEOPLE / 4 + 400);
}

/* Who is in stays in over releases: these are written down. */
static void test_the_draw_is_the_same_in_every_release(void **state)
{
    (void)state;
    char drawn[33] = "";
    for (int person = 0; person < 32; person++)
        drawn[person] = is_in("near", 5000, person) ? '1' : '0';
    assert_string_equal(drawn, "01110010000010101100110111000001");
}

/* ---- decisions ------------------------------------------------------------------------------- */

static bool uses(const struct decision *decision, const char *label)
{
    for (uint32_t i = 0; i < decision->model_count; i++) {
        if (strcmp(decision->models[i], label) == 0)
            return true;
    }
    return false;
}

static const struct decision *ask_as(const char *key, const char *id, const char *more)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"op\": \"recommend\", \"%s\": \"%s\", \"seeds\": [\"a\"], \"n\": 1%s}", key, id,
             more);
    return fixture_decide(&fixture, json);
}

static void test_a_decision_uses_and_names_the_version_of_its_person(void **state)
{
    (void)state;
    static const char *const keys[] = {"user", "anon", "session"};
    int in_count = 0;
    add_near_2(5000, NULL);
    fixture_serve(&fixture, POLICIES);
    for (int i = 0; i < 300; i++) {
        char id[32];
        snprintf(id, sizeof id, "user-%d", i / 3);
        const struct decision *decision = ask_as(keys[i % 3], id, "");
        bool in = is_in("near", 5000, i / 3);
        in_count += in;
        assert_true(uses(decision, in ? "near@2" : "near@1"));
        assert_false(uses(decision, in ? "near@1" : "near@2"));
        assert_true(uses(decision, "rank@1"));
        assert_true(text_is(decision->items[0].id, in ? "c" : "b"));
    }
    assert_in_range(in_count, 100, 200);
    /* `similar` in a slot without such a source stands on the same version. */
    const struct decision *similar = fixture_decide(
        &fixture, "{\"op\": \"similar\", \"items\": [\"a\"], \"n\": 1, \"slot\": \"plain\","
                  " \"user\": \"user-0\"}");
    assert_true(uses(similar, is_in("near", 5000, 0) ? "near@2" : "near@1"));
}

static void test_without_a_person_each_decision_is_drawn(void **state)
{
    (void)state;
    int in = 0;
    add_near_2(5000, NULL);
    fixture_serve(&fixture, POLICIES);
    for (int i = 0; i < 200; i++)
        in +=
            uses(fixture_decide(&fixture, "{\"op\": \"recommend\", \"seeds\": [\"a\"]}"), "near@2");
    assert_in_range(in, 60, 140);
}

static void test_people_who_want_nothing_personal_are_never_in(void **state)
{
    (void)state;
    add_near_2(TRIAL_SHARE_ALL, NULL);
    fixture_event(&fixture, "{\"type\": \"consent\", \"user\": \"user-1\", \"consent\": "
                            "{\"personalize\": false}}");
    fixture_serve(&fixture, POLICIES);
    static const char *const request =
        "{\"op\": \"similar\", \"items\": [\"a\"], \"n\": 1, \"user\": \"user-%d\"}";
    for (int person = 1; person <= 2; person++) {
        char json[256];
        snprintf(json, sizeof json, request, person);
        assert_true(uses(fixture_decide(&fixture, json), person == 1 ? "near@1" : "near@2"));
    }
}

static void test_trials_of_several_names_are_drawn_each_by_itself(void **state)
{
    (void)state;
    int seen[4] = {0};
    add_near_2(5000, NULL);
    fixture_add_trial(&fixture, small_linear("rank", "2", "blend.score item.price", two_weights, 0),
                      5000, NULL);
    fixture_serve(&fixture, POLICIES);
    for (int i = 0; i < 200; i++) {
        char id[32];
        snprintf(id, sizeof id, "user-%d", i);
        const struct decision *decision = ask_as("user", id, "");
        int near = is_in("near", 5000, i), rank = is_in("rank", 5000, i);
        assert_true(uses(decision, near ? "near@2" : "near@1"));
        assert_true(uses(decision, rank ? "rank@2" : "rank@1"));
        seen[2 * near + rank]++;
    }
    for (int i = 0; i < 4; i++)
        assert_in_range(seen[i], 20, 90);
}

/* ---- what is counted ------------------------------------------------------------------------- */

static void counts_are(const struct tally *tally, enum tally_side side, uint64_t uses_count,
                       uint64_t decisions, uint64_t degraded)
{
    struct tally_counts *sum = malloc(sizeof *sum);
    assert_non_null(sum);
    tally_add_up(tally, side, sum);
    assert_int_equal(sum->latency.count, uses_count);
    assert_int_equal(sum->decisions, decisions);
    assert_int_equal(sum->degraded, degraded);
    assert_int_equal(sum->errors, 0);
    free(sum);
}

static void test_uses_and_decisions_count_by_side_and_only_where_the_model_has_a_part(void **state)
{
    (void)state;
    struct tally *tally = NULL;
    uint64_t in = 0;
    assert_int_equal(tally_create(1, &tally, NULL), ERR_OK);
    fixture_add_trial(&fixture, small_linear("rank", "2", "blend.score", weight, 0), 5000, tally);
    fixture_serve(&fixture, POLICIES);
    for (int i = 0; i < 100; i++) {
        char id[32];
        snprintf(id, sizeof id, "user-%d", i);
        (void)ask_as("user", id, "");
        in += is_in("rank", 5000, i);
        (void)ask_as("user", id, ", \"slot\": \"plain\""); /* has no ranker */
    }
    counts_are(tally, TALLY_TRIAL, in, in, 0);
    counts_are(tally, TALLY_STABLE, 100 - in, 100 - in, 0);
    fixture.floor = LEVEL_reduced; /* by mode: no ranker is asked */
    for (int i = 0; i < 100; i++) {
        char id[32];
        snprintf(id, sizeof id, "user-%d", i);
        (void)ask_as("user", id, "");
    }
    counts_are(tally, TALLY_TRIAL, in, 2 * in, in);
    counts_are(tally, TALLY_STABLE, 100 - in, 200 - 2 * in, 100 - in);
    fixture.floor = LEVEL_full;
    tally_destroy(&tally);
}

static void test_a_decision_aside_leaves_no_trace(void **state)
{
    (void)state;
    struct tally *tally = NULL;
    assert_int_equal(tally_create(1, &tally, NULL), ERR_OK);
    fixture_add_trial(&fixture, small_linear("rank", "2", "blend.score", weight, 0), 1, tally);
    fixture_serve(&fixture, POLICIES);
    breaker_hold(fixture.model[1]->breaker, BREAKER_HELD_OPEN);
    breaker_hold(fixture.trial_model[0]->breaker, BREAKER_HELD_OPEN);
    fixture.aside = 1;
    assert_true(uses(ask_as("user", "user-0", ""), "rank@2"));
    assert_int_equal(fixture.decision.level, LEVEL_full);
    counts_are(tally, TALLY_TRIAL, 0, 0, 0);
    assert_int_equal(metric_value(fixture.metrics, M_BREAKER_SKIPS, MODEL_linear, 0), 0);
    fixture.aside = 0;
    tally_destroy(&tally);
}

static void test_a_tally_is_read_by_differences(void **state)
{
    (void)state;
    struct tally *tally = NULL;
    struct tally_counts *sums = calloc(2, sizeof *sums);
    assert_non_null(sums);
    assert_int_equal(tally_create(3, &tally, NULL), ERR_OK);
    for (uint32_t worker = 0; worker < 3; worker++) {
        tally_use(tally_counts(tally, worker, TALLY_TRIAL), 1000, worker != 1);
        tally_decision(tally_counts(tally, worker, TALLY_TRIAL), worker == 2, true);
    }
    tally_add_up(tally, TALLY_TRIAL, &sums[0]);
    tally_use(tally_counts(tally, 2, TALLY_TRIAL), 1000000, false);
    tally_decision(tally_counts(tally, 0, TALLY_TRIAL), true, false);
    tally_add_up(tally, TALLY_TRIAL, &sums[1]);
    assert_int_equal(sums[1].latency.count, 4);
    tally_subtract(&sums[1], &sums[0]);
    assert_int_equal(sums[1].latency.count, 1);
    assert_in_range(hist_quantile(&sums[1].latency, 0.5), 984000, 1016000);
    assert_int_equal(sums[1].errors, 1);
    assert_int_equal(sums[1].decisions, 1);
    assert_int_equal(sums[1].degraded, 1);
    assert_int_equal(sums[1].empty, 0);
    assert_int_equal(sums[0].errors, 1);
    assert_int_equal(sums[0].empty, 3);
    free(sums);
    tally_destroy(&tally);
}

static void test_more_trials_than_a_snapshot_has_room_for_are_refused(void **state)
{
    (void)state;
    struct err err = {0};
    struct snapshot *snapshot = NULL;
    const struct snapshot_spec spec = {.trial_count = SNAPSHOT_TRIALS_MAX + 1};
    assert_int_equal(snapshot_build(&spec, &snapshot, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "at most 3 versions on trial"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_larger_share_keeps_the_people_of_a_smaller_one),
        TEST(test_names_share_no_more_people_than_chance_gives),
        TEST(test_the_draw_is_the_same_in_every_release),
        TEST(test_a_decision_uses_and_names_the_version_of_its_person),
        TEST(test_without_a_person_each_decision_is_drawn),
        TEST(test_people_who_want_nothing_personal_are_never_in),
        TEST(test_trials_of_several_names_are_drawn_each_by_itself),
        TEST(test_uses_and_decisions_count_by_side_and_only_where_the_model_has_a_part),
        TEST(test_a_decision_aside_leaves_no_trace),
        TEST(test_a_tally_is_read_by_differences),
        TEST(test_more_trials_than_a_snapshot_has_room_for_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
