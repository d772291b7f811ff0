/* SPDX-License-Identifier: Apache-2.0 */
/* Training sees what serving saw: decisions of a real daemon, what came of them, and the rows that
 * decidectl makes of both; after a kill what was committed is still there. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "tests/support/daemon_client.h"
#include "tests/support/model_sample.h"
#include "tests/support/program.h"

#define WAIT_NS UINT64_C(20000000000)

static struct daemon served;
static struct program program;

/* ---- tools ----------------------------------------------------------------------------------- */

/* Runs decidectl and returns what it printed; NULL ends the arguments. */
static const char *ctl(int code, const char *a, const char *b, const char *c, const char *d,
                       const char *e)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/decidectl", getenv("DECIDED_TOOLS"));
    const char *const argv[] = {path, "--url", served.url, a, b, c, d, e, NULL};
    program_run(&program, argv);
    if (program.exit_code != code)
        fail_msg("decidectl %s %s: %d, %s", a, b, program.exit_code, program.err);
    return program.out;
}

static cJSON *ask(const char *op, const char *json)
{
    cJSON *reply = daemon_ask_nng(&served, op, json);
    if (!reply_ok(reply))
        fail_msg("%s %s: %s", op, json, cJSON_PrintUnformatted(reply));
    return reply;
}

static void tell(const char *json)
{
    cJSON_Delete(ask("events", json));
}

static void push(const char *name, enum model_kind kind)
{
    char dir[2 * TEMP_DIR_BYTES], below[64];
    snprintf(below, sizeof below, "bundle-%s", name);
    model_sample_write(temp_dir_path(&served.dir, below, dir), name, "1", kind);
    (void)ctl(0, "model", "push", dir, NULL, NULL);
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(value))
        fail_msg("%s is no number in %s", key, cJSON_PrintUnformatted(object));
    return value->valuedouble;
}

/* The lines of the text as an array. */
static cJSON *lines(const char *text)
{
    cJSON *array = cJSON_CreateArray();
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        assert_non_null(end);
        cJSON *line = cJSON_ParseWithLength(text, (size_t)(end - text));
        assert_non_null(line);
        cJSON_AddItemToArray(array, line);
        text = end + 1;
    }
    return array;
}

static void decide_often(int count)
{
    for (int i = 0; i < count; i++)
        cJSON_Delete(ask("recommend", "{\"user\": \"u\", \"n\": 3}"));
}

/* Exports until this is in it: the log is written a moment after the reply. */
static const char *decisions_with(const char *wanted)
{
    uint64_t until_ns = clock_now_ns(clock_system()) + WAIT_NS;
    while (strstr(ctl(0, "export", "decisions", NULL, NULL, NULL), wanted) == NULL) {
        if (clock_now_ns(clock_system()) > until_ns)
            fail_msg("%s does not get into the log", wanted);
    }
    return program.out;
}

static int set_up(void **state)
{
    (void)state;
    daemon_start(&served, NULL);
    for (int i = 0; i < MODEL_SAMPLE_ITEMS; i++) {
        char event[256];
        snprintf(
            event, sizeof event,
            "{\"events\": [{\"id\": \"c%d\", \"type\": \"item_upsert\", \"currency\": \"EUR\", "
            "\"items\": [{\"id\": \"i%d\", \"price\": %d}]}]}",
            i, i, 333 * (i + 1));
        tell(event);
    }
    tell(
        "{\"events\": [{\"id\": \"v1\", \"type\": \"view\", \"user\": \"u\", \"items\": [{\"id\": "
        "\"i1\"}]}, {\"id\": \"p1\", \"type\": \"purchase\", \"user\": \"u\", \"items\": [{\"id\": "
        "\"i2\"}]}]}");
    push("near", MODEL_neighbors);
    push("rank", MODEL_linear);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    daemon_stop(&served);
    return 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

/* The row of an item, or a failure. */
static const cJSON *row_of(const cJSON *rows, const char *decision, const char *item)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        if (strcmp(reply_text(row, "decision"), decision) == 0 &&
            strcmp(reply_text(row, "item"), item) == 0)
            return row;
    }
    fail_msg("no row of %s in %s", item, decision);
    return NULL;
}

