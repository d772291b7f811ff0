/* SPDX-License-Identifier: Apache-2.0 */
/* reader_input - a window over the bytes of a file, decompressed on the way if it is gzip or
 * Zstandard.
 *
 * The format is detected by the first bytes, not by the name.  Concatenated gzip members or
 * Zstandard frames are one text, as for gzip(1) and zstd(1); a truncated one is an error that gives
 * the byte offset in the file.  A UTF-8 byte order mark is skipped, UTF-16 is refused.  Pipes work
 * as well as files.
 *
 * Threads: one owner.  Memory: the window and one block of compressed bytes; Zstandard has a window
 * of its own, at most 128 MiB, which is as large as `zstd` makes it without --ultra or --long. */
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

enum input_packing { INPUT_PLAIN, INPUT_GZIP, INPUT_ZSTD };

struct reader_input {
    char *path;  /* owned; for messages */
    int fd;      /* -1: not open */
    bool at_end; /* what is in the window is all that is left */
    enum input_packing packing;
    bool member_ended;
    bool has_more;            /* of the bytes that were taken from the block, in `zstd` */
    z_stream inflater;        /* INPUT_GZIP */
    struct ZSTD_DCtx_s *zstd; /* owned; INPUT_ZSTD */
    char *window;             /* owned; unread bytes are begin..end */
    size_t begin;
    size_t end;
    uint8_t *block; /* owned; packed bytes, block_begin..block_end */
    size_t block_begin;
    size_t block_end;
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
