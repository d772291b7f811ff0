/* SPDX-License-Identifier: Apache-2.0 */
/* Definitions of features come into force, and what is new is filled from the log. */
#include "featurestore/store_features.h"
#include "base/rcu.h"
#include "featurestore/definitions.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_internal.h"

/* Records that are given to new features in one turn: a millisecond or two; but twice as many as
 * came since the last turn, so that it ends however fast they come. */
enum { RECORDS_PER_SLICE = 1000 };

enum err_code store_define_features(struct store *store, struct definitions **definitions,
                                    struct err *err)
{
    uint32_t new_count;
    ASSERT(!store->joinable);
    enum err_code rc = feature_tables_stage(store, *definitions, false, &new_count, err);
    if (rc != ERR_OK)
        return rc;
    *definitions = NULL;
    feature_tables_adopt(store);
    return ERR_OK;
}

/* What a step is asked for, and what became of it. */
struct step {
    struct definitions *definitions;
    const struct feature_set *set;
    uint32_t new_count;
    bool is_done;
    enum err_code rc;
    struct err *err;
};

static void run_declare(struct store *store, void *ctx)
{
    struct step *step = ctx;
    step->rc = feature_tables_declare(store->features, step->definitions, step->err);
    store->features->next = step->definitions;
}

enum err_code store_declare_features(struct store *store, const struct definitions *definitions,
                                     struct err *err)
{
    /* Only read. */
    struct step step = {.definitions = (struct definitions *)definitions, .err = err};
    store_ask(store, run_declare, &step);
    return step.rc;
}

static void run_stage(struct store *store, void *ctx)
{
    struct step *step = ctx;
    struct event_log_stats stats = {0};
    if (!store_is_recovered(store)) {
        step->rc = err_set(step->err, ERR_BUSY,
                           "the store is being recovered: features can be defined anew after that");
        return;
    }
    step->rc = feature_tables_stage(store, step->definitions, store->log != NULL, &step->new_count,
                                    step->err);
    if (step->rc != ERR_OK)
        return;
    step->set = store->features->staged;
    if (store->log == NULL)
        return;
    event_log_stats(store->log, &stats);
    store->filling.at = stats.first_sequence;
    store->filling.next = event_log_next(store->log);
}

enum err_code store_stage_features(struct store *store, struct definitions **definitions,
                                   const struct feature_set **ret_set, uint32_t *ret_new_count,
                                   struct err *err)
{
    struct step step = {.definitions = *definitions, .err = err};
    store_ask(store, run_stage, &step);
    if (step.rc != ERR_OK)
        return step.rc;
    *definitions = NULL;
    *ret_set = step.set;
    *ret_new_count = step.new_count;
    return ERR_OK;
}

/* Gives the next records to what is new; *ret_end when there are no more. */
static enum err_code fill(struct store *store, bool *ret_end, struct err *err)
{
    struct event_log_reader reader;
    struct event_record record;
    struct event event;
    enum err_code rc = event_log_read_begin(store->log, store->filling.at, &reader, err);
    if (rc != ERR_OK)
        return rc;
    uint64_t next = event_log_next(store->log);
    uint64_t count = RECORDS_PER_SLICE + 2 * (next - store->filling.next);
    store->filling.next = next;
    for (uint64_t i = 0; i < count && rc == ERR_OK; i++) {
        rc = event_log_read_next(&reader, &record, err);
        arena_reset(&store->arena);
        if (rc == ERR_OK)
            rc = store_decode_record(&record, &store->arena, &event, err);
        if (rc == ERR_OK)
            rc = store_fill_record(store, &record, &event, err);
        if (rc == ERR_OK)
            store->filling.at = record.sequence + 1;
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
    struct step *step = ctx;
    bool is_end = false;
    if (!store->features->staged->any_is_filling) {
        step->is_done = true;
        return;
    }
    step->rc = fill(store, &is_end, step->err);
    if (step->rc == ERR_OK && is_end && event_log_gathered_count(store->log) > 0) {
        store_commit(store);
        is_end = false;
        if (event_log_gathered_count(store->log) > 0)
            step->rc = err_set(step->err, ERR_IO,
                               "the log takes no events: what is new cannot be filled from the "
                               "newest of them");
    }
    step->is_done = step->rc == ERR_OK && is_end;
    if (step->is_done)
        feature_tables_filled(store->features);
}

enum err_code store_fill_features(struct store *store, bool *ret_is_done, struct err *err)
{
    struct step step = {.err = err};
    store_ask(store, run_fill, &step);
    *ret_is_done = step.is_done;
    return step.rc;
}

static void run_adopt(struct store *store, void *ctx)
{
    (void)ctx;
    feature_tables_adopt(store);
    store->features->next = NULL;
}

void store_adopt_features(struct store *store)
{
    store_ask(store, run_adopt, NULL);
}

static void run_cancel(struct store *store, void *ctx)
{
    (void)ctx;
    store->features->next = NULL;
    feature_tables_unstage(store->features);
}

void store_cancel_features(struct store *store)
{
    store_ask(store, run_cancel, NULL);
}

char *store_features_sha256(const struct store *store, char ret_hex[SHA256_HEX_BYTES])
{
    rcu_read_begin();
    const char *hex = feature_set_of(store->features)->definitions->sha256;
    text_copy(text_of(hex[0] == '\0' ? "none" : hex), ret_hex, SHA256_HEX_BYTES);
    rcu_read_end();
    return ret_hex;
}
