/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/alloc_fail.h"
#include "tools/bench/quality.h"
#include "tools/bench/quality_command.h"
#include "tools/bench/quality_report.h"

/* Four people; a is bought by all, b by p0 and p1, c by p2 alone.  Later p0 buys a again and c. */
struct known {
    struct interactions interactions;
    struct dataset dataset;
    struct targets targets;
};

static void buy(struct known *known, unsigned person, const char *item, int64_t day)
{
    char id[32], who[8];
    struct event_item one = {.id = text_of(item), .qty = 1};
    struct event event = {
        .type = EVENT_purchase, .ts_ms = day * 86400000, .items = &one, .item_count = 1};
    snprintf(id, sizeof id, "%u-%s-%d", person, item, (int)day);
    snprintf(who, sizeof who, "p%u", person);
    event.id = text_of(id);
    event.user = text_of(who);
    assert_int_equal(interactions_add(&known->interactions, &event, NULL), ERR_OK);
}

static struct known known_open(void)
{
    struct known known = {0};
    assert_int_equal(interactions_create(&known.interactions, NULL), ERR_OK);
    for (unsigned p = 0; p < 4; p++)
        buy(&known, p, "a", 1);
    buy(&known, 0, "b", 1);
    buy(&known, 1, "b", 1);
    buy(&known, 2, "c", 2);
    buy(&known, 0, "a", 10);
    buy(&known, 0, "c", 10);
    assert_int_equal(
        dataset_build(&known.interactions, (struct span){0, 5 * 86400}, &known.dataset, NULL),
        ERR_OK);
    assert_int_equal(targets_build(&known.interactions, (struct span){5 * 86400, DATASET_ALL},
                                   &known.dataset, &known.targets, NULL),
                     ERR_OK);
    return known;
}

static void known_close(struct known *known)
{
    targets_deinit(&known->targets);
    dataset_deinit(&known->dataset);
    interactions_destroy(&known->interactions);
}

/* A list for p0; columns stand in the order of the items. */
static void take(struct quality *quality, enum evaluate_mode mode, const char *level,
                 const uint32_t *columns, uint32_t count, uint64_t waited_us)
{
    static const char *const ids[] = {"a", "b", "c"};
    struct decide_item items[4];
    memset(items, 0, sizeof items);
    for (uint32_t i = 0; i < count; i++)
        items[i].id = columns[i] == DATASET_NONE ? "unknown" : ids[columns[i]];
    const struct decide_reply reply = {.decision = "01HF7YAT00AAAAAAAAAAAAAAAA",
                                       .items = items,
                                       .item_count = count,
                                       .waited_us = waited_us};
    const struct remote_answer answer = {0, mode, columns, count, level, &reply};
    quality_take(quality, &answer);
}

static bool near(double a, double b)
{
    return fabs(a - b) < 1e-12;
}

static char *printed(const struct quality *quality,
                     void (*print)(const struct quality_options *, const struct quality *,
                                   const struct evaluation *, FILE *))
{
    static const struct evaluation evaluation; /* of nobody */
    const struct quality_options options = {.slot_new = "n", .slot_any = "a", .k = 5};
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    print(&options, quality, &evaluation, out);
    fclose(out);
    return text;
}

/* A mean over nothing is no 0, which would say something. */
static void check_no_means(const struct quality *quality)
{
    char *json = printed(quality, quality_print_json),
         *table = printed(quality, quality_print_table);
    if (strstr(json,
               "\"any\": {\"people\": 0, \"recall@5\": null, \"ndcg@5\": null, \"hr@5\": null, "
               "\"coverage\": 0.000000, \"novelty\": null, \"diversity\": null}") == NULL)
        fail_msg("%s", json);
    if (strstr(table,
               "any   a                   0          -          -          -    0.0000        - "
               "         -\n") == NULL)
        fail_msg("%s", table);
    free(json);
    free(table);
}

static void test_lists_are_measured_as_is_said(void **state)
{
    (void)state;
    struct known known = known_open();
    struct quality quality = {0};
    assert_int_equal(
        quality_init(&quality, &known.interactions, &known.dataset, &known.targets, NULL), ERR_OK);
    /* What nobody knows is neither well known nor alike. */
    take(&quality, EVALUATE_ANY, "full", (uint32_t[]){DATASET_NONE, DATASET_NONE}, 2, 100);
    assert_true(isnan(quality_novelty(&quality, EVALUATE_ANY)));
    assert_true(isnan(quality_diversity(&quality, EVALUATE_ANY)));
    check_no_means(&quality);
    take(&quality, EVALUATE_ANY, "full", (uint32_t[]){0, 1}, 2, 100);
    assert_true(near(quality_coverage(&quality, EVALUATE_ANY), 2.0 / 3.0));
    /* a is known to all: no news; b to half of them: one bit. */
    assert_true(near(quality_novelty(&quality, EVALUATE_ANY), 0.5));
    /* Two people of both, of four and two. */
    assert_true(near(quality_diversity(&quality, EVALUATE_ANY), 1.0 - 2.0 / sqrt(8.0)));
    /* All three, and one that nobody knows. */
    take(&quality, EVALUATE_ANY, "full", (uint32_t[]){0, DATASET_NONE, 2, 1}, 4, 300);
    const double pairs = (1.0 - 2.0 / sqrt(8.0)) + (1.0 - 1.0 / 2.0) + 1.0;
    assert_true(near(quality_diversity(&quality, EVALUATE_ANY),
                     (1.0 - 2.0 / sqrt(8.0) + pairs / 3.0) / 2.0));
    assert_true(near(quality_coverage(&quality, EVALUATE_ANY), 1.0));
    assert_true(near(quality_novelty(&quality, EVALUATE_ANY), (0.0 + 1.0 + 0.0 + 2.0 + 1.0) / 5.0));
    /* A list of one has no pairs, and the other mode has lists of its own. */
    take(&quality, EVALUATE_NEW, "generic (no_model)", (uint32_t[]){2}, 1, 5000);
    assert_true(isnan(quality_diversity(&quality, EVALUATE_NEW)));
    assert_true(near(quality_novelty(&quality, EVALUATE_NEW), 2.0));
    assert_int_equal(quality.level_count, 2);
    assert_string_equal(quality.level[0].name, "full");
    assert_int_equal(quality.level[0].latency.count, 3);
    assert_string_equal(quality.level[1].name, "generic (no_model)");
    assert_true(hist_quantile(&quality.level[1].latency, 1.0) >= 4900000);
    quality_deinit(&quality);
    known_close(&known);
}

