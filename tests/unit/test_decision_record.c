/* SPDX-License-Identifier: Apache-2.0 */
/* What was decided is what the record says, to the last bit of every feature; what is cut, changed
 * or made up is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/transcode.h"
#include "featurestore/decision_record.h"
#include "server/decide/decision_write.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

static struct fixture fixture;
static uint8_t bytes[DECISION_RECORD_BYTES_MAX];
static struct decision_record record;
static struct err err;

static const char policies[] =
    "{\"version\": \"7\", \"slots\": {\"home\": {\"ranker\": \"rank\", \"bought\": \"allow\","
    "\"sources\": [{\"source\": \"neighbors\"}, {\"source\": \"popular\"}]}}}";

#define FEATURES "blend.score item.price item.views_1d user.events pair.age_s request.x item.margin"
static const double weights[] = {1, 0.001, 0.1, 0.3, 0.0001, 2, 1};
enum { FEATURE_COUNT = sizeof weights / sizeof weights[0] };

static int set_up(void **state)
{
    (void)state;
    static float near[36];
    for (uint32_t i = 0; i < 36; i++)
        near[i] = i / 6 == i % 6 ? 0.0f : 0.1f + (float)(i % 5) / 7;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_act(&fixture, "view", "u", "a", FIXTURE_NOW_MS - 5000);
    fixture_act(&fixture, "purchase", "u", "d", FIXTURE_NOW_MS - 1000);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d e f", near));
    fixture_add_model(&fixture, small_linear("rank", "3", FEATURES, weights, 0.5));
    fixture_serve(&fixture, policies);
    fixture.keep_features = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

/* Decides, writes and reads; the record is as long as the text returned. */
static struct text record_of(const char *request)
{
    struct pack pack = pack_into(bytes, sizeof bytes);
    (void)fixture_decide(&fixture, request);
    decision_write(&fixture.env, &fixture.request, &fixture.decision, &pack);
    assert_false(pack.overflow);
    struct text text = {(const char *)bytes, (uint32_t)pack.used};
    enum err_code rc = decision_record_read(text, &record, &err);
    if (rc != ERR_OK)
        fail_msg("%s", err.text);
    return text;
}

/* The record as JSON has this piece in it. */
static void check_has(struct text text, const char *piece)
{
    char *json = NULL;
    size_t len = 0;
    assert_int_equal(transcode_to_json((const uint8_t *)text.ptr, text.len, 0, &json, &len, &err),
                     ERR_OK);
    if (strstr(json, piece) == NULL)
        fail_msg("no %s in %s", piece, json);
    free(json);
}

static void check_values(const struct decision_item *item, struct cursor values)
{
    for (uint32_t f = 0; f < FEATURE_COUNT; f++) {
        double value = NAN;
        if (!cursor_nil(&values))
            assert_true(cursor_real(&values, &value));
        assert_true(isnan(value) ? isnan(item->features[f]) : value == item->features[f]);
    }
}

static void check_items(void)
{
    struct decision_record_item read;
    const struct decision *decision = &fixture.decision;
    assert_int_equal(record.item_count, decision->count);
    for (uint32_t i = 0; i < decision->count; i++) {
        const struct decision_item *item = &decision->items[i];
        assert_true(decision_record_next(&record, &read));
        assert_int_equal(read.position, i + 1);
        assert_true(text_equal(read.item, item->id));
        assert_true(read.score == (double)item->score);
        assert_int_equal(read.has_price, item->priced);
        if (item->priced)
            assert_int_equal(read.price_minor, item->amount_minor);
        assert_int_equal(read.has_features, item->features != NULL);
        if (item->features != NULL)
            check_values(item, read.features);
    }
    assert_false(decision_record_next(&record, &read));
}

static void test_recommend_with_a_ranker(void **state)
{
    (void)state;
    struct text text = record_of("{\"op\": \"recommend\", \"user\": \"u\", \"anon\": \"x\", "
                                 "\"session\": \"s\", \"slot\": \"home\", \"n\": 4}");
    assert_true(text_is(record.decision, fixture.decision.id));
    assert_int_equal(record.ts_ms, FIXTURE_NOW_MS);
    assert_true(text_is(record.op, "recommend") && text_is(record.level, "full"));
    assert_true(text_is(record.user, "u") && text_is(record.anon, "x"));
    assert_true(text_is(record.session, "s") && text_is(record.slot, "home"));
    assert_true(text_is(record.policy, "home@7") && text_is(record.ranker, "rank@3"));
    assert_null(record.reason.ptr);
    assert_int_equal(record.model_count, fixture.decision.model_count);
    assert_int_equal(record.name_count, FEATURE_COUNT);
    assert_int_equal(fixture.decision.count, 4);
    check_items();
    check_has(text, "\"names\":[\"blend.score\",\"item.price\"");
    check_has(text, "\"experiments\":[]");
}

