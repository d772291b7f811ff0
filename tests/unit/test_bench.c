/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench: its arguments, its arrivals and names, and whole runs against a fake daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/protocol/request.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fake_peer.h"
#include "tests/support/temp_dir.h"
#include "tools/bench/fleet.h"
#include "tools/bench/load.h"
#include "tools/bench/schedule.h"

static struct err err;

static struct bench_options parse(const char *line)
{
    char buf[512];
    char *argv[32] = {"decide-bench"};
    int argc = 1;
    char *save = NULL;
    struct bench_options options = {0};
    text_copy(text_of(line), buf, sizeof buf);
    static char kept[32][128]; /* options point into their arguments */
    for (char *word = strtok_r(buf, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
        text_copy(text_of(word), kept[argc], sizeof kept[argc]);
        argv[argc] = kept[argc];
        argc++;
    }
    err = (struct err){0};
    if (bench_options_parse(argc, argv, &options, &err) != ERR_OK)
        assert_true(err.text[0] != '\0');
    return options;
}

static void arguments_are_read_and_bad_ones_named(void **state)
{
    (void)state;
    struct bench_options options =
        parse("--op recommend --url ipc:///x --rate 2500.5 --duration 3 --warmup 0 --connections 7 "
              "--arrivals constant --user-count 9 --zipf 0 --n 5 --budget 2000 --json --sweep");
    assert_string_equal(err.text, "");
    assert_int_equal(options.op, BENCH_RECOMMEND);
    assert_int_equal(options.mode, BENCH_SWEEP);
    assert_true(options.rate == 2500.5 && options.duration_s == 3 && options.warmup_s == 0);
    assert_int_equal(options.connections, 7);
    assert_int_equal(options.user_count, 9);
    assert_int_equal(options.budget_us, 2000);
    assert_true(options.json && options.arrivals == BENCH_CONSTANT);
    assert_int_equal(parse("--op ping").connections, 4);
    assert_int_equal(parse("--op ping --closed").connections, 1);
    assert_int_equal(parse("--op ping --processes 9").connections, 9);
    assert_int_equal(parse("--op ping --arrivals poisson").arrivals, BENCH_POISSON);
    options = parse("--op ping --yardstick both --processes 2 --svg a.svg --compare b.json");
    assert_int_equal(options.yardstick, BENCH_BOTH);
    assert_int_equal(options.rounds, 5);
    assert_string_equal(options.svg_file, "a.svg");
    assert_string_equal(options.compare_file, "b.json");
    assert_true(parse("--help").help);

    assert_string_equal(parse("--op ping").url, "tcp://127.0.0.1:7100");
    assert_int_equal(setenv("DECIDED_URL", "ipc:///there", 1), 0);
    assert_string_equal(parse("--op ping").url, "ipc:///there");
    assert_string_equal(parse("--op ping --url ipc:///x").url, "ipc:///x");
    assert_int_equal(unsetenv("DECIDED_URL"), 0);

    static const char *const bad[][2] = {
        {"", "--op is missing"},
        {"--op", "--op: a value is missing"},
        {"--op buy", "--op: expected ping, recommend"},
        {"--op ping --rate 0", "--rate: expected a number 1..10000000, got '0'"},
        {"--op ping --rate nan", "--rate"},
        {"--op ping --connections 1.5", "--connections: expected a whole number"},
        {"--op ping --connections 0", "--connections"},
        {"--op ping --pad 70000", "--pad"},
        {"--op ping --arrivals often", "--arrivals: expected poisson or constant, got 'often'"},
        {"--op ping --closed --sweep", "exclude each other"},
        {"--op ping --closed --rate 5", "--rate"},
        {"--op ping --processes 65", "--processes: expected a whole number 1..64"},
        {"--op ping --processes 4 --connections 3", "--connections: expected one or more for each"},
        {"--op ping --yardstick long", "--yardstick: expected none, raw, nng or both, got 'long'"},
        {"--op ping --rounds 3", "--rounds has no meaning without --yardstick"},
        {"--op decide", "--slot is missing"},
        {"--op decide --slot a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", "at most 16 slots, got 17"},
        {"--op decide --slot a,,b", "--slot: expected 1 to 128 bytes a slot"},
        {"--op decide --slot a,", "--slot: expected 1 to 128 bytes a slot"},
        {"--op ping --fast", "there is no option --fast"},
        {"ping", "expected an option, got 'ping'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        (void)parse(bad[i][0]);
        if (strstr(err.text, bad[i][1]) == NULL)
            print_error("'%s': %s\n", bad[i][0], err.text);
        assert_non_null(strstr(err.text, bad[i][1]));
    }
}

static void arrivals_keep_their_rate(void **state)
{
    (void)state;
    enum { COUNT = 100000 };
    struct schedule schedule;
    schedule_init(&schedule, 3000, false, 1, 77);
    for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t exact_ns = 77 + i * 1000000000 / 3000;
        uint64_t got_ns = schedule_next_ns(&schedule);
        assert_true(got_ns + 2 > exact_ns && got_ns < exact_ns + 2); /* nothing adds up */
        schedule_advance(&schedule);
    }
    /* Poisson: mean and deviation of the distances are both the interval. */
    schedule_init(&schedule, 1000, true, 1, 0);
    double sum = 0;
    double squares = 0;
    double last = 0;
    for (int i = 0; i < COUNT; i++) {
        schedule_advance(&schedule);
        double distance = schedule.offset_ns - last;
        last = schedule.offset_ns;
        assert_true(distance >= 0);
        sum += distance;
        squares += distance * distance;
    }
    double mean = sum / COUNT;
    double deviation = sqrt(squares / COUNT - mean * mean);
    assert_true(fabs(mean - 1e6) < 0.02e6);
    assert_true(fabs(deviation - 1e6) < 0.03e6);
}

static void ranks_have_their_shares(void **state)
{
    (void)state;
    enum { RANKS = 50, DRAWS = 400000 };
    static const double exponents[] = {0, 0.8, 1.5, 10};
    for (size_t e = 0; e < 4; e++) {
        struct zipf zipf;
        struct rand rand;
        uint32_t counts[RANKS] = {0};
        double total = 0;
        rand_init(&rand, 5);
        assert_int_equal(zipf_init(&zipf, RANKS, exponents[e], &err), ERR_OK);
        for (int i = 0; i < DRAWS; i++) {
            uint32_t rank = zipf_draw(&zipf, &rand);
            assert_true(rank < RANKS);
            counts[rank]++;
        }
        for (int i = 0; i < RANKS; i++)
            total += pow(i + 1, -exponents[e]);
        for (int i = 0; i < RANKS; i++) {
            double expected = DRAWS * pow(i + 1, -exponents[e]) / total;
            assert_true(fabs(counts[i] - expected) <= 6 * sqrt(expected) + 1); /* six deviations */
        }
        zipf_deinit(&zipf);
    }
    for (uint32_t n = 0; n < 4; n++) {
        struct zipf zipf;
        alloc_fail_after(n);
        assert_int_equal(zipf_init(&zipf, RANKS, 1, &err), ERR_NOMEM);
        assert_true(alloc_fail_off());
    }
}

static void names_come_from_a_file_or_are_made(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[2 * TEMP_DIR_BYTES];
    struct names names;
    temp_dir_create(&dir);
    temp_dir_path(&dir, "users", path);
    temp_dir_write_text(&dir, "users", "anna\r\n\nb\xC3\xB6rge\nlast");
    assert_int_equal(names_read(&names, path, &err), ERR_OK);
    assert_int_equal(names.count, 3);
    assert_true(text_is(names.texts[0], "anna") && text_is(names.texts[2], "last"));
    names_deinit(&names);
    temp_dir_write_text(&dir, "users", "fine\nbad\x01\n");
    assert_int_equal(names_read(&names, path, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "users:2:"));
    temp_dir_write_text(&dir, "users", "\n\n");
    assert_int_equal(names_read(&names, path, &err), ERR_BAD_INPUT);
    assert_int_equal(names_read(&names, "/nonexistent", &err), ERR_NOT_FOUND);
    assert_int_equal(names_generate(&names, "u", 12, &err), ERR_OK);
    assert_true(text_is(names.texts[11], "u12"));
    names_deinit(&names);
    temp_dir_remove(&dir);
}

static void every_request_is_one_that_the_daemon_reads(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "--op ping --pad 100",
        "--op recommend --n 200 --slot home --budget 500",
        "--op similar",
        "--op rank --n 200",
        "--op price --n 3",
        "--op features",
        "--op decide --n 7 --slot home,again,c",
    };
    static uint8_t buf[TRAFFIC_REQUEST_BYTES];
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, 1 << 20, NULL), ERR_OK);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct bench_options options = parse(lines[i]);
        struct traffic traffic;
        assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
        for (int k = 0; k < 50; k++) {
            char field[REQUEST_FIELD_BYTES];
            struct request request;
            size_t len = traffic_pack(&traffic, buf);
            arena_reset(&arena);
            assert_int_equal(request_decode(buf, len, &arena, &request, field, &err), ERR_OK);
            assert_int_equal(request.budget_us, options.budget_us);
            assert_true(options.op != BENCH_RANK || request.item_count == 200);
            assert_true(options.op != BENCH_PING || request.pad_bytes == 100);
            if (options.op != BENCH_DECIDE)
                continue;
            assert_int_equal(request.slot_count, 3);
            assert_true(text_is(request.slots[1].slot, "again"));
            assert_int_equal(request.slots[2].n, 7);
        }
        traffic_deinit(&traffic);
    }
    arena_deinit(&arena);
}

