/* SPDX-License-Identifier: Apache-2.0 */
/* Files packed by Zstandard, as `decidectl export` writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "featurestore/reader_input.h"
#include "tests/support/reader_transcript.h"
#include "tests/support/temp_dir.h"
#include "tools/train/ranker_read.h"

#define EVENT1 "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"i\"}]}"
#define EVENT2 "{\"id\":\"2\",\"type\":\"view\",\"user\":\"v\"}"

/* One frame with a check sum; returns its bytes. */
static size_t zstd(const void *bytes, size_t len, uint8_t *to, size_t capacity)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)));
    size_t used = ZSTD_compress2(context, to, capacity, bytes, len);
    assert_false(ZSTD_isError(used));
    ZSTD_freeCCtx(context);
    return used;
}

static void assert_read(const char *name, const uint8_t *bytes, size_t len, const char *expected)
{
    char *transcript = reader_transcript_of(name, bytes, len, NULL, READER_EVENTS);
    assert_string_equal(transcript, expected);
    free(transcript);
}

static void test_by_its_first_bytes_and_in_several_frames(void **state)
{
    static const uint8_t skipped[] = {0x5A, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 'x', 'y', 'z'};
    static const char *const names[] = {"f.ndjson.zst", "f.ndjson", "F.JSONL.ZST"};
    uint8_t bytes[2048];
    (void)state;
    memcpy(bytes, skipped, sizeof skipped);
    size_t used = sizeof skipped;
    used += zstd(EVENT1 "\n" EVENT2, strlen(EVENT1 "\n" EVENT2), bytes + used, 512);
    used += zstd("\n", 1, bytes + used, 512);
    used += zstd("", 0, bytes + used, 512);
    used += zstd(EVENT1, strlen(EVENT1), bytes + used, 512);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_read(names[i], bytes, used, "+" EVENT1 "\n+" EVENT2 "\n+" EVENT1 "\n");
        assert_read(names[i], bytes + sizeof skipped, used - sizeof skipped,
                    "+" EVENT1 "\n+" EVENT2 "\n+" EVENT1 "\n");
    }
}

static void test_every_truncation_is_an_error_that_says_where(void **state)
{
    uint8_t bytes[512];
    (void)state;
    size_t used = zstd(EVENT1 "\n" EVENT2 "\n", strlen(EVENT1 "\n" EVENT2 "\n"), bytes, 512);
    for (size_t len = 4; len < used; len++) {
        char *transcript = reader_transcript_of("f.ndjson.zst", bytes, len, NULL, READER_EVENTS);
        char says[64];
        snprintf(says, sizeof says, "': the Zstandard data breaks off at byte %zu", len);
        assert_non_null(strstr(transcript, says));
        free(transcript);
    }
}

static void test_what_is_damaged_or_behind_the_end_is_refused(void **state)
{
    uint8_t bytes[512];
    (void)state;
    size_t used = zstd(EVENT1 "\n", strlen(EVENT1 "\n"), bytes, 256);
    bytes[used - 1] ^= 1; /* the check sum */
    char *transcript = reader_transcript_of("f.ndjson.zst", bytes, used, NULL, READER_EVENTS);
    assert_non_null(strstr(transcript, "bad Zstandard data near byte"));
    free(transcript);
    bytes[used - 1] ^= 1;
    memcpy(bytes + used, "trailing", 8);
    transcript = reader_transcript_of("f.ndjson.zst", bytes, used + 8, NULL, READER_EVENTS);
    assert_non_null(strstr(transcript, "bad Zstandard data near byte"));
    free(transcript);
}

/* All of the file is in the decompressor long before its text is read. */
static void test_a_few_bytes_that_become_megabytes_are_read_to_the_end(void **state)
{
    const size_t wanted = (size_t)5 << 20;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    struct reader_input input;
    struct err err = {.text = ""};
    (void)state;
    char *text = malloc(wanted);
    uint8_t *bytes = malloc(wanted);
    assert_true(text != NULL && bytes != NULL);
    memset(text, 'x', wanted - 1);
    text[wanted - 1] = 'y';
    size_t used = zstd(text, wanted, bytes, wanted);
    assert_true(used < 4096);
    temp_dir_create(&dir);
    temp_dir_write(&dir, "f.zst", bytes, used);
    assert_int_equal(input_open(temp_dir_path(&dir, "f.zst", path), &input, &err), ERR_OK);
    size_t got = 0;
    char last = 0;
    for (;;) {
        size_t unread = input_unread(&input);
        if (unread > 0)
            last = input_at(&input)[unread - 1];
        got += unread;
        input_take(&input, unread);
        if (input.at_end)
            break;
        assert_int_equal(input_fill(&input, &err), ERR_OK);
    }
    assert_int_equal(got, wanted);
    assert_int_equal(last, 'y');
    input_close(&input);
    temp_dir_remove(&dir);
    free(text);
    free(bytes);
}

/* `decidectl export training --out rows.ndjson.zst` is what `decide-train ranker` learns from. */
static void test_training_rows_are_read(void **state)
{
    static const char row[] =
        "{\"decision\": \"d1\", \"policy\": \"home@1\", \"ts\": 1, \"impressed\": 1, "
        "\"clicked\": 1, \"carted\": 0, \"purchased\": 0, \"features\": {\"item.price\": 7}}\n";
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    uint8_t bytes[512];
    struct ranker_rows rows;
    uint64_t lines = 0;
    struct err err = {.text = ""};
    (void)state;
    temp_dir_create(&dir);
    temp_dir_write(&dir, "rows.ndjson.zst", bytes, zstd(row, strlen(row), bytes, sizeof bytes));
    assert_int_equal(ranker_rows_create(&rows, &err), ERR_OK);
    const struct ranker_read_options options = {.path =
                                                    temp_dir_path(&dir, "rows.ndjson.zst", path)};
    assert_int_equal(ranker_read(&options, &rows, &lines, &err), ERR_OK);
    assert_int_equal(lines, 1);
    assert_int_equal(rows.row_count, 1);
    assert_true(rows.value[0] == 7.0f);
    ranker_rows_destroy(&rows);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_its_first_bytes_and_in_several_frames),
        cmocka_unit_test(test_every_truncation_is_an_error_that_says_where),
        cmocka_unit_test(test_what_is_damaged_or_behind_the_end_is_refused),
        cmocka_unit_test(test_a_few_bytes_that_become_megabytes_are_read_to_the_end),
        cmocka_unit_test(test_training_rows_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
