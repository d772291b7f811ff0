/* SPDX-License-Identifier: Apache-2.0 */
/* clock - where time comes from.
 *
 * Inside the process time is monotonic nanoseconds; event time is milliseconds since the Unix
 * epoch.  Code that depends on time takes a `const struct clock *`, so that tests replace it.
 * Threads: a clock may be read from any thread; the manual clock is set through atomics. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct clock {
    uint64_t (*now_ns)(const struct clock *clock); /* monotonic */
    int64_t (*wall_ms)(const struct clock *clock); /* since 1970-01-01T00:00:00Z */
};

/* The system's CLOCK_MONOTONIC and CLOCK_REALTIME. */
const struct clock *clock_system(void);

static inline uint64_t clock_now_ns(const struct clock *clock)
{
    return clock->now_ns(clock);
}

static inline int64_t clock_wall_ms(const struct clock *clock)
{
    return clock->wall_ms(clock);
}

/* A clock that stands still until it is told otherwise. */
struct clock_manual {
    struct clock clock; /* first: &manual.clock is the clock */
    _Atomic uint64_t now_ns;
    _Atomic int64_t wall_ms;
};

void clock_manual_init(struct clock_manual *manual, uint64_t now_ns, int64_t wall_ms);
void clock_manual_advance_ns(struct clock_manual *manual, uint64_t by_ns); /* both times move */

/* Parses "2011-11-01", "2011-11-01 08:26:00", "2011-11-01T08:26:00[.123][Z|+02:00]" (no zone means
 * UTC) into milliseconds since the epoch.  False when it is none of these or out of 1970..2261. */
_Bool clock_parse_iso(const char *ptr, size_t len, int64_t *ret_ms);

/* "2011-11-01T08:26:00.123Z"; buf holds at least CLOCK_ISO_BYTES. */
#define CLOCK_ISO_BYTES 32
char *clock_format_iso(int64_t ms, char *buf);

#endif
