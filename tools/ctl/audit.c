/* SPDX-License-Identifier: Apache-2.0 */
/* audit: what operators did, and whether the record of it is whole. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/ledger.h"
#include "base/transcode.h"
#include "tools/cli/value.h"
#include "tools/ctl/args.h"
#include "tools/ctl/table.h"

enum { WHAT_BYTES = 1024 };

struct listing {
    struct ctl *ctl;
    int64_t since_ms;
    struct table table;
    bool any; /* with --json: a comma comes before the next one */
};

/* ---- listing --------------------------------------------------------------------------------- */

static bool is_shown_elsewhere(struct text key)
{
    static const char *const keys[] = {"seq",     "prev", "ts",    "act",
                                       "outcome", "peer", "token", "hash"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (text_is(key, keys[i]))
            return true;
    }
    return false;
}

/* What is left of the act: "mode=generic for_ms=1800000". */
static const char *describe(struct cursor act, char buf[WHAT_BYTES])
{
    uint32_t count = 0;
    size_t used = 0;
    char shown[VALUE_TEXT_BYTES];
    buf[0] = '\0';
    if (!cursor_map(&act, &count))
        return buf;
    for (uint32_t i = 0; i < count; i++) {
        struct text key = {0};
        bool named = cursor_text(&act, &key);
        struct cursor value = value_next(&act);
        if (!named || is_shown_elsewhere(key) || used >= WHAT_BYTES)
            continue;
        const char *text = value_show(value, shown);
        /* The beginning of a hash is enough to compare by eye. */
        int len = strlen(text) == SHA256_HEX_BYTES - 1 ? 12 : VALUE_TEXT_BYTES;
        if (text[0] != '\0')
            used += (size_t)snprintf(buf + used, WHAT_BYTES - used, "%s%.*s=%.*s",
                                     used == 0 ? "" : " ", (int)key.len, key.ptr, len, text);
    }
    return buf;
}

static bool is_wanted(const struct listing *listing, struct cursor act)
{
    struct text time = value_text(act, "ts");
    int64_t time_ms = 0;
    return listing->since_ms == INT64_MIN || !clock_parse_iso(time.ptr, time.len, &time_ms) ||
           time_ms >= listing->since_ms;
}

static int show_json(struct listing *listing, struct cursor act)
{
    struct text raw;
    char *json = NULL;
    size_t len = 0;
    struct err err = {.text = ""};
    cursor_skip(&act, &raw);
    if (transcode_to_json((const uint8_t *)raw.ptr, raw.len, 0, &json, &len, &err) != ERR_OK)
        return ctl_fail("audit", "%s", err.text);
    printf("%s%s", listing->any ? ", " : "", json);
    listing->any = true;
    free(json);
    return EXIT_FINE;
}

static int show(struct listing *listing, struct cursor act)
{
    char what[WHAT_BYTES];
    if (!is_wanted(listing, act))
        return EXIT_FINE;
    if (listing->ctl->json)
        return show_json(listing, act);
    table_put(&listing->table, value_text(act, "ts"));
    table_put_fmt(&listing->table, "%" PRId64, value_int(act, "seq", 0));
    table_put(&listing->table, value_text(act, "act"));
    table_put(&listing->table, value_text(act, "outcome"));
    table_put(&listing->table, value_text(act, "peer"));
    table_put(&listing->table, text_of(value_bool(act, "token", false) ? "yes" : "no"));
    table_put(&listing->table, text_of(describe(act, what)));
    return EXIT_FINE;
}

static int fetch(struct ctl *ctl, uint64_t from, struct decide_reply **ret_reply)
{
    uint8_t bytes[64];
    struct pack body = pack_into(bytes, sizeof bytes);
    pack_map(&body, 1);
    pack_key(&body, "from");
    pack_uint(&body, from);
    return ctl_call(ctl, "audit", &body, ctl->timeout_us, ret_reply);
}

static int show_all(struct listing *listing)
{
    uint64_t next = 1;
    int code = EXIT_FINE;
    for (bool end = false; !end && code == EXIT_FINE;) {
        struct decide_reply *reply = NULL;
        struct cursor at;
        code = fetch(listing->ctl, next, &reply);
        if (reply == NULL)
            return code;
        if (listing->ctl->json && next == 1)
            printf("{\"ok\": true, \"acts\": [");
        struct cursor map = ctl_map(reply);
        for (uint32_t n = value_array(map, "acts", &at); n > 0 && code == EXIT_FINE; n--)
            code = show(listing, value_next(&at));
        uint64_t after = (uint64_t)value_int(map, "next", 0);
        end = value_bool(map, "end", true) || after <= next;
        next = after;
        decide_reply_free(reply);
    }
    if (listing->ctl->json)
        puts("]}");
    return code;
}

