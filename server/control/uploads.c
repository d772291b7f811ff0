/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "server/control/model_ops.h"
#include "server/control/release.h"

#define BUNDLE_ALL_FILES_MAX (BUNDLE_FILES_MAX + 3) /* manifest, its signature, and golden.json */
#define FILES_MAX            (RELEASE_MODELS_MAX * BUNDLE_ALL_FILES_MAX + 2) /* of a release */
#define PATH_BYTES           (3 * MODEL_NAME_BYTES)

/* At a time: a kernel without preemption gives the core to nobody else while it copies one block of
 * the page cache, which is as large as what is written, and 256 KiB of fresh memory take 0.3 ms. */
#define WRITE_BYTES_MAX 32768

struct upload_file {
    char path[PATH_BYTES];
    int64_t bytes;
    int64_t last_offset; /* of the piece written last */
};

struct upload {
    char id[ULID_BYTES]; /* "": free */
    struct upload_info info;
    bool taken; /* a piece is being written, or it is being loaded */
    uint64_t touched_ns;
    int64_t bytes;
    uint32_t file_count;
    struct upload_file file[FILES_MAX];
};

struct uploads {
    pthread_mutex_t lock; /* guards the table, not the files: those belong to who took the upload */
    const struct clock *clock;
    struct rand rand;
    char dir[FILE_PATH_BYTES]; /* models_dir/.incoming */
    struct upload upload[MODEL_UPLOADS_MAX];
};

enum err_code uploads_create(const char *models_dir, const struct clock *clock,
                             struct uploads **ret_uploads, struct err *err)
{
    struct uploads *uploads = calloc(1, sizeof *uploads);
    if (uploads == NULL)
        return err_set(err, ERR_NOMEM, "no memory for uploads of models");
    uploads->clock = clock;
    rand_init(&uploads->rand, rand_seed_system());
    enum err_code rc = file_join(models_dir, ".incoming", uploads->dir, sizeof uploads->dir, err);
    if (rc == ERR_OK)
        rc = file_remove_tree(uploads->dir, err);
    if (rc != ERR_OK) {
        free(uploads);
        return rc;
    }
    pthread_mutex_init(&uploads->lock, NULL);
    *ret_uploads = uploads;
    return ERR_OK;
}

/* Frees the place; the folder is removed by whoever calls this, after the lock was given back. */
static void forget(struct upload *upload)
{
    upload->id[0] = '\0';
    upload->taken = false;
}

static void remove_folder(const char *dir)
{
    struct err err = {0};
    if (file_remove_tree(dir, &err) != ERR_OK)
        log_at(LOG_WARN, "an upload is not removed", LOG_STR("dir", dir),
               LOG_STR("error", err.text));
}

void uploads_destroy(struct uploads **uploads)
{
    if (*uploads == NULL)
        return;
    remove_folder((*uploads)->dir);
    pthread_mutex_destroy(&(*uploads)->lock);
    free(*uploads);
    *uploads = NULL;
}

void uploads_expire(struct uploads *uploads)
{
    uint64_t now_ns = clock_now_ns(uploads->clock);
    for (uint32_t i = 0; i < MODEL_UPLOADS_MAX; i++) {
        struct upload *upload = &uploads->upload[i];
        struct upload_info info;
        pthread_mutex_lock(&uploads->lock);
        bool idle = upload->id[0] != '\0' && !upload->taken &&
                    now_ns - upload->touched_ns >= MODEL_UPLOAD_IDLE_MS * UINT64_C(1000000);
        if (idle) {
            info = upload->info;
            forget(upload);
        }
        pthread_mutex_unlock(&uploads->lock);
        if (!idle)
            continue;
        log_at(LOG_WARN, "an upload was given up: nothing came for ten minutes",
               LOG_STR("model", info.name), LOG_STR("version", info.version),
               LOG_STR("release", info.release));
        remove_folder(info.dir);
    }
}

static struct upload *find(struct uploads *uploads, struct text id)
{
    for (uint32_t i = 0; i < MODEL_UPLOADS_MAX; i++) {
        if (id.len == ULID_BYTES - 1 && text_is(id, uploads->upload[i].id))
            return &uploads->upload[i];
    }
    return NULL;
}

/* Takes it, so that the caller alone works on it without holding the lock. */
static enum err_code take(struct uploads *uploads, struct text id, struct upload **ret_upload,
                          struct err *err)
{
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&uploads->lock);
    struct upload *upload = find(uploads, id);
    if (upload == NULL) {
        rc = err_set(err, ERR_NOT_FOUND,
                     "there is no upload '%.*s'; it may have been given up after ten minutes",
                     id.len < 32 ? (int)id.len : 32, id.ptr);
    } else if (upload->taken) {
        rc = err_set(err, ERR_BUSY, "the upload '%s' is being worked on", upload->id);
    } else {
        upload->taken = true;
        *ret_upload = upload;
    }
    pthread_mutex_unlock(&uploads->lock);
    return rc;
}

