/* SPDX-License-Identifier: Apache-2.0 */
/* What conditions of policies cost: each of some typical ones over 500 items, and ten of them over
 * 500; beside the same condition written in C.  The best of many runs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/decide/policy_fields.h"
#include "tests/support/decide_fixture.h"

enum { ITEMS = 500, RUNS = 300 };

static struct fixture fixture;
static volatile uint32_t sink; /* what passed, so that nothing is left out */

static const char *const sources[] = {
    "item.price >= 1000 && item.price < 5000",
    "item.category in ['toys', 'games', 'books'] && item.stock > 2",
    "item.brand == 'acme' || item.attributes.colour == 'red'",
    "!('clearance' in item.attributes.tags) && has(item.cost)",
    "context.channel == 'app' ? item.price > 100 : item.price > 200",
    "item.title.startsWith('Demo') == false",
    "item.views_7d >= 10.0 || item.margin > 0.3",
    "double(item.price) * 0.9 > double(item.cost)",
    "now.hour < 23 && now.weekday != 7 && item.stock != 0",
    "item.id != 'i17' && user.items > 2.0",
};
enum { SOURCES = sizeof sources / sizeof sources[0] };

static void stock_shop(void)
{
    static const char *const categories[] = {"toys", "games", "garden", "kitchen"};
    for (uint32_t i = 0; i < ITEMS; i++) {
        char event[400];
        snprintf(event, sizeof event,
                 "{\"type\": \"item_upsert\", \"currency\": \"EUR\", \"items\": [{\"id\": \"i%u\", "
                 "\"title\": \"Thing %u\", \"category\": \"%s\", \"brand\": \"%s\", \"price\": %u, "
                 "\"cost\": %u, \"stock\": %u, \"attributes\": {\"colour\": \"red\", \"tags\": "
                 "[\"new\", \"sale\"]}}]}",
                 i, i, categories[i % 4], i % 3 == 0 ? "acme" : "bolt", 100 + i * 13, 50 + i * 7,
                 i % 9);
        fixture_event(&fixture, event);
    }
}

/* Nanoseconds for all items. */
static uint64_t measure(struct expr *const *expr, uint32_t count, struct policy_asked *asked)
{
    const size_t steady_bytes = asked->fields->steady_count * sizeof(struct expr_steady);
    const struct expr_env env = {
        .read = policy_field_read, .ctx = asked, .steady = malloc(steady_bytes + 1)};
    uint64_t best_ns = UINT64_MAX;
    uint32_t passed = 0;
    for (uint32_t run = 0; run < RUNS; run++) {
        uint64_t before_ns = clock_now_ns(clock_system());
        memset(env.steady, 0, steady_bytes);
        for (uint32_t item = 0; item < ITEMS; item++) {
            policy_asked_item(asked, item);
            for (uint32_t i = 0; i < count; i++)
                passed += expr_test(expr[i], &env) == EXPR_TRUE;
        }
        sink = passed;
        uint64_t ns = clock_now_ns(clock_system()) - before_ns;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    free(env.steady);
    return best_ns;
}

/* The first condition by hand. */
static uint64_t measure_by_hand(void)
{
    uint64_t best_ns = UINT64_MAX;
    uint32_t passed = 0;
    for (uint32_t run = 0; run < RUNS; run++) {
        uint64_t before_ns = clock_now_ns(clock_system());
        for (uint32_t item = 0; item < ITEMS; item++) {
            const struct item *record = store_item(fixture.store, item);
            passed += record != NULL && record->price_minor != EVENT_ABSENT &&
                      record->price_minor >= 1000 && record->price_minor < 5000;
        }
        sink = passed;
        uint64_t ns = clock_now_ns(clock_system()) - before_ns;
        best_ns = ns < best_ns ? ns : best_ns;
    }
    return best_ns;
}

int main(void)
{
    struct policy_fields fields = {0};
    struct expr *expr[SOURCES];
    struct feature_reader reader;
    struct err err;
    fixture_init(&fixture);
    stock_shop();
    (void)fixture_decide(&fixture, "{\"op\": \"recommend\", \"user\": \"u\", \"context\": "
                                   "{\"channel\": \"app\"}}");
    fields.store = fixture.store;
    struct expr_schema schema = policy_fields_schema(&fields);
    for (uint32_t i = 0; i < SOURCES; i++) {
        if (expr_compile(text_of(sources[i]), &schema, EXPR_BOOL, &expr[i], &err) != ERR_OK) {
            fprintf(stderr, "%s: %s\n", sources[i], err.text);
            return 1;
        }
    }
    const struct feature_asker asker = {.user = text_of("u")};
    feature_reader_begin(&reader, fixture.store, &asker);
    struct policy_asked asked = {
        .fields = &fields, .store = fixture.store, .request = &fixture.request, .reader = &reader};
    policy_asked_begin(&asked, FIXTURE_NOW_MS);
    uint64_t empty_ns = measure(expr, 0, &asked);
    printf("%6.1f ns  moving on to an item\n", (double)empty_ns / ITEMS);
    printf("%6.1f ns  the first condition in C\n", (double)measure_by_hand() / ITEMS);
    for (uint32_t i = 0; i < SOURCES; i++)
        printf("%6.1f ns  %s\n", (double)(measure(&expr[i], 1, &asked) - empty_ns) / ITEMS,
               sources[i]);
    printf("%6.1f us  all %d over %d items\n", (double)measure(expr, SOURCES, &asked) / 1000.0,
           (int)SOURCES, (int)ITEMS);
    for (uint32_t i = 0; i < SOURCES; i++)
        expr_destroy(&expr[i]);
    policy_fields_deinit(&fields);
    fixture_deinit(&fixture);
    return 0;
}
