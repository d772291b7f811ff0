/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/command_line.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: decided [--config FILE] [--data-dir DIR]\n"
    "       decided --check-config | --dump-config [--config FILE] [--data-dir DIR]\n"
    "\n"
    "Serves decisions: what a shopper should see, in which order, at which price.\n"
    "\n"
    "  -c, --config FILE           JSON with comments; without it all options have their defaults\n"
    "      --data-dir DIR          overrides data_dir\n"
    "      --check-config          read the configuration and all that it refers to, and exit\n"
    "      --dump-config           print the effective values and where each came from\n"
    "      --dump-config=markdown  print the reference of all options\n"
    "  -V, --version               print the version\n"
    "  -h, --help                  print this\n"
    "\n"
    "SIGTERM drains and stops, SIGHUP reads the configuration again.\n"
    "Exit codes: 0 fine, 1 failure, 2 usage, 78 bad configuration.\n";

enum { OPTION_CODE_DATA_DIR = 256, OPTION_CODE_CHECK, OPTION_CODE_DUMP };

static enum command_line_action dump_action(const char *form)
{
    if (form == NULL)
        return ACTION_DUMP_CONFIG;
    if (strcmp(form, "markdown") == 0)
        return ACTION_DUMP_MARKDOWN;
    fprintf(stderr, "decided: --dump-config=%s: expected --dump-config or --dump-config=markdown\n",
            form);
    return ACTION_MISUSE;
}

void command_line_read(int argc, char **argv, struct command_line *ret_line)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"data-dir", required_argument, NULL, OPTION_CODE_DATA_DIR},
        {"check-config", no_argument, NULL, OPTION_CODE_CHECK},
        {"dump-config", optional_argument, NULL, OPTION_CODE_DUMP},
        {"version", no_argument, NULL, 'V'},
        {"help", no_argument, NULL, 'h'},
        {0},
    };
    struct command_line line = {.action = ACTION_SERVE};
    int code;
    while ((code = getopt_long(argc, argv, "c:Vh", options, NULL)) != -1) {
        enum command_line_action action = line.action;
        switch (code) {
        case 'c': line.source.path = optarg; break;
        case OPTION_CODE_DATA_DIR: line.source.data_dir = optarg; break;
        case OPTION_CODE_CHECK: action = ACTION_CHECK_CONFIG; break;
        case OPTION_CODE_DUMP: action = dump_action(optarg); break;
        case 'V': action = ACTION_VERSION; break;
        case 'h': action = ACTION_HELP; break;
        default: action = ACTION_MISUSE; break; /* getopt_long has said why */
        }
        if (line.action != ACTION_MISUSE)
            line.action = action;
    }
    if (optind < argc && line.action != ACTION_MISUSE) {
        fprintf(stderr, "decided: '%s': expected options only\n", argv[optind]);
        line.action = ACTION_MISUSE;
    }
    *ret_line = line;
}

static int print_owned(char *text)
{
    int rc = text == NULL || fputs(text, stdout) == EOF || fflush(stdout) != 0;
    free(text);
    return rc == 0 ? EXIT_FINE : EXIT_FAILED;
}

static void tell_doubts(const struct config *config)
{
    struct err doubts[CONFIG_DOUBTS_MAX] = {0};
    uint32_t count = config_doubts(config, doubts);
    for (uint32_t i = 0; i < count; i++)
        fprintf(stderr, "decided: warning: %s\n", doubts[i].text);
}

static int with_config(const struct command_line *line)
{
    struct config *config = NULL;
    struct err err = {.text = ""};
    bool checks = line->action == ACTION_CHECK_CONFIG;
    enum err_code rc = config_load(&line->source, &config, &err);
    if (rc == ERR_OK && checks)
        rc = config_check_files(config, &err);
    int code = EXIT_FINE;
    if (rc != ERR_OK) {
        fprintf(stderr, "decided: %s\n", err.text);
        code = rc == ERR_NOMEM ? EXIT_FAILED : EXIT_BAD_CONFIG;
    } else if (checks) {
        tell_doubts(config);
        printf("%s: fine\n", line->source.path == NULL ? "the defaults" : line->source.path);
    } else {
        code = print_owned(config_dump(config));
    }
    config_destroy(&config);
    return code;
}

int command_line_run(const struct command_line *line)
{
    switch (line->action) {
    case ACTION_CHECK_CONFIG:
    case ACTION_DUMP_CONFIG: return with_config(line);
    case ACTION_DUMP_MARKDOWN: return print_owned(config_dump_markdown());
    case ACTION_VERSION: printf("decided %s\n", DECIDED_VERSION); return EXIT_FINE;
    case ACTION_HELP: fputs(help, stdout); return EXIT_FINE;
    case ACTION_SERVE:
    case ACTION_MISUSE: break;
    }
    fputs("Try 'decided --help'.\n", stderr);
    return EXIT_USAGE;
}
