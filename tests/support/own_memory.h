/* SPDX-License-Identifier: Apache-2.0 */
/* own_memory - what this process has of memory, by /proc/self/statm.  A test that cannot read it
 * fails. */
#ifndef TESTS_SUPPORT_OWN_MEMORY_H
#define TESTS_SUPPORT_OWN_MEMORY_H

struct own_memory {
    long virtual_bytes, resident_bytes;
};

struct own_memory own_memory_now(void);

#endif
