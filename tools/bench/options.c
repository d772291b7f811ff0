/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/options.h"

#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "tools/bench/zipf.h"

/* Each option once: its name, what its value is, where it goes, its range and its help. */
enum kind { KIND_FLAG, KIND_TEXT, KIND_REAL, KIND_U32, KIND_U64 };

struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    double min, max; /* of a number; the most bytes of a text */
    const char *value, *help;
};

#define AT(field) offsetof(struct bench_options, field)

static const struct row rows[] = {
    {"url", KIND_TEXT, AT(url), 0, 4096, "URL",
     "the daemon (DECIDED_URL, or tcp://127.0.0.1:7100)"},
    {"rate", KIND_REAL, AT(rate), 1, BENCH_RATE_MAX, "R", "requests a second (1000)"},
    {"duration", KIND_REAL, AT(duration_s), 0.01, BENCH_SECONDS_MAX, "S", "seconds measured (10)"},
    {"warmup", KIND_REAL, AT(warmup_s), 0, BENCH_SECONDS_MAX, "S", "seconds before that (1)"},
    {"connections", KIND_U32, AT(connections), 1, BENCH_CONNECTIONS_MAX, "N",
     "connections; requests are pipelined on them (4; with --closed 1)"},
    {"users", KIND_TEXT, AT(users_file), 0, 4096, "FILE", "user ids, one per line"},
    {"user-count", KIND_U32, AT(user_count), 1, ZIPF_COUNT_MAX, "N",
     "without --users: u1, u2, ... (1000)"},
    {"items", KIND_TEXT, AT(items_file), 0, 4096, "FILE", "item ids, one per line"},
    {"item-count", KIND_U32, AT(item_count), 1, ZIPF_COUNT_MAX, "N",
     "without --items: i1, i2, ... (1000)"},
    {"zipf", KIND_REAL, AT(zipf), 0, ZIPF_EXPONENT_MAX, "S",
     "exponent of how unequally users and items are asked for; 0: equally (0.8)"},
    {"slot", KIND_TEXT, AT(slot), 0, 128, "SLOT", "the slot of the policies"},
    {"n", KIND_U32, AT(n), 1, BENCH_ITEMS_MAX, "N",
     "items asked for, or sent by rank and price (20)"},
    {"pad", KIND_U32, AT(pad_bytes), 0, BENCH_PAD_BYTES_MAX, "BYTES",
     "ping: bytes of padding in the reply (0)"},
    {"budget", KIND_U64, AT(budget_us), 1, 60e6, "US", "budget_us of each request (none)"},
    {"limit", KIND_U64, AT(limit_us), 1, 60e6, "US", "--sweep: p99 to stay under (1000)"},
    {"seed", KIND_U64, AT(seed), 0, 9e15, "S", "of arrivals and names (1)"},
    {"json", KIND_FLAG, AT(json), 0, 0, NULL, "print one JSON object"},
    {"help", KIND_FLAG, AT(help), 0, 0, NULL, "print this"},
    {"version", KIND_FLAG, AT(version), 0, 0, NULL, "print the version"},
};

static const char *const op_names[] = {"ping", "recommend", "similar", "rank", "price", "features"};

const char *bench_op_name(enum bench_op op)
{
    return op_names[op];
}

void bench_options_help(FILE *out)
{
    fputs("usage: decide-bench [--url URL] --op OP [--rate R | --closed | --sweep] [options]\n"
          "\n"
          "Measures a running daemon.  Requests leave when they are due, whatever the replies do,\n"
          "and latency counts from then (open loop).  --closed: one at a time per connection,\n"
          "from when it was sent.  --sweep: finds the highest rate that keeps p99 under --limit\n"
          "and that is achieved to 99 %, then measures at half of it.\n"
          "\n",
          out);
    fprintf(out, "  --%-22s %s\n", "op OP", "ping, recommend, similar, rank, price or features");
    fprintf(out, "  --%-22s %s\n", "arrivals KIND", "poisson or constant (poisson)");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char left[32];
        snprintf(left, sizeof left, "%s%s%s", rows[i].name, rows[i].value == NULL ? "" : " ",
                 rows[i].value == NULL ? "" : rows[i].value);
        fprintf(out, "  --%-22s %s\n", left, rows[i].help);
    }
}

