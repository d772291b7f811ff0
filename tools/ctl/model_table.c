/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/ctl/model_table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tools/cli/value.h"
#include "tools/ctl/table.h"

char *model_time(int64_t ms, char buf[MODEL_TIME_BYTES])
{
    if (ms <= 0) {
        snprintf(buf, MODEL_TIME_BYTES, "-");
        return buf;
    }
    char iso[CLOCK_ISO_BYTES];
    clock_format_iso(ms, iso);
    snprintf(buf, MODEL_TIME_BYTES, "%.10s %.8s", iso, iso + 11); /* 2026-11-24T08:30:00.123Z */
    return buf;
}

/* What a rollback of a model that serves would serve, and from where. */
static void put_rollback(struct table *table, struct cursor model)
{
    struct cursor rollback;
    bool is_one = value_find(model, "rollback", &rollback) && cursor_peek(&rollback) == CURSOR_MAP;
    if (!is_one) {
        table_put(table, text_of("-"));
        return;
    }
    struct text version = value_text(rollback, "version"), from = value_text(rollback, "from");
    table_put_fmt(table, "%.*s (%.*s)", (int)version.len, version.ptr, (int)from.len, from.ptr);
}

static void put_loaded(struct table *table, struct cursor model)
{
    char when[MODEL_TIME_BYTES];
    struct text state = value_text(model, "state");
    if (value_bool(model, "on_disk", true))
        table_put(table, state);
    else
        table_put_fmt(table, "%.*s (folder gone)", (int)state.len, state.ptr);
    put_rollback(table, model);
    table_put(table, text_of(model_time(value_int(model, "loaded_at_ms", 0), when)));
}

/* An index over factors with the recall that was measured when it was built. */
static void put_kind(struct table *table, struct cursor model)
{
    struct cursor retrieval;
    struct text kind = value_text(model, "kind");
    if (value_find(model, "retrieval", &retrieval) && cursor_peek(&retrieval) == CURSOR_MAP &&
        text_is(value_text(retrieval, "by"), "index"))
        table_put_fmt(table, "%.*s (index, recall %.3f)", (int)kind.len, kind.ptr,
                      value_real(retrieval, "recall", 0));
    else
        table_put(table, kind);
}

