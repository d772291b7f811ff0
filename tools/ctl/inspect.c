/* SPDX-License-Identifier: Apache-2.0 */
/* ping, status, call, features: what the daemon says about itself and what it knows. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/duration.h"
#include "tools/ctl/model_table.h"
#include "tools/ctl/table.h"

#define BODY_BYTES_MAX (1 << 20)

int command_ping(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    if (args_parse_count(ctl, argc, argv, NULL, 0, 0, 0, "nothing") < 0)
        return EXIT_USAGE;
    int code = ctl_call(ctl, "ping", NULL, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json) {
        code = ctl_print_json(reply);
    } else {
        struct text version = value_text(ctl_map(reply), "version");
        struct text mode = value_text(ctl_map(reply), "mode");
        printf("%s answers: decided %.*s, mode %.*s, %.3f ms\n", ctl->url, (int)version.len,
               version.ptr, (int)mode.len, mode.ptr, (double)reply->waited_us / 1000.0);
    }
    decide_reply_free(reply);
    return code;
}

/* Every pair of a map whose value is no map or array, as a table of two columns. */
static void print_pairs(struct cursor map)
{
    struct table table;
    uint32_t count = 0;
    char shown[VALUE_TEXT_BYTES];
    if (!cursor_map(&map, &count))
        return;
    table_init(&table, "NAME >VALUE");
    for (uint32_t i = 0; i < count; i++) {
        struct text key = {0};
        bool wanted = cursor_text(&map, &key);
        struct cursor value = value_next(&map);
        enum cursor_kind kind = cursor_peek(&value);
        if (!wanted || kind == CURSOR_MAP || kind == CURSOR_ARRAY)
            continue;
        table_put(&table, key);
        table_put(&table, text_of(value_show(value, shown)));
    }
    table_print(&table, stdout);
    table_deinit(&table);
}

static void print_text(const char *before, struct text text)
{
    if (text.ptr != NULL)
        printf("%s%.*s", before, (int)text.len, text.ptr);
}

static void print_log(struct cursor map, const char *key)
{
    struct cursor log;
    if (value_find(map, key, &log))
        printf(", records %" PRId64 "..%" PRId64 ", %" PRId64 " of %" PRId64 " MB",
               value_int(log, "first_sequence", 0), value_int(log, "last_sequence", 0),
               value_int(log, "bytes_used", 0) >> 20, value_int(log, "bytes_max", 0) >> 20);
}

static void show_decision_log(struct cursor map)
{
    int64_t dropped = value_int(map, "decision_log_dropped", 0);
    print_text("\ndecisions: ", value_text(map, "decision_log_state"));
    print_text(", not logged: ", value_text(map, "decision_log_error"));
    print_log(map, "decision_log");
    if (dropped > 0)
        printf(", %" PRId64 " dropped", dropped);
}

static void show_durability(struct cursor map)
{
    struct cursor recovering;
    print_text("\nevents: ", value_text(map, "durability"));
    print_text(", refused: ", value_text(map, "durability_error"));
    print_log(map, "log");
    if (value_find(map, "recovering", &recovering))
        printf(", recovering: at record %" PRId64 " of %" PRId64, value_int(recovering, "at", 0),
               value_int(recovering, "last", 0));
    show_decision_log(map);
    puts("\n");
}

static void show_status(const struct decide_reply *reply)
{
    struct cursor map = ctl_map(reply), store;
    char buf[MODEL_TIME_BYTES];
    int64_t uptime_s = value_int(map, "uptime_s", 0), until_ms = value_int(map, "mode_until_ms", 0);
    print_text("decided ", value_text(map, "version"));
    printf(", up %s", duration_format((uint64_t)(uptime_s > 0 ? uptime_s : 0) * 1000000, buf));
    puts(value_bool(map, "draining", false) ? ", draining: it is about to stop" : "");
    print_text("mode ", value_text(map, "mode"));
    if (until_ms > 0)
        printf(" until %s UTC", model_time(until_ms, buf));
    print_text(": ", value_text(map, "mode_reason"));
    print_text("\npolicies ", value_text(map, "policies"));
    printf(", snapshot %" PRId64, value_int(map, "epoch", 0));
    show_durability(map);
    model_table_print(map, false);
    model_previous_print(map, "models_previous");
    if (value_find(map, "store", &store)) {
        puts("");
        print_pairs(store);
    }
}

int command_status(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    if (args_parse_count(ctl, argc, argv, NULL, 0, 0, 0, "nothing") < 0)
        return EXIT_USAGE;
    int code = ctl_call(ctl, "status", NULL, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        show_status(reply);
    decide_reply_free(reply);
    return code;
}

int command_call(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    struct err err = {0};
    int code = EXIT_FAILED;
    ctl->json = true; /* the reply is shown as it is */
    int count = args_parse_count(ctl, argc, argv, NULL, 0, 1, 2, "OP [JSON]");
    if (count < 0)
        return EXIT_USAGE;
    const char *json = count == 2 ? argv[2] : "{}";
    uint8_t *bytes = malloc(BODY_BYTES_MAX);
    if (bytes == NULL)
        return ctl_fail("call", "out of memory");
    struct pack body = pack_into(bytes, BODY_BYTES_MAX);
    struct cursor map;
    if (transcode_from_json(json, strlen(json), &body, &err) != ERR_OK) {
        code = ctl_usage("call", "JSON: %s", err.text);
        goto out;
    }
    map = cursor_of(bytes, body.used);
    if (cursor_peek(&map) != CURSOR_MAP) {
        code = ctl_usage("call", "JSON: expected an object, such as {\"user\": \"u1\"}");
        goto out;
    }
    code = ctl_call(ctl, argv[1], &body, ctl->timeout_us, &reply);
    if (reply != NULL)
        code = ctl_print_json(reply);
    decide_reply_free(reply);
out:
    free(bytes);
    return code;
}

/* How the price of an item changed, newest first. */
static void print_prices(struct cursor map)
{
    struct cursor at;
    char when[MODEL_TIME_BYTES];
    for (uint32_t n = value_array(map, "prices", &at); n > 0; n--) {
        struct cursor change = value_next(&at);
        struct text currency = value_text(change, "currency");
        printf("price %" PRId64 "%s%.*s since %s UTC\n", value_int(change, "amount", 0),
               currency.len > 0 ? " " : "", (int)currency.len, currency.ptr,
               model_time(value_int(change, "since_ms", 0), when));
    }
}

int command_features(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    struct cursor features;
    uint8_t bytes[512];
    struct pack body = pack_into(bytes, sizeof bytes);
    char when[MODEL_TIME_BYTES];
    if (args_parse_count(ctl, argc, argv, NULL, 0, 2, 2, "user|item ID") < 0)
        return EXIT_USAGE;
    if (strcmp(argv[1], "user") != 0 && strcmp(argv[1], "item") != 0)
        return ctl_usage("features", "expected user or item, got '%s'", argv[1]);
    pack_map(&body, 1);
    pack_str(&body, argv[1]);
    pack_str(&body, argv[2]);
    int code = ctl_call(ctl, "features", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json) {
        code = ctl_print_json(reply);
    } else if (value_find(ctl_map(reply), "features", &features)) {
        print_pairs(features);
        print_prices(ctl_map(reply));
        printf("as of %s UTC\n", model_time(value_int(ctl_map(reply), "as_of_ms", 0), when));
    }
    decide_reply_free(reply);
    return code;
}