static void give_back(struct uploads *uploads, struct upload *upload)
{
    pthread_mutex_lock(&uploads->lock);
    upload->touched_ns = clock_now_ns(uploads->clock);
    upload->taken = false;
    pthread_mutex_unlock(&uploads->lock);
}

enum err_code uploads_begin(struct uploads *uploads, const struct upload_info *what,
                            char ret_id[ULID_BYTES], struct err *err)
{
    struct upload *upload = NULL;
    uploads_expire(uploads);
    pthread_mutex_lock(&uploads->lock);
    for (uint32_t i = 0; i < MODEL_UPLOADS_MAX && upload == NULL; i++) {
        if (uploads->upload[i].id[0] == '\0')
            upload = &uploads->upload[i];
    }
    if (upload != NULL) {
        upload->taken = true;
        upload->touched_ns = clock_now_ns(uploads->clock);
        upload->bytes = 0;
        upload->file_count = 0;
        ulid_make(&uploads->rand, clock_wall_ms(uploads->clock), upload->id);
    }
    pthread_mutex_unlock(&uploads->lock);
    if (upload == NULL)
        return err_set(
            err, ERR_BUSY,
            "%d uploads are open, which is the limit: one must be finished or aborted, or "
            "is given up when nothing came for ten minutes",
            MODEL_UPLOADS_MAX);
    struct upload_info *info = &upload->info;
    *info = *what;
    enum err_code rc = file_join(uploads->dir, upload->id, info->dir, sizeof info->dir, err);
    if (rc == ERR_OK)
        rc = file_make_dir(info->dir, err);
    if (rc != ERR_OK) {
        uploads_remove(uploads, text_of(upload->id));
        return rc;
    }
    memcpy(ret_id, upload->id, ULID_BYTES);
    give_back(uploads, upload);
    return ERR_OK;
}

uint32_t uploads_retry_ms(struct uploads *uploads)
{
    uint64_t soonest_ms = UPLOADS_RETRY_MS_MAX;
    uint64_t now_ns = clock_now_ns(uploads->clock);
    pthread_mutex_lock(&uploads->lock);
    for (uint32_t i = 0; i < MODEL_UPLOADS_MAX; i++) {
        const struct upload *upload = &uploads->upload[i];
        uint64_t idle_ms =
            now_ns > upload->touched_ns ? (now_ns - upload->touched_ns) / 1000000 : 0;
        uint64_t left_ms = idle_ms < MODEL_UPLOAD_IDLE_MS ? MODEL_UPLOAD_IDLE_MS - idle_ms : 1;
        if (!upload->taken && left_ms < soonest_ms)
            soonest_ms = left_ms;
    }
    pthread_mutex_unlock(&uploads->lock);
    return (uint32_t)soonest_ms;
}

/* The length too: a NUL within the text would end the path early. */
static enum err_code read_path(const struct upload *upload, struct text path_text,
                               char ret_path[PATH_BYTES], struct err *err)
{
    char path[2 * PATH_BYTES];
    bool of_release = upload->info.release[0] != '\0';
    text_copy(path_text, path, sizeof path);
    bool fits = strlen(path) == path_text.len && path_text.len < PATH_BYTES;
    if (fits && (of_release ? file_is_plain_path(path) : file_is_plain_name(path))) {
        text_copy(path_text, ret_path, PATH_BYTES);
        return ERR_OK;
    }
    return err_set(err, ERR_BAD_INPUT,
                   "path: expected %s of plain names of 1..64 characters, got '%.80s'",
                   of_release ? "NAME/VERSION/FILE or a file" : "a file", path);
}

/* The file of that path, which is added when it is new and its first piece comes. */
static enum err_code find_file(struct upload *upload, struct text path_text,
                               struct upload_file **ret_file, struct err *err)
{
    char path[PATH_BYTES];
    uint32_t most = upload->info.release[0] == '\0' ? BUNDLE_ALL_FILES_MAX : FILES_MAX;
    enum err_code rc = read_path(upload, path_text, path, err);
    if (rc != ERR_OK)
        return rc;
    for (uint32_t i = 0; i < upload->file_count; i++) {
        if (strcmp(upload->file[i].path, path) == 0) {
            *ret_file = &upload->file[i];
            return ERR_OK;
        }
    }
    if (upload->file_count == most)
        return err_set(err, ERR_LIMIT, "path: a bundle has at most %d files, a release %d",
                       BUNDLE_ALL_FILES_MAX, FILES_MAX);
    struct upload_file *file = &upload->file[upload->file_count++];
    *file = (struct upload_file){.last_offset = 0};
    text_copy(path_text, file->path, sizeof file->path);
    *ret_file = file;
    return ERR_OK;
}

