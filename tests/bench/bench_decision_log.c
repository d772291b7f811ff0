/* SPDX-License-Identifier: Apache-2.0 */
/* What a worker does to log a decision of 20 items, and how long the record is, without a ranker
 * and with one of 20 features: the best of many runs, so that other work on the machine counts
 * little. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "featurestore/decision_record.h"
#include "server/decide/decision_write.h"
#include "server/decide/ring.h"
#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

enum { ITEMS = 60, FEATURES = 20, RUNS = 200, DECISIONS = 100 };

#define RING_BYTES (UINT64_C(4) << 20)

static struct fixture fixture;
static uint8_t record[DECISION_RECORD_BYTES_MAX];

static const char policies[] = "{\"slots\": {\"home\": {\"bought\": \"allow\", \"sources\": "
                               "[{\"source\": \"model_popular\"}]},"
                               "\"ranked\": {\"bought\": \"allow\", \"ranker\": \"rank\", "
                               "\"sources\": [{\"source\": \"model_popular\"}]}}}";

static const char features[] =
    "blend.score item.price user.events user.purchases pair.age_s item.views_1h item.views_1d "
    "item.views_7d item.views_14d item.views_30d item.carts_1h item.carts_1d item.carts_7d "
    "item.carts_14d item.carts_30d item.purchases_1h item.purchases_1d item.purchases_7d "
    "item.purchases_14d item.purchases_30d";

static void set_up(void)
{
    static const double weights[FEATURES] = {1, 0.001};
    static float scores[ITEMS];
    char items[512] = "";
    size_t used = 0;
    fixture_init(&fixture);
    for (uint32_t i = 0; i < ITEMS; i++) {
        char id[16];
        snprintf(id, sizeof id, "item-%u", i);
        used += (size_t)snprintf(items + used, sizeof items - used, "%s%s", i == 0 ? "" : " ", id);
        scores[i] = 1.0f / (float)(i + 1);
        fixture_act(&fixture, "view", "u", id, FIXTURE_NOW_MS - i * 1000);
    }
    fixture_add_model(&fixture, small_popularity("pop", "1", items, scores));
    fixture_add_model(&fixture, small_linear("rank", "1", features, weights, 0));
    fixture_serve(&fixture, policies);
    fixture.keep_features = true;
}

/* Nanoseconds for each. */
static uint64_t log_decisions(struct ring *ring, size_t *ret_bytes)
{
    uint64_t before_ns = clock_now_ns(clock_system());
    for (int i = 0; i < DECISIONS; i++) {
        struct pack pack = pack_into(record, sizeof record);
        decision_write(&fixture.env, &fixture.request, &fixture.decision, &pack);
        if (pack.overflow || !ring_put(ring, pack.bytes, (uint32_t)pack.used))
            abort();
        *ret_bytes = pack.used;
    }
    return (clock_now_ns(clock_system()) - before_ns) / DECISIONS;
}

static void measure(const char *what, const char *request)
{
    struct ring ring;
    struct err err;
    size_t bytes = 0;
    uint32_t len;
    uint64_t best_ns = UINT64_MAX;
    (void)fixture_decide(&fixture, request);
    if (fixture.decision.count != 20 || ring_init(&ring, RING_BYTES, &err) != ERR_OK)
        abort();
    for (int run = 0; run < RUNS; run++) {
        uint64_t ns = log_decisions(&ring, &bytes);
        best_ns = ns < best_ns ? ns : best_ns;
        while (ring_peek(&ring, &len))
            ring_take(&ring, record);
    }
    ring_deinit(&ring);
    printf("%s: %" PRIu64 " ns, %zu bytes\n", what, best_ns, bytes);
}

int main(void)
{
    set_up();
    measure("20 items", "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 20, \"slot\": \"home\"}");
    measure("20 items, 20 features",
            "{\"op\": \"recommend\", \"user\": \"u\", \"n\": 20, \"slot\": \"ranked\"}");
    fixture_deinit(&fixture);
    return 0;
}
