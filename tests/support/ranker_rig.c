/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ranker_rig.h"

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
#include "base/rand.h"
#include "models/model.h"
#include "tools/train/run.h"

#define NOW_MS INT64_C(1704067200000) /* 2024-01-01 */

struct temp_dir ranker_rig_dir;
static struct clock_manual now;

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
    for (unsigned d = 0; d < RANKER_RIG_DECISIONS; d++) {
        for (unsigned place = 0; place < RANKER_RIG_SHOWN; place++) {
            const double taste = (double)rand_below(&rand, 1000) / 1000.0;
            const double noise = (double)rand_below(&rand, 1000) / 1000.0;
            const double wanted = d < changes_at ? taste : 1.0 - taste;
            const struct row row = {.decision = d,
                                    .place = place,
                                    .ts_ms = RANKER_RIG_FIRST_MS + 60000 * (int64_t)d,
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
    temp_dir_write_text(&ranker_rig_dir, name, text.bytes);
    buffer_deinit(&text);
}

int ranker_rig_set_up(void **state)
{
    (void)state;
    temp_dir_create(&ranker_rig_dir);
    clock_manual_init(&now, 1, NOW_MS);
    write_rows("rows.ndjson", false, RANKER_RIG_DECISIONS);
    write_rows("rows.csv", true, RANKER_RIG_DECISIONS);
    write_rows("changed.ndjson", false, RANKER_RIG_DECISIONS * 4 / 5);
    return 0;
}

int ranker_rig_tear_down(void **state)
{
    (void)state;
    temp_dir_remove(&ranker_rig_dir);
    return 0;
}

enum err_code ranker_rig_run(const char *line, const char *file, char **ret_out, struct err *err)
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
    argv[argc++] = temp_dir_path(&ranker_rig_dir, file, path);
    argv[argc++] = "--out";
    argv[argc++] = temp_dir_path(&ranker_rig_dir, "out", out_dir);
    enum err_code rc = train_options_parse(argc, argv, &options, err);
    if (rc == ERR_OK)
        rc = run_train(&options, &now.clock, out, messages, err);
    fclose(out);
    fclose(messages);
    free(messages_text);
    return rc;
}
