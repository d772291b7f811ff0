/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/reader_input.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { GZIP_MAGIC_BYTES = 2, GZIP_WINDOW_BITS = 15 + 16 }; /* 16: with a gzip header */

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

/* Compressed bytes for the inflater; at the file's end the last member must have ended, too. */
static enum err_code feed_inflater(struct reader_input *input, struct err *err)
{
    size_t got = 0;
    enum err_code rc = read_some(input, input->block, INPUT_BLOCK_BYTES, &got, err);
    if (rc != ERR_OK)
        return rc;
    if (got == 0 && !input->member_ended)
        return err_set(err, ERR_BAD_INPUT, "'%s': the gzip data breaks off at byte %" PRIu64,
                       input->path, input->bytes_read);
    input->at_end = got == 0;
    input->inflater.next_in = input->block;
    input->inflater.avail_in = (uInt)got;
    return ERR_OK;
}

static enum err_code inflate_some(struct reader_input *input, struct err *err)
{
    z_stream *z = &input->inflater;
    if (input->member_ended) {
        input->member_ended = false;
        inflateReset(z);
    }
    z->next_out = (Bytef *)input->window + input->end;
    z->avail_out = (uInt)(INPUT_WINDOW_BYTES - input->end);
    int rc = inflate(z, Z_NO_FLUSH);
    input->end = INPUT_WINDOW_BYTES - z->avail_out;
    input->member_ended = rc == Z_STREAM_END;
    if (rc == Z_OK || rc == Z_STREAM_END || rc == Z_BUF_ERROR) /* the last: it wants more bytes */
        return ERR_OK;
    if (rc == Z_MEM_ERROR)
        return err_set(err, ERR_NOMEM, "'%s': out of memory for gzip", input->path);
    return err_set(err, ERR_BAD_INPUT, "'%s': bad gzip data near byte %" PRIu64 ": %s", input->path,
                   input->bytes_read - z->avail_in, z->msg == NULL ? "unknown" : z->msg);
}

enum err_code input_fill(struct reader_input *input, struct err *err)
{
    size_t unread = input_unread(input);
    ASSERT(unread < INPUT_WINDOW_BYTES);
    memmove(input->window, input_at(input), unread);
    input->begin = 0;
    input->end = unread;
    if (!input->is_gzip) {
        size_t got = 0;
        enum err_code rc =
            read_some(input, input->window + unread, INPUT_WINDOW_BYTES - unread, &got, err);
        input->end += got;
        input->at_end = rc == ERR_OK && got == 0;
        return rc;
    }
    while (input->end == unread && !input->at_end) {
        enum err_code rc = ERR_OK;
        if (input->inflater.avail_in == 0)
            rc = feed_inflater(input, err);
        if (rc == ERR_OK && !input->at_end)
            rc = inflate_some(input, err);
        if (rc != ERR_OK)
            return rc;
    }
    return ERR_OK;
}

/* The bytes that are in the window already turn out to be compressed. */
static enum err_code begin_gzip(struct reader_input *input, struct err *err)
{
    if (inflateInit2(&input->inflater, GZIP_WINDOW_BITS) != Z_OK)
        return err_set(err, ERR_NOMEM, "'%s': out of memory for gzip", input->path);
    input->is_gzip = true;
    memcpy(input->block, input->window, input->end);
    input->inflater.next_in = input->block;
    input->inflater.avail_in = (uInt)input->end;
    input->end = 0;
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
    while (input->end < GZIP_MAGIC_BYTES && !input->at_end) {
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
    if (rc == ERR_OK && input->end >= GZIP_MAGIC_BYTES &&
        memcmp(input->window, "\x1F\x8B", GZIP_MAGIC_BYTES) == 0)
        rc = begin_gzip(input, err);
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
    if (input->is_gzip)
        inflateEnd(&input->inflater);
    if (input->fd >= 0)
        close(input->fd);
    free(input->path);
    free(input->window);
    free(input->block);
    memset(input, 0, sizeof *input);
}
