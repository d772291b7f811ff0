/* SPDX-License-Identifier: Apache-2.0 */
/* What a map makes of a line: keys, money, times, filters, rules of what is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/reader_transcript.h"

static void assert_mapped(const char *map, const char *csv, const char *expected)
{
    char *transcript = reader_transcript_of("f.csv", csv, strlen(csv), map, READER_EVENTS);
    assert_string_equal(transcript, expected);
    free(transcript);
}

static void test_every_key_of_an_event(void **state)
{
    (void)state;
    assert_mapped(
        "{\"events\": {\"id\": \"{a}\", \"type\": \"purchase\", \"ts\": \"{t}\", \"user\": "
        "\"u-{a}\", \"anon\": \"n\", \"session\": \"s\", \"decision\": \"d\", \"order\": "
        "\"o{#line}\", \"query\": \"q\", \"list\": \"l\", \"currency\": \"EUR\", \"total\": "
        "\"{p}\", \"items\": [{\"id\": \"i\", \"qty\": \"2\", \"price\": \"{p}\", \"pos\": "
        "\"0\"}], \"props\": {\"colour\": \"{c}\", \"size\": \"L\"}}}",
        "a,t,p,c\n1,2011-11-01 08:26:00,12.5,\n",
        "+{\"id\":\"1\",\"type\":\"purchase\",\"ts\":1320135960000,\"user\":\"u-1\","
        "\"anon\":\"n\",\"session\":\"s\",\"decision\":\"d\",\"order\":\"o2\",\"query\":"
        "\"q\",\"list\":\"l\",\"currency\":\"EUR\",\"total\":1250,\"items\":[{\"id\":\"i\","
        "\"qty\":2,\"price\":1250,\"pos\":0}],\"props\":{\"size\":\"L\"}}\n");
}

static void test_money_is_exact_and_follows_the_currency(void **state)
{
    (void)state;
    static const struct {
        const char *currency, *money, *price, *minor; /* minor NULL: refused */
    } cases[] = {
        {"GBP", "decimal", "0.29", "29"},
        {"GBP", "decimal", "1.10", "110"},
        {"GBP", "decimal", "1.100", "110"},
        {"GBP", "decimal", "9999999999999.99", "999999999999999"},
        {"GBP", "decimal", "1.005", NULL},
        {"GBP", "decimal", "-1", NULL},
        {"GBP", "decimal", "1,10", NULL},
        {"GBP", "decimal", "1e2", NULL},
        {"GBP", "decimal", "abc", NULL},
        {"JPY", "decimal", "120", "120"},
        {"JPY", "decimal", "1.5", NULL},
        {"KWD", "decimal", "1.234", "1234"},
        {"", "decimal", "1.25", "125"},
        {"GBP", "minor", "125", "125"},
        {"GBP", "minor", "1.25", NULL},
        {"GBP", "minor", "-3", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char map[512];
        char csv[128];
        char expected[256];
        snprintf(
            map, sizeof map,
            "{\"money\": \"%s\", \"events\": {\"id\": \"1\", \"type\": \"view\", \"user\": "
            "\"u\", \"currency\": \"{cur}\", \"items\": [{\"id\": \"i\", \"price\": \"{p}\"}]}}",
            cases[i].money);
        snprintf(csv, sizeof csv, "p,cur\n\"%s\",%s\n", cases[i].price, cases[i].currency);
        snprintf(expected, sizeof expected, "\"price\":%s}]}\n",
                 cases[i].minor == NULL ? "" : cases[i].minor);
        char *transcript = reader_transcript_of("f.csv", csv, strlen(csv), map, READER_EVENTS);
        bool is_fine = cases[i].minor == NULL
                           ? strncmp(transcript, "!line 2, field p: expected ", 27) == 0
                           : strstr(transcript, expected) != NULL;
        if (!is_fine)
            fail_msg("%s %s: %s", cases[i].currency, cases[i].price, transcript);
        free(transcript);
    }
}

