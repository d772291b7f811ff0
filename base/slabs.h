/* SPDX-License-Identifier: Apache-2.0 */
/* slabs - memory for millions of small blocks that are replaced all the time, by one owner.
 *
 * Blocks of one size class lie side by side in slabs of 64 KiB, without a header of their own.  A
 * slab of which no block is left serves any class; beyond the few that are kept for the next ones,
 * its pages go back to the system.  So memory follows what is in use, also where blocks grow from
 * class to class, which leaves the heap of malloc full of holes.
 *
 * Classes: steps of 8 bytes up to 512, then eight to each doubling up to SLABS_BLOCK_MAX.  What is
 * larger comes from malloc.  A block is given back with the size it was asked for.
 *
 * Blocks that are read in no order lie in huge pages where the system gives some to who asks
 * (transparent_hugepage/enabled `madvise` or `always`), until a slab in one is given back: finding
 * the way to small pages takes longer than fetching a line of them.  The owner waits while the
 * system clears one, 2 MiB at a time.
 *
 * Memory: 8 MiB of address space at a time, resident as far as it was used, in huge pages up to the
 * next 2 MiB.  Of a huge page that is given back in part, the system takes the memory when it needs
 * some; the resident set is without it at once.  Less than a block is lost at the end of each slab,
 * and up to an eighth in blocks above 512 bytes.  AddressSanitizer knows what is free.
 * Threads: one owner; blocks may be read by others. */
#ifndef BASE_SLABS_H
#define BASE_SLABS_H

#include <stdint.h>

#include "base/err.h"

#define SLABS_BLOCK_MAX 8192

struct slabs;

MUST_CHECK enum err_code slabs_create(struct slabs **ret_slabs, struct err *err); /* ERR_NOMEM */
void slabs_destroy(struct slabs **slabs); /* all blocks were given back; NULL is fine */

/* At least a byte, aligned to 8; NULL without memory. */
void *slabs_alloc(struct slabs *slabs, uint64_t bytes);
void slabs_free(struct slabs *slabs, const void *block, uint64_t bytes); /* NULL is fine */

/* What a block of that size takes; 0 for 0. */
uint64_t slabs_block_bytes(uint64_t bytes);
/* Of blocks that were given back and wait for others, by any thread: about, while the owner works.
 */
uint64_t slabs_spare_bytes(const struct slabs *slabs);

#endif
