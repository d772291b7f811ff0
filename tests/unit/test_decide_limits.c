/* SPDX-License-Identifier: Apache-2.0 */
/* Too little memory, no allocations, the same answer twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rand.h"
#include "base/transcode.h"
#include "server/metrics.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

enum { ITEM_COUNT = 60, DIM = 2 };

static struct fixture fixture;

static const char policies[] =
    "{\"lists\": {\"picks\": [\"i1\", \"i30\", \"i1\", \"nobody\", \"i9\"]}, \"slots\": {\"home\": "
    "{\"ranker\": \"rank\", \"prices\": \"sale\", \"bought\": \"allow\","
    "\"sources\": [{\"source\": \"neighbors\"}, {\"source\": \"factors\"}, {\"source\": "
    "\"repeat\"},"
    "{\"source\": \"popular\"}, {\"source\": \"model_popular\"}]},"
    "\"every\": {\"ranker\": \"rank\", \"prices\": \"sale\", \"bought\": \"allow\","
    "\"diversity\": {\"per_brand\": 50, \"mmr\": {\"lambda\": 0.6, \"by\": \"factors\", \"depth\": "
    "40}},"
    "\"freshness\": {\"boost\": 0.4}, \"seen\": {\"within\": \"1d\", \"since\": \"item.views_1d + "
    "100000.0\"},"
    "\"fallback\": {\"slot\": \"ruled\", \"fewer_than\": 60},"
    "\"budget_us\": {\"sources\": 900000, \"factors\": 900000, \"ranker\": 900000, \"mmr\": "
    "900000},"
    "\"sources\": [{\"source\": \"neighbors\", \"half_life\": \"7d\"}, {\"source\": \"factors\"},"
    "{\"source\": \"repeat\", \"interval\": \"864000.0\"}, {\"source\": \"popular\", \"at_most\": "
    "5},"
    "{\"source\": \"model_popular\"}, {\"source\": \"cart\"}, {\"source\": \"list\", \"list\": "
    "\"picks\","
    "\"at_least\": 1}, {\"source\": \"candidates\", \"at_least\": 2}, {\"source\": \"trending\"},"
    "{\"source\": \"trending\", \"by\": \"category\"}, {\"source\": \"trending\", \"by\": "
    "\"segment\","
    "\"attribute\": \"country\"}, {\"source\": \"new\", \"at_least\": 2}, {\"source\": "
    "\"content\"}]},"
    "\"ruled\": {\"ranker\": \"rank\", \"bought\": \"allow\", \"diversity\": {\"per_category\": 6},"
    "\"filters\": [\"item.price >= 100 && (item.views_1d >= 0.0 || has(item.category))\"],"
    "\"boosts\": [{\"when\": \"item.category in ['c0']\", \"multiply\": \"1.0 + user.items\"}],"
    "\"pins\": [{\"item\": \"i7\", \"place\": 2}],"
    "\"sources\": [{\"source\": \"neighbors\"}, {\"source\": \"popular\"}]}}}";
static const char rules[] =
    "{\"format\": 1, \"rules\": [{\"name\": \"sale\", \"match\": {\"context\": "
    "{\"channel\": [\"app\"]}}, \"adjust\": {\"percent\": \"-10\"}}]}";

/* Every operation, with all that it can be given. */
static const char *const requests[] = {
    "{\"op\": \"recommend\", \"user\": \"u\", \"anon\": \"x\", \"n\": 20, \"seeds\": [\"i3\", "
    "\"i4\"],"
    "\"exclude\": [\"i5\"], \"filters\": {\"categories\": [\"c0\", \"c1\"], \"max_price\": 9000},"
    "\"price\": true, \"explain\": true, \"context\": {\"channel\": \"app\"}}",
    "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 30}",
    "{\"op\": \"recommend\", \"user\": \"nobody\", \"n\": 10, \"explain\": true}",
    "{\"op\": \"recommend\", \"user\": \"u\", \"slot\": \"ruled\", \"n\": 10, \"explain\": true,"
    "\"why_not\": \"i9\"}",
    "{\"op\": \"recommend\", \"user\": \"u\", \"slot\": \"every\", \"n\": 20, \"explain\": true, "
    "\"price\": true,"
    "\"seeds\": [\"i3\"], \"cart\": [{\"id\": \"i4\", \"qty\": 2}, \"i7\"], \"candidates\": "
    "[\"i8\", {\"id\": \"i11\","
    "\"score\": 0.5}], \"why_not\": \"i12\"}",
    "{\"op\": \"recommend\", \"slot\": \"every\", \"n\": 100, \"filters\": {\"categories\": "
    "[\"c1\"]}}",
    "{\"op\": \"similar\", \"slot\": \"every\", \"items\": [\"i1\"], \"n\": 30}",
    "{\"op\": \"similar\", \"items\": [\"i1\", \"i2\"], \"user\": \"u\", \"n\": 10, \"price\": "
    "true}",
    "{\"op\": \"rank\", \"user\": \"u\", \"items\": [{\"id\": \"i1\", \"score\": 1},"
    "{\"id\": \"i2\", \"features\": {\"x\": 2}}, {\"id\": \"unknown\"}], \"price\": true}",
    "{\"op\": \"price\", \"items\": [{\"id\": \"i1\"}, {\"id\": \"i2\", \"qty\": 3, \"price\": 5}],"
    "\"context\": {\"channel\": \"app\"}}",
};
enum { REQUEST_COUNT = sizeof requests / sizeof requests[0] };

