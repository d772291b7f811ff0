/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/num.h"
#include "tools/train/evaluate.h"
#include "tools/train/neighbors.h"
#include "tools/train/parallel.h"

enum option_kind {
    OPTION_TEXT,
    OPTION_NAME, /* a plain name, fit for a folder */
    OPTION_METHOD,
    OPTION_FORMAT,
    OPTION_COUNT, /* whole number, min..max */
    OPTION_REAL,  /* min..max */
    OPTION_SPLIT, /* time:ISODATE */
    OPTION_FLAG
};

#define F         (1u << TRAIN_FACTORS)
#define N         (1u << TRAIN_NEIGHBORS)
#define P         (1u << TRAIN_POPULARITY)
#define E         (1u << TRAIN_EVAL)
#define T         (F | N | P) /* all that train */
#define A         (T | E)
#define AT(field) offsetof(struct train_options, field)

struct option {
    const char *name, *argument;
    enum option_kind kind;
    unsigned commands, required; /* bits by train_command */
    size_t at;
    double min, max;
    const char *fallback; /* parsed like an argument; NULL: none */
    const char *help;
};

static const struct option options[] = {
    {"--events", "FILE", OPTION_TEXT, A, A, AT(events), 0, 0, NULL,
     "events: CSV or NDJSON, also gzipped"},
    {"--map", "FILE", OPTION_TEXT, A, 0, AT(map), 0, 0, NULL,
     "which columns make an event (CSV needs one; see docs/import.md)"},
    {"--out", "DIR", OPTION_TEXT, T, T, AT(out), 0, 0, NULL, "where DIR/NAME/VERSION is written"},
    {"--name", "NAME", OPTION_NAME, T, 0, AT(name), 0, 0, NULL,
     "name of the model (default: the kind)"},
    {"--version", "VERSION", OPTION_NAME, T, 0, AT(version), 0, 0, NULL,
     "version of the model (default: the time in UTC)"},
    {"--format", "csv|ndjson", OPTION_FORMAT, A, 0, AT(format), 0, 0, NULL,
     "of the file (default: by its name)"},
    {"--url", "URL", OPTION_TEXT, E, 0, AT(url), 0, 0, NULL,
     "the daemon to ask (default: DECIDED_URL, or tcp://127.0.0.1:7100)"},
    {"--eval", "time:DATE", OPTION_SPLIT, A, E, AT(eval_s), 0, 0, NULL,
     "train on events before that time (UTC), test on those after it"},
    {"--k", "K", OPTION_COUNT, A, 0, AT(k), 1, EVALUATE_K_MAX, "20", "length of the lists tested"},
    {"--slot-new", "SLOT", OPTION_TEXT, E, 0, AT(slot_new), 0, 0, "home",
     "slot asked for items that the person has not bought"},
    {"--slot-any", "SLOT", OPTION_TEXT, E, 0, AT(slot_any), 0, 0, "again",
     "slot asked for items of any kind, repeat purchases included"},
    {"--factors", "D", OPTION_COUNT, F, 0, AT(factors), 1, 512, "64",
     "factors of a user and an item"},
    {"--sweeps", "S", OPTION_COUNT, F, 0, AT(sweeps), 1, 1000, "12",
     "how often users and items are solved for"},
    {"--regularization", "R", OPTION_REAL, F, 0, AT(regularization), 0, 1e9, "0.003",
     "pulls factors to zero, in proportion to how much is known of a row"},
    {"--regularization-exponent", "NU", OPTION_REAL, F, 0, AT(regularization_exponent), 0, 2, "1",
     "1: in full proportion, 0: the same for all rows"},
    {"--unobserved-weight", "W", OPTION_REAL, F, 0, AT(unobserved_weight), 0, 1e6, "0.3",
     "weight of what a person did not touch"},
    {"--seed", "S", OPTION_COUNT, F, 0, AT(seed), 0, 9007199254740992.0, "1",
     "the same seed gives the same model, whatever --threads says"},
    {"--method", "ease|cosine", OPTION_METHOD, N, 0, AT(method), 0, 0, "ease",
     "ease: a linear model over all items; cosine: overlap of buyers"},
    {"--neighbors", "K", OPTION_COUNT, N, 0, AT(neighbor_count), 1, NEIGHBORS_PER_ROW_MAX, NULL,
     "neighbors kept per item, on average for ease (default: ease what --energy says, cosine 50)"},
    {"--energy", "E", OPTION_REAL, N, 0, AT(energy), 0, 1, "0.9",
     "ease without --neighbors: keep the strongest until they hold this share of the sum of all "
     "squared weights, 60 to 300 per item"},
    {"--lambda", "L", OPTION_REAL, N, 0, AT(lambda), 1e-6, 1e9, "500", "regularisation of ease"},
    {"--shrinkage", "S", OPTION_REAL, N, 0, AT(shrinkage), 0, 1e9, "10",
     "pulls cosines of items with few buyers to zero"},
    {"--days", "D", OPTION_COUNT, P, 0, AT(days), 1, 36500, NULL,
     "count only the last D days before the newest event (default: all)"},
    {"--threads", "N", OPTION_COUNT, A, 0, AT(threads), 1, PARALLEL_THREADS_MAX, "2",
     "threads that work"},
    {"--json", NULL, OPTION_FLAG, A, 0, AT(json), 0, 0, NULL, "print one JSON value, no table"},
    {"--help", NULL, OPTION_FLAG, A, 0, AT(help), 0, 0, NULL, "show this"},
};

