/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pack.h"
#include "base/transcode.h"
#include "featurestore/event.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/event_rig.h"

#define ARRIVAL_MS EVENT_RIG_ARRIVAL_MS

static struct event_rig rig;

static int set_up(void **state)
{
    (void)state;
    event_rig_create(&rig);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    event_rig_destroy(&rig);
    return 0;
}

static void test_a_purchase_is_read_with_all_its_fields(void **state)
{
    (void)state;
    struct event event;
    enum err_code rc = event_rig_decode(
        &rig,
        "{\"id\":\"e1\",\"type\":\"purchase\",\"ts\":1699999999000,\"user\":\"u1\","
        "\"anon\":\"a1\",\"session\":\"s1\",\"decision\":\"d1\",\"currency\":\"EUR\","
        "\"total\":5248,\"order\":\"o1\",\"query\":\"\",\"list\":\"shoes/running\","
        "\"props\":{\"channel\":\"app\"},\"items\":[{\"id\":\"i1\",\"qty\":2,"
        "\"price\":1999,\"pos\":3},{\"id\":\"i2\"}],\"unknown\":[1,{\"x\":null}]}",
        &event);
    assert_int_equal(rc, ERR_OK);
    assert_true(text_is(event.id, "e1"));
    assert_int_equal(event.type, EVENT_purchase);
    assert_int_equal(event.ts_ms, INT64_C(1699999999000));
    assert_true(text_is(event.user, "u1") && text_is(event.anon, "a1"));
    assert_true(text_is(event.session, "s1") && text_is(event.decision, "d1"));
    assert_true(text_is(event.order, "o1") && text_is(event.list, "shoes/running"));
    assert_true(event.query.ptr != NULL && event.query.len == 0);
    currency_code eur = 0;
    assert_true(currency_parse(TEXT_LITERAL("EUR"), &eur));
    assert_int_equal(event.currency, eur);
    assert_int_equal(event.total_minor, 5248);
    assert_int_equal(event_rig_map_count(&rig, event.props), 1);
    assert_int_equal(event.item_count, 2);
    assert_true(text_is(event.items[0].id, "i1"));
    assert_int_equal(event.items[0].qty, 2);
    assert_int_equal(event.items[0].price_minor, 1999);
    assert_int_equal(event.items[0].pos, 3);
    assert_true(text_is(event.items[1].id, "i2"));
    assert_int_equal(event.items[1].qty, 1);
    assert_int_equal(event.items[1].price_minor, EVENT_ABSENT);
    assert_int_equal(event.items[1].pos, EVENT_ABSENT);
}

static void test_what_is_absent_says_so(void **state)
{
    (void)state;
    struct event event;
    assert_int_equal(
        event_rig_decode(&rig, "{\"type\":\"view\",\"anon\":\"a\",\"id\":\"e\"}", &event), ERR_OK);
    assert_int_equal(event.ts_ms, ARRIVAL_MS);
    assert_null(event.user.ptr);
    assert_null(event.session.ptr);
    assert_null(event.props.ptr);
    assert_int_equal(event.item_count, 0);
    assert_int_equal(event.currency, 0);
    assert_int_equal(event.total_minor, EVENT_ABSENT);
}

