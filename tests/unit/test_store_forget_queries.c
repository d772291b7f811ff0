/* SPDX-License-Identifier: Apache-2.0 */
/* What somebody who was forgotten had searched for is in no file, though features by query count
 * on; and checkpoints of versions that kept queries as they were typed are read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "featurestore/event_write.h"
#include "featurestore/store_rows.h"
#include "tests/support/feature_rig.h"
#include "tests/support/forget_rig.h"

#define QUERY "my mail is x@example.com"

static double value_of(const char *name, const char *item, const char *query)
{
    struct store_rig rig = {.store = forget_rig.store};
    return feature_rig_value(&rig, name, (struct feature_rig_of){.item = item, .query = query});
}

static void assert_counts(double searches, double clicks)
{
    assert_true(value_of("query.searches", "shoe", "  MY  mail is X@example.com ") == searches);
    assert_true(value_of("query_item.clicks", "shoe", QUERY) == clicks);
}

static void alice_searches(void)
{
    forget_rig_add("{\"id\":\"i\",\"type\":\"item_upsert\",\"items\":[{\"id\":\"shoe\"}]}");
    forget_rig_add("{\"id\":\"q1\",\"type\":\"search\",\"user\":\"" ALICE
                   "\",\"query\":\"My Mail is   x@example.com\"}");
    forget_rig_add("{\"id\":\"q2\",\"type\":\"click\",\"user\":\"" ALICE "\",\"query\":\"" QUERY
                   "\",\"items\":[{\"id\":\"shoe\"}]}");
    forget_rig_add("{\"id\":\"q3\",\"type\":\"search\",\"user\":\"" BOB "\",\"query\":\"hats\"}");
    forget_rig_commit();
}

static void test_no_file_has_the_query_and_the_state_is_that_of_a_replay(void **state)
{
    (void)state;
    alice_searches();
    assert_counts(1, 1);
    assert_true(forget_rig_search("x@example.com") > 0);
    forget_rig_forget(ALICE, NULL);
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search("x@example.com"), 0);
    assert_true(forget_rig_search("hats") > 0); /* in the log, of Bob */
    assert_counts(1, 1);
    uint64_t hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
    forget_rig_reopen();
    assert_true(durable_rig_hash(&forget_rig) == hash);
    assert_counts(1, 1);
    assert_true(value_of("query.searches", "shoe", "hats") == 1);

    /* Another round changes nothing, nor does who types the same. */
    forget_rig_forget(BOB, NULL);
    forget_rig_add("{\"id\":\"q4\",\"type\":\"search\",\"user\":\"carol\",\"query\":\"" QUERY
                   "\"}");
    forget_rig_commit();
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search("hats"), 0);
    assert_counts(2, 1);
    hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
}