static void check_features(const cJSON *row, const char *item)
{
    char question[128];
    const cJSON *features = cJSON_GetObjectItemCaseSensitive(row, "features");
    snprintf(question, sizeof question, "{\"item\": \"%s\", \"names\": [\"item.price\"]}", item);
    cJSON *reply = ask("features", question);
    const cJSON *served_features = cJSON_GetObjectItemCaseSensitive(reply, "features");
    assert_true(number(features, "item.price") == number(served_features, "item.price"));
    assert_true(number(features, "pair.days") == (strcmp(item, "i2") == 0 ? 1.0 : 0.0));
    cJSON_Delete(reply);
}

static void tell_about(const char *decision, const char *id, const char *type, const char *item)
{
    char event[512];
    snprintf(
        event, sizeof event,
        "{\"events\": [{\"id\": \"%s\", \"type\": \"%s\", \"user\": \"u\", \"decision\": \"%s\", "
        "\"currency\": \"EUR\", \"items\": [{\"id\": \"%s\", \"qty\": 2, \"price\": 450}]}]}",
        id, type, decision, item);
    tell(event);
}

static void check_labels(const cJSON *row, int clicked, int carted, int purchased, int revenue)
{
    assert_int_equal(number(row, "clicked"), clicked);
    assert_int_equal(number(row, "carted"), carted);
    assert_int_equal(number(row, "purchased"), purchased);
    assert_int_equal(number(row, "revenue_minor"), revenue);
}

static void test_rows_are_what_was_served_and_what_came_of_it(void **state)
{
    (void)state;
    cJSON *reply = ask("recommend", "{\"user\": \"u\", \"n\": 4, \"price\": true}");
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(reply, "items");
    const char *decision = reply_text(reply, "decision");
    assert_string_equal(reply_text(reply, "level"), "full");
    assert_true(cJSON_GetArraySize(items) >= 2);
    const char *first = reply_text(cJSON_GetArrayItem(items, 0), "id");
    const char *second = reply_text(cJSON_GetArrayItem(items, 1), "id");
    tell_about(decision, "l1", "click", first);
    tell_about(decision, "l2", "cart_add", first);
    tell_about(decision, "l3", "purchase", first);
    tell_about(decision, "l4", "impression", second);
    tell_about("01HF7YAT00AAAAAAAAAAAAAAAA", "l5", "purchase", second); /* of another decision */
    (void)decisions_with(decision);
    cJSON *rows = lines(ctl(0, "export", "training", "--incomplete", NULL, NULL));
    assert_int_equal(cJSON_GetArraySize(rows), cJSON_GetArraySize(items));
    for (int i = 0; i < cJSON_GetArraySize(items); i++) {
        const cJSON *item = cJSON_GetArrayItem(items, i);
        const cJSON *row = row_of(rows, decision, reply_text(item, "id"));
        const cJSON *price = cJSON_GetObjectItemCaseSensitive(item, "price");
        assert_int_equal(number(row, "position"), i + 1);
        assert_true(number(row, "score") == number(item, "score"));
        assert_true(number(row, "price") == number(price, "amount"));
        assert_string_equal(reply_text(row, "user"), "u");
        assert_string_equal(reply_text(row, "ranker"), "rank@1");
        check_features(row, reply_text(item, "id"));
    }
    check_labels(row_of(rows, decision, first), 1, 1, 1, 900);
    check_labels(row_of(rows, decision, second), 0, 0, 0, 0);
    assert_int_equal(number(row_of(rows, decision, first), "impressed"), 0);
    assert_int_equal(number(row_of(rows, decision, second), "impressed"), 1);
    cJSON_Delete(rows);
    /* Their window of a day is not over. */
    assert_string_equal(ctl(0, "export", "training", NULL, NULL, NULL), "");
    assert_string_equal(ctl(0, "export", "training", "--incomplete", "--before", "2020-01-01"), "");
    cJSON_Delete(reply);
}