static struct load_result result;

static void run_against(struct fake_peer *peer, const char *line)
{
    char whole[256];
    struct traffic traffic;
    snprintf(whole, sizeof whole, "%s --url %s", line, peer->url);
    struct bench_options options = parse(whole);
    assert_string_equal(err.text, "");
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    assert_int_equal(fleet_run(&options, &traffic, &result, &err), ERR_OK);
    traffic_deinit(&traffic);
    uint64_t accounted = result.ok_count + load_failed_count(&result);
    assert_int_equal(accounted, result.due_count);
    /* Whatever came, did not come or never left is in the histogram. */
    assert_int_equal(hist_count_below(&result.latency, UINT64_MAX), result.due_count);
}

static void a_run_accounts_for_every_request(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    run_against(&peer,
                "--op recommend --rate 1000 --duration 0.3 --warmup 0.05 --arrivals constant");
    assert_in_range(result.due_count, 299, 301);
    assert_int_equal(result.ok_count, result.due_count);
    assert_in_range(atomic_load(&peer.request_count), 349, 351);
    run_against(&peer, "--op ping --duration 0.2 --warmup 0.05 --closed --json");
    assert_true(result.ok_count > 0);
    assert_int_equal(load_failed_count(&result), 0);
    assert_int_equal(result.in_budget_count, 0); /* no budget */
    run_against(&peer, "--op recommend --rate 500 --duration 0.2 --warmup 0 --budget 60000000");
    assert_int_equal(result.in_budget_count, result.ok_count);
    assert_int_equal(hist_count_below(&result.refusal, UINT64_MAX), 0);
    fake_peer_set_refusal(&peer, "overloaded");
    run_against(&peer, "--op recommend --rate 500 --duration 0.2 --warmup 0 --budget 60000000");
    assert_int_equal(result.refused_count, result.due_count);
    assert_int_equal(result.in_budget_count, 0);
    assert_int_equal(hist_count_below(&result.refusal, UINT64_MAX), result.refused_count);
    assert_string_equal(result.errors.rows[0].name, "overloaded");
    fake_peer_stop(&peer);
}

