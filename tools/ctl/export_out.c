/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/export_out.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "base/file.h"

enum { GZIP_BUFFER_BYTES = 131072 };

struct export_out {
    enum export_compression compression;
    const char *path;             /* borrowed */
    char place[FILE_PATH_BYTES];  /* of a file that is written beside it; links are followed */
    char opened[FILE_PATH_BYTES]; /* what is written */
    bool failed, is_beside;
    gzFile gzip; /* plain too, which it writes as it is */
    FILE *file;  /* of ZSTD, as are those below */
    ZSTD_CCtx *zstd;
    char *buffer; /* owned */
    size_t buffer_bytes;
};

static enum err_code write_failed(struct export_out *out, const char *why, struct err *err)
{
    out->failed = true;
    return err_set(err, ERR_IO, "cannot write %s: %s", out->path, why);
}

static void free_out(struct export_out **out)
{
    ZSTD_freeCCtx((*out)->zstd);
    free((*out)->buffer);
    free(*out);
    *out = NULL;
}

static enum err_code open_zstd(struct export_out *out, struct err *err)
{
    out->buffer_bytes = ZSTD_CStreamOutSize();
    out->buffer = malloc(out->buffer_bytes);
    out->zstd = ZSTD_createCCtx();
    if (out->buffer == NULL || out->zstd == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to compress");
    /* With a checksum, so that damage is found when the file is read. */
    if (ZSTD_isError(
            ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_compressionLevel, ZSTD_CLEVEL_DEFAULT)) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(out->zstd, ZSTD_c_checksumFlag, 1)))
        return err_set(err, ERR_UNSUPPORTED, "libzstd does not take its parameters");
    out->file = strcmp(out->path, "-") == 0 ? stdout : fopen(out->opened, "wbe");
    if (out->file == NULL)
        return err_set(err, ERR_IO, "cannot open %s: %s", out->opened, strerror(errno));
    return ERR_OK;
}

static enum err_code open_gzip(struct export_out *out, struct err *err)
{
    const char *mode = out->compression == EXPORT_GZIP ? "wb6" : "wbT";
    errno = 0;
    out->gzip = strcmp(out->path, "-") == 0 ? gzdopen(1, mode) : gzopen(out->opened, mode);
    if (out->gzip == NULL)
        return err_set(err, ERR_IO, "cannot open %s: %s", out->opened,
                       errno == 0 ? "out of memory" : strerror(errno));
    (void)gzbuffer(out->gzip, GZIP_BUFFER_BYTES); /* it has a smaller one otherwise */
    return ERR_OK;
}

static enum err_code find_place(struct export_out *out, struct err *err)
{
    struct stat st;
    char followed[PATH_MAX];
    const char *place = realpath(out->path, followed) == NULL ? out->path : followed;
    out->is_beside =
        strcmp(out->path, "-") != 0 && (stat(out->path, &st) != 0 || S_ISREG(st.st_mode));
    int place_len = snprintf(out->place, sizeof out->place, "%s", place);
    int opened_len = snprintf(out->opened, sizeof out->opened, "%s%s",
                              out->is_beside ? place : out->path, out->is_beside ? ".part" : "");
    if (place_len >= FILE_PATH_BYTES || opened_len >= FILE_PATH_BYTES)
        return err_set(err, ERR_LIMIT, "'%s' is too long", out->path);
    return ERR_OK;
}

enum err_code export_out_open(const char *path, enum export_compression compression,
                              struct export_out **ret_out, struct err *err)
{
    struct export_out *out = calloc(1, sizeof *out);
    if (out == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to write %s", path);
    out->compression = compression;
    out->path = path;
    enum err_code rc = find_place(out, err);
    if (rc == ERR_OK)
        rc = compression == EXPORT_ZSTD ? open_zstd(out, err) : open_gzip(out, err);
    if (rc != ERR_OK) {
        free_out(&out);
        return rc;
    }
    *ret_out = out;
    return ERR_OK;
}

/* All of the input, and with `end` also all that is still inside. */
static enum err_code put_zstd(struct export_out *out, const char *bytes, size_t len, bool end,
                              struct err *err)
{
    ZSTD_inBuffer input = {bytes, len, 0};
    size_t left;
    do {
        ZSTD_outBuffer output = {out->buffer, out->buffer_bytes, 0};
        left = ZSTD_compressStream2(out->zstd, &output, &input, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return write_failed(out, ZSTD_getErrorName(left), err);
        if (output.pos > 0 && fwrite(out->buffer, 1, output.pos, out->file) != output.pos)
            return write_failed(out, strerror(errno), err);
    } while (end ? left > 0 : input.pos < input.size);
    return ERR_OK;
}

enum err_code export_out_write(struct export_out *out, const char *bytes, size_t len,
                               struct err *err)
{
    if (len == 0)
        return ERR_OK;
    if (out->compression == EXPORT_ZSTD)
        return put_zstd(out, bytes, len, false, err);
    if (gzwrite(out->gzip, bytes, (unsigned)len) == (int)len)
        return ERR_OK;
    int number = 0;
    const char *text = gzerror(out->gzip, &number);
    return write_failed(out, number == Z_ERRNO ? strerror(errno) : text, err);
}

static enum err_code close_zstd(struct export_out *out, struct err *err)
{
    enum err_code rc = out->failed ? ERR_OK : put_zstd(out, NULL, 0, true, err);
    errno = 0;
    bool closed = out->file == stdout ? fflush(out->file) == 0 : fclose(out->file) == 0;
    if (rc == ERR_OK && !closed && !out->failed)
        rc = write_failed(out, strerror(errno), err);
    return rc;
}

static enum err_code take_place(struct export_out *out, struct err *err)
{
    if (!out->is_beside)
        return ERR_OK;
    if (!out->failed && rename(out->opened, out->place) != 0)
        (void)write_failed(out, strerror(errno), err);
    if (!out->failed)
        return ERR_OK;
    unlink(out->opened);
    return ERR_IO;
}

static enum err_code finish(struct export_out **out, struct err *err)
{
    struct export_out *old = *out;
    enum err_code rc = ERR_OK;
    const bool had_failed = old->failed;
    errno = 0;
    if (old->compression == EXPORT_ZSTD)
        rc = close_zstd(old, err);
    else if (gzclose(old->gzip) != Z_OK && !old->failed)
        rc = write_failed(old, errno == 0 ? "out of memory" : strerror(errno), err);
    if (take_place(old, err) != ERR_OK && !had_failed)
        rc = ERR_IO;
    free_out(out);
    return rc;
}

enum err_code export_out_close(struct export_out **out, struct err *err)
{
    return *out == NULL ? ERR_OK : finish(out, err);
}

void export_out_drop(struct export_out **out)
{
    if (*out == NULL)
        return;
    (*out)->failed = true;
    (void)finish(out, NULL);
}
