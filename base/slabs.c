/* SPDX-License-Identifier: Apache-2.0 */
#include "base/slabs.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SLABS_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SLABS_ASAN 1
#endif
#if defined(SLABS_ASAN)
#include <sanitizer/asan_interface.h>
#define hide(address, bytes) ASAN_POISON_MEMORY_REGION(address, bytes)
#define show(address, bytes) ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#else
#define hide(address, bytes) ((void)(address), (void)(bytes))
#define show(address, bytes) ((void)(address), (void)(bytes))
#endif

enum {
    SLAB_BYTES = 1 << 16,
    REGION_SLABS = 16,
    REGION_BYTES = SLAB_BYTES * REGION_SLABS,
    AREA_BYTES = 8 * REGION_BYTES, /* asked for at once: to align it costs a huge page more */
    HUGE_BYTES = 2 * REGION_BYTES, /* of a huge page of x86-64, and of others' usual ones */
    PAGE_BYTES = 4096,
    KEPT_SLABS_MAX = 16, /* empty ones that keep their pages */
    FINE_STEP = 8,
    FINE_MAX = 512,
    FINE_CLASSES = FINE_MAX / FINE_STEP,
    STEPS_PER_DOUBLING = 8,
    CLASS_COUNT = FINE_CLASSES + 4 * STEPS_PER_DOUBLING,
};

_Static_assert(SLABS_BLOCK_MAX == FINE_MAX << 4, "four doublings");

/* A block that was given back. */
struct free_block {
    struct free_block *next;
};

/* In one list at a time: those of its class that have room, the empty ones that kept their pages,
 * or the empty ones that did not. */
struct slab {
    struct slab *prev, *next;
    struct free_block *free;
    uint32_t fresh_at; /* from here to the end nothing was ever handed out */
    uint32_t block_bytes;
    uint32_t used; /* blocks */
};

/* Aligned to its size, so that a block knows its slab; it takes the beginning of the first one. */
struct region {
    struct region *next_area; /* of the first region of an area */
    struct slab slab[REGION_SLABS];
};

struct slabs {
    struct region *area;                 /* owned: the first region of each */
    struct slab *with_room[CLASS_COUNT]; /* lists, of which the first is used */
    struct slab *kept, *returned;        /* empty ones */
    uint32_t kept_count;
    _Atomic uint64_t used_bytes, touched_bytes; /* relaxed: of the owner, for statistics */
};

static void count(_Atomic uint64_t *sum, uint64_t more)
{
    uint64_t before = atomic_load_explicit(sum, memory_order_relaxed);
    atomic_store_explicit(sum, before + more, memory_order_relaxed);
}

/* ---- classes --------------------------------------------------------------------------------- */

static uint32_t class_of(uint64_t bytes)
{
    if (bytes <= FINE_MAX)
        return (uint32_t)(bytes - 1) / FINE_STEP;
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(bytes - 1); /* 9 at the least */
    uint32_t step = (uint32_t)((bytes - 1) >> (shift - 3)) - STEPS_PER_DOUBLING;
    return FINE_CLASSES + (shift - 9) * STEPS_PER_DOUBLING + step;
}

uint64_t slabs_block_bytes(uint64_t bytes)
{
    if (bytes <= FINE_MAX)
        return (bytes + FINE_STEP - 1) & ~UINT64_C(7);
    if (bytes > SLABS_BLOCK_MAX)
        return (bytes + 8 + 15) & ~UINT64_C(15); /* malloc's */
    uint32_t shift = 63 - (uint32_t)__builtin_clzll(bytes - 1);
    uint64_t step = UINT64_C(1) << (shift - 3);
    return (bytes + step - 1) & ~(step - 1);
}

/* ---- slabs ----------------------------------------------------------------------------------- */

static struct region *region_of(const void *address)
{
    return (struct region *)((uintptr_t)address & ~(uintptr_t)(REGION_BYTES - 1));
}

static struct slab *slab_of(const void *block)
{
    struct region *region = region_of(block);
    return &region->slab[((uintptr_t)block - (uintptr_t)region) / SLAB_BYTES];
}

static char *slab_start(const struct slab *slab)
{
    struct region *region = region_of(slab);
    return (char *)region + (size_t)(slab - region->slab) * SLAB_BYTES;
}

/* Where its first block is: a cache line after the region's head in the first one. */
static uint32_t slab_first_at(const struct slab *slab)
{
    return slab == region_of(slab)->slab ? (sizeof(struct region) + 63) & ~63u : 0;
}

static void list_push(struct slab **list, struct slab *slab)
{
    slab->prev = NULL;
    slab->next = *list;
    if (*list != NULL)
        (*list)->prev = slab;
    *list = slab;
}

static void list_take(struct slab **list, struct slab *slab)
{
    if (slab->prev != NULL)
        slab->prev->next = slab->next;
    else
        *list = slab->next;
    if (slab->next != NULL)
        slab->next->prev = slab->prev;
}

static bool is_full(const struct slab *slab)
{
    return slab->free == NULL && slab->fresh_at + slab->block_bytes > SLAB_BYTES;
}