static enum err_code check_place(const struct upload *upload, const struct upload_file *file,
                                 int64_t offset, struct text data, struct err *err)
{
    if (data.len > MODEL_CHUNK_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "data: expected at most %d bytes, got %u",
                       MODEL_CHUNK_BYTES_MAX, data.len);
    if (offset != file->bytes && offset != file->last_offset)
        return err_set(err, ERR_BAD_INPUT,
                       "offset: expected %" PRId64 ", where %s ends now, got %" PRId64, file->bytes,
                       file->path, offset);
    if (offset + data.len > (int64_t)BUNDLE_FILE_BYTES_MAX ||
        upload->bytes - file->bytes + offset + data.len > (int64_t)MODEL_UPLOAD_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "a bundle has at most %zu bytes, a file at most %zu",
                       (size_t)MODEL_UPLOAD_BYTES_MAX, (size_t)BUNDLE_FILE_BYTES_MAX);
    return ERR_OK;
}

static enum err_code write_error(const char *path, int64_t offset, struct err *err)
{
    bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
    return err_set(err, full ? ERR_DISK_FULL : ERR_IO,
                   "cannot write %s at %" PRId64 ": %s; the upload was given up", path, offset,
                   strerror(errno));
}

static enum err_code make_parent(const char *path, struct err *err)
{
    char parent[FILE_PATH_BYTES];
    text_copy((struct text){path, (uint32_t)(strrchr(path, '/') - path)}, parent, sizeof parent);
    return file_make_dir(parent, err);
}

static enum err_code write_piece(const struct upload *upload, const char *path, int64_t offset,
                                 struct text data, struct err *err)
{
    char full[FILE_PATH_BYTES];
    enum err_code rc = file_join(upload->info.dir, path, full, sizeof full, err);
    if (rc == ERR_OK && offset == 0 && strchr(path, '/') != NULL)
        rc = make_parent(full, err);
    if (rc != ERR_OK)
        return rc;
    int fd = open(full, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0640);
    if (fd < 0)
        return write_error(path, offset, err);
    uint32_t done = 0;
    while (done < data.len && rc == ERR_OK) {
        uint32_t left = data.len - done;
        ssize_t written = pwrite(fd, data.ptr + done,
                                 left < WRITE_BYTES_MAX ? left : WRITE_BYTES_MAX, offset + done);
        if (written >= 0)
            done += (uint32_t)written;
        else if (errno != EINTR)
            rc = write_error(path, offset, err);
    }
    /* A piece that comes again may be shorter than it was. */
    if (rc == ERR_OK && ftruncate(fd, offset + data.len) != 0)
        rc = write_error(path, offset, err);
    close(fd);
    return rc;
}

enum err_code uploads_write(struct uploads *uploads, struct text id, struct text path,
                            int64_t offset, struct text data, int64_t *ret_bytes, struct err *err)
{
    struct upload *upload = NULL;
    struct upload_file *file = NULL;
    enum err_code rc = take(uploads, id, &upload, err);
    if (rc != ERR_OK)
        return rc;
    rc = find_file(upload, path, &file, err);
    if (rc == ERR_OK)
        rc = check_place(upload, file, offset, data, err);
    if (rc != ERR_OK) {
        give_back(uploads, upload);
        return rc;
    }
    rc = write_piece(upload, file->path, offset, data, err);
    if (rc != ERR_OK) {
        uploads_remove(uploads, id);
        return rc;
    }
    upload->bytes += offset + data.len - file->bytes;
    file->last_offset = offset;
    file->bytes = offset + data.len;
    *ret_bytes = file->bytes;
    give_back(uploads, upload);
    return ERR_OK;
}

enum err_code uploads_take(struct uploads *uploads, struct text id, struct upload_info *ret_info,
                           struct err *err)
{
    struct upload *upload = NULL;
    enum err_code rc = take(uploads, id, &upload, err);
    if (rc == ERR_OK)
        *ret_info = upload->info;
    return rc;
}

void uploads_remove(struct uploads *uploads, struct text id)
{
    char dir[FILE_PATH_BYTES];
    pthread_mutex_lock(&uploads->lock);
    struct upload *upload = find(uploads, id);
    ASSERT(upload != NULL && upload->taken);
    text_copy(text_of(upload->info.dir), dir, sizeof dir);
    forget(upload);
    pthread_mutex_unlock(&uploads->lock);
    remove_folder(dir);
}
