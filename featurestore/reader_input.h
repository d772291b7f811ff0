/* SPDX-License-Identifier: Apache-2.0 */
/* reader_input - the bytes of a file through a window, gunzipped on the way when they are gzip.
 *
 * The first two bytes decide (1f 8b), not the name.  Several gzip members in a row are one text, as
 * gzip(1) reads them; a member that breaks off is an error that says at which byte of the file.  A
 * UTF-8 byte order mark is stepped over, UTF-16 is refused.  Pipes work as well as files.
 *
 * Threads: one owner.  Memory: the window and one block of compressed bytes. */
#ifndef FEATURESTORE_READER_INPUT_H
#define FEATURESTORE_READER_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include "base/err.h"
#include "featurestore/reader.h"

#define INPUT_WINDOW_BYTES (4 * READER_LINE_BYTES_MAX)
#define INPUT_BLOCK_BYTES  65536

struct reader_input {
    char *path;  /* owned; for messages */
    int fd;      /* -1: not open */
    bool at_end; /* what is in the window is all that is left */
    bool is_gzip;
    bool member_ended;
    z_stream inflater; /* .state is NULL unless is_gzip */
    char *window;      /* owned; unread bytes are begin..end */
    size_t begin;
    size_t end;
    uint8_t *block; /* owned; compressed bytes */
    uint64_t bytes_read;
    uint64_t bytes_total; /* 0: unknown */
    uint64_t changed_ns;  /* when the file was changed last */
};

MUST_CHECK enum err_code input_open(const char *path, struct reader_input *input, struct err *err);
void input_close(struct reader_input *input); /* fine on a zeroed one */

/* Brings at least one more byte behind the unread ones, or sets at_end.  Moves the unread bytes, of
 * which there must be fewer than a window. */
MUST_CHECK enum err_code input_fill(struct reader_input *input, struct err *err);

static inline char *input_at(const struct reader_input *input)
{
    return input->window + input->begin;
}

static inline size_t input_unread(const struct reader_input *input)
{
    return input->end - input->begin;
}

static inline void input_take(struct reader_input *input, size_t bytes)
{
    ASSERT(bytes <= input->end - input->begin);
    input->begin += bytes;
}

#endif
