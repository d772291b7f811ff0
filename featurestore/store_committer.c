/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that writes the log, so that the store thread applies what comes while a commit waits
 * for the disk: an event is seen as soon as it is applied, however slow the disk is.
 *
 * One commit at a time is under way.  Until the store thread has taken its outcome, it does nothing
 * with the log but add records, and serves batches alone: what somebody asks for, checkpoints that
 * begin or end, and an erasure find the log as if commits were its own. */
#include <string.h>

#include "featurestore/store_checkpoint.h"
#include "featurestore/store_erase.h"

static void *run(void *arg)
{
    struct store *store = arg;
    struct store_committer *committer = &store->committer;
    pthread_setname_np(pthread_self(), "event log");
    pthread_mutex_lock(&store->mutex);
    while (committer->runs) {
        if (committer->state != COMMIT_ASKED) {
            pthread_cond_wait(&committer->wake, &store->mutex);
            continue;
        }
        pthread_mutex_unlock(&store->mutex);
        committer->code = event_log_commit_sealed(store->log, &committer->err);
        pthread_mutex_lock(&store->mutex);
        committer->state = COMMIT_ENDED;
        pthread_cond_signal(&store->wake);
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

enum err_code store_committer_start(struct store *store, struct err *err)
{
    struct store_committer *committer = &store->committer;
    if (store->log == NULL)
        return ERR_OK;
    committer->runs = true;
    int failed = pthread_create(&committer->thread, NULL, run, store);
    if (failed == 0)
        return ERR_OK;
    committer->runs = false;
    return err_set(err, ERR_IO, "cannot start the thread of the event log: %s", strerror(failed));
}

void store_committer_stop(struct store *store)
{
    struct store_committer *committer = &store->committer;
    pthread_mutex_lock(&store->mutex);
    bool runs = committer->runs;
    ASSERT(committer->state == COMMIT_NONE);
    committer->runs = false;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&store->mutex);
    if (runs)
        pthread_join(committer->thread, NULL);
}

bool store_commit_begin(struct store *store)
{
    struct store_committer *committer = &store->committer;
    /* The ledger of erasures is written first, and is rare. */
    if (!committer->runs || event_log_gathered_count(store->log) == 0 ||
        store_erase_has_unsynced(store))
        return false;
    event_log_seal(store->log);
    committer->jobs = store->uncommitted;
    store->uncommitted = (struct store_jobs){0};
    committer->err = (struct err){.text = ""};
    pthread_mutex_lock(&store->mutex);
    committer->state = COMMIT_ASKED;
    pthread_cond_signal(&committer->wake);
    pthread_mutex_unlock(&store->mutex);
    return true;
}

void store_commit_end(struct store *store)
{
    struct store_committer *committer = &store->committer;
    ASSERT(committer->state == COMMIT_ENDED);
    committer->state = COMMIT_NONE;
    pthread_mutex_unlock(&store->mutex);
    store_commit_ended(store, committer->code, &committer->err, &committer->jobs);
    store_checkpoint_consider(store);
    pthread_mutex_lock(&store->mutex);
}