static void load_models(void)
{
    static const double weights[] = {1, 0.1, 0.5};
    static float near[ITEM_COUNT * ITEM_COUNT], factors[ITEM_COUNT * DIM], scores[ITEM_COUNT];
    char items[512] = "";
    size_t used = 0;
    struct rand rand;
    rand_init(&rand, 3);
    for (uint32_t i = 0; i < ITEM_COUNT; i++) {
        used += (size_t)snprintf(items + used, sizeof items - used, "%si%u", i == 0 ? "" : " ", i);
        for (uint32_t other = 0; other < ITEM_COUNT; other++)
            near[i * ITEM_COUNT + other] =
                i != other && rand_below(&rand, 4) == 0 ? (float)rand_unit(&rand) : 0.0f;
        for (uint32_t k = 0; k < DIM; k++)
            factors[i * DIM + k] = (float)rand_normal(&rand);
        scores[i] = (float)rand_unit(&rand);
    }
    const float user[DIM] = {0.5f, -1};
    fixture_add_model(&fixture, small_neighbors("near", "1", items, near));
    const struct small_factors taste = {.users = "trained",
                                        .user_factors = user,
                                        .items = items,
                                        .item_factors = factors,
                                        .dim = DIM,
                                        .regularization = 0.01,
                                        .trained_at = "2023-11-01T00:00:00Z"};
    fixture_add_model(&fixture, small_factors("taste", "1", &taste));
    fixture_add_model(&fixture, small_popularity("pop", "1", items, scores));
    fixture_add_model(&fixture,
                      small_linear("rank", "1", "blend.score item.views_1d request.x", weights, 0));
    fixture_add_model(&fixture, small_prices("sale", "1", rules));
}

static int set_up(void **state)
{
    (void)state;
    fixture_init(&fixture);
    for (uint32_t i = 0; i < ITEM_COUNT; i++) {
        char json[256];
        snprintf(json, sizeof json,
                 "{\"type\": \"item_upsert\", \"items\": [{\"id\": \"i%u\", \"category\": \"c%u\","
                 "\"title\": \"word%u more\", \"price\": %u}]}",
                 i, i % 3, i % 7, 100 * i);
        fixture_event(&fixture, json);
    }
    for (uint32_t i = 0; i < 40; i++) {
        char item[16];
        snprintf(item, sizeof item, "i%u", i * i % ITEM_COUNT);
        fixture_act(&fixture, i % 4 == 0 ? "purchase" : "view", i % 2 == 0 ? "u" : "v", item,
                    FIXTURE_NOW_MS - i * 1000);
    }
    fixture_event(&fixture,
                  "{\"type\": \"user_upsert\", \"user\": \"u\", \"attributes\": {\"country\": "
                  "\"AT\"}}");
    load_models();
    fixture_serve(&fixture, policies);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_deinit(&fixture);
    return 0;
}

/* What must hold for every decision whatsoever. */
static void check_decision(const struct decision *decision)
{
    assert_true(decision->level < LEVEL_COUNT && decision->reason < REASON_COUNT);
    assert_int_equal(decision->level == LEVEL_full, decision->reason == REASON_none);
    assert_int_equal(strlen(decision->id), ULID_BYTES - 1);
    assert_non_null(decision->policy);
    for (uint32_t i = 0; i < decision->count; i++) {
        const struct decision_item *item = &decision->items[i];
        assert_true(isfinite(item->score));
        assert_true(item->id.len > 0);
        for (uint32_t k = 0; k < item->why_count; k++)
            assert_non_null(item->why[k].source);
        if (i > 0)
            assert_true(item->score <= item[-1].score);
    }
}

