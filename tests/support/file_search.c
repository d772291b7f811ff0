/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/file_search.h"

#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka.h needs some of the above */
#include <cmocka.h>

enum { DESCRIPTORS = 16 };

static const char *wanted;
static uint32_t found;

static int look(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    bool holds = strstr(path + ftw->base, wanted) != NULL;
    if (type == FTW_F && info->st_size > 0) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return 0; /* it was removed meanwhile */
        void *bytes = mmap(NULL, (size_t)info->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        assert_true(bytes != MAP_FAILED);
        holds = holds || memmem(bytes, (size_t)info->st_size, wanted, strlen(wanted)) != NULL;
        munmap(bytes, (size_t)info->st_size);
        close(fd);
    }
    if (holds)
        print_message("'%s' is in %s\n", wanted, path);
    found += holds;
    return 0;
}

uint32_t file_search(const char *dir, const char *text)
{
    wanted = text;
    found = 0;
    assert_int_equal(nftw(dir, look, DESCRIPTORS, FTW_PHYS), 0);
    return found;
}
