/* SPDX-License-Identifier: Apache-2.0 */
/* Catalogue records, and what they remember of their prices. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>

#include "base/rand.h"
#include "featurestore/features.h"
#include "featurestore/store_internal.h"
#include "featurestore/store_kind.h"
#include "tests/support/store_rig.h"

#define NOW_MS STORE_RIG_NOW_MS
#define DAY_MS INT64_C(86400000)

static struct store_rig rig;

static const struct store_limits limits = {.items_max = 3000,
                                           .people_max = 1000,
                                           .history_items_max = 4,
                                           .queue_events_max = 2000,
                                           .dedup_events_max = 100,
                                           .prices_max = 4};

static int set_up(void **state)
{
    (void)state;
    store_rig_create(&rig, &limits);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_rig_destroy(&rig);
    return 0;
}

static void test_an_upsert_leaves_what_it_does_not_name(void **state)
{
    (void)state;
    store_rig_apply_json(
        &rig, "{\"type\":\"item_upsert\",\"currency\":\"EUR\",\"items\":[{\"id\":\"x\","
              "\"title\":\"Shoe\",\"category\":\"shoes\",\"brand\":\"acme\",\"price\":1000,"
              "\"cost\":400,\"stock\":7,\"attributes\":{\"c\":\"red\"}}]}");
    const struct item *before = store_item(rig.store, store_rig_item(&rig, "x"));
    store_rig_apply_json(&rig, "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":900},"
                               "{\"id\":\"x\",\"stock\":0}]}");
    const struct item *record = store_item(rig.store, store_rig_item(&rig, "x"));
    assert_ptr_not_equal(before, record);
    assert_int_equal(record->price_minor, 900);
    assert_int_equal(record->stock, 0); /* the second one builds on the first */
    assert_int_equal(record->cost_minor, 400);
    assert_true(text_is(record->title, "Shoe"));
    assert_true(text_is(store_category_name(rig.store, record->category), "shoes"));
    assert_true(text_is(store_brand_name(rig.store, record->brand), "acme"));
    assert_int_equal(record->category, store_category_find(rig.store, TEXT_LITERAL("shoes")));
    assert_int_equal(record->brand, store_brand_find(rig.store, TEXT_LITERAL("acme")));
    assert_true(record->attributes.len > 0);
    currency_code eur = 0;
    assert_true(currency_parse(TEXT_LITERAL("EUR"), &eur));
    assert_int_equal(record->currency, eur);

    store_rig_apply_json(
        &rig, "{\"type\":\"item_delete\",\"items\":[{\"id\":\"x\"},{\"id\":\"unknown\"}]}");
    record = store_item(rig.store, store_rig_item(&rig, "x"));
    assert_true(record->deleted);
    assert_true(text_is(record->title, "Shoe"));
    assert_int_equal(store_item_find(rig.store, TEXT_LITERAL("unknown")), IDMAP_NONE);
    struct store_stats stats;
    store_stats(rig.store, &stats);
    assert_int_equal(stats.catalogue_items, 0);
    store_rig_apply_json(&rig, "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\"}]}");
    assert_false(store_item(rig.store, store_rig_item(&rig, "x"))->deleted);
    store_stats(rig.store, &stats);
    assert_int_equal(stats.catalogue_items, 1);
}

static void expect_items_of(const char *one, const char *other, uint64_t bits)
{
    uint64_t found[2] = {UINT64_MAX, UINT64_MAX};
    const uint32_t category[] = {store_category_find(rig.store, text_of(one)),
                                 store_category_find(rig.store, text_of(other))};
    struct store_wanted wanted = {.category = category, .category_count = 2, .needs_record = true};
    store_items_wanted(rig.store, &wanted, store_item_count(rig.store), found);
    assert_int_equal(found[0], bits);
    assert_int_equal(found[1], UINT64_MAX); /* no word more than there are items for */
    wanted.category_count = 0;
    store_items_wanted(rig.store, &wanted, store_item_count(rig.store), found);
    assert_int_equal(found[0], 0);
}

static void test_items_are_found_by_category(void **state)
{
    (void)state;
    store_rig_apply_json(&rig, "{\"type\":\"item_upsert\",\"items\":["
                               "{\"id\":\"a\",\"category\":\"shoes\"},"
                               "{\"id\":\"b\",\"category\":\"hats\"},{\"id\":\"c\"},"
                               "{\"id\":\"d\",\"category\":\"shoes\"},"
                               "{\"id\":\"e\",\"category\":\"bags\"}]}");
    expect_items_of("shoes", "shoes", 0x9);
    expect_items_of("shoes", "hats", 0xb);
    store_rig_apply_json(&rig, "{\"type\":\"item_upsert\",\"items\":["
                               "{\"id\":\"a\",\"price\":5},{\"id\":\"b\",\"category\":\"shoes\"},"
                               "{\"id\":\"d\",\"category\":\"bags\"}]}");
    expect_items_of("shoes", "hats", 0x3);
    expect_items_of("bags", "bags", 0x18);
}

