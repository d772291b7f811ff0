/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rcu.h"

#include <urcu/urcu-bp.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define RCU_TSAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define RCU_TSAN 1
#endif

#if defined(RCU_TSAN)
/* The sanitizer does not see the barriers inside liburcu.  One address stands for "the readers":
 * leaving releases it and the end of a grace period acquires it, which is the order that
 * synchronize_rcu promises: all that a reader did comes before the memory is freed. */
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char readers;
#define readers_release() __tsan_release(&readers)
#define readers_acquire() __tsan_acquire(&readers)
#else
#define readers_release() ((void)0)
#define readers_acquire() ((void)0)
#endif

void rcu_read_begin(void)
{
    urcu_bp_read_lock();
}

void rcu_read_end(void)
{
    readers_release();
    urcu_bp_read_unlock();
}

void rcu_wait(void)
{
    urcu_bp_synchronize_rcu();
    readers_acquire();
}