static int list(struct ctl *ctl, const char *since)
{
    struct listing listing = {.ctl = ctl, .since_ms = INT64_MIN};
    if (since != NULL && !clock_parse_iso(since, strlen(since), &listing.since_ms))
        return ctl_usage("audit",
                         "--since: expected a time such as 2011-11-01 or 2011-11-01T08:00:00Z, "
                         "got '%s'",
                         since);
    table_init(&listing.table, "TIME >SEQ ACT OUTCOME WHO TOKEN WHAT");
    int code = show_all(&listing);
    if (code == EXIT_FINE && !ctl->json)
        table_print(&listing.table, stdout);
    table_deinit(&listing.table);
    return code;
}

/* ---- verifying ------------------------------------------------------------------------------- */

static void tell_fault(void *ctx, const struct err *err)
{
    (void)ctx;
    ctl_warn("audit", "%s", err->text); /* the rest is looked at, too */
}

struct sought {
    const char *hash;
    bool found;
};

static bool seek(void *ctx, uint64_t sequence, struct text line)
{
    struct sought *sought = ctx;
    size_t len = strlen(sought->hash);
    (void)sequence; /* the hash stands at the end of the line, before two characters */
    sought->found =
        line.len > len + 2 && memcmp(line.ptr + line.len - 2 - len, sought->hash, len) == 0;
    return !sought->found;
}

static void print_report(const struct ctl *ctl, const struct ledger_report *report, bool whole)
{
    if (ctl->json) {
        printf("{\"ok\": %s, \"files\": %u, \"acts\": %" PRIu64 ", \"first\": %" PRIu64
               ", \"last\": %" PRIu64 ", \"hash\": \"%s\", \"fragments\": %" PRIu64
               ", \"faults\": %" PRIu64 "}\n",
               whole ? "true" : "false", report->files, report->lines, report->first,
               report->head.sequence, report->head.hash, report->fragments, report->faults);
        return;
    }
    printf("acts   %" PRIu64 ", lines %" PRIu64 "..%" PRIu64 " in %u files\n", report->lines,
           report->first, report->head.sequence, report->files);
    if (report->fragments > 0)
        printf("pieces %" PRIu64 " of lines, as a crash or a full disk leaves them\n",
               report->fragments);
    printf("hash   %s\n", report->head.hash);
}

static int verify(const struct ctl *ctl, const char *data_dir, const char *expected)
{
    char dir[FILE_PATH_BYTES];
    struct ledger_report report = {0};
    struct sought sought = {.hash = expected, .found = expected == NULL};
    struct err err = {.text = ""};
    if (expected != NULL && strlen(expected) != SHA256_HEX_BYTES - 1)
        return ctl_usage("audit", "--expect: expected the 64 hex digits of a line's hash");
    enum err_code rc = file_join(data_dir, CTL_AUDIT_DIR, dir, sizeof dir, &err);
    if (rc == ERR_OK)
        rc = ledger_verify(dir, tell_fault, NULL, &report, &err);
    if (rc == ERR_OK && expected != NULL)
        rc = ledger_read(dir, 1, seek, &sought, &err);
    if (rc != ERR_OK) {
        if (ctl->json)
            ctl_json_error("failed", err.text);
        return ctl_fail("audit", "%s", err.text);
    }
    bool whole = report.faults == 0 && sought.found;
    print_report(ctl, &report, whole);
    if (!sought.found)
        ctl_warn("audit",
                 "no line has the hash %s: the end of the log was cut off or forged, or the line "
                 "is older than what is kept",
                 expected);
    return whole ? EXIT_FINE : EXIT_FAILED;
}

int command_audit(struct ctl *ctl, int argc, char **argv)
{
    const char *since = NULL, *expected = NULL;
    const struct arg args[] = {{"since", 0, ARG_TEXT, &since, 0, 0},
                               {"expect", 0, ARG_TEXT, &expected, 0, 0}};
    int count = args_parse_count(ctl, argc, argv, args, 2, 0, 2, "nothing, or verify DATA_DIR");
    if (count < 0)
        return EXIT_USAGE;
    if (count > 0 && strcmp(argv[1], "verify") != 0)
        return ctl_usage("audit", "expected nothing or verify, got '%s'", argv[1]);
    if (count == 1)
        return ctl_usage("audit", "verify: DATA_DIR is missing");
    if (count == 0 && expected != NULL)
        return ctl_usage("audit", "--expect is for verify");
    if (count == 2 && since != NULL)
        return ctl_usage("audit", "--since is for the list, not for verify");
    return count == 2 ? verify(ctl, argv[2], expected) : list(ctl, since);
}