/* ---- columns against a look at every record -------------------------------------------------- */

enum { COLUMN_ITEMS = 2500, COLUMN_EVENTS = 6000, COLUMN_QUESTIONS = 300 };

static bool is_one_of(const uint32_t *number, uint32_t count, uint32_t wanted)
{
    for (uint32_t i = 0; i < count; i++) {
        if (number[i] == wanted)
            return true;
    }
    return false;
}

static bool is_wanted(const struct store_wanted *wanted, const struct item *record)
{
    if (record == NULL)
        return !wanted->needs_record;
    bool is_known = record->stock != STORE_STOCK_UNKNOWN;
    if (record->deleted || (wanted->in_stock && is_known && record->stock < 1))
        return false;
    if (wanted->category != NULL &&
        !is_one_of(wanted->category, wanted->category_count, record->category))
        return false;
    if (wanted->brand != NULL && !is_one_of(wanted->brand, wanted->brand_count, record->brand))
        return false;
    if (wanted->by_price &&
        (record->price_minor == EVENT_ABSENT || record->price_minor < wanted->price_min_minor ||
         record->price_minor > wanted->price_max_minor))
        return false;
    if (!wanted->by_stock)
        return true;
    return is_known ? record->stock >= wanted->stock_min && record->stock <= wanted->stock_max
                    : wanted->stock_may_be_unknown;
}

/* What is not said stays as it is; some ids are seen in views alone. */
static void change_an_item(struct rand *rand)
{
    char json[300];
    uint32_t item = (uint32_t)rand_below(rand, COLUMN_ITEMS), kind = (uint32_t)rand_below(rand, 8);
    int used = snprintf(json, sizeof json,
                        "{\"type\": \"%s\", \"user\": \"u\", \"items\": "
                        "[{\"id\": \"x%u\"",
                        kind == 0   ? "item_delete"
                        : kind == 1 ? "view"
                                    : "item_upsert",
                        item);
    if (kind >= 2 && rand_below(rand, 2) == 0)
        used += snprintf(json + used, sizeof json - (size_t)used,
                         ", \"category\": \"c%u\", \"price\": %u", (unsigned)rand_below(rand, 5),
                         (unsigned)rand_below(rand, 50));
    if (kind >= 2 && rand_below(rand, 2) == 0)
        used +=
            snprintf(json + used, sizeof json - (size_t)used, ", \"brand\": \"b%u\", \"stock\": %u",
                     (unsigned)rand_below(rand, 3), (unsigned)rand_below(rand, 4));
    snprintf(json + used, sizeof json - (size_t)used, "}]}");
    store_rig_apply_json(&rig, json);
}

static struct store_wanted make_question(struct rand *rand, uint32_t *number)
{
    struct store_wanted wanted = {.price_min_minor = (int64_t)rand_below(rand, 50),
                                  .price_max_minor = (int64_t)rand_below(rand, 60),
                                  .stock_min = (int32_t)rand_below(rand, 3),
                                  .stock_max = (int32_t)rand_below(rand, 5),
                                  .category_count = (uint32_t)rand_below(rand, 3),
                                  .brand_count = (uint32_t)rand_below(rand, 3),
                                  .in_stock = rand_below(rand, 2) == 0};
    for (uint32_t i = 0; i < 4; i++)
        number[i] = (uint32_t)rand_below(rand, 5);
    if (rand_below(rand, 3) == 0)
        wanted.category = number;
    if (rand_below(rand, 3) == 0)
        wanted.brand = number + 2;
    wanted.by_price = rand_below(rand, 3) == 0;
    wanted.by_stock = rand_below(rand, 3) == 0;
    wanted.stock_may_be_unknown = rand_below(rand, 2) == 0;
    wanted.needs_record = wanted.category != NULL || wanted.brand != NULL || wanted.by_price ||
                          (wanted.by_stock && !wanted.stock_may_be_unknown) ||
                          rand_below(rand, 2) == 0;
    return wanted;
}

