/* SPDX-License-Identifier: Apache-2.0 */
/* decide-train ranker: which rows are refused and where, columns of several rankers, and reading
 * without memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "models/model.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/ranker_rig.h"
#include "tests/support/temp_dir.h"
#include "tools/train/ranker_read.h"

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
    {"x.ndjson", "", "x.ndjson': there are no rows in it"},
    {"x.csv", HEAD, "x.csv': there are no rows in it"},
    {"x.ndjson", WITH("\"clicked\":1,\"features\":null") WITH("\"clicked\":0,\"features\":null"),
     "none of 2 rows is left: no ranker saw 2, 0 have no impression, 0 are of other slots"},
    {"x.ndjson", WITH("\"clicked\":1,\"features\":{}") WITH("\"clicked\":0,\"features\":{}"),
     "x.ndjson': no row has a feature"},
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
        temp_dir_write_text(&ranker_rig_dir, bad[i].file, bad[i].text);
        assert_int_not_equal(ranker_rig_run("--version bad", bad[i].file, &out, &err), ERR_OK);
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
    temp_dir_write_text(&ranker_rig_dir, "many.ndjson", text.bytes);
    buffer_deinit(&text);
    const struct ranker_read_options options = {
        .path = temp_dir_path(&ranker_rig_dir, "many.ndjson", path)};
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
    const struct ranker_read_options options = {
        .path = temp_dir_path(&ranker_rig_dir, "many.ndjson", path)};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_rows_are_told_by_place),
        cmocka_unit_test(test_columns_of_several_rankers_are_put_together),
        cmocka_unit_test(test_reading_survives_every_failing_allocation),
    };
    return cmocka_run_group_tests(tests, ranker_rig_set_up, ranker_rig_tear_down);
}
