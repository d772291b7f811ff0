/* SPDX-License-Identifier: Apache-2.0 */
/* slabs - a single-owner slab allocator for millions of small blocks that are constantly replaced.
 *
 * Blocks of one size class are contiguous in slabs of 64 KiB, without headers.  An empty slab can
 * serve any class; beyond a small reserve its pages are returned to the system.  So memory tracks
 * actual use, even when blocks grow from class to class, which would fragment malloc's heap.
 *
 * Classes: steps of 8 bytes up to 512, then eight per doubling up to SLABS_BLOCK_MAX.  Larger
 * blocks come from malloc.  A block must be freed with the size it was allocated with.
 *
 * Blocks are accessed at random, where TLB misses on small pages cost more than the cache miss.
 * Slabs therefore use transparent huge pages if the system allows it (transparent_hugepage/enabled
 * `madvise` or `always`), until a slab within one is returned.  The owner waits while the system
 * clears a huge page, 2 MiB at a time.
 *
 * Memory: 8 MiB of address space at a time, resident as far as used, with huge pages up to the next
 * 2 MiB.  If part of a huge page is returned, the resident set shrinks at once, and the system
 * reclaims the memory when it needs it.  Less than one block is lost at the end of each slab, and
 * up to an eighth in blocks above 512 bytes.  Free blocks are poisoned for AddressSanitizer.
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
