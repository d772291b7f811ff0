/* SPDX-License-Identifier: Apache-2.0 */
/* erase: a person is forgotten, and what became of that. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/model_table.h"
#include "tools/ctl/table.h"

#define POLL_NS UINT64_C(200000000)
#define WAIT_US UINT64_C(3600000000) /* --for, when it is not given */

/* ---- how it stands --------------------------------------------------------------------------- */

/* Of that request; 0: of all.  From that receipt on. */
static int ask_state(struct ctl *ctl, int64_t request, uint64_t from,
                     struct decide_reply **ret_reply)
{
    uint8_t bytes[128];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 1u + (request > 0));
    pack_key(&body, "from");
    pack_uint(&body, from);
    if (request > 0) {
        pack_key(&body, "request");
        pack_int(&body, request);
    }
    return ctl_call(ctl, "erasures", &body, ctl->timeout_us, ret_reply);
}

static struct cursor pending_of(const struct decide_reply *reply)
{
    struct cursor pending = {0};
    (void)value_find(ctl_map(reply), "pending", &pending);
    return pending;
}

static void print_pending(const struct decide_reply *reply)
{
    struct cursor pending = pending_of(reply);
    struct text stage = value_text(pending, "stage"), error = value_text(pending, "error");
    int64_t ids = value_int(pending, "ids", 0), records = value_int(pending, "records", 0);
    if (ids == 0) {
        puts("nobody waits to be erased");
        return;
    }
    printf("%" PRId64 " ids are still in files: %.*s", ids, (int)stage.len, stage.ptr);
    if (records > 0)
        printf(", record %" PRId64 " of %" PRId64, value_int(pending, "at", 0), records);
    puts("");
    if (error.len > 0)
        ctl_warn("erase", "it is tried again: %.*s", (int)error.len, error.ptr);
}

static void put_receipt(struct table *table, struct cursor receipt)
{
    char asked[MODEL_TIME_BYTES];
    table_put_fmt(table, "%" PRId64, value_int(receipt, "request", 0));
    table_put(table, value_text(receipt, "kind"));
    table_put(table, value_text(receipt, "key"));
    table_put(table, text_of(model_time(value_int(receipt, "asked_ms", 0), asked)));
    table_put(table, value_text(receipt, "ts"));
    table_put_fmt(table, "%" PRId64, value_int(receipt, "events", 0));
    table_put_fmt(table, "%" PRId64, value_int(receipt, "decisions", 0));
}

