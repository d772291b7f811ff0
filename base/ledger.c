/* SPDX-License-Identifier: Apache-2.0 */
/* Adding a line. */
#include "base/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json_line.h"
#include "base/ledger_internal.h"

struct ledger {
    pthread_mutex_t lock; /* one line at a time; guards `head` */
    char *dir;            /* owned */
    uint32_t files_max;
    const struct clock *clock;
    struct ledger_head head; /* after the last line that this process added */
};

/* Where the next line goes. */
struct place {
    struct ledger_head head;
    uint64_t file;        /* 0: a new one */
    bool follows_a_piece; /* of a line, which a line feed must end first */
};

enum err_code ledger_create(const struct ledger_options *options, struct ledger **ret_ledger,
                            struct err *err)
{
    uint64_t files = options->bytes_max / LEDGER_FILE_BYTES;
    struct ledger *ledger = calloc(1, sizeof *ledger);
    if (ledger != NULL)
        ledger->dir = strdup(options->dir);
    if (ledger == NULL || ledger->dir == NULL) {
        free(ledger);
        return err_set(err, ERR_NOMEM, "no memory for the ledger '%.300s'", options->dir);
    }
    ledger->files_max = files < 2                  ? 2
                        : files > LEDGER_FILES_MAX ? LEDGER_FILES_MAX
                                                   : (uint32_t)files;
    ledger->clock = options->clock;
    pthread_mutex_init(&ledger->lock, NULL);
    *ret_ledger = ledger;
    return ERR_OK;
}

void ledger_destroy(struct ledger **ledger)
{
    if (*ledger == NULL)
        return;
    pthread_mutex_destroy(&(*ledger)->lock);
    free((*ledger)->dir);
    free(*ledger);
    *ledger = NULL;
}

/* ---- where the chain goes on ----------------------------------------------------------------- */

