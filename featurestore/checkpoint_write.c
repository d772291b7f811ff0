/* SPDX-License-Identifier: Apache-2.0 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"
#include "featurestore/checkpoint.h"
#include "featurestore/checkpoint_internal.h"

enum { BLOCKS_WAITING_MAX = 8 };

struct waiting_block {
    struct waiting_block *next;
    char *bytes; /* owned: head and rows */
    size_t len;
};

struct checkpoint_writer {
    char path[FILE_PATH_BYTES];
    char temporary[FILE_PATH_BYTES];
    int fd;
    void (*wake)(void *ctx);
    void *ctx;
    pthread_t thread;
    bool has_thread;
    uint64_t bytes; /* written; the thread's until it is done */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    /* Under the mutex. */
    struct waiting_block *first, *last; /* owned */
    uint32_t waiting_count;
    uint32_t row_count;
    bool finishing, abandoned;
    enum checkpoint_state state;
    struct err err;
};

size_t checkpoint_row_open(struct checkpoint_block *block, uint8_t kind, uint32_t number)
{
    static const char head[CHECKPOINT_BLOCK_HEAD_BYTES];
    if (block->buffer.used == 0)
        buffer_put(&block->buffer, head, sizeof head); /* filled in when the block is whole */
    buffer_put_char(&block->buffer, (char)kind);
    checkpoint_put_u32(block, number);
    size_t mark = block->buffer.used;
    checkpoint_put_u32(block, 0);
    block->row_count++;
    return mark;
}

void checkpoint_row_close(struct checkpoint_block *block, size_t mark)
{
    if (block->buffer.failed)
        return;
    uint32_t len = htole32((uint32_t)(block->buffer.used - mark - sizeof len));
    memcpy(block->buffer.bytes + mark, &len, sizeof len);
}

void checkpoint_put_u32(struct checkpoint_block *block, uint32_t value)
{
    uint32_t bytes = htole32(value);
    buffer_put(&block->buffer, (const char *)&bytes, sizeof bytes);
}

void checkpoint_put_u64(struct checkpoint_block *block, uint64_t value)
{
    uint64_t bytes = htole64(value);
    buffer_put(&block->buffer, (const char *)&bytes, sizeof bytes);
}

void checkpoint_put_text(struct checkpoint_block *block, struct text text)
{
    checkpoint_put_u32(block, text.ptr == NULL ? UINT32_MAX : text.len);
    if (text.ptr != NULL)
        buffer_put(&block->buffer, text.ptr, text.len);
}

/* ---- the writer's thread --------------------------------------------------------------------- */

static enum err_code failed(const struct checkpoint_writer *writer, const char *doing,
                            int error_number, struct err *err)
{
    return err_set(err, error_number == ENOSPC || error_number == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                   "cannot %s %s: %s", doing, writer->path, strerror(error_number));
}

static enum err_code write_bytes(struct checkpoint_writer *writer, const void *bytes, size_t len,
                                 struct err *err)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t wrote = pwrite(writer->fd, at, len, (off_t)writer->bytes);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return failed(writer, "write", errno, err);
        at += wrote;
        len -= (size_t)wrote;
        writer->bytes += (uint64_t)wrote;
    }
    return ERR_OK;
}

static enum err_code finish_file(struct checkpoint_writer *writer, struct err *err)
{
    char dir[FILE_PATH_BYTES];
    uint32_t last[2] = {0, htole32(writer->row_count)};
    enum err_code rc = write_bytes(writer, last, sizeof last, err);
    if (rc != ERR_OK)
        return rc;
    if (fsync(writer->fd) != 0)
        return failed(writer, "sync", errno, err);
    if (rename(writer->temporary, writer->path) != 0)
        return failed(writer, "rename", errno, err);
    snprintf(dir, sizeof dir, "%s", writer->path);
    return file_sync_dir(dirname(dir), err);
}

/* The next block, or NULL when the file is to be finished or given up. */
static struct waiting_block *take_block(struct checkpoint_writer *writer, bool *ret_abandoned)
{
    pthread_mutex_lock(&writer->mutex);
    while (writer->first == NULL && !writer->finishing && !writer->abandoned)
        pthread_cond_wait(&writer->changed, &writer->mutex);
    struct waiting_block *block = writer->abandoned ? NULL : writer->first;
    if (block != NULL) {
        writer->first = block->next;
        if (writer->first == NULL)
            writer->last = NULL;
        writer->waiting_count--;
    }
    *ret_abandoned = writer->abandoned;
    pthread_mutex_unlock(&writer->mutex);
    return block;
}

static void *run(void *arg)
{
    struct checkpoint_writer *writer = arg;
    struct waiting_block *block;
    struct err err = {.text = ""};
    enum err_code rc = ERR_OK;
    bool abandoned = false;
    while (rc == ERR_OK && (block = take_block(writer, &abandoned)) != NULL) {
        rc = write_bytes(writer, block->bytes, block->len, &err);
        free(block->bytes);
        free(block);
        writer->wake(writer->ctx);
    }
    if (rc == ERR_OK && !abandoned)
        rc = finish_file(writer, &err);
    pthread_mutex_lock(&writer->mutex);
    writer->state = rc == ERR_OK && !abandoned ? CHECKPOINT_DONE : CHECKPOINT_FAILED;
    if (rc != ERR_OK)
        writer->err = err;
    pthread_mutex_unlock(&writer->mutex);
    writer->wake(writer->ctx);
    return NULL;
}

/* ---- its owner ------------------------------------------------------------------------------- */

