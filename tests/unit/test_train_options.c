/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "tools/train/options.h"

#define ARGS_MAX 16

static enum err_code parse(const char *line, struct train_options *options, struct err *err)
{
    static char words[512]; /* options borrow from it */
    char *argv[ARGS_MAX] = {"decide-train"};
    int argc = 1;
    char *rest = words;
    strncpy(words, line, sizeof words - 1);
    for (char *word; (word = strsep(&rest, " ")) != NULL && argc < ARGS_MAX;)
        argv[argc++] = strcmp(word, "''") == 0 ? "" : word;
    return train_options_parse(line[0] == '\0' ? 1 : argc, argv, options, err);
}

static void test_defaults_are_those_of_the_help(void **state)
{
    (void)state;
    struct train_options o;
    struct err err = {0};
    assert_int_equal(parse("factors --events e --out o", &o, &err), ERR_OK);
    assert_int_equal(o.command, TRAIN_FACTORS);
    assert_string_equal(o.events, "e");
    assert_string_equal(o.out, "o");
    assert_null(o.map);
    assert_null(o.name);
    assert_null(o.version);
    assert_int_equal(o.eval_s, 0);
    assert_int_equal(o.k, 20);
    assert_int_equal(o.threads, 2);
    assert_int_equal(o.factors, 64);
    assert_int_equal(o.sweeps, 12);
    assert_int_equal(o.seed, 1);
    assert_true(o.regularization == 0.003);
    assert_true(o.regularization_exponent == 1.0);
    assert_true(o.unobserved_weight == 0.3);
    assert_false(o.json);
    assert_int_equal(parse("neighbors --events e --out o", &o, &err), ERR_OK);
    assert_string_equal(o.method, "ease");
    assert_true(o.lambda == 500.0);
    assert_true(o.shrinkage == 10.0);
    assert_int_equal(o.neighbor_count, 0);
    assert_int_equal(parse("ranker --rows r --out o", &o, &err), ERR_OK);
    assert_int_equal(o.threads, 1);
    assert_int_equal(o.rounds, 500);
    assert_string_equal(o.label, "graded");
    assert_string_equal(o.objective, "ndcg");
    assert_int_equal(parse("eval --events e --eval time:2011-11-01 --url tcp://h:1", &o, &err),
                     ERR_OK);
    assert_string_equal(o.slot_new, "home");
    assert_string_equal(o.slot_any, "again");
    assert_int_equal(setenv("DECIDED_URL", "ipc:///there", 1), 0);
    assert_int_equal(parse("eval --events e --eval time:2011-11-01", &o, &err), ERR_OK);
    assert_string_equal(o.url, "ipc:///there");
    assert_int_equal(unsetenv("DECIDED_URL"), 0);
    assert_int_equal(parse("eval --events e --eval time:2011-11-01", &o, &err), ERR_OK);
    assert_string_equal(o.url, "tcp://127.0.0.1:7100");
}

static void test_every_option_is_read(void **state)
{
    (void)state;
    struct train_options o;
    struct err err = {0};
    assert_int_equal(parse("factors --events=a=b --map m --out o --name n --version v1 --json "
                           "--eval=time:2011-11-01T08:00:00Z --k 5",
                           &o, &err),
                     ERR_OK);
    assert_string_equal(o.events, "a=b");
    assert_string_equal(o.map, "m");
    assert_string_equal(o.name, "n");
    assert_string_equal(o.version, "v1");
    assert_int_equal(o.eval_s, 1320134400);
    assert_int_equal(o.k, 5);
    assert_true(o.json);
    assert_int_equal(parse("factors --events e --out o --factors 8 --sweeps 3 --seed 9 "
                           "--regularization=0.5 --regularization-exponent=0",
                           &o, &err),
                     ERR_OK);
    assert_int_equal(o.factors, 8);
    assert_int_equal(o.sweeps, 3);
    assert_int_equal(o.seed, 9);
    assert_true(o.regularization == 0.5);
    assert_true(o.regularization_exponent == 0.0);
    assert_int_equal(parse("neighbors --events e --out o --method cosine --shrinkage 0 "
                           "--neighbors 7 --threads 1",
                           &o, &err),
                     ERR_OK);
    assert_string_equal(o.method, "cosine");
    assert_true(o.shrinkage == 0.0);
    assert_int_equal(o.neighbor_count, 7);
    assert_int_equal(o.threads, 1);
    assert_int_equal(parse("popularity --events e --out o --days 14", &o, &err), ERR_OK);
    assert_int_equal(o.days, 14);
    assert_int_equal(parse("eval --events e --eval time:2011-11-01 --url u --slot-new a "
                           "--slot-any b",
                           &o, &err),
                     ERR_OK);
    assert_string_equal(o.url, "u");
    assert_string_equal(o.slot_new, "a");
    assert_string_equal(o.slot_any, "b");
}

