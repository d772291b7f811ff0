/* SPDX-License-Identifier: Apache-2.0 */
#include "base/breaker.h"

#define MS              UINT64_C(1000000)
#define WINDOW_NS       (1000 * MS)
#define PAUSE_NS        (1000 * MS)
#define PAUSE_NS_MAX    (30000 * MS)
#define PROBE_NS        (100 * MS)
#define PAUSE_DOUBLINGS 5 /* beyond these it is PAUSE_NS_MAX */

static uint32_t state_of(const struct breaker *breaker)
{
    return atomic_load_explicit(&breaker->state, memory_order_relaxed);
}

static void become(struct breaker *breaker, enum breaker_state state)
{
    atomic_store_explicit(&breaker->calls, 0, memory_order_relaxed);
    atomic_store_explicit(&breaker->bad, 0, memory_order_relaxed);
    atomic_store_explicit(&breaker->good_probes, 0, memory_order_relaxed);
    atomic_store_explicit(&breaker->state, state, memory_order_relaxed);
}

static void open_up(struct breaker *breaker, uint64_t now_ns)
{
    uint32_t before = atomic_fetch_add_explicit(&breaker->opened_count, 1, memory_order_relaxed);
    uint64_t pause_ns = before < PAUSE_DOUBLINGS ? PAUSE_NS << before : PAUSE_NS_MAX;
    atomic_store_explicit(&breaker->until_ns, now_ns + pause_ns, memory_order_relaxed);
    become(breaker, BREAKER_OPEN);
}

bool breaker_allows(struct breaker *breaker, uint64_t now_ns)
{
    uint32_t hold = atomic_load_explicit(&breaker->hold, memory_order_relaxed);
    if (hold != BREAKER_AUTO)
        return hold == BREAKER_HELD_CLOSED;
    uint32_t state = state_of(breaker);
    if (state == BREAKER_CLOSED)
        return true;
    uint64_t until_ns = atomic_load_explicit(&breaker->until_ns, memory_order_relaxed);
    if (now_ns < until_ns)
        return false;
    if (state == BREAKER_OPEN)
        become(breaker, BREAKER_HALF_OPEN);
    /* Whoever moves the time of the next probe on is this one. */
    return atomic_compare_exchange_strong_explicit(&breaker->until_ns, &until_ns, now_ns + PROBE_NS,
                                                   memory_order_relaxed, memory_order_relaxed);
}

static void record_call(struct breaker *breaker, uint64_t now_ns, bool good)
{
    if (now_ns >= atomic_load_explicit(&breaker->window_ends_ns, memory_order_relaxed)) {
        atomic_store_explicit(&breaker->window_ends_ns, now_ns + WINDOW_NS, memory_order_relaxed);
        become(breaker, BREAKER_CLOSED);
    }
    uint32_t calls = atomic_fetch_add_explicit(&breaker->calls, 1, memory_order_relaxed) + 1;
    uint32_t bad =
        atomic_fetch_add_explicit(&breaker->bad, good ? 0 : 1, memory_order_relaxed) + !good;
    if (calls >= BREAKER_CALLS && bad > calls / 2)
        open_up(breaker, now_ns);
}

static void record_probe(struct breaker *breaker, uint64_t now_ns, bool good)
{
    if (!good) {
        open_up(breaker, now_ns);
        return;
    }
    uint32_t probes = atomic_fetch_add_explicit(&breaker->good_probes, 1, memory_order_relaxed) + 1;
    if (probes >= BREAKER_PROBES) {
        atomic_store_explicit(&breaker->opened_count, 0, memory_order_relaxed);
        become(breaker, BREAKER_CLOSED);
    }
}

void breaker_record(struct breaker *breaker, uint64_t now_ns, bool good)
{
    if (atomic_load_explicit(&breaker->hold, memory_order_relaxed) != BREAKER_AUTO)
        return;
    switch (state_of(breaker)) {
    case BREAKER_CLOSED: record_call(breaker, now_ns, good); break;
    case BREAKER_HALF_OPEN: record_probe(breaker, now_ns, good); break;
    default: break; /* a call from before it opened */
    }
}

void breaker_hold(struct breaker *breaker, enum breaker_hold hold)
{
    atomic_store_explicit(&breaker->opened_count, 0, memory_order_relaxed);
    become(breaker, BREAKER_CLOSED);
    atomic_store_explicit(&breaker->hold, hold, memory_order_relaxed);
}

const char *breaker_name(const struct breaker *breaker)
{
    static const char *const names[] = {"closed", "open", "half_open"};
    switch (atomic_load_explicit(&breaker->hold, memory_order_relaxed)) {
    case BREAKER_HELD_OPEN: return "held_open";
    case BREAKER_HELD_CLOSED: return "held_closed";
    default: return names[state_of(breaker)];
    }
}

bool breaker_is_closed(const struct breaker *breaker)
{
    uint32_t hold = atomic_load_explicit(&breaker->hold, memory_order_relaxed);
    return hold == BREAKER_HELD_CLOSED ||
           (hold == BREAKER_AUTO && state_of(breaker) == BREAKER_CLOSED);
}

bool breaker_is_held_open(const struct breaker *breaker)
{
    return atomic_load_explicit(&breaker->hold, memory_order_relaxed) == BREAKER_HELD_OPEN;
}

enum breaker_hold breaker_held(const struct breaker *breaker)
{
    return (enum breaker_hold)atomic_load_explicit(&breaker->hold, memory_order_relaxed);
}
