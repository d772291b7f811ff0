/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/text.h"

/* Kept free at the end of the line for a closing quote, `,"cut":true`, `}` and the line feed. */
enum { TAIL_BYTES = 16, LINE_LIMIT = LOG_LINE_BYTES - TAIL_BYTES };

/* A pipe takes up to PIPE_BUF (4096 on Linux) bytes in one piece. */
_Static_assert(LOG_LINE_BYTES <= 4096, "lines must be written in one piece");

/* Set by main, read by everybody: relaxed, since nothing else is published through them. */
static _Atomic int log_level_min = LOG_INFO;
static _Atomic int log_fd = STDERR_FILENO;
static _Atomic uint64_t dropped_count;
static _Atomic uint64_t written_count[LOG_ERROR + 1];

static const char *const level_names[LOG_ERROR + 1] = {"debug", "info", "warn", "error"};

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&log_level_min, (int)level, memory_order_relaxed);
}

void log_set_fd(int fd)
{
    atomic_store_explicit(&log_fd, fd, memory_order_relaxed);
}

uint64_t log_dropped_lines(void)
{
    return atomic_load_explicit(&dropped_count, memory_order_relaxed);
}

uint64_t log_written_lines(enum log_level level)
{
    return atomic_load_explicit(&written_count[level], memory_order_relaxed);
}

enum err_code log_level_parse(const char *name, enum log_level *ret_level)
{
    for (int i = LOG_DEBUG; i <= LOG_ERROR; i++) {
        if (name != NULL && strcmp(name, level_names[i]) == 0) {
            *ret_level = (enum log_level)i;
            return ERR_OK;
        }
    }
    return ERR_BAD_INPUT;
}

struct line {
    char bytes[LOG_LINE_BYTES];
    size_t used;
    bool cut;
};

/* The whole piece or nothing of it. */
static bool put(struct line *line, const char *piece, size_t len)
{
    if (line->cut || line->used + len > LINE_LIMIT) {
        line->cut = true;
        return false;
    }
    memcpy(line->bytes + line->used, piece, len);
    line->used += len;
    return true;
}

/* The character at `at` as JSON writes it; returns how many input bytes it stood for. */
static size_t escape(const char *at, size_t left, char *ret_piece, size_t *ret_len)
{
    static const char short_form[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    unsigned char c = (unsigned char)*at;
    size_t length = text_utf8_length(at, left);
    for (size_t i = 0; i + 1 < sizeof short_form; i += 2) {
        if (c == (unsigned char)short_form[i]) {
            ret_piece[0] = '\\';
            ret_piece[1] = short_form[i + 1];
            *ret_len = 2;
            return 1;
        }
    }
    if (length == 0) { /* one replacement character for each byte that cannot be read */
        memcpy(ret_piece, "\xEF\xBF\xBD", 3);
        *ret_len = 3;
        return 1;
    }
    if (c < 0x20 || c == 0x7F) {
        *ret_len = (size_t)snprintf(ret_piece, 8, "\\u%04x", c);
        return 1;
    }
    memcpy(ret_piece, at, length);
    *ret_len = length;
    return length;
}

/* Cuts a long text between characters; the closing quote has its place in the tail. */
static void put_quoted(struct line *line, const char *s)
{
    size_t left = strlen(s);
    if (!put(line, "\"", 1))
        return;
    while (left > 0) {
        char piece[8];
        size_t piece_len;
        size_t taken = escape(s, left, piece, &piece_len);
        if (!put(line, piece, piece_len))
            break;
        s += taken;
        left -= taken;
    }
    line->bytes[line->used++] = '"';
}

static void put_field(struct line *line, const struct log_field *field)
{
    char number[NUM_REAL_BYTES];
    size_t mark = line->used;
    if (!put(line, ",\"", 2) || !put(line, field->name, strlen(field->name)) ||
        !put(line, "\":", 2)) {
        line->used = mark;
        return;
    }
    const char *plain = NULL;
    switch (field->kind) {
    case LOG_FIELD_STR: plain = field->value.str == NULL ? "null" : NULL; break;
    case LOG_FIELD_INT:
        snprintf(number, sizeof number, "%" PRId64, field->value.integer);
        plain = number;
        break;
    case LOG_FIELD_REAL: plain = num_format_real(field->value.real, number); break;
    case LOG_FIELD_BOOL: plain = field->value.boolean ? "true" : "false"; break;
    }
    size_t value_at = line->used;
    if (plain != NULL)
        put(line, plain, strlen(plain));
    else
        put_quoted(line, field->value.str);
    if (line->used == value_at) /* not even its beginning fitted: no key without a value */
        line->used = mark;
}

static void line_write(const struct line *line, enum log_level level)
{
    int fd = atomic_load_explicit(&log_fd, memory_order_relaxed);
    ssize_t written;
    do {
        written = write(fd, line->bytes, line->used);
    } while (written < 0 && errno == EINTR);
    if (written == (ssize_t)line->used)
        atomic_fetch_add_explicit(&written_count[level], 1, memory_order_relaxed);
    else
        atomic_fetch_add_explicit(&dropped_count, 1, memory_order_relaxed);
}

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               uint32_t field_count)
{
    if ((int)level < atomic_load_explicit(&log_level_min, memory_order_relaxed))
        return;
    int saved_errno = errno; /* callers log what failed, and may still want it */
    struct line line;
    char time[CLOCK_ISO_BYTES];
    line.used = 0;
    line.cut = false;
    clock_format_iso(clock_wall_ms(clock_system()), time);
    line.used =
        (size_t)snprintf(line.bytes, LINE_LIMIT, "{\"ts\":\"%s\",\"level\":\"%s\",\"msg\":", time,
                         level_names[level]);
    put_quoted(&line, msg);
    for (uint32_t i = 0; i < field_count && !line.cut; i++)
        put_field(&line, &fields[i]);
    const char *tail = line.cut ? ",\"cut\":true}\n" : "}\n";
    memcpy(line.bytes + line.used, tail, strlen(tail));
    line.used += strlen(tail);
    line_write(&line, level);
    errno = saved_errno;
}
