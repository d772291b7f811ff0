/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <stdbool.h>
#include <time.h>

#define MS_PER_DAY INT64_C(86400000)
#define ISO_MS_MIN (INT64_C(-719528) * MS_PER_DAY)     /* 0000-01-01T00:00:00.000Z */
#define ISO_MS_MAX (INT64_C(2932897) * MS_PER_DAY - 1) /* 9999-12-31T23:59:59.999Z */

static uint64_t system_now_ns(const struct clock *clock)
{
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static int64_t system_wall_ms(const struct clock *clock)
{
    (void)clock;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const struct clock *clock_system(void)
{
    static const struct clock system_clock = {system_now_ns, system_wall_ms};
    return &system_clock;
}

/* The manual clock's struct begins with its clock, so the pointers are the same. */
static uint64_t manual_now_ns(const struct clock *clock)
{
    const struct clock_manual *manual = (const struct clock_manual *)clock;
    return atomic_load_explicit(&manual->now_ns, memory_order_acquire);
}

static int64_t manual_wall_ms(const struct clock *clock)
{
    const struct clock_manual *manual = (const struct clock_manual *)clock;
    return atomic_load_explicit(&manual->wall_ms, memory_order_acquire);
}

void clock_manual_init(struct clock_manual *manual, uint64_t now_ns, int64_t wall_ms)
{
    manual->clock = (struct clock){manual_now_ns, manual_wall_ms};
    atomic_init(&manual->now_ns, now_ns);
    atomic_init(&manual->wall_ms, wall_ms);
}

void clock_manual_advance_ns(struct clock_manual *manual, uint64_t by_ns)
{
    uint64_t before_ns = atomic_fetch_add(&manual->now_ns, by_ns);
    /* The wall clock moves by the whole milliseconds that the monotonic one passed, so that many
     * small steps add up. */
    uint64_t passed_ms = (before_ns + by_ns) / 1000000 - before_ns / 1000000;
    atomic_fetch_add(&manual->wall_ms, (int64_t)passed_ms);
}

/* Days since 1970-01-01 of a date in the proleptic Gregorian calendar, and back: Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms". */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * month_shifted + 2) / 5 + 1);
    *ret_month = (int)(month_shifted < 10 ? month_shifted + 3 : month_shifted - 9);
    *ret_year = year_of_era + era * 400 + (*ret_month <= 2);
}

/* A reader over the text; every take_* moves only when it succeeds. */
struct scan {
    const char *at;
    const char *end;
};

static bool take_char(struct scan *scan, char c)
{
    if (scan->at == scan->end || *scan->at != c)
        return false;
    scan->at++;
    return true;
}

static bool take_digits(struct scan *scan, int count, int min, int max, int *ret_value)
{
    int value = 0;
    if (scan->end - scan->at < count)
        return false;
    for (int i = 0; i < count; i++) {
        char c = scan->at[i];
        if (c < '0' || c > '9')
            return false;
        value = value * 10 + (c - '0');
    }
    if (value < min || value > max)
        return false;
    scan->at += count;
    *ret_value = value;
    return true;
}

static bool take_date(struct scan *scan, int64_t *ret_days)
{
    static const uint8_t month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year;
    int month;
    int day;
    if (!take_digits(scan, 4, 1970, 2261, &year) || !take_char(scan, '-') ||
        !take_digits(scan, 2, 1, 12, &month) || !take_char(scan, '-') ||
        !take_digits(scan, 2, 1, 31, &day))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    if (day > month_days[month - 1] + (month == 2 && leap))
        return false;
    *ret_days = days_from_civil(year, month, day);
    return true;
}

/* "08:26:00", then up to nine decimals of which three count. */
static bool take_time(struct scan *scan, int64_t *ret_ms)
{
    int hour;
    int minute;
    int second;
    if (!take_digits(scan, 2, 0, 23, &hour) || !take_char(scan, ':') ||
        !take_digits(scan, 2, 0, 59, &minute) || !take_char(scan, ':') ||
        !take_digits(scan, 2, 0, 59, &second))
        return false;
    int64_t ms = ((hour * 60 + minute) * 60 + second) * INT64_C(1000);
    if (take_char(scan, '.')) {
        int digit;
        int count = 0;
        int weight = 100;
        while (count < 9 && take_digits(scan, 1, 0, 9, &digit)) {
            ms += digit * weight;
            weight /= 10;
            count++;
        }
        if (count == 0)
            return false;
    }
    *ret_ms = ms;
    return true;
}

static bool take_zone(struct scan *scan, int64_t *ret_offset_ms)
{
    *ret_offset_ms = 0;
    if (scan->at == scan->end || take_char(scan, 'Z'))
        return true;
    int sign = take_char(scan, '+') ? 1 : take_char(scan, '-') ? -1 : 0;
    int hour;
    int minute;
    if (sign == 0 || !take_digits(scan, 2, 0, 23, &hour) || !take_char(scan, ':') ||
        !take_digits(scan, 2, 0, 59, &minute))
        return false;
    *ret_offset_ms = sign * (hour * 60 + minute) * INT64_C(60000);
    return true;
}

_Bool clock_parse_iso(const char *ptr, size_t len, int64_t *ret_ms)
{
    struct scan scan = {ptr, ptr + len};
    int64_t days;
    int64_t time_ms = 0;
    int64_t offset_ms = 0;

    if (ptr == NULL || !take_date(&scan, &days))
        return false;
    if (scan.at != scan.end) {
        if (!take_char(&scan, 'T') && !take_char(&scan, ' '))
            return false;
        if (!take_time(&scan, &time_ms) || !take_zone(&scan, &offset_ms) || scan.at != scan.end)
            return false;
    }
    int64_t ms = days * MS_PER_DAY + time_ms - offset_ms;
    if (ms < 0) /* 1970-01-01 east of Greenwich */
        return false;
    *ret_ms = ms;
    return true;
}

/* `width` digits with leading zeros, then `after`; returns where to go on. */
static char *put_digits(char *at, int64_t value, int width, char after)
{
    for (int i = width - 1; i >= 0; i--) {
        at[i] = (char)('0' + value % 10);
        value /= 10;
    }
    at[width] = after;
    return at + width + 1;
}

char *clock_format_iso(int64_t ms, char *buf)
{
    /* Years outside 0..9999 have no ISO form; such a time is shown as the nearest that has one. */
    if (ms < ISO_MS_MIN)
        ms = ISO_MS_MIN;
    if (ms > ISO_MS_MAX)
        ms = ISO_MS_MAX;
    int64_t days = ms / MS_PER_DAY - (ms % MS_PER_DAY < 0);
    int64_t in_day_ms = ms - days * MS_PER_DAY;
    int64_t year;
    int month;
    int day;
    civil_from_days(days, &year, &month, &day);
    char *at = put_digits(buf, year, 4, '-');
    at = put_digits(at, month, 2, '-');
    at = put_digits(at, day, 2, 'T');
    at = put_digits(at, in_day_ms / 3600000, 2, ':');
    at = put_digits(at, in_day_ms / 60000 % 60, 2, ':');
    at = put_digits(at, in_day_ms / 1000 % 60, 2, '.');
    at = put_digits(at, in_day_ms % 1000, 3, 'Z');
    *at = '\0';
    return buf;
}
