/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "featurestore/checkpoint.h"
#include "featurestore/checkpoint_internal.h"

struct checkpoint_reader {
    char path[FILE_PATH_BYTES];
    int fd;
    uint32_t rules;
    uint64_t offset; /* of the block that comes next */
    uint8_t *block;  /* owned */
    uint32_t capacity, len, at;
    uint32_t row_count; /* read so far */
    bool ended;
};

static enum err_code corrupt(const struct checkpoint_reader *reader, const char *what,
                             struct err *err)
{
    return err_set(err, ERR_CORRUPT, "%.200s, before byte %" PRIu64 ": %s", reader->path,
                   reader->offset, what);
}

/* All of it, or ERR_CORRUPT at the end of the file. */
static enum err_code read_bytes(struct checkpoint_reader *reader, void *to, size_t len,
                                struct err *err)
{
    uint8_t *at = to;
    while (len > 0) {
        ssize_t got = pread(reader->fd, at, len, (off_t)reader->offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(err, ERR_IO, "cannot read %.200s: %s", reader->path, strerror(errno));
        if (got == 0)
            return corrupt(reader, "the file ends there", err);
        at += got;
        len -= (size_t)got;
        reader->offset += (uint64_t)got;
    }
    return ERR_OK;
}

static uint32_t number_at(const void *bytes)
{
    uint32_t number;
    memcpy(&number, bytes, sizeof number);
    return le32toh(number);
}

static uint64_t long_at(const void *bytes)
{
    uint64_t number;
    memcpy(&number, bytes, sizeof number);
    return le64toh(number);
}

static enum err_code read_header(struct checkpoint_reader *reader, uint64_t *ret_sequence,
                                 struct err *err)
{
    uint8_t header[CHECKPOINT_HEADER_BYTES];
    enum err_code rc = read_bytes(reader, header, sizeof header, err);
    if (rc != ERR_OK)
        return rc;
    if (memcmp(header, CHECKPOINT_MAGIC, 8) != 0)
        return corrupt(reader, "it is no checkpoint", err);
    if (long_at(header + 24) != hash_bytes(header, 24, CHECKPOINT_SEED))
        return corrupt(reader, "the checksum of its header does not match", err);
    if (number_at(header + 8) != CHECKPOINT_VERSION)
        return err_set(err, ERR_UNSUPPORTED, "%.200s: expected version %u, got %u", reader->path,
                       CHECKPOINT_VERSION, number_at(header + 8));
    reader->rules = number_at(header + 12);
    *ret_sequence = long_at(header + 16);
    return ERR_OK;
}

enum err_code checkpoint_reader_open(const char *path, struct checkpoint_reader **ret_reader,
                                     uint64_t *ret_sequence, struct err *err)
{
    struct checkpoint_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to read a checkpoint");
    snprintf(reader->path, sizeof reader->path, "%.4000s", path);
    reader->fd = open(path, O_RDONLY | O_CLOEXEC);
    enum err_code rc = ERR_OK;
    if (reader->fd < 0)
        rc = err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open %.200s: %s", path,
                     strerror(errno));
    if (rc == ERR_OK)
        rc = read_header(reader, ret_sequence, err);
    if (rc != ERR_OK) {
        checkpoint_reader_close(&reader);
        return rc;
    }
    *ret_reader = reader;
    return ERR_OK;
}

uint32_t checkpoint_reader_rules(const struct checkpoint_reader *reader)
{
    return reader->rules;
}

void checkpoint_reader_close(struct checkpoint_reader **reader)
{
    if (*reader == NULL)
        return;
    if ((*reader)->fd >= 0)
        close((*reader)->fd);
    free((*reader)->block);
    free(*reader);
    *reader = NULL;
}

/* Behind the last block nothing may follow. */
static enum err_code check_end(struct checkpoint_reader *reader, uint32_t row_count,
                               struct err *err)
{
    uint8_t more;
    if (row_count != reader->row_count)
        return corrupt(reader, "rows are missing", err);
    if (pread(reader->fd, &more, 1, (off_t)reader->offset) != 0)
        return corrupt(reader, "something follows the last block", err);
    reader->ended = true;
    return ERR_OK;
}

