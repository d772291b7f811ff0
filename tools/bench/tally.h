/* SPDX-License-Identifier: Apache-2.0 */
/* tally - counts by name, of names that the peer sent.
 *
 * Threads: one owner.  Limits: TALLY_ROWS_MAX names are told apart, the rest counts as "other", and
 * so do names that are no lower-case letters and underscores: they are printed. */
#ifndef TOOLS_BENCH_TALLY_H
#define TOOLS_BENCH_TALLY_H

#include <stdint.h>

#include "base/text.h"

#define TALLY_ROWS_MAX   16
#define TALLY_NAME_BYTES 32

struct tally {
    struct {
        char name[TALLY_NAME_BYTES];
        uint64_t count;
    } rows[TALLY_ROWS_MAX];
    uint32_t used;
};

void tally_add(struct tally *tally, struct text name, uint64_t count);
void tally_merge(struct tally *into, const struct tally *from);
uint64_t tally_sum(const struct tally *tally);

#endif
