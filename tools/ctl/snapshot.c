/* SPDX-License-Identifier: Apache-2.0 */
/* snapshot, verify, restore: a copy of what a daemon knows, and what becomes of it. */
#include "featurestore/snapshot.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/ledger.h"
#include "tools/ctl/args.h"

#define SNAPSHOT_TIMEOUT_US UINT64_C(3600000000) /* at least: it copies everything */

/* Paths of the caller count from where the caller is. */
static bool make_absolute(const char *path, char buf[FILE_PATH_BYTES])
{
    char here[FILE_PATH_BYTES];
    if (path[0] == '/')
        return snprintf(buf, FILE_PATH_BYTES, "%s", path) < FILE_PATH_BYTES;
    return getcwd(here, sizeof here) != NULL &&
           snprintf(buf, FILE_PATH_BYTES, "%.2000s/%.2000s", here, path) < FILE_PATH_BYTES;
}

int command_snapshot(struct ctl *ctl, int argc, char **argv)
{
    struct decide_reply *reply = NULL;
    uint8_t bytes[FILE_PATH_BYTES + 64];
    struct pack body = pack_into(bytes, sizeof bytes);
    char dir[FILE_PATH_BYTES];
    if (args_parse_count(ctl, argc, argv, NULL, 0, 1, 1, "DIR") < 0)
        return EXIT_USAGE;
    if (!make_absolute(argv[1], dir))
        return ctl_usage("snapshot", "'%.200s' is too long", argv[1]);
    pack_map(&body, 1);
    pack_key(&body, "dir");
    pack_str(&body, dir);
    int code = ctl_call_patiently(ctl, "snapshot", &body, SNAPSHOT_TIMEOUT_US, &reply);
    if (reply == NULL)
        return code;
    if (ctl->json)
        code = ctl_print_json(reply);
    else
        printf("%s\n", dir);
    decide_reply_free(reply);
    return code;
}

static void tell_damage(void *ctx, const struct err *err)
{
    (void)ctx;
    ctl_warn("verify", "%s", err->text); /* the others are looked at, too */
}

static void print_report(const struct ctl *ctl, const struct snapshot_report *report)
{
    if (ctl->json) {
        printf("{\"ok\": %s, \"first_sequence\": %" PRIu64 ", \"last_sequence\": %" PRIu64
               ", \"events\": %" PRIu64 ", \"checkpoints\": %u, \"damaged_checkpoints\": %u, "
               "\"checkpoint_sequence\": %" PRIu64 ", \"rows\": %" PRIu64 "}\n",
               report->is_whole && report->damaged_checkpoints == 0 ? "true" : "false",
               report->first_sequence, report->last_sequence, report->events, report->checkpoints,
               report->damaged_checkpoints, report->checkpoint_sequence, report->rows);
        return;
    }
    printf("events       %" PRIu64 ", records %" PRIu64 "..%" PRIu64 "\n", report->events,
           report->first_sequence, report->last_sequence);
    printf("checkpoints  %u, of which %u damaged; %" PRIu64 " rows\n", report->checkpoints,
           report->damaged_checkpoints, report->rows);
    if (report->checkpoint_sequence > 0)
        printf("a start loads the one up to record %" PRIu64 " and replays the rest\n",
               report->checkpoint_sequence);
}

int command_verify(struct ctl *ctl, int argc, char **argv)
{
    struct snapshot_report report;
    struct err err = {.text = ""};
    if (args_parse_count(ctl, argc, argv, NULL, 0, 1, 1, "DIR") < 0)
        return EXIT_USAGE;
    enum err_code rc = snapshot_verify(argv[1], tell_damage, NULL, &report, &err);
    if (rc != ERR_OK) {
        if (ctl->json)
            ctl_json_error("corrupt", err.text);
        return ctl_fail("verify", "%s", err.text);
    }
    print_report(ctl, &report);
    if (!report.is_whole)
        ctl_warn("verify",
                 "the log begins at record %" PRIu64 ", and no checkpoint covers what is before",
                 report.first_sequence);
    return report.is_whole && report.damaged_checkpoints == 0 ? EXIT_FINE : EXIT_FAILED;
}

/* The daemon is stopped, so that nobody else writes it down. */
static void record(const char *dir, const char *data_dir, enum err_code outcome,
                   const struct err *why)
{
    char audit_dir[FILE_PATH_BYTES], peer[32];
    struct ledger *ledger = NULL;
    struct ledger_head head;
    struct err err = {.text = ""};
    bool tampered = false, failed = outcome != ERR_OK;
    const struct ledger_options options = {
        .dir = audit_dir, .bytes_max = UINT64_MAX, .clock = clock_system()};
    snprintf(peer, sizeof peer, "decidectl uid %ld", (long)getuid());
    const struct log_field fields[] = {
        LOG_STR("act", "restore"), LOG_STR("outcome", failed ? "failed" : "ok"),
        LOG_STR("peer", peer),     LOG_BOOL("token", false),
        LOG_STR("snapshot", dir),  LOG_STR("error", failed ? why->text : ""),
    };
    enum err_code rc = file_join(data_dir, CTL_AUDIT_DIR, audit_dir, sizeof audit_dir, &err);
    if (rc == ERR_OK)
        rc = ledger_create(&options, &ledger, &err);
    if (rc == ERR_OK)
        rc =
            ledger_append(ledger, fields, sizeof fields / sizeof fields[0], &head, &tampered, &err);
    ledger_destroy(&ledger);
    if (rc != ERR_OK)
        ctl_warn("restore", "it is not in the audit log: %s", err.text);
}

static int restore(const char *dir, const char *data_dir)
{
    struct snapshot_report report;
    struct err err = {.text = ""};
    char before[SNAPSHOT_NAME_BYTES] = "";
    int lock_fd = -1;
    enum err_code rc = snapshot_verify(dir, tell_damage, NULL, &report, &err);
    if (rc == ERR_OK && (!report.is_whole || report.damaged_checkpoints > 0))
        rc = err_set(&err, ERR_CORRUPT, "%.200s is not whole, see `decidectl verify`", dir);
    if (rc == ERR_OK)
        rc = file_make_dir(data_dir, &err);
    if (rc == ERR_OK)
        rc = file_lock_dir(data_dir, "lock", &lock_fd, &err);
    if (rc == ERR_OK) {
        rc = snapshot_restore(dir, data_dir, clock_wall_ms(clock_system()), before, &err);
        record(dir, data_dir, rc, &err);
    }
    if (lock_fd >= 0)
        close(lock_fd);
    if (before[0] != '\0')
        printf("what was there before is in %s/%s\n", data_dir, before);
    if (rc != ERR_OK)
        return ctl_fail("restore", "%s", err.text);
    printf("%" PRIu64 " events up to record %" PRIu64 " are in %s\n", report.events,
           report.last_sequence, data_dir);
    return EXIT_FINE;
}

int command_restore(struct ctl *ctl, int argc, char **argv)
{
    if (args_parse_count(ctl, argc, argv, NULL, 0, 2, 2, "SNAPSHOT DATA_DIR") < 0)
        return EXIT_USAGE;
    return restore(argv[1], argv[2]);
}
