/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/cli/progress.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define TERMINAL_EVERY_NS UINT64_C(100000000)
#define LOG_EVERY_NS      UINT64_C(5000000000)
#define BAR_CELLS         20

void progress_start_on(struct progress *progress, const char *what, const char *unit, FILE *out,
                       bool is_terminal, const struct clock *clock)
{
    uint64_t now_ns = clock_now_ns(clock);
    *progress = (struct progress){
        .what = what,
        .unit = unit,
        .clock = clock,
        .out = out,
        .is_terminal = is_terminal,
        .started_ns = now_ns,
        .due_ns = now_ns + (is_terminal ? TERMINAL_EVERY_NS : LOG_EVERY_NS),
    };
}

void progress_start(struct progress *progress, const char *what, const char *unit)
{
    progress_start_on(progress, what, unit, stderr, isatty(STDERR_FILENO) == 1, clock_system());
}

double progress_elapsed_s(const struct progress *progress)
{
    return (double)(clock_now_ns(progress->clock) - progress->started_ns) * 1e-9;
}

char *progress_count(uint64_t count, char buf[PROGRESS_COUNT_BYTES])
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, count);
    char *to = buf;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = '\0';
    return buf;
}

/* "7 s", "3 min 20 s", "2 h 5 min": as coarse as a guess deserves. */
static void format_duration(double seconds, char *buf, size_t buf_bytes)
{
    uint64_t s = seconds > 1e9 ? UINT64_C(1000000000) : (uint64_t)(seconds + 0.5);
    if (s < 60)
        snprintf(buf, buf_bytes, "%" PRIu64 " s", s);
    else if (s < 3600)
        snprintf(buf, buf_bytes, "%" PRIu64 " min %" PRIu64 " s", s / 60, s % 60);
    else
        snprintf(buf, buf_bytes, "%" PRIu64 " h %" PRIu64 " min", s / 3600, s % 3600 / 60);
}

/* "[######..............]  31%", or nothing when the share is unknown. */
static void format_share(double done, bool with_bar, char *buf, size_t buf_bytes)
{
    char bar[BAR_CELLS + 1];
    int filled = (int)(done * BAR_CELLS);
    buf[0] = '\0';
    if (done < 0)
        return;
    memset(bar, '.', BAR_CELLS);
    memset(bar, '#', (size_t)filled);
    bar[BAR_CELLS] = '\0';
    if (with_bar)
        snprintf(buf, buf_bytes, "  [%s] %3d%%", bar, (int)(done * 100));
    else
        snprintf(buf, buf_bytes, "  %d%%", (int)(done * 100));
}

static void draw(const struct progress *progress, double done, uint64_t count)
{
    char share[BAR_CELLS + 16];
    char units[PROGRESS_COUNT_BYTES];
    char rate[PROGRESS_COUNT_BYTES];
    char left[48] = "";
    double elapsed_s = progress_elapsed_s(progress);
    format_share(done, progress->is_terminal, share, sizeof share);
    progress_count(count, units);
    progress_count(elapsed_s > 0 ? (uint64_t)((double)count / elapsed_s) : 0, rate);
    if (done > 0) {
        size_t used = (size_t)(stpcpy(left, "  ") - left);
        format_duration(elapsed_s * (1 - done) / done, left + used, 32);
        strncat(left, " left", sizeof left - strlen(left) - 1);
    }
    fprintf(progress->out, "%s%s%s  %s %s  %s/s%s%s", progress->is_terminal ? "\r" : "",
            progress->what, share, units, progress->unit, rate, left,
            progress->is_terminal ? "\033[K" : "\n");
    fflush(progress->out);
}

void progress_show(struct progress *progress, double done, uint64_t count)
{
    uint64_t now_ns = clock_now_ns(progress->clock);
    if (now_ns < progress->due_ns)
        return;
    progress->due_ns = now_ns + (progress->is_terminal ? TERMINAL_EVERY_NS : LOG_EVERY_NS);
    draw(progress, done > 1 ? 1 : done, count);
    progress->is_drawn = true;
}

void progress_end(struct progress *progress)
{
    if (progress->is_terminal && progress->is_drawn) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
    }
    progress->is_drawn = false;
}
