/* SPDX-License-Identifier: Apache-2.0 */
/* decide-shop - a made-up shop with known truth, for trying things on. */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/num.h"
#include "tools/cli/failure.h"
#include "tools/cli/output.h"
#include "tools/shop/generate.h"

#define MS_PER_DAY  INT64_C(86400000)
#define END_DAY_MAX 49000 /* 2104: event times are kept as seconds in 32 bits */

static const char help[] =
    "usage: decide-shop generate --out DIR [options]\n"
    "\n"
    "Makes up a shop and writes DIR/items.ndjson and DIR/events.ndjson, which decidectl import\n"
    "and decide-train read, and DIR/truth.json: what the people in it really like.\n"
    "\n"
    "  --out DIR    where to write\n"
    "  --users N    people (2000)\n"
    "  --items N    items, at least 4 (800)\n"
    "  --days N     days of events (90)\n"
    "  --end DATE   the day behind the last one (2025-07-01)\n"
    "  --seed S     another seed is another shop; the same one is the same shop everywhere (1)\n"
    "  --json       print what was made as JSON\n"
    "  --version, --help\n";

struct command_line {
    struct shop_options options;
    const char *out;
    bool json;
};

static enum err_code unexpected(const char *option, const char *expected, const char *got,
                                struct err *err)
{
    return err_set(err, ERR_BAD_INPUT, "--%s: expected %s, got '%.40s'", option, expected, got);
}

static bool parse_count(const char *text, int64_t min, int64_t max, uint32_t *count)
{
    int64_t value;
    if (!num_parse_int(text_of(text), min, max, &value))
        return false;
    *count = (uint32_t)value;
    return true;
}

/* One option with its value. */
static enum err_code take_option(struct command_line *line, int letter, const char *value,
                                 struct err *err)
{
    struct shop_options *options = &line->options;
    int64_t number = 0;
    switch (letter) {
    case 'o': line->out = value; return ERR_OK;
    case 'j': line->json = true; return ERR_OK;
    case 'u':
        return parse_count(value, 1, SHOP_USERS_MAX, &options->users)
                   ? ERR_OK
                   : unexpected("users", "a number 1..5000000", value, err);
    case 'i':
        return parse_count(value, SHOP_ITEMS_MIN, SHOP_ITEMS_MAX, &options->items)
                   ? ERR_OK
                   : unexpected("items", "a number 4..1000000", value, err);
    case 'd':
        return parse_count(value, 1, SHOP_DAYS_MAX, &options->days)
                   ? ERR_OK
                   : unexpected("days", "a number 1..1830", value, err);
    case 's':
        if (!num_parse_int(text_of(value), 0, INT64_MAX, &number))
            return unexpected("seed", "a whole number", value, err);
        options->seed = (uint64_t)number;
        return ERR_OK;
    case 'e':
        if (!clock_parse_iso(value, strlen(value), &number) || number / MS_PER_DAY > END_DAY_MAX)
            return unexpected("end", "a date such as 2025-07-01", value, err);
        options->end_day = (uint32_t)(number / MS_PER_DAY);
        return ERR_OK;
    default: ASSERT(false);
    }
}

/* getopt_long names letters by optopt, and stands behind the word that it did not take otherwise.
 */
static enum err_code no_option(const char *word, struct err *err)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    return err_set(err, ERR_BAD_INPUT, "generate: there is no option '%.40s'",
                   optopt == 0 || strchr("ouidesj", optopt) != NULL ? word : letter);
}

static enum err_code parse(int argc, char **argv, struct command_line *line, struct err *err)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'},   {"users", required_argument, NULL, 'u'},
        {"items", required_argument, NULL, 'i'}, {"days", required_argument, NULL, 'd'},
        {"end", required_argument, NULL, 'e'},   {"seed", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},        {0}};
    for (int letter; (letter = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        enum err_code rc = ERR_OK;
        if (letter == ':')
            rc = err_set(err, ERR_BAD_INPUT, "generate: %.40s: a value is missing",
                         argv[optind - 1]);
        else if (letter == '?')
            rc = no_option(argv[optind - 1], err);
        else
            rc = take_option(line, letter, optarg, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (optind < argc)
        return err_set(err, ERR_BAD_INPUT, "generate: unexpected argument '%.40s'", argv[optind]);
    if (line->out == NULL)
        return err_set(err, ERR_BAD_INPUT, "generate: --out DIR is missing");
    if (line->options.end_day <= line->options.days)
        return err_set(err, ERR_BAD_INPUT, "generate: --end minus --days lies before 1970");
    return ERR_OK;
}

static void print_made(const struct command_line *line, const struct generated *made)
{
    char from[CLOCK_ISO_BYTES];
    char to[CLOCK_ISO_BYTES];
    const struct shop_options *options = &line->options;
    const struct {
        const char *name;
        uint64_t count;
    } counts[] = {{"sessions", made->sessions},      {"events", made->events},
                  {"impression", made->impressions}, {"view", made->views},
                  {"cart_add", made->cart_adds},     {"purchase", made->purchases}};
    clock_format_iso(made->from_ms, from);
    clock_format_iso(made->to_ms, to);
    if (line->json)
        printf("{\"users\":%u,\"items\":%u,\"days\":%u,\"seed\":%" PRIu64
               ",\"from\":\"%s\",\"to\":\"%s\"",
               options->users, options->items, options->days, options->seed, from, to);
    else
        printf("%s: a shop of %u people and %u items, %u days from %.10s to %.10s, seed %" PRIu64
               "\n",
               line->out, options->users, options->items, options->days, from, to, options->seed);
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        char grouped[PROGRESS_COUNT_BYTES];
        if (line->json)
            printf(",\"%s\":%" PRIu64, counts[i].name, counts[i].count);
        else
            printf("  %-12s %12s\n", counts[i].name, progress_count(counts[i].count, grouped));
    }
    fputs(line->json ? "}\n" : "", stdout);
}

static int tell(int exit_code, const struct err *err, int argc, char *const *argv)
{
    return failure_tell("decide-shop", exit_code, err->text, failure_wants_json(argc, argv));
}

static int command_generate(int argc, char **argv)
{
    struct command_line line = {
        .options = {
            .users = 2000, .items = 800, .days = 90, .end_day = SHOP_END_DEFAULT_DAY, .seed = 1}};
    struct generated made;
    struct progress progress;
    struct err err = {0};
    if (parse(argc, argv, &line, &err) != ERR_OK)
        return tell(FAILURE_USAGE, &err, argc, argv);
    progress_start(&progress, "generating", "events");
    if (generate(&line.options, line.out, &progress, &made, &err) != ERR_OK)
        return tell(FAILURE_FAILED, &err, argc, argv);
    print_made(&line, &made);
    return 0;
}

static int run_program(int argc, char **argv)
{
    bool is_help = false;
    struct err err = {0};
    for (int i = 1; i < argc; i++)
        is_help = is_help || strcmp(argv[i], "--help") == 0;
    if (is_help) {
        fputs(help, stdout);
        return 0;
    }
    if (argc == 2 && strcmp(argv[1], "--version") == 0) {
        puts("decide-shop " DECIDED_VERSION);
        return 0;
    }
    if (argc >= 2 && strcmp(argv[1], "generate") == 0)
        return command_generate(argc - 1, argv + 1);
    err_set(&err, ERR_BAD_INPUT, "expected generate, got %.40s", argc < 2 ? "nothing" : argv[1]);
    return tell(FAILURE_USAGE, &err, argc, argv);
}

int main(int argc, char **argv)
{
    return output_close("decide-shop", run_program(argc, argv));
}
