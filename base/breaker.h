/* SPDX-License-Identifier: Apache-2.0 */
/* breaker - a circuit breaker: bypasses something that fails too often, and tries it again later.
 *
 *   closed     used.  If more than half of at least BREAKER_CALLS calls within a second were bad
 *              (failed, or took too long), it opens.
 *   open       not used for a second; twice as long each consecutive time, up to 30 s.
 *   half open  one call every 100 ms goes through.  BREAKER_PROBES good ones in a row close it, a
 *              bad one opens it again.
 * An operator can hold it open or closed, whatever happens, until it is released.
 *
 *   if (breaker_allows(b, now_ns)) { ...; breaker_record(b, now_ns, good); }
 *
 * Threads: any, without locks; a call at the moment of a change may count for either side. */
#ifndef BASE_BREAKER_H
#define BASE_BREAKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BREAKER_CALLS  20
#define BREAKER_PROBES 5

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
enum breaker_hold { BREAKER_AUTO, BREAKER_HELD_OPEN, BREAKER_HELD_CLOSED };

struct breaker { /* zeroed: closed, left to itself */
    _Atomic uint32_t state, hold;
    _Atomic uint64_t until_ns; /* open: until then; half open: the next probe */
    _Atomic uint64_t window_ends_ns;
    _Atomic uint32_t calls, bad; /* in the window */
    _Atomic uint32_t good_probes;
    _Atomic uint32_t opened_count; /* in a row */
};

bool breaker_allows(struct breaker *breaker, uint64_t now_ns);
void breaker_record(struct breaker *breaker, uint64_t now_ns, bool good);
/* BREAKER_AUTO begins anew with a closed one. */
void breaker_hold(struct breaker *breaker, enum breaker_hold hold);
/* "closed", "open", "half_open", "held_open", "held_closed" */
const char *breaker_name(const struct breaker *breaker);
bool breaker_is_closed(const struct breaker *breaker);
bool breaker_is_held_open(const struct breaker *breaker);
enum breaker_hold breaker_held(const struct breaker *breaker);

#endif
