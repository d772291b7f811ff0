/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/targets.h"

#include <stdlib.h>
#include <string.h>

#include "tools/bench/fleet.h"
#include "tools/bench/link.h"
#include "tools/bench/probe.h"
#include "tools/bench/stop.h"

static enum err_code add_yardstick(struct targets *targets, enum yardstick_kind kind, bool ipc,
                                   struct err *err)
{
    struct target *target = &targets->list[targets->count];
    enum err_code rc =
        yardstick_start(kind, ipc, targets->reply, targets->reply_bytes, &target->yardstick, err);
    if (rc != ERR_OK)
        return rc;
    target->name = yardstick_name(kind);
    target->url = target->yardstick.url;
    targets->count++;
    return ERR_OK;
}

enum err_code targets_start(struct targets *targets, const struct bench_options *options,
                            struct traffic *traffic, struct err *err)
{
    struct link_target daemon;
    *targets = (struct targets){.count = 1};
    targets->list[0] = (struct target){.name = "decided", .url = options->url};
    if (options->yardstick == BENCH_NO_YARDSTICK)
        return ERR_OK;
    enum err_code rc = link_resolve(options->url, &daemon, err);
    if (rc == ERR_OK)
        rc = probe_reply(options->url, traffic, &targets->reply, &targets->reply_bytes, err);
    if (rc == ERR_OK && options->yardstick != BENCH_NNG)
        rc = add_yardstick(targets, YARDSTICK_RAW, daemon.addresses[0].ipc, err);
    if (rc == ERR_OK && options->yardstick != BENCH_RAW)
        rc = add_yardstick(targets, YARDSTICK_NNG, daemon.addresses[0].ipc, err);
    if (rc != ERR_OK)
        targets_stop(targets);
    return rc;
}

void targets_stop(struct targets *targets)
{
    for (uint32_t i = 1; i < targets->count; i++)
        yardstick_stop(&targets->list[i].yardstick);
    free(targets->reply);
    *targets = (struct targets){0};
}

enum err_code targets_turn(struct targets *targets, uint32_t index,
                           const struct bench_options *options, struct traffic *traffic,
                           struct load_result *result, struct err *err)
{
    struct target *target = &targets->list[index];
    struct bench_options turn = *options;
    turn.url = target->url;
    traffic_reseed(traffic, turn.seed);
    enum err_code rc = fleet_run(&turn, traffic, result, err);
    /* That an echo is gone says more than that it cannot be reached. */
    enum err_code gone = yardstick_check(&target->yardstick, err);
    return gone != ERR_OK ? gone : rc;
}

enum err_code targets_measure(struct targets *targets, const struct bench_options *options,
                              struct traffic *traffic, struct load_result results[TARGETS_MAX],
                              struct err *err)
{
    struct load_result *one = malloc(sizeof *one);
    struct bench_options turn = *options;
    enum err_code rc = ERR_OK;
    if (one == NULL)
        return err_set(err, ERR_NOMEM, "out of memory");
    memset(results, 0, TARGETS_MAX * sizeof *results);
    turn.duration_s /= options->rounds;
    turn.warmup_s /= options->rounds;
    for (uint32_t round = 0; round < options->rounds && rc == ERR_OK; round++) {
        turn.seed = options->seed + (uint64_t)round * UINT64_C(0xD1342543DE82EF95);
        for (uint32_t i = 0; i < targets->count && rc == ERR_OK && !stop_is_requested(); i++) {
            uint32_t index = (round + i) % targets->count;
            rc = targets_turn(targets, index, &turn, traffic, one, err);
            load_result_merge(&results[index], one, LOAD_IN_TURN);
        }
    }
    free(one);
    return rc;
}
