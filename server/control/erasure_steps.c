/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/erasure_internal.h"

#include <string.h>

#include "base/log.h"

enum { POLL_MS = 20 };

static enum err_code clear_memory(struct erasure *erasure, const struct erasure_round *round,
                                  struct err *err)
{
    struct erasure_sweep at = {0};
    enum err_code rc = ERR_OK;
    erasure_enter(erasure, ERASURE_MEMORY);
    for (uint32_t i = 0; i < round->person_count; i++)
        answers_forget(erasure->with.answers, round->person[i]);
    while (rc == ERR_OK && store_erasure_sweep(erasure->with.store, &at))
        rc = erasure_may_go_on(erasure, err);
    return rc;
}

static enum err_code drop_checkpoints(struct erasure *erasure, const struct erasure_round *round,
                                      struct err *err)
{
    struct store_checkpoint_stats before, now;
    enum err_code rc = ERR_BUSY;
    if (store_log(erasure->with.store) == NULL)
        return ERR_OK;
    erasure_enter(erasure, ERASURE_CHECKPOINTS);
    store_checkpoint_stats(erasure->with.store, &before);
    while (rc == ERR_BUSY) {
        rc = store_erasure_drop_checkpoints(erasure->with.store, round->sequence, err);
        store_checkpoint_stats(erasure->with.store, &now);
        if (rc == ERR_BUSY && now.failures > before.failures)
            return err_set(err, ERR_IO, "no checkpoint could be written; the log says why");
        if (rc == ERR_BUSY && !erasure_wait_ms(erasure, POLL_MS))
            return rc;
    }
    return rc;
}

/* One of the two logs, and how its new file takes the place of the old one. */
struct rewriting {
    struct event_log *log;
    event_log_rewrite_fn rewrite;
    struct erase_strip *strip;
    bool of_decisions;
};

static enum err_code swap(struct erasure *erasure, const struct rewriting *rewriting,
                          struct event_log_rebuild *rebuild, struct err *err)
{
    enum err_code rc = erasure_begin_swap(erasure, err);
    if (rc != ERR_OK)
        return rc;
    rc = rewriting->of_decisions
             ? decision_log_swap(erasure->with.decision_log, rebuild, err)
             : store_erasure_swap(erasure->with.store, rebuild, rewriting->strip, err);
    erasure_end_swap(erasure);
    return rc;
}

static enum err_code copy_all(struct erasure *erasure, const struct rewriting *rewriting,
                              struct event_log_rebuild *rebuild, struct err *err)
{
    struct event_log_stats stats;
    bool is_near = false;
    enum err_code rc = ERR_OK;
    while (rc == ERR_OK && !is_near) {
        rc = event_log_rebuild_step(rebuild, &is_near, err);
        event_log_stats(rewriting->log, &stats);
        pthread_mutex_lock(&erasure->lock);
        erasure->status.at = event_log_rebuild_count(rebuild);
        erasure->status.records =
            stats.last_sequence == 0 ? 0 : stats.last_sequence - stats.first_sequence + 1;
        pthread_mutex_unlock(&erasure->lock);
        if (rc == ERR_OK)
            rc = erasure_may_go_on(erasure, err);
    }
    return rc;
}

static enum err_code rewrite_log(struct erasure *erasure, const struct rewriting *rewriting,
                                 struct err *err)
{
    struct event_log_rebuild *rebuild = NULL;
    enum err_code rc = event_log_rebuild_begin(rewriting->log, rewriting->rewrite, rewriting->strip,
                                               &rebuild, err);
    if (rc == ERR_OK)
        rc = copy_all(erasure, rewriting, rebuild, err);
    while (rc == ERR_OK && (rc = swap(erasure, rewriting, rebuild, err)) == ERR_BUSY) {
        /* Somebody reads the log; what comes meanwhile is copied here, not by the writer. */
        if (erasure_may_go_on(erasure, err) == ERR_OK && erasure_wait_ms(erasure, POLL_MS))
            rc = copy_all(erasure, rewriting, rebuild, err);
        else
            break;
    }
    event_log_rebuild_end(&rebuild);
    return rc;
}

static enum err_code rewrite_events(struct erasure *erasure, const struct erasure_round *round,
                                    struct err *err)
{
    struct rewriting rewriting = {.log = store_log(erasure->with.store),
                                  .rewrite = erase_strip_event};
    if (rewriting.log == NULL)
        return ERR_OK;
    erasure_enter(erasure, ERASURE_EVENTS);
    erase_set_clear_counts(&round->set, false);
    enum err_code rc = erase_strip_create(&round->set, &rewriting.strip, err);
    if (rc == ERR_OK)
        rc = rewrite_log(erasure, &rewriting, err);
    erase_strip_destroy(&rewriting.strip);
    return rc;
}

static enum err_code rewrite_decisions(struct erasure *erasure, const struct erasure_round *round,
                                       struct err *err)
{
    struct decision_log *decisions = erasure->with.decision_log;
    if (decisions == NULL)
        return ERR_OK;
    struct rewriting rewriting = {
        .log = decision_log_disk(decisions), .rewrite = erase_strip_decision, .of_decisions = true};
    erasure_enter(erasure, ERASURE_DECISIONS);
    erase_set_clear_counts(&round->set, true);
    enum err_code rc = erase_strip_create(&round->set, &rewriting.strip, err);
    if (rc == ERR_OK)
        rc = decision_log_settle(decisions, &rewriting.strip->decision_last, err);
    if (rc == ERR_OK)
        rc = rewrite_log(erasure, &rewriting, err);
    erase_strip_destroy(&rewriting.strip);
    return rc;
}

static enum err_code finish(struct erasure *erasure, const struct erasure_round *round,
                            struct err *err)
{
    erasure_enter(erasure, ERASURE_RECEIPTS);
    enum err_code rc = erasure_remove_moved(erasure->data_dir, err);
    if (rc == ERR_OK)
        rc = erasure_write_receipts(erasure->receipts_dir, erasure->clock, round, err);
    if (rc == ERR_OK)
        rc = store_erasure_done(erasure->with.store, round->request_last, err);
    if (rc == ERR_OK)
        log_at(LOG_INFO, "people were erased", LOG_INT("ids", round->entry_count),
               LOG_INT("request", (int64_t)round->request_last));
    return rc;
}

/* A step that is done is not done again. */
static enum err_code run_step(struct erasure *erasure, struct err *err)
{
    const struct erasure_round *round = &erasure->round;
    switch (erasure->next) {
    case ERASURE_MEMORY: return clear_memory(erasure, round, err);
    case ERASURE_CHECKPOINTS: return drop_checkpoints(erasure, round, err);
    case ERASURE_EVENTS: return rewrite_events(erasure, round, err);
    case ERASURE_DECISIONS: return rewrite_decisions(erasure, round, err);
    default: return finish(erasure, round, err);
    }
}

enum err_code erasure_run_round(struct erasure *erasure, struct err *err)
{
    enum err_code rc = ERR_OK;
    if (erasure->next == ERASURE_IDLE) {
        rc = store_erasure_begin(erasure->with.store, &erasure->round, err);
        if (rc == ERR_OK)
            erasure->next = ERASURE_MEMORY;
    }
    while (rc == ERR_OK && erasure->next <= ERASURE_RECEIPTS) {
        rc = erasure_may_go_on(erasure, err);
        if (rc == ERR_OK)
            rc = run_step(erasure, err);
        if (rc == ERR_OK)
            erasure->next++;
    }
    if (rc == ERR_OK) {
        erasure->next = ERASURE_IDLE;
        store_erasure_deinit(&erasure->round);
    }
    return rc;
}
