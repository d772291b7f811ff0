/* SPDX-License-Identifier: Apache-2.0 */
/* What events say about items of decisions, and the columns that features get in a CSV file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/transcode.h"
#include "tests/support/alloc_fail.h"
#include "tools/ctl/export_labels.h"
#include "tools/ctl/export_names.h"

enum { MANY = 20000 };

static struct label_table *table;
static struct export_names *names;
static struct err err;

static int set_up(void **state)
{
    (void)state;
    return label_table_create(&table, &err) == ERR_OK && export_names_create(&names, &err) == ERR_OK
               ? 0
               : -1;
}

static int tear_down(void **state)
{
    (void)state;
    label_table_destroy(&table);
    export_names_destroy(&names);
    return 0;
}

static enum err_code add(enum event_type type, const char *decision, const char *item, int64_t qty,
                         int64_t price_minor)
{
    struct event_item items[] = {{.id = text_of(item), .qty = qty, .price_minor = price_minor}};
    struct event event = {
        .type = type, .decision = text_of(decision), .items = items, .item_count = 1};
    return label_table_add(table, &event, &err);
}

static struct labels find(const char *decision, const char *item)
{
    return label_table_find(table, text_of(decision), text_of(item));
}

static void test_each_kind_of_event_has_its_label(void **state)
{
    (void)state;
    static const struct {
        enum event_type type;
        struct labels labels;
    } cases[] = {
        {EVENT_impression, {.impressed = true}},
        {EVENT_click, {.clicked = true}},
        {EVENT_view, {.clicked = true}},
        {EVENT_cart_add, {.carted = true}},
        {EVENT_purchase, {.purchased = true, .revenue_minor = 600}},
        {EVENT_refund, {0}},
        {EVENT_wish_add, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char decision[16];
        snprintf(decision, sizeof decision, "d%zu", i);
        assert_int_equal(add(cases[i].type, decision, "a", 3, 200), ERR_OK);
        struct labels got = find(decision, "a"), want = cases[i].labels;
        assert_int_equal(got.impressed, want.impressed);
        assert_int_equal(got.clicked, want.clicked);
        assert_int_equal(got.carted, want.carted);
        assert_int_equal(got.purchased, want.purchased);
        assert_int_equal(got.revenue_minor, want.revenue_minor);
        assert_int_equal(labels_need(cases[i].type),
                         want.impressed + want.clicked + want.carted + want.purchased);
    }
}

static void test_revenue_adds_up_and_never_overflows(void **state)
{
    (void)state;
    assert_int_equal(add(EVENT_purchase, "d", "a", 2, 100), ERR_OK);
    assert_int_equal(add(EVENT_purchase, "d", "a", 1, EVENT_ABSENT), ERR_OK);
    assert_int_equal(add(EVENT_purchase, "d", "a", 1, 50), ERR_OK);
    assert_int_equal(find("d", "a").revenue_minor, 250);
    assert_int_equal(add(EVENT_purchase, "d", "a", 1, INT64_MAX), ERR_OK);
    assert_int_equal(add(EVENT_purchase, "d", "a", 1000000, INT64_MAX), ERR_OK);
    assert_int_equal(find("d", "a").revenue_minor, 250);
    assert_true(find("d", "a").purchased);
}

static void test_many_items_are_kept_apart(void **state)
{
    (void)state;
    char decision[32], item[32];
    for (int i = 0; i < MANY; i++) {
        snprintf(decision, sizeof decision, "d%d", i / 10);
        snprintf(item, sizeof item, "i%d", i % 10);
        assert_int_equal(add(EVENT_purchase, decision, item, 1, i), ERR_OK);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(decision, sizeof decision, "d%d", i / 10);
        snprintf(item, sizeof item, "i%d", i % 10);
        assert_int_equal(find(decision, item).revenue_minor, i);
    }
    assert_false(find("d0", "i10").purchased);
    assert_false(find("d0i", "1").purchased); /* where one ends and the other begins counts */
}

static void test_without_memory_nothing_is_lost(void **state)
{
    (void)state;
    bool failed = false;
    char item[32];
    int count = 0;
    for (; !failed && count < MANY; count++) {
        snprintf(item, sizeof item, "i%d", count);
        alloc_fail_after(0);
        enum err_code rc = add(EVENT_click, "d", item, 1, 1);
        failed = alloc_fail_off();
        assert_int_equal(rc, failed ? ERR_NOMEM : ERR_OK);
    }
    assert_true(failed);
    assert_int_equal(add(EVENT_click, "d", item, 1, 1), ERR_OK);
    for (int i = 0; i < count; i++) {
        snprintf(item, sizeof item, "i%d", i);
        assert_true(find("d", item).clicked);
    }
}

#define RECORD(names, features)                                                              \
    "{\"v\": 1, \"decision\": \"01HF7YAT00AAAAAAAAAAAAAAAA\", \"ts\": 1, \"op\": \"rank\", " \
    "\"level\": \"full\", \"policy\": \"p@1\", \"models\": [], \"items\": [\"a\", \"b\"], "  \
    "\"scores\": [1, 0], \"names\": " names ", \"features\": " features "}"

static void read_record(const char *json, uint8_t bytes[4096], struct decision_record *ret_record)
{
    struct pack pack = pack_into(bytes, 4096);
    assert_int_equal(transcode_from_json(json, strlen(json), &pack, &err), ERR_OK);
    assert_int_equal(
        decision_record_read((struct text){(char *)bytes, (uint32_t)pack.used}, ret_record, &err),
        ERR_OK);
}

static void check_values(struct decision_record *record, const char *first, const char *second)
{
    const char *const expected[] = {first, second};
    struct decision_record_item item;
    export_names_use(names, record);
    for (int i = 0; i < 2; i++) {
        struct buffer buffer = {0};
        assert_true(decision_record_next(record, &item));
        export_names_put_values(names, &item, &buffer);
        assert_string_equal(buffer.bytes, expected[i]);
        buffer_deinit(&buffer);
    }
}

static void test_rankers_share_columns(void **state)
{
    (void)state;
    uint8_t bytes[3][4096];
    struct decision_record record[3];
    struct buffer header = {0};
    read_record(RECORD("[\"x\", \"y,z\"]", "[[1, 0.1], null]"), bytes[0], &record[0]);
    read_record(RECORD("[\"w\", \"x\"]", "[[2.5, null], [-0.25, 1e300]]"), bytes[1], &record[1]);
    read_record(RECORD("[\"later\", \"x\"]", "[[7, 8], [9, 10]]"), bytes[2], &record[2]);
    assert_int_equal(export_names_add(names, &record[0], &err), ERR_OK);
    assert_int_equal(export_names_add(names, &record[1], &err), ERR_OK);
    assert_int_equal(export_names_add(names, &record[0], &err), ERR_OK);
    export_names_put(names, &header);
    assert_string_equal(header.bytes, ",x,\"y,z\",w");
    buffer_deinit(&header);
    check_values(&record[0], ",1,0.1,", ",,,");
    check_values(&record[1], ",,,2.5", ",1e+300,,-0.25");
    check_values(&record[2], ",8,,", ",10,,"); /* a name that came after the header */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_each_kind_of_event_has_its_label),
        TEST(test_revenue_adds_up_and_never_overflows),
        TEST(test_many_items_are_kept_apart),
        TEST(test_without_memory_nothing_is_lost),
        TEST(test_rankers_share_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
