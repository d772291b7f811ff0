/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "featurestore/event_log_internal.h"

#define FORMAT_VERSION "1"

enum { FORMAT_BYTES = 64, NOTE_NAME_BYTES_MAX = 64, FILE_MODE = 0640, READERS_MAX = 126 };

/* Nobody else needs the disk so urgently that less than this counts as room. */
#define NO_SPACE_BYTES (UINT64_C(1) << 20)

uint64_t event_log_free_bytes(const struct event_log *log)
{
    struct statvfs disk;
    if (statvfs(log->dir, &disk) != 0)
        return UINT64_MAX; /* the write itself will say */
    return (uint64_t)disk.f_bavail * disk.f_frsize;
}

enum err_code event_log_error(struct event_log *log, int mdb_code, const char *doing,
                              struct err *err)
{
    /* LMDB reports a write that was cut short by a full disk as EIO. */
    bool no_space = mdb_code == ENOSPC || mdb_code == EDQUOT || mdb_code == MDB_MAP_FULL ||
                    (mdb_code == EIO && event_log_free_bytes(log) < NO_SPACE_BYTES);
    enum err_code code = ERR_IO;
    if (no_space)
        code = ERR_DISK_FULL;
    else if (mdb_code == ENOMEM)
        code = ERR_NOMEM;
    else if (mdb_code == ENOENT || mdb_code == MDB_NOTFOUND)
        code = ERR_NOT_FOUND;
    else if (mdb_code == MDB_CORRUPTED || mdb_code == MDB_INVALID ||
             mdb_code == MDB_VERSION_MISMATCH || mdb_code == MDB_PAGE_NOTFOUND)
        code = ERR_CORRUPT;
    return err_set(err, code, "cannot %s the %s log %s: %s", doing, log->kind, log->dir,
                   mdb_strerror(mdb_code));
}

enum err_code event_log_check_room(struct event_log *log, struct err *err)
{
    if (atomic_load_explicit(&log->failed, memory_order_relaxed))
        return err_set(err, ERR_IO,
                       "the %s log failed and takes nothing until the daemon is started again",
                       log->kind);
    uint64_t free_now = event_log_free_bytes(log);
    if (free_now < log->disk_reserve_bytes)
        return err_set(err, ERR_DISK_FULL,
                       "%" PRIu64 " bytes are free on the disk of the %s log, %" PRIu64
                       " are kept in reserve",
                       free_now, log->kind, log->disk_reserve_bytes);
    return ERR_OK;
}

static uint64_t map_bytes(uint64_t bytes_max)
{
    const uint64_t page_of_map = UINT64_C(1) << 20;
    return (bytes_max + bytes_max / 4 + page_of_map - 1) & ~(page_of_map - 1);
}

/* The databases, and the format that the note says. */
static int open_databases(struct event_log *log, bool read_only, const char *expected,
                          char format[FORMAT_BYTES])
{
    MDB_txn *txn = NULL;
    unsigned int create = read_only ? 0 : MDB_CREATE;
    MDB_val name = {.mv_data = "format", .mv_size = 6};
    MDB_val text = {0};
    int rc = mdb_txn_begin(log->env, NULL, read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, "events", create, &log->events);
    if (rc == 0)
        rc = mdb_dbi_open(txn, "notes", create, &log->notes);
    if (rc == 0)
        rc = mdb_get(txn, log->notes, &name, &text);
    if (rc == MDB_NOTFOUND && !read_only) {
        text = (MDB_val){.mv_data = (void *)expected, .mv_size = strlen(expected)};
        rc = mdb_put(txn, log->notes, &name, &text, 0);
    }
    if (rc == 0)
        text_copy((struct text){text.mv_data, (uint32_t)text.mv_size}, format, FORMAT_BYTES);
    if (rc == 0)
        rc = event_log_measure(log, txn);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* LMDB maps the file: to look at a page that is not there would kill the process.  Pages at the end
 * that were never written are of no use to it, but a file that was cut looks the same; filled with
 * zeros it is found out where such a page is read. */
static bool has_all_pages(struct event_log *log, bool read_only)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat file;
    mdb_filehandle_t fd;
    if (mdb_env_info(log->env, &info) != 0 || mdb_env_stat(log->env, &pages) != 0 ||
        mdb_env_get_fd(log->env, &fd) != 0 || fstat(fd, &file) != 0)
        return true; /* nothing is known against it */
    off_t wanted = (off_t)(info.me_last_pgno + 1) * (off_t)pages.ms_psize;
    return file.st_size >= wanted || (!read_only && ftruncate(fd, wanted) == 0);
}

