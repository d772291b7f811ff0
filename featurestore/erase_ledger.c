/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/erase_ledger.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hash.h"

enum { PART_BYTES = 64, CHECKED_BYTES = 56, FLUSH_PARTS = 64, FILE_MODE = 0600 };

#define MAGIC   "decidedE"
#define VERSION 1u

/* Places in the header and in an entry. */
enum { AT_MAGIC = 0, AT_VERSION = 8, AT_SALT = 16 };
enum { AT_KIND = 0, AT_REQUEST = 8, AT_SEQUENCE = 16, AT_ARRIVAL = 24, AT_TIME = 32, AT_KEY = 40 };
_Static_assert(AT_KEY + ERASE_KEY_BYTES == CHECKED_BYTES, "an entry is what its key ends");

struct erase_ledger {
    char path[FILE_PATH_BYTES];
    int fd; /* owned */
    bool failed;
    uint8_t salt[ERASE_SALT_BYTES];
    struct erase_entry *entry; /* owned */
    uint64_t count, capacity;
    uint64_t written; /* of these are in the file */
    uint64_t last_request, done_request;
};

/* ---- parts ----------------------------------------------------------------------------------- */

static void put_u64(uint8_t *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static uint64_t get_u64(const uint8_t *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

static void seal(uint8_t part[PART_BYTES], uint64_t place)
{
    put_u64(part + CHECKED_BYTES, hash_bytes(part, CHECKED_BYTES, place));
}

static bool is_sealed(const uint8_t *part, uint64_t place)
{
    return get_u64(part + CHECKED_BYTES) == hash_bytes(part, CHECKED_BYTES, place);
}

static void write_header(const uint8_t salt[ERASE_SALT_BYTES], uint8_t part[PART_BYTES])
{
    uint32_t version = htole32(VERSION);
    memset(part, 0, PART_BYTES);
    memcpy(part + AT_MAGIC, MAGIC, 8);
    memcpy(part + AT_VERSION, &version, sizeof version);
    memcpy(part + AT_SALT, salt, ERASE_SALT_BYTES);
    seal(part, 0);
}

static void write_entry(const struct erase_entry *entry, uint64_t place, uint8_t part[PART_BYTES])
{
    memset(part, 0, PART_BYTES);
    part[AT_KIND] = entry->kind;
    put_u64(part + AT_REQUEST, entry->request);
    put_u64(part + AT_SEQUENCE, entry->sequence);
    put_u64(part + AT_ARRIVAL, (uint64_t)entry->arrival_ms);
    put_u64(part + AT_TIME, (uint64_t)entry->time_ms);
    memcpy(part + AT_KEY, entry->key.bytes, ERASE_KEY_BYTES);
    seal(part, place);
}

static bool read_entry(const uint8_t *part, uint64_t place, struct erase_entry *ret_entry)
{
    struct erase_entry entry = {.kind = part[AT_KIND],
                                .request = get_u64(part + AT_REQUEST),
                                .sequence = get_u64(part + AT_SEQUENCE),
                                .arrival_ms = (int64_t)get_u64(part + AT_ARRIVAL),
                                .time_ms = (int64_t)get_u64(part + AT_TIME)};
    memcpy(entry.key.bytes, part + AT_KEY, ERASE_KEY_BYTES);
    *ret_entry = entry;
    return is_sealed(part, place) && entry.kind >= ERASE_USER && entry.kind <= ERASE_DONE &&
           entry.request > 0;
}

/* ---- reading --------------------------------------------------------------------------------- */

static bool is_zeros(const uint8_t *part)
{
    static const uint8_t zeros[PART_BYTES];
    return memcmp(part, zeros, PART_BYTES) == 0;
}

static enum err_code parse_header(const uint8_t *bytes, struct erase_ledger_contents *contents,
                                  struct err *err)
{
    uint32_t version;
    memcpy(&version, bytes + AT_VERSION, sizeof version);
    if (memcmp(bytes + AT_MAGIC, MAGIC, 8) != 0)
        return err_set(err, ERR_CORRUPT, "it is no ledger of erasures");
    if (le32toh(version) != VERSION)
        return err_set(err, ERR_UNSUPPORTED, "expected version %u, got %u", VERSION,
                       le32toh(version));
    if (!is_sealed(bytes, 0))
        return err_set(err, ERR_CORRUPT, "the checksum of its header does not match");
    memcpy(contents->salt, bytes + AT_SALT, ERASE_SALT_BYTES);
    return ERR_OK;
}

enum err_code erase_ledger_parse(const uint8_t *bytes, size_t len,
                                 struct erase_ledger_contents *ret_contents, struct err *err)
{
    struct erase_ledger_contents contents = {.entry = NULL};
    uint64_t parts = len / PART_BYTES;
    if (parts == 0 || is_zeros(bytes)) { /* it was being made */
        *ret_contents = contents;
        return ERR_OK;
    }
    enum err_code rc = parse_header(bytes, &contents, err);
    if (rc != ERR_OK)
        return rc;
    if (parts > 1)
        contents.entry = malloc((parts - 1) * sizeof *contents.entry);
    if (parts > 1 && contents.entry == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %" PRIu64 " entries", parts - 1);
    for (uint64_t place = 1; place < parts; place++) {
        const uint8_t *part = bytes + place * PART_BYTES;
        if (is_zeros(part))
            break; /* nothing of this append, or behind it, was acknowledged */
        if (!read_entry(part, place, &contents.entry[contents.count++])) {
            free(contents.entry);
            return err_set(err, ERR_CORRUPT, "entry %" PRIu64 " is damaged", place);
        }
    }
    contents.whole_bytes = (contents.count + 1) * PART_BYTES;
    *ret_contents = contents;
    return ERR_OK;
}

static void note(struct erase_ledger *ledger, const struct erase_entry *entry)
{
    if (entry->kind == ERASE_DONE && entry->request > ledger->done_request)
        ledger->done_request = entry->request;
    if (entry->request > ledger->last_request)
        ledger->last_request = entry->request;
}

static enum err_code read_file(struct erase_ledger *ledger, uint64_t *ret_whole, uint64_t *ret_len,
                               struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct erase_ledger_contents contents;
    struct err why = {.text = ""};
    enum err_code rc = file_read(ledger->path, ERASE_LEDGER_BYTES_MAX, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    rc = erase_ledger_parse(bytes, len, &contents, &why);
    free(bytes);
    if (rc != ERR_OK)
        return err_set(err, rc, "%.300s: %.150s", ledger->path, why.text);
    free(ledger->entry);
    memcpy(ledger->salt, contents.salt, sizeof ledger->salt);
    ledger->entry = contents.entry;
    ledger->count = ledger->capacity = ledger->written = contents.count;
    ledger->last_request = ledger->done_request = 0;
    for (uint64_t i = 0; i < ledger->count; i++)
        note(ledger, &ledger->entry[i]);
    *ret_whole = contents.whole_bytes;
    *ret_len = len;
    return ERR_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum err_code failed(struct erase_ledger *ledger, const char *doing, struct err *err)
{
    enum err_code code = errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO;
    ledger->failed = ledger->failed || code == ERR_IO;
    return err_set(err, code, "cannot %s %.300s: %s", doing, ledger->path, strerror(errno));
}

static bool write_at(int fd, const uint8_t *bytes, size_t len, uint64_t at)
{
    while (len > 0) {
        ssize_t done = pwrite(fd, bytes, len, (off_t)at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes += done;
        len -= (size_t)done;
        at += (uint64_t)done;
    }
    return true;
}

static enum err_code make_header(struct erase_ledger *ledger, struct err *err)
{
    uint8_t part[PART_BYTES];
    char dir[FILE_PATH_BYTES];
    if (getrandom(ledger->salt, sizeof ledger->salt, 0) != (ssize_t)sizeof ledger->salt)
        return failed(ledger, "draw a salt for", err);
    write_header(ledger->salt, part);
    if (ftruncate(ledger->fd, 0) != 0 || !write_at(ledger->fd, part, sizeof part, 0))
        return failed(ledger, "write", err);
    if (fsync(ledger->fd) != 0)
        return failed(ledger, "sync", err);
    snprintf(dir, sizeof dir, "%s", ledger->path);
    char *slash = strrchr(dir, '/');
    if (slash != NULL)
        *slash = '\0';
    return file_sync_dir(slash == NULL ? "." : dir, err);
}

enum err_code erase_ledger_open(const char *path, struct erase_ledger **ret_ledger, struct err *err)
{
    struct erase_ledger *ledger = calloc(1, sizeof *ledger);
    uint64_t whole = 0, len = 0;
    if (ledger == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the ledger of erasures");
    ledger->fd = -1;
    enum err_code rc = ERR_OK;
    if (snprintf(ledger->path, sizeof ledger->path, "%s", path) >= (int)sizeof ledger->path)
        rc = err_set(err, ERR_LIMIT, "the path of the ledger of erasures is too long");
    if (rc == ERR_OK) {
        ledger->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, FILE_MODE);
        if (ledger->fd < 0)
            rc = failed(ledger, "open", err);
    }
    if (rc == ERR_OK)
        rc = read_file(ledger, &whole, &len, err);
    if (rc == ERR_OK && whole == 0)
        rc = make_header(ledger, err);
    if (rc != ERR_OK) {
        erase_ledger_close(&ledger);
        return rc;
    }
    *ret_ledger = ledger;
    return ERR_OK;
}

void erase_ledger_close(struct erase_ledger **ledger)
{
    if (*ledger == NULL)
        return;
    if ((*ledger)->fd >= 0)
        close((*ledger)->fd);
    free((*ledger)->entry);
    free(*ledger);
    *ledger = NULL;
}

enum err_code erase_ledger_load(struct erase_ledger *ledger, struct err *err)
{
    uint64_t whole = 0, len = 0;
    enum err_code rc = read_file(ledger, &whole, &len, err);
    if (rc == ERR_OK && whole < len && ftruncate(ledger->fd, (off_t)whole) != 0)
        rc = failed(ledger, "cut", err);
    if (rc == ERR_OK && whole < len && fsync(ledger->fd) != 0)
        rc = failed(ledger, "sync", err);
    return rc;
}

enum err_code erase_ledger_reserve(struct erase_ledger *ledger, uint32_t count, struct err *err)
{
    uint64_t wanted = ledger->count + count;
    if (wanted >= ERASE_LEDGER_BYTES_MAX / PART_BYTES)
        return err_set(err, ERR_LIMIT, "%.300s is full", ledger->path);
    if (wanted <= ledger->capacity)
        return ERR_OK;
    uint64_t capacity = ledger->capacity * 2 > wanted ? ledger->capacity * 2 : wanted + 16;
    struct erase_entry *grown = realloc(ledger->entry, capacity * sizeof *grown);
    if (grown == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for the ledger of erasures");
    ledger->entry = grown;
    ledger->capacity = capacity;
    return ERR_OK;
}

void erase_ledger_add(struct erase_ledger *ledger, const struct erase_entry *entry)
{
    ASSERT(ledger->count < ledger->capacity);
    ledger->entry[ledger->count++] = *entry;
    note(ledger, entry);
}

bool erase_ledger_is_gathered(const struct erase_ledger *ledger)
{
    return ledger->written < ledger->count;
}

enum err_code erase_ledger_flush(struct erase_ledger *ledger, struct err *err)
{
    uint8_t bytes[FLUSH_PARTS * PART_BYTES];
    if (ledger->failed)
        return err_set(err, ERR_IO,
                       "%.300s failed and is not written until the daemon is started "
                       "again",
                       ledger->path);
    if (!erase_ledger_is_gathered(ledger))
        return ERR_OK;
    for (uint64_t i = ledger->written; i < ledger->count;) {
        uint64_t place = i + 1;
        size_t parts = 0;
        for (; parts < FLUSH_PARTS && i < ledger->count; parts++, i++)
            write_entry(&ledger->entry[i], i + 1, bytes + parts * PART_BYTES);
        if (!write_at(ledger->fd, bytes, parts * PART_BYTES, place * PART_BYTES))
            return failed(ledger, "write", err);
    }
    if (fdatasync(ledger->fd) != 0)
        return failed(ledger, "sync", err);
    ledger->written = ledger->count;
    return ERR_OK;
}

/* ---- what is in it --------------------------------------------------------------------------- */

const uint8_t *erase_ledger_salt(const struct erase_ledger *ledger)
{
    return ledger->salt;
}

uint64_t erase_ledger_count(const struct erase_ledger *ledger)
{
    return ledger->count;
}

const struct erase_entry *erase_ledger_at(const struct erase_ledger *ledger, uint64_t index)
{
    ASSERT(index < ledger->count);
    return &ledger->entry[index];
}

uint64_t erase_ledger_last_request(const struct erase_ledger *ledger)
{
    return ledger->last_request;
}

uint64_t erase_ledger_done_request(const struct erase_ledger *ledger)
{
    return ledger->done_request;
}