void model_table_print(struct cursor map, bool loaded)
{
    struct cursor at;
    struct table table;
    char trained[MODEL_TIME_BYTES];
    uint32_t count = value_array(map, "models", &at);
    if (count == 0) {
        puts("no model serves");
        return;
    }
    table_init(&table, loaded ? "MODEL VERSION KIND LABEL TRAINED >MB STATE ROLLBACK LOADED"
                              : "MODEL VERSION KIND LABEL TRAINED >MB BREAKER");
    for (uint32_t i = 0; i < count; i++) {
        struct cursor model = value_next(&at);
        table_put(&table, value_text(model, "name"));
        table_put(&table, value_text(model, "version"));
        put_kind(&table, model);
        table_put(&table, value_text(model, "label"));
        table_put(&table, text_of(model_time(value_int(model, "trained_at_ms", 0), trained)));
        table_put_fmt(&table, "%.2f", (double)value_int(model, "bytes", 0) / 1e6);
        if (loaded)
            put_loaded(&table, model);
        else
            table_put(&table, value_text(model, "breaker"));
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

void model_previous_print(struct cursor map, const char *key)
{
    struct cursor previous;
    if (!value_find(map, key, &previous))
        return;
    printf("previous versions in memory: %lld, %.2f MB of %.2f MB\n",
           (long long)value_int(previous, "count", 0),
           (double)value_int(previous, "bytes", 0) / 1e6,
           (double)value_int(previous, "bytes_max", 0) / 1e6);
}

void model_waiting_print(struct cursor map)
{
    int64_t left_out = value_int(map, "waiting_left_out", 0);
    if (left_out > 0)
        printf("%lld more versions wait to be promoted\n", (long long)left_out);
}

static void put_side(struct table *table, struct cursor model, const char *side)
{
    struct cursor canary, counts;
    bool is_canary = strcmp(side, "canary") == 0;
    if (!value_find(model, "canary", &canary) || !value_find(canary, side, &counts))
        return;
    table_put(table, value_text(model, "name"));
    if (is_canary) {
        table_put(table, value_text(model, "version"));
        table_put_fmt(table, "%g", value_real(canary, "percent", 0));
    } else {
        table_put(table, text_of("(stable)"));
        table_put_fmt(table, "%g", 100 - value_real(canary, "percent", 0));
    }
    static const char *const keys[] = {"decisions", "degraded", "empty", "uses", "errors"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        table_put_fmt(table, "%lld", (long long)value_int(counts, keys[i], 0));
    table_put_fmt(table, "%.0f", value_real(counts, "p99_us", 0));
}

void model_canaries_print(struct cursor map)
{
    struct cursor at, canary;
    struct table table;
    uint32_t found = 0;
    table_init(&table, "CANARY VERSION >% >DECISIONS >BELOW-FULL >EMPTY >USES >ERRORS >P99-US");
    for (uint32_t n = value_array(map, "models", &at); n > 0; n--) {
        struct cursor model = value_next(&at);
        found += value_find(model, "canary", &canary);
        put_side(&table, model, "canary");
        put_side(&table, model, "stable");
    }
    if (found > 0) {
        puts("");
        table_print(&table, stdout);
    }
    table_deinit(&table);
}

void model_refusals_print(struct cursor map)
{
    struct cursor at;
    bool first = true;
    char when[MODEL_TIME_BYTES];
    for (uint32_t n = value_array(map, "loads", &at); n > 0; n--) {
        struct cursor load = value_next(&at);
        struct text name = value_text(load, "name"), version = value_text(load, "version");
        struct text message = value_text(load, "message");
        bool rolled_back = text_is(value_text(load, "outcome"), "rolled_back");
        if (!rolled_back && !text_is(value_text(load, "outcome"), "refused"))
            continue;
        if (first)
            puts("\nrefused or rolled back by itself, the newest first (times in UTC):");
        first = false;
        printf("%s  %.*s %.*s: %s%.*s\n", model_time(value_int(load, "at_ms", 0), when),
               (int)name.len, name.ptr, (int)version.len, version.ptr,
               rolled_back ? "canary rolled back: " : "", (int)message.len, message.ptr);
    }
}

static void print_number(struct cursor shadow, const char *key, const char *what)
{
    double value = value_real(shadow, key, NAN);
    if (isnan(value))
        printf("%-34s -\n", what);
    else
        printf("%-34s %.4g\n", what, value);
}

void model_shadow_print(struct cursor model)
{
    struct cursor shadow;
    struct text name = value_text(model, "name"), version = value_text(model, "version");
    if (!value_find(model, "shadow", &shadow))
        return;
    printf("%.*s: version %.*s is asked for %g %% of the decisions\n", (int)name.len, name.ptr,
           (int)version.len, version.ptr, value_real(shadow, "percent", 0));
    printf("%-34s %lld\n", "compared", (long long)value_int(shadow, "compared", 0));
    printf("%-34s %lld\n", "dropped", (long long)value_int(shadow, "dropped", 0));
    print_number(shadow, "overlap", "items in both answers (share)");
    print_number(shadow, "rank_correlation", "rank correlation of those");
    print_number(shadow, "score_drift", "score difference of those, mean");
    print_number(shadow, "score_drift_max", "score difference of those, most");
    print_number(shadow, "served_p50_us", "p50 of the stable version, us");
    print_number(shadow, "served_p99_us", "p99 of the stable version, us");
    print_number(shadow, "shadow_p50_us", "p50 of the shadow, us");
    print_number(shadow, "shadow_p99_us", "p99 of the shadow, us");
}
