/* SPDX-License-Identifier: Apache-2.0 */
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

#include "base/buffer.h"
#include "base/rand.h"
#include "models/model.h"
#include "models/ranker.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/temp_dir.h"
#include "tools/train/ranker_metrics.h"
#include "tools/train/ranker_read.h"
#include "tools/train/run.h"

#define DECISIONS 200
#define SHOWN     12
#define FIRST_MS  INT64_C(1700000000000)
#define NOW_MS    INT64_C(1704067200000) /* 2024-01-01 */

static struct temp_dir dir;
static struct clock_manual now;

/* ---- rows ------------------------------------------------------------------------------------ */

struct row {
    unsigned decision, place;
    int64_t ts_ms;
    double taste, noise; /* NaN: unknown */
    int clicked, carted, purchased;
};

static const char *slot_of(const struct row *row)
{
    return row->decision % 2 == 0 ? "home" : "home2";
}

static void put_json(struct buffer *text, const struct row *row)
{
    buffer_put_fmt(
        text, "{\"decision\":\"01HF7YAT00%016u\",\"ts\":%lld,\"policy\":\"%s@1\",\"position\":%u,",
        row->decision, (long long)row->ts_ms, slot_of(row), row->place + 1);
    buffer_put_fmt(text,
                   "\"item\":\"i%u\",\"features\":{\"item.price\":%.9g,\"pair.age_s\":", row->place,
                   row->taste);
    if (isnan(row->noise))
        buffer_put_str(text, "null");
    else
        buffer_put_fmt(text, "%.9g", row->noise);
    buffer_put_fmt(text, "},\"impressed\":%d,\"clicked\":%d,\"carted\":%d,", row->place % 2 == 0,
                   row->clicked, row->carted);
    buffer_put_fmt(text, "\"purchased\":%d,\"revenue_minor\":0}\n", row->purchased);
}

static void put_csv(struct buffer *text, const struct row *row)
{
    buffer_put_fmt(text, "01HF7YAT00%016u,%lld,%s@1,%u,i%u,%d,%d,%d,%d,0,%.9g,", row->decision,
                   (long long)row->ts_ms, slot_of(row), row->place + 1, row->place,
                   row->place % 2 == 0, row->clicked, row->carted, row->purchased, row->taste);
    if (!isnan(row->noise))
        buffer_put_fmt(text, "%.9g", row->noise);
    buffer_put_str(text, "\r\n");
}

/* People take what `item.price` is high of; `pair.age_s` says nothing, and is unknown at times.
 * `changes_at`: from that decision on they take what it is low of. */
static void write_rows(const char *name, bool csv, unsigned changes_at)
{
    struct buffer text = {0};
    struct rand rand;
    rand_init(&rand, 7);
    if (csv)
        buffer_put_str(&text, "decision,ts,policy,position,item,impressed,clicked,carted,purchased,"
                              "revenue_minor,item.price,pair.age_s\r\n");
    for (unsigned d = 0; d < DECISIONS; d++) {
        for (unsigned place = 0; place < SHOWN; place++) {
            const double taste = (double)rand_below(&rand, 1000) / 1000.0;
            const double noise = (double)rand_below(&rand, 1000) / 1000.0;
            const double wanted = d < changes_at ? taste : 1.0 - taste;
            const struct row row = {.decision = d,
                                    .place = place,
                                    .ts_ms = FIRST_MS + 60000 * (int64_t)d,
                                    .taste = taste,
                                    .noise = noise < 0.3 ? (double)NAN : noise,
                                    .clicked = wanted > 0.6,
                                    .carted = wanted > 0.75,
                                    .purchased = wanted > 0.9};
            if (csv)
                put_csv(&text, &row);
            else
                put_json(&text, &row);
        }
    }
    assert_false(text.failed);
    temp_dir_write_text(&dir, name, text.bytes);
    buffer_deinit(&text);
}

