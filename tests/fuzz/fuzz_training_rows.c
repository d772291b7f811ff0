/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes as training rows: NDJSON when they begin with '{', else CSV.  Whatever is taken keeps the
 * promises of struct ranker_rows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/train/ranker_line.h"

static void check(const struct ranker_rows *rows)
{
    uint64_t in_groups = 0;
    for (uint64_t g = 0; g < rows->group_count; g++) {
        ASSERT(rows->group[g].first_row == in_groups && rows->group[g].row_count > 0);
        in_groups += rows->group[g].row_count;
    }
    ASSERT(rows->row_count - in_groups <= 1 && rows->feature_count <= rows->stride);
    for (uint64_t i = 0; i < rows->row_count * rows->stride; i++)
        ASSERT(isnan(rows->value[i]) || isfinite(rows->value[i]));
}

static void read_json(struct ranker_line *line, const char *text, size_t len)
{
    while (len > 0) {
        const char *feed = memchr(text, '\n', len);
        const size_t taken = feed == NULL ? len : (size_t)(feed - text);
        if (ranker_line_json(line, (struct text){text, (uint32_t)taken}, NULL) != ERR_OK)
            return;
        line->number++;
        text += taken + (feed != NULL);
        len -= taken + (feed != NULL);
    }
}

static void read_csv(struct ranker_line *line, char *text, size_t len)
{
    static struct csv_record record;
    bool has_header = false;
    while (len > 0 && csv_split(text, len, true, ',', &record) == CSV_RECORD) {
        enum err_code rc = has_header ? ranker_line_csv(line, &record, NULL)
                                      : ranker_line_csv_header(line, &record, NULL);
        if (rc != ERR_OK)
            return;
        has_header = true;
        text += record.bytes;
        len -= record.bytes;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct ranker_line line;
    struct ranker_rows rows;
    char *text = malloc(size + 1);
    if (text == NULL || size > 65536 || ranker_rows_create(&rows, NULL) != ERR_OK) {
        free(text);
        return 0;
    }
    memcpy(text, data, size);
    memset(&line.csv, 0, sizeof line.csv);
    line.number = 1;
    line.rows = &rows;
    line.slot = size % 2 == 0 ? "home" : NULL;
    if (size > 0 && text[0] == '{')
        read_json(&line, text, size);
    else
        read_csv(&line, text, size);
    check(&rows);
    ranker_rows_destroy(&rows);
    free(text);
    return 0;
}
