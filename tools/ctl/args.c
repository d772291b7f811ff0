/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/args.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/num.h"
#include "tools/ctl/duration.h"

#define GLOBAL_COUNT 5
#define NAMES_MAX    32

struct parse {
    const char *command;
    const struct arg *args; /* the command's */
    size_t arg_count;
    struct arg global[GLOBAL_COUNT];
};

static struct parse parse_of(struct ctl *ctl, const char *command, const struct arg *args,
                             size_t arg_count)
{
    return (struct parse){
        .command = command,
        .args = args,
        .arg_count = arg_count,
        .global = {{"url", 0, ARG_TEXT, &ctl->url, 0, 0},
                   {"token", 0, ARG_TEXT, &ctl->token, 0, 0},
                   {"token-file", 0, ARG_TEXT, &ctl->token_file, 0, 0},
                   {"json", 0, ARG_FLAG, &ctl->json, 0, 0},
                   {"timeout", 0, ARG_DURATION, &ctl->timeout_us, 0, 0}},
    };
}

static const struct arg *arg_at(const struct parse *parse, size_t index)
{
    if (index < parse->arg_count)
        return &parse->args[index];
    index -= parse->arg_count;
    return index < GLOBAL_COUNT ? &parse->global[index] : NULL;
}

static const struct arg *find_long(const struct parse *parse, struct text name)
{
    const struct arg *arg = NULL;
    for (size_t i = 0; (arg = arg_at(parse, i)) != NULL; i++) {
        if (text_is(name, arg->name))
            return arg;
    }
    return NULL;
}

static const struct arg *find_letter(const struct parse *parse, char letter)
{
    for (size_t i = 0; i < parse->arg_count; i++) {
        if (parse->args[i].letter == letter)
            return &parse->args[i];
    }
    return NULL;
}

/* As the help writes it: -n, --slot. */
static const char *dashes(const struct arg *arg)
{
    return arg->name[1] == '\0' ? "-" : "--";
}

static int unknown(const struct parse *parse, const char *option, struct text name)
{
    const char *names[NAMES_MAX] = {NULL};
    const struct arg *arg = NULL;
    for (size_t i = 0; i + 1 < NAMES_MAX && (arg = arg_at(parse, i)) != NULL; i++)
        names[i] = arg->name;
    const char *nearest = name.ptr == NULL ? NULL : json_nearest(name, names);
    if (nearest != NULL)
        ctl_usage(parse->command, "unknown option '%s', did you mean '--%s'?", option, nearest);
    else
        ctl_usage(parse->command, "unknown option '%s' (\"--\" ends the options)", option);
    return -1;
}

static int set_value(const struct parse *parse, const struct arg *arg, const char *value)
{
    switch (arg->kind) {
    case ARG_FLAG: *(bool *)arg->value = true; return 0;
    case ARG_TEXT: *(const char **)arg->value = value; return 0;
    case ARG_INT:
        if (num_parse_int(text_of(value), arg->min, arg->max, arg->value))
            return 0;
        ctl_usage(parse->command,
                  "%s%s: expected a whole number %" PRId64 "..%" PRId64 ", got '%s'", dashes(arg),
                  arg->name, arg->min, arg->max, value);
        return -1;
    case ARG_DURATION:
        if (duration_parse(value, arg->value))
            return 0;
        ctl_usage(parse->command,
                  "--%s: expected a time such as 500ms, 30m or 1h30m, at most %s, got '%s'",
                  arg->name, DURATION_MAX_TEXT, value);
        return -1;
    }
    return -1;
}

/* The option at argv[*at]; *at is left on the last argument that belongs to it. */
static int take_option(const struct parse *parse, int argc, char **argv, int *at)
{
    const char *option = argv[*at];
    const char *value = NULL;
    const struct arg *arg = NULL;
    struct text name = {0};
    if (option[1] == '-') {
        const char *equals = strchr(option, '=');
        name = text_of(option + 2);
        if (equals != NULL) {
            name.len = (uint32_t)(equals - name.ptr);
            value = equals + 1;
        }
        arg = find_long(parse, name);
    } else {
        arg = find_letter(parse, option[1]);
        if (option[2] != '\0')
            value = option + 2;
    }
    if (arg == NULL)
        return unknown(parse, option, name);
    if (arg->kind == ARG_FLAG && value != NULL) {
        ctl_usage(parse->command, "%s%s takes no value, got '%s'", dashes(arg), arg->name, option);
        return -1;
    }
    if (arg->kind != ARG_FLAG && value == NULL) {
        if (*at + 1 == argc) {
            ctl_usage(parse->command, "%s%s needs a value", dashes(arg), arg->name);
            return -1;
        }
        value = argv[++*at];
    }
    return set_value(parse, arg, value);
}

static bool is_option(const char *text)
{
    return text[0] == '-' && text[1] != '\0'; /* "-" alone is an argument */
}

int args_parse(struct ctl *ctl, int argc, char **argv, const struct arg *args, size_t arg_count)
{
    struct parse parse = parse_of(ctl, argv[0], args, arg_count);
    int count = 0;
    bool ended = false;
    for (int i = 1; i < argc; i++) {
        if (!ended && strcmp(argv[i], "--") == 0)
            ended = true;
        else if (!ended && is_option(argv[i])) {
            if (take_option(&parse, argc, argv, &i) != 0)
                return -1;
        } else
            argv[1 + count++] = argv[i];
    }
    return count;
}

int args_parse_leading(struct ctl *ctl, int argc, char **argv, const struct arg *args,
                       size_t arg_count)
{
    struct parse parse = parse_of(ctl, NULL, args, arg_count);
    int i = 1;
    for (; i < argc && is_option(argv[i]); i++) {
        if (take_option(&parse, argc, argv, &i) != 0)
            return -1;
    }
    return i;
}

int args_parse_count(struct ctl *ctl, int argc, char **argv, const struct arg *args,
                     size_t arg_count, int least, int most, const char *wanted)
{
    int count = args_parse(ctl, argc, argv, args, arg_count);
    if (count >= 0 && (count < least || count > most)) {
        ctl_usage(argv[0], "expected %s, got %d argument%s", wanted, count, count == 1 ? "" : "s");
        return -1;
    }
    return count;
}
