/* SPDX-License-Identifier: Apache-2.0 */
/* options - the command line of decide-bench.  Threads: none. */
#ifndef TOOLS_BENCH_OPTIONS_H
#define TOOLS_BENCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define BENCH_CONNECTIONS_MAX 1024
#define BENCH_PROCESSES_MAX   64
#define BENCH_ROUNDS_MAX      1000
#define BENCH_RATE_MAX        1e7
#define BENCH_SECONDS_MAX     86400
#define BENCH_PAD_BYTES_MAX   65536
#define BENCH_ITEMS_MAX       200 /* items of one rank or price request */
#define BENCH_SLOTS_MAX       16  /* of one decide request */

enum bench_op {
    BENCH_PING,
    BENCH_RECOMMEND,
    BENCH_SIMILAR,
    BENCH_RANK,
    BENCH_PRICE,
    BENCH_FEATURES,
    BENCH_DECIDE,
    BENCH_OP_COUNT
};

enum bench_mode { BENCH_OPEN, BENCH_CLOSED, BENCH_SWEEP };

enum bench_arrivals { BENCH_POISSON, BENCH_CONSTANT };

enum bench_yardstick { BENCH_NO_YARDSTICK, BENCH_RAW, BENCH_NNG, BENCH_BOTH };

struct bench_options {
    const char *url;
    enum bench_op op;
    enum bench_mode mode;
    double rate; /* requests a second; for a sweep where it begins */
    double duration_s, warmup_s;
    uint32_t connections; /* of all processes together */
    uint32_t processes;
    enum bench_arrivals arrivals;
    enum bench_yardstick yardstick;
    uint32_t rounds;                     /* in which daemon and yardsticks take turns */
    const char *users_file, *items_file; /* NULL: generated */
    uint32_t user_count, item_count;     /* generated names */
    double zipf;
    const char *slot; /* NULL: the default one; of `decide` several between commas */
    uint32_t n;
    uint32_t pad_bytes;
    uint64_t budget_us; /* 0: none is sent */
    uint64_t limit_us;  /* a sweep's limit of p99 */
    uint64_t seed;
    const char *svg_file, *compare_file;                /* NULL: none */
    bool closed, sweep, histogram, json, help, version; /* closed, sweep: see mode */
};

/* ERR_BAD_INPUT names the option, what it expects and what it got. */
MUST_CHECK enum err_code bench_options_parse(int argc, char **argv,
                                             struct bench_options *ret_options, struct err *err);
void bench_options_help(FILE *out);
const char *bench_op_name(enum bench_op op);
/* Whether its requests carry --n, and --slot. */
bool bench_op_has_n(enum bench_op op);
bool bench_op_has_slot(enum bench_op op);

#endif