/* Nothing is changed by it. */
static void expect_refusal(const char *line, const char *says)
{
    struct train_options o;
    struct train_options before;
    struct err err = {0};
    memset(&o, 0x5a, sizeof o);
    before = o;
    assert_int_equal(parse(line, &o, &err), ERR_BAD_INPUT);
    assert_memory_equal(&o, &before, sizeof o);
    if (strstr(err.text, says) == NULL)
        fail_msg("%s\n  says: %s\n  without: %s", line, err.text, says);
}

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
#define FACTORS "factors --events e --out o "
    static const struct {
        const char *line, *says;
    } bad[] = {
        {"", "no command"},
        {"facters", "did you mean 'factors'"},
        {"rankers", "unknown command 'rankers', did you mean 'ranker'?"},
        {"ranker --out o", "--rows FILE is missing"},
        {"ranker --rows r --out o --events e", "unknown option '--events'"},
        {"ranker --rows r --out o --label best",
         "--label: expected graded, purchased, carted or clicked, got 'best'"},
        {"ranker --rows r --out o --objective logistic",
         "--objective logistic wants --label purchased, carted or clicked"},
        {"ranker --rows r --out o --valid 1", "--valid: expected a number 0..0.9, got '1'"},
        {"factors --out o", "--events FILE is missing"},
        {"factors --events e", "--out DIR is missing"},
        {"neighbors --events e --out o --method cosine --lambda 3", "only for --method ease"},
        {"neighbors --events e --out o --method cosine --energy 1", "only for --method ease"},
        {"neighbors --events e --out o --shrinkage 4", "only for --method cosine"},
        {"neighbors --events e --out o --neighbors 5 --energy 1", "exclude each other"},
        {"factors --events e --out o --format xml", "expected csv or ndjson"},
        {"eval --events e --url u", "--eval time:DATE is missing"},
        {FACTORS "extra", "unknown option 'extra'"},
        {FACTORS "--factor 3", "did you mean '--factors'"},
        {FACTORS "--lambda 3", "factors: unknown option '--lambda'"},
        {"popularity --events e --out o --factors 3", "unknown option '--factors'"},
        {"eval --events e --out o", "eval: unknown option '--out'"},
        {FACTORS "--events f", "--events: given twice"},
        {FACTORS "--json=1", "--json: takes no argument"},
        {FACTORS "--seed", "--seed: its argument S is missing"},
        {FACTORS "--map ''", "--map: is empty"},
        {FACTORS "--name a/b", "--name: expected 1 to 64"},
        {FACTORS "--version ..", "--version: expected 1 to 64"},
        {FACTORS "--k 0", "--k: expected a whole number 1..500, got '0'"},
        {FACTORS "--k 501", "1..500"},
        {FACTORS "--k 2.5", "1..500"},
        {FACTORS "--threads 0", "--threads: expected a whole number 1..64"},
        {FACTORS "--threads 65", "1..64"},
        {FACTORS "--factors many", "--factors: expected a whole number 1..512, got 'many'"},
        {FACTORS "--factors 513", "1..512"},
        {FACTORS "--sweeps 0", "--sweeps: expected a whole number 1..1000"},
        {FACTORS "--seed -1", "--seed: expected a whole number 0.."},
        {FACTORS "--regularization -0.1", "--regularization: expected a number 0..1e+09"},
        {FACTORS "--regularization nan", "--regularization: expected a number"},
        {FACTORS "--regularization-exponent 3",
         "--regularization-exponent: expected a number 0..2"},
        {FACTORS "--unobserved-weight x", "--unobserved-weight: expected a number"},
        {FACTORS "--eval 2011-11-01", "--eval: expected time: and a date"},
        {FACTORS "--eval time:yesterday", "got 'time:yesterday'"},
        {FACTORS "--eval time:2011-11-01T00:00:00.5Z", "--eval: expected time:"},
        {FACTORS "--eval time:1970-01-01", "--eval: expected time:"},
        {FACTORS "--eval time:2200-01-01", "--eval: expected time:"},
        {"neighbors --events e --out o --method knn", "--method: expected ease or cosine"},
        {"neighbors --events e --out o --neighbors 0", "--neighbors: expected a whole number"},
        {"neighbors --events e --out o --neighbors 4097", "1..4096"},
        {"neighbors --events e --out o --lambda 0", "--lambda: expected a number"},
        {"neighbors --events e --out o --shrinkage -1", "--shrinkage: expected a number"},
        {"popularity --events e --out o --days 0", "--days: expected a whole number 1..36500"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        expect_refusal(bad[i].line, bad[i].says);
}

/* Each option of a command is in its help, and no other's. */
static void test_help(void **state)
{
    (void)state;
    static const struct {
        const char *line, *has, *has_not;
    } cases[] = {
        {"--help", "neighbors", "--lambda"},
        {"factors --help", "--regularization-exponent NU", "--lambda"},
        {"factors --out o --help", "(default 64)", "--url"},
        {"neighbors --help", "--shrinkage S", "--factors"},
        {"popularity --help", "--days D", "--seed"},
        {"eval --help", "--slot-any SLOT", "--out"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct train_options o;
        struct err err = {0};
        char *text = NULL;
        size_t len = 0;
        FILE *out = open_memstream(&text, &len);
        assert_int_equal(parse(cases[i].line, &o, &err), ERR_OK);
        assert_true(o.help);
        train_options_help(o.command, out);
        fclose(out);
        assert_non_null(strstr(text, "usage: decide-train"));
        assert_non_null(strstr(text, cases[i].has));
        assert_null(strstr(text, cases[i].has_not));
        free(text);
    }
    struct train_options o;
    struct err err = {0};
    assert_int_equal(parse("--version", &o, &err), ERR_OK);
    assert_true(o.tells_version && !o.help);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_those_of_the_help),
        cmocka_unit_test(test_every_option_is_read),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
