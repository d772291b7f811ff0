/* SPDX-License-Identifier: Apache-2.0 */
/* Training sees what serving saw: decisions of a real daemon, what came of them, and the rows that
 * decidectl makes of both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "tests/support/daemon_client.h"
#include "tests/support/export_rig.h"
#include "tests/support/program.h"

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
    cJSON *reply = export_rig_ask("features", question);
    const cJSON *served_features = cJSON_GetObjectItemCaseSensitive(reply, "features");
    assert_true(export_rig_number(features, "item.price") ==
                export_rig_number(served_features, "item.price"));
    assert_true(export_rig_number(features, "pair.days") == (strcmp(item, "i2") == 0 ? 1.0 : 0.0));
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
    export_rig_tell(event);
}

static void check_labels(const cJSON *row, int clicked, int carted, int purchased, int revenue)
{
    assert_int_equal(export_rig_number(row, "clicked"), clicked);
    assert_int_equal(export_rig_number(row, "carted"), carted);
    assert_int_equal(export_rig_number(row, "purchased"), purchased);
    assert_int_equal(export_rig_number(row, "revenue_minor"), revenue);
}

static void test_rows_are_what_was_served_and_what_came_of_it(void **state)
{
    (void)state;
    cJSON *reply = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 4, \"price\": true}");
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
    (void)export_rig_until(decision);
    cJSON *rows =
        export_rig_lines(export_rig_ctl(0, "export", "training", "--incomplete", NULL, NULL));
    assert_int_equal(cJSON_GetArraySize(rows), cJSON_GetArraySize(items));
    for (int i = 0; i < cJSON_GetArraySize(items); i++) {
        const cJSON *item = cJSON_GetArrayItem(items, i);
        const cJSON *row = row_of(rows, decision, reply_text(item, "id"));
        const cJSON *price = cJSON_GetObjectItemCaseSensitive(item, "price");
        assert_int_equal(export_rig_number(row, "position"), i + 1);
        assert_true(export_rig_number(row, "score") == export_rig_number(item, "score"));
        assert_true(export_rig_number(row, "price") == export_rig_number(price, "amount"));
        assert_string_equal(reply_text(row, "user"), "u");
        assert_string_equal(reply_text(row, "ranker"), "rank@1");
        check_features(row, reply_text(item, "id"));
    }
    check_labels(row_of(rows, decision, first), 1, 1, 1, 900);
    check_labels(row_of(rows, decision, second), 0, 0, 0, 0);
    assert_int_equal(export_rig_number(row_of(rows, decision, first), "impressed"), 0);
    assert_int_equal(export_rig_number(row_of(rows, decision, second), "impressed"), 1);
    cJSON_Delete(rows);
    /* Their window of a day is not over. */
    assert_string_equal(export_rig_ctl(0, "export", "training", NULL, NULL, NULL), "");
    assert_string_equal(
        export_rig_ctl(0, "export", "training", "--incomplete", "--before", "2020-01-01"), "");
    cJSON_Delete(reply);
}

static void test_csv_has_a_column_for_each_feature(void **state)
{
    (void)state;
    char wanted[512];
    cJSON *reply =
        export_rig_ask("rank", "{\"user\": \"u\", \"items\": [{\"id\": \"i3\", \"score\": 2.5, "
                               "\"features\": {\"x\": 1}}]}");
    const char *decision = reply_text(reply, "decision");
    (void)export_rig_until(decision);
    (void)export_rig_ctl(0, "export", "training", "--incomplete", "--format", "csv");
    if (strstr(export_rig_program.out,
               "purchased,revenue_minor,item.price,pair.days,caller.score\r\n") == NULL)
        fail_msg("%s", export_rig_program.out);
    if (strstr(export_rig_program.out, ",0,0,0,0,0,1332,0,2.5\r\n") == NULL)
        fail_msg("%s", export_rig_program.out);
    snprintf(wanted, sizeof wanted, "%s,", decision);
    assert_non_null(
        strstr(export_rig_ctl(0, "export", "decisions", "--format", "csv", NULL), wanted));
    assert_non_null(strstr(export_rig_program.out, "rank,,u,,,full,,home@builtin,"));
    (void)export_rig_ctl(2, "export", "training", "--from", "7", NULL);
    assert_non_null(strstr(export_rig_program.err, "use --since"));
    cJSON_Delete(reply);
}