static void test_an_upsert_carries_the_catalogue(void **state)
{
    (void)state;
    struct event event;
    /* `type` behind `items`: what an item may hold still depends on it. */
    enum err_code rc = event_rig_decode(
        &rig,
        "{\"id\":\"e\",\"currency\":\"GBP\",\"items\":[{\"id\":\"i\",\"title\":\"Red shoe\","
        "\"category\":\"shoes\",\"brand\":\"acme\",\"price\":1999,\"cost\":900,\"stock\":-2,"
        "\"attributes\":{\"colour\":\"red\",\"size\":42,\"weight\":0.5,\"new\":true,\"tags\":["
        "\"a\",\"b\"],\"none\":[]}},"
        "{\"id\":\"j\",\"stock\":0}],\"type\":\"item_upsert\"}",
        &event);
    assert_int_equal(rc, ERR_OK);
    const struct event_item *item = &event.items[0];
    assert_true(text_is(item->title, "Red shoe") && text_is(item->category, "shoes"));
    assert_true(text_is(item->brand, "acme"));
    assert_int_equal(item->price_minor, 1999);
    assert_int_equal(item->cost_minor, 900);
    assert_int_equal(item->stock, -2);
    assert_int_equal(event_rig_map_count(&rig, item->attributes), 6);
    item = &event.items[1];
    assert_null(item->title.ptr);
    assert_null(item->category.ptr);
    assert_null(item->attributes.ptr);
    assert_int_equal(item->price_minor, EVENT_ABSENT);
    assert_int_equal(item->stock, 0);
}

static void test_keys_of_the_catalogue_mean_nothing_in_other_events(void **state)
{
    (void)state;
    struct event event;
    assert_int_equal(
        event_rig_decode(&rig,
                         "{\"id\":\"e\",\"type\":\"view\",\"user\":\"u\",\"items\":"
                         "[{\"id\":\"i\",\"category\":[\"a\",\"b\"],\"stock\":\"many\"}]}",
                         &event),
        ERR_OK);
    assert_null(event.items[0].category.ptr);
    assert_int_equal(event.items[0].stock, EVENT_ABSENT);
}

static void test_times_are_read_as_milliseconds_or_text(void **state)
{
    (void)state;
    struct event event;
    const char *json = "{\"id\":\"e\",\"type\":\"view\",\"user\":\"u\","
                       "\"ts\":\"2011-11-01T08:26:00.5+02:00\"}";
    assert_int_equal(event_rig_decode(&rig, json, &event), ERR_OK);
    assert_int_equal(event.ts_ms, INT64_C(1320128760500));
    char text[128];
    snprintf(text, sizeof text, "{\"id\":\"e\",\"type\":\"view\",\"user\":\"u\",\"ts\":%lld}",
             (long long)(ARRIVAL_MS + EVENT_FUTURE_MS_MAX));
    assert_int_equal(event_rig_decode(&rig, text, &event), ERR_OK);
    assert_int_equal(event.ts_ms, ARRIVAL_MS + EVENT_FUTURE_MS_MAX);
}

