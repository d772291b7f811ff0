/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of features come into force, and what is new is filled from the log. */
#include "featurestore/definitions.h"
#include "featurestore/store_internal.h"

/* Records that are given to new features in one turn: a millisecond or two; but twice as many as
 * came since the last turn, so that it ends however fast they come. */
enum { RECORDS_PER_SLICE = 1000 };

struct redefinition {
    struct definitions **definitions;
    uint32_t *ret_new_count;
    uint64_t at;   /* the record that comes next */
    uint64_t next; /* the one that the log gets next, as of the last turn */
    bool is_done;
    enum err_code rc;
    struct err *err;
};

enum err_code store_define_features(struct store *store, struct definitions **definitions,
                                    struct err *err)
{
    uint32_t new_count;
    ASSERT(!store->joinable);
    enum err_code rc = feature_tables_adopt(store, *definitions, false, &new_count, err);
    if (rc == ERR_OK)
        *definitions = NULL;
    return rc;
}

struct declaration {
    const struct definitions *definitions;
    enum err_code rc;
    struct err *err;
};

static void run_declare(struct store *store, void *ctx)
{
    struct declaration *declaration = ctx;
    declaration->rc =
        feature_tables_declare(store->features, declaration->definitions, declaration->err);
}

enum err_code store_declare_features(struct store *store, const struct definitions *definitions,
                                     struct err *err)
{
    struct declaration declaration = {.definitions = definitions, .err = err};
    store_ask(store, run_declare, &declaration);
    return declaration.rc;
}

/* ---- redefinition, on the store thread ------------------------------------------------------- */

static void run_adopt(struct store *store, void *ctx)
{
    struct redefinition *job = ctx;
    struct event_log_stats stats = {0};
    if (!store_is_recovered(store)) {
        job->rc = err_set(job->err, ERR_BUSY,
                          "the store is being recovered: features can be defined anew after that");
        return;
    }
    job->rc = feature_tables_adopt(store, *job->definitions, store->log != NULL, job->ret_new_count,
                                   job->err);
    if (job->rc != ERR_OK)
        return;
    *job->definitions = NULL;
    job->is_done = store->log == NULL || *job->ret_new_count == 0;
    if (store->log != NULL)
        event_log_stats(store->log, &stats);
    job->at = stats.first_sequence;
    job->next = store->log == NULL ? 0 : event_log_next(store->log);
}

/* Gives the next records to what is new; *ret_end when there are no more. */
static enum err_code fill(struct store *store, struct redefinition *job, bool *ret_end)
{
    struct event_log_reader reader;
    struct event_record record;
    struct event event;
    enum err_code rc = event_log_read_begin(store->log, job->at, &reader, job->err);
    if (rc != ERR_OK)
        return rc;
    uint64_t next = event_log_next(store->log);
    uint64_t count = RECORDS_PER_SLICE + 2 * (next - job->next);
    job->next = next;
    for (uint64_t i = 0; i < count && rc == ERR_OK; i++) {
        rc = event_log_read_next(&reader, &record, job->err);
        arena_reset(&store->arena);
        if (rc == ERR_OK)
            rc = store_decode_record(&record, &store->arena, &event, job->err);
        if (rc == ERR_OK)
            rc = store_fill_record(store, &record, &event, job->err);
        if (rc == ERR_OK)
            job->at = record.sequence + 1;
    }
    event_log_read_end(&reader);
    retire_flush(&store->retire);
    *ret_end = rc == ERR_NOT_FOUND;
    return *ret_end ? ERR_OK : rc;
}

/* Whatever was applied before this turn is in the log, or gathered for it: when both are through,
 * what is new has seen all that the others have. */
static void run_fill(struct store *store, void *ctx)
{
    struct redefinition *job = ctx;
    bool is_end = false;
    job->rc = fill(store, job, &is_end);
    if (job->rc == ERR_OK && is_end && event_log_gathered_count(store->log) > 0) {
        store_commit(store);
        is_end = false;
        if (event_log_gathered_count(store->log) > 0)
            job->rc = err_set(job->err, ERR_IO,
                              "the log takes no events: what is new is not "
                              "filled from the newest of them");
    }
    job->is_done = is_end || job->rc != ERR_OK;
    if (job->is_done)
        feature_tables_filled(store->features);
}

enum err_code store_redefine_features(struct store *store, struct definitions **definitions,
                                      uint32_t *ret_new_count, struct err *err)
{
    struct redefinition job = {
        .definitions = definitions, .ret_new_count = ret_new_count, .err = err};
    store_ask(store, run_adopt, &job);
    while (job.rc == ERR_OK && !job.is_done)
        store_ask(store, run_fill, &job);
    return job.rc;
}
