/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_reader - runs a reader over bytes in memory, for the targets of its two formats.
 * Checks that every event is well-formed, that every error has a text and that the reader ends. */
#ifndef TESTS_FUZZ_FUZZ_READER_H
#define TESTS_FUZZ_FUZZ_READER_H

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cursor.h"
#include "featurestore/reader.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A file that lives in memory alone; the path stays valid while *ret_fd is open. */
static inline void fuzz_file(const void *bytes, size_t len, int *ret_fd, char path[64])
{
    int fd = memfd_create("fuzz", 0);
    ASSERT(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    *ret_fd = fd;
}

static inline void fuzz_reader_run(const char *path, const struct reader_options *options)
{
    struct reader *reader = NULL;
    struct err err = {0};
    struct text event;
    uint64_t line = 0;
    enum reader_outcome outcome = READER_DONE;
    if (reader_open(path, options, &reader, &err) != ERR_OK) {
        ASSERT(reader == NULL && err.text[0] != '\0');
        return;
    }
    do {
        struct reader_progress progress;
        err.text[0] = '\0';
        outcome = reader_next(reader, &event, &err);
        reader_progress(reader, &progress);
        if (outcome == READER_EVENT)
            ASSERT(cursor_check((const uint8_t *)event.ptr, event.len, CURSOR_VALUES_MAX, &err) ==
                   ERR_OK);
        if (outcome == READER_BAD || outcome == READER_FAILED)
            ASSERT(err.text[0] != '\0');
        if (outcome != READER_DONE && outcome != READER_FAILED)
            ASSERT(progress.line > line); /* so it ends */
        line = progress.line;
    } while (outcome != READER_DONE && outcome != READER_FAILED);
    reader_close(&reader);
}

/* As events and as items. */
static inline void fuzz_reader_both(const uint8_t *data, size_t size, enum reader_format format,
                                    const char *map)
{
    char path[64];
    char map_path[64];
    int map_fd = -1;
    int fd;
    fuzz_file(data, size, &fd, path);
    if (map != NULL)
        fuzz_file(map, strlen(map), &map_fd, map_path);
    struct reader_options options = {.format = format, .map_path = map == NULL ? NULL : map_path};
    options.kind = READER_EVENTS;
    fuzz_reader_run(path, &options);
    options.kind = READER_ITEMS;
    fuzz_reader_run(path, &options);
    close(fd);
    if (map_fd >= 0)
        close(map_fd);
}

#endif
