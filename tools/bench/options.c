/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "tools/bench/arguments.h"
#include "tools/bench/zipf.h"

static const char *const op_names[] = {"ping",  "recommend", "similar", "rank",
                                       "price", "features",  "decide",  NULL};
static const char *const arrival_names[] = {"poisson", "constant", NULL};
static const char *const yardstick_names[] = {"none", "raw", "nng", "both", NULL};

_Static_assert(sizeof op_names / sizeof op_names[0] == BENCH_OP_COUNT + 1, "each op has a name");

#define AT(field) offsetof(struct bench_options, field)

static const struct argument rows[] = {
    {"url", ARG_TEXT, AT(url), 0, ARGUMENT_TEXT_BYTES, "URL",
     "the daemon (DECIDED_URL, or tcp://127.0.0.1:7100)", NULL},
    {"op", ARG_CHOICE, AT(op), 0, 0, "OP",
     "ping, recommend, similar, rank, price, features or decide", op_names},
    {"arrivals", ARG_CHOICE, AT(arrivals), 0, 0, "KIND", "poisson or constant (poisson)",
     arrival_names},
    {"rate", ARG_REAL, AT(rate), 1, BENCH_RATE_MAX, "R", "requests a second (1000)", NULL},
    {"duration", ARG_REAL, AT(duration_s), 0.01, BENCH_SECONDS_MAX, "S", "seconds measured (10)",
     NULL},
    {"warmup", ARG_REAL, AT(warmup_s), 0, BENCH_SECONDS_MAX, "S", "seconds before that (1)", NULL},
    {"connections", ARG_U32, AT(connections), 1, BENCH_CONNECTIONS_MAX, "N",
     "connections; requests are pipelined on them (4; with --closed 1)", NULL},
    {"processes", ARG_U32, AT(processes), 1, BENCH_PROCESSES_MAX, "N",
     "processes that divide rate and connections among them (1)", NULL},
    {"yardstick", ARG_CHOICE, AT(yardstick), 0, 0, "WHICH",
     "measure an echo beside it: raw (epoll), nng, both or none (none)", yardstick_names},
    {"rounds", ARG_U32, AT(rounds), 1, BENCH_ROUNDS_MAX, "N",
     "turns into which the duration is cut with --yardstick (5)", NULL},
    {"users", ARG_TEXT, AT(users_file), 0, ARGUMENT_TEXT_BYTES, "FILE", "user ids, one per line",
     NULL},
    {"user-count", ARG_U32, AT(user_count), 1, ZIPF_COUNT_MAX, "N",
     "without --users: u1, u2, ... (1000)", NULL},
    {"items", ARG_TEXT, AT(items_file), 0, ARGUMENT_TEXT_BYTES, "FILE", "item ids, one per line",
     NULL},
    {"item-count", ARG_U32, AT(item_count), 1, ZIPF_COUNT_MAX, "N",
     "without --items: i1, i2, ... (1000)", NULL},
    {"zipf", ARG_REAL, AT(zipf), 0, ZIPF_EXPONENT_MAX, "S",
     "exponent of how unequally users and items are asked for; 0: equally (0.8)", NULL},
    {"slot", ARG_TEXT, AT(slot), 0, ARGUMENT_TEXT_BYTES, "SLOT",
     "the slot of the policies; for decide several, between commas", NULL},
    {"n", ARG_U32, AT(n), 1, BENCH_ITEMS_MAX, "N",
     "items asked for, or sent by rank and price (20)", NULL},
    {"pad", ARG_U32, AT(pad_bytes), 0, BENCH_PAD_BYTES_MAX, "BYTES",
     "ping: bytes of padding in the reply (0)", NULL},
    {"budget", ARG_U64, AT(budget_us), 1, 60e6, "US", "budget_us of each request (none)", NULL},
    {"limit", ARG_U64, AT(limit_us), 1, 60e6, "US", "--sweep: p99 to stay under (1000)", NULL},
    {"seed", ARG_U64, AT(seed), 0, 9e15, "S", "of arrivals and names (1)", NULL},
    {"histogram", ARG_FLAG, AT(histogram), 0, 0, NULL, "print all percentiles, and bars", NULL},
    {"svg", ARG_TEXT, AT(svg_file), 0, ARGUMENT_TEXT_BYTES, "FILE", "draw the percentiles", NULL},
    {"compare", ARG_TEXT, AT(compare_file), 0, ARGUMENT_TEXT_BYTES, "FILE",
     "an earlier result of --json, shown as \"before\"", NULL},
    {"closed", ARG_FLAG, AT(closed), 0, 0, NULL, "one request at a time per connection", NULL},
    {"sweep", ARG_FLAG, AT(sweep), 0, 0, NULL, "find the peak", NULL},
    {"json", ARG_FLAG, AT(json), 0, 0, NULL, "print one JSON object", NULL},
    {"help", ARG_FLAG, AT(help), 0, 0, NULL, "print this", NULL},
    {"version", ARG_FLAG, AT(version), 0, 0, NULL, "print the version", NULL},
};

enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

const char *bench_op_name(enum bench_op op)
{
    return op_names[op];
}

bool bench_op_has_n(enum bench_op op)
{
    return op != BENCH_PING && op != BENCH_FEATURES;
}

bool bench_op_has_slot(enum bench_op op)
{
    return op != BENCH_PING;
}

void bench_options_help(FILE *out)
{
    fputs("usage: decide-bench [--url URL] --op OP [--rate R | --closed | --sweep] [options]\n"
          "       decide-bench plan --curve FILE... --rate R [options]     (plan --help)\n"
          "       decide-bench quality --events FILE --eval time:DATE      (quality --help)\n"
          "\n"
          "Measures a running daemon.  Requests leave when they are due, whatever the replies do,\n"
          "and latency counts from then (open loop).  --closed: one at a time per connection,\n"
          "from when it was sent.  --sweep: finds the highest rate that keeps p99 under --limit\n"
          "and that is achieved to 99 %, then measures around it and at half of it.\n"
          "With --yardstick, daemon and echo take turns under the same load.  Ctrl-C ends early.\n"
          "\n",
          out);
    arguments_help(rows, ROW_COUNT, out);
}

static enum err_code check_slots(const struct bench_options *options, struct err *err)
{
    const char *separators = options->op == BENCH_DECIDE ? "," : "";
    uint32_t count = 0;
    if (options->op == BENCH_DECIDE && options->slot == NULL)
        return err_set(err, ERR_BAD_INPUT, "--slot is missing: decide wants slots between commas");
    for (const char *at = options->slot; at != NULL; count++) {
        size_t len = strcspn(at, separators);
        if (len == 0 || len > ID_BYTES_MAX)
            return err_set(err, ERR_BAD_INPUT, "--slot: expected 1 to %d bytes a slot, got %zu",
                           ID_BYTES_MAX, len);
        at = at[len] == '\0' ? NULL : at + len + 1;
    }
    if (count > BENCH_SLOTS_MAX)
        return err_set(err, ERR_BAD_INPUT, "--slot: expected at most %d slots, got %u",
                       BENCH_SLOTS_MAX, count);
    return ERR_OK;
}

/* What depends on several options. */
static enum err_code complete(struct bench_options *options, struct err *err)
{
    if (options->op == BENCH_OP_COUNT && !options->help && !options->version)
        return err_set(err, ERR_BAD_INPUT, "--op is missing");
    if (options->closed && options->sweep)
        return err_set(err, ERR_BAD_INPUT, "--closed and --sweep exclude each other");
    options->mode = options->closed ? BENCH_CLOSED : options->sweep ? BENCH_SWEEP : BENCH_OPEN;
    if (options->closed && options->rate > 0)
        return err_set(err, ERR_BAD_INPUT, "--rate has no meaning with --closed");
    if (options->rounds > 0 && options->yardstick == BENCH_NO_YARDSTICK)
        return err_set(err, ERR_BAD_INPUT, "--rounds has no meaning without --yardstick");
    if (options->rounds == 0)
        options->rounds = options->yardstick == BENCH_NO_YARDSTICK ? 1 : 5;
    if (options->rate <= 0)
        options->rate = 1000;
    uint32_t usual = options->mode == BENCH_CLOSED ? 1 : 4;
    if (options->connections == 0)
        options->connections = options->processes > usual ? options->processes : usual;
    if (options->connections < options->processes)
        return err_set(err, ERR_BAD_INPUT,
                       "--connections: expected one or more for each of %u processes, got %u",
                       options->processes, options->connections);
    return check_slots(options, err);
}

enum err_code bench_options_parse(int argc, char **argv, struct bench_options *ret_options,
                                  struct err *err)
{
    const char *url = getenv("DECIDED_URL");
    struct bench_options options = {.url = url != NULL && url[0] != '\0' ? url
                                                                         : "tcp://127.0.0.1:7100",
                                    .op = BENCH_OP_COUNT,
                                    .duration_s = 10,
                                    .warmup_s = 1,
                                    .processes = 1,
                                    .user_count = 1000,
                                    .item_count = 1000,
                                    .zipf = 0.8,
                                    .n = 20,
                                    .limit_us = 1000,
                                    .seed = 1};
    enum err_code rc = arguments_parse(argc, argv, 1, rows, ROW_COUNT, &options, err);
    if (rc == ERR_OK)
        rc = complete(&options, err);
    if (rc == ERR_OK)
        *ret_options = options;
    return rc;
}
