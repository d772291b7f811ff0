/* SPDX-License-Identifier: Apache-2.0 */
/* Files of events in gzip: several members, cut off at any byte, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zlib.h>

#include "featurestore/event.h"
#include "featurestore/reader.h"
#include "tests/support/reader_transcript.h"
#include "tests/support/temp_dir.h"

#define EVENT1 "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"i\"}]}"
#define EVENT2 "{\"id\":\"2\",\"type\":\"view\",\"user\":\"v\"}"

/* One gzip member; returns its bytes. */
static size_t gzip(const void *bytes, size_t len, uint8_t *to, size_t capacity)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)bytes;
    z.avail_in = (uInt)len;
    z.next_out = to;
    z.avail_out = (uInt)capacity;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    size_t used = z.total_out;
    deflateEnd(&z);
    return used;
}

static void test_gzip_by_its_first_bytes_and_in_several_members(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    size_t used = gzip(EVENT1 "\n" EVENT2, strlen(EVENT1 "\n" EVENT2), bytes, sizeof bytes);
    used += gzip("\n", 1, bytes + used, sizeof bytes - used);
    used += gzip("", 0, bytes + used, sizeof bytes - used);
    used += gzip(EVENT1, strlen(EVENT1), bytes + used, sizeof bytes - used);
    static const char *const names[] = {"f.ndjson.gz", "f.ndjson", "F.JSONL.GZ"};
    for (size_t i = 0; i < 3; i++) {
        char *transcript = reader_transcript_of(names[i], bytes, used, NULL, READER_EVENTS);
        assert_string_equal(transcript, "+" EVENT1 "\n+" EVENT2 "\n+" EVENT1 "\n");
        free(transcript);
    }
    char *transcript =
        reader_transcript_of("f.ndjson.gz", EVENT2, strlen(EVENT2), NULL, READER_EVENTS);
    assert_string_equal(transcript, "+" EVENT2 "\n"); /* not compressed, whatever its name says */
    free(transcript);
}

static void test_every_truncation_of_gzip_is_an_error_that_says_where(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    size_t used =
        gzip(EVENT1 "\n" EVENT2 "\n", strlen(EVENT1 "\n" EVENT2 "\n"), bytes, sizeof bytes);
    for (size_t len = 2; len < used; len++) {
        char *transcript = reader_transcript_of("f.ndjson.gz", bytes, len, NULL, READER_EVENTS);
        char says[64];
        snprintf(says, sizeof says, "the gzip data breaks off at byte %zu", len);
        const char *at = strstr(transcript, says);
        assert_non_null(at);
        assert_true(at[-1] == ' '); /* "'PATH': " */
        free(transcript);
    }
}

static void test_damaged_gzip_fails_and_stays_failed(void **state)
{
    (void)state;
    uint8_t bytes[1024];
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    struct reader *reader = NULL;
    struct err err = {0};
    struct text event;
    temp_dir_create(&dir);
    size_t used = gzip(EVENT1 "\n", strlen(EVENT1 "\n"), bytes, sizeof bytes);
    bytes[used - 6] ^= 1; /* the check sum */
    temp_dir_write(&dir, "f.ndjson.gz", bytes, used);
    struct reader_options options = {.kind = READER_EVENTS};
    enum err_code rc =
        reader_open(temp_dir_path(&dir, "f.ndjson.gz", path), &options, &reader, &err);
    for (int i = 0; rc == ERR_OK && i < 3; i++) {
        enum reader_outcome outcome = reader_next(reader, &event, &err);
        if (outcome != READER_EVENT) {
            assert_int_equal(outcome, READER_FAILED);
            rc = err.code;
            memset(&err, 0, sizeof err);
            assert_int_equal(reader_next(reader, &event, &err), READER_FAILED);
        }
    }
    assert_int_equal(rc, ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "bad gzip data near byte"));
    reader_close(&reader);

    bytes[used - 6] ^= 1;
    memcpy(bytes + used, "trailing", 8);
    char *transcript = reader_transcript_of("f.ndjson.gz", bytes, used + 8, NULL, READER_EVENTS);
    assert_non_null(strstr(transcript, "bad gzip data near byte"));
    free(transcript);
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gzip_by_its_first_bytes_and_in_several_members),
        cmocka_unit_test(test_every_truncation_of_gzip_is_an_error_that_says_where),
        cmocka_unit_test(test_damaged_gzip_fails_and_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