static void test_columns_say_what_the_records_do(void **state)
{
    (void)state;
    struct rand rand;
    static uint64_t found[COLUMN_ITEMS / 64 + 1];
    rand_init(&rand, 11);
    for (int i = 0; i < COLUMN_EVENTS; i++)
        change_an_item(&rand);
    uint32_t item_count = store_item_count(rig.store), sold_out = 0;
    assert_in_range(item_count, 2000, COLUMN_ITEMS);
    for (uint32_t item = 0; item < item_count; item++) {
        const struct item *record = store_item(rig.store, item);
        bool is_out = record != NULL && (record->deleted || record->stock == 0);
        assert_int_equal(store_item_is(rig.store, item, STORE_RECORDED), record != NULL);
        assert_int_equal(store_item_is(rig.store, item, STORE_DELETED),
                         record != NULL && record->deleted);
        assert_int_equal(store_item_is(rig.store, item, STORE_SOLD_OUT), is_out);
        sold_out += is_out;
        struct store_kind kind = store_item_kind(rig.store, item);
        assert_int_equal(kind.category, record == NULL ? IDMAP_NONE : record->category);
        assert_int_equal(kind.brand, record == NULL ? IDMAP_NONE : record->brand);
        store_item_fetch_kind(rig.store, item);
    }
    assert_int_equal(store_sold_out_count(rig.store), sold_out);
    for (int q = 0; q < COLUMN_QUESTIONS; q++) {
        uint32_t number[4], count = 0;
        struct store_wanted wanted = make_question(&rand, number);
        store_items_wanted(rig.store, &wanted, item_count, found);
        for (uint32_t item = 0; item < item_count; item++) {
            bool is_found = (found[item / 64] >> (item % 64) & 1) != 0;
            assert_int_equal(is_found, is_wanted(&wanted, store_item(rig.store, item)));
            count += is_found;
        }
        assert_int_equal(found[item_count / 64] >> (item_count % 64), 0);
        int off = (int)store_wanted_permille(rig.store, &wanted, item_count) -
                  (int)(1000 * count / item_count);
        assert_in_range(off + 120, 0, 240);
    }
}

static void set_price(int64_t ts_ms, int64_t price, const char *currency)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\":\"item_upsert\",\"ts\":%lld,\"currency\":\"%s\",\"items\":[{\"id\":\"x\","
             "\"price\":%lld}]}",
             (long long)ts_ms, currency, (long long)price);
    store_rig_apply_json(&rig, json);
}

static double price_feature(const char *name)
{
    return feature_of_item(rig.store, feature_builtin(text_of(name))->id,
                           store_rig_item(&rig, "x"));
}

static void test_changes_of_a_price_are_kept(void **state)
{
    (void)state;
    set_price(NOW_MS - 90 * DAY_MS, 500, "EUR");
    assert_true(price_feature("item.price_min_30d") == 500);
    assert_true(isnan(price_feature("item.price_before_30d")));
    set_price(NOW_MS - 60 * DAY_MS, 1000, "EUR");
    set_price(NOW_MS - 59 * DAY_MS, 1000, "EUR"); /* no change */
    store_rig_apply_json(
        &rig, "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"stock\":3,\"title\":\"X\","
              "\"attributes\":{\"a\":1}}]}");
    const struct item *record = store_item(rig.store, store_rig_item(&rig, "x"));
    assert_int_equal(record->price_count, 2);
    assert_int_equal(record->prices[1].since_s, (NOW_MS - 60 * DAY_MS) / 1000);
    assert_true(text_is(record->title, "X"));
    /* At the moment of the change the price before it was in force within the 30 days. */
    assert_true(price_feature("item.price_min_30d") == 500);
    assert_true(price_feature("item.price_before_30d") == 500);
    /* 1000 for 55 days, then a reduction: what must stand beside it is 1000. */
    set_price(NOW_MS - 5 * DAY_MS, 800, "EUR");
    assert_true(price_feature("item.price_min_30d") == 800);
    assert_true(price_feature("item.price_before_30d") == 1000);
    /* Up and down again. */
    set_price(NOW_MS - 4 * DAY_MS, 1200, "EUR");
    assert_true(price_feature("item.price_before_30d") == 800);
    set_price(NOW_MS - 3 * DAY_MS, 900, "EUR");
    assert_true(price_feature("item.price_before_30d") == 800);
    /* Full: 500 is forgotten, 1000 was in force when the 30 days began. */
    assert_int_equal(store_item(rig.store, store_rig_item(&rig, "x"))->price_count, 4);
    assert_true(price_feature("item.price_min_30d") == 800);
    /* Time goes on by the events of shoppers. */
    events_add(&rig.events, "view", "u", "x", NOW_MS);
    store_rig_apply(&rig);
    assert_true(price_feature("item.price_min_30d") == 800);
    clock_manual_advance_ns(&rig.clock, UINT64_C(40) * 86400000000000);
    events_add(&rig.events, "view", "u", "x", NOW_MS + 40 * DAY_MS);
    store_rig_apply(&rig);
    assert_true(price_feature("item.price_min_30d") == 900);
    /* More changes than are kept fell into the time: nobody knows. */
    for (int i = 0; i < 4; i++)
        set_price(NOW_MS + 40 * DAY_MS, 700 + i, "EUR");
    assert_true(isnan(price_feature("item.price_min_30d")));
    assert_true(isnan(price_feature("item.price_before_30d")));
}