static int setup(void **state)
{
    (void)state;
    temp_dir_create(&dir);
    clock_manual_init(&now, 1, NOW_MS);
    write_rows("rows.ndjson", false, DECISIONS);
    write_rows("rows.csv", true, DECISIONS);
    write_rows("changed.ndjson", false, DECISIONS * 4 / 5);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    temp_dir_remove(&dir);
    return 0;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static enum err_code run(const char *line, const char *file, char **ret_out, struct err *err)
{
    static char words[1024], path[2 * TEMP_DIR_BYTES], out_dir[2 * TEMP_DIR_BYTES];
    char *argv[48] = {"decide-train", "ranker"};
    int argc = 2;
    char *rest = words, *messages_text = NULL;
    struct train_options options;
    size_t len = 0;
    FILE *out = open_memstream(ret_out, &len);
    FILE *messages = open_memstream(&messages_text, &len);
    snprintf(words, sizeof words, "%s", line);
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        argv[argc++] = word;
    argv[argc++] = "--rows";
    argv[argc++] = temp_dir_path(&dir, file, path);
    argv[argc++] = "--out";
    argv[argc++] = temp_dir_path(&dir, "out", out_dir);
    enum err_code rc = train_options_parse(argc, argv, &options, err);
    if (rc == ERR_OK)
        rc = run_train(&options, &now.clock, out, messages, err);
    fclose(out);
    fclose(messages);
    free(messages_text);
    return rc;
}

static cJSON *run_json(const char *line, const char *file)
{
    char *out = NULL;
    struct err err = {0};
    if (run(line, file, &out, &err) != ERR_OK)
        fail_msg("%s: %s", line, err.text);
    cJSON *root = cJSON_Parse(out);
    assert_non_null(root);
    free(out);
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

static struct bundle *open_version(const char *version)
{
    char name[64], path[2 * TEMP_DIR_BYTES];
    struct bundle *bundle = NULL;
    struct err err = {0};
    snprintf(name, sizeof name, "out/ranker/%s", version);
    if (bundle_open(temp_dir_path(&dir, name, path), "ranker", version, &bundle, &err) != ERR_OK)
        fail_msg("%s", err.text);
    return bundle;
}

static void sha256_of(const char *version, char ret_sha256[65])
{
    struct bundle *bundle = open_version(version);
    struct bundle_file *file = NULL;
    assert_int_equal(bundle_file(bundle, "model", &file, NULL), ERR_OK);
    memcpy(ret_sha256, file->sha256, 65);
    bundle_close(&bundle);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_what_people_take_is_learned(void **state)
{
    (void)state;
    cJSON *report = run_json("--json --version learned --rounds 60", "rows.ndjson");
    assert_true(number(report, "input/rows") == DECISIONS * SHOWN);
    const double told = DECISIONS - number(report, "input/decisions_without_contrast");
    assert_true(told > DECISIONS - 5);
    assert_true(number(report, "validation/decisions") == floor(0.2 * told));
    assert_true(number(report, "decisions") == told - floor(0.2 * told));
    assert_true(number(report, "features") == 2);
    assert_true(number(report, "validation/ranker/ndcg@20") > 0.97);
    assert_true(number(report, "validation/as_shown/ndcg@20") < 0.85);
    assert_true(number(report, "importance/item.price") > 0.9);
    cJSON_Delete(report);
}

/* The bundle is one that a daemon serves, with the features bound by name. */
static void test_the_bundle_is_a_good_one(void **state)
{
    (void)state;
    struct model *model = NULL;
    struct err err = {0};
    cJSON_Delete(run_json("--json --version good --rounds 20", "rows.csv"));
    struct bundle *bundle = open_version("good");
    if (model_load(bundle, &model, &err) != ERR_OK ||
        model_check_golden(model, bundle, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(model->kind, MODEL_trees);
    assert_int_equal(model->feature_count, 2);
    assert_string_equal(model->feature[0].name, "item.price");
    assert_string_equal(model->feature[1].name, "pair.age_s");
    assert_true(bundle->trained_at_ms == (FIRST_MS + 60000 * (DECISIONS - 1)) / 1000 * 1000);
    void *scratch = aligned_alloc(RANKER_ALIGN_BYTES, ranker_scratch_bytes(model));
    const double rows[2][2] = {{0.1, (double)NAN}, {0.95, 0.5}};
    double score[2];
    ranker_score_rows(model, &rows[0][0], 2, scratch, score);
    assert_true(score[1] > score[0] + 0.5);
    free(scratch);
    model_destroy(&model);
    bundle_close(&bundle);
}

static void test_a_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *version, *seed, *file;
    } runs[] = {{"a", "3", "rows.ndjson"},
                {"b", "3", "rows.ndjson"},
                {"c", "3", "rows.csv"},
                {"d", "4", "rows.ndjson"}};
    char sha256[4][65];
    for (size_t i = 0; i < 4; i++) {
        char line[128];
        snprintf(line, sizeof line, "--json --rounds 10 --subsample 0.5 --version %s --seed %s",
                 runs[i].version, runs[i].seed);
        cJSON_Delete(run_json(line, runs[i].file));
        sha256_of(runs[i].version, sha256[i]);
    }
    assert_string_equal(sha256[0], sha256[1]);
    assert_string_equal(sha256[0], sha256[2]);
    assert_string_not_equal(sha256[0], sha256[3]);
}

static void test_training_ends_when_nothing_gets_better(void **state)
{
    (void)state;
    cJSON *report = run_json("--json --version early --rounds 400 --patience 5", "rows.ndjson");
    const double kept = number(report, "rounds");
    assert_true(kept >= 1 && kept < 300);
    cJSON_Delete(report);
    /* Without a validation part there is nothing to stop at. */
    report = run_json("--json --version all --rounds 30 --patience 1 --valid 0", "rows.ndjson");
    assert_true(number(report, "rounds") == 30);
    assert_true(number(report, "decisions") ==
                DECISIONS - number(report, "input/decisions_without_contrast"));
    assert_null(cJSON_GetObjectItem(report, "validation"));
    cJSON_Delete(report);
}

/* What the oldest decisions teach is wrong for the newest: validation shows it. */
static void test_the_newest_decisions_validate(void **state)
{
    (void)state;
    cJSON *report = run_json("--json --version changed --rounds 20", "changed.ndjson");
    assert_true(number(report, "validation/ranker/ndcg@20") <
                number(report, "validation/as_shown/ndcg@20"));
    cJSON_Delete(report);
}

static void test_labels_and_objectives(void **state)
{
    (void)state;
    static const char *const lines[] = {"--label purchased --objective logistic",
                                        "--label carted --objective pairwise",
                                        "--label clicked --objective ndcg --pairs 4 --impressed"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char line[160];
        snprintf(line, sizeof line, "--json --rounds 40 --version label%zu %s", i, lines[i]);
        cJSON *report = run_json(line, "rows.ndjson");
        assert_true(number(report, "validation/ranker/ndcg@20") > 0.95);
        assert_true(number(report, "input/without_impression") ==
                    (i == 2 ? DECISIONS * SHOWN / 2 : 0));
        cJSON_Delete(report);
    }
    char *out = NULL;
    struct err err = {0};
    assert_int_equal(run("--objective logistic --version no", "rows.ndjson", &out, &err),
                     ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "--label"));
    free(out);
}

static void test_a_slot_is_learned_from_alone(void **state)
{
    (void)state;
    cJSON *report = run_json("--json --rounds 5 --version slot --slot home", "rows.csv");
    assert_true(number(report, "input/other_slots") == DECISIONS * SHOWN / 2);
    assert_true(number(report, "decisions") + number(report, "validation/decisions") +
                    number(report, "input/decisions_without_contrast") ==
                DECISIONS / 2);
    cJSON_Delete(report);
}

static void test_the_table_says_what_matters(void **state)
{
    (void)state;
    char *out = NULL;
    struct err err = {0};
    assert_int_equal(run("--rounds 5 --version table --k 5", "rows.ndjson", &out, &err), ERR_OK);
    assert_non_null(strstr(out, "ndcg@5"));
    assert_non_null(strstr(out, "as shown"));
    assert_non_null(strstr(out, "item.price"));
    assert_non_null(strstr(out, "out/ranker/table"));
    free(out);
    assert_int_equal(run("--rounds 5 --version table", "rows.ndjson", &out, &err), ERR_EXISTS);
    free(out);
}

/* ---- bad rows -------------------------------------------------------------------------------- */

#define GOOD                                                                                       \
    "{\"decision\":\"d1\",\"ts\":5,\"policy\":\"h@1\",\"impressed\":1,\"clicked\":0,\"carted\":0," \
    "\"purchased\":0,"                                                                             \
    "\"features\":{\"a\":1}}\n"
#define WITH(rest)                                                                                 \
    "{\"decision\":\"d1\",\"ts\":5,\"policy\":\"h@1\",\"impressed\":1,\"carted\":0,\"purchased\":" \
    "0," rest "}\n"
#define HEAD "decision,ts,policy,impressed,clicked,carted,purchased,revenue_minor,a,b\n"

static const struct {
    const char *file, *text, *message;
} bad[] = {
    {"x.ndjson", GOOD "not json\n", "line 2, column 1"},
    {"x.ndjson", GOOD "[1]\n", "line 2: expected an object, got an array"},
    {"x.ndjson", WITH("\"features\":{}"), "line 1: field clicked is missing"},
    {"x.ndjson", WITH("\"clicked\":0"), "line 1: field features is missing"},
    {"x.ndjson", WITH("\"clicked\":2,\"features\":{}"), "field clicked: expected 0 or 1, got 2"},
    {"x.ndjson", WITH("\"clicked\":true,\"features\":{}"),
     "field clicked: expected 0 or 1, got a boolean"},
    {"x.ndjson", WITH("\"clicked\":0,\"features\":{\"a\":\"x\"}"),
     "line 1, field features.a: expected a number or null, got a text"},
    {"x.ndjson", WITH("\"clicked\":0,\"features\":[1]"),
     "field features: expected an object or null, got an array"},
    {"x.ndjson", "{\"decision\":7}\n", "field decision: expected a text, got an integer"},
    {"x.ndjson", GOOD, "none has items of different outcome"},
    {"x.ndjson", "", "there is no order to learn"},
    {"x.ndjson",
     "{\"decision\":\"d1\",\"ts\":5,\"policy\":\"h@1\",\"impressed\":1,\"clicked\":0,\"carted\":0,"
     "\"purchased\":0,"
     "\"features\":{\"a\":1}}\n"
     "{\"decision\":\"d2\",\"ts\":5,\"policy\":\"h@1\",\"impressed\":1,\"clicked\":0,\"carted\":0,"
     "\"purchased\":0,"
     "\"features\":{\"a\":1}}\n" GOOD,
     "line 3, field decision: 'd1' came before"},
    {"x.csv", "", "expected a header line"},
    {"x.csv", "decision,ts,policy\n", "line 1: column impressed is missing"},
    {"x.csv", HEAD "d1,5,h@1,1,0,0,0,0,1\n", "line 2: expected 10 columns as in the header, got 9"},
    {"x.csv", HEAD "d1,5,h@1,1,0,0,0,0,1,\nd1,5,h@1,1,0,0,0,0,1,z\n",
     "line 3, field b: expected a number, got 'z'"},
    {"x.csv", HEAD "d1,5,h@1,1,0,yes,0,0,1,\n", "line 2, field carted: expected 0 or 1, got 'yes'"},
    {"x.csv", HEAD "d1,today,h@1,1,0,0,0,0,1,\n", "line 2, field ts: expected milliseconds"},
    {"x.csv", HEAD "d1,5,h@1,1,0,0,0,0,\"1\n", "a quote is not closed"},
    {"x.csv", "decision,ts,policy,impressed,clicked,carted,purchased,revenue_minor,a,a\n",
     "column a stands there twice"},
    {"x.txt", GOOD, "say --format csv or ndjson"},
};

static void test_bad_rows_are_told_by_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *out = NULL;
        struct err err = {0};
        temp_dir_write_text(&dir, bad[i].file, bad[i].text);
        assert_int_not_equal(run("--version bad", bad[i].file, &out, &err), ERR_OK);
        if (strstr(err.text, bad[i].message) == NULL)
            fail_msg("expected '%s', got '%s'", bad[i].message, err.text);
        free(out);
    }
}