static enum err_code write_header(struct checkpoint_writer *writer, uint64_t sequence,
                                  struct err *err)
{
    uint8_t header[CHECKPOINT_HEADER_BYTES] = CHECKPOINT_MAGIC;
    uint32_t version = htole32(CHECKPOINT_VERSION), rules = htole32(CHECKPOINT_RULES);
    sequence = htole64(sequence);
    memcpy(header + 8, &version, sizeof version);
    memcpy(header + 12, &rules, sizeof rules);
    memcpy(header + 16, &sequence, sizeof sequence);
    uint64_t checksum = htole64(hash_bytes(header, 24, CHECKPOINT_SEED));
    memcpy(header + 24, &checksum, sizeof checksum);
    return write_bytes(writer, header, sizeof header, err);
}

static enum err_code open_file(struct checkpoint_writer *writer, const char *path,
                               uint64_t sequence, struct err *err)
{
    if (snprintf(writer->path, sizeof writer->path, "%s", path) >= (int)sizeof writer->path - 8)
        return err_set(err, ERR_LIMIT, "the path of the checkpoint is too long");
    snprintf(writer->temporary, sizeof writer->temporary, "%.4000s.part", path);
    writer->fd = open(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    if (writer->fd < 0)
        return failed(writer, "open", errno, err);
    return write_header(writer, sequence, err);
}

enum err_code checkpoint_writer_create(const char *path, uint64_t sequence, void (*wake)(void *ctx),
                                       void *ctx, struct checkpoint_writer **ret_writer,
                                       struct err *err)
{
    struct checkpoint_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a checkpoint");
    writer->fd = -1;
    writer->wake = wake;
    writer->ctx = ctx;
    pthread_mutex_init(&writer->mutex, NULL);
    pthread_cond_init(&writer->changed, NULL);
    enum err_code rc = open_file(writer, path, sequence, err);
    if (rc == ERR_OK && pthread_create(&writer->thread, NULL, run, writer) != 0)
        rc = err_set(err, ERR_IO, "cannot start the thread that writes checkpoints");
    writer->has_thread = rc == ERR_OK;
    if (rc != ERR_OK) {
        checkpoint_writer_destroy(&writer);
        return rc;
    }
    *ret_writer = writer;
    return ERR_OK;
}

bool checkpoint_writer_has_room(struct checkpoint_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    bool has_room = writer->waiting_count < BLOCKS_WAITING_MAX;
    pthread_mutex_unlock(&writer->mutex);
    return has_room;
}

/* Without memory for it the checkpoint fails. */
static void give_up(struct checkpoint_writer *writer)
{
    writer->abandoned = true;
    err_set(&writer->err, ERR_NOMEM, "out of memory for a checkpoint");
}

/* The head of a whole block. */
static void fill_head(struct buffer *buffer)
{
    size_t len = buffer->used - CHECKPOINT_BLOCK_HEAD_BYTES;
    uint64_t checksum =
        hash_bytes(buffer->bytes + CHECKPOINT_BLOCK_HEAD_BYTES, len, CHECKPOINT_SEED);
    uint32_t head[2] = {htole32((uint32_t)len), htole32((uint32_t)checksum)};
    memcpy(buffer->bytes, head, sizeof head);
}

void checkpoint_writer_put(struct checkpoint_writer *writer, struct checkpoint_block *rows)
{
    if (rows->row_count == 0)
        return;
    struct waiting_block *block = malloc(sizeof *block);
    bool is_whole = block != NULL && !rows->buffer.failed;
    if (is_whole) {
        fill_head(&rows->buffer);
        *block = (struct waiting_block){.len = rows->buffer.used};
        block->bytes = rows->buffer.bytes;
        rows->buffer = (struct buffer){0};
    } else {
        free(block);
        buffer_deinit(&rows->buffer);
    }
    pthread_mutex_lock(&writer->mutex);
    if (is_whole) {
        *(writer->last == NULL ? &writer->first : &writer->last->next) = block;
        writer->last = block;
        writer->waiting_count++;
        writer->row_count += rows->row_count;
    } else {
        give_up(writer);
    }
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
    rows->row_count = 0;
}

void checkpoint_writer_finish(struct checkpoint_writer *writer)
{
    pthread_mutex_lock(&writer->mutex);
    writer->finishing = true;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->mutex);
}

enum checkpoint_state checkpoint_writer_state(struct checkpoint_writer *writer, uint64_t *ret_bytes,
                                              struct err *err)
{
    pthread_mutex_lock(&writer->mutex);
    enum checkpoint_state state = writer->state;
    if (state == CHECKPOINT_FAILED && err != NULL)
        *err = writer->err;
    if (state == CHECKPOINT_DONE)
        *ret_bytes = writer->bytes;
    pthread_mutex_unlock(&writer->mutex);
    return state;
}

void checkpoint_writer_destroy(struct checkpoint_writer **writer)
{
    struct checkpoint_writer *old = *writer;
    if (old == NULL)
        return;
    pthread_mutex_lock(&old->mutex);
    old->abandoned = true;
    pthread_cond_signal(&old->changed);
    pthread_mutex_unlock(&old->mutex);
    if (old->has_thread)
        pthread_join(old->thread, NULL);
    for (struct waiting_block *block = old->first, *next; block != NULL; block = next) {
        next = block->next;
        free(block->bytes);
        free(block);
    }
    if (old->fd >= 0)
        close(old->fd);
    if (old->state != CHECKPOINT_DONE && old->temporary[0] != '\0')
        (void)unlink(old->temporary); /* it may never have been made */
    pthread_cond_destroy(&old->changed);
    pthread_mutex_destroy(&old->mutex);
    free(old);
    *writer = NULL;
}
