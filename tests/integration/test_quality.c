/* SPDX-License-Identifier: Apache-2.0 */
/* From decisions to a better ranker, on a made-up shop: a starter logs what it sees, decide-bench
 * replays the days that the daemon does not know, and decide-train learns from what came of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "tests/support/daemon.h"
#include "tests/support/program.h"

#define SPLIT    "time:2025-06-21"
#define SPLIT_MS INT64_C(1750464000000)
#define ITEMS    120
#define K        10

static struct daemon shop, fresh; /* fresh: knows nothing of the outcomes */
static struct program program;

static const char policies[] =
    "{\"version\": \"1\", \"default\": \"popular\", \"slots\": {"
    "\"popular\": {\"sources\": [{\"source\": \"popular\", \"window\": \"30d\"}],"
    "              \"bought\": \"allow\"},"
    "\"ranked\": {\"sources\": [{\"source\": \"neighbors\", \"model\": \"near\", \"count\": 100},"
    "                           {\"source\": \"popular\", \"window\": \"30d\", \"weight\": 0.01}],"
    "             \"bought\": \"allow\", \"ranker\": \"rank\"},"
    "\"broken\": {\"sources\": [{\"source\": \"neighbors\", \"model\": \"absent\"},"
    "                           {\"source\": \"neighbors\", \"model\": \"near\"}],"
    "             \"bought\": \"allow\"}}}";

/* Runs a tool with words between blanks; "@NAME" is a file in the daemon's folder. */
static const char *run(int exit_code, const char *line)
{
    static char words[32][1200];
    const char *argv[33] = {0};
    char copy[1200], *rest = copy;
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL && argc < 32; argc++) {
        if (argc == 0)
            snprintf(words[0], sizeof words[0], "%s/%s", getenv("DECIDED_TOOLS"), word);
        else if (word[0] == '@')
            snprintf(words[argc], sizeof words[argc], "%s/%s", shop.dir.path, word + 1);
        else
            snprintf(words[argc], sizeof words[argc], "%s",
                     strcmp(word, "URL") == 0     ? shop.url
                     : strcmp(word, "FRESH") == 0 ? fresh.url
                                                  : word);
        argv[argc] = words[argc];
    }
    program_run(&program, argv);
    if (program.exit_code != exit_code)
        fail_msg("%s: exit %d\n%s%s", line, program.exit_code, program.out, program.err);
    return program.out;
}

static cJSON *run_json(const char *line)
{
    cJSON *root = cJSON_Parse(run(0, line));
    if (root == NULL)
        fail_msg("%s printed no JSON: %s", line, program.out);
    return root;
}

static double number(const cJSON *at, const char *path)
{
    char words[96], *rest = words;
    snprintf(words, sizeof words, "%s", path);
    for (char *word; (word = strsep(&rest, "/")) != NULL;) {
        at = cJSON_GetObjectItemCaseSensitive(at, word);
        if (at == NULL)
            fail_msg("%s is missing", path);
    }
    return at->valuedouble;
}

static char *read_text(const char *name)
{
    char path[2 * TEMP_DIR_BYTES];
    struct buffer text = {0};
    FILE *file = fopen(temp_dir_path(&shop.dir, name, path), "r");
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        buffer_put_char(&text, (char)c);
    fclose(file);
    return buffer_take(&text, &(size_t){0});
}

/* The events before the split: what the daemon and its models may know. */
static void write_known_events(void)
{
    char *all = read_text("shop/events.ndjson");
    char *end = all;
    for (const char *ts; (ts = strstr(end, "\"ts\":")) != NULL;) {
        if (strtoll(ts + strlen("\"ts\":"), NULL, 10) >= SPLIT_MS)
            break;
        end = strchr(end, '\n') + 1;
    }
    assert_true(end > all && *end != '\0');
    *end = '\0';
    temp_dir_write_text(&shop.dir, "known.ndjson", all);
    free(all);
}

static void start(struct daemon *daemon)
{
    char path[2 * TEMP_DIR_BYTES], extra[3 * TEMP_DIR_BYTES];
    struct temp_dir dir;
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "policies.json", policies);
    snprintf(extra, sizeof extra,
             "\"policies\": \"%s\", \"queue_delay_target_us\": 0, \"model_slow_us\": 0",
             temp_dir_path(&dir, "policies.json", path));
    daemon_start(daemon, extra);
    temp_dir_remove(&dir);
}

static int set_up(void **state)
{
    (void)state;
    start(&shop);
    run(0, "decide-shop generate --out @shop --users 350 --items 120 --days 40 --seed 3");
    write_known_events();
    run(0, "decidectl --url URL import items @shop/items.ndjson");
    run(0, "decidectl --url URL import events @known.ndjson");
    run(0, "decide-train neighbors --events @known.ndjson --out @bundles --name near --version 1");
    run(0, "decidectl --url URL model push @bundles/near/1");
    run(0, "decide-train starter --out @bundles --name rank --version 1 --features "
           "source.neighbors,pair.days,pair.age_s,item.views_30d,item.purchases_30d,item.price");
    run(0, "decidectl --url URL model push @bundles/rank/1");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    daemon_stop(&shop);
    return 0;
}

#define QUALITY                                                                                   \
    "decide-bench quality --url URL --events @shop/events.ndjson --eval " SPLIT " --k 10 --json " \
    "--slot-new "