/* Columns come as rankers change; each row has those of its own. */
static void test_columns_of_several_rankers_are_put_together(void **state)
{
    (void)state;
    struct buffer text = {0};
    char path[2 * TEMP_DIR_BYTES];
    struct ranker_rows rows;
    uint64_t lines = 0;
    for (unsigned i = 0; i < 200; i++) {
        buffer_put_fmt(&text,
                       "{\"decision\":\"d%u\",\"ts\":5,\"policy\":\"h@1\",\"impressed\":1,"
                       "\"clicked\":0,\"carted\":0,"
                       "\"purchased\":0,\"features\":{\"f%u\":%u,",
                       i, i % 100, i);
        buffer_put_str(&text, "\"same\":1e300}}\n");
    }
    temp_dir_write_text(&dir, "many.ndjson", text.bytes);
    buffer_deinit(&text);
    const struct ranker_read_options options = {.path = temp_dir_path(&dir, "many.ndjson", path)};
    assert_int_equal(ranker_rows_create(&rows, NULL), ERR_OK);
    assert_int_equal(ranker_read(&options, &rows, &lines, NULL), ERR_OK);
    assert_int_equal(lines, 200);
    assert_int_equal(rows.feature_count, 101);
    for (unsigned i = 0; i < 200; i++) {
        for (uint32_t c = 0; c < rows.feature_count; c++) {
            const float value = rows.value[i * rows.stride + c];
            char mine[16];
            snprintf(mine, sizeof mine, "f%u", i % 100);
            if (strcmp(rows.name[c], mine) == 0)
                assert_true(value == (float)i);
            else if (strcmp(rows.name[c], "same") == 0)
                assert_true(isfinite(value) && value > 3e38f);
            else
                assert_true(isnan(value));
        }
    }
    ranker_rows_destroy(&rows);
}