static const struct {
    const char *json, *text;
} wrong[] = {
    {"[]", "event: expected a map, got an array"},
    {"{\"type\":\"view\",\"user\":\"u\"}", "id: missing"},
    {"{\"id\":\"e\",\"user\":\"u\"}", "type: missing"},
    {"{\"id\":\"\",\"type\":\"view\",\"user\":\"u\"}", "id: expected 1..64 bytes, got 0"},
    {"{\"id\":7,\"type\":\"view\",\"user\":\"u\"}", "id: expected a text, got an integer"},
    {"{\"id\":\"e\",\"type\":\"veiw\",\"user\":\"u\"}", "type: there is no type 'veiw'"},
    {"{\"id\":\"e\",\"type\":\"vi\\new\",\"user\":\"u\"}",
     "type: control characters are not allowed"},
    {"{\"id\":\"e\",\"type\":\"view\"}", "user: view needs user or anon"},
    {"{\"id\":\"e\",\"type\":\"custom\",\"user\":\"u\"}", "type: there is no type 'custom'"},
    {"{\"id\":\"e\",\"type\":\"custom:\",\"user\":\"u\"}",
     "type: 'custom:' is not custom: and 1..64 of a-z 0-9 _ . -"},
    {"{\"id\":\"e\",\"type\":\"custom:Quiz\",\"user\":\"u\"}",
     "type: 'custom:Quiz' is not custom: and 1..64 of a-z 0-9 _ . -"},
    {"{\"id\":\"e\",\"type\":\"custom:quiz\"}", "user: custom needs user or anon"},
    {"{\"id\":\"e\",\"type\":\"user_upsert\",\"anon\":\"a\",\"attributes\":{}}",
     "user: needed by user_upsert"},
    {"{\"id\":\"e\",\"type\":\"user_upsert\",\"user\":\"u\"}", "attributes: needed by user_upsert"},
    {"{\"id\":\"e\",\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":[]}",
     "attributes: expected a map, got an array"},
    {"{\"id\":\"e\",\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"a\":{}}}",
     "attributes: expected texts, numbers, booleans and lists of texts, got a map"},
    {VIEW("\"currency\":\"EUT\""), "currency: ISO 4217 has no 'EUT'"},
    {VIEW("\"order\":\"\""), "order: expected 1..128 bytes, got 0"},
    {VIEW("\"anon\":\"a\\u0001\""), "anon: control characters are not allowed"},
    {VIEW("\"ts\":{}"), "ts: expected milliseconds or RFC 3339 text, got a map"},
    {VIEW("\"ts\":1.5"), "ts: expected milliseconds or RFC 3339 text, got a float"},
    {VIEW("\"ts\":\"now\""), "ts: expected milliseconds or RFC 3339 text, got another text"},
    {VIEW("\"ts\":-1"), "ts: expected 0..4294967295000 ms, got -1"},
    {VIEW("\"ts\":1700000300001"), "ts: 300001 ms after arrival, at most 300000 ms are accepted"},
    {VIEW("\"currency\":\"eur\""), "currency: expected three capital letters of ISO 4217"},
    {VIEW("\"currency\":1"), "currency: expected a text, got an integer"},
    {VIEW("\"total\":1.0"), "total: expected an integer, got a float"},
    {VIEW("\"total\":1000000000000001"),
     "total: expected -1000000000000000..1000000000000000, got 1000000000000001"},
    {VIEW("\"props\":[]"), "props: expected a map, got an array"},
    {VIEW("\"items\":{}"), "items: expected an array, got a map"},
    {VIEW("\"items\":[\"i\"]"), "items: expected maps with an id, got a text"},
    {VIEW("\"items\":[{}]"), "items.id: missing"},
    {ITEM("\"qty\":0"), "items.qty: expected 1..1000000, got 0"},
    {ITEM("\"price\":-1"), "items.price: expected 0..1000000000000000, got -1"},
    {ITEM("\"price\":\"1\""), "items.price: expected an integer, got a text"},
    {ITEM("\"pos\":100001"), "items.pos: expected 0..100000, got 100001"},
    {"{\"id\":\"e\",\"type\":\"item_upsert\"}", "items: needed by item_upsert"},
    {"{\"id\":\"e\",\"type\":\"item_delete\"}", "items: needed by item_delete"},
    {UPSERT("\"category\":\"\""), "items.category: expected 1..128 bytes, got 0"},
    {UPSERT("\"title\":null"), "items.title: expected a text, got nil"},
    {UPSERT("\"stock\":1000000001"),
     "items.stock: expected -1000000000..1000000000, got 1000000001"},
    {UPSERT("\"attributes\":7"), "items.attributes: expected a map, got an integer"},
    {UPSERT("\"attributes\":{\"a\":[1]}"),
     "items.attributes: expected texts, numbers, booleans and lists of texts, got an array"},
};

static void test_a_wrong_event_is_refused_by_field(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        event_rig_assert_refused(&rig, wrong[i].json, ERR_BAD_INPUT, wrong[i].text);
    event_rig_assert_refused(&rig, "{\"id\":\"e\",\"type\":\"forget\"}", ERR_BAD_INPUT,
                             "user or anon: needed by forget");
    event_rig_assert_refused(&rig, "{\"id\":\"e\",\"type\":\"identify\"}", ERR_BAD_INPUT,
                             "user: needed by identify");
    event_rig_assert_refused(
        &rig, "{\"id\":\"e\",\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\",\"undo\":1}",
        ERR_BAD_INPUT, "undo: expected true or false, got an integer");
}

