/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the files, and following the chain. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ledger.h"
#include "base/ledger_internal.h"
#include "base/num.h"

#define NAME_DIGITS 16
#define NAME_END    ".jsonl"
#define LINE_BEGIN  "{\"seq\":"
#define PREV_KEY    ",\"prev\":\""

enum { HASH_DIGITS = SHA256_HEX_BYTES - 1 };

/* ---- files ----------------------------------------------------------------------------------- */

enum err_code ledger_lock(const char *dir, int operation, int *ret_fd, struct err *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open '%.300s': %s",
                       dir, strerror(errno));
    int rc;
    do {
        rc = flock(fd, operation);
    } while (rc != 0 && errno == EINTR);
    if (rc != 0) {
        enum err_code code = err_set(err, ERR_IO, "cannot lock '%.300s': %s", dir, strerror(errno));
        close(fd);
        return code;
    }
    *ret_fd = fd;
    return ERR_OK;
}

/* 0: no file of a ledger. */
static uint64_t first_of(const char *name)
{
    uint64_t first = 0;
    if (strspn(name, "0123456789") != NAME_DIGITS || strcmp(name + NAME_DIGITS, NAME_END) != 0)
        return 0;
    return num_parse_uint((struct text){name, NAME_DIGITS}, &first) ? first : 0;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

enum err_code ledger_list(const char *dir, struct ledger_files *ret_files, struct err *err)
{
    enum err_code rc = ERR_OK;
    struct ledger_files files = {.first = malloc(LEDGER_FILES_MAX * sizeof(uint64_t))};
    DIR *entries = opendir(dir);
    if (files.first == NULL)
        rc = err_set(err, ERR_NOMEM, "no memory to list '%.300s'", dir);
    else if (entries == NULL)
        rc = err_set(err, ERR_IO, "cannot list '%.300s': %s", dir, strerror(errno));
    for (struct dirent *entry; rc == ERR_OK && (entry = readdir(entries)) != NULL;) {
        uint64_t first = first_of(entry->d_name);
        if (first == 0)
            continue;
        if (files.count == LEDGER_FILES_MAX)
            rc = err_set(err, ERR_LIMIT, "'%.300s' has more than %d files", dir, LEDGER_FILES_MAX);
        else
            files.first[files.count++] = first;
    }
    if (entries != NULL)
        closedir(entries);
    if (rc != ERR_OK) {
        free(files.first);
        return rc;
    }
    qsort(files.first, files.count, sizeof files.first[0], compare);
    *ret_files = files;
    return ERR_OK;
}

enum err_code ledger_path(const char *dir, uint64_t first, char *buf, size_t buf_bytes,
                          struct err *err)
{
    char name[LEDGER_NAME_BYTES];
    snprintf(name, sizeof name, "%0*" PRIu64 NAME_END, NAME_DIGITS, first);
    return file_join(dir, name, buf, buf_bytes, err);
}

/* ---- lines ----------------------------------------------------------------------------------- */

bool ledger_next_line(struct text whole, size_t *at, struct text *ret_line)
{
    if (*at >= whole.len)
        return false;
    const char *begin = whole.ptr + *at;
    const char *end = memchr(begin, '\n', whole.len - *at);
    size_t len = end == NULL ? whole.len - *at : (size_t)(end - begin);
    *ret_line = (struct text){begin, (uint32_t)len};
    *at += len + 1;
    return true;
}

void ledger_hash(const char *ptr, size_t len, char ret_hash[SHA256_HEX_BYTES])
{
    uint8_t digest[SHA256_BYTES];
    sha256_of(ptr, len, digest);
    sha256_hex(digest, ret_hash);
}

/* Takes what the line must go on with. */
static bool skip(struct text *rest, const char *expected)
{
    size_t len = strlen(expected);
    if (rest->len < len || memcmp(rest->ptr, expected, len) != 0)
        return false;
    *rest = (struct text){rest->ptr + len, rest->len - (uint32_t)len};
    return true;
}

static bool skip_digits(struct text *rest, uint64_t *ret_value)
{
    uint32_t len = 0;
    while (len < rest->len && rest->ptr[len] >= '0' && rest->ptr[len] <= '9')
        len++;
    struct text digits = {rest->ptr, len};
    *rest = (struct text){rest->ptr + len, rest->len - len};
    return num_parse_uint(digits, ret_value);
}

bool ledger_parse(struct text line, struct ledger_line *ret_line)
{
    static const char end[] = "\"}";
    const uint32_t tail = sizeof LEDGER_HASH_KEY - 1 + HASH_DIGITS + sizeof end - 1;
    struct text rest = line;
    struct ledger_line parsed = {0};
    char hash[SHA256_HEX_BYTES];
    if (!skip(&rest, LINE_BEGIN) || !skip_digits(&rest, &parsed.sequence) || parsed.sequence == 0 ||
        !skip(&rest, PREV_KEY) || rest.len < HASH_DIGITS + tail)
        return false;
    parsed.prev = (struct text){rest.ptr, HASH_DIGITS};
    const char *tail_at = line.ptr + line.len - tail;
    parsed.hash = (struct text){tail_at + sizeof LEDGER_HASH_KEY - 1, HASH_DIGITS};
    if (memcmp(tail_at, LEDGER_HASH_KEY, sizeof LEDGER_HASH_KEY - 1) != 0 ||
        memcmp(line.ptr + line.len - (sizeof end - 1), end, sizeof end - 1) != 0)
        return false;
    ledger_hash(line.ptr, line.len - tail, hash);
    *ret_line = parsed;
    return text_is(parsed.hash, hash);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Called for each line of each file, whole or not; `file` is the first sequence of the file. */
typedef bool (*any_line_fn)(void *ctx, uint64_t file, struct text line);

static enum err_code each_of_file(const char *path, uint64_t file, any_line_fn fn, void *ctx,
                                  bool *ret_go_on, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0, at = 0;
    struct text line;
    enum err_code rc = file_read(path, 2 * LEDGER_FILE_BYTES, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    struct text whole = {(const char *)bytes, (uint32_t)len};
    while (*ret_go_on && ledger_next_line(whole, &at, &line))
        *ret_go_on = fn(ctx, file, line);
    free(bytes);
    return ERR_OK;
}

/* Leaves out files that end before `from`. */
static enum err_code each_line(const char *dir, uint64_t from, any_line_fn fn, void *ctx,
                               uint32_t *ret_files, struct err *err)
{
    struct ledger_files files = {0};
    char path[FILE_PATH_BYTES];
    bool go_on = true;
    int fd = -1;
    enum err_code rc = ledger_lock(dir, LOCK_SH, &fd, err);
    if (rc != ERR_OK)
        return rc;
    rc = ledger_list(dir, &files, err);
    for (uint32_t i = 0; rc == ERR_OK && go_on && i < files.count; i++) {
        if (i + 1 < files.count && files.first[i + 1] <= from)
            continue;
        rc = ledger_path(dir, files.first[i], path, sizeof path, err);
        if (rc == ERR_OK)
            rc = each_of_file(path, files.first[i], fn, ctx, &go_on, err);
    }
    *ret_files = files.count;
    free(files.first);
    close(fd);
    return rc;
}

struct reading {
    uint64_t from;
    ledger_line_fn fn;
    void *ctx;
};

static bool read_line(void *ctx, uint64_t file, struct text line)
{
    struct reading *reading = ctx;
    struct ledger_line parsed;
    (void)file;
    if (!ledger_parse(line, &parsed) || parsed.sequence < reading->from)
        return true;
    return reading->fn(reading->ctx, parsed.sequence, line);
}

enum err_code ledger_read(const char *dir, uint64_t from, ledger_line_fn fn, void *ctx,
                          struct err *err)
{
    struct reading reading = {from, fn, ctx};
    uint32_t files = 0;
    enum err_code rc = each_line(dir, from, read_line, &reading, &files, err);
    return rc == ERR_NOT_FOUND ? ERR_OK : rc;
}

/* ---- verifying ------------------------------------------------------------------------------- */

struct verifying {
    struct ledger_report *report;
    void (*fault)(void *ctx, const struct err *err);
    void *ctx;
};

static void tell(struct verifying *verifying, uint64_t file, const char *what, uint64_t expected,
                 uint64_t got)
{
    struct err err;
    verifying->report->faults++;
    err_set(&err, ERR_CORRUPT,
            "%016" PRIu64 NAME_END ": %s: expected line %" PRIu64 ", got %" PRIu64, file, what,
            expected, got);
    verifying->fault(verifying->ctx, &err);
}

static bool verify_line(void *ctx, uint64_t file, struct text line)
{
    struct verifying *verifying = ctx;
    struct ledger_report *report = verifying->report;
    struct ledger_line parsed;
    if (!ledger_parse(line, &parsed)) {
        report->fragments += line.len > 0;
        return true;
    }
    uint64_t expected = report->head.sequence + 1;
    bool is_first = report->lines == 0;
    if (is_first && parsed.sequence != file)
        tell(verifying, file, "lines are missing or were changed", file, parsed.sequence);
    else if (!is_first && parsed.sequence != expected)
        tell(verifying, file, "lines are missing or were changed", expected, parsed.sequence);
    else if (!is_first && !text_is(parsed.prev, report->head.hash))
        tell(verifying, file, "the line does not follow from the one before", expected,
             parsed.sequence);
    if (is_first)
        report->first = parsed.sequence;
    report->lines++;
    report->head.sequence = parsed.sequence;
    text_copy(parsed.hash, report->head.hash, sizeof report->head.hash);
    return true;
}

enum err_code ledger_verify(const char *dir, void (*fault)(void *ctx, const struct err *err),
                            void *ctx, struct ledger_report *ret_report, struct err *err)
{
    struct ledger_report report = {0};
    struct verifying verifying = {.report = &report, .fault = fault, .ctx = ctx};
    enum err_code rc = each_line(dir, 0, verify_line, &verifying, &report.files, err);
    if (rc == ERR_OK)
        *ret_report = report;
    return rc;
}
