/* SPDX-License-Identifier: Apache-2.0 */
/* log - one JSON object a line on a file descriptor, stderr by default.
 *
 * {"ts":"...","level":"info","msg":"listening","address":"tcp://..."}
 *
 * For main, workers and control; libraries return errors instead of logging.  Never called on the
 * hot path.  Threads: any; one write(2) a line, so lines do not mix.  A line that the descriptor
 * does not take at once (EAGAIN) is dropped and counted.  Limits: a line is cut at LOG_LINE_BYTES,
 * and stays valid JSON when it is. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define LOG_LINE_BYTES 4096

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_field_kind { LOG_FIELD_STR, LOG_FIELD_INT, LOG_FIELD_REAL, LOG_FIELD_BOOL };

struct log_field {
    const char *name;
    enum log_field_kind kind;
    union {
        const char *str; /* NULL is written as null; invalid UTF-8 is replaced by U+FFFD */
        int64_t integer;
        double real;
        bool boolean;
    } value;
};

#define LOG_STR(n, v) ((struct log_field){.name = (n), .kind = LOG_FIELD_STR, .value.str = (v)})
#define LOG_INT(n, v) \
    ((struct log_field){.name = (n), .kind = LOG_FIELD_INT, .value.integer = (int64_t)(v)})
#define LOG_REAL(n, v) ((struct log_field){.name = (n), .kind = LOG_FIELD_REAL, .value.real = (v)})
#define LOG_BOOL(n, v) \
    ((struct log_field){.name = (n), .kind = LOG_FIELD_BOOL, .value.boolean = (v)})

void log_set_level(enum log_level level);
void log_set_fd(int fd);
uint64_t log_dropped_lines(void);
uint64_t log_written_lines(enum log_level level); /* counted per level, for a metric */

/* "debug" "info" "warn" "error"; ERR_BAD_INPUT otherwise. */
MUST_CHECK enum err_code log_level_parse(const char *name, enum log_level *ret_level);

void log_write(enum log_level level, const char *msg, const struct log_field *fields,
               uint32_t field_count);

/* log_at(LOG_INFO, "listening", LOG_STR("address", a), LOG_INT("port", p)) - one field at least */
#define log_at(level, msg, ...)                                  \
    log_write(                                                   \
        (level), (msg), (const struct log_field[]){__VA_ARGS__}, \
        (uint32_t)(sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field)))

#endif