#undef F
#undef N
#undef P
#undef E
#undef T
#undef A
#undef AT

#define OPTION_ROWS (sizeof options / sizeof options[0])

static const struct {
    const char *name, *help;
} commands[TRAIN_COMMAND_COUNT] = {
    [TRAIN_FACTORS] = {"factors", "matrix factorisation by alternating least squares (iALS)"},
    [TRAIN_NEIGHBORS] = {"neighbors", "item-to-item lists (EASE, or shrunk cosine)"},
    [TRAIN_POPULARITY] = {"popularity", "how many people took each item"},
    [TRAIN_EVAL] = {"eval", "test what a running daemon recommends"},
};

const char *train_command_name(enum train_command command)
{
    return commands[command].name;
}

/* ", did you mean 'x'?" or nothing. */
static const char *suggestion(const char *got, const char *const *known, char *buf, size_t bytes)
{
    const char *nearest = json_nearest(text_of(got), known);
    buf[0] = '\0';
    if (nearest != NULL)
        snprintf(buf, bytes, ", did you mean '%s'?", nearest);
    return buf;
}

static enum err_code parse_command(const char *text, enum train_command *ret_command,
                                   struct err *err)
{
    const char *known[TRAIN_COMMAND_COUNT + 1] = {0};
    char hint[96];
    for (int i = 0; i < TRAIN_COMMAND_COUNT; i++) {
        known[i] = commands[i].name;
        if (strcmp(text, commands[i].name) == 0) {
            *ret_command = (enum train_command)i;
            return ERR_OK;
        }
    }
    return err_set(err, ERR_BAD_INPUT, "unknown command '%.40s'%s", text,
                   suggestion(text, known, hint, sizeof hint));
}

static enum err_code find_option(const char *text, size_t len, enum train_command command,
                                 const struct option **ret_option, struct err *err)
{
    const char *known[OPTION_ROWS + 1] = {0};
    size_t known_count = 0;
    char name[48];
    char hint[96];
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if ((options[i].commands & 1u << command) == 0)
            continue;
        known[known_count++] = options[i].name;
        if (strlen(options[i].name) == len && memcmp(options[i].name, text, len) == 0) {
            *ret_option = &options[i];
            return ERR_OK;
        }
    }
    text_copy((struct text){text, (uint32_t)len}, name, sizeof name);
    return err_set(err, ERR_BAD_INPUT, "%s: unknown option '%s'%s", train_command_name(command),
                   name, suggestion(name, known, hint, sizeof hint));
}

static enum err_code set_count(const struct option *option, const char *text, uint64_t *ret_value,
                               struct err *err)
{
    int64_t value = 0;
    if (!num_parse_int(text_of(text), (int64_t)option->min, (int64_t)option->max, &value))
        return err_set(err, ERR_BAD_INPUT, "%s: expected a whole number %.0f..%.0f, got '%.40s'",
                       option->name, option->min, option->max, text);
    *ret_value = (uint64_t)value;
    return ERR_OK;
}

