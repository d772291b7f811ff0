/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench: its yardsticks, its processes, and whole measurements against an echo.  Nothing
 * here has a thread before it forks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/sp_client.h"
#include "tools/bench/fleet.h"
#include "tools/bench/targets.h"

/* {"ok": true, "level": "full"} */
static const uint8_t reply[] = "\x82\xA2ok\xC3\xA5level\xA4"
                               "full";
enum { REPLY_BYTES = sizeof reply - 1 };

static struct err err;
static struct load_result results[TARGETS_MAX];

static struct bench_options options_for(const char *url)
{
    return (struct bench_options){.url = url,
                                  .op = BENCH_PING,
                                  .rate = 2000,
                                  .duration_s = 0.2,
                                  .warmup_s = 0.02,
                                  .connections = 5,
                                  .processes = 1,
                                  .rounds = 1,
                                  .user_count = 10,
                                  .item_count = 10,
                                  .n = 1,
                                  .limit_us = 1000,
                                  .seed = 7};
}

static void both_echoes_answer_over_tcp_and_ipc(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        struct yardstick yardstick;
        struct sp_client client;
        char got[64];
        uint32_t id = 0;
        enum yardstick_kind kind = i < 2 ? YARDSTICK_RAW : YARDSTICK_NNG;
        assert_int_equal(yardstick_start(kind, i % 2 == 1, reply, REPLY_BYTES, &yardstick, &err),
                         ERR_OK);
        assert_true(sp_open(&client, yardstick.url));
        for (uint32_t k = 1; k <= 3; k++)
            assert_true(sp_send(&client, k, "request", 7));
        for (uint32_t k = 1; k <= 3; k++) {
            assert_int_equal(sp_receive(&client, &id, got, sizeof got), REPLY_BYTES);
            assert_memory_equal(got, reply, REPLY_BYTES);
        }
        /* What is no request ends the connection, not the echo. */
        if (kind == YARDSTICK_RAW) {
            assert_true(sp_announce(&client, UINT64_C(1) << 60));
            assert_true(sp_is_closed_by_peer(&client));
        }
        sp_close(&client);
        assert_true(sp_open(&client, yardstick.url));
        assert_int_equal(sp_ask(&client, "again", got, sizeof got), REPLY_BYTES);
        sp_close(&client);
        assert_int_equal(yardstick_check(&yardstick, &err), ERR_OK);
        char ipc_dir[ECHO_URL_BYTES];
        memcpy(ipc_dir, yardstick.ipc_dir, sizeof ipc_dir);
        yardstick_stop(&yardstick);
        assert_true(ipc_dir[0] == '\0' || access(ipc_dir, F_OK) != 0);
    }
}