static void test_a_key_that_is_given_twice_is_refused(void **state)
{
    (void)state;
    struct event event;
    struct pack pack = pack_into(rig.bytes, sizeof rig.bytes);
    pack_map(&pack, 2);
    pack_key(&pack, "user");
    pack_str(&pack, "u");
    pack_key(&pack, "user");
    pack_str(&pack, "v");
    rig.len = pack.used;
    assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_BAD_INPUT);
    assert_string_equal(rig.err.text, "event: 'user' is given twice");

    pack = event_rig_pack_view(&rig, "items");
    pack_array(&pack, 1);
    pack_map(&pack, 4);
    for (int i = 0; i < 2; i++) {
        pack_key(&pack, "unknown"); /* only known keys count */
        pack_int(&pack, i);
    }
    for (int i = 0; i < 2; i++) {
        pack_key(&pack, "id");
        pack_str(&pack, "i");
    }
    rig.len = pack.used;
    assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_BAD_INPUT);
    assert_string_equal(rig.err.text, "items: 'id' is given twice");
}

static void pack_view(struct pack *pack, uint32_t item_count)
{
    *pack = event_rig_pack_view(&rig, "items");
    pack_array(pack, item_count);
    for (uint32_t i = 0; i < item_count; i++) {
        pack_map(pack, 1);
        pack_key(pack, "id");
        pack_str(pack, "i");
    }
    rig.len = pack->used;
}

static void test_limits_of_number_size_and_memory_are_kept(void **state)
{
    (void)state;
    struct event event;
    struct pack pack;
    pack_view(&pack, EVENT_ITEMS_MAX);
    assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_OK);
    assert_int_equal(event.item_count, EVENT_ITEMS_MAX);
    pack_view(&pack, EVENT_ITEMS_MAX + 1);
    assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_LIMIT);
    assert_string_equal(rig.err.text, "items: 501 of at most 500");

    static char long_text[EVENT_BYTES_MAX + 64];
    memset(long_text, 'x', sizeof long_text);
    struct text filler = {long_text, EVENT_BYTES_MAX};
    pack = pack_into(rig.bytes, sizeof rig.bytes);
    pack_map(&pack, 1);
    pack_key(&pack, "unknown");
    pack_text(&pack, filler);
    rig.len = pack.used;
    assert_int_equal(event_rig_decode_packed(&rig, &event), ERR_LIMIT);

    struct arena small;
    assert_int_equal(arena_init(&small, sizeof(struct event_item), &rig.err), ERR_OK);
    pack_view(&pack, 2);
    struct cursor cursor = cursor_of(rig.bytes, rig.len);
    uint64_t allocations = alloc_count();
    assert_int_equal(event_decode(&cursor, ARRIVAL_MS, &small, &event, &rig.err), ERR_NOMEM);
    assert_int_equal(alloc_count(), allocations);
    assert_string_equal(rig.err.text, "items: no memory left for 2 of them");
    arena_deinit(&small);
}

static void test_attributes_have_a_limit_of_bytes(void **state)
{
    (void)state;
    struct event event;
    for (int over = 0; over < 2; over++) {
        static char value[EVENT_ATTRIBUTES_BYTES_MAX];
        memset(value, 'x', sizeof value);
        struct pack pack = pack_into(rig.bytes, sizeof rig.bytes);
        pack_map(&pack, 3);
        pack_key(&pack, "id");
        pack_str(&pack, "e");
        pack_key(&pack, "type");
        pack_str(&pack, "item_upsert");
        pack_key(&pack, "items");
        pack_array(&pack, 1);
        pack_map(&pack, 2);
        pack_key(&pack, "id");
        pack_str(&pack, "i");
        pack_key(&pack, "attributes");
        pack_map(&pack, 1);
        pack_key(&pack, "a");
        /* map 1, key 2, text header 3 */
        pack_text(&pack, (struct text){value, (uint32_t)(sizeof value - 6 + over)});
        rig.len = pack.used;
        assert_int_equal(event_rig_decode_packed(&rig, &event), over ? ERR_LIMIT : ERR_OK);
        assert_string_equal(rig.err.text,
                            over ? "items.attributes: 4097 bytes of at most 4096" : "");
    }
}

