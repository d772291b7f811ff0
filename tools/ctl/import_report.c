/* SPDX-License-Identifier: Apache-2.0 */
/* What an import came to, for people and as JSON. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/pack.h"
#include "base/transcode.h"
#include "tools/ctl/import.h"

#define JSON_BYTES 16384

static uint64_t left_out(const struct import_result *result)
{
    uint64_t sum = result->outside;
    for (uint32_t i = 0; i < result->rule_count; i++)
        sum += result->rule[i].count;
    return sum;
}

static double lines_per_s(const struct import_result *result)
{
    return result->seconds > 0 ? (double)result->lines / result->seconds : 0;
}

static bool has_times(const struct import_job *job)
{
    return job->since_ms != INT64_MIN || job->before_ms != INT64_MAX;
}

static void put_row(FILE *to, const char *indent, const char *name, uint64_t count)
{
    char buf[PROGRESS_COUNT_BYTES];
    fprintf(to, "  %s%-*s %12s\n", indent, 30 - (int)strlen(indent), name,
            progress_count(count, buf));
}

void import_print(const struct import_job *job, const struct import_result *result, FILE *to)
{
    char lines[PROGRESS_COUNT_BYTES];
    char rate[PROGRESS_COUNT_BYTES];
    fprintf(to, "%s: %s lines in %.1f s (%s/s)\n", job->path, progress_count(result->lines, lines),
            result->seconds, progress_count((uint64_t)lines_per_s(result), rate));
    put_row(to, "", "kept", result->kept);
    put_row(to, "", "left out", left_out(result));
    for (uint32_t i = 0; i < result->rule_count; i++)
        put_row(to, "  ", result->rule[i].name, result->rule[i].count);
    if (has_times(job))
        put_row(to, "  ", "not in the time asked for", result->outside);
    put_row(to, "", "errors", result->errors);
    put_row(to, "", "accepted", result->accepted);
    put_row(to, "", "duplicate", result->duplicate);
    put_row(to, "", "rejected", result->rejected);
}

static void pack_count(struct pack *pack, const char *key, uint64_t count)
{
    pack_str(pack, key);
    pack_int(pack, (int64_t)count);
}

static uint32_t pack_left_out(struct pack *pack, const struct import_job *job,
                              const struct import_result *result)
{
    pack_key(pack, "left_out");
    pack_map(pack, result->rule_count + has_times(job));
    for (uint32_t i = 0; i < result->rule_count; i++)
        pack_count(pack, result->rule[i].name, result->rule[i].count);
    if (has_times(job))
        pack_count(pack, "not in the time asked for", result->outside);
    return 1;
}

void import_print_json(const struct import_job *job, const struct import_result *result,
                       const char *why, FILE *to)
{
    uint8_t bytes[JSON_BYTES];
    struct pack pack = pack_into(bytes, sizeof bytes);
    char *json = NULL;
    size_t len = 0;
    struct err err;
    pack_map(&pack, 13);
    pack_key(&pack, "ok");
    pack_bool(&pack, why == NULL && result->errors == 0);
    pack_key(&pack, "why");
    pack_str(&pack, why);
    pack_key(&pack, "file");
    pack_str(&pack, job->path);
    pack_count(&pack, "lines", result->lines);
    pack_count(&pack, "kept", result->kept);
    pack_left_out(&pack, job, result);
    pack_count(&pack, "errors", result->errors);
    pack_count(&pack, "accepted", result->accepted);
    pack_count(&pack, "duplicate", result->duplicate);
    pack_count(&pack, "rejected", result->rejected);
    pack_count(&pack, "next_line", result->line_done + 1);
    pack_key(&pack, "seconds");
    pack_real(&pack, result->seconds);
    pack_key(&pack, "lines_per_s");
    pack_real(&pack, lines_per_s(result));
    if (!pack.overflow && transcode_to_json(bytes, pack.used, 0, &json, &len, &err) == ERR_OK)
        fprintf(to, "%s\n", json);
    free(json);
}
