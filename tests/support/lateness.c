/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/lateness.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"

#define PERIOD_NS UINT64_C(2000000)
#define NS_PER_S  UINT64_C(1000000000)
#define HANGS_NS  UINT64_C(1000000000)

#define ALWAYS_SHARE   0.5
#define MACHINE_FACTOR 4 /* a call needs its own thread, the network's and the daemon's */
#define COUNT_MIN      20

static void *run(void *argument)
{
    struct lateness *lateness = argument;
    uint64_t due_ns = clock_now_ns(clock_system());
    while (!atomic_load(&lateness->stopping)) {
        due_ns += PERIOD_NS;
        struct timespec due = {.tv_sec = (time_t)(due_ns / NS_PER_S),
                               .tv_nsec = (long)(due_ns % NS_PER_S)};
        int rc;
        do
            rc = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
        while (rc == EINTR);
        if (rc != 0)
            abort();
        uint64_t now_ns = clock_now_ns(clock_system());
        hist_record(&lateness->late_ns, now_ns > due_ns ? now_ns - due_ns : 1);
    }
    return NULL;
}

void lateness_start(struct lateness *lateness)
{
    atomic_store(&lateness->stopping, false);
    hist_reset(&lateness->late_ns);
    if (pthread_create(&lateness->thread, NULL, run, lateness) != 0)
        abort();
}

void lateness_stop(struct lateness *lateness)
{
    atomic_store(&lateness->stopping, true);
    if (pthread_join(lateness->thread, NULL) != 0)
        abort();
}

static double share_late(const struct hist *late_ns)
{
    uint64_t count = atomic_load(&late_ns->count);
    if (count == 0)
        return 0;
    return 1.0 - (double)hist_count_below(late_ns, LATENESS_NS) / (double)count;
}

double lateness_share(const struct lateness *machine)
{
    return share_late(&machine->late_ns);
}

bool lateness_allows(const struct lateness *machine, const struct hist *late_ns)
{
    double allowed = ALWAYS_SHARE + MACHINE_FACTOR * lateness_share(machine);
    bool hangs = hist_quantile(late_ns, 1.0) >= HANGS_NS;
    bool fine =
        !hangs && (atomic_load(&late_ns->count) < COUNT_MIN || share_late(late_ns) < allowed);
    if (!fine)
        fprintf(stderr, "%.3f of the late calls by more than 25 ms, worst %.1f ms; machine %.3f\n",
                share_late(late_ns), 1e-6 * (double)hist_quantile(late_ns, 1.0),
                lateness_share(machine));
    return fine;
}