static void an_echo_that_ends_is_noticed(void **state)
{
    (void)state;
    struct yardstick yardstick;
    assert_int_equal(yardstick_start(YARDSTICK_RAW, false, reply, REPLY_BYTES, &yardstick, &err),
                     ERR_OK);
    assert_int_equal(kill(yardstick.pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)yardstick.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(yardstick_check(&yardstick, &err), ERR_IO);
    assert_non_null(strstr(err.text, "the raw echo ended by itself (signal 9)"));
    yardstick_stop(&yardstick);
}

static void parts_add_up_and_differ(void **state)
{
    (void)state;
    struct bench_options options = options_for("tcp://127.0.0.1:1");
    options.processes = 3;
    double rate = 0;
    uint32_t connections = 0;
    for (uint32_t i = 0; i < 3; i++) {
        struct bench_options part = fleet_part(&options, i);
        rate += part.rate;
        connections += part.connections;
        assert_true(part.connections >= 1);
        assert_true(i == 0 || part.seed != options.seed);
    }
    assert_true(rate > 1999.9 && rate < 2000.1);
    assert_int_equal(connections, 5);
}

static void processes_count_together(void **state)
{
    (void)state;
    struct yardstick yardstick;
    struct traffic traffic;
    assert_int_equal(yardstick_start(YARDSTICK_RAW, false, reply, REPLY_BYTES, &yardstick, &err),
                     ERR_OK);
    struct bench_options options = options_for(yardstick.url);
    options.processes = 3;
    options.arrivals = BENCH_CONSTANT;
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    assert_int_equal(fleet_run(&options, &traffic, &results[0], &err), ERR_OK);
    assert_in_range(results[0].due_count, 396, 404);
    assert_int_equal(results[0].ok_count, results[0].due_count);
    assert_int_equal(hist_count_below(&results[0].latency, UINT64_MAX), results[0].due_count);
    assert_int_equal(results[0].measured_ns, 200000000);
    assert_int_equal(tally_sum(&results[0].levels), results[0].ok_count);
    /* A daemon that is not there, and one process that cannot get what it needs. */
    yardstick_stop(&yardstick);
    options.url = "tcp://127.0.0.1:1";
    assert_int_equal(fleet_run(&options, &traffic, &results[0], &err), ERR_IO);
    assert_non_null(strstr(err.text, "tcp://127.0.0.1:1"));
    traffic_deinit(&traffic);
}

/* The killer is a process of its own, so that this one stays without threads. */
static void a_load_process_that_dies_is_an_error(void **state)
{
    (void)state;
    struct yardstick yardstick;
    struct traffic traffic;
    assert_int_equal(yardstick_start(YARDSTICK_RAW, false, reply, REPLY_BYTES, &yardstick, &err),
                     ERR_OK);
    struct bench_options options = options_for(yardstick.url);
    options.processes = 2;
    options.duration_s = 20;
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    pid_t parent = getpid();
    pid_t killer = fork();
    if (killer == 0) {
        char path[64], line[256] = "";
        int pids[4] = {0};
        int count = 0;
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", parent, parent);
        /* Children in order of birth: the echo, this one, the two that make the load. */
        while (count < 4) {
            FILE *file = fopen(path, "r");
            count = 0;
            if (file != NULL && fgets(line, sizeof line, file) != NULL)
                count = sscanf(line, "%d %d %d %d", &pids[0], &pids[1], &pids[2], &pids[3]);
            if (file != NULL)
                fclose(file);
        }
        (void)kill(pids[3], SIGKILL);
        _exit(0);
    }
    assert_int_equal(fleet_run(&options, &traffic, &results[0], &err), ERR_IO);
    assert_non_null(strstr(err.text, "load process 2 of 2 was ended by signal 9 (Killed)"));
    assert_int_equal(waitpid(killer, NULL, 0), killer);
    yardstick_stop(&yardstick);
    traffic_deinit(&traffic);
}

static void all_take_turns_under_the_same_load(void **state)
{
    (void)state;
    struct yardstick daemon;
    struct targets targets;
    struct traffic traffic;
    assert_int_equal(yardstick_start(YARDSTICK_RAW, false, reply, REPLY_BYTES, &daemon, &err),
                     ERR_OK);
    struct bench_options options = options_for(daemon.url);
    options.yardstick = BENCH_BOTH;
    options.rounds = 2;
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    assert_int_equal(targets_start(&targets, &options, &traffic, &err), ERR_OK);
    assert_int_equal(targets.count, 3);
    assert_int_equal(targets.reply_bytes, REPLY_BYTES); /* as the daemon was found to answer */
    assert_memory_equal(targets.reply, reply, REPLY_BYTES);
    assert_int_equal(targets_measure(&targets, &options, &traffic, results, &err), ERR_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(results[i].measured_ns, 200000000);
        assert_true(results[i].due_count > 300);
        assert_int_equal(results[i].due_count, results[0].due_count); /* the same arrivals */
        assert_int_equal(results[i].reply_bytes, results[i].ok_count * REPLY_BYTES);
    }
    /* An echo that is lost is an error of the measurement, not a bad figure. */
    assert_int_equal(kill(targets.list[1].yardstick.pid, SIGKILL), 0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)targets.list[1].yardstick.pid, &info, WEXITED | WNOWAIT),
                     0);
    assert_int_equal(targets_measure(&targets, &options, &traffic, results, &err), ERR_IO);
    assert_non_null(strstr(err.text, "the raw echo ended"));
    targets_stop(&targets);
    traffic_deinit(&traffic);
    yardstick_stop(&daemon);
}

static void a_daemon_that_refuses_gives_no_yardstick(void **state)
{
    (void)state;
    static const uint8_t refusal[] = "\x82\xA2ok\xC2\xA5"
                                     "error\x81\xA4"
                                     "code\xA8"
                                     "internal";
    struct yardstick daemon;
    struct targets targets;
    struct traffic traffic;
    assert_int_equal(
        yardstick_start(YARDSTICK_RAW, false, refusal, sizeof refusal - 1, &daemon, &err), ERR_OK);
    struct bench_options options = options_for(daemon.url);
    options.yardstick = BENCH_RAW;
    assert_int_equal(traffic_init(&traffic, &options, &err), ERR_OK);
    assert_int_equal(targets_start(&targets, &options, &traffic, &err), ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "answers 'ping' with 'internal'"));
    traffic_deinit(&traffic);
    yardstick_stop(&daemon);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_echoes_answer_over_tcp_and_ipc),
        cmocka_unit_test(an_echo_that_ends_is_noticed),
        cmocka_unit_test(parts_add_up_and_differ),
        cmocka_unit_test(processes_count_together),
        cmocka_unit_test(a_load_process_that_dies_is_an_error),
        cmocka_unit_test(all_take_turns_under_the_same_load),
        cmocka_unit_test(a_daemon_that_refuses_gives_no_yardstick),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