static void test_prices_of_another_currency_or_late_ones(void **state)
{
    (void)state;
    set_price(NOW_MS - 2 * DAY_MS, 100, "USD");
    set_price(NOW_MS - DAY_MS, 300, "EUR");
    assert_true(price_feature("item.price_min_30d") == 300);
    assert_true(isnan(price_feature("item.price_before_30d")));
    set_price(NOW_MS - 10 * DAY_MS, 200, "EUR"); /* it came last, so it counts */
    const struct item *record = store_item(rig.store, store_rig_item(&rig, "x"));
    assert_int_equal(record->price_minor, 200);
    assert_int_equal(record->prices[2].since_s, record->prices[1].since_s);
    assert_true(price_feature("item.price_before_30d") == 300);
    set_price(NOW_MS + 60000, 150, "EUR"); /* a clock that is ahead */
    assert_int_equal(store_item(rig.store, store_rig_item(&rig, "x"))->prices[3].since_s,
                     NOW_MS / 1000);
    /* Twice in one event, and an item without a price. */
    store_rig_apply_json(
        &rig,
        "{\"type\":\"item_upsert\",\"currency\":\"EUR\",\"items\":[{\"id\":\"y\",\"price\":1},"
        "{\"id\":\"y\",\"price\":2},{\"id\":\"z\",\"stock\":1}]}");
    assert_int_equal(store_item(rig.store, store_rig_item(&rig, "y"))->price_count, 2);
    assert_int_equal(store_price_lowest(rig.store, store_rig_item(&rig, "y")), 1);
    assert_int_equal(store_item(rig.store, store_rig_item(&rig, "z"))->price_count, 0);
    assert_int_equal(store_price_lowest(rig.store, store_rig_item(&rig, "z")), EVENT_ABSENT);
    store_rig_apply_json(&rig, "{\"type\":\"item_delete\",\"items\":[{\"id\":\"y\"}]}");
    assert_int_equal(store_item(rig.store, store_rig_item(&rig, "y"))->price_count, 2);
}

static void check_amounts(int64_t price, int64_t cost, const char *currency)
{
    char buf[4];
    const struct item *record = store_item(rig.store, store_rig_item(&rig, "x"));
    assert_int_equal(record->price_minor, price);
    assert_int_equal(record->cost_minor, cost);
    assert_string_equal(currency_format(record->currency, buf), currency);
}

#define UPSERT_X(currency, members)                                                             \
    "{\"type\":\"item_upsert\",\"currency\":\"" currency "\",\"items\":[{\"id\":\"x\"," members \
    "}]}"

static void check_refused(const char *json, const char *message)
{
    events_add_json(&rig.events, json);
    const struct store_batch_result *result = store_rig_apply(&rig);
    assert_int_equal(result->rejected, 1);
    assert_string_equal(result->rejection[0].message, message);
    assert_int_equal(result->rejection[0].code, ERR_BAD_INPUT);
}

static void test_no_amount_passes_from_one_currency_to_another(void **state)
{
    (void)state;
    store_rig_apply_json(&rig, UPSERT_X("USD", "\"price\":700,\"cost\":400"));
    /* A currency is of the amounts beside it, and here there are none. */
    store_rig_apply_json(&rig, UPSERT_X("JPY", "\"stock\":4"));
    check_amounts(700, 400, "USD");
    check_refused(UPSERT_X("JPY", "\"price\":90000"),
                  "item 'x': its cost is in USD: expected one in JPY beside the price");
    check_refused(UPSERT_X("EUR", "\"cost\":500"),
                  "item 'x': its price is in USD: expected one in EUR beside the cost");
    check_amounts(700, 400, "USD");
    store_rig_apply_json(&rig, UPSERT_X("JPY", "\"price\":90000,\"cost\":50000"));
    check_amounts(90000, 50000, "JPY");
    store_rig_apply_json(&rig,
                         "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":80000}]}");
    check_amounts(80000, 50000, "JPY");
}

static void test_no_prices_are_kept_where_none_are_wanted(void **state)
{
    (void)state;
    struct store_limits none = limits;
    none.prices_max = 0;
    store_destroy(&rig.store);
    assert_int_equal(store_create(&none, &rig.clock.clock, &rig.store, &rig.err), ERR_OK);
    set_price(NOW_MS, 5, "EUR");
    assert_int_equal(store_item(rig.store, store_rig_item(&rig, "x"))->price_count, 0);
    assert_true(isnan(price_feature("item.price_min_30d")));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_upsert_leaves_what_it_does_not_name),
        TEST(test_items_are_found_by_category),
        TEST(test_columns_say_what_the_records_do),
        TEST(test_changes_of_a_price_are_kept),
        TEST(test_prices_of_another_currency_or_late_ones),
        TEST(test_no_amount_passes_from_one_currency_to_another),
        TEST(test_no_prices_are_kept_where_none_are_wanted),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