static void a_closed_run_without_a_daemon_goes_on_failing(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct traffic traffic;
    struct load *load = NULL;
    char line[256];
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    snprintf(line, sizeof line, "--op ping --closed --duration 0.5 --warmup 0 --url %s", peer.url);
    struct bench_options options = parse(line);
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    assert_int_equal(load_create(&options, &traffic, &load, &err), ERR_OK);
    fake_peer_stop(&peer);
    load_run(load, &result);
    assert_true(result.unsent_count > 1);
    assert_int_equal(result.ok_count, 0);
    assert_int_equal(load_failed_count(&result), result.due_count);
    assert_int_equal(hist_count_below(&result.latency, UINT64_MAX), result.due_count);
    load_destroy(&load);
    traffic_deinit(&traffic);
}

static void a_connection_that_is_behind_gets_no_more(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_FIRST_NEVER_ANSWERS);
    run_against(&peer, "--op ping --rate 300 --duration 0.5 --warmup 0 --connections 2");
    assert_true(result.lost_count > 0);
    assert_true(result.lost_count < result.due_count / 3); /* by turns it would be the half */
    fake_peer_stop(&peer);
}

static void lost_requests_count_as_slow_ones(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_RESETS);
    run_against(&peer, "--op ping --rate 300 --duration 0.3 --warmup 0 --connections 2");
    assert_int_equal(result.ok_count, 0);
    assert_true(result.lost_count > 0);
    fake_peer_stop(&peer);
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    run_against(&peer, "--op ping --rate 200 --duration 0.1 --warmup 0");
    assert_int_equal(result.lost_count, result.due_count);
    assert_true(hist_quantile(&result.latency, 0.01) >= LOAD_DRAIN_NS);
    fake_peer_stop(&peer);
    fake_peer_start(&peer, 0, FAKE_ANSWERS_WRONG_ID);
    run_against(&peer, "--op ping --duration 0.2 --warmup 0 --closed");
    assert_int_equal(result.ok_count, 0);
    fake_peer_stop(&peer);
    struct bench_options options = parse("--op ping --url tcp://127.0.0.1:1");
    struct traffic traffic;
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    assert_int_equal(fleet_run(&options, &traffic, &result, &err), ERR_IO);
    options.url = "nowhere";
    assert_int_equal(fleet_run(&options, &traffic, &result, &err), ERR_BAD_INPUT);
    traffic_deinit(&traffic);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_read_and_bad_ones_named),
        cmocka_unit_test(arrivals_keep_their_rate),
        cmocka_unit_test(ranks_have_their_shares),
        cmocka_unit_test(names_come_from_a_file_or_are_made),
        cmocka_unit_test(every_request_is_one_that_the_daemon_reads),
        cmocka_unit_test(a_run_accounts_for_every_request),
        cmocka_unit_test(a_closed_run_without_a_daemon_goes_on_failing),
        cmocka_unit_test(a_connection_that_is_behind_gets_no_more),
        cmocka_unit_test(lost_requests_count_as_slow_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
