/* SPDX-License-Identifier: Apache-2.0 */
/* clock - monotonic time, in which every deadline of the client is given.  Threads: any. */
#ifndef CLIENT_CLOCK_H
#define CLIENT_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CLIENT_NS_PER_US  UINT64_C(1000)
#define CLIENT_NS_PER_MS  UINT64_C(1000000)
#define CLIENT_NS_PER_SEC UINT64_C(1000000000)

static inline uint64_t client_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * CLIENT_NS_PER_SEC + (uint64_t)now.tv_nsec;
}

static inline struct timespec client_timespec(uint64_t ns)
{
    return (struct timespec){.tv_sec = (time_t)(ns / CLIENT_NS_PER_SEC),
                             .tv_nsec = (long)(ns % CLIENT_NS_PER_SEC)};
}

#endif
