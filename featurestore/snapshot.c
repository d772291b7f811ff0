/* SPDX-License-Identifier: Apache-2.0 */
/* Making and putting back. */
#include "featurestore/snapshot_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

#define COPY_BYTES (1 << 20)

static enum err_code failed(const char *doing, const char *path, struct err *err)
{
    return err_set(err, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO,
                   "cannot %s %.300s: %s", doing, path, strerror(errno));
}

static enum err_code copy_bytes(int from, int to, const char *path, struct err *err)
{
    for (;;) {
        ssize_t got = copy_file_range(from, NULL, to, NULL, COPY_BYTES, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return failed("copy to", path, err);
        if (got == 0)
            return fsync(to) == 0 ? ERR_OK : failed("sync", path, err);
    }
}

static enum err_code copy_file(const char *from_path, const char *to_path, struct err *err)
{
    int from = open(from_path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, "%.300s is not there", from_path)
                               : failed("open", from_path, err);
    int to = open(to_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    enum err_code rc = to < 0 ? failed("make", to_path, err) : copy_bytes(from, to, to_path, err);
    if (to >= 0)
        close(to);
    close(from);
    return rc;
}

enum err_code snapshot_open_log(const char *dir, struct event_log **ret_log, struct err *err)
{
    char events[FILE_PATH_BYTES];
    const struct event_log_options options = {.dir = events,
                                              .bytes_max = EVENT_LOG_BYTES_MIN,
                                              .read_only = true,
                                              .clock = clock_system()};
    enum err_code rc = file_join(dir, "events", events, sizeof events, err);
    return rc == ERR_OK ? event_log_open(&options, ret_log, err) : rc;
}

enum err_code snapshot_note(const char *dir, uint64_t sequence[STORE_CHECKPOINTS_KEPT],
                            struct err *err)
{
    char note[EVENT_LOG_NOTE_BYTES_MAX + 1];
    size_t len = 0;
    struct event_log *log = NULL;
    memset(sequence, 0, STORE_CHECKPOINTS_KEPT * sizeof *sequence);
    enum err_code rc = snapshot_open_log(dir, &log, err);
    if (rc != ERR_OK)
        return rc;
    rc = event_log_get_note(log, STORE_CHECKPOINT_NOTE, note, EVENT_LOG_NOTE_BYTES_MAX, &len, err);
    event_log_close(&log);
    if (rc == ERR_NOT_FOUND)
        return ERR_OK;
    note[rc == ERR_OK ? len : 0] = '\0';
    if (rc == ERR_OK && sscanf(note, "%" SCNu64 " %" SCNu64, &sequence[0], &sequence[1]) != 2)
        rc = err_set(err, ERR_CORRUPT, "the event log's note on checkpoints is '%.100s'", note);
    return rc;
}

/* Those that the log in `to` names. */
static enum err_code copy_checkpoints(const char *from, const char *to, struct err *err)
{
    uint64_t sequence[STORE_CHECKPOINTS_KEPT];
    char to_dir[FILE_PATH_BYTES], from_dir[FILE_PATH_BYTES];
    enum err_code rc = snapshot_note(to, sequence, err);
    if (rc == ERR_OK)
        rc = file_join(to, "checkpoints", to_dir, sizeof to_dir, err);
    if (rc == ERR_OK)
        rc = file_join(from, "checkpoints", from_dir, sizeof from_dir, err);
    if (rc == ERR_OK)
        rc = file_make_dir(to_dir, err);
    for (int i = 0; i < STORE_CHECKPOINTS_KEPT && rc == ERR_OK; i++) {
        char name[64], from_path[FILE_PATH_BYTES], to_path[FILE_PATH_BYTES];
        if (sequence[i] == 0)
            break;
        store_checkpoint_name(sequence[i], name, sizeof name);
        rc = file_join(from_dir, name, from_path, sizeof from_path, err);
        if (rc == ERR_OK)
            rc = file_join(to_dir, name, to_path, sizeof to_path, err);
        if (rc == ERR_OK)
            rc = copy_file(from_path, to_path, err);
    }
    return rc == ERR_OK ? file_sync_dir(to_dir, err) : rc;
}

static enum err_code copy_all(struct store *store, const char *dir, struct err *err)
{
    char events[FILE_PATH_BYTES];
    const struct store_checkpoints *checkpoints = store->checkpoints;
    enum err_code rc = file_join(dir, "events", events, sizeof events, err);
    if (rc == ERR_OK)
        rc = file_make_dir(events, err);
    if (rc == ERR_OK)
        rc = event_log_copy(store->log, events, err);
    if (rc != ERR_OK || checkpoints == NULL)
        return rc;
    char data_dir[sizeof checkpoints->dir];
    snprintf(data_dir, sizeof data_dir, "%s", checkpoints->dir);
    char *last = strrchr(data_dir, '/');
    ASSERT(last != NULL); /* it was joined */
    *last = '\0';
    return copy_checkpoints(data_dir, dir, err);
}

enum err_code snapshot_make(struct store *store, const char *dir, struct err *err)
{
    struct err unused;
    if (store->log == NULL)
        return err_set(err, ERR_UNSUPPORTED, "there is no event log");
    if (dir[0] != '/')
        return err_set(err, ERR_BAD_INPUT, "expected an absolute path, got '%.200s'", dir);
    if (mkdir(dir, 0750) != 0)
        return errno == EEXIST ? err_set(err, ERR_EXISTS, "%.300s is there already", dir)
                               : failed("make", dir, err);
    enum err_code rc = copy_all(store, dir, err);
    /* A checkpoint that was replaced meanwhile: the log is copied anew, with the newer note. */
    for (int i = 0; i < 2 && rc == ERR_NOT_FOUND; i++) {
        rc = file_remove_tree(dir, err);
        if (rc == ERR_OK && mkdir(dir, 0750) != 0)
            rc = failed("make", dir, err);
        if (rc == ERR_OK)
            rc = copy_all(store, dir, err);
    }
    if (rc == ERR_OK)
        rc = file_sync_dir(dir, err);
    if (rc != ERR_OK)
        (void)!file_remove_tree(dir, &unused);
    return rc;
}

/* ---- putting back ---------------------------------------------------------------------------- */

/* `name` of data_dir goes to `before`, which is made when it is needed. */
static enum err_code set_aside(const char *data_dir, const char *name, const char *before,
                               bool *ret_moved, struct err *err)
{
    char from[FILE_PATH_BYTES], dir[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    struct stat info;
    enum err_code rc = file_join(data_dir, name, from, sizeof from, err);
    if (rc != ERR_OK || stat(from, &info) != 0)
        return rc;
    rc = file_join(data_dir, before, dir, sizeof dir, err);
    if (rc == ERR_OK)
        rc = file_make_dir(dir, err);
    if (rc == ERR_OK)
        rc = file_join(dir, name, to, sizeof to, err);
    if (rc == ERR_OK && rename(from, to) != 0)
        rc = failed("move", from, err);
    *ret_moved = *ret_moved || rc == ERR_OK;
    return rc;
}

enum err_code snapshot_restore(const char *dir, const char *data_dir, int64_t now_ms,
                               char ret_before[SNAPSHOT_NAME_BYTES], struct err *err)
{
    char from[FILE_PATH_BYTES], events[FILE_PATH_BYTES], to[FILE_PATH_BYTES];
    bool moved = false;
    snprintf(ret_before, SNAPSHOT_NAME_BYTES, "before-restore-%" PRId64, now_ms);
    enum err_code rc = set_aside(data_dir, "events", ret_before, &moved, err);
    if (rc == ERR_OK)
        rc = set_aside(data_dir, "checkpoints", ret_before, &moved, err);
    if (!moved)
        ret_before[0] = '\0';
    if (rc == ERR_OK)
        rc = file_join(data_dir, "events", events, sizeof events, err);
    if (rc == ERR_OK)
        rc = file_make_dir(events, err);
    if (rc == ERR_OK)
        rc = file_join(events, "data.mdb", to, sizeof to, err);
    if (rc == ERR_OK)
        rc = file_join(dir, "events/data.mdb", from, sizeof from, err);
    if (rc == ERR_OK)
        rc = copy_file(from, to, err);
    if (rc == ERR_OK)
        rc = copy_checkpoints(dir, data_dir, err);
    return rc == ERR_OK ? file_sync_dir(data_dir, err) : rc;
}