static void test_what_is_known_of_lists_is_what_is_printed(void **state)
{
    (void)state;
    cJSON *report = run_json(QUALITY "popular --slot-any ranked");
    const double people = number(report, "modes/new/people") + number(report, "modes/any/people");
    /* Everybody gets the same list of popular items. */
    assert_true(fabs(number(report, "modes/new/coverage") - (double)K / number(report, "items")) <
                1e-6);
    assert_true(number(report, "modes/any/coverage") > 2.0 * K / ITEMS);
    /* What is popular is no news; what differs by person is more so. */
    assert_true(number(report, "modes/new/novelty") < number(report, "modes/any/novelty"));
    assert_true(number(report, "modes/any/diversity") > 0.0 &&
                number(report, "modes/any/diversity") < 1.0);
    assert_true(number(report, "latency_us/full/answers") == people);
    assert_true(number(report, "latency_us/full/p50") > 0.0);
    assert_true(number(report, "latency_us/full/p99") >= number(report, "latency_us/full/p50"));
    /* decide-train measures the same. */
    cJSON *eval = run_json("decide-train eval --url URL --events @shop/events.ndjson --eval " SPLIT
                           " --k 10 --json --slot-new popular --slot-any ranked");
    assert_true(fabs(number(report, "modes/any/recall@10") - number(eval, "eval/any/recall@10")) <
                1e-6);
    assert_true(fabs(number(report, "modes/new/ndcg@10") - number(eval, "eval/new/ndcg@10")) <
                1e-6);
    cJSON_Delete(eval);
    cJSON_Delete(report);
    run(0, "decide-bench quality --url URL --events @shop/events.ndjson --eval " SPLIT
           " --slot-new popular --slot-any ranked");
    assert_non_null(strstr(program.out, "recall@20"));
    assert_non_null(strstr(program.out, "diversity"));
}

static void test_lower_levels_have_a_latency_of_their_own(void **state)
{
    (void)state;
    cJSON *report = run_json(QUALITY "popular --slot-any broken");
    assert_true(number(report, "latency_us/full/answers") == number(report, "modes/new/people"));
    double lower = 0.0;
    const cJSON *level;
    cJSON_ArrayForEach(level, cJSON_GetObjectItemCaseSensitive(report, "latency_us"))
    {
        if (strstr(level->string, "(no_model)") != NULL)
            lower += number(level, "answers");
    }
    assert_true(lower == number(report, "modes/any/people"));
    cJSON_Delete(report);
}

/* Rows of the export in which the item was bought. */
static double bought_rows(void)
{
    char *text = read_text("rows.ndjson");
    double bought = 0.0;
    for (const char *at = text; (at = strstr(at, "\"purchased\":1")) != NULL; at++)
        bought++;
    free(text);
    return bought;
}

static double items_of_outcomes(void)
{
    char *text = read_text("outcomes.ndjson");
    double items = 0.0;
    for (const char *at = text; (at = strstr(at, "{\"id\":")) != NULL; at++)
        items++;
    free(text);
    return items;
}

static void test_a_ranker_learns_from_replayed_decisions(void **state)
{
    (void)state;
    cJSON *before =
        run_json("decide-bench quality --url URL --events @shop/events.ndjson --eval " SPLIT
                 " --k 100 --json --slot-new ranked --slot-any ranked --outcomes @outcomes.ndjson");
    assert_true(number(before, "outcomes") > 20);
    cJSON_Delete(before);
    before = run_json(QUALITY "ranked --slot-any ranked");
    /* A run that fails leaves them as they are, and nothing beside them. */
    const double items = items_of_outcomes();
    run(1, QUALITY "ranked --slot-any absent --outcomes @outcomes.ndjson");
    assert_true(items > 0.0 && items_of_outcomes() == items);
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(access(temp_dir_path(&shop.dir, "outcomes.ndjson.part", path), F_OK), -1);
    run(0, "decidectl --url URL import events @outcomes.ndjson");
    /* The log is written a moment after the replies. */
    for (int tries = 0; tries < 100; tries++) {
        run(0, "decidectl --url URL export training --incomplete --out @rows.ndjson");
        if (bought_rows() == items_of_outcomes())
            break;
    }
    assert_true(bought_rows() == items_of_outcomes());
    cJSON_Delete(run_json("decide-train ranker --rows @rows.ndjson --out @bundles --name rank "
                          "--version 2 --slot ranked --label purchased --rounds 60 --valid 0 "
                          "--depth 4 --learning-rate 0.2 --json"));
    start(&fresh);
    run(0, "decidectl --url FRESH import items @shop/items.ndjson");
    run(0, "decidectl --url FRESH import events @known.ndjson");
    run(0, "decidectl --url FRESH model push @bundles/near/1");
    run(0, "decidectl --url FRESH model push @bundles/rank/2");
    cJSON *after =
        run_json("decide-bench quality --url FRESH --events @shop/events.ndjson --eval " SPLIT
                 " --k 10 --json --slot-new ranked --slot-any ranked");
    daemon_stop(&fresh);
    /* On the days that it learned from it must do better by far. */
    assert_true(number(after, "modes/any/ndcg@10") > 1.3 * number(before, "modes/any/ndcg@10"));
    cJSON_Delete(before);
    cJSON_Delete(after);
    /* A daemon that knows the days to be tested on is refused. */
    run(0, "decidectl --url URL import events @shop/events.ndjson");
    run(1, QUALITY "ranked --slot-any ranked");
    assert_non_null(strstr(program.err, "the daemon has seen events of"));
    run(1, "decide-bench quality --url URL --events @absent --eval " SPLIT);
    run(2, "decide-bench quality --events @known.ndjson");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_known_of_lists_is_what_is_printed),
        cmocka_unit_test(test_lower_levels_have_a_latency_of_their_own),
        cmocka_unit_test(test_a_ranker_learns_from_replayed_decisions),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