static bool area_add(struct slabs *slabs)
{
    char *area = aligned_alloc(HUGE_BYTES, AREA_BYTES);
    if (area == NULL)
        return false;
    /* Where it is refused pages are small, and reading takes longer. */
    (void)madvise(area, AREA_BYTES, MADV_HUGEPAGE);
    ((struct region *)area)->next_area = slabs->area;
    slabs->area = (struct region *)area;
    for (uint32_t at = AREA_BYTES; at > 0; at -= REGION_BYTES) {
        struct region *region = (struct region *)(area + at - REGION_BYTES);
        for (uint32_t i = REGION_SLABS; i > 0; i--)
            list_push(&slabs->returned, &region->slab[i - 1]);
        hide(region + 1, REGION_BYTES - sizeof *region);
    }
    return true;
}

/* An empty slab becomes the first of a class; NULL without memory. */
static struct slab *slab_add(struct slabs *slabs, uint32_t class, uint64_t block_bytes)
{
    if (slabs->kept == NULL && slabs->returned == NULL && !area_add(slabs))
        return NULL;
    struct slab **list = slabs->kept != NULL ? &slabs->kept : &slabs->returned;
    struct slab *slab = *list;
    slabs->kept_count -= slabs->kept != NULL;
    list_take(list, slab);
    slab->free = NULL;
    slab->fresh_at = slab_first_at(slab);
    slab->block_bytes = (uint32_t)block_bytes;
    slab->used = 0;
    list_push(&slabs->with_room[class], slab);
    return slab;
}

static void slab_empty(struct slabs *slabs, struct slab *slab)
{
    count(&slabs->touched_bytes, -(uint64_t)(slab->fresh_at - slab_first_at(slab)));
    if (slabs->kept_count < KEPT_SLABS_MAX) {
        slabs->kept_count++;
        list_push(&slabs->kept, slab);
        return;
    }
    char *start = slab_start(slab);
    char *huge = start - (uintptr_t)start % HUGE_BYTES;
    uint32_t from = (slab_first_at(slab) + PAGE_BYTES - 1) & ~(uint32_t)(PAGE_BYTES - 1);
    /* Where it is refused the pages stay: nothing depends on it.  Nor does the system fill the gap
     * to make a huge page of it again. */
    (void)madvise(huge, HUGE_BYTES, MADV_NOHUGEPAGE);
    (void)madvise(start + from, SLAB_BYTES - from, MADV_DONTNEED);
    list_push(&slabs->returned, slab);
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum err_code slabs_create(struct slabs **ret_slabs, struct err *err)
{
    *ret_slabs = calloc(1, sizeof **ret_slabs);
    return *ret_slabs != NULL ? ERR_OK : err_set(err, ERR_NOMEM, "out of memory for slabs");
}

void slabs_destroy(struct slabs **slabs)
{
    if (*slabs == NULL)
        return;
    ASSERT(atomic_load_explicit(&(*slabs)->used_bytes, memory_order_relaxed) == 0);
    for (struct region *area = (*slabs)->area; area != NULL;) {
        struct region *next = area->next_area;
        show(area, AREA_BYTES);
        free(area);
        area = next;
    }
    free(*slabs);
    *slabs = NULL;
}

void *slabs_alloc(struct slabs *slabs, uint64_t bytes)
{
    ASSERT(bytes > 0);
    if (bytes > SLABS_BLOCK_MAX)
        return malloc(bytes);
    uint32_t class = class_of(bytes);
    uint64_t block_bytes = slabs_block_bytes(bytes);
    struct slab *slab = slabs->with_room[class];
    if (slab == NULL)
        slab = slab_add(slabs, class, block_bytes);
    if (slab == NULL)
        return NULL;
    void *block = slab->free;
    if (block == NULL) {
        block = slab_start(slab) + slab->fresh_at;
        slab->fresh_at += slab->block_bytes;
        count(&slabs->touched_bytes, block_bytes);
        show(block, bytes);
    } else {
        show(block, block_bytes);
        slab->free = slab->free->next;
        hide((char *)block + bytes, block_bytes - bytes);
    }
    slab->used++;
    count(&slabs->used_bytes, block_bytes);
    if (is_full(slab))
        list_take(&slabs->with_room[class], slab);
    return block;
}

void slabs_free(struct slabs *slabs, const void *block, uint64_t bytes)
{
    if (block == NULL)
        return;
    if (bytes > SLABS_BLOCK_MAX) {
        free((void *)block);
        return;
    }
    uint32_t class = class_of(bytes);
    uint64_t block_bytes = slabs_block_bytes(bytes);
    struct slab *slab = slab_of(block);
    ASSERT(slab->block_bytes == block_bytes && slab->used > 0);
    if (is_full(slab))
        list_push(&slabs->with_room[class], slab);
    struct free_block *freed = (struct free_block *)block;
    show(freed, sizeof *freed);
    freed->next = slab->free;
    slab->free = freed;
    hide(block, block_bytes);
    slab->used--;
    count(&slabs->used_bytes, -block_bytes);
    if (slab->used == 0) {
        list_take(&slabs->with_room[class], slab);
        slab_empty(slabs, slab);
    }
}

uint64_t slabs_spare_bytes(const struct slabs *slabs)
{
    return atomic_load_explicit(&slabs->touched_bytes, memory_order_relaxed) -
           atomic_load_explicit(&slabs->used_bytes, memory_order_relaxed);
}