/* The score is what the model makes of the features in the record, so they are those it saw. */
static void test_features_are_those_that_were_scored(void **state)
{
    (void)state;
    struct decision_record_item item;
    const struct linear *linear = NULL;
    uint32_t ranked = 0;
    for (uint32_t i = 0; i < fixture.model_count; i++)
        linear = fixture.model[i]->kind == MODEL_linear ? fixture.model[i]->as.linear : linear;
    (void)record_of("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 6}");
    while (decision_record_next(&record, &item)) {
        double values[FEATURE_COUNT];
        if (!item.has_features)
            continue;
        for (uint32_t f = 0; f < FEATURE_COUNT; f++) {
            if (cursor_nil(&item.features))
                values[f] = NAN;
            else
                assert_true(cursor_real(&item.features, &values[f]));
        }
        assert_true((float)linear_score(linear, values) == (float)item.score);
        ranked++;
    }
    assert_true(ranked >= 4);
}

static void test_rank_and_price_keep_what_was_asked(void **state)
{
    (void)state;
    struct text text =
        record_of("{\"op\": \"rank\", \"user\": \"u\", \"price\": true, \"currency\": \"EUR\","
                  "\"items\": [{\"id\": \"a\", \"score\": 0.1}, {\"id\": \"nowhere\", "
                  "\"features\": {\"x\": 2.5}}]}");
    check_items();
    assert_non_null(record.prices.at);
    check_has(text, "\"items\":[[\"a\",0.1,1,null],[\"nowhere\",null,1,null,{\"x\":2.5}]]");
    check_has(text, "\"currency\":\"EUR\"");
    text =
        record_of("{\"op\": \"price\", \"items\": [{\"id\": \"a\", \"qty\": 3, \"price\": 70}]}");
    check_items();
    check_has(text, "\"items\":[[\"a\",null,3,70]]");
    check_has(text, "\"prices\":[70]");
    assert_null(record.features.at);
}

static void test_what_was_asked_is_enough_to_ask_again(void **state)
{
    (void)state;
    struct text text = record_of(
        "{\"op\": \"recommend\", \"n\": 3, \"seeds\": [\"a\"], \"exclude\": [\"b\"],"
        "\"query\": \"hat\", \"context\": {\"channel\": \"app\"}, \"filters\": {\"categories\": "
        "[\"hats\"], \"brands\": [\"acme\"], \"min_price\": 5, \"max_price\": 9000, "
        "\"in_stock\": true}, \"token\": \"secret\"}");
    check_has(text, "\"request\":{\"n\":3,\"seeds\":[\"a\"],\"exclude\":[\"b\"],\"filters\":"
                    "{\"categories\":[\"hats\"],\"brands\":[\"acme\"],\"min_price\":5,"
                    "\"max_price\":9000,\"in_stock\":true},\"context\":{\"channel\":\"app\"},"
                    "\"query\":\"hat\"}");
    assert_null(memmem(text.ptr, text.len, "secret", 6));
    assert_null(record.user.ptr);
}

static void test_lower_levels_say_why_and_have_no_features(void **state)
{
    (void)state;
    fixture.floor = LEVEL_generic;
    (void)record_of("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 3}");
    assert_true(text_is(record.level, "generic") && text_is(record.reason, "mode"));
    assert_null(record.ranker.ptr);
    check_items();
}

static void test_without_keeping_there_are_no_features(void **state)
{
    (void)state;
    char kept[sizeof fixture.line];
    static const char request[] = "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 5}";
    memcpy(kept, fixture_ask(&fixture, request), sizeof kept);
    assert_non_null(fixture.decision.items[0].features);
    fixture.keep_features = false;
    assert_string_equal(fixture_ask(&fixture, request), kept); /* the same decision */
    assert_null(fixture.decision.items[0].features);
    (void)record_of(request);
    assert_null(record.features.at);
}

static void test_writing_allocates_nothing_and_says_when_it_does_not_fit(void **state)
{
    (void)state;
    struct text text = record_of("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 5}");
    uint64_t before = alloc_count();
    for (size_t capacity = 0; capacity <= text.len; capacity++) {
        struct pack pack = pack_into(bytes, capacity);
        decision_write(&fixture.env, &fixture.request, &fixture.decision, &pack);
        assert_int_equal(pack.overflow, capacity < text.len);
    }
    assert_int_equal(alloc_count(), before);
}

