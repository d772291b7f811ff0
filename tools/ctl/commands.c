/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tools/cli/failure.h"
#include "tools/ctl/args.h"

#define DECISION_DETAILS                                                  \
    "  -n N            how many items, 1..200 (20)\n"                     \
    "  --slot S        which policy serves; the default slot otherwise\n" \
    "  --price         prices too\n"                                      \
    "  --currency CUR  only prices in this currency (EUR)\n"              \
    "  --explain       what each source added to the score\n"

const struct command ctl_commands[] = {
    {"ping", "", "is it there, and does it serve?", command_ping,
     "Exit code 0 when a daemon answers and serves; 1 when none answers in time, or it drains.\n"},
    {"status", "", "mode, models, counts and memory of the store", command_status, NULL},
    {"call", "OP [JSON]", "send any operation, print the reply as JSON", command_call,
     "  decidectl call recommend '{\"user\": \"u1\", \"n\": 5}'\n"
     "The operations are in docs/protocol.md.  Exit code 0 when the reply says ok.\n"},
    {"recommend", "USER [-n N] [--slot S] [--seeds a,b] [--price] [--explain]",
     "what this person should see", command_recommend,
     DECISION_DETAILS "  --seeds IDS     items of this visit, separated by commas\n"},
    {"page", "USER SLOT[=N]...", "several slots of one page, no item twice", command_page,
     "  SLOT=N          so many items in that slot, 1..200 (20)\n"},
    {"why-not", "USER ITEM [-n N] [--slot S]", "at which stage an item falls out for this person",
     command_why_not,
     "  -n N            as many items as the page asks for, 1..200 (20)\n"
     "  --slot S        which policy serves; the default slot otherwise\n"
     "Exit code 0 when the item is shown, 1 when it is not.\n"},
    {"replay", "DECISION|--all --models DIR [--log FILE] [--with NAME@VERSION[,PART@VERSION]...]",
     "compute a logged decision again, or with another ranker", command_replay,
     "  --models DIR    folder of bundles, NAME/VERSION: models_dir of the daemon\n"
     "  --log FILE      what `export decisions` wrote (NDJSON); the daemon's own log otherwise\n"
     "  --with N@V      beside it, what this version makes of the same features; of a blend,\n"
     "                  N@V,PART@V,...: with these versions of its parts\n"
     "  --all           every decision of the log: how many are equal\n"
     "Exit code 0 when all is equal, bit for bit; 1 when something differs or cannot be "
     "replayed.\n"},
    {"similar", "ITEM... [-n N] [--user U] [--slot S] [--price] [--explain]",
     "what goes with these items", command_similar,
     DECISION_DETAILS "  --user U        for whom\n"},
    {"rank", "USER ITEM[=SCORE]... [-n N] [--slot S] [--price] [--explain]",
     "put these items in order for this person", command_rank, DECISION_DETAILS},
    {"price", "ITEM[=QTY]... [--user U] [--slot S] [--currency CUR]",
     "prices, and the rules that made them", command_price,
     "  --user U        for whom\n"
     "  --slot S        which policy serves; the default slot otherwise\n"
     "  --currency CUR  only prices in this currency (EUR)\n"},
    {"features", "user|item ID", "what the daemon knows as numbers", command_features, NULL},
    {"person", "USER [--anon ID]", "what somebody allows, and which ids are linked to them",
     command_person,
     "  --anon ID       an anonymous id, beside USER or alone\n"
     "`export person` gives everything about them.\n"},
    {"import", "events|items FILE [--format csv|ndjson] [--map FILE] ...",
     "send a file of events or items, also packed", command_import,
     "  --format F      csv or ndjson; by the name of the file otherwise\n"
     "  --map FILE      how columns become events: docs/import.md\n"
     "  --since T, --before T\n"
     "                  only what happened from T on, or before it, such as 2011-11-01\n"
     "  --errors FILE   every error, one a line; the first ten are shown anyway\n"
     "  --max-errors N  more bad lines end the import\n"
     "  --from-line N   go on where an import was interrupted\n"},
    {"export", "events|decisions|training|person USER [--out FILE] [--format csv|ndjson] ...",
     "write what was logged to a file or to stdout", command_export,
     "  events          everything that happened; `import events` reads NDJSON again\n"
     "  decisions       what was asked, what was shown, and the features that the ranker saw\n"
     "  training        each item that was shown, with its features and what came of it\n"
     "  person USER     everything about one person, as NDJSON; with what came under anonymous "
     "ids\n"
     "                  that are linked to them\n"
     "  --anon ID       person: an anonymous id of theirs, beside USER or alone\n"
     "  --out FILE      stdout otherwise; compressed when the name ends with .gz or .zst\n"
     "  --zstd          compressed by Zstandard, whatever the name\n"
     "  --format F      csv or ndjson; by the name of the file otherwise (ndjson)\n"
     "  --since T, --before T\n"
     "                  only what arrived, or was decided, from T on, or before it, such as "
     "2011-11-01\n"
     "  --from N        events, decisions: only from this sequence number on\n"
     "  --window T      training: so long after a decision events count for it (24h)\n"
     "  --incomplete    training: also decisions whose window is not over\n"
     "The daemon goes on serving.\n"},
    {"erase", "USER | --anon ID | --list [--wait [--for T]]", "forget a person, for good",
     command_erase,
     "  USER            and the anonymous ids that are linked to them and never were to others\n"
     "  --anon ID       an anonymous id\n"
     "  --wait          until it is in no file any more; prints the receipt\n"
     "  --for T         no longer than that (1h); the daemon goes on all the same\n"
     "  --list          receipts, and what is still to be done\n"
     "Decisions know nothing of them at once; logs and checkpoints are written anew within "
     "minutes.\n"
     "It cannot be undone.  docs/operations.md says what is erased, and what is not.\n"},
    {"snapshot", "DIR", "copy events and checkpoints while the daemon serves", command_snapshot,
     "DIR is made by the daemon, on its machine and with its rights.\n"},
    {"verify", "DIR", "read a snapshot, or the data_dir of a stopped daemon, to the last byte",
     command_verify, "Exit code 0 when a start from it would know everything.  Needs no daemon.\n"},
    {"restore", "SNAPSHOT DATA_DIR", "put a snapshot into the data_dir of a stopped daemon",
     command_restore,
     "It is verified first.  What was there before is moved aside, not deleted.  Run it as the "
     "user\n"
     "of the daemon.\n"},
    {"audit", "[--since T] | verify DATA_DIR [--expect HASH]",
     "what operators did; that nothing of it was changed", command_audit,
     "  --since T       only from T on, such as 2011-11-01\n"
     "  verify          follow the chain of hashes; needs no daemon\n"
     "  --expect HASH   a line with this hash, which you have kept elsewhere, must be there: the\n"
     "                  daemon's log tells the hash of each line\n"},
    {"model",
     "list | push DIR|FILE | promote NAME VERSION | canary NAME VERSION --percent P\n"
     "          | shadow NAME [VERSION] | rollback NAME | verify DIR|FILE | bundle FILE DIR",
     "what serves; publish a bundle; choose or try a version; go back; check a bundle",
     command_model,
     "  list            versions that are loaded, what a rollback would serve, and bundles that\n"
     "                  were refused, with the reason\n"
     "  push DIR        check the bundle here, send it, load it there; prints the outcome.  The\n"
     "                  version that served stays loaded\n"
     "  push FILE --name NAME [--version V] [--feature-map MAP] [--output N] [--raw]\n"
     "       [--rounds N] [--average-is-output 0|1]\n"
     "                  the same for a bare model of XGBoost or LightGBM.  MAP is JSON, from its\n"
     "                  columns to features: {\"Column_0\": \"item.price\"}; without it the file\n"
     "                  names features.  V is else the start of its SHA-256\n"
     "  promote NAME VERSION\n"
     "                  serve this version; the one that served stays for a rollback.  With\n"
     "                  models_serve \"promoted\" nothing serves before\n"
     "  canary NAME VERSION --percent P\n"
     "                  this version for P % of the people, until it is promoted or stopped, or\n"
     "                  crosses a bound: then it is rolled back by itself\n"
     "    --max-errors PERCENT      of its uses may fail (1)\n"
     "    --max-latency RATIO       times the stable version's p99 (1.5) ...\n"
     "    --latency-floor T         ... and this on top may 99 % of its uses take (1ms)\n"
     "    --max-degraded POINTS     more answers below full, or empty, than with the stable (2)\n"
     "    --min-decisions N         of both, before they are compared (200)\n"
     "  canary NAME --stop\n"
     "  shadow NAME VERSION [--percent P]\n"
     "                  P % of the decisions (100) are made again with this version, and\n"
     "                  compared; it never answers\n"
     "  shadow NAME     what was compared so far\n"
     "  shadow NAME --stop\n"
     "  rollback NAME   serve the version before the present one: at once when it is in memory\n"
     "  verify DIR|FILE [--key KEY] [--features FILE]\n"
     "                  check a bundle as the daemon would, and report what it is, how long a row\n"
     "                  takes here and what memory it will hold; needs no daemon.  0 when there "
     "is\n"
     "                  no doubt.  A bare FILE takes the options of push\n"
     "    --key KEY                 it must be signed by this key, or the key in this file\n"
     "    --features FILE           the features.json of the daemon\n"
     "  bundle FILE DIR --name NAME ...\n"
     "                  what push FILE would send, as a folder, to be signed by minisign\n"},
    {"breaker", "MODEL [open|closed|auto]", "the breaker of a model; hold it by hand",
     command_breaker,
     "  open            decisions do without the model\n"
     "  closed          it is used, whatever happens\n"
     "  auto            left to itself: opens when most uses within a second fail or are slow\n"},
    {"release", "push DIR [--as ID] | list | rollback",
     "models, policies and features that belong together, in one step", command_release,
     "  push DIR        DIR holds NAME/VERSION folders, one version of each model, policies.json "
     "and\n"
     "                  features.json, or some of these.  All of it is checked, sent, verified "
     "and\n"
     "                  loaded, and new features are filled; then all of it is in force at once, "
     "or\n"
     "                  nothing changes\n"
     "    --as ID       what it is called; else the name of DIR\n"
     "  list            the releases, the newest first: in_force, altered (a model of it has "
     "changed\n"
     "                  since) or previous\n"
     "  rollback        what served before the release in force\n"},
    {"mode", "[full|reduced|cached|generic|static] [--for T] [--reason TEXT]",
     "show or set the best level of answers", command_mode,
     "  --for T         how long, such as 30m or 1h30m; until it is changed otherwise\n"
     "  --reason TEXT   for those who look later\n"},
    {"config", "check FILE", "check a configuration as the daemon would", command_config,
     "Runs `decided --check-config`, found beside decidectl or in PATH.\n"
     "Exit code 0 when it is fine, 78 when it is not.\n"},
    {"reload", "", "read configuration and policies again", command_reload,
     "They are checked first; a refused file changes nothing.\n"},
    {"restart", "", "a new process takes over, without a gap", command_restart,
     "The new process reads configuration, models and events while the old one serves, then gets\n"
     "its sockets.  One that cannot start changes nothing.  Waits until it is ready.\n"},
    {"drain", "", "finish what is in flight, then stop", command_drain, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static const char global_help[] =
    "Options for every command:\n"
    "  --url URL          where decided listens: tcp://HOST:PORT or ipc:///PATH, several "
    "separated\n"
    "                     by commas (DECIDED_URL, else " CTL_URL ")\n"
    "  --token-file FILE  the token of administration, from the first line of a file\n"
    "  --token T          the same on the command line, where others can see it (DECIDED_TOKEN)\n"
    "  --timeout T        for each request, such as 500ms (5s); once the daemon has answered that\n"
    "                     it is there, loads, snapshots, restarts and exports may take longer\n"
    "  --json             one JSON value on stdout\n"
    "  --help, --version\n"
    "\n"
    "Exit codes: 0 fine, 1 failure, 2 usage, 78 bad configuration.  Messages go to stderr.\n";

static void print_help(void)
{
    puts("usage: decidectl [OPTIONS] COMMAND [ARGUMENTS]\n\nCommands:");
    for (const struct command *command = ctl_commands; command->name != NULL; command++)
        printf("  %-10s %s\n", command->name, command->help);
    printf("\n`decidectl COMMAND --help` says more about one.\n\n%s", global_help);
}

static void print_command_help(const struct command *command)
{
    printf("usage: decidectl %s%s%s\n\n%s\n", command->name,
           command->arguments[0] == '\0' ? "" : " ", command->arguments, command->help);
    if (command->details != NULL)
        printf("\n%s", command->details);
    printf("\n%s", global_help);
}

static const struct command *find_command(const char *name)
{
    const char *names[sizeof ctl_commands / sizeof ctl_commands[0]];
    size_t count = 0;
    for (const struct command *command = ctl_commands; command->name != NULL; command++) {
        if (strcmp(command->name, name) == 0)
            return command;
        names[count++] = command->name;
    }
    names[count] = NULL;
    const char *nearest = json_nearest(text_of(name), names);
    if (nearest != NULL)
        ctl_usage(NULL, "there is no command '%s', did you mean '%s'?", name, nearest);
    else
        ctl_usage(NULL, "there is no command '%s'", name);
    return NULL;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0)
            return true;
    }
    return false;
}

