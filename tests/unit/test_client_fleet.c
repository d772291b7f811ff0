/* SPDX-License-Identifier: Apache-2.0 */
/* Which address a call goes to, what it costs to try again, and when that is not done. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "client/budget.h"
#include "client/fleet.h"
#include "client/hash.h"
#include "client/quantile.h"
#include "tests/support/alloc_fail.h"

#define MS CLIENT_NS_PER_MS

enum { KEYS = 20000 };

static struct client_address addresses[CLIENT_ADDRESSES_MAX];

/* tcp://127.0.0.1:PORT for each port. */
static void open_fleet(struct client_fleet *fleet, const char *ports)
{
    char urls[512] = "";
    char error[DECIDE_ERROR_BYTES];
    size_t count = 0;
    for (const char *at = ports; *at != '\0'; at++)
        snprintf(urls + strlen(urls), sizeof urls - strlen(urls), "%stcp://127.0.0.1:%d",
                 at == ports ? "" : ",", 7000 + *at);
    assert_int_equal(client_addresses_parse(urls, addresses, &count, error), DECIDE_OK);
    *fleet = (struct client_fleet){0};
    assert_int_equal(client_fleet_init(fleet, addresses, count, DECIDE_RETRY_PERCENT), DECIDE_OK);
}

static uint64_t key_of(uint32_t user)
{
    return client_hash(&user, sizeof user) | 1;
}

/* The address of an idle fleet for a key, as its place in `ports`. */
static char ask(struct client_fleet *fleet, const char *ports, uint64_t key, uint64_t now_ns)
{
    struct client_pick pick = client_fleet_pick(fleet, key, 0, false, now_ns);
    assert_true(pick.found);
    client_fleet_report(fleet, pick.site, CLIENT_OUTCOME_NONE, 0, now_ns);
    return ports[pick.site];
}

static void a_person_stays_with_an_address_and_addresses_have_equal_shares(void **state)
{
    (void)state;
    struct client_fleet fleet;
    struct client_fleet turned; /* the same addresses in another order */
    struct client_fleet fewer;
    uint32_t counts[128] = {0};
    open_fleet(&fleet, "abcd");
    open_fleet(&turned, "dbac");
    open_fleet(&fewer, "abd");
    for (uint32_t user = 0; user < KEYS; user++) {
        char port = ask(&fleet, "abcd", key_of(user), 0);
        counts[(int)port]++;
        assert_int_equal(ask(&fleet, "abcd", key_of(user), 0), port);
        assert_int_equal(ask(&turned, "dbac", key_of(user), 0), port);
        if (port != 'c') /* who leaves moves nobody but his own */
            assert_int_equal(ask(&fewer, "abd", key_of(user), 0), port);
    }
    for (const char *port = "abcd"; *port != '\0'; port++)
        assert_in_range(counts[(int)*port], KEYS / 4 - KEYS / 50, KEYS / 4 + KEYS / 50);
    client_fleet_deinit(&fleet);
    client_fleet_deinit(&turned);
    client_fleet_deinit(&fewer);
}