static void test_an_arena_of_any_size_gives_a_flagged_answer(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < REQUEST_COUNT; r++) {
        const size_t whole = fixture.worker->arena.capacity_bytes;
        fixture.worker->arena.used_bytes_max = 0;
        (void)fixture_decide(&fixture, requests[r]);
        assert_true(fixture.decision.level <= LEVEL_generic);
        const size_t needed = fixture.worker->arena.used_bytes_max;
        const enum level best = fixture.decision.level;
        struct request decoded;
        char field[REQUEST_FIELD_BYTES];
        struct err err;
        uint64_t lowered = 0;
        struct pack pack = pack_into(fixture.request_bytes, sizeof fixture.request_bytes);
        assert_int_equal(transcode_from_json(requests[r], strlen(requests[r]), &pack, &err),
                         ERR_OK);
        arena_reset(&fixture.worker->arena);
        assert_int_equal(request_decode(fixture.request_bytes, pack.used, &fixture.worker->arena,
                                        &decoded, field, &err),
                         ERR_OK);
        const size_t decoded_bytes = arena_mark(&fixture.worker->arena);
        for (size_t left = (needed - decoded_bytes) / 8 + 1; left-- > 0;) {
            const size_t capacity = needed - 8 * left;
            const struct decide_env env = {
                .store = fixture.store, .snapshot = fixture.snapshot, .wall_ms = FIXTURE_NOW_MS};
            arena_rewind(&fixture.worker->arena, decoded_bytes);
            fixture.worker->arena.capacity_bytes = capacity;
            decide(&env, fixture.worker, &decoded, &fixture.decision);
            check_decision(&fixture.decision);
            if (fixture.decision.level > best) {
                /* Folding in says no more than that it did not work. */
                assert_true(fixture.decision.reason == REASON_overload ||
                            fixture.decision.reason == REASON_model_error);
                lowered++;
            }
        }
        fixture.worker->arena.capacity_bytes = whole;
        assert_int_equal(fixture.decision.level, best);
        assert_true(lowered > 0);
        (void)fixture_decide(&fixture, requests[r]); /* nothing was left behind in the scratch */
        assert_int_equal(fixture.decision.level, best);
    }
}

static void test_a_decision_allocates_nothing(void **state)
{
    (void)state;
    static uint8_t bytes[4096];
    for (uint32_t r = 0; r < REQUEST_COUNT; r++) {
        struct err err;
        struct pack pack = pack_into(bytes, sizeof bytes);
        assert_int_equal(transcode_from_json(requests[r], strlen(requests[r]), &pack, &err),
                         ERR_OK);
        (void)fixture_decide(&fixture, requests[r]); /* warm */
        for (int floor = LEVEL_full; floor < LEVEL_COUNT; floor++) {
            const struct decide_env env = {.store = fixture.store,
                                           .snapshot = fixture.snapshot,
                                           .answers = fixture.answers,
                                           .floor = (enum level)floor,
                                           .wall_ms = FIXTURE_NOW_MS};
            struct request decoded;
            struct decision decision;
            char field[REQUEST_FIELD_BYTES];
            uint64_t before = alloc_count();
            arena_reset(&fixture.worker->arena);
            enum err_code rc =
                request_decode(bytes, pack.used, &fixture.worker->arena, &decoded, field, NULL);
            if (rc == ERR_OK)
                decide(&env, fixture.worker, &decoded, &decision);
            assert_int_equal(alloc_count(), before);
            assert_int_equal(rc, ERR_OK);
            assert_true(decision.level >= (enum level)floor || decoded.op == OP_price);
        }
    }
}

static void test_the_same_question_gets_the_same_answer(void **state)
{
    (void)state;
    for (uint32_t r = 0; r < REQUEST_COUNT; r++) {
        char first[sizeof fixture.line], id[ULID_BYTES];
        float score[256];
        memcpy(first, fixture_ask(&fixture, requests[r]), sizeof first);
        memcpy(id, fixture.decision.id, sizeof id);
        uint32_t count = fixture.decision.count;
        for (uint32_t i = 0; i < count; i++)
            score[i] = fixture.decision.items[i].score;
        check_decision(&fixture.decision);
        for (uint32_t other = 0; other < REQUEST_COUNT; other++)
            (void)fixture_ask(&fixture, requests[other]);
        assert_string_equal(fixture_ask(&fixture, requests[r]), first);
        assert_int_equal(fixture.decision.count, count);
        for (uint32_t i = 0; i < count; i++)
            assert_true(score[i] == fixture.decision.items[i].score);
        assert_string_not_equal(fixture.decision.id, id); /* but is another decision */
        /* A snapshot that is built anew of the same parts answers the same. */
        fixture_serve(&fixture, policies);
        assert_string_equal(fixture_ask(&fixture, requests[r]), first);
    }
}

static void test_decisions_are_counted_by_level_and_reason(void **state)
{
    (void)state;
    uint64_t full = metric_value(fixture.metrics, M_DECISIONS, LEVEL_full, REASON_none);
    (void)fixture_ask(&fixture, requests[1]);
    assert_int_equal(metric_value(fixture.metrics, M_DECISIONS, LEVEL_full, REASON_none), full + 1);
    fixture.floor = LEVEL_static;
    (void)fixture_ask(&fixture, requests[1]);
    assert_int_equal(metric_value(fixture.metrics, M_DECISIONS, LEVEL_static, REASON_mode), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_arena_of_any_size_gives_a_flagged_answer),
        TEST(test_a_decision_allocates_nothing),
        TEST(test_the_same_question_gets_the_same_answer),
        TEST(test_decisions_are_counted_by_level_and_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