/* An event as long as they may be, with a query that is shorter than its key. */
static void test_the_longest_event_can_be_erased(void **state)
{
    (void)state;
    enum { ITEMS = 300, ID_BYTES = 103 };
    static uint8_t bytes[EVENT_BYTES_MAX], record[EVENT_RECORD_BYTES_MAX];
    char id[ID_BYTES_MAX];
    struct pack pack = pack_into(bytes, sizeof bytes), left = pack_into(record, sizeof record);
    memset(id, 'i', sizeof id);
    pack_map(&pack, 6);
    event_write_pair(&pack, "id", text_of("1"));
    event_write_pair(&pack, "type", text_of("view"));
    event_write_pair(&pack, "user", text_of("u"));
    event_write_pair(&pack, "query", text_of("a"));
    pack_str(&pack, "ts");
    pack_int(&pack, NOW_MS);
    pack_str(&pack, "items");
    pack_array(&pack, ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        size_t last = sizeof bytes - pack.used - 6;
        pack_map(&pack, 1);
        event_write_pair(&pack, "id", (struct text){id, i + 1 < ITEMS ? ID_BYTES : (uint32_t)last});
    }
    assert_false(pack.overflow);
    assert_int_equal(pack.used, EVENT_BYTES_MAX);

    struct arena arena;
    struct event event;
    struct err err;
    struct event_rules rules = {.strictness = EVENT_STORED, .arrival_ms = NOW_MS};
    struct cursor cursor = cursor_of(bytes, pack.used);
    assert_int_equal(arena_init(&arena, 1 << 20, &err), ERR_OK);
    assert_int_equal(event_decode_by(&cursor, &rules, &arena, &event, &err), ERR_OK);
    event_write_erased(&left, &event, false);
    assert_false(left.overflow);
    assert_true(left.used > EVENT_BYTES_MAX);
    cursor = cursor_of(record, left.used);
    assert_int_equal(event_decode_by(&cursor, &rules, &arena, &event, &err), ERR_LIMIT);
    rules.erased = true;
    cursor = cursor_of(record, left.used);
    assert_int_equal(event_decode_by(&cursor, &rules, &arena, &event, &err), ERR_OK);
    assert_int_equal(event.query.len, FEATURE_QUERY_KEY_BYTES);
    arena_deinit(&arena);
}

static void test_a_key_is_known_by_its_form(void **state)
{
    (void)state;
    char buf[FEATURE_QUERY_KEY_BYTES], again[FEATURE_QUERY_KEY_BYTES];
    struct text key = feature_query_key(text_of("  Red   SHOES"), buf);
    assert_int_equal(key.len, FEATURE_QUERY_KEY_BYTES);
    assert_memory_equal(key.ptr, "Q", 1);
    assert_true(text_equal(feature_query_key(text_of("red shoes"), again), key));
    assert_true(text_equal(feature_query_key(key, again), key));
    assert_false(text_equal(feature_query_key(text_of("red shoe"), again), key));
    buf[5] = 'G'; /* no digit: words like any */
    assert_false(text_equal(feature_query_key(key, again), key));
    assert_int_equal(feature_query_key(text_of("   "), again).len, 0);
    assert_int_equal(feature_query_key(NOBODY, again).len, 0);
    char words[ID_BYTES_MAX + 2];
    memset(words, 'x', sizeof words);
    words[sizeof words - 1] = '\0';
    assert_int_equal(feature_query_key(text_of(words), again).len, 0);
}

/* As versions did that kept queries as they were typed. */
static void test_a_query_of_an_older_checkpoint_gets_its_key(void **state)
{
    (void)state;
    struct store_rig small;
    struct err err;
    feature_rig_create(&small);
    feature_rig_define(&small, "\"query.searches\": {\"kind\": \"count\", \"events\": "
                               "[\"search\"], \"default\": 0}");
    struct store_numbering numbering = {0};
    struct checkpoint_row row = {ROW_QUERY_ID, 0, text_of("red shoes")};
    assert_int_equal(store_row_read_id(small.store, &row, &numbering, &err), ERR_OK);
    char buf[FEATURE_QUERY_KEY_BYTES];
    struct text key = feature_query_key(text_of("red shoes"), buf);
    struct idmap *ids = feature_query_ids(small.store->features);
    assert_int_equal(idmap_find(ids, text_of("red shoes")), IDMAP_NONE);
    assert_int_equal(idmap_find(ids, key), 0);
    row = (struct checkpoint_row){ROW_QUERY_ID, 1, TEXT_LITERAL("")};
    assert_int_equal(store_row_read_id(small.store, &row, &numbering, &err), ERR_CORRUPT);
    store_numbering_deinit(&numbering);
    store_rig_destroy(&small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_rig_set_up, forget_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_no_file_has_the_query_and_the_state_is_that_of_a_replay),
        TEST(test_the_longest_event_can_be_erased),
        TEST(test_a_key_is_known_by_its_form),
        TEST(test_a_query_of_an_older_checkpoint_gets_its_key),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