static struct ctl ctl_of_environment(void)
{
    const char *url = getenv("DECIDED_URL");
    const char *token = getenv("DECIDED_TOKEN");
    return (struct ctl){
        .url = url != NULL && url[0] != '\0' ? url : CTL_URL,
        .token = token != NULL && token[0] != '\0' ? token : NULL,
        .timeout_us = CTL_TIMEOUT_US,
    };
}

int ctl_main(int argc, char **argv)
{
    struct ctl ctl = ctl_of_environment();
    bool help = false, version = false;
    const struct arg args[] = {{"help", 'h', ARG_FLAG, &help, 0, 0},
                               {"version", 0, ARG_FLAG, &version, 0, 0}};
    ctl_messages_as_json(failure_wants_json(argc, argv));
    int first = args_parse_leading(&ctl, argc, argv, args, 2);
    if (first < 0)
        return EXIT_USAGE;
    if (help) {
        print_help();
        return EXIT_FINE;
    }
    if (version) {
        printf("decidectl %s\n", DECIDED_VERSION);
        return EXIT_FINE;
    }
    if (first == argc)
        return ctl_usage(NULL, "a command is missing");
    const struct command *command = find_command(argv[first]);
    if (command == NULL)
        return EXIT_USAGE;
    if (wants_help(argc - first, argv + first)) {
        print_command_help(command);
        return EXIT_FINE;
    }
    int code = command->run(&ctl, argc - first, argv + first);
    ctl_close(&ctl);
    return code;
}
