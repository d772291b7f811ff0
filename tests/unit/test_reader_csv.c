/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "featurestore/reader.h"
#include "featurestore/reader_csv.h"
#include "tests/support/reader_transcript.h"

/* Two columns: the event shows what was read as its query. */
static const char map[] =
    "{\"events\": {\"id\": \"{#line}\", \"type\": \"search\", \"user\": \"{who}\", "
    "\"query\": \"{what}\"}}";

#define EVENT(line, user, query) \
    "+{\"id\":\"" line "\",\"type\":\"search\",\"user\":\"" user "\",\"query\":\"" query "\"}\n"

static void assert_read(const char *csv, size_t len, const char *expected)
{
    char *transcript = reader_transcript_of("f.csv", csv, len, map, READER_EVENTS);
    assert_string_equal(transcript, expected);
    free(transcript);
}

#define ASSERT_READ(csv, expected) assert_read((csv), sizeof(csv) - 1, (expected))

static void test_reads_what_rfc_4180_allows(void **state)
{
    (void)state;
    ASSERT_READ("who,what\nu,q\n", EVENT("2", "u", "q"));
    ASSERT_READ("who,what\r\nu,q\r\n", EVENT("2", "u", "q"));
    ASSERT_READ("who,what\nu,q", EVENT("2", "u", "q"));
    ASSERT_READ("who,what\nu,q\r", EVENT("2", "u", "q"));
    ASSERT_READ("\xEF\xBB\xBFwho,what\nu,q\n", EVENT("2", "u", "q"));
    ASSERT_READ("what,else,who\nq,,u\n", EVENT("2", "u", "q"));
    ASSERT_READ("\"who\",\"what\"\n\"u\",\"q\"\n", EVENT("2", "u", "q"));
    ASSERT_READ("who,what\nu,\"a,b\"\n", EVENT("2", "u", "a,b"));
    ASSERT_READ("who,what\nu,\"7\"\" \"\"single\"\"\"\n", EVENT("2", "u", "7\\\" \\\"single\\\""));
    ASSERT_READ("who,what\nu,\" q \"\n", EVENT("2", "u", " q "));
    ASSERT_READ("who,what\n\"u\",\"q\"", EVENT("2", "u", "q"));
    ASSERT_READ("who,what\n", "");
    ASSERT_READ("who,what", "");
    ASSERT_READ("who,what\nu,\n", "+{\"id\":\"2\",\"type\":\"search\",\"user\":\"u\"}\n");
    ASSERT_READ("who,what\nu,\"\"\n", "+{\"id\":\"2\",\"type\":\"search\",\"user\":\"u\"}\n");
}

/* The number of a line is the one that an editor shows. */
static void test_lines_are_counted_within_quotes_too(void **state)
{
    (void)state;
    ASSERT_READ("who,what\nu,\"a\nb\r\nc\"\nv,q\n",
                EVENT("2", "u", "a\\nb\\r\\nc") EVENT("5", "v", "q"));
    ASSERT_READ("\"who\",\"what\",\"long\nname\"\nu,q,\n", EVENT("3", "u", "q"));
    ASSERT_READ("who,what\n\n\r\nu,q\n\n", EVENT("4", "u", "q"));
}

static void test_a_bad_line_is_named_and_the_next_one_is_read(void **state)
{
    (void)state;
    ASSERT_READ("who,what\nu\nu,q\n",
                "!line 2, field what: missing, the line has 1 fields of 2\n" EVENT("3", "u", "q"));
    ASSERT_READ("who,what\nu,q,r\nu,q\n",
                "!line 2, field 3: one too many, the line has 3 fields, the header 2\n" EVENT(
                    "3", "u", "q"));
    ASSERT_READ("who,what\nu,a \"b\" c\nu,q\n",
                "!line 2, field what: a quote within a field that does not begin with one\n" EVENT(
                    "3", "u", "q"));
    ASSERT_READ("who,what\nu,\"a\" b\nu,q\n",
                "!line 2, field what: text behind the closing quote\n" EVENT("3", "u", "q"));
    ASSERT_READ("who,what\nu,\"a\nb\" c\nu,q\n",
                "!line 2, field what: text behind the closing quote\n" EVENT("4", "u", "q"));
    ASSERT_READ("who,what\nu\rv,q\nu,q\n",
                "!line 2, field who: a carriage return without a line feed\n" EVENT("3", "u", "q"));
    ASSERT_READ("who,what\nu,\xFF\nu,q\n",
                "!line 2, field what: expected UTF-8, got '?'\n" EVENT("3", "u", "q"));
    ASSERT_READ("who,what\nu\x01,a\nu,q\n", "!line 2, field who: expected UTF-8 without control "
                                            "characters, got 'u?'\n" EVENT("3", "u", "q"));
}