static enum err_code set_number(const struct row *row, const char *value,
                                struct bench_options *options, struct err *err)
{
    char *field = (char *)options + row->offset;
    double real = 0;
    int64_t integer = 0;
    bool fine = row->kind == KIND_REAL
                    ? num_parse_real(text_of(value), &real) && real >= row->min && real <= row->max
                    : num_parse_int(text_of(value), (int64_t)row->min, (int64_t)row->max, &integer);
    if (!fine)
        return err_set(err, ERR_BAD_INPUT, "--%s: expected a%s number %.12g..%.12g, got '%s'",
                       row->name, row->kind == KIND_REAL ? "" : " whole", row->min, row->max,
                       value);
    if (row->kind == KIND_REAL)
        *(double *)(void *)field = real;
    else if (row->kind == KIND_U32)
        *(uint32_t *)(void *)field = (uint32_t)integer;
    else
        *(uint64_t *)(void *)field = (uint64_t)integer;
    return ERR_OK;
}

static enum err_code set_op(const char *value, struct bench_options *options, bool *has_op,
                            struct err *err)
{
    for (size_t i = 0; i < sizeof op_names / sizeof op_names[0]; i++) {
        if (strcmp(value, op_names[i]) == 0) {
            options->op = (enum bench_op)i;
            *has_op = true;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_BAD_INPUT,
                   "--op: expected ping, recommend, similar, rank, price or features, got '%s'",
                   value);
}

static enum err_code set_arrivals(const char *value, struct bench_options *options, struct err *err)
{
    options->poisson = strcmp(value, "poisson") == 0;
    if (!options->poisson && strcmp(value, "constant") != 0)
        return err_set(err, ERR_BAD_INPUT, "--arrivals: expected poisson or constant, got '%s'",
                       value);
    return ERR_OK;
}

static enum err_code set_row(const struct row *row, const char *value,
                             struct bench_options *options, struct err *err)
{
    char *field = (char *)options + row->offset;
    switch (row->kind) {
    case KIND_FLAG: *(bool *)field = true; return ERR_OK;
    case KIND_TEXT:
        if (strlen(value) > (size_t)row->max)
            return err_set(err, ERR_BAD_INPUT, "--%s: expected at most %.0f bytes", row->name,
                           row->max);
        *(const char **)(void *)field = value;
        return ERR_OK;
    default: return set_number(row, value, options, err);
    }
}

static const struct row *find_row(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

/* One option; *index moves over its value when it takes one. */
static enum err_code take(int argc, char **argv, int *index, struct bench_options *options,
                          bool *has_op, struct err *err)
{
    const char *name = argv[*index];
    if (strncmp(name, "--", 2) != 0)
        return err_set(err, ERR_BAD_INPUT, "expected an option, got '%s'", name);
    name += 2;
    if (strcmp(name, "closed") == 0 || strcmp(name, "sweep") == 0) {
        if (options->mode != BENCH_OPEN)
            return err_set(err, ERR_BAD_INPUT, "--closed and --sweep exclude each other");
        options->mode = name[0] == 'c' ? BENCH_CLOSED : BENCH_SWEEP;
        return ERR_OK;
    }
    const struct row *row = find_row(name);
    bool special = strcmp(name, "op") == 0 || strcmp(name, "arrivals") == 0;
    if (row == NULL && !special)
        return err_set(err, ERR_BAD_INPUT, "there is no option --%s", name);
    if (row != NULL && row->kind == KIND_FLAG)
        return set_row(row, NULL, options, err);
    if (*index + 1 == argc)
        return err_set(err, ERR_BAD_INPUT, "--%s: a value is missing", name);
    const char *value = argv[++*index];
    if (row != NULL)
        return set_row(row, value, options, err);
    return strcmp(name, "op") == 0 ? set_op(value, options, has_op, err)
                                   : set_arrivals(value, options, err);
}

enum err_code bench_options_parse(int argc, char **argv, struct bench_options *ret_options,
                                  struct err *err)
{
    bool has_op = false;
    const char *url = getenv("DECIDED_URL");
    struct bench_options options = {.url = url != NULL && url[0] != '\0' ? url
                                                                         : "tcp://127.0.0.1:7100",
                                    .rate = 0,
                                    .duration_s = 10,
                                    .warmup_s = 1,
                                    .poisson = true,
                                    .user_count = 1000,
                                    .item_count = 1000,
                                    .zipf = 0.8,
                                    .n = 20,
                                    .limit_us = 1000,
                                    .seed = 1};
    for (int i = 1; i < argc; i++) {
        enum err_code rc = take(argc, argv, &i, &options, &has_op, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (!has_op && !options.help && !options.version)
        return err_set(err, ERR_BAD_INPUT, "--op is missing");
    if (options.mode == BENCH_CLOSED && options.rate > 0)
        return err_set(err, ERR_BAD_INPUT, "--rate has no meaning with --closed");
    if (options.rate <= 0)
        options.rate = 1000;
    if (options.connections == 0)
        options.connections = options.mode == BENCH_CLOSED ? 1 : 4;
    *ret_options = options;
    return ERR_OK;
}