/* The last line of a file; head->sequence stays 0 when it has none. */
static enum err_code read_end(const char *path, struct place *place, size_t *ret_bytes,
                              struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0, at = 0;
    struct text line;
    struct ledger_line parsed;
    /* A fragment may have made it a little longer than a full one. */
    enum err_code rc = file_read(path, 2 * LEDGER_FILE_BYTES, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    while (ledger_next_line((struct text){(const char *)bytes, (uint32_t)len}, &at, &line)) {
        if (!ledger_parse(line, &parsed))
            continue;
        place->head.sequence = parsed.sequence;
        text_copy(parsed.hash, place->head.hash, sizeof place->head.hash);
    }
    place->follows_a_piece = len > 0 && bytes[len - 1] != '\n';
    *ret_bytes = len;
    free(bytes);
    return ERR_OK;
}

/* A file may have no line yet: then the one before has the last. */
static enum err_code find_place(const struct ledger *ledger, const struct ledger_files *files,
                                struct place *ret_place, struct err *err)
{
    char path[FILE_PATH_BYTES];
    struct place place = {.head = {.sequence = 0}};
    size_t bytes = 0;
    enum err_code rc = ERR_OK;
    memset(place.head.hash, '0', SHA256_HEX_BYTES - 1);
    *ret_place = place;
    for (uint32_t i = files->count; i > 0 && rc == ERR_OK && ret_place->head.sequence == 0; i--) {
        place = (struct place){.head = ret_place->head};
        rc = ledger_path(ledger->dir, files->first[i - 1], path, sizeof path, err);
        if (rc == ERR_OK)
            rc = read_end(path, &place, &bytes, err);
        if (rc != ERR_OK)
            break;
        ret_place->head = place.head;
        if (i < files->count)
            continue;
        ret_place->follows_a_piece = place.follows_a_piece;
        ret_place->file = bytes + JSON_LINE_BYTES < LEDGER_FILE_BYTES ? files->first[i - 1] : 0;
    }
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void build(const struct ledger *ledger, const struct ledger_head *before,
                  const struct log_field *fields, uint32_t count, struct json_line *line,
                  struct ledger_head *ret_head)
{
    char time[CLOCK_ISO_BYTES], begin[SHA256_HEX_BYTES + 128], end[SHA256_HEX_BYTES + 32];
    *ret_head = (struct ledger_head){.sequence = before->sequence + 1};
    snprintf(begin, sizeof begin, "{\"seq\":%" PRIu64 ",\"prev\":\"%s\",\"ts\":\"%s\"",
             ret_head->sequence, before->hash,
             clock_format_iso(clock_wall_ms(ledger->clock), time));
    json_line_begin(line, sizeof end);
    json_line_raw(line, begin);
    for (uint32_t i = 0; i < count && !line->cut; i++)
        json_line_field(line, &fields[i]);
    json_line_close(line);
    ledger_hash(line->bytes, line->used, ret_head->hash);
    snprintf(end, sizeof end, LEDGER_HASH_KEY "%s" LEDGER_LINE_END, ret_head->hash);
    json_line_end(line, end);
}

static enum err_code write_failed(const char *path, int number, struct err *err)
{
    enum err_code code = number == ENOSPC || number == EDQUOT ? ERR_DISK_FULL : ERR_IO;
    return err_set(err, code, "cannot write '%.300s': %s", path, strerror(number));
}

static enum err_code write_line(const char *path, bool follows_a_piece, struct json_line *line,
                                struct err *err)
{
    struct iovec parts[2] = {{.iov_base = "\n", .iov_len = follows_a_piece},
                             {.iov_base = line->bytes, .iov_len = line->used}};
    size_t len = parts[0].iov_len + line->used;
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return write_failed(path, errno, err);
    ssize_t written;
    do {
        written = writev(fd, parts, 2);
    } while (written < 0 && errno == EINTR);
    enum err_code rc = ERR_OK;
    if (written != (ssize_t)len) /* a piece of it may be there: invariant 3 */
        rc = write_failed(path, written < 0 ? errno : ENOSPC, err);
    else if (fdatasync(fd) != 0)
        rc = write_failed(path, errno, err);
    close(fd);
    return rc;
}

/* Those that are too many. */
static void remove_oldest(const struct ledger *ledger, const struct ledger_files *files)
{
    char path[FILE_PATH_BYTES];
    for (uint32_t i = 0; files->count - i >= ledger->files_max; i++) {
        if (ledger_path(ledger->dir, files->first[i], path, sizeof path, NULL) == ERR_OK)
            unlink(path);
    }
}

static enum err_code append_locked(struct ledger *ledger, const struct log_field *fields,
                                   uint32_t count, struct ledger_head *ret_head, bool *ret_tampered,
                                   struct err *err)
{
    struct ledger_files files = {0};
    struct place place;
    struct json_line line;
    struct ledger_head head;
    char path[FILE_PATH_BYTES];
    enum err_code rc = ledger_list(ledger->dir, &files, err);
    if (rc == ERR_OK)
        rc = find_place(ledger, &files, &place, err);
    if (rc != ERR_OK)
        goto out;
    *ret_tampered = place.head.sequence < ledger->head.sequence;
    if (*ret_tampered)
        place.head = ledger->head;
    build(ledger, &place.head, fields, count, &line, &head);
    bool is_new = place.file == 0;
    rc = ledger_path(ledger->dir, is_new ? head.sequence : place.file, path, sizeof path, err);
    if (rc == ERR_OK)
        rc = write_line(path, !is_new && place.follows_a_piece, &line, err);
    if (rc == ERR_OK && is_new)
        rc = file_sync_dir(ledger->dir, err);
    if (rc == ERR_OK && is_new)
        remove_oldest(ledger, &files);
    if (rc == ERR_OK)
        *ret_head = ledger->head = head;
out:
    free(files.first);
    return rc;
}

enum err_code ledger_append(struct ledger *ledger, const struct log_field *fields, uint32_t count,
                            struct ledger_head *ret_head, bool *ret_tampered, struct err *err)
{
    int fd = -1;
    *ret_tampered = false;
    pthread_mutex_lock(&ledger->lock);
    enum err_code rc = file_make_dir(ledger->dir, err);
    if (rc == ERR_OK)
        rc = ledger_lock(ledger->dir, LOCK_EX, &fd, err);
    if (rc == ERR_OK)
        rc = append_locked(ledger, fields, count, ret_head, ret_tampered, err);
    if (fd >= 0)
        close(fd);
    pthread_mutex_unlock(&ledger->lock);
    return rc;
}
