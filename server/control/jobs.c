/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/jobs.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/background.h"

struct job {
    job_fn run;
    void *ctx;
};

struct jobs {
    const char *name;
    enum jobs_priority priority;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    struct job waiting[JOBS_MAX]; /* a ring */
    uint32_t first, count;
    bool started, stopping;
    pthread_t thread;
};

enum err_code jobs_create(const char *name, enum jobs_priority priority, struct jobs **ret_jobs,
                          struct err *err)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);
    if (jobs == NULL)
        return err_set(err, ERR_NOMEM, "no memory for the thread of %s", name);
    jobs->name = name;
    jobs->priority = priority;
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->changed, NULL);
    *ret_jobs = jobs;
    return ERR_OK;
}

/* False when all is done and nothing more will come. */
static bool next_job(struct jobs *jobs, struct job *ret_job)
{
    pthread_mutex_lock(&jobs->lock);
    while (jobs->count == 0 && !jobs->stopping)
        pthread_cond_wait(&jobs->changed, &jobs->lock);
    bool found = jobs->count > 0;
    if (found) {
        *ret_job = jobs->waiting[jobs->first];
        jobs->first = (jobs->first + 1) % JOBS_MAX;
        jobs->count--;
    }
    pthread_mutex_unlock(&jobs->lock);
    return found;
}

static void *run_jobs(void *ctx)
{
    struct jobs *jobs = ctx;
    struct job job;
    if (jobs->priority == JOBS_BACKGROUND)
        background_begin();
    while (next_job(jobs, &job)) {
        job.run(job.ctx);
        background_rest();
    }
    return NULL;
}

enum err_code jobs_start(struct jobs *jobs, struct err *err)
{
    int number = pthread_create(&jobs->thread, NULL, run_jobs, jobs);
    if (number != 0)
        return err_set(err, ERR_IO, "cannot start the thread of %s: %s", jobs->name,
                       strerror(number));
    jobs->started = true;
    pthread_setname_np(jobs->thread, jobs->name);
    return ERR_OK;
}

void jobs_stop(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    jobs->stopping = true;
    pthread_cond_signal(&jobs->changed);
    pthread_mutex_unlock(&jobs->lock);
    if (jobs->started)
        pthread_join(jobs->thread, NULL);
    jobs->started = false;
}

void jobs_destroy(struct jobs **jobs)
{
    if (*jobs == NULL)
        return;
    pthread_cond_destroy(&(*jobs)->changed);
    pthread_mutex_destroy(&(*jobs)->lock);
    free(*jobs);
    *jobs = NULL;
}

bool jobs_submit(struct jobs *jobs, job_fn run, void *ctx)
{
    pthread_mutex_lock(&jobs->lock);
    bool taken = !jobs->stopping && jobs->count < JOBS_MAX;
    if (taken) {
        jobs->waiting[(jobs->first + jobs->count) % JOBS_MAX] = (struct job){run, ctx};
        jobs->count++;
        pthread_cond_signal(&jobs->changed);
    }
    pthread_mutex_unlock(&jobs->lock);
    return taken;
}
