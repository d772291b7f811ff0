/* SPDX-License-Identifier: Apache-2.0 */
#include "base/background.h"

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BACKGROUND_NICE = 10 };

static _Thread_local bool is_background;
static _Thread_local uint64_t rested_at_ns; /* of the thread's own time */

/* struct sched_attr of the kernel, in its first version; glibc has none before 2.41. */
struct attributes {
    uint32_t bytes, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice_ns, deadline_ns, period_ns;
};
_Static_assert(sizeof(struct attributes) == 48, "SCHED_ATTR_SIZE_VER0");

/* Time that it waited for a core is rest already. */
static uint64_t worked_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void background_begin(void)
{
    (void)sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0});
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), BACKGROUND_NICE);
    /* After the other two, which have worked since Linux 2.6: this one may be filtered. */
    const struct attributes attributes = {.bytes = sizeof attributes,
                                          .policy = SCHED_BATCH,
                                          .nice = BACKGROUND_NICE,
                                          .slice_ns = BACKGROUND_SLICE_NS};
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0U);
    is_background = true;
    rested_at_ns = worked_ns();
}

void background_rest(void)
{
    if (!is_background)
        return;
    uint64_t now_ns = worked_ns();
    long rest_ns = background_rest_ns(now_ns - rested_at_ns);
    if (rest_ns == 0)
        return;
    nanosleep(&(struct timespec){.tv_nsec = rest_ns}, NULL);
    rested_at_ns = now_ns;
}
