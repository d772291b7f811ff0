/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/num.h"
#include "tools/train/dataset.h"
#include "tools/train/options_table.h"

const char *train_command_name(enum train_command command)
{
    return train_command[command].name;
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
        known[i] = train_command[i].name;
        if (strcmp(text, train_command[i].name) == 0) {
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
    const char *known[TRAIN_OPTION_ROWS + 1] = {0};
    size_t known_count = 0;
    char name[48];
    char hint[96];
    for (size_t i = 0; i < TRAIN_OPTION_ROWS; i++) {
        if ((train_option[i].commands & 1u << command) == 0)
            continue;
        known[known_count++] = train_option[i].name;
        if (strlen(train_option[i].name) == len && memcmp(train_option[i].name, text, len) == 0) {
            *ret_option = &train_option[i];
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

static bool is_choice(const struct option *option, const char *text)
{
    const size_t len = strlen(text);
    for (const char *at = option->argument; *at != '\0';) {
        const size_t choice_len = strcspn(at, "|");
        if (choice_len == len && memcmp(at, text, len) == 0)
            return true;
        at += choice_len + (at[choice_len] == '|');
    }
    return false;
}

/* "--method: expected ease or cosine, got 'x'" */
static enum err_code no_choice(const struct option *option, const char *text, struct err *err)
{
    char choices[128] = "";
    size_t used = 0;
    for (const char *at = option->argument; *at != '\0';) {
        const size_t len = strcspn(at, "|");
        const bool is_last = at[len] == '\0';
        const char *between = used == 0 ? "" : is_last ? " or " : ", ";
        used += (size_t)snprintf(choices + used, sizeof choices - used, "%s%.*s", between, (int)len,
                                 at);
        at += len + !is_last;
    }
    return err_set(err, ERR_BAD_INPUT, "%s: expected %s, got '%.40s'", option->name, choices, text);
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
    case OPTION_CHOICE:
        if (!is_choice(option, text))
            return no_choice(option, text, err);
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
    uint64_t bit = UINT64_C(1) << (option - train_option);
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
    for (size_t i = 0; i < TRAIN_OPTION_ROWS; i++) {
        if (train_option[i].fallback == NULL || (train_option[i].commands & 1u << to->command) == 0)
            continue;
        enum err_code rc = set_option(&train_option[i], train_option[i].fallback, to, err);
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
    for (size_t i = 0; i < TRAIN_OPTION_ROWS; i++) {
        if ((seen & UINT64_C(1) << i) == 0)
            continue;
        neighbors = neighbors || strcmp(train_option[i].name, "--neighbors") == 0;
        energy = energy || strcmp(train_option[i].name, "--energy") == 0;
        for (size_t k = 0; k < sizeof only / sizeof only[0]; k++) {
            if (strcmp(train_option[i].name, only[k].option) == 0 &&
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

/* What a pointwise model learns is a probability, not a grade. */
static enum err_code check_objective(const struct train_options *options, struct err *err)
{
    if (strcmp(options->objective, "logistic") != 0 || strcmp(options->label, "graded") != 0)
        return ERR_OK;
    return err_set(err, ERR_BAD_INPUT,
                   "--objective logistic wants --label purchased, carted or clicked");
}

enum err_code train_options_parse(int argc, char *const *argv, struct train_options *ret_options,
                                  struct err *err)
{
    struct train_options made = {0};
    uint64_t seen = 0;
    _Static_assert(TRAIN_OPTION_ROWS <= 64, "`seen` has a bit for each");
    if (argc < 2)
        return err_set(err, ERR_BAD_INPUT, "no command given");
    if (strcmp(argv[1], "--help") == 0) {
        *ret_options = (struct train_options){.command = TRAIN_COMMAND_COUNT, .help = true};
        return ERR_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        *ret_options =
            (struct train_options){.command = TRAIN_COMMAND_COUNT, .tells_version = true};
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
    if (rc == ERR_OK && !made.help && made.command == TRAIN_RANKER)
        rc = check_objective(&made, err);
    for (size_t i = 0; i < TRAIN_OPTION_ROWS && rc == ERR_OK && !made.help; i++) {
        if ((train_option[i].required & 1u << made.command) != 0 && (seen & UINT64_C(1) << i) == 0)
            rc = err_set(err, ERR_BAD_INPUT, "%s: %s %s is missing",
                         train_command_name(made.command), train_option[i].name,
                         train_option[i].argument);
    }
    if (rc == ERR_OK)
        *ret_options = made;
    return rc;
}

static void help_overview(FILE *out)
{
    fprintf(out,
            "usage: decide-train COMMAND [options]\n\n"
            "Trains models from what happens in a shop and writes them as bundles that decided "
            "serves.\n\ncommands:\n");
    for (int i = 0; i < TRAIN_COMMAND_COUNT; i++)
        fprintf(out, "  %-11s %s\n", train_command[i].name, train_command[i].help);
    fprintf(out,
            "\ndecide-train COMMAND --help shows the options of a command, --version the version.\n"
            "Exit codes: 0 fine, 1 failure, 2 usage.\n");
}

void train_options_help(enum train_command command, FILE *out)
{
    if (command == TRAIN_COMMAND_COUNT) {
        help_overview(out);
        return;
    }
    fprintf(out, "usage: decide-train %s", train_command[command].name);
    for (size_t i = 0; i < TRAIN_OPTION_ROWS; i++) {
        if ((train_option[i].required & 1u << command) != 0)
            fprintf(out, " %s %s", train_option[i].name, train_option[i].argument);
    }
    fprintf(out, " [options]\n\n%s\n\noptions:\n", train_command[command].help);
    for (size_t i = 0; i < TRAIN_OPTION_ROWS; i++) {
        const struct option *option = &train_option[i];
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