static enum err_code set_real(const struct option *option, const char *text, double *ret_value,
                              struct err *err)
{
    double value = 0.0;
    if (!num_parse_real(text_of(text), &value) || value < option->min || value > option->max)
        return err_set(err, ERR_BAD_INPUT, "%s: expected a number %g..%g, got '%.40s'",
                       option->name, option->min, option->max, text);
    *ret_value = value;
    return ERR_OK;
}

/* Whole seconds, since that is how interactions are kept. */
static enum err_code set_split(const struct option *option, const char *text, uint32_t *ret_value,
                               struct err *err)
{
    static const char prefix[] = "time:";
    const size_t skip = sizeof prefix - 1;
    int64_t ms = 0;
    if (strncmp(text, prefix, skip) != 0 ||
        !clock_parse_iso(text + skip, strlen(text + skip), &ms) || ms < 1000 || ms % 1000 != 0 ||
        ms / 1000 >= DATASET_ALL)
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected time: and a date, such as time:2011-11-01, got '%.40s'",
                       option->name, text);
    *ret_value = (uint32_t)(ms / 1000);
    return ERR_OK;
}

static enum err_code set_option(const struct option *option, const char *text,
                                struct train_options *to, struct err *err)
{
    void *field = (char *)to + option->at;
    switch (option->kind) {
    case OPTION_FLAG: *(bool *)field = true; return ERR_OK;
    case OPTION_COUNT: return set_count(option, text, field, err);
    case OPTION_REAL: return set_real(option, text, field, err);
    case OPTION_SPLIT: return set_split(option, text, field, err);
    case OPTION_NAME:
        if (!file_is_plain_name(text))
            return err_set(err, ERR_BAD_INPUT,
                           "%s: expected 1 to 64 of A-Z a-z 0-9 . _ - (not first . or -), got "
                           "'%.80s'",
                           option->name, text);
        break;
    case OPTION_METHOD:
        if (strcmp(text, "ease") != 0 && strcmp(text, "cosine") != 0)
            return err_set(err, ERR_BAD_INPUT, "%s: expected ease or cosine, got '%.40s'",
                           option->name, text);
        break;
    case OPTION_FORMAT:
        if (strcmp(text, "csv") != 0 && strcmp(text, "ndjson") != 0)
            return err_set(err, ERR_BAD_INPUT, "%s: expected csv or ndjson, got '%.40s'",
                           option->name, text);
        break;
    case OPTION_TEXT:
        if (text[0] == '\0')
            return err_set(err, ERR_BAD_INPUT, "%s: is empty", option->name);
        break;
    }
    *(const char **)field = text;
    return ERR_OK;
}

/* One option at argv[*at], which moves behind it and its argument. */
static enum err_code parse_one(int argc, char *const *argv, int *at, struct train_options *to,
                               uint64_t *seen, struct err *err)
{
    const char *word = argv[(*at)++];
    const char *equals = strchr(word, '=');
    const struct option *option = NULL;
    size_t len = equals != NULL ? (size_t)(equals - word) : strlen(word);
    enum err_code rc = find_option(word, len, to->command, &option, err);
    if (rc != ERR_OK)
        return rc;
    uint64_t bit = UINT64_C(1) << (option - options);
    if ((*seen & bit) != 0)
        return err_set(err, ERR_BAD_INPUT, "%s: given twice", option->name);
    *seen |= bit;
    if (option->kind == OPTION_FLAG) {
        if (equals != NULL)
            return err_set(err, ERR_BAD_INPUT, "%s: takes no argument", option->name);
        return set_option(option, NULL, to, err);
    }
    if (equals == NULL && *at == argc)
        return err_set(err, ERR_BAD_INPUT, "%s: its argument %s is missing", option->name,
                       option->argument);
    return set_option(option, equals != NULL ? equals + 1 : argv[(*at)++], to, err);
}