static void test_reading_survives_every_failing_allocation(void **state)
{
    (void)state;
    char path[2 * TEMP_DIR_BYTES];
    const struct ranker_read_options options = {.path = temp_dir_path(&dir, "many.ndjson", path)};
    bool done = false;
    for (uint32_t n = 0; !done; n++) {
        struct ranker_rows rows = {0};
        struct err err = {0};
        uint64_t lines = 0;
        alloc_fail_after(n);
        enum err_code rc = ranker_rows_create(&rows, &err);
        if (rc == ERR_OK)
            rc = ranker_read(&options, &rows, &lines, &err);
        done = !alloc_fail_off();
        assert_true(rc == (done ? ERR_OK : ERR_NOMEM));
        ranker_rows_destroy(&rows);
        assert_true(n < 100);
    }
}

static void test_metrics_are_those_of_the_books(void **state)
{
    (void)state;
    static const float grade[] = {0, 1, 3, 0, 1, 0};
    static const float score[] = {0.9f, 0.1f, 0.5f, 0.5f, 1.0f, 2.0f};
    static const uint32_t row_count[] = {4, 2};
    const struct ranker_lists lists = {grade, row_count, 2};
    struct ranker_metrics m;
    assert_int_equal(ranker_measure(&lists, score, 2, &m, NULL), ERR_OK);
    /* First list: grades 0 3 | 0 1; second: 0 1. */
    const double first = 7.0 / log2(3.0) / (7.0 + 1.0 / log2(3.0)), second = 1.0 / log2(3.0);
    assert_true(fabs(m.ndcg - (first + second) / 2.0) < 1e-12);
    assert_true(m.recall == (0.5 + 1.0) / 2.0);
    assert_true(m.mrr == 0.5);
    assert_int_equal(ranker_measure(&lists, NULL, 2, &m, NULL), ERR_OK); /* 0 1 3 0 and 1 0 */
    assert_true(m.mrr == 0.75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_people_take_is_learned),
        cmocka_unit_test(test_the_bundle_is_a_good_one),
        cmocka_unit_test(test_a_seed_gives_the_same_bytes),
        cmocka_unit_test(test_training_ends_when_nothing_gets_better),
        cmocka_unit_test(test_the_newest_decisions_validate),
        cmocka_unit_test(test_labels_and_objectives),
        cmocka_unit_test(test_a_slot_is_learned_from_alone),
        cmocka_unit_test(test_the_table_says_what_matters),
        cmocka_unit_test(test_bad_rows_are_told_by_place),
        cmocka_unit_test(test_columns_of_several_rankers_are_put_together),
        cmocka_unit_test(test_reading_survives_every_failing_allocation),
        cmocka_unit_test(test_metrics_are_those_of_the_books),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
