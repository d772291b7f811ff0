/* SPDX-License-Identifier: Apache-2.0 */
/* command - what the commands of decidectl share: the connection, the output mode, the exit codes.
 *
 * A command gets its own arguments (argv[0] is its name) and returns the exit code.  Output goes to
 * stdout: tables for people, or one JSON value with --json; messages go to stderr and begin with
 * "decidectl: ".  Threads: one. */
#ifndef TOOLS_CTL_COMMAND_H
#define TOOLS_CTL_COMMAND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cursor.h"
#include "base/err.h"
#include "base/pack.h"
#include "client/decide.h"

enum exit_code { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_BAD_CONFIG = 78 };

#define CTL_URL        "tcp://127.0.0.1:7100"
#define CTL_TIMEOUT_US 5000000
#define CTL_AUDIT_DIR  "audit" /* in data_dir: base/ledger.h */

struct ctl {
    const char *url;
    const char *token; /* NULL: none */
    const char *token_file;
    bool json;
    uint64_t timeout_us;          /* for each request */
    struct decide_client *client; /* made by the first ctl_client */
    char *token_read;             /* owned: what token_file holds */
};

struct command {
    const char *name;      /* "import", "model" */
    const char *arguments; /* for the help: "events|items FILE [--map FILE] ..." */
    const char *help;      /* one line */
    int (*run)(struct ctl *ctl, int argc, char **argv);
    const char *details; /* for its own --help; NULL: none */
};

extern const struct command ctl_commands[]; /* ends with a name of NULL */

/* Options, command, exit code: all of main. */
int ctl_main(int argc, char **argv);

/* ---- connection.c */

/* NULL after a message when the url or the token file is unusable: EXIT_USAGE. */
struct decide_client *ctl_client(struct ctl *ctl);
void ctl_close(struct ctl *ctl);
/* Prints why the reply is no success, in words and with --json as JSON; returns EXIT_FAILED. */
int ctl_report(const struct ctl *ctl, const char *what, const struct decide_reply *reply);
/* One request.  `body` is a map in MessagePack or NULL.  EXIT_FINE with the reply, which the caller
 * frees and whose bytes are one well-formed map; or the exit code after a report, and NULL. */
int ctl_call(struct ctl *ctl, const char *op, const struct pack *body, uint64_t timeout_us,
             struct decide_reply **ret_reply);
/* The same for what may take its time, `least_us` or what --timeout says, whatever is longer.  That
 * the daemon is there at all has to show within --timeout: a call to an address that refuses would
 * otherwise try again for as long. */
int ctl_call_patiently(struct ctl *ctl, const char *op, const struct pack *body, uint64_t least_us,
                       struct decide_reply **ret_reply);
/* The reply as it came, as one line of JSON on stdout. */
int ctl_print_json(const struct decide_reply *reply);
/* {"ok": false, "error": {...}} on stdout, for failures in which no daemon had a part; the first
 * alone. */
void ctl_json_error(const char *code, const char *message);
/* The map of the reply. */
struct cursor ctl_map(const struct decide_reply *reply);

/* "decidectl: import: ..." on stderr; returns EXIT_USAGE. */
int ctl_usage(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same for failures; returns EXIT_FAILED. */
int ctl_fail(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* With --json both are also a JSON value on stdout, even a message about --json's neighbors. */
void ctl_messages_as_json(bool json);
/* The message alone, where a report has told the outcome or the work goes on. */
void ctl_warn(const char *command, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- commands */

int command_ping(struct ctl *ctl, int argc, char **argv);      /* inspect.c */
int command_status(struct ctl *ctl, int argc, char **argv);    /* inspect.c */
int command_call(struct ctl *ctl, int argc, char **argv);      /* inspect.c */
int command_features(struct ctl *ctl, int argc, char **argv);  /* inspect.c */
int command_recommend(struct ctl *ctl, int argc, char **argv); /* decisions.c */
int command_page(struct ctl *ctl, int argc, char **argv);      /* page.c */
int command_why_not(struct ctl *ctl, int argc, char **argv);   /* why_not.c */
int command_replay(struct ctl *ctl, int argc, char **argv);    /* replay.c */
int command_similar(struct ctl *ctl, int argc, char **argv);   /* decisions.c */
int command_rank(struct ctl *ctl, int argc, char **argv);      /* decisions.c */
int command_price(struct ctl *ctl, int argc, char **argv);     /* decisions.c */
int command_person(struct ctl *ctl, int argc, char **argv);    /* person.c */
int command_import(struct ctl *ctl, int argc, char **argv);    /* import.c */
int command_export(struct ctl *ctl, int argc, char **argv);    /* export.c */
int command_erase(struct ctl *ctl, int argc, char **argv);     /* erase.c */
int command_snapshot(struct ctl *ctl, int argc, char **argv);  /* snapshot.c */
int command_verify(struct ctl *ctl, int argc, char **argv);    /* snapshot.c */
int command_restore(struct ctl *ctl, int argc, char **argv);   /* snapshot.c */
int command_audit(struct ctl *ctl, int argc, char **argv);     /* audit.c */
int command_model(struct ctl *ctl, int argc, char **argv);     /* model.c */
int command_release(struct ctl *ctl, int argc, char **argv);   /* release.c */
int command_mode(struct ctl *ctl, int argc, char **argv);      /* operate.c */
int command_breaker(struct ctl *ctl, int argc, char **argv);   /* operate.c */
int command_reload(struct ctl *ctl, int argc, char **argv);    /* operate.c */
int command_restart(struct ctl *ctl, int argc, char **argv);   /* operate.c */
int command_drain(struct ctl *ctl, int argc, char **argv);     /* operate.c */
int command_config(struct ctl *ctl, int argc, char **argv);    /* config_check.c */

/* person.c: the keys `user` and `anon` of a request, for those that are given. */
void ctl_pack_person(struct pack *body, const char *user, const char *anon);
/* model_push.c: argv[1] is "push" */
int model_push(struct ctl *ctl, int argc, char **argv);
/* model_labels.c: argv[1] is the name of each */
int model_promote(struct ctl *ctl, int argc, char **argv);
int model_rollback(struct ctl *ctl, int argc, char **argv);
int model_canary(struct ctl *ctl, int argc, char **argv); /* model_trials.c */
int model_shadow(struct ctl *ctl, int argc, char **argv); /* model_trials.c */
/* One operation on labels; it waits for a load that is under way.  Prints the outcome. */
int model_labels_ask(struct ctl *ctl, const char *op, const struct pack *body);
/* "; it was in memory", for the end of a line; "" when the reply does not say. */
const char *model_from_show(struct cursor map);
/* "home: version 2 serves", from such a reply or that of a push. */
void model_outcome_print(struct cursor map);
/* model_verify.c, model_source.c */
int model_verify(struct ctl *ctl, int argc, char **argv);
int model_bundle(struct ctl *ctl, int argc, char **argv);
/* model.c: reads and checks a bundle as the daemon does; `keys` NULL: signed or not. */
struct bundle;
struct model;
struct minisign_keys;
MUST_CHECK enum err_code model_open(const char *dir, const struct minisign_keys *keys,
                                    struct bundle **ret_bundle, struct model **ret_model,
                                    struct err *err);
/* "decidectl: model: WHAT: refused: ..."; returns EXIT_FAILED. */
int model_refused(const struct ctl *ctl, const char *what, const struct err *err);

#endif