/* A stray quote must not swallow the rest of the file. */
static void test_a_quote_that_is_not_closed_costs_one_line(void **state)
{
    (void)state;
    ASSERT_READ("who,what\nu,\"a\nv,b\nw,c\n", "!line 2, field what: a quote is not closed\n" EVENT(
                                                   "3", "v", "b") EVENT("4", "w", "c"));

    static char csv[READER_LINE_BYTES_MAX * 3];
    size_t used = (size_t)(stpcpy(csv, "who,what\nu,\"a\n") - csv);
    size_t line_count = 0;
    for (; used + 5 <= sizeof csv; line_count++, used += 4)
        memcpy(csv + used, "v,b\n", 4);
    char *transcript = reader_transcript_of("f.csv", csv, used, map, READER_EVENTS);
    assert_non_null(strstr(transcript, "!line 2: longer than 65536 bytes, perhaps a quote is not "
                                       "closed\n" EVENT("3", "v", "b") EVENT("4", "v", "b")));
    size_t outcome_count = 0;
    for (const char *at = transcript; (at = strchr(at, '\n')) != NULL; at++)
        outcome_count++;
    assert_int_equal(outcome_count, line_count + 1);
    free(transcript);
}

static void test_the_longest_line_and_one_more(void **state)
{
    (void)state;
    static char csv[READER_LINE_BYTES_MAX + 64];
    for (size_t extra = 0; extra < 2; extra++) {
        size_t used = (size_t)(stpcpy(csv, "who,what\n") - csv);
        size_t len = READER_LINE_BYTES_MAX - 1 + extra; /* and the line feed */
        memset(csv + used, 'x', len);
        memcpy(csv + used, "u,", 2);
        used += len;
        memcpy(csv + used, "\nu,q\n", 5);
        used += 5;
        assert_read(csv, used,
                    extra == 0
                        ? "!line 2, field what: expected at most 1024 bytes, got "
                          "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'...\n" EVENT("3", "u", "q")
                        : "!line 2: longer than 65536 bytes, perhaps a quote is not closed\n" EVENT(
                              "3", "u", "q"));
    }
}

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *csv;
        const char *says;
    } bad[] = {
        {"", "expected a header line, got an empty file"},
        {"\n\n", "expected a header line, got an empty file"},
        {"who,whot\n", "the map names column 'what', which is not there; did you mean 'whot'?"},
        {"who,x\n", "the map names column 'what', which is not there"},
        {"who,what,what\n", "column 'what' stands in the header 2 times"},
        {"who,\"what\n", "the header: line 1, field 2: a quote is not closed"},
        {"\xFF\xFEw\0h\0o\0", "is UTF-16, expected UTF-8"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *transcript =
            reader_transcript_of("f.csv", bad[i].csv, strlen(bad[i].csv), map, READER_EVENTS);
        if (transcript[0] != '?' || strstr(transcript, bad[i].says) == NULL)
            fail_msg("%s\n  says: %s\n  without: %s", bad[i].csv, transcript, bad[i].says);
        free(transcript);
    }
    char wide[2 * CSV_FIELDS_MAX + 2];
    memset(wide, ',', sizeof wide);
    char *transcript = reader_transcript_of("f.csv", wide, sizeof wide, map, READER_EVENTS);
    assert_non_null(strstr(transcript, "more than 1024 fields"));
    free(transcript);
}

/* However the bytes fall into the window, the records are the same. */
static void test_records_across_the_edges_of_the_window(void **state)
{
    (void)state;
    enum { BYTES = 1 << 20, QUERY_BYTES = 700 };
    char *csv = malloc(BYTES);
    char query[QUERY_BYTES + 1];
    assert_non_null(csv);
    size_t used = (size_t)(stpcpy(csv, "who,what\r\n") - csv);
    uint32_t line_count = 0;
    while (used + QUERY_BYTES + 16 < BYTES) {
        size_t len = 1 + line_count * 37 % QUERY_BYTES;
        memset(query, 'a' + (int)(line_count % 26), len);
        query[len] = '\0';
        used += (size_t)snprintf(csv + used, BYTES - used, "u,\"%s\"\"\r\n\"\r\n", query);
        line_count++;
    }
    char *transcript = reader_transcript_of("f.csv", csv, used, map, READER_EVENTS);
    char *at = transcript;
    for (uint32_t i = 0; i < line_count; i++) {
        size_t len = 1 + i * 37 % QUERY_BYTES;
        char *end = strchr(at, '\n');
        assert_non_null(end);
        assert_int_equal(*at, '+');
        const char *run = strstr(at, "\"query\":\"") + strlen("\"query\":\"");
        char expected[2] = {(char)('a' + i % 26), '\0'};
        assert_int_equal(strspn(run, expected), len);
        assert_memory_equal(run + len, "\\\"\\r\\n\"}", 8);
        at = end + 1;
    }
    assert_string_equal(at, "");
    free(transcript);
    free(csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_what_rfc_4180_allows),
        cmocka_unit_test(test_lines_are_counted_within_quotes_too),
        cmocka_unit_test(test_a_bad_line_is_named_and_the_next_one_is_read),
        cmocka_unit_test(test_a_quote_that_is_not_closed_costs_one_line),
        cmocka_unit_test(test_the_longest_line_and_one_more),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_records_across_the_edges_of_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