static void test_csv_has_a_column_for_each_feature(void **state)
{
    (void)state;
    char wanted[512];
    cJSON *reply = ask("rank", "{\"user\": \"u\", \"items\": [{\"id\": \"i3\", \"score\": 2.5, "
                               "\"features\": {\"x\": 1}}]}");
    const char *decision = reply_text(reply, "decision");
    (void)decisions_with(decision);
    (void)ctl(0, "export", "training", "--incomplete", "--format", "csv");
    if (strstr(program.out, "purchased,revenue_minor,item.price,pair.days,caller.score\r\n") ==
        NULL)
        fail_msg("%s", program.out);
    if (strstr(program.out, ",0,0,0,0,0,1332,0,2.5\r\n") == NULL)
        fail_msg("%s", program.out);
    snprintf(wanted, sizeof wanted, "%s,", decision);
    assert_non_null(strstr(ctl(0, "export", "decisions", "--format", "csv", NULL), wanted));
    assert_non_null(strstr(program.out, "rank,,u,,,full,,home@builtin,"));
    (void)ctl(2, "export", "training", "--from", "7", NULL);
    assert_non_null(strstr(program.err, "use --since"));
    cJSON_Delete(reply);
}

static void test_what_was_asked_is_in_the_log(void **state)
{
    (void)state;
    cJSON *reply =
        ask("rank", "{\"anon\": \"a\", \"items\": [{\"id\": \"i3\", \"score\": 0.1, "
                    "\"features\": {\"x\": 0.7}}], \"context\": {\"channel\": \"app\"}}");
    const char *text = decisions_with(reply_text(reply, "decision"));
    assert_non_null(strstr(text, "\"anon\":\"a\""));
    assert_non_null(strstr(text, "\"items\":[[\"i3\",0.1,1,null,{\"x\":0.7}]]"));
    assert_non_null(strstr(text, "\"context\":{\"channel\":\"app\"}"));
    assert_non_null(strstr(text, "\"experiments\":[]"));
    cJSON_Delete(reply);
}

/* base + what is told + the rest is the score of the linear ranker, which adds weight * value. */
static int check_contributions(const cJSON *reply)
{
    const cJSON *item, *one;
    int told_count = 0;
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(reply, "items"))
    {
        const cJSON *told = cJSON_GetObjectItemCaseSensitive(item, "contributions");
        if (told == NULL)
            continue;
        assert_string_equal(reply_text(told, "model"), "rank@1");
        double sum = number(told, "base") + number(told, "rest");
        double last = 1e300;
        cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(told, "top"))
        {
            const double adds = number(one, "adds");
            assert_true(adds != 0.0 && fabs(adds) <= last);
            last = fabs(adds);
            sum += adds;
        }
        assert_true(fabs(sum - number(item, "score")) <= 1e-5 * fmax(1.0, fabs(sum)));
        told_count++;
    }
    return told_count;
}

static void test_explanations_add_up_to_the_score(void **state)
{
    (void)state;
    cJSON *reply = ask("recommend", "{\"user\": \"u\", \"n\": 4, \"explain\": true}");
    assert_true(check_contributions(reply) >= 2);
    cJSON_Delete(reply);
    reply = ask("rank", "{\"user\": \"u\", \"explain\": true, \"items\": [{\"id\": \"i3\", "
                        "\"score\": 2.5}, {\"id\": \"unknown\"}]}");
    assert_int_equal(check_contributions(reply), 2);
    cJSON_Delete(reply);
    reply = ask("recommend", "{\"user\": \"u\", \"n\": 4}");
    assert_int_equal(check_contributions(reply), 0);
    cJSON_Delete(reply);
    assert_non_null(strstr(ctl(0, "recommend", "u", "--explain", NULL, NULL), "rank@1"));
    assert_non_null(strstr(program.out, " = base "));
    assert_non_null(strstr(program.out, "item.price ("));
}

static void consent(const char *id, const char *what)
{
    char event[256];
    snprintf(event, sizeof event,
             "{\"events\": [{\"id\": \"%s\", \"type\": \"consent\", \"user\": \"u\", "
             "\"consent\": {%s}}]}",
             id, what);
    tell(event);
}

