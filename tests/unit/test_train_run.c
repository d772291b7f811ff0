/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "models/bundle.h"
#include "tests/support/temp_dir.h"
#include "tools/train/linear_algebra.h"
#include "tools/train/run.h"

#define USERS 30
#define ITEMS 20
#define NOW   1325376000000 /* 2012-01-01 */

static struct temp_dir dir;
static struct clock_manual now;

/* People of two tastes buy through 2011; from 2011-11-01 on each buys one item again and a new one.
 */
static char *events(void)
{
    struct buffer text = {0};
    for (unsigned u = 0; u < USERS; u++) {
        for (unsigned i = 0; i < ITEMS; i++) {
            if (u % 2 == i % 2 && i / 2 != u % 10)
                buffer_put_fmt(&text,
                               "{\"id\":\"%u-%u\",\"type\":\"purchase\",\"ts\":\"2011-0%u-01T00:00:"
                               "00Z\",\"user\":\"u%u\",\"items\":[{\"id\":\"i%u\"}]}\n",
                               u, i, 1 + i % 9, u, i);
        }
        buffer_put_fmt(
            &text,
            "{\"id\":\"again-%u\",\"type\":\"purchase\",\"ts\":\"2011-11-0%uT00:00:00Z\","
            "\"user\":\"u%u\",\"items\":[{\"id\":\"i%u\"},{\"id\":\"i%u\"}]}\n",
            u, 1 + u % 3, u, u % 2 + 2 * (u % 10), u % 2 + 2 * ((u + 1) % 10));
    }
    return buffer_take(&text, &(size_t){0});
}

