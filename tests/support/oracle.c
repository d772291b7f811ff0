/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dirent.h>

#include "base/file.h"
#include "base/text.h"
#include "tests/support/forest_probe.h"

#define HEADER_BYTES 16
#define SUFFIX       ".expect"

/* Outputs go through exp or log, whose last digits are the C library's. */
#define OUTPUT_TOLERANCE32 5e-7
#define OUTPUT_TOLERANCE64 1e-15

bool oracle_run(const char *script, const char *library, const char *variable,
                struct temp_dir *ret_dir)
{
    char command[4 * TEMP_DIR_BYTES];
    const char *source = getenv("DECIDED_SOURCE");
    const char *python = getenv(variable);
    if (python == NULL)
        python = "/usr/bin/python3";
    snprintf(command, sizeof command, "%s -c 'import %s' 2>/dev/null", python, library);
    if (source == NULL || system(command) != 0) {
        fprintf(stderr, "SKIPPED: no comparison with %s: %s cannot import it\n", library, python);
        return false;
    }
    temp_dir_create(ret_dir);
    snprintf(command, sizeof command, "%s -W ignore %s/tests/oracle/%s %s 2>%s/errors", python,
             source, script, ret_dir->path, ret_dir->path);
    if (system(command) != 0) {
        snprintf(command, sizeof command, "tail -n 5 %s/errors >&2", ret_dir->path);
        (void)!system(command);
        fail_msg("tests/oracle/%s failed", script);
    }
    return true;
}

static void read_case(const struct temp_dir *dir, const char *entry, struct oracle_case *one)
{
    char path[2 * TEMP_DIR_BYTES];
    uint32_t header[4];
    size_t len = 0;
    struct err err = {0};
    memset(one, 0, sizeof *one);
    text_copy((struct text){entry, (uint32_t)(strlen(entry) - strlen(SUFFIX))}, one->name,
              sizeof one->name);
    if (file_read(temp_dir_path(dir, entry, path), 1 << 30, &one->bytes, &len, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_true(len >= HEADER_BYTES);
    memcpy(header, one->bytes, sizeof header);
    one->row_count = header[0];
    one->feature_count = header[1];
    one->margin_count = header[2];
    one->output_count = header[3];
    one->rows = (const double *)(const void *)(one->bytes + HEADER_BYTES);
    assert_int_equal(len, HEADER_BYTES +
                              sizeof(double) * header[0] * (header[1] + header[2] + header[3]));
}

uint32_t oracle_each(const struct temp_dir *dir,
                     void (*check)(const struct temp_dir *dir, const struct oracle_case *one))
{
    uint32_t count = 0;
    DIR *list = opendir(dir->path);
    assert_non_null(list);
    for (struct dirent *entry; (entry = readdir(list)) != NULL;) {
        struct oracle_case one;
        size_t len = strlen(entry->d_name);
        if (len <= strlen(SUFFIX) || strcmp(entry->d_name + len - strlen(SUFFIX), SUFFIX) != 0)
            continue;
        read_case(dir, entry->d_name, &one);
        check(dir, &one);
        free(one.bytes);
        count++;
    }
    closedir(list);
    return count;
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

void oracle_compare(const struct oracle_case *one, const struct forest *forest, const char *file)
{
    double margin[FOREST_OUTPUTS_MAX];
    double tolerance = forest->family == FOREST_XGBOOST ? OUTPUT_TOLERANCE32 : OUTPUT_TOLERANCE64;
    forest_probe(forest); /* the evaluators agree */
    assert_int_equal(forest->feature_count, one->feature_count);
    assert_int_equal(forest->output_count, one->margin_count);
    assert_int_equal(forest_transformed_count(forest), one->output_count);
    for (uint32_t r = 0; r < one->row_count; r++) {
        const double *row =
            one->rows + (size_t)r * (one->feature_count + one->margin_count + one->output_count);
        const double *wanted = row + one->feature_count;
        forest_margins(forest, row, margin);
        for (uint32_t k = 0; k < one->margin_count; k++) {
            if (!same(margin[k], wanted[k]))
                fail_msg("%s: row %u, margin %u: expected %.17g, got %.17g", file, r, k, wanted[k],
                         margin[k]);
        }
        wanted += one->margin_count;
        forest_transform(forest, margin);
        for (uint32_t k = 0; k < one->output_count; k++) {
            double bound = tolerance * fmax(1.0, fabs(wanted[k]));
            if (!same(margin[k], wanted[k]) && !(fabs(margin[k] - wanted[k]) <= bound))
                fail_msg("%s: row %u, output %u: expected %.17g, got %.17g", file, r, k, wanted[k],
                         margin[k]);
        }
    }
}