static void test_training_obeys_consent(void **state)
{
    (void)state;
    cJSON *of_u = ask("recommend", "{\"user\": \"u\", \"n\": 2}");
    cJSON *of_w = ask("similar", "{\"user\": \"w\", \"items\": [\"i1\"], \"n\": 2}");
    const char *mine = reply_text(of_u, "decision"), *other = reply_text(of_w, "decision");
    (void)decisions_with(mine);
    (void)decisions_with(other);
    assert_non_null(strstr(ctl(0, "export", "training", "--incomplete", NULL, NULL), mine));
    consent("k1", "\"train\": false");
    assert_null(strstr(ctl(0, "export", "training", "--incomplete", NULL, NULL), mine));
    assert_non_null(strstr(program.out, other));
    assert_null(strstr(ctl(0, "export", "training", "--incomplete", "--format", "csv"), mine));
    assert_non_null(strstr(ctl(0, "export", "decisions", NULL, NULL, NULL), mine));
    consent("k2", "\"train\": true");
    assert_non_null(strstr(ctl(0, "export", "training", "--incomplete", NULL, NULL), mine));
    consent("k3", "\"process\": false");
    cJSON *unlogged = ask("recommend", "{\"user\": \"u\", \"n\": 2}");
    cJSON *last = ask("similar", "{\"user\": \"w\", \"items\": [\"i1\"], \"n\": 2}");
    assert_null(
        strstr(decisions_with(reply_text(last, "decision")), reply_text(unlogged, "decision")));
    (void)ctl(1, "call", "export", "{\"what\": \"events\", \"for\": \"training\"}", NULL, NULL);
    cJSON_Delete(of_u);
    cJSON_Delete(of_w);
    cJSON_Delete(unlogged);
    cJSON_Delete(last);
}

static void test_a_kill_loses_nothing_that_was_committed(void **state)
{
    (void)state;
    char committed[64];
    for (int round = 0; round < 3; round++) {
        cJSON *reply = ask("recommend", "{\"user\": \"u\", \"n\": 3}");
        snprintf(committed, sizeof committed, "%s", reply_text(reply, "decision"));
        cJSON_Delete(reply);
        (void)decisions_with(committed);
        decide_often(50); /* these may be lost, and may tear nothing */
        daemon_signal(&served, SIGKILL);
        daemon_wait(&served);
        daemon_restart(&served);
        cJSON *all = lines(decisions_with(committed));
        assert_true(cJSON_GetArraySize(all) > round);
        cJSON_Delete(all);
    }
}

static void test_an_orderly_stop_loses_nothing_at_all(void **state)
{
    (void)state;
    decide_often(20);
    daemon_signal(&served, SIGTERM);
    assert_int_equal(daemon_wait(&served), 0);
    daemon_restart(&served);
    cJSON *all = lines(ctl(0, "export", "decisions", NULL, NULL, NULL));
    assert_int_equal(cJSON_GetArraySize(all), 20);
    cJSON_Delete(all);
}

static void test_a_successor_goes_on_with_the_log(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        int status = 0;
        pid_t old = served.pid;
        decide_often(20);
        cJSON *reply = ask("restart", "{}");
        served.pid = (pid_t)number(reply, "process_id");
        cJSON_Delete(reply);
        assert_int_equal(waitpid(old, &status, 0), old);
        assert_int_equal(status, 0);
    }
    cJSON *reply = ask("recommend", "{\"user\": \"u\", \"n\": 3}");
    cJSON *all = lines(decisions_with(reply_text(reply, "decision")));
    assert_int_equal(cJSON_GetArraySize(all), 41);
    cJSON_Delete(all);
    cJSON_Delete(reply);
}

static void test_without_a_log_there_is_none_to_export(void **state)
{
    (void)state;
    daemon_start(&served, "\"decision_log_bytes_max\": 0");
    cJSON_Delete(ask("recommend", "{\"user\": \"u\", \"n\": 3}"));
    (void)ctl(1, "export", "decisions", NULL, NULL, NULL);
    assert_non_null(strstr(program.err, "decision_log_bytes_max is 0"));
    daemon_stop(&served);
}

int main(void)
{
    /* Successors come to this process when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_are_what_was_served_and_what_came_of_it),
        TEST(test_csv_has_a_column_for_each_feature),
        TEST(test_what_was_asked_is_in_the_log),
        TEST(test_explanations_add_up_to_the_score),
        TEST(test_training_obeys_consent),
        TEST(test_a_kill_loses_nothing_that_was_committed),
        TEST(test_an_orderly_stop_loses_nothing_at_all),
        TEST(test_a_successor_goes_on_with_the_log),
        cmocka_unit_test(test_without_a_log_there_is_none_to_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
