/* SPDX-License-Identifier: Apache-2.0 */
/* changes - counts what operators change, and the daemon by itself, of that which a start reads:
 * modes, holds of breakers, lines, canaries and shadows of models, releases, configuration.  A
 * successor that was started before such a change may have read what was there before it.
 *
 * It is noted before a change begins and when it is done, so that one that is under way differs
 * from one that is done.  Threads: any. */
#ifndef SERVER_CONTROL_CHANGES_H
#define SERVER_CONTROL_CHANGES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct changes {
    _Atomic uint64_t count;
};

static inline void changes_note(struct changes *changes) /* NULL: nobody asks */
{
    if (changes != NULL)
        atomic_fetch_add(&changes->count, 1);
}

static inline uint64_t changes_count(struct changes *changes)
{
    return atomic_load(&changes->count);
}

#endif