static void test_money_that_is_refused_says_why(void **state)
{
    (void)state;
    static const struct {
        const char *price, *expected;
    } cases[] = {
        {"abc", "!line 2, field p: expected a decimal number with at most 2 decimals, got 'abc'\n"},
        {"1.005",
         "!line 2, field p: expected a decimal number with at most 2 decimals, got '1.005'\n"},
        {"99999999999999999999999", "!line 2, field p: expected an amount within "
                                    "+-10000000000000.00, got '99999999999999999999999'\n"},
        {"10000000000000.01",
         "!line 2, field p: expected an amount within +-10000000000000.00, got "
         "'10000000000000.01'\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char csv[128];
        snprintf(csv, sizeof csv, "p\n%s\n", cases[i].price);
        char *transcript = reader_transcript_of(
            "f.csv", csv, strlen(csv),
            "{\"events\": {\"id\": \"1\", \"type\": \"view\", \"user\": \"u\", \"currency\": "
            "\"EUR\", \"items\": [{\"id\": \"i\", \"price\": \"{p}\"}]}}",
            READER_EVENTS);
        assert_string_equal(transcript, cases[i].expected);
        free(transcript);
    }
}

static void test_times(void **state)
{
    (void)state;
    static const struct {
        const char *format, *time, *ms; /* ms NULL: refused */
    } cases[] = {
        {"iso", "2010-12-01 08:26:00", "1291191960000"},
        {"iso", "2010-12-01T08:26:00.5+01:00", "1291188360500"},
        {"iso", "01/12/2010", NULL},
        {"unix", "1291191960", "1291191960000"},
        {"unix", "-1", NULL},
        {"unix", "99999999999", NULL},
        {"unix", "1793527200000", NULL}, /* milliseconds */
        {"iso", "1969-12-31 23:59:59", NULL},
        {"%H:%M", "10:00", NULL},
        {"unix_ms", "1291191960123", "1291191960123"},
        {"unix_ms", "1291191960123.5", NULL},
        {"%m/%d/%Y %H:%M", "12/1/2010 8:26", "1291191960000"},
        {"%d.%m.%Y", "01.12.2010", "1291161600000"},
        {"%d.%m.%Y", "29.02.2012", "1330473600000"},
        {"%d.%m.%Y", "29.02.2011", NULL},
        {"%d.%m.%Y", "31.04.2011", NULL},
        {"%d.%m.%Y", "01.12.1960", NULL},
        {"%d.%m.%Y", "01.12.2010 rest", NULL},
        {"%d.%m.%Y", "01.12", NULL},
        {"%Y-%m-%dT%H:%M:%S%z", "2010-12-01T08:26:00+0100", "1291188360000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char map[256];
        char csv[128];
        char expected[192];
        snprintf(map, sizeof map,
                 "{\"time\": \"%s\", \"events\": {\"id\": \"1\", \"type\": \"view\", \"ts\": "
                 "\"{t}\", \"user\": \"u\"}}",
                 cases[i].format);
        snprintf(csv, sizeof csv, "t\n%s\n", cases[i].time);
        if (cases[i].ms == NULL)
            snprintf(expected, sizeof expected,
                     "!line 2, field t: expected a time from 1970 to 2106 as the map's \"time\" "
                     "says: %s, got '%s'\n",
                     cases[i].format, cases[i].time);
        else
            snprintf(expected, sizeof expected,
                     "+{\"id\":\"1\",\"type\":\"view\",\"ts\":%s,\"user\":\"u\"}\n", cases[i].ms);
        char *transcript = reader_transcript_of("f.csv", csv, strlen(csv), map, READER_EVENTS);
        assert_string_equal(transcript, expected);
        free(transcript);
    }
}

static void test_filters_and_renamed_types(void **state)
{
    (void)state;
    static const char map[] =
        "{\"types\": {\"transaction\": \"purchase\", \"addtocart\": \"cart_add\"},"
        " \"events\": {\"id\": \"{#line}\", \"type\": \"{e}\", \"user\": \"{u|integer}\", "
        "\"query\": \"<{q|trim}>\"}}";
    assert_mapped(map, "e,u,q\ntransaction,17850.0,  a b \nview,007,\naddtocart,-3.00,x\n",
                  "+{\"id\":\"2\",\"type\":\"purchase\",\"user\":\"17850\",\"query\":\"<a b>\"}\n"
                  "+{\"id\":\"3\",\"type\":\"view\",\"user\":\"007\",\"query\":\"<>\"}\n"
                  "+{\"id\":\"4\",\"type\":\"cart_add\",\"user\":\"-3\",\"query\":\"<x>\"}\n");
    assert_mapped(map, "e,u,q\nbuy,1,x\nview,1.5,x\nview,,x\nview,1.,x\nview,.0,x\n,1,x\n",
                  "!line 2, field e: expected a type of event, got 'buy'\n"
                  "!line 3, field u: expected a whole number, got '1.5'\n"
                  "+{\"id\":\"4\",\"type\":\"view\",\"query\":\"<x>\"}\n"
                  "*user: view needs user or anon\n"
                  "!line 5, field u: expected a whole number, got '1.'\n"
                  "!line 6, field u: expected a whole number, got '.0'\n"
                  "!line 7, field e: expected a text, got ''\n");
}

static void test_numbers_and_ids_are_judged_by_line(void **state)
{
    (void)state;
    static const char map[] =
        "{\"events\": {\"id\": \"{a}{b}\", \"type\": \"view\", \"user\": \"u\", "
        "\"items\": [{\"id\": \"{b}\", \"qty\": \"{q}\"}]}}";
    assert_mapped(
        map, "a,b,q\n1,2,6\n1,,6\n,,6\n1,2,0\n1,2,6.5\n1,2,1000001\n1,2,6.0\n",
        "+{\"id\":\"12\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"2\",\"qty\":6}]}\n"
        "!line 3, field b: expected a text, got ''\n"
        "!line 4, field id: expected a text, got ''\n"
        "!line 5, field q: expected 1..1000000, got '0'\n"
        "!line 6, field q: expected a whole number, got '6.5'\n"
        "!line 7, field q: expected 1..1000000, got '1000001'\n"
        "+{\"id\":\"12\",\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"2\",\"qty\":6}]}\n");
    char csv[128] = "a,b,q\n";
    memset(csv + 6, 'x', 65);
    strcpy(csv + 71, ",2,1\n");
    char *transcript = reader_transcript_of("f.csv", csv, strlen(csv), map, READER_EVENTS);
    assert_non_null(strstr(transcript, "!line 2, field id: expected at most 64 bytes, got 'xxxx"));
    free(transcript);
}

static void test_each_keep_rule(void **state)
{
    (void)state;
    static const struct {
        const char *test;
        const char *kept, *left_out; /* values of the column, separated by '/' */
    } cases[] = {
        {"\"not_empty\": true", "a/ /0", "/"},
        {"\"above\": 0", "1/0.001/1e3", "0/-1/0.0/-0"},
        {"\"below\": 2.5", "2.49/-1", "2.5/3"},
        {"\"begins_with\": \"AB\"", "AB/ABC", "A/ab/xAB//"},
        {"\"begins_not_with\": \"C\"", "536/c1//xC", "C536/C"},
        {"\"begins_with_digit\": true", "85123A/0", "POST/-1/ 1//"},
        {"\"one_of\": [\"a\", \"b c\"]", "a/b c", "A/b//"},
        {"\"one_of\": []", "", "a"},
        {"\"none_of\": [\"a\", \"\"]", "b/A", "a/"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char map[512];
        snprintf(
            map, sizeof map,
            "{\"keep\": [{\"name\": \"the rule\", \"column\": \"v\", %s}], \"events\": {\"id\": "
            "\"1\", \"type\": \"view\", \"user\": \"u\"}}",
            cases[i].test);
        for (int is_kept = 0; is_kept < 2; is_kept++) {
            const char *expected =
                is_kept ? "+{\"id\":\"1\",\"type\":\"view\",\"user\":\"u\"}\n" : "-the rule\n";
            const char *at = is_kept ? cases[i].kept : cases[i].left_out;
            while (*at != '\0') {
                int len = (int)strcspn(at, "/");
                char csv[64];
                snprintf(csv, sizeof csv, "v,w\n%.*s,x\n", len, at);
                char *transcript =
                    reader_transcript_of("f.csv", csv, strlen(csv), map, READER_EVENTS);
                if (strcmp(transcript, expected) != 0)
                    fail_msg("%s with '%.*s': %s", cases[i].test, len, at, transcript);
                free(transcript);
                at += len + (at[len] == '/');
            }
        }
    }
}

static void test_the_first_rule_that_fails_is_named_and_a_bad_number_is_an_error(void **state)
{
    (void)state;
    assert_mapped("{\"keep\": [{\"name\": \"known\", \"column\": \"u\", \"not_empty\": true}, "
                  "{\"name\": \"some\", \"column\": \"q\", \"above\": 0}], "
                  "\"events\": {\"id\": \"1\", \"type\": \"view\", \"user\": \"{u}\"}}",
                  "u,q\n,0\n,x\nu,0\nu,x\nu,\n",
                  "-known\n-known\n-some\n!line 5, field q: expected a number, got 'x'\n"
                  "!line 6, field q: expected a number, got ''\n");
}

static void test_delimiter_and_columns_without_a_header(void **state)
{
    (void)state;
    assert_mapped("{\"delimiter\": \";\", \"columns\": [\"u\", \"x\"], \"events\": {\"id\": "
                  "\"{#line}\", \"type\": \"view\", \"user\": \"{u}\"}}",
                  "a,b;1\n\"c;\";2\nd\n",
                  "+{\"id\":\"1\",\"type\":\"view\",\"user\":\"a,b\"}\n"
                  "+{\"id\":\"2\",\"type\":\"view\",\"user\":\"c;\"}\n"
                  "!line 3, field x: missing, the line has 1 fields of 2\n");
    assert_mapped(
        "{\"delimiter\": \"\\t\", \"events\": {\"id\": \"1\", \"type\": \"view\", \"user\": "
        "\"{u}\"}}",
        "x\tu\n1\t2\n", "+{\"id\":\"1\",\"type\":\"view\",\"user\":\"2\"}\n");
}

static void test_items_become_upserts(void **state)
{
    (void)state;
    static const char map[] =
        "{\"events\": {\"of no matter\": 1}, \"items\": {\"id\": \"{sku}\", \"title\": "
        "\"{name|trim}\", "
        "\"category\": \"{cat}\", \"brand\": \"b\", \"price\": \"{price}\", \"cost\": \"1\", "
        "\"stock\": \"{stock}\", \"currency\": \"EUR\", \"ts\": \"2020-01-01\", "
        "\"attributes\": {\"colour\": \"{colour}\"}}}";
    static const char csv[] = "sku,name,cat,price,stock,colour\n7, Mug ,,4.95,12,red\n";
    char *transcript = reader_transcript_of("f.csv", csv, sizeof csv - 1, map, READER_ITEMS);
    assert_non_null(strstr(transcript, "+{\"id\":\"item-"));
    assert_non_null(strstr(
        transcript, "-2\",\"type\":\"item_upsert\",\"ts\":1577836800000,\"currency\":\"EUR\","
                    "\"items\":[{\"id\":\"7\",\"title\":\"Mug\",\"brand\":\"b\",\"price\":495,"
                    "\"cost\":100,\"stock\":12,\"attributes\":{\"colour\":\"red\"}}]}\n"));
    assert_null(strchr(transcript, '*'));
    free(transcript);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_of_an_event),
        cmocka_unit_test(test_money_is_exact_and_follows_the_currency),
        cmocka_unit_test(test_money_that_is_refused_says_why),
        cmocka_unit_test(test_times),
        cmocka_unit_test(test_filters_and_renamed_types),
        cmocka_unit_test(test_numbers_and_ids_are_judged_by_line),
        cmocka_unit_test(test_each_keep_rule),
        cmocka_unit_test(test_the_first_rule_that_fails_is_named_and_a_bad_number_is_an_error),
        cmocka_unit_test(test_delimiter_and_columns_without_a_header),
        cmocka_unit_test(test_items_become_upserts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
