/* SPDX-License-Identifier: Apache-2.0 */
/* Files of events are read line by line: taken, mapped or refused by their place; and how far it
 * is. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "featurestore/event.h"
#include "featurestore/reader.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/reader_transcript.h"
#include "tests/support/temp_dir.h"

#define EVENT1 "{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"i\"}]}"
#define EVENT2 "{\"id\":\"2\",\"type\":\"view\",\"user\":\"v\"}"

static const char csv_map[] =
    "{\"events\": {\"id\": \"{#line}\", \"type\": \"view\", \"user\": \"{u}\"}}";

static void assert_read(enum reader_kind kind, const char *map, const char *ndjson,
                        const char *expected)
{
    char *transcript = reader_transcript_of("f.ndjson", ndjson, strlen(ndjson), map, kind);
    assert_string_equal(transcript, expected);
    free(transcript);
}

static void test_ndjson_events_are_taken_as_they_are(void **state)
{
    (void)state;
    assert_read(READER_EVENTS, NULL, EVENT1 "\n" EVENT2 "\n", "+" EVENT1 "\n+" EVENT2 "\n");
    assert_read(READER_EVENTS, NULL, "\xEF\xBB\xBF" EVENT1 "\r\n\n  \n" EVENT2,
                "+" EVENT1 "\n!line 3, column 3: the text ends too early\n+" EVENT2 "\n");
    assert_read(READER_EVENTS, NULL, "", "");
}

static void test_a_bad_json_line_is_named_and_the_next_one_is_read(void **state)
{
    (void)state;
    assert_read(READER_EVENTS, NULL,
                "{\"id\":\"1\",}\n[1]\n\"x\"\n{\"a\":1,\"a\":2}\n{\"id\":\"3\",\"type\":\"viev\"}\n"
                "{\"a\":\"\xFF\"}\n" EVENT2 "\n",
                "!line 1, column 11: expected a key in quotes\n"
                "!line 2: expected an object, got an array\n"
                "!line 3: expected an object, got a text\n"
                "!line 4, column 8: the key 'a' stands twice in one object\n"
                "+{\"id\":\"3\",\"type\":\"viev\"}\n*type: there is no type 'viev'\n"
                "!line 6, column 7: a string is not UTF-8\n"
                "+" EVENT2 "\n");
}

static void test_ndjson_through_a_map(void **state)
{
    (void)state;
    assert_read(
        READER_EVENTS,
        "{\"time\": \"unix\", \"keep\": [{\"name\": \"shown\", \"column\": \"on\", \"one_of\": "
        "[\"true\"]}], \"events\": {\"id\": \"{n}\", \"type\": \"{kind}\", \"ts\": \"{t}\", "
        "\"user\": \"{u}\", \"items\": [{\"id\": \"{sku}\", \"price\": \"{p}\"}]}}",
        "{\"on\":true,\"n\":1,\"kind\":\"view\",\"t\":86400,\"u\":\"\\u00e4\\\"\",\"sku\":\"s\","
        "\"p\":2.50,\"more\":{\"u\":[1]}}\n"
        "{\"on\":false}\n"
        "{\"on\":true,\"n\":1,\"kind\":\"view\",\"u\":null,\"sku\":\"s\",\"p\":\"3\"}\n"
        "{\"on\":true,\"n\":{},\"kind\":\"view\"}\n"
        "{\"on\":true,\"n\":1,\"k\\u0069nd\":[]}\n"
        "{\"on\":true,\n"
        "7\n",
        "+{\"id\":\"1\",\"type\":\"view\",\"ts\":86400000,\"user\":\"\xC3\xA4\\\"\",\"items\":"
        "[{\"id\":\"s\",\"price\":250}]}\n"
        "-shown\n"
        "+{\"id\":\"1\",\"type\":\"view\",\"items\":[{\"id\":\"s\",\"price\":300}]}\n"
        "*user: view needs user or anon\n"
        "!line 4, field n: expected a text, a number or a boolean, got a container\n"
        "!line 5, field kind: expected a text, a number or a boolean, got a container\n"
        "!line 6, column 12: the text ends too early\n"
        "!line 7: expected an object\n");
}

static void test_items_alone_and_events_of_items(void **state)
{
    (void)state;
    static const char upsert[] =
        "{\"id\":\"e\",\"type\":\"item_upsert\",\"items\":[{\"id\":\"i\",\"price\":5}]}";
    static const char lines[] =
        "{\"id\":\"i\",\"title\":\"T\",\"price\":5,\"currency\":\"EUR\",\"ts\":7}\n"
        "{\"id\":\"e\",\"type\":\"item_upsert\",\"items\":[{\"id\":\"i\",\"price\":5}]}\n"
        "{\"id\":\"e\",\"type\":\"item_delete\",\"items\":[{\"id\":\"i\"}]}\n" EVENT1 "\n"
        "{\"id\":\"e\",\"type\":7}\n";
    char *transcript = reader_transcript_of("f.jsonl", lines, sizeof lines - 1, NULL, READER_ITEMS);
    assert_non_null(strstr(transcript,
                           "-1\",\"type\":\"item_upsert\",\"currency\":\"EUR\",\"ts\":7,\"items\":"
                           "[{\"id\":\"i\",\"title\":\"T\",\"price\":5}]}\n"));
    assert_non_null(strstr(transcript, upsert));
    assert_non_null(strstr(transcript, "item_delete"));
    assert_non_null(strstr(transcript, "!line 4, field type: expected item_upsert or item_delete, "
                                       "got 'view'\n"));
    assert_non_null(strstr(transcript, "!line 5, field type: expected item_upsert or item_delete, "
                                       "got 'another kind of value'\n"));
    assert_null(strchr(transcript, '*'));
    free(transcript);
}

/* The ids that an import of items makes: the same for the same file, others for a newer one. */
static void test_ids_of_items_follow_the_file(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "i.ndjson", "{\"id\":\"a\"}\n{\"id\":\"a\"}\n");
    temp_dir_path(&dir, "i.ndjson", path);
    struct reader_options options = {.kind = READER_ITEMS};
    struct timespec times[2] = {{1000, 0}, {1000, 0}};
    char *transcripts[3];
    for (int i = 0; i < 3; i++) {
        times[1].tv_nsec = i == 2;
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        transcripts[i] = reader_transcript(path, &options);
    }
    assert_string_equal(transcripts[0], transcripts[1]);
    assert_string_not_equal(transcripts[0], transcripts[2]);
    const char *second = strchr(transcripts[0], '\n') + 1;
    size_t id_len = strlen("+{\"id\":\"item-0123456789abcdef-1\"");
    assert_memory_not_equal(transcripts[0], second, id_len);
    for (int i = 0; i < 3; i++)
        free(transcripts[i]);
    temp_dir_remove(&dir);
}