static enum err_code set_defaults(struct train_options *to, struct err *err)
{
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if (options[i].fallback == NULL)
            continue;
        enum err_code rc = set_option(&options[i], options[i].fallback, to, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* What would have no effect is no help to anybody. */
static enum err_code check_method(const struct train_options *to, uint64_t seen, struct err *err)
{
    static const struct {
        const char *option, *method;
    } only[] = {{"--lambda", "ease"}, {"--energy", "ease"}, {"--shrinkage", "cosine"}};
    bool neighbors = false, energy = false;
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if ((seen & UINT64_C(1) << i) == 0)
            continue;
        neighbors = neighbors || strcmp(options[i].name, "--neighbors") == 0;
        energy = energy || strcmp(options[i].name, "--energy") == 0;
        for (size_t k = 0; k < sizeof only / sizeof only[0]; k++) {
            if (strcmp(options[i].name, only[k].option) == 0 &&
                strcmp(to->method, only[k].method) != 0)
                return err_set(err, ERR_BAD_INPUT, "%s: only for --method %s", only[k].option,
                               only[k].method);
        }
    }
    if (neighbors && energy)
        return err_set(err, ERR_BAD_INPUT, "--neighbors and --energy exclude each other");
    return ERR_OK;
}

static const char *default_url(void)
{
    const char *url = getenv("DECIDED_URL");
    return url != NULL && url[0] != '\0' ? url : "tcp://127.0.0.1:7100";
}

enum err_code train_options_parse(int argc, char *const *argv, struct train_options *ret_options,
                                  struct err *err)
{
    struct train_options made = {0};
    uint64_t seen = 0;
    _Static_assert(OPTION_ROWS <= 64, "`seen` has a bit for each");
    if (argc < 2)
        return err_set(err, ERR_BAD_INPUT, "no command given");
    if (strcmp(argv[1], "--help") == 0) {
        *ret_options = (struct train_options){.command = TRAIN_COMMAND_COUNT, .help = true};
        return ERR_OK;
    }
    enum err_code rc = parse_command(argv[1], &made.command, err);
    if (rc == ERR_OK)
        rc = set_defaults(&made, err);
    made.url = default_url();
    for (int at = 2; at < argc && rc == ERR_OK && !made.help;)
        rc = parse_one(argc, argv, &at, &made, &seen, err);
    if (rc == ERR_OK && !made.help && made.command == TRAIN_NEIGHBORS)
        rc = check_method(&made, seen, err);
    for (size_t i = 0; i < OPTION_ROWS && rc == ERR_OK && !made.help; i++) {
        if ((options[i].required & 1u << made.command) != 0 && (seen & UINT64_C(1) << i) == 0)
            rc = err_set(err, ERR_BAD_INPUT, "%s: %s %s is missing",
                         train_command_name(made.command), options[i].name, options[i].argument);
    }
    if (rc == ERR_OK)
        *ret_options = made;
    return rc;
}

static void help_overview(FILE *out)
{
    fprintf(out, "usage: decide-train COMMAND --events FILE [options]\n\n"
                 "Trains models from the events of a shop and writes them as bundles that decided "
                 "serves.\n\ncommands:\n");
    for (int i = 0; i < TRAIN_COMMAND_COUNT; i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\ndecide-train COMMAND --help shows the options of a command.\n"
                 "Exit codes: 0 fine, 1 failure, 2 usage.\n");
}

void train_options_help(enum train_command command, FILE *out)
{
    if (command == TRAIN_COMMAND_COUNT) {
        help_overview(out);
        return;
    }
    fprintf(out, "usage: decide-train %s", commands[command].name);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        if ((options[i].required & 1u << command) != 0)
            fprintf(out, " %s %s", options[i].name, options[i].argument);
    }
    fprintf(out, " [options]\n\n%s\n\noptions:\n", commands[command].help);
    for (size_t i = 0; i < OPTION_ROWS; i++) {
        const struct option *option = &options[i];
        char left[64];
        if ((option->commands & 1u << command) == 0)
            continue;
        snprintf(left, sizeof left, "%s %s", option->name,
                 option->argument != NULL ? option->argument : "");
        fprintf(out, "  %-30s %s", left, option->help);
        if (option->fallback != NULL)
            fprintf(out, " (default %s)", option->fallback);
        fputc('\n', out);
    }
}
