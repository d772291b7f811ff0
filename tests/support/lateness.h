/* SPDX-License-Identifier: Apache-2.0 */
/* lateness - how late this machine runs what is due: the yardstick for tests of deadlines.
 *
 * A thread of its own is due every 2 ms and records by how much it was late.  A machine that is
 * busy with others is late for it as for the code under test.  Failures abort.  Threads: lateness_*
 * from one at a time. */
#ifndef TESTS_SUPPORT_LATENESS_H
#define TESTS_SUPPORT_LATENESS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/hist.h"

#define LATENESS_NS UINT64_C(25000000)

struct lateness {
    pthread_t thread;
    _Atomic bool stopping;
    struct hist late_ns; /* of every time that it was due; never 0 */
};

void lateness_start(struct lateness *lateness);
void lateness_stop(struct lateness *lateness);

/* The share of times that the machine was late by more than LATENESS_NS. */
double lateness_share(const struct lateness *machine);

/* `late_ns`: by how much calls were late that ran into their deadlines.  True: fewer than half by
 * more than LATENESS_NS, or the machine was late that often; and none as if it had hung.  Who waits
 * for something else than a deadline is late every time. */
bool lateness_allows(const struct lateness *machine, const struct hist *late_ns);

#endif
