/* SPDX-License-Identifier: Apache-2.0 */
/* decide-train ranker: what is learned from rows of decisions, the bundle, and the table of
 * metrics. */
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

#include "models/model.h"
#include "models/ranker.h"
#include "tests/support/ranker_rig.h"
#include "tests/support/temp_dir.h"
#include "tools/train/ranker_metrics.h"

/* ---- runs ------------------------------------------------------------------------------------ */

static cJSON *run_json(const char *line, const char *file)
{
    char *out = NULL;
    struct err err = {0};
    if (ranker_rig_run(line, file, &out, &err) != ERR_OK)
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
    if (bundle_open(temp_dir_path(&ranker_rig_dir, name, path), "ranker", version, &bundle, &err) !=
        ERR_OK)
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
    assert_true(number(report, "input/rows") == RANKER_RIG_DECISIONS * RANKER_RIG_SHOWN);
    const double told = RANKER_RIG_DECISIONS - number(report, "input/decisions_without_contrast");
    assert_true(told > RANKER_RIG_DECISIONS - 5);
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
    assert_true(bundle->trained_at_ms ==
                (RANKER_RIG_FIRST_MS + 60000 * (RANKER_RIG_DECISIONS - 1)) / 1000 * 1000);
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
                RANKER_RIG_DECISIONS - number(report, "input/decisions_without_contrast"));
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
                    (i == 2 ? RANKER_RIG_DECISIONS * RANKER_RIG_SHOWN / 2 : 0));
        cJSON_Delete(report);
    }
}

static void test_a_slot_is_learned_from_alone(void **state)
{
    (void)state;
    cJSON *report = run_json("--json --rounds 5 --version slot --slot home", "rows.csv");
    assert_true(number(report, "input/other_slots") == RANKER_RIG_DECISIONS * RANKER_RIG_SHOWN / 2);
    assert_true(number(report, "decisions") + number(report, "validation/decisions") +
                    number(report, "input/decisions_without_contrast") ==
                RANKER_RIG_DECISIONS / 2);
    cJSON_Delete(report);
    char *out = NULL;
    struct err err = {0};
    assert_int_equal(ranker_rig_run("--slot hom --version no", "rows.csv", &out, &err),
                     ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "rows.csv': none of "));
    assert_non_null(strstr(err.text, "rows is of the slot 'hom'"));
    free(out);
}

static void test_the_table_says_what_matters(void **state)
{
    (void)state;
    char *out = NULL;
    struct err err = {0};
    assert_int_equal(ranker_rig_run("--rounds 5 --version table --k 5", "rows.ndjson", &out, &err),
                     ERR_OK);
    assert_non_null(strstr(out, "ndcg@5"));
    assert_non_null(strstr(out, "as shown"));
    assert_non_null(strstr(out, "item.price"));
    assert_non_null(strstr(out, "out/ranker/table"));
    free(out);
    assert_int_equal(ranker_rig_run("--rounds 5 --version table", "rows.ndjson", &out, &err),
                     ERR_EXISTS);
    free(out);
}

/* ---- bad rows -------------------------------------------------------------------------------- */

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
        cmocka_unit_test(test_metrics_are_those_of_the_books),
    };
    return cmocka_run_group_tests(tests, ranker_rig_set_up, ranker_rig_tear_down);
}