static int setup(void **state)
{
    char *text = events();
    (void)state;
    temp_dir_create(&dir);
    clock_manual_init(&now, 1, NOW);
    temp_dir_write_text(&dir, "events.ndjson", text);
    temp_dir_write_text(&dir, "events.txt", text);
    temp_dir_write_text(&dir, "empty.ndjson", "");
    temp_dir_write_text(
        &dir, "bad.ndjson",
        "{\"id\":\"1\",\"type\":\"purchase\",\"user\":\"u\",\"items\":[{\"id\":\"a\"}]}\n"
        "not json\n"
        "{\"id\":\"2\",\"type\":\"purchase\",\"user\":7,\"items\":[{\"id\":\"a\"}]}\n"
        "{\"id\":\"3\",\"type\":\"forget\",\"user\":\"u\"}\n"
        "{\"id\":\"1\",\"type\":\"purchase\",\"user\":\"u\",\"items\":[{\"id\":\"b\"}]}\n");
    free(text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* The words of `line` with FILE for a file of the directory and OUT for the output folder. */
static enum err_code run(const char *line, const char *file, char **ret_out, char **ret_messages,
                         struct err *err)
{
    static char words[1024], path[2 * TEMP_DIR_BYTES], out_dir[2 * TEMP_DIR_BYTES];
    char *argv[32] = {"decide-train"};
    int argc = 1;
    char *rest = words;
    struct train_options options;
    size_t len = 0;
    FILE *out = open_memstream(ret_out, &len);
    FILE *messages = open_memstream(ret_messages, &len);
    snprintf(words, sizeof words, "%s", line);
    temp_dir_path(&dir, file, path);
    temp_dir_path(&dir, "out", out_dir);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = word;
    argv[argc++] = "--events";
    argv[argc++] = path;
    argv[argc++] = "--out";
    argv[argc++] = out_dir;
    enum err_code rc = train_options_parse(argc, argv, &options, err);
    if (rc == ERR_OK)
        rc = run_train(&options, &now.clock, out, messages, err);
    fclose(out);
    fclose(messages);
    return rc;
}

static cJSON *run_json(const char *line, const char *file)
{
    char *out = NULL, *messages = NULL;
    struct err err = {0};
    if (run(line, file, &out, &messages, &err) != ERR_OK)
        fail_msg("%s: %s", line, err.text);
    cJSON *root = cJSON_Parse(out);
    assert_non_null(root);
    free(out);
    free(messages);
    return root;
}

static double number(const cJSON *at, const char *path)
{
    char words[64], *rest = words;
    snprintf(words, sizeof words, "%s", path);
    for (char *word; (word = strsep(&rest, "/")) != NULL;) {
        at = cJSON_GetObjectItemCaseSensitive(at, word);
        assert_non_null(at);
    }
    return at->valuedouble;
}

static void test_the_report_and_the_bundle_agree(void **state)
{
    (void)state;
    static const char *const kinds[] = {"factors", "neighbors", "popularity"};
    for (size_t k = 0; k < 3; k++) {
        char line[128], path[2 * TEMP_DIR_BYTES], name[64];
        struct bundle *bundle = NULL;
        struct err err = {0};
        snprintf(line, sizeof line, "%s --json --eval time:2011-11-01 --k 3", kinds[k]);
        cJSON *report = run_json(line, "events.ndjson");
        assert_true(number(report, "input/lines") == USERS * 9 + USERS);
        assert_true(number(report, "users") == USERS);
        assert_true(number(report, "items") == ITEMS);
        assert_true(number(report, "events") == USERS * 9);
        assert_true(number(report, "eval/new/users") == USERS);
        assert_true(number(report, "eval/any/users") == USERS);
        /* The default version is the time of the clock. */
        snprintf(name, sizeof name, "out/%s/20120101-000000.000", kinds[k]);
        if (bundle_open(temp_dir_path(&dir, name, path), kinds[k], "20120101-000000.000", &bundle,
                        &err) != ERR_OK)
            fail_msg("%s", err.text);
        const cJSON *trained = cJSON_GetObjectItem(bundle->manifest, "trained");
        assert_true(number(trained, "metrics/new/recall@3") == number(report, "eval/new/recall@3"));
        assert_true(number(trained, "metrics/any/hr@3") == number(report, "eval/any/hr@3"));
        assert_true(bundle->trained_at_ms < 1320105600000);
        /* Both kinds that know people tell the tastes apart; popularity cannot. */
        if (k < 2)
            assert_true(number(report, "eval/new/recall@3") == 1.0);
        else
            assert_true(number(report, "eval/new/recall@3") < 0.7);
        bundle_close(&bundle);
        cJSON_Delete(report);
    }
}

static void test_the_table_names_what_a_person_wants_to_know(void **state)
{
    (void)state;
    char *out = NULL, *messages = NULL;
    struct err err = {0};
    assert_int_equal(run("neighbors --version table --eval time:2011-11-01", "events.ndjson", &out,
                         &messages, &err),
                     ERR_OK);
    assert_non_null(strstr(out, "recall@20"));
    assert_non_null(strstr(out, "out/neighbors/table"));
    assert_non_null(strstr(out, "knows nothing after the split"));
    free(out);
    free(messages);
    assert_int_equal(run("neighbors --version table2", "events.ndjson", &out, &messages, &err),
                     ERR_OK);
    assert_null(strstr(out, "recall@20"));
    assert_null(strstr(out, "the split"));
    free(out);
    free(messages);
}

static void test_threads_do_not_change_the_factors(void **state)
{
    (void)state;
    static const char *const lines[] = {"factors --json --version t1 --threads 1",
                                        "factors --json --version t3 --threads 3",
                                        "factors --json --version s2 --seed 2"};
    char sha256[3][65];
    for (size_t i = 0; i < 3; i++) {
        char path[2 * TEMP_DIR_BYTES], name[64];
        struct bundle *bundle = NULL;
        struct bundle_file *file = NULL;
        cJSON *report = run_json(lines[i], "events.ndjson");
        snprintf(name, sizeof name, "out/factors/%.2s", strstr(lines[i], "--version ") + 10);
        assert_int_equal(bundle_open(temp_dir_path(&dir, name, path), NULL, NULL, &bundle, NULL),
                         ERR_OK);
        assert_int_equal(bundle_file(bundle, "item_factors", &file, NULL), ERR_OK);
        memcpy(sha256[i], file->sha256, sizeof sha256[i]);
        bundle_close(&bundle);
        cJSON_Delete(report);
    }
    assert_string_equal(sha256[0], sha256[1]);
    assert_string_not_equal(sha256[0], sha256[2]);
}

static void test_popularity_of_the_last_days(void **state)
{
    (void)state;
    /* Newest event: 2011-11-03; the last day holds those of that day alone. */
    cJSON_Delete(run_json("popularity --json --version txt --format ndjson", "events.txt"));
    cJSON *report = run_json("popularity --json --version d1 --days 1", "events.ndjson");
    char path[2 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct bundle_file *file = NULL;
    assert_int_equal(
        bundle_open(temp_dir_path(&dir, "out/popularity/d1", path), NULL, NULL, &bundle, NULL),
        ERR_OK);
    assert_int_equal(bundle_file(bundle, "scores", &file, NULL), ERR_OK);
    float sum = 0.0f, scores[ITEMS];
    assert_true(file->len > sizeof scores);
    memcpy(scores, file->bytes + file->len - sizeof scores, sizeof scores);
    for (int i = 0; i < ITEMS; i++)
        sum += scores[i];
    assert_true(sum == 10.0f * 2 * USERS / 3); /* ten people bought two items each */
    assert_true(number(report, "items") == ITEMS);
    bundle_close(&bundle);
    cJSON_Delete(report);
}

static void test_bad_lines_are_described_and_counted(void **state)
{
    (void)state;
    char *out = NULL, *messages = NULL;
    struct err err = {0};
    assert_int_equal(run("popularity --json --version bad", "bad.ndjson", &out, &messages, &err),
                     ERR_OK);
    cJSON *report = cJSON_Parse(out);
    assert_true(number(report, "input/lines") == 5);
    assert_true(number(report, "input/kept") == 1);
    assert_true(number(report, "input/bad") == 2);
    assert_true(number(report, "input/duplicates") == 1);
    assert_true(number(report, "input/unused") == 1);
    assert_non_null(strstr(messages, "line 2"));
    assert_non_null(strstr(messages, "line 3"));
    assert_non_null(strstr(messages, "user"));
    cJSON_Delete(report);
    free(out);
    free(messages);
}

static void test_what_cannot_be_done_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *line, *file, *says;
        enum err_code rc;
    } bad[] = {
        {"factors --version bad", "empty.ndjson", "nothing to train on", ERR_NOT_FOUND},
        {"factors --version bad", "missing.ndjson", "missing.ndjson", ERR_NOT_FOUND},
        {"factors --version bad --eval time:2001-01-01", "events.ndjson", "nothing to train on",
         ERR_NOT_FOUND},
        {"factors --version bad --eval time:2011-12-01", "events.ndjson", "nothing to test on",
         ERR_NOT_FOUND},
        {"popularity --version noform", "events.txt", "say --format csv or ndjson", ERR_BAD_INPUT},
        {"neighbors --version table", "events.ndjson", "exists already", ERR_EXISTS},
        {"factors --regularization 0 --unobserved-weight 0 --version sing", "events.ndjson",
         "--regularization", ERR_BAD_INPUT},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *out = NULL, *messages = NULL;
        struct err err = {0};
        enum err_code rc = run(bad[i].line, bad[i].file, &out, &messages, &err);
        if (rc != bad[i].rc)
            fail_msg("%s: %s", bad[i].line, err.text);
        if (strstr(err.text, bad[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad[i].line, err.text, bad[i].says);
        assert_string_equal(out, "");
        free(out);
        free(messages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_report_and_the_bundle_agree),
        cmocka_unit_test(test_the_table_names_what_a_person_wants_to_know),
        cmocka_unit_test(test_threads_do_not_change_the_factors),
        cmocka_unit_test(test_popularity_of_the_last_days),
        cmocka_unit_test(test_bad_lines_are_described_and_counted),
        cmocka_unit_test(test_what_cannot_be_done_is_said),
    };
    linear_algebra_start();
    return cmocka_run_group_tests(tests, setup, teardown);
}
