/* SPDX-License-Identifier: Apache-2.0 */
/* alloc_fail - makes the n-th allocation of a test fail, and counts allocations.
 *
 * Unit tests are linked with --wrap for malloc, calloc, realloc, aligned_alloc, strdup and
 * slabs_alloc, of which each block counts though few of them need the heap, so this sees what our
 * code and the statically linked libraries allocate; what shared libraries allocate inside
 * themselves goes past it (give cJSON our malloc with cJSON_InitHooks to have it counted). Works
 * under the sanitizers.  Threads: every thread has its own state, so that a test makes only its own
 * thread fail.
 *
 *     for (uint32_t n = 0;; n++) {
 *         alloc_fail_after(n);
 *         enum err_code rc = thing_create(&thing, &err);
 *         bool failed = alloc_fail_off();
 *         if (!failed) { assert_int_equal(rc, ERR_OK); break; }
 *         assert_int_equal(rc, ERR_NOMEM);
 *     } */
#ifndef TESTS_SUPPORT_ALLOC_FAIL_H
#define TESTS_SUPPORT_ALLOC_FAIL_H

#include <stdbool.h>
#include <stdint.h>

/* After n more allocations of this thread succeeded, the next one returns NULL; those after it
 * succeed again. */
void alloc_fail_after(uint32_t n);

/* Ends it.  True when an allocation was made to fail since alloc_fail_after. */
bool alloc_fail_off(void);

/* Allocations that this thread tried so far, failed ones included. */
uint64_t alloc_count(void);

#endif
