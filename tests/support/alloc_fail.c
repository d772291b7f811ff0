/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/alloc_fail.h"

#include <stddef.h>

#include "base/slabs.h"

/* The linker gives calls of malloc to __wrap_malloc, and __real_malloc is the one it replaced. */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *ptr, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
char *__real_strdup(const char *s);
void *__real_slabs_alloc(struct slabs *slabs, uint64_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *ptr, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);
char *__wrap_strdup(const char *s);
void *__wrap_slabs_alloc(struct slabs *slabs, uint64_t bytes);

static _Thread_local uint64_t tried_count;
static _Thread_local uint32_t successes_left;
static _Thread_local bool armed;
static _Thread_local bool failed;

void alloc_fail_after(uint32_t n)
{
    successes_left = n;
    armed = true;
    failed = false;
}

bool alloc_fail_off(void)
{
    armed = false;
    return failed;
}

uint64_t alloc_count(void)
{
    return tried_count;
}

static bool must_fail(void)
{
    tried_count++;
    if (!armed)
        return false;
    if (successes_left > 0) {
        successes_left--;
        return false;
    }
    armed = false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t bytes)
{
    return must_fail() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
    return must_fail() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *ptr, size_t bytes)
{
    return must_fail() ? NULL : __real_realloc(ptr, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
    return must_fail() ? NULL : __real_aligned_alloc(align, bytes);
}

char *__wrap_strdup(const char *s)
{
    return must_fail() ? NULL : __real_strdup(s);
}

void *__wrap_slabs_alloc(struct slabs *slabs, uint64_t bytes)
{
    return must_fail() ? NULL : __real_slabs_alloc(slabs, bytes);
}
