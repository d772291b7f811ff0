/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/audit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

enum { REFUSED_PEERS = 4, STANDARD_FIELDS = 5 };

/* Refused calls of one peer since the last line about it. */
struct refused {
    struct audit_who who; /* the last place stands for all further peers */
    uint64_t count;
    enum op op; /* the last one */
    enum reply_code code;
};

struct audit {
    struct ledger *ledger;
    char dir[FILE_PATH_BYTES];
    const struct clock *clock;
    pthread_mutex_t lock; /* guards all below; held for no longer than a copy */
    struct audit_stats stats;
    struct refused refused[REFUSED_PEERS];
    bool any_refused;
    uint64_t flushed_ns; /* 0: never */
};

enum err_code audit_create(const struct audit_options *options, struct audit **ret_audit,
                           struct err *err)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the audit log");
    struct ledger_options ledger = {
        .dir = audit->dir, .bytes_max = options->bytes_max, .clock = options->clock};
    audit->clock = options->clock;
    enum err_code rc = file_join(options->data_dir, AUDIT_DIR, audit->dir, sizeof audit->dir, err);
    if (rc == ERR_OK)
        rc = ledger_create(&ledger, &audit->ledger, err);
    if (rc != ERR_OK) {
        free(audit);
        return rc;
    }
    pthread_mutex_init(&audit->lock, NULL);
    *ret_audit = audit;
    return ERR_OK;
}

void audit_destroy(struct audit **audit)
{
    if (*audit == NULL)
        return;
    pthread_mutex_destroy(&(*audit)->lock);
    ledger_destroy(&(*audit)->ledger);
    free(*audit);
    *audit = NULL;
}

struct audit_who audit_who_named(const char *name)
{
    struct audit_who who = {.has_token = false};
    text_copy(text_of(name), who.peer, sizeof who.peer);
    return who;
}

struct audit_who audit_who_of(const struct call *call, const struct request *request)
{
    struct audit_who who = audit_who_named(call->local ? "this machine" : "elsewhere");
    who.has_token = request->token.ptr != NULL;
    if (call->name_peer != NULL)
        call->name_peer(call, who.peer);
    return who;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void note_outcome(struct audit *audit, enum err_code rc, const struct ledger_head *head)
{
    pthread_mutex_lock(&audit->lock);
    if (rc == ERR_OK)
        audit->stats.head = *head;
    else
        audit->stats.failures++;
    pthread_mutex_unlock(&audit->lock);
}

static enum err_code add_line(struct audit *audit, const struct audit_who *who, const char *act,
                              const char *outcome, const struct err *why, struct audit_what what,
                              struct err *err)
{
    struct log_field fields[STANDARD_FIELDS + AUDIT_FIELDS_MAX] = {
        LOG_STR("act", act),
        LOG_STR("outcome", outcome),
        LOG_STR("peer", who->peer),
        LOG_BOOL("token", who->has_token),
    };
    uint32_t count = STANDARD_FIELDS - 1;
    struct ledger_head head;
    bool tampered = false;
    struct err failure = {.text = ""};
    ASSERT(what.count <= AUDIT_FIELDS_MAX);
    if (why != NULL)
        fields[count++] = LOG_STR("error", why->text);
    for (uint32_t i = 0; i < what.count; i++)
        fields[count++] = what.field[i];
    enum err_code rc = ledger_append(audit->ledger, fields, count, &head, &tampered, &failure);
    note_outcome(audit, rc, &head);
    if (tampered)
        log_at(LOG_ERROR, "lines of the audit log were taken out while the daemon ran",
               LOG_STR("dir", audit->dir));
    if (rc != ERR_OK) {
        log_at(LOG_ERROR, "an act is not in the audit log", LOG_STR("act", act),
               LOG_STR("outcome", outcome), LOG_STR("peer", who->peer),
               LOG_STR("error", failure.text));
        return err_set(err, rc == ERR_DISK_FULL ? rc : ERR_IO, "the audit log: %s", failure.text);
    }
    log_at(LOG_INFO, "audited", LOG_STR("act", act), LOG_STR("outcome", outcome),
           LOG_INT("sequence", (int64_t)head.sequence), LOG_STR("hash", head.hash));
    return ERR_OK;
}

enum err_code audit_begin(struct audit *audit, const struct audit_who *who, const char *act,
                          struct audit_what what, struct err *err)
{
    return audit == NULL ? ERR_OK : add_line(audit, who, act, "begun", NULL, what, err);
}

enum err_code audit_record(struct audit *audit, const struct audit_who *who, const char *act,
                           enum err_code outcome, const struct err *why, struct audit_what what,
                           struct err *err)
{
    if (audit == NULL)
        return ERR_OK;
    bool failed = outcome != ERR_OK;
    return add_line(audit, who, act, failed ? "failed" : "ok", failed ? why : NULL, what, err);
}

/* ---- refused calls --------------------------------------------------------------------------- */

void audit_note_refused(struct audit *audit, const struct audit_who *who, enum op op,
                        enum reply_code code)
{
    if (audit == NULL)
        return;
    pthread_mutex_lock(&audit->lock);
    uint32_t at = 0;
    while (at < REFUSED_PEERS - 1 && audit->refused[at].count > 0 &&
           strcmp(audit->refused[at].who.peer, who->peer) != 0)
        at++;
    struct refused *refused = &audit->refused[at];
    bool is_other = refused->count > 0 && strcmp(refused->who.peer, who->peer) != 0;
    *refused =
        (struct refused){is_other ? audit_who_named("others") : *who, refused->count + 1, op, code};
    refused->who.has_token = who->has_token;
    audit->any_refused = true;
    pthread_mutex_unlock(&audit->lock);
}

void audit_flush_refused(struct audit *audit, bool at_once)
{
    struct refused refused[REFUSED_PEERS];
    if (audit == NULL)
        return;
    uint64_t now_ns = clock_now_ns(audit->clock);
    pthread_mutex_lock(&audit->lock);
    bool due =
        audit->any_refused && (at_once || audit->flushed_ns == 0 ||
                               now_ns - audit->flushed_ns >= AUDIT_REFUSED_MS * UINT64_C(1000000));
    if (due) {
        memcpy(refused, audit->refused, sizeof refused);
        memset(audit->refused, 0, sizeof audit->refused);
        audit->any_refused = false;
        audit->flushed_ns = now_ns;
    }
    pthread_mutex_unlock(&audit->lock);
    for (uint32_t i = 0; due && i < REFUSED_PEERS; i++) {
        if (refused[i].count > 0) /* a failure is counted and logged */
            (void)!add_line(audit, &refused[i].who, "refused", reply_code_name(refused[i].code),
                            NULL,
                            AUDIT_WHAT(LOG_STR("op", op_name(refused[i].op)),
                                       LOG_INT("count", refused[i].count)),
                            NULL);
    }
}

const char *audit_dir(const struct audit *audit)
{
    return audit->dir;
}

void audit_stats(struct audit *audit, struct audit_stats *ret_stats)
{
    pthread_mutex_lock(&audit->lock);
    *ret_stats = audit->stats;
    pthread_mutex_unlock(&audit->lock);
}
