/* SPDX-License-Identifier: Apache-2.0 */
/* mode, breaker, reload, restart, drain: what an operator tells the daemon. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/model_table.h"

#define LOOK_MS            10
#define RESTART_TIMEOUT_US UINT64_C(600000000) /* at least: a large log takes a while */

static void show_mode(const struct decide_reply *reply)
{
    struct cursor map = ctl_map(reply);
    struct text mode = value_text(map, "mode"), reason = value_text(map, "reason");
    int64_t until_ms = value_int(map, "until_ms", 0);
    char when[MODEL_TIME_BYTES];
    printf("mode %.*s", (int)mode.len, mode.ptr);
    if (until_ms > 0)
        printf(" until %s UTC", model_time(until_ms, when));
    if (reason.ptr != NULL && reason.len > 0)
        printf(" (%.*s)", (int)reason.len, reason.ptr);
    puts("");
    struct text warning = value_text(map, "warning");
    if (warning.ptr != NULL)
        ctl_warn("mode", "it is in force, but: %.*s", (int)warning.len, warning.ptr);
}

static void pack_mode(struct pack *body, const char *level, uint64_t for_us, const char *reason)
{
    pack_map(body, (uint32_t)((level != NULL) + (for_us > 0) + (reason != NULL)));
    if (level != NULL) {
        pack_key(body, "mode");
        pack_str(body, level);
    }
    if (for_us > 0) {
        pack_key(body, "for_ms");
        pack_int(body, (int64_t)(for_us / 1000));
    }
    if (reason != NULL) {
        pack_key(body, "reason");
        pack_str(body, reason);
    }
}

int command_mode(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    uint64_t for_us = 0;
    const char *reason = NULL;
    uint8_t bytes[4096];
    struct pack body = pack_into(bytes, sizeof bytes);
    const struct arg args[] = {{"for", 0, ARG_DURATION, &for_us, 0, 0},
                               {"reason", 0, ARG_TEXT, &reason, 0, 0}};
    int count = args_parse_count(ctl, argc, argv, args, 2, 0, 1, "[LEVEL]");
    if (count < 0)
        return EXIT_USAGE;
    if (count == 0 && (for_us > 0 || reason != NULL))
        return ctl_usage("mode", "--for and --reason need a LEVEL");
    if (for_us > 0 && for_us < 1000)
        return ctl_usage("mode", "--for: expected 1ms or more");
    pack_mode(&body, count == 1 ? argv[1] : NULL, for_us, reason);
    int code = ctl_call(ctl, "mode", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        show_mode(reply);
    decide_reply_free(reply);
    return code;
}

int command_breaker(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[1024];
    struct pack body = pack_into(bytes, sizeof bytes);
    int count = args_parse_count(ctl, argc, argv, NULL, 0, 1, 2, "MODEL [open|closed|auto]");
    if (count < 0)
        return EXIT_USAGE;
    pack_map(&body, (uint32_t)count);
    pack_key(&body, "model");
    pack_str(&body, argv[1]);
    if (count == 2) {
        pack_key(&body, "hold");
        pack_str(&body, argv[2]);
    }
    int code = ctl_call(ctl, "breaker", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    struct text model = value_text(ctl_map(reply), "model");
    struct text state = value_text(ctl_map(reply), "breaker");
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        printf("%.*s: %.*s\n", (int)model.len, model.ptr, (int)state.len, state.ptr);
    decide_reply_free(reply);
    return code;
}

static int simple(struct ctl *ctl, int argc, char **argv, const char *said)
{
    struct decide_reply *reply = NULL;
    struct cursor at;
    if (args_parse_count(ctl, argc, argv, NULL, 0, 0, 0, "nothing") < 0)
        return EXIT_USAGE;
    int code = ctl_call(ctl, argv[0], NULL, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json) {
        code = ctl_print_json(reply);
    } else {
        puts(said);
        for (uint32_t n = value_array(ctl_map(reply), "restart_needed", &at); n > 0; n--) {
            struct cursor option = value_next(&at);
            struct text name = {0};
            (void)cursor_text(&option, &name);
            printf("%.*s changed, which needs a restart\n", (int)name.len, name.ptr);
        }
    }
    decide_reply_free(reply);
    return code;
}

int command_reload(struct ctl *ctl, int argc, char **argv)
{
    return simple(ctl, argc, argv, "reloaded");
}

/* It was ready, and the old one ends.  That one is there again when it did not come to serve. */
static int check_who_serves(struct ctl *ctl, int64_t process_id)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + RESTART_TIMEOUT_US * 1000;
    if (strchr(ctl->url, ',') != NULL) /* another daemon may answer */
        return EXIT_FINE;
    while (clock_now_ns(clock_system()) < end_ns) {
        struct decide_reply *reply = decide_call(ctl_client(ctl), "status", NULL, 0, 0);
        bool answered = reply->status == DECIDE_OK;
        int64_t served_by = answered ? value_int(ctl_map(reply), "process_id", process_id) : 0;
        bool is_over = answered && !value_bool(ctl_map(reply), "draining", false);
        decide_reply_free(reply);
        if (served_by == process_id)
            return EXIT_FINE;
        if (is_over)
            return ctl_fail("restart",
                            "process %" PRId64 " ended before it served, and %" PRId64
                            " has started again in its place; the daemon's log says why",
                            process_id, served_by);
        (void)poll(NULL, 0, LOOK_MS);
    }
    return ctl_fail("restart", "process %" PRId64 " was ready, and nobody answers since",
                    process_id);
}

int command_restart(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    if (args_parse_count(ctl, argc, argv, NULL, 0, 0, 0, "nothing") < 0)
        return EXIT_USAGE;
    int code = ctl_call_patiently(ctl, "restart", NULL, RESTART_TIMEOUT_US, &reply);
    if (reply == NULL)
        return code;
    int64_t process_id = value_int(ctl_map(reply), "process_id", 0);
    code = check_who_serves(ctl, process_id);
    if (code == EXIT_FINE && ctl->json)
        code = ctl_print_json(reply);
    else if (code == EXIT_FINE)
        printf("process %" PRId64 " takes over\n", process_id);
    decide_reply_free(reply);
    return code;
}

int command_drain(struct ctl *ctl, int argc, char **argv)
{
    return simple(ctl, argc, argv, "draining: it stops when what is in flight is done");
}