static void test_cut_and_changed_records_are_refused_or_whole(void **state)
{
    (void)state;
    static uint8_t copy[sizeof bytes];
    struct text text = record_of("{\"op\": \"recommend\", \"user\": \"u\", \"n\": 5}");
    for (uint32_t len = 0; len < text.len; len++)
        assert_int_equal(decision_record_read((struct text){text.ptr, len}, &record, &err),
                         ERR_CORRUPT);
    for (uint32_t i = 0; i < text.len; i++) {
        memcpy(copy, text.ptr, text.len);
        for (int bit = 0; bit < 8; bit++) {
            struct decision_record_item item;
            copy[i] = (uint8_t)text.ptr[i] ^ (uint8_t)(1 << bit);
            enum err_code rc =
                decision_record_read((struct text){(char *)copy, text.len}, &record, &err);
            assert_true(rc == ERR_OK || rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED);
            while (rc == ERR_OK && decision_record_next(&record, &item)) {
                assert_non_null(item.item.ptr);
                assert_true(isfinite(item.score));
            }
        }
    }
}

#define MUST                                                                                    \
    "\"v\": 1, \"decision\": \"01HF7YAT00AAAAAAAAAAAAAAAA\", \"ts\": 1, \"op\": \"recommend\"," \
    "\"level\": \"full\", \"policy\": \"p@1\", \"models\": []"

static void test_made_up_records_are_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *said; /* NULL: it is fine */
    } cases[] = {
        {"{" MUST ", \"items\": [], \"scores\": [], \"later\": {}}", NULL},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": [1], \"names\": [\"x\"], \"features\": "
         "[[null]], \"prices\": [null], \"currencies\": [null]}",
         NULL},
        {"[]", "expected a map"},
        {"{}", "v: expected it to be there"},
        {"{\"v\": 2, \"decision\": \"01HF7YAT00AAAAAAAAAAAAAAAA\", \"ts\": 1, \"op\": \"x\", "
         "\"level\": \"x\", \"policy\": \"x\", \"models\": [], \"items\": [], \"scores\": []}",
         "version 2, expected 1"},
        {"{" MUST ", \"items\": []}", "scores: expected it to be there"},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": []}", "scores: expected 1 values, got 0"},
        {"{" MUST ", \"items\": [7], \"scores\": [1]}", "items: expected texts"},
        {"{" MUST ", \"items\": \"a\", \"scores\": [1]}", "items: expected an array"},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": [null]}", "scores: expected"},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": [1], \"prices\": [1.5]}", "prices: expected"},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": [1], \"currencies\": [1]}",
         "currencies: expected"},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": [1], \"features\": [[1]]}",
         "features: expected as many numbers as names"},
        {"{" MUST ", \"items\": [\"a\"], \"scores\": [1], \"names\": [\"x\"], \"features\": "
         "[[\"1\"]]}",
         "features: expected as many numbers as names"},
        {"{" MUST ", \"items\": [], \"scores\": [], \"user\": 7}", "user: expected a text"},
        {"{\"v\": 1, \"decision\": \"short\", \"ts\": 1, \"op\": \"x\", \"level\": \"x\", "
         "\"policy\": \"x\", \"models\": [], \"items\": [], \"scores\": []}",
         "decision: expected a ULID"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct pack pack = pack_into(bytes, sizeof bytes);
        assert_int_equal(transcode_from_json(cases[i].json, strlen(cases[i].json), &pack, &err),
                         ERR_OK);
        err.text[0] = '\0';
        enum err_code rc = decision_record_read(
            (struct text){(const char *)bytes, (uint32_t)pack.used}, &record, &err);
        assert_int_equal(rc == ERR_OK, cases[i].said == NULL);
        if (cases[i].said != NULL && strstr(err.text, cases[i].said) == NULL)
            fail_msg("expected '%s', got '%s'", cases[i].said, err.text);
        assert_int_equal(
            decision_record_read((struct text){(const char *)bytes, (uint32_t)pack.used}, &record,
                                 NULL),
            rc);
    }
}

static void test_a_key_given_twice_is_refused(void **state)
{
    (void)state;
    struct pack pack = pack_into(bytes, sizeof bytes);
    pack_map(&pack, 2);
    for (int i = 0; i < 2; i++) {
        pack_key(&pack, "v");
        pack_int(&pack, 1);
    }
    assert_int_equal(decision_record_read((struct text){(const char *)bytes, (uint32_t)pack.used},
                                          &record, &err),
                     ERR_CORRUPT);
    assert_non_null(strstr(err.text, "v: expected it once"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_recommend_with_a_ranker),
        TEST(test_features_are_those_that_were_scored),
        TEST(test_rank_and_price_keep_what_was_asked),
        TEST(test_what_was_asked_is_enough_to_ask_again),
        TEST(test_lower_levels_say_why_and_have_no_features),
        TEST(test_without_keeping_there_are_no_features),
        TEST(test_writing_allocates_nothing_and_says_when_it_does_not_fit),
        TEST(test_cut_and_changed_records_are_refused_or_whole),
        TEST(test_made_up_records_are_refused_by_name),
        TEST(test_a_key_given_twice_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