static enum err_code make_room(struct checkpoint_reader *reader, uint32_t len, struct err *err)
{
    if (len > CHECKPOINT_BLOCK_BYTES_MAX)
        return corrupt(reader, "the length of a block is above the limit", err);
    if (len <= reader->capacity)
        return ERR_OK;
    uint8_t *grown = realloc(reader->block, len);
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "out of memory to read a checkpoint");
    reader->block = grown;
    reader->capacity = len;
    return ERR_OK;
}

static enum err_code next_block(struct checkpoint_reader *reader, struct err *err)
{
    uint8_t head[CHECKPOINT_BLOCK_HEAD_BYTES];
    enum err_code rc = read_bytes(reader, head, sizeof head, err);
    if (rc != ERR_OK)
        return rc;
    uint32_t len = number_at(head), checksum = number_at(head + 4);
    if (len == 0)
        return check_end(reader, checksum, err);
    rc = make_room(reader, len, err);
    if (rc == ERR_OK)
        rc = read_bytes(reader, reader->block, len, err);
    if (rc != ERR_OK)
        return rc;
    if ((uint32_t)hash_bytes(reader->block, len, CHECKPOINT_SEED) != checksum)
        return corrupt(reader, "the checksum of a block does not match", err);
    reader->len = len;
    reader->at = 0;
    return ERR_OK;
}

enum err_code checkpoint_reader_next(struct checkpoint_reader *reader,
                                     struct checkpoint_row *ret_row, struct err *err)
{
    while (reader->at == reader->len && !reader->ended) {
        enum err_code rc = next_block(reader, err);
        if (rc != ERR_OK)
            return rc;
    }
    if (reader->ended)
        return err_set(err, ERR_NOT_FOUND, "the end of the checkpoint");
    const uint8_t *row = reader->block + reader->at;
    uint32_t left = reader->len - reader->at;
    if (left < CHECKPOINT_ROW_HEAD_BYTES)
        return corrupt(reader, "a row is cut off", err);
    uint32_t len = number_at(row + 5);
    if (len > left - CHECKPOINT_ROW_HEAD_BYTES || len > CHECKPOINT_ROW_BYTES_MAX)
        return corrupt(reader, "a row is longer than its block", err);
    *ret_row = (struct checkpoint_row){
        row[0], number_at(row + 1), {(const char *)row + CHECKPOINT_ROW_HEAD_BYTES, len}};
    reader->at += CHECKPOINT_ROW_HEAD_BYTES + len;
    reader->row_count++;
    return ERR_OK;
}

/* ---- fields ---------------------------------------------------------------------------------- */

struct checkpoint_fields checkpoint_fields_of(const struct checkpoint_row *row)
{
    const uint8_t *at = (const uint8_t *)row->bytes.ptr;
    return (struct checkpoint_fields){at, at + row->bytes.len};
}

bool checkpoint_get_bytes(struct checkpoint_fields *fields, void *to, size_t len)
{
    if ((size_t)(fields->end - fields->at) < len)
        return false;
    memcpy(to, fields->at, len);
    fields->at += len;
    return true;
}

bool checkpoint_get_u32(struct checkpoint_fields *fields, uint32_t *ret_value)
{
    uint32_t bytes;
    if (!checkpoint_get_bytes(fields, &bytes, sizeof bytes))
        return false;
    *ret_value = le32toh(bytes);
    return true;
}

bool checkpoint_get_u64(struct checkpoint_fields *fields, uint64_t *ret_value)
{
    uint64_t bytes;
    if (!checkpoint_get_bytes(fields, &bytes, sizeof bytes))
        return false;
    *ret_value = le64toh(bytes);
    return true;
}

bool checkpoint_get_text(struct checkpoint_fields *fields, struct text *ret_text)
{
    uint32_t len;
    if (!checkpoint_get_u32(fields, &len))
        return false;
    if (len == UINT32_MAX) {
        *ret_text = (struct text){NULL, 0};
        return true;
    }
    if ((size_t)(fields->end - fields->at) < len)
        return false;
    *ret_text = (struct text){(const char *)fields->at, len};
    fields->at += len;
    return true;
}