static void test_outcomes_name_the_decision(void **state)
{
    (void)state;
    struct known known = known_open();
    struct quality quality = {0};
    char *text = NULL;
    size_t len = 0;
    assert_int_equal(
        quality_init(&quality, &known.interactions, &known.dataset, &known.targets, NULL), ERR_OK);
    quality.outcomes = open_memstream(&text, &len);
    take(&quality, EVALUATE_ANY, "full", (uint32_t[]){2, 1, 0}, 3, 1);
    take(&quality, EVALUATE_NEW, "full", (uint32_t[]){2, 1, 0}, 3, 1);
    take(&quality, EVALUATE_ANY, "full", (uint32_t[]){1, DATASET_NONE}, 2, 1); /* nothing of it */
    fclose(quality.outcomes);
    assert_int_equal(quality.outcome_count, 2);
    assert_string_equal(text, "{\"items\":[{\"id\":\"c\"},{\"id\":\"a\"}],"
                              "\"id\":\"outcome-01HF7YAT00AAAAAAAAAAAAAAAA\",\"type\":\"purchase\","
                              "\"ts\":\"1970-01-03T00:00:00.000Z\",\"user\":\"p0\","
                              "\"decision\":\"01HF7YAT00AAAAAAAAAAAAAAAA\"}\n"
                              "{\"items\":[{\"id\":\"c\"}],"
                              "\"id\":\"outcome-01HF7YAT00AAAAAAAAAAAAAAAA\",\"type\":\"purchase\","
                              "\"ts\":\"1970-01-03T00:00:00.000Z\",\"user\":\"p0\","
                              "\"decision\":\"01HF7YAT00AAAAAAAAAAAAAAAA\"}\n");
    free(text);
    quality_deinit(&quality);
    known_close(&known);
}

static void test_memory_that_is_missing_is_an_error(void **state)
{
    (void)state;
    struct known known = known_open();
    bool done = false;
    for (uint32_t n = 0; !done; n++) {
        struct quality quality = {0};
        alloc_fail_after(n);
        enum err_code rc =
            quality_init(&quality, &known.interactions, &known.dataset, &known.targets, NULL);
        done = !alloc_fail_off();
        assert_int_equal(rc, done ? ERR_OK : ERR_NOMEM);
        quality_deinit(&quality);
    }
    known_close(&known);
}

static enum err_code parse(char *line, struct quality_options *options, struct err *err)
{
    char *argv[16] = {"decide-bench", "quality"};
    int argc = 2;
    for (char *word; (word = strsep(&line, " ")) != NULL;)
        argv[argc++] = word;
    return quality_options_parse(argc, argv, options, err);
}

static void test_command_lines(void **state)
{
    (void)state;
    struct quality_options options;
    struct err err = {0};
    char good[] = "--events e --eval time:2011-11-01 --k 5 --slot-any x";
    assert_int_equal(parse(good, &options, &err), ERR_OK);
    assert_int_equal(options.k, 5);
    assert_string_equal(options.slot_new, "home");
    assert_string_equal(options.slot_any, "x");
    static const struct {
        const char *line, *message;
    } bad[] = {
        {"--eval time:2011-11-01", "--events is missing"},
        {"--events e", "--eval is missing"},
        {"--events e --eval 2011-11-01", "such as time:2011-11-01, got '2011-11-01'"},
        {"--events e --eval time:2011-11-01 --k 0", "--k"},
        {"--events e --eval time:2011-11-01 --k 201", "--k: expected a whole number 1..200"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[128];
        snprintf(line, sizeof line, "%s", bad[i].line);
        assert_int_equal(parse(line, &options, &err), ERR_BAD_INPUT);
        if (strstr(err.text, bad[i].message) == NULL)
            fail_msg("expected '%s', got '%s'", bad[i].message, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_are_measured_as_is_said),
        cmocka_unit_test(test_outcomes_name_the_decision),
        cmocka_unit_test(test_memory_that_is_missing_is_an_error),
        cmocka_unit_test(test_command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