static int print_receipt_json(struct cursor receipt, bool is_first)
{
    struct text raw;
    char *json = NULL;
    size_t len = 0;
    struct err err = {.text = ""};
    cursor_skip(&receipt, &raw);
    if (transcode_to_json((const uint8_t *)raw.ptr, raw.len, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail("erase", "%s", err.text);
    printf("%s%s", is_first ? "" : ", ", json);
    free(json);
    return EXIT_FINE;
}

struct listing {
    struct ctl *ctl;
    struct table table;
    bool any;
};

/* The receipts of one reply. */
static int show_page(struct listing *listing, const struct decide_reply *reply)
{
    struct cursor at;
    int code = EXIT_FINE;
    for (uint32_t n = value_array(ctl_map(reply), "receipts", &at); n > 0 && code == EXIT_FINE;
         n--) {
        struct cursor receipt = value_next(&at);
        if (listing->ctl->json)
            code = print_receipt_json(receipt, !listing->any);
        else
            put_receipt(&listing->table, receipt);
        listing->any = true;
    }
    return code;
}

static int show_state(struct listing *listing, int64_t request)
{
    int code = EXIT_FINE;
    uint64_t from = 1;
    for (bool is_end = false; !is_end && code == EXIT_FINE;) {
        struct decide_reply *reply = NULL;
        code = ask_state(listing->ctl, request, from, &reply);
        if (reply == NULL)
            return code;
        if (listing->ctl->json && from == 1)
            printf("{\"ok\": true, \"pending\": %" PRId64 ", \"receipts\": [",
                   value_int(pending_of(reply), "ids", 0));
        code = show_page(listing, reply);
        uint64_t next = (uint64_t)value_int(ctl_map(reply), "next", 0);
        is_end = value_bool(ctl_map(reply), "end", true) || next <= from;
        from = next;
        if (is_end && !listing->ctl->json && request == 0)
            print_pending(reply);
        decide_reply_free(reply);
    }
    if (listing->ctl->json)
        puts("]}");
    return code;
}

static int list(struct ctl *ctl, int64_t request)
{
    struct listing listing = {.ctl = ctl};
    table_init(&listing.table, ">REQUEST KIND KEY ASKED ERASED >EVENTS >DECISIONS");
    int code = show_state(&listing, request);
    if (code == EXIT_FINE && !ctl->json && listing.any)
        table_print(&listing.table, stdout);
    table_deinit(&listing.table);
    return code;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* One call is bounded by --timeout, all of them by `wait_us`. */
static int wait_until_done(struct ctl *ctl, int64_t request, uint64_t wait_us)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + wait_us * 1000;
    for (;;) {
        struct decide_reply *reply = NULL;
        int code = ask_state(ctl, request, 1, &reply);
        if (reply == NULL)
            return code;
        bool is_done = value_int(pending_of(reply), "done", 0) >= request;
        decide_reply_free(reply);
        if (is_done)
            return list(ctl, request);
        uint64_t now_ns = clock_now_ns(clock_system());
        if (now_ns >= end_ns)
            return ctl_fail("erase",
                            "request %" PRId64
                            " is not done yet; the daemon goes on: erase --list tells how far",
                            request);
        uint64_t left_ns = end_ns - now_ns;
        const struct timespec pause = {.tv_nsec = (long)(left_ns < POLL_NS ? left_ns : POLL_NS)};
        (void)nanosleep(&pause, NULL); /* one that is cut short is as good */
    }
}

/* `wait_us` 0: without waiting. */
static int erase(struct ctl *ctl, const char *user, const char *anon, uint64_t wait_us)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[512];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, (uint32_t)((user != NULL) + (anon != NULL)));
    if (user != NULL) {
        pack_key(&body, "user");
        pack_str(&body, user);
    }
    if (anon != NULL) {
        pack_key(&body, "anon");
        pack_str(&body, anon);
    }
    if (body.overflow)
        return ctl_usage("erase", "an id has at most %d bytes", ID_BYTES_MAX);
    int code = ctl_call(ctl, "erase", &body, ctl->timeout_us, &reply);
    if (reply == NULL)
        return code;
    int64_t request = value_int(ctl_map(reply), "request", 0);
    if (ctl->json && wait_us == 0)
        code = ctl_print_json(reply);
    else if (!ctl->json)
        printf("request %" PRId64 ": not known any more; the files follow\n", request);
    decide_reply_free(reply);
    return wait_us > 0 && code == EXIT_FINE ? wait_until_done(ctl, request, wait_us) : code;
}

int command_erase(struct ctl *ctl, int argc, char **argv)
{
    const char *anon = NULL;
    bool is_list = false, waits = false;
    uint64_t wait_us = 0;
    const struct arg args[] = {{"anon", 0, ARG_TEXT, &anon, 0, 0},
                               {"list", 0, ARG_FLAG, &is_list, 0, 0},
                               {"wait", 0, ARG_FLAG, &waits, 0, 0},
                               {"for", 0, ARG_DURATION, &wait_us, 0, 0}};
    int count = args_parse_count(ctl, argc, argv, args, 4, 0, 1, "USER, --anon ID or --list");
    if (count < 0)
        return EXIT_USAGE;
    bool has_person = count == 1 || anon != NULL;
    if (is_list == has_person)
        return ctl_usage("erase", "expected USER, --anon ID or --list");
    if (wait_us != 0 && !waits)
        return ctl_usage("erase", "--for says how long --wait waits, which is missing");
    if (waits && wait_us == 0)
        wait_us = WAIT_US;
    if (is_list)
        return list(ctl, 0);
    return erase(ctl, count == 1 ? argv[1] : NULL, anon, wait_us);
}