static void test_the_events_of_a_batch_are_read_one_after_the_other(void **state)
{
    (void)state;
    const char *json = "[{\"id\":\"a\",\"type\":\"view\",\"user\":\"u\"},7,"
                       "{\"id\":\"b\",\"type\":\"view\",\"user\":\"u\"}]";
    struct pack pack = pack_into(rig.bytes, sizeof rig.bytes);
    assert_int_equal(transcode_from_json(json, strlen(json), &pack, &rig.err), ERR_OK);
    struct cursor cursor = cursor_of(rig.bytes, pack.used);
    struct event event;
    uint32_t count = 0;
    assert_true(cursor_array(&cursor, &count));
    assert_int_equal(event_decode(&cursor, ARRIVAL_MS, &rig.arena, &event, &rig.err), ERR_OK);
    assert_true(text_is(event.id, "a"));
    assert_int_equal(event_decode(&cursor, ARRIVAL_MS, &rig.arena, &event, &rig.err),
                     ERR_BAD_INPUT);
    assert_string_equal(rig.err.text, "event: expected a map, got an integer");
    assert_int_equal(event_decode(&cursor, ARRIVAL_MS, &rig.arena, &event, NULL), ERR_OK);
    assert_true(text_is(event.id, "b"));
    assert_int_equal(cursor_peek(&cursor), CURSOR_END);
}

static void test_names_of_types_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < EVENT_custom; i++) {
        enum event_type type = EVENT_TYPE_COUNT;
        assert_true(event_type_parse(text_of(event_type_name((enum event_type)i)), &type));
        assert_int_equal(type, i);
    }
    enum event_type type = EVENT_view;
    assert_false(event_type_parse(TEXT_LITERAL("View"), &type));
    assert_false(event_type_parse((struct text){NULL, 0}, &type));
    assert_false(event_type_parse(TEXT_LITERAL("custom"), &type));
    assert_false(event_type_parse(TEXT_LITERAL("custom:"), &type));
    assert_int_equal(type, EVENT_view);
    assert_true(event_type_parse(TEXT_LITERAL("custom:x"), &type));
    assert_int_equal(type, EVENT_custom);
    assert_int_equal(event_type_class(EVENT_click), EVENT_CLASS_VIEW);
    assert_int_equal(event_type_class(EVENT_wish_add), EVENT_CLASS_CART);
    assert_int_equal(event_type_class(EVENT_purchase), EVENT_CLASS_PURCHASE);
    assert_int_equal(event_type_class(EVENT_dislike), EVENT_CLASS_DISLIKE);
    assert_int_equal(event_type_class(EVENT_refund), EVENT_CLASS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_purchase_is_read_with_all_its_fields),
        cmocka_unit_test(test_what_is_absent_says_so),
        cmocka_unit_test(test_an_upsert_carries_the_catalogue),
        cmocka_unit_test(test_keys_of_the_catalogue_mean_nothing_in_other_events),
        cmocka_unit_test(test_times_are_read_as_milliseconds_or_text),
        cmocka_unit_test(test_a_wrong_event_is_refused_by_field),
        cmocka_unit_test(test_a_key_that_is_given_twice_is_refused),
        cmocka_unit_test(test_limits_of_number_size_and_memory_are_kept),
        cmocka_unit_test(test_attributes_have_a_limit_of_bytes),
        cmocka_unit_test(test_the_events_of_a_batch_are_read_one_after_the_other),
        cmocka_unit_test(test_names_of_types_read_back),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
