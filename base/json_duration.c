/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/json.h"

enum { MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

static bool parse_duration(const char *text, uint64_t *ret_s)
{
    uint64_t value = 0;
    size_t digits = 0;
    for (; text[digits] >= '0' && text[digits] <= '9' && digits < 10; digits++)
        value = value * 10 + (uint64_t)(text[digits] - '0');
    if (digits == 0 || text[digits] == '\0' || text[digits + 1] != '\0')
        return false;
    switch (text[digits]) {
    case 's': *ret_s = value; return true;
    case 'm': *ret_s = value * MINUTE_S; return true;
    case 'h': *ret_s = value * HOUR_S; return true;
    case 'd': *ret_s = value * DAY_S; return true;
    default: return false;
    }
}

static const char *duration_text(uint32_t s, char buf[16])
{
    if (s % DAY_S == 0)
        snprintf(buf, 16, "%ud", s / DAY_S);
    else if (s % HOUR_S == 0)
        snprintf(buf, 16, "%uh", s / HOUR_S);
    else if (s % MINUTE_S == 0)
        snprintf(buf, 16, "%um", s / MINUTE_S);
    else
        snprintf(buf, 16, "%us", s);
    return buf;
}

enum err_code json_duration(const struct json_at *at, uint32_t min_s, uint32_t max_s,
                            uint32_t *ret_s, struct err *err)
{
    const char *text = NULL;
    uint64_t s = 0;
    char least[16], most[16];
    if (at->value == NULL)
        return ERR_OK;
    enum err_code rc = json_string(at, &text, err);
    if (rc != ERR_OK)
        return rc;
    if (!parse_duration(text, &s))
        return err_set(err, ERR_BAD_INPUT,
                       "%s: expected a time like \"90s\", \"5m\", \"12h\" or \"7d\", got '%.32s'",
                       at->path, text);
    if (s < min_s || s > max_s)
        return err_set(err, ERR_BAD_INPUT, "%s: expected %s to %s, got '%.32s'", at->path,
                       duration_text(min_s, least), duration_text(max_s, most), text);
    *ret_s = (uint32_t)s;
    return ERR_OK;
}