static void test_sizes_of_lines_and_events(void **state)
{
    (void)state;
    enum { BYTES = READER_LINE_BYTES_MAX + 256 };
    char *lines = malloc(BYTES);
    assert_non_null(lines);
    /* An event of exactly EVENT_BYTES_MAX: the map's header, its key and a text16. */
    size_t overhead = 5 + 2 + 3;
    for (size_t extra = 0; extra < 2; extra++) {
        size_t len = EVENT_BYTES_MAX - overhead + extra;
        size_t used = (size_t)(stpcpy(lines, "{\"q\":\"") - lines);
        memset(lines + used, 'x', len);
        used += len;
        used = (size_t)(stpcpy(lines + used, "\"}\n") - lines);
        char *transcript = reader_transcript_of("f.ndjson", lines, used, NULL, READER_EVENTS);
        assert_int_equal(transcript[0], extra == 0 ? '+' : '!');
        if (extra == 1)
            assert_non_null(strstr(transcript, "!line 1, column "));
        free(transcript);
    }
    memset(lines, ' ', BYTES);
    memcpy(lines + READER_LINE_BYTES_MAX + 1, "\n" EVENT2 "\n", sizeof EVENT2 + 1);
    size_t used = READER_LINE_BYTES_MAX + 1 + sizeof EVENT2 + 1;
    char *transcript = reader_transcript_of("f.ndjson", lines, used, NULL, READER_EVENTS);
    assert_string_equal(transcript, "!line 1: longer than 65536 bytes\n+" EVENT2 "\n");
    free(transcript);
    free(lines);
}

/* A line of many windows is stepped over, the memory stays the same. */
static void test_a_line_of_megabytes_is_stepped_over(void **state)
{
    (void)state;
    size_t len = 3 << 20;
    char *lines = malloc(len + sizeof EVENT2 + 1);
    assert_non_null(lines);
    memset(lines, 'x', len);
    memcpy(lines + len, "\n" EVENT2, sizeof EVENT2);
    char *transcript =
        reader_transcript_of("f.ndjson", lines, len + sizeof EVENT2, NULL, READER_EVENTS);
    assert_string_equal(transcript, "!line 1: longer than 65536 bytes\n+" EVENT2 "\n");
    free(transcript);
    free(lines);
}

/* ---- opening and progress -------------------------------------------------------------------- */

