/* SPDX-License-Identifier: Apache-2.0 */
/* audit - records operators' acts in data_dir/audit (base/ledger.h): one line per act, synced
 * before the act is answered.
 *
 * A line says who (the peer as the transport knows it, and whether the call carried a token), what,
 * with its parameters, and the outcome.  It must not contain secrets or ids of people: that is the
 * caller's responsibility, and a line can never be removed.
 *
 *   audit_record(audit, &who, "mode", ERR_OK, NULL, AUDIT_WHAT(LOG_STR("mode", "generic")), &err);
 *
 * An act that gives data away or destroys it is recorded before it begins (audit_begin), and must
 * not begin if that fails; its outcome is a second line.  All others are recorded when done, and
 * are done even if they cannot be recorded: an act that lowers a risk must not fail because the
 * disk is full.  Failures are counted and logged here.
 *
 * Calls refused for lack of the token are counted by peer and recorded together, at most once a
 * minute, so that nobody can push older lines out by repeated calls.
 *
 * Threads: any that may wait for the disk; audit_note_refused on any.  `audit` may be NULL
 * everywhere: nothing is recorded then. */
#ifndef SERVER_CONTROL_AUDIT_H
#define SERVER_CONTROL_AUDIT_H

#include "base/clock.h"
#include "base/err.h"
#include "base/ledger.h"
#include "base/log.h"
#include "server/protocol/call.h"
#include "server/protocol/request.h"

#define AUDIT_DIR        "audit"
#define AUDIT_FIELDS_MAX 16
#define AUDIT_REFUSED_MS 60000

struct audit;

struct audit_options {
    const char *data_dir; /* copied */
    uint64_t bytes_max;
    const struct clock *clock;
};

/* Who acts: a peer, or the daemon itself (for a signal, at a start). */
struct audit_who {
    char peer[CALL_PEER_BYTES];
    bool has_token;
};

/* The parameters of an act. */
struct audit_what {
    const struct log_field *field;
    uint32_t count; /* at most AUDIT_FIELDS_MAX */
};

#define AUDIT_WHAT(...)                                                    \
    ((struct audit_what){(const struct log_field[]){__VA_ARGS__},          \
                         sizeof((const struct log_field[]){__VA_ARGS__}) / \
                             sizeof(struct log_field)})

struct audit_stats {
    struct ledger_head head; /* after the last line of this process */
    uint64_t failures;       /* lines that could not be written */
};

MUST_CHECK enum err_code audit_create(const struct audit_options *options, struct audit **ret_audit,
                                      struct err *err);
void audit_destroy(struct audit **audit);

/* On the thread that has the call. */
struct audit_who audit_who_of(const struct call *call, const struct request *request);
struct audit_who audit_who_named(const char *name); /* "SIGHUP", "decided" */

/* The act begins; when this fails it must not. */
MUST_CHECK enum err_code audit_begin(struct audit *audit, const struct audit_who *who,
                                     const char *act, struct audit_what what, struct err *err);
/* It is done: `outcome` is ERR_OK, or why not, and `why` says more (or is NULL). */
enum err_code audit_record(struct audit *audit, const struct audit_who *who, const char *act,
                           enum err_code outcome, const struct err *why, struct audit_what what,
                           struct err *err);

void audit_note_refused(struct audit *audit, const struct audit_who *who, enum op op,
                        enum reply_code code);
/* Records what was noted, when it is time; `at_once` at the end. */
void audit_flush_refused(struct audit *audit, bool at_once);

const char *audit_dir(const struct audit *audit);
void audit_stats(struct audit *audit, struct audit_stats *ret_stats);

#endif
