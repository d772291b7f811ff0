/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/duration.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const struct unit {
    const char *name;
    uint64_t us;
} units[] = {
    {"d", UINT64_C(86400000000)},
    {"h", UINT64_C(3600000000)},
    {"m", 60000000},
    {"s", 1000000},
    {"ms", 1000},
    {"us", 1},
};

#define UNIT_COUNT (sizeof units / sizeof units[0])

bool duration_parse(const char *text, uint64_t *ret_us)
{
    uint64_t total = 0;
    size_t next = 0; /* the largest unit that may still come */
    while (*text != '\0') {
        size_t digits = strspn(text, "0123456789");
        size_t letters = strcspn(text + digits, "0123456789");
        uint64_t number = 0;
        if (digits == 0 || digits > 15)
            return false;
        for (size_t i = 0; i < digits; i++)
            number = number * 10 + (uint64_t)(text[i] - '0');
        size_t unit = next;
        while (unit < UNIT_COUNT && (strlen(units[unit].name) != letters ||
                                     memcmp(units[unit].name, text + digits, letters) != 0))
            unit++;
        if (unit == UNIT_COUNT || number > DURATION_US_MAX / units[unit].us)
            return false;
        total += number * units[unit].us; /* six summands below 2^45 each */
        next = unit + 1;
        text += digits + letters;
    }
    if (total == 0 || total > DURATION_US_MAX)
        return false;
    *ret_us = total;
    return true;
}

char *duration_format(uint64_t us, char buf[DURATION_BYTES])
{
    size_t unit = 0;
    while (unit < UNIT_COUNT && us < units[unit].us)
        unit++;
    if (unit == UNIT_COUNT) {
        snprintf(buf, DURATION_BYTES, "0s");
        return buf;
    }
    uint64_t rest = us % units[unit].us;
    int used =
        snprintf(buf, DURATION_BYTES, "%" PRIu64 "%s", us / units[unit].us, units[unit].name);
    if (unit + 1 < UNIT_COUNT && rest >= units[unit + 1].us)
        snprintf(buf + used, DURATION_BYTES - (size_t)used, "%" PRIu64 "%s",
                 rest / units[unit + 1].us, units[unit + 1].name);
    return buf;
}