static void test_what_cannot_be_opened(void **state)
{
    (void)state;
    static const struct {
        const char *path, *map;
        enum reader_format format;
        const char *says;
    } bad[] = {
        {"/nonexistent/f.csv", NULL, READER_AUTO, "'/nonexistent/f.csv': a CSV file needs a map"},
        {"/nonexistent/f.ndjson", NULL, READER_AUTO,
         "cannot open '/nonexistent/f.ndjson': No such"},
        {"/nonexistent/f.txt", NULL, READER_AUTO, "the format cannot be told from the name"},
        {"/nonexistent/f", "/nonexistent/m", READER_CSV, "'/nonexistent/m'"},
        {"/", NULL, READER_NDJSON, "cannot read '/' at byte 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct reader_options options = {bad[i].format, READER_EVENTS, bad[i].map};
        char *transcript = reader_transcript(bad[i].path, &options);
        if (transcript[0] != '?' || strstr(transcript, bad[i].says) == NULL)
            fail_msg("%s: %s", bad[i].path, transcript);
        free(transcript);
    }
    struct reader *none = NULL;
    reader_close(&none);
}

static void test_progress(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    char map_path[2 * TEMP_DIR_BYTES];
    struct reader *reader = NULL;
    struct reader_progress progress;
    struct err err = {0};
    struct text event;
    static const char csv[] = "u\na\n\n\"b\n\"\n\nc\n";
    static const uint64_t lines[] = {2, 4, 7};
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "f.csv", csv);
    temp_dir_write_text(&dir, "m.json", csv_map);
    struct reader_options options = {.map_path = temp_dir_path(&dir, "m.json", map_path)};
    assert_int_equal(reader_open(temp_dir_path(&dir, "f.csv", path), &options, &reader, &err),
                     ERR_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(reader_next(reader, &event, &err), i == 1 ? READER_BAD : READER_EVENT);
        reader_progress(reader, &progress);
        assert_int_equal(progress.line, lines[i]);
    }
    assert_int_equal(reader_next(reader, &event, &err), READER_DONE);
    assert_int_equal(reader_next(reader, &event, &err), READER_DONE);
    reader_progress(reader, &progress);
    assert_int_equal(progress.bytes_read, sizeof csv - 1);
    assert_int_equal(progress.bytes_total, sizeof csv - 1);
    reader_close(&reader);
    temp_dir_remove(&dir);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    char map_path[2 * TEMP_DIR_BYTES];
    temp_dir_create(&dir);
    temp_dir_write_text(&dir, "f.csv", "u\na\n");
    temp_dir_write_text(&dir, "m.json", csv_map);
    temp_dir_path(&dir, "f.csv", path);
    struct reader_options options = {.map_path = temp_dir_path(&dir, "m.json", map_path)};
    for (uint32_t n = 0;; n++) {
        struct reader *reader = NULL;
        struct err err = {0};
        struct text event;
        alloc_fail_after(n);
        enum err_code rc = reader_open(path, &options, &reader, &err);
        bool failed = alloc_fail_off();
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            uint64_t before = alloc_count();
            assert_int_equal(reader_next(reader, &event, &err), READER_EVENT);
            assert_int_equal(alloc_count(), before); /* bounded memory: rows allocate nothing */
            reader_close(&reader);
            assert_true(n >= 5);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(reader);
    }
    temp_dir_remove(&dir);
}

/* ---- real data --------------------------------------------------------------------------------
 */

#define RETAIL_PATH "../shared/data/online-retail/online_retail.csv.gz"

static void test_online_retail_through_the_map_that_we_ship(void **state)
{
    (void)state;
    const char *root = getenv("DECIDED_SOURCE");
    char path[512];
    char map_path[512];
    snprintf(path, sizeof path, "%s/" RETAIL_PATH, root == NULL ? "." : root);
    snprintf(map_path, sizeof map_path, "%s/deploy/maps/online-retail.json",
             root == NULL ? "." : root);
    if (access(path, R_OK) != 0) {
        print_message("SKIPPED: '%s' is not there\n", path);
        skip();
    }
    static const struct {
        const char *name;
        uint64_t count;
    } rules[] = {{"customer known", 135080},
                 {"quantity over 0", 8905},
                 {"price over 0", 40},
                 {"no return", 0},
                 {"an article", 1547}};
    uint64_t counts[5] = {0};
    uint64_t event_count = 0;
    struct reader *reader = NULL;
    struct err err = {0};
    struct text event;
    enum reader_outcome outcome;
    struct reader_options options = {.map_path = map_path};
    if (reader_open(path, &options, &reader, &err) != ERR_OK)
        fail_msg("%s", err.text);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(text_is(reader_rule(reader, i), rules[i].name));
    assert_null(reader_rule(reader, 5).ptr);
    while ((outcome = reader_next(reader, &event, &err)) != READER_DONE) {
        if (outcome == READER_BAD || outcome == READER_FAILED)
            fail_msg("%s", err.text);
        event_count += outcome == READER_EVENT;
        for (size_t i = 0; outcome == READER_SKIPPED && i < 5; i++)
            counts[i] += text_is(event, rules[i].name);
    }
    reader_close(&reader);
    assert_int_equal(event_count, 396337);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(counts[i], rules[i].count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ndjson_events_are_taken_as_they_are),
        cmocka_unit_test(test_a_bad_json_line_is_named_and_the_next_one_is_read),
        cmocka_unit_test(test_ndjson_through_a_map),
        cmocka_unit_test(test_items_alone_and_events_of_items),
        cmocka_unit_test(test_ids_of_items_follow_the_file),
        cmocka_unit_test(test_sizes_of_lines_and_events),
        cmocka_unit_test(test_a_line_of_megabytes_is_stepped_over),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_progress),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_online_retail_through_the_map_that_we_ship),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