static void calls_without_a_person_go_round(void **state)
{
    (void)state;
    struct client_fleet fleet;
    open_fleet(&fleet, "abc");
    char first[4] = {0};
    for (int i = 0; i < 3; i++)
        first[i] = ask(&fleet, "abc", 0, 0);
    assert_true(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
    for (int i = 0; i < 9; i++)
        assert_int_equal(ask(&fleet, "abc", 0, 0), first[i % 3]);
    client_fleet_deinit(&fleet);
}

static void a_hot_person_overloads_nobody(void **state)
{
    (void)state;
    struct client_fleet fleet;
    struct rand rand;
    uint32_t open_picks[512];
    uint32_t count = 0;
    rand_init(&rand, 11);
    open_fleet(&fleet, "abcd");
    for (int i = 0; i < 20000; i++) {
        if (count < 500 && rand_below(&rand, 2) == 0) {
            /* One person in two calls, others for the rest. */
            uint32_t user = rand_below(&rand, 2) == 0 ? 7 : (uint32_t)rand_below(&rand, 1000);
            struct client_pick pick = client_fleet_pick(&fleet, key_of(user), 0, false, 0);
            assert_true(pick.found);
            open_picks[count++] = pick.site;
            uint32_t bound = (125 * count + 399) / 400;
            assert_true(fleet.sites[pick.site].in_progress_count <= bound);
        } else if (count > 0) {
            uint32_t index = (uint32_t)rand_below(&rand, count);
            client_fleet_report(&fleet, open_picks[index], CLIENT_OUTCOME_FINE, 1000, 0);
            open_picks[index] = open_picks[--count];
        }
        assert_int_equal(fleet.in_progress_count, count);
    }
    client_fleet_deinit(&fleet);
}

static void the_next_in_the_ranking_stands_in(void **state)
{
    (void)state;
    struct client_fleet fleet;
    open_fleet(&fleet, "abcd");
    for (uint32_t user = 0; user < 200; user++) {
        uint64_t tried = 0;
        uint32_t order[4];
        for (int i = 0; i < 4; i++) {
            struct client_pick pick = client_fleet_pick(&fleet, key_of(user), tried, false, 0);
            assert_true(pick.found && (tried >> pick.site & 1) == 0);
            assert_true(pick.others == (i < 3));
            client_fleet_report(&fleet, pick.site, CLIENT_OUTCOME_NONE, 0, 0);
            tried |= UINT64_C(1) << pick.site;
            order[i] = pick.site;
        }
        /* All were tried: the first again.  A hedge wants one that was not. */
        struct client_pick again = client_fleet_pick(&fleet, key_of(user), tried, false, 0);
        assert_int_equal(again.site, order[0]);
        client_fleet_report(&fleet, again.site, CLIENT_OUTCOME_NONE, 0, 0);
        assert_false(client_fleet_pick(&fleet, key_of(user), tried, true, 0).found);
        struct client_pick hedge =
            client_fleet_pick(&fleet, key_of(user), UINT64_C(1) << order[0], true, 0);
        assert_int_equal(hedge.site, order[1]);
        client_fleet_report(&fleet, hedge.site, CLIENT_OUTCOME_NONE, 0, 0);
    }
    client_fleet_deinit(&fleet);
}

static void five_failures_eject_and_one_probe_at_a_time_brings_back(void **state)
{
    (void)state;
    struct client_fleet fleet;
    struct decide_endpoint endpoint;
    uint64_t now_ns = 1000 * MS;
    open_fleet(&fleet, "a");
    for (int i = 1; i <= 5; i++) {
        assert_int_equal(client_fleet_endpoints(&fleet, &endpoint, 1, now_ns), 1);
        assert_true(endpoint.state != DECIDE_ENDPOINT_EJECTED);
        struct client_pick pick = client_fleet_pick(&fleet, 0, 0, false, now_ns);
        assert_true(pick.found && pick.is_probe == (i > 1));
        client_fleet_report(&fleet, 0, CLIENT_OUTCOME_BAD, 0, now_ns);
        client_fleet_endpoints(&fleet, &endpoint, 1, now_ns);
        assert_int_equal(endpoint.state, i < 5 ? DECIDE_ENDPOINT_PAUSED : DECIDE_ENDPOINT_EJECTED);
        now_ns = fleet.sites[0].health.retry_at_ns;
    }
    assert_int_equal(endpoint.ejections, 1);
    assert_int_equal(endpoint.failures_in_a_row, 5);
    assert_string_equal(endpoint.url, "tcp://127.0.0.1:7097");
    struct client_pick waiting = client_fleet_pick(&fleet, 0, 0, false, now_ns - 1);
    assert_false(waiting.found);
    assert_int_equal(waiting.retry_at_ns, now_ns);
    assert_true(client_fleet_pick(&fleet, 0, 0, false, now_ns).is_probe);
    client_fleet_endpoints(&fleet, &endpoint, 1, now_ns);
    assert_int_equal(endpoint.state, DECIDE_ENDPOINT_PROBED);
    assert_int_equal(endpoint.in_progress, 1);
    assert_false(client_fleet_pick(&fleet, 0, 0, false, now_ns).found);
    client_fleet_report(&fleet, 0, CLIENT_OUTCOME_FINE, 1000, now_ns);
    client_fleet_endpoints(&fleet, &endpoint, 1, now_ns);
    assert_int_equal(endpoint.state, DECIDE_ENDPOINT_FINE);
    assert_int_equal(endpoint.ejections, 1);
    assert_string_equal(decide_endpoint_state_name(endpoint.state), "fine");
    assert_string_equal(decide_endpoint_state_name((enum decide_endpoint_state)9), "unknown");
    client_fleet_deinit(&fleet);
}

static void the_only_address_is_tried_again_after_100_ms(void **state)
{
    (void)state;
    struct client_fleet fleet;
    uint64_t now_ns = 1000 * MS;
    open_fleet(&fleet, "ab");
    for (int i = 0; i < 12; i++) {
        struct client_pick pick = client_fleet_pick(&fleet, 0, 1, false, now_ns);
        assert_int_equal(pick.site, 1);
        client_fleet_report(&fleet, 1, CLIENT_OUTCOME_BAD, 0, now_ns);
        now_ns = fleet.sites[1].health.retry_at_ns;
    }
    /* Left alone for a second, while there is another. */
    assert_true(client_fleet_pick(&fleet, 0, 1, false, now_ns).is_probe);
    client_fleet_report(&fleet, 1, CLIENT_OUTCOME_BAD, 0, now_ns);
    struct client_pick pick = client_fleet_pick(&fleet, 0, 1, false, now_ns + 999 * MS);
    assert_int_equal(pick.site, 0);
    client_fleet_report(&fleet, 0, CLIENT_OUTCOME_BAD, 1000 * MS, now_ns);
    pick = client_fleet_pick(&fleet, 0, 0, false, now_ns + 99 * MS);
    assert_false(pick.found);
    assert_int_equal(pick.retry_at_ns, now_ns + 100 * MS);
    pick = client_fleet_pick(&fleet, 0, 0, false, now_ns + 100 * MS);
    assert_true(pick.found && pick.is_probe && pick.site == 1);
    assert_false(client_fleet_pick(&fleet, 0, 0, false, now_ns + 199 * MS).found);
    client_fleet_deinit(&fleet);
}

static void a_slow_address_is_asked_when_there_is_no_better(void **state)
{
    (void)state;
    struct client_fleet fleet;
    open_fleet(&fleet, "ab");
    struct client_pick pick = client_fleet_pick(&fleet, 5, 0, false, MS);
    client_fleet_report(&fleet, pick.site, CLIENT_OUTCOME_SLOW, 0, MS);
    uint32_t slow = pick.site;
    pick = client_fleet_pick(&fleet, 5, 0, false, MS);
    assert_int_equal(pick.site, 1 - slow);
    /* The other asks to be left alone for 20 ms. */
    client_fleet_report(&fleet, pick.site, CLIENT_OUTCOME_BAD, 20 * MS, MS);
    pick = client_fleet_pick(&fleet, 5, 0, false, MS);
    assert_int_equal(pick.site, slow);
    client_fleet_report(&fleet, slow, CLIENT_OUTCOME_BAD, 0, MS);
    pick = client_fleet_pick(&fleet, 5, 0, false, MS);
    assert_false(pick.found);
    assert_int_equal(client_fleet_pick(&fleet, 5, 1U << slow, false, 20 * MS).site, slow);
    pick = client_fleet_pick(&fleet, 5, 1U << slow, false, 21 * MS);
    assert_int_equal(pick.site, 1 - slow);
    client_fleet_deinit(&fleet);
}

static void further_tries_are_a_tenth_of_the_calls(void **state)
{
    (void)state;
    struct client_budget budget = client_budget_full(10, 0);
    uint32_t spent = 0;
    for (int i = 0; i < 100000; i++) {
        client_budget_earn(&budget);
        spent += client_budget_spend(&budget, 0);
    }
    assert_in_range(spent, 10000 + CLIENT_BUDGET_TOKENS - 1, 10000 + CLIENT_BUDGET_TOKENS);
    /* One a second comes by itself, and no more than the bucket holds. */
    assert_false(client_budget_spend(&budget, CLIENT_NS_PER_SEC - 1));
    assert_true(client_budget_spend(&budget, CLIENT_NS_PER_SEC));
    assert_false(client_budget_spend(&budget, CLIENT_NS_PER_SEC));
    for (spent = 0; client_budget_spend(&budget, UINT64_C(1000000) * CLIENT_NS_PER_SEC); spent++)
        ;
    assert_int_equal(spent, CLIENT_BUDGET_TOKENS);
    struct client_budget none = client_budget_full(0, 0);
    client_budget_earn(&none);
    assert_false(client_budget_spend(&none, 100 * CLIENT_NS_PER_SEC));
}

/* The share of samples above the estimate, after it had time to settle. */
static double share_above(struct client_quantile *quantile, struct rand *rand, uint64_t scale_ns)
{
    uint32_t above = 0;
    for (int i = 0; i < 60000; i++) {
        uint64_t sample_ns = scale_ns + rand_below(rand, 9 * scale_ns);
        if (i >= 10000)
            above += sample_ns > client_quantile_p95_ns(quantile);
        client_quantile_add(quantile, sample_ns);
    }
    return above / 50000.0;
}

static void the_95th_percentile_is_followed_over_orders_of_magnitude(void **state)
{
    (void)state;
    struct client_quantile quantile = {0};
    struct rand rand;
    rand_init(&rand, 5);
    for (uint32_t i = 0; i < CLIENT_QUANTILE_SAMPLES_MIN; i++) {
        assert_true(client_quantile_p95_ns(&quantile) == UINT64_MAX);
        client_quantile_add(&quantile, 100);
    }
    assert_int_equal(client_quantile_p95_ns(&quantile), 100);
    static const uint64_t scales[] = {20000, 3000000, 500, 20000};
    for (size_t i = 0; i < sizeof scales / sizeof scales[0]; i++) {
        double above = share_above(&quantile, &rand, scales[i]);
        assert_true(above > 0.03 && above < 0.07);
    }
}

static void a_lack_of_memory_opens_no_fleet(void **state)
{
    (void)state;
    struct client_fleet fleet = {0};
    alloc_fail_after(0);
    enum decide_status status = client_fleet_init(&fleet, addresses, 1, 10);
    assert_true(alloc_fail_off());
    assert_int_equal(status, DECIDE_NOMEM);
    client_fleet_deinit(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_person_stays_with_an_address_and_addresses_have_equal_shares),
        cmocka_unit_test(calls_without_a_person_go_round),
        cmocka_unit_test(a_hot_person_overloads_nobody),
        cmocka_unit_test(the_next_in_the_ranking_stands_in),
        cmocka_unit_test(five_failures_eject_and_one_probe_at_a_time_brings_back),
        cmocka_unit_test(the_only_address_is_tried_again_after_100_ms),
        cmocka_unit_test(a_slow_address_is_asked_when_there_is_no_better),
        cmocka_unit_test(further_tries_are_a_tenth_of_the_calls),
        cmocka_unit_test(the_95th_percentile_is_followed_over_orders_of_magnitude),
        cmocka_unit_test(a_lack_of_memory_opens_no_fleet),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
