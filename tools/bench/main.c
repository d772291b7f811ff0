/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench - open-loop load on a running daemon, honest percentiles.  docs/benchmarks.md */
#include <stdio.h>
#include <string.h>

#include "tools/bench/link.h"
#include "tools/bench/measure.h"
#include "tools/bench/options.h"
#include "tools/bench/plan_command.h"
#include "tools/bench/quality_command.h"
#include "tools/bench/stop.h"
#include "tools/cli/failure.h"
#include "tools/cli/output.h"
#include "tools/train/remote.h"

enum { BENCH_FINE = 0 };

static int tell(int exit_code, const struct err *err, bool json)
{
    return failure_tell("decide-bench", exit_code, err->text, json);
}

static int run_plan(int argc, char **argv)
{
    struct plan_options options;
    struct err err = {0};
    if (plan_options_parse(argc, argv, &options, &err) != ERR_OK)
        return tell(FAILURE_USAGE, &err, failure_wants_json(argc, argv));
    if (options.help) {
        plan_options_help(stdout);
        return BENCH_FINE;
    }
    return plan_command(&options, stdout, &err) == ERR_OK
               ? BENCH_FINE
               : tell(FAILURE_FAILED, &err, options.json);
}

static int run_quality(int argc, char **argv)
{
    struct quality_options options;
    struct err err = {0};
    if (quality_options_parse(argc, argv, &options, &err) != ERR_OK)
        return tell(FAILURE_USAGE, &err, failure_wants_json(argc, argv));
    if (options.help) {
        quality_options_help(stdout);
        return BENCH_FINE;
    }
    if (remote_check_url(options.url, &err) != ERR_OK)
        return tell(FAILURE_USAGE, &err, options.json);
    return quality_command(&options, clock_system(), stdout, stderr, &err) == ERR_OK
               ? BENCH_FINE
               : tell(FAILURE_FAILED, &err, options.json);
}

static int run_measure(const struct bench_options *options)
{
    struct link_target target;
    struct err err = {0};
    bool reported = false;
    if (link_resolve(options->url, &target, &err) != ERR_OK)
        return tell(FAILURE_USAGE, &err, options->json);
    stop_on_signals();
    if (measure(options, stdout, &reported, &err) == ERR_OK)
        return BENCH_FINE;
    return tell(FAILURE_FAILED, &err, options->json && !reported);
}

static int run_program(int argc, char **argv)
{
    struct bench_options options;
    struct err err = {0};
    if (argc > 1 && strcmp(argv[1], "plan") == 0)
        return run_plan(argc, argv);
    if (argc > 1 && strcmp(argv[1], "quality") == 0)
        return run_quality(argc, argv);
    if (bench_options_parse(argc, argv, &options, &err) != ERR_OK)
        return tell(FAILURE_USAGE, &err, failure_wants_json(argc, argv));
    if (options.help) {
        bench_options_help(stdout);
        return BENCH_FINE;
    }
    if (options.version) {
        puts("decide-bench " DECIDED_VERSION);
        return BENCH_FINE;
    }
    return run_measure(&options);
}

int main(int argc, char **argv)
{
    return output_close("decide-bench", run_program(argc, argv));
}
