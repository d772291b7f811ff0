/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json_line.h"

/* A pipe takes up to PIPE_BUF (4096 on Linux) bytes in one piece. */
_Static_assert(LOG_LINE_BYTES == JSON_LINE_BYTES && LOG_LINE_BYTES <= 4096,
               "lines must be written in one piece");

#define END "}\n"

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

static void line_write(const struct json_line *line, enum log_level level)
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
    struct json_line line;
    char time[CLOCK_ISO_BYTES];
    json_line_begin(&line, strlen(END));
    clock_format_iso(clock_wall_ms(clock_system()), time);
    json_line_raw(&line, "{\"ts\":\"");
    json_line_raw(&line, time);
    json_line_raw(&line, "\",\"level\":\"");
    json_line_raw(&line, level_names[level]);
    json_line_raw(&line, "\",\"msg\":");
    json_line_quoted(&line, msg);
    for (uint32_t i = 0; i < field_count && !line.cut; i++)
        json_line_field(&line, &fields[i]);
    json_line_close(&line);
    json_line_end(&line, END);
    line_write(&line, level);
    errno = saved_errno;
}