static enum err_code open_env(struct event_log *log, const struct event_log_options *options,
                              struct err *err)
{
    char format[FORMAT_BYTES] = "", expected[FORMAT_BYTES];
    unsigned int flags = MDB_NOTLS | MDB_NORDAHEAD | (options->read_only ? MDB_RDONLY : 0U);
    int cleared = 0;
    MDB_stat stat;
    snprintf(expected, sizeof expected, "decided %s log " FORMAT_VERSION, log->kind);
    int rc = mdb_env_create(&log->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(log->env, 2);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(log->env, READERS_MAX);
    if (rc == 0)
        rc = mdb_env_set_mapsize(log->env, map_bytes(options->bytes_max));
    if (rc == 0)
        rc = mdb_env_open(log->env, log->dir, flags, FILE_MODE);
    if (rc == 0 && !has_all_pages(log, options->read_only))
        return err_set(err, ERR_CORRUPT, "%.300s/data.mdb is shorter than its pages: it was cut",
                       log->dir);
    if (rc == 0)
        rc = mdb_reader_check(log->env, &cleared);
    if (rc == 0)
        rc = mdb_env_stat(log->env, &stat);
    if (rc == 0) {
        log->page_bytes = stat.ms_psize;
        rc = open_databases(log, options->read_only, expected, format);
    }
    if (rc != 0)
        return event_log_error(log, rc, "open", err);
    if (strcmp(format, expected) != 0)
        return err_set(err, ERR_UNSUPPORTED, "the %s log %s: expected format '%s', got '%s'",
                       log->kind, log->dir, expected, format);
    return ERR_OK;
}

enum err_code event_log_open(const struct event_log_options *options, struct event_log **ret_log,
                             struct err *err)
{
    const char *kind = options->kind == NULL ? "event" : options->kind;
    if (options->bytes_max < EVENT_LOG_BYTES_MIN)
        return err_set(err, ERR_LIMIT,
                       "the %s log: expected at least %" PRIu64 " bytes, got %" PRIu64, kind,
                       EVENT_LOG_BYTES_MIN, options->bytes_max);
    struct event_log *log = calloc(1, sizeof *log);
    if (log == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the %s log", kind);
    pthread_rwlock_init(&log->lock, NULL);
    log->kind = kind;
    log->bytes_max = options->bytes_max;
    log->disk_reserve_bytes = options->disk_reserve_bytes;
    log->retain_ms = options->retain_ms;
    memcpy(log->type_retain_ms, options->type_retain_ms, sizeof log->type_retain_ms);
    log->clock = options->clock;
    enum err_code rc = ERR_OK;
    if (snprintf(log->dir, sizeof log->dir, "%s", options->dir) >= (int)sizeof log->dir)
        rc = err_set(err, ERR_LIMIT, "the path of the %s log is too long", kind);
    if (rc == ERR_OK && !options->read_only)
        rc = file_make_dir(log->dir, err);
    if (rc == ERR_OK)
        rc = open_env(log, options, err);
    if (rc == ERR_OK)
        rc = event_log_read_expiry(log, err);
    if (rc != ERR_OK) {
        event_log_close(&log);
        return rc;
    }
    log->next_sequence = atomic_load_explicit(&log->last_sequence, memory_order_relaxed) + 1;
    *ret_log = log;
    return ERR_OK;
}

void event_log_close(struct event_log **log)
{
    if (*log == NULL)
        return;
    if ((*log)->env != NULL)
        mdb_env_close((*log)->env);
    pthread_rwlock_destroy(&(*log)->lock);
    free((*log)->gathered.bytes);
    free((*log)->sealed.bytes);
    free(*log);
    *log = NULL;
}

enum err_code event_log_put_note(struct event_log *log, const char *name, const void *bytes,
                                 size_t len, struct err *err)
{
    ASSERT(strlen(name) <= NOTE_NAME_BYTES_MAX && len <= EVENT_LOG_NOTE_BYTES_MAX);
    enum err_code room = event_log_check_room(log, err);
    if (room != ERR_OK)
        return room;
    MDB_txn *txn = NULL;
    MDB_val key = {.mv_data = (void *)name, .mv_size = strlen(name)};
    MDB_val value = {.mv_data = (void *)bytes, .mv_size = len};
    int rc = mdb_txn_begin(log->env, NULL, 0, &txn);
    if (rc == 0) {
        rc = mdb_put(txn, log->notes, &key, &value, 0);
        if (rc == 0)
            rc = mdb_txn_commit(txn);
        else
            mdb_txn_abort(txn);
    }
    return rc == 0 ? ERR_OK : event_log_error(log, rc, "write a note into", err);
}

enum err_code event_log_get_note(struct event_log *log, const char *name, void *bytes,
                                 size_t capacity, size_t *ret_len, struct err *err)
{
    MDB_txn *txn = NULL;
    MDB_val key = {.mv_data = (void *)name, .mv_size = strlen(name)};
    MDB_val value;
    int rc = mdb_txn_begin(log->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return event_log_error(log, rc, "read", err);
    rc = mdb_get(txn, log->notes, &key, &value);
    enum err_code code = ERR_OK;
    if (rc == MDB_NOTFOUND) {
        code = err_set(err, ERR_NOT_FOUND, "the %s log has no note '%s'", log->kind, name);
    } else if (rc != 0) {
        code = event_log_error(log, rc, "read", err);
    } else if (value.mv_size > capacity) {
        code = err_set(err, ERR_CORRUPT, "the note '%s' of the %s log: %zu bytes of at most %zu",
                       name, log->kind, value.mv_size, capacity);
    } else {
        memcpy(bytes, value.mv_data, value.mv_size);
        *ret_len = value.mv_size;
    }
    mdb_txn_abort(txn);
    return code;
}

void event_log_stats(const struct event_log *log, struct event_log_stats *ret_stats)
{
#define GET(name) .name = atomic_load_explicit(&log->name, memory_order_relaxed)
    *ret_stats =
        (struct event_log_stats){GET(first_sequence), GET(last_sequence),   GET(first_arrival_ms),
                                 GET(bytes_used),     GET(commits),         GET(commit_ns),
                                 GET(commit_ns_max),  GET(commit_failures), GET(pruned),
                                 GET(expired),        GET(failed)};
#undef GET
    ret_stats->bytes_max = log->bytes_max;
    ret_stats->gathered = atomic_load_explicit(&log->gathered_count, memory_order_relaxed);
}

enum err_code event_log_copy(struct event_log *log, const char *dir, struct err *err)
{
    pthread_rwlock_rdlock(&log->lock);
    int rc = mdb_env_copy2(log->env, dir, MDB_CP_COMPACT);
    pthread_rwlock_unlock(&log->lock);
    return rc == 0 ? ERR_OK : event_log_error(log, rc, "copy", err);
}
