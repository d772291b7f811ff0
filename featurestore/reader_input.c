/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/reader_input.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { MAGIC_BYTES = 4, GZIP_WINDOW_BITS = 15 + 16 }; /* 16: with a gzip header */

static const char *packing_name(const struct reader_input *input)
{
    return input->packing == INPUT_GZIP ? "gzip" : "Zstandard";
}

static enum err_code read_some(struct reader_input *input, void *to, size_t capacity,
                               size_t *ret_got, struct err *err)
{
    ssize_t got;
    do {
        got = read(input->fd, to, capacity);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_set(err, ERR_IO, "cannot read '%s' at byte %" PRIu64 ": %s", input->path,
                       input->bytes_read, strerror(errno));
    input->bytes_read += (uint64_t)got;
    *ret_got = (size_t)got;
    return ERR_OK;
}

/* The next packed bytes; at the file's end the last member must have ended, too. */
static enum err_code feed(struct reader_input *input, struct err *err)
{
    size_t got = 0;
    enum err_code rc = read_some(input, input->block, INPUT_BLOCK_BYTES, &got, err);
    if (rc != ERR_OK)
        return rc;
    if (got == 0 && !input->member_ended)
        return err_set(err, ERR_BAD_INPUT, "'%s': the %s data breaks off at byte %" PRIu64,
                       input->path, packing_name(input), input->bytes_read);
    input->at_end = got == 0;
    input->block_begin = 0;
    input->block_end = got;
    return ERR_OK;
}

static enum err_code bad_data(const struct reader_input *input, const char *why, struct err *err)
{
    return err_set(err, ERR_BAD_INPUT, "'%s': bad %s data near byte %" PRIu64 ": %s", input->path,
                   packing_name(input), input->bytes_read - (input->block_end - input->block_begin),
                   why);
}

static enum err_code inflate_some(struct reader_input *input, struct err *err)
{
    z_stream *z = &input->inflater;
    if (input->member_ended)
        inflateReset(z);
    z->next_in = input->block + input->block_begin;
    z->avail_in = (uInt)(input->block_end - input->block_begin);
    z->next_out = (Bytef *)input->window + input->end;
    z->avail_out = (uInt)(INPUT_WINDOW_BYTES - input->end);
    int rc = inflate(z, Z_NO_FLUSH);
    input->block_begin = input->block_end - z->avail_in;
    input->end = INPUT_WINDOW_BYTES - z->avail_out;
    input->member_ended = rc == Z_STREAM_END;
    if (rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR) /* the last: it wants more bytes */
        return ERR_OK;
    if (rc == Z_MEM_ERROR)
        return err_set(err, ERR_NOMEM, "'%s': out of memory for gzip", input->path);
    return bad_data(input, z->msg == NULL ? "unknown" : z->msg, err);
}

static enum err_code unzstd_some(struct reader_input *input, struct err *err)
{
    ZSTD_inBuffer in = {input->block, input->block_end, input->block_begin};
    ZSTD_outBuffer out = {input->window, INPUT_WINDOW_BYTES, input->end};
    size_t rc = ZSTD_decompressStream(input->zstd, &out, &in);
    input->block_begin = in.pos;
    input->end = out.pos;
    if (ZSTD_isError(rc)) {
        if (ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation)
            return err_set(err, ERR_NOMEM, "'%s': out of memory for Zstandard", input->path);
        return bad_data(input, ZSTD_getErrorName(rc), err);
    }
    input->member_ended = rc == 0;
    input->has_more = rc != 0 && out.pos == out.size;
    return ERR_OK;
}

enum err_code input_fill(struct reader_input *input, struct err *err)
{
    size_t unread = input_unread(input);
    ASSERT(unread < INPUT_WINDOW_BYTES);
    memmove(input->window, input_at(input), unread);
    input->begin = 0;
    input->end = unread;
    if (input->packing == INPUT_PLAIN) {
        size_t got = 0;
        enum err_code rc =
            read_some(input, input->window + unread, INPUT_WINDOW_BYTES - unread, &got, err);
        input->end += got;
        input->at_end = rc == ERR_OK && got == 0;
        return rc;
    }
    while (input->end == unread && !input->at_end) {
        enum err_code rc = ERR_OK;
        if (input->block_begin == input->block_end && !input->has_more)
            rc = feed(input, err);
        if (rc == ERR_OK && !input->at_end)
            rc = input->packing == INPUT_GZIP ? inflate_some(input, err) : unzstd_some(input, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* A Zstandard file may begin with a frame that is to be skipped, as pzstd writes it. */
static enum input_packing packing_of(const uint8_t *at, size_t len)
{
    if (len >= 2 && memcmp(at, "\x1F\x8B", 2) == 0)
        return INPUT_GZIP;
    if (len >= MAGIC_BYTES && (memcmp(at, "\x28\xB5\x2F\xFD", 4) == 0 ||
                               ((at[0] & 0xF0) == 0x50 && memcmp(at + 1, "\x2A\x4D\x18", 3) == 0)))
        return INPUT_ZSTD;
    return INPUT_PLAIN;
}

/* The bytes that are in the window already may turn out to be packed. */
static enum err_code begin_unpacking(struct reader_input *input, struct err *err)
{
    enum input_packing packing = packing_of((const uint8_t *)input->window, input->end);
    if (packing == INPUT_PLAIN)
        return ERR_OK;
    if (packing == INPUT_GZIP ? inflateInit2(&input->inflater, GZIP_WINDOW_BITS) != Z_OK
                              : (input->zstd = ZSTD_createDCtx()) == NULL)
        return err_set(err, ERR_NOMEM, "'%s': out of memory to unpack it", input->path);
    input->packing = packing;
    memcpy(input->block, input->window, input->end);
    input->block_end = input->end;
    input->end = 0;
    input->at_end = false; /* that of the file was seen, perhaps, not that of the text */
    return ERR_OK;
}

static enum err_code step_over_mark(struct reader_input *input, struct err *err)
{
    while (input_unread(input) < 3 && !input->at_end) {
        enum err_code rc = input_fill(input, err);
        if (rc != ERR_OK)
            return rc;
    }
    const char *at = input_at(input);
    size_t len = input_unread(input);
    if (len >= 2 && (memcmp(at, "\xFF\xFE", 2) == 0 || memcmp(at, "\xFE\xFF", 2) == 0))
        return err_set(err, ERR_UNSUPPORTED, "'%s' is UTF-16, expected UTF-8", input->path);
    if (len >= 3 && memcmp(at, "\xEF\xBB\xBF", 3) == 0)
        input_take(input, 3);
    return ERR_OK;
}

/* The first bytes go into the window, as far as one block holds. */
static enum err_code read_first(struct reader_input *input, struct err *err)
{
    while (input->end < MAGIC_BYTES && !input->at_end) {
        size_t got = 0;
        enum err_code rc =
            read_some(input, input->window + input->end, INPUT_BLOCK_BYTES - input->end, &got, err);
        if (rc != ERR_OK)
            return rc;
        input->end += got;
        input->at_end = got == 0;
    }
    return ERR_OK;
}

enum err_code input_open(const char *path, struct reader_input *input, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct stat info;
    memset(input, 0, sizeof *input);
    input->path = strdup(path);
    input->window = malloc(INPUT_WINDOW_BYTES);
    input->block = malloc(INPUT_BLOCK_BYTES);
    input->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (input->fd < 0 || fstat(input->fd, &info) != 0) {
        enum err_code code = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
        rc = err_set(err, code, "cannot open '%s': %s", path, strerror(errno));
        goto out;
    }
    if (input->path == NULL || input->window == NULL || input->block == NULL) {
        rc = err_set(err, ERR_NOMEM, "out of memory to read '%s'", path);
        goto out;
    }
    input->bytes_total = S_ISREG(info.st_mode) ? (uint64_t)info.st_size : 0;
    input->changed_ns =
        (uint64_t)info.st_mtim.tv_sec * UINT64_C(1000000000) + (uint64_t)info.st_mtim.tv_nsec;
    rc = read_first(input, err);
    if (rc == ERR_OK)
        rc = begin_unpacking(input, err);
    if (rc == ERR_OK)
        rc = step_over_mark(input, err);
out:
    if (rc != ERR_OK)
        input_close(input);
    return rc;
}

void input_close(struct reader_input *input)
{
    if (input->path == NULL && input->window == NULL && input->block == NULL)
        return;
    if (input->packing == INPUT_GZIP)
        inflateEnd(&input->inflater);
    ZSTD_freeDCtx(input->zstd);
    if (input->fd >= 0)
        close(input->fd);
    free(input->path);
    free(input->window);
    free(input->block);
    memset(input, 0, sizeof *input);
}