static void test_what_was_asked_is_in_the_log(void **state)
{
    (void)state;
    cJSON *reply = export_rig_ask(
        "rank", "{\"anon\": \"a\", \"items\": [{\"id\": \"i3\", \"score\": 0.1, "
                "\"features\": {\"x\": 0.7}}], \"context\": {\"channel\": \"app\"}}");
    const char *text = export_rig_until(reply_text(reply, "decision"));
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
        double sum = export_rig_number(told, "base") + export_rig_number(told, "rest");
        double last = 1e300;
        cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(told, "top"))
        {
            const double adds = export_rig_number(one, "adds");
            assert_true(adds != 0.0 && fabs(adds) <= last);
            last = fabs(adds);
            sum += adds;
        }
        assert_true(fabs(sum - export_rig_number(item, "score")) <= 1e-5 * fmax(1.0, fabs(sum)));
        told_count++;
    }
    return told_count;
}

static void test_explanations_add_up_to_the_score(void **state)
{
    (void)state;
    cJSON *reply = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 4, \"explain\": true}");
    assert_true(check_contributions(reply) >= 2);
    cJSON_Delete(reply);
    reply =
        export_rig_ask("rank", "{\"user\": \"u\", \"explain\": true, \"items\": [{\"id\": \"i3\", "
                               "\"score\": 2.5}, {\"id\": \"unknown\"}]}");
    assert_int_equal(check_contributions(reply), 2);
    cJSON_Delete(reply);
    reply = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 4}");
    assert_int_equal(check_contributions(reply), 0);
    cJSON_Delete(reply);
    assert_non_null(strstr(export_rig_ctl(0, "recommend", "u", "--explain", NULL, NULL), "rank@1"));
    assert_non_null(strstr(export_rig_program.out, " = base "));
    assert_non_null(strstr(export_rig_program.out, "item.price ("));
}

static void consent(const char *id, const char *what)
{
    char event[256];
    snprintf(event, sizeof event,
             "{\"events\": [{\"id\": \"%s\", \"type\": \"consent\", \"user\": \"u\", "
             "\"consent\": {%s}}]}",
             id, what);
    export_rig_tell(event);
}

static void test_training_obeys_consent(void **state)
{
    (void)state;
    cJSON *of_u = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 2}");
    cJSON *of_w = export_rig_ask("similar", "{\"user\": \"w\", \"items\": [\"i1\"], \"n\": 2}");
    const char *mine = reply_text(of_u, "decision"), *other = reply_text(of_w, "decision");
    (void)export_rig_until(mine);
    (void)export_rig_until(other);
    assert_non_null(
        strstr(export_rig_ctl(0, "export", "training", "--incomplete", NULL, NULL), mine));
    consent("k1", "\"train\": false");
    assert_null(strstr(export_rig_ctl(0, "export", "training", "--incomplete", NULL, NULL), mine));
    assert_non_null(strstr(export_rig_program.out, other));
    assert_null(
        strstr(export_rig_ctl(0, "export", "training", "--incomplete", "--format", "csv"), mine));
    assert_non_null(strstr(export_rig_ctl(0, "export", "decisions", NULL, NULL, NULL), mine));
    consent("k2", "\"train\": true");
    assert_non_null(
        strstr(export_rig_ctl(0, "export", "training", "--incomplete", NULL, NULL), mine));
    consent("k3", "\"process\": false");
    cJSON *unlogged = export_rig_ask("recommend", "{\"user\": \"u\", \"n\": 2}");
    cJSON *last = export_rig_ask("similar", "{\"user\": \"w\", \"items\": [\"i1\"], \"n\": 2}");
    assert_null(
        strstr(export_rig_until(reply_text(last, "decision")), reply_text(unlogged, "decision")));
    (void)export_rig_ctl(1, "call", "export", "{\"what\": \"events\", \"for\": \"training\"}", NULL,
                         NULL);
    cJSON_Delete(of_u);
    cJSON_Delete(of_w);
    cJSON_Delete(unlogged);
    cJSON_Delete(last);
}

int main(void)
{
    /* Successors come to this process when their parents end. */
    prctl(PR_SET_CHILD_SUBREAPER, 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, export_rig_set_up, export_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_rows_are_what_was_served_and_what_came_of_it),
        TEST(test_csv_has_a_column_for_each_feature),
        TEST(test_what_was_asked_is_in_the_log),
        TEST(test_explanations_add_up_to_the_score),
        TEST(test_training_obeys_consent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
