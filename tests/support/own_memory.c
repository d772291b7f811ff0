/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "tests/support/own_memory.h"

struct own_memory own_memory_now(void)
{
    struct own_memory pages;
    long page_bytes = sysconf(_SC_PAGESIZE);
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%ld %ld", &pages.virtual_bytes, &pages.resident_bytes), 2);
    fclose(file);
    return (struct own_memory){pages.virtual_bytes * page_bytes, pages.resident_bytes * page_bytes};
}
