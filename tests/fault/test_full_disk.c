/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon whose event log is full, and one whose disk is: decisions go on, events are refused,
 * and when there is room again it goes on by itself, with all that it ever acknowledged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/daemon_client.h"

enum { BATCH = 100, PAD_BYTES = 2000, USERS = 10, BATCHES_MAX = 500, JSON_BYTES = 512 * 1024 };
enum { WAIT_S = 60, ROOM_BYTES = 4 << 20, AUDIT_LINES_A_PAGE = 32 };

struct shop {
    struct daemon daemon;
    uint32_t acknowledged; /* batches, which are sent one by one until they are */
};

/* The batch that comes next; the code of the refusal, or "" when all of it is on disk. */
static void send_batch(struct shop *shop, char code[64])
{
    static char json[JSON_BYTES];
    size_t used = (size_t)snprintf(json, sizeof json, "{\"events\": [");
    for (uint32_t i = 0; i < BATCH; i++)
        used += (size_t)snprintf(json + used, sizeof json - used,
                                 "%s{\"id\": \"e%u-%u\", \"type\": \"view\", \"user\": \"u%u\", "
                                 "\"items\": [{\"id\": \"i%u\"}], \"props\": {\"pad\": \"%*s\"}}",
                                 i > 0 ? ", " : "", shop->acknowledged, i, i % USERS, i, PAD_BYTES,
                                 "x");
    snprintf(json + used, sizeof json - used, "]}");
    cJSON *reply = daemon_ask_nng(&shop->daemon, "events", json);
    snprintf(code, 64, "%s", reply_error_text(reply, "code"));
    if (reply_ok(reply)) {
        double taken = cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "accepted")) +
                       cJSON_GetNumberValue(cJSON_GetObjectItem(reply, "duplicate"));
        if (taken != BATCH)
            fail_msg("%s", cJSON_PrintUnformatted(reply));
        shop->acknowledged++;
    }
    cJSON_Delete(reply);
}

static void send_until_refused(struct shop *shop)
{
    char code[64] = "";
    while (code[0] == '\0' && shop->acknowledged < BATCHES_MAX)
        send_batch(shop, code);
    assert_string_equal(code, "disk_full");
    assert_true(shop->acknowledged > 2);
}

static void send_until_taken(struct shop *shop)
{
    char code[64] = "disk_full";
    time_t end = time(NULL) + WAIT_S;
    while (strcmp(code, "disk_full") == 0 && time(NULL) < end)
        send_batch(shop, code);
    assert_string_equal(code, "");
}

static void status_says(struct shop *shop, const char *key, const char *wanted)
{
    cJSON *reply = daemon_ask_nng(&shop->daemon, "status", "{}");
    assert_string_equal(reply_text(reply, key), wanted);
    cJSON_Delete(reply);
}

static void serves_decisions(struct shop *shop)
{
    char page[4096];
    cJSON *reply = daemon_ask_nng(&shop->daemon, "recommend", "{\"user\": \"u1\", \"n\": 5}");
    assert_true(reply_ok(reply));
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(reply, "items")) > 0);
    cJSON_Delete(reply);
    assert_int_equal(daemon_get(&shop->daemon, "/readyz?verbose", page, sizeof page), 200);
    assert_non_null(strstr(page, "[!]event_log degraded: disk_full, events are refused: "));
}

/* Each event of a batch that was acknowledged counts once. */
static void knows_all(struct shop *shop)
{
    double events = 0;
    for (uint32_t i = 0; i < USERS; i++) {
        char json[64];
        snprintf(json, sizeof json, "{\"user\": \"u%u\", \"names\": [\"user.events\"]}", i);
        cJSON *reply = daemon_ask_nng(&shop->daemon, "features", json);
        const cJSON *features = cJSON_GetObjectItem(reply, "features");
        events += cJSON_GetNumberValue(cJSON_GetObjectItem(features, "user.events"));
        cJSON_Delete(reply);
    }
    if (events != (double)shop->acknowledged * BATCH)
        fail_msg("%.0f events are known of %u", events, shop->acknowledged * BATCH);
}

/* As a crash leaves it. */
static void kill_and_restart(struct shop *shop)
{
    daemon_signal(&shop->daemon, SIGKILL);
    daemon_wait(&shop->daemon);
    daemon_restart(&shop->daemon);
}

/* Nothing may be pruned without checkpoints, and none can be written where there is a file. */
static void stop_checkpoints(struct shop *shop)
{
    char dir[2 * TEMP_DIR_BYTES], away[2 * TEMP_DIR_BYTES];
    temp_dir_path(&shop->daemon.dir, "state/checkpoints", dir);
    assert_int_equal(rename(dir, temp_dir_path(&shop->daemon.dir, "state/away", away)), 0);
    temp_dir_write_text(&shop->daemon.dir, "state/checkpoints", "no directory");
}

static void let_checkpoints(struct shop *shop)
{
    char dir[2 * TEMP_DIR_BYTES], away[2 * TEMP_DIR_BYTES];
    assert_int_equal(unlink(temp_dir_path(&shop->daemon.dir, "state/checkpoints", dir)), 0);
    assert_int_equal(rename(temp_dir_path(&shop->daemon.dir, "state/away", away), dir), 0);
}

static void test_a_full_log_goes_on_once_it_may_be_pruned(void **state)
{
    struct shop shop = {.acknowledged = 0};
    char code[64] = "";
    (void)state;
    daemon_start(&shop.daemon, "\"event_log_bytes_max\": 16777216");
    for (int round = 0; round < 2; round++) {
        stop_checkpoints(&shop);
        send_until_refused(&shop);
        status_says(&shop, "durability", "disk_full");
        serves_decisions(&shop);
        send_batch(&shop, code);
        assert_string_equal(code, "disk_full");
        let_checkpoints(&shop);
        send_until_taken(&shop);
        status_says(&shop, "durability", "disk");
        knows_all(&shop);
    }
    kill_and_restart(&shop);
    knows_all(&shop);
    daemon_stop(&shop.daemon);
}

/* ---- a small disk ---------------------------------------------------------------------------- */

static bool write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* A place where this process may mount, which nobody else sees; false when the system forbids. */
static bool make_namespace(void)
{
    char map[64];
    unsigned uid = getuid(), gid = getgid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    snprintf(map, sizeof map, "0 %u 1", uid);
    bool mapped =
        write_file("/proc/self/uid_map", map) && write_file("/proc/self/setgroups", "deny");
    snprintf(map, sizeof map, "0 %u 1", gid);
    return mapped && write_file("/proc/self/gid_map", map) &&
           mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* All of the disk but so much. */
static void fill_disk(const char *path, off_t room_bytes)
{
    static char zeros[65536];
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) > 0)
        continue;
    assert_int_equal(errno, ENOSPC);
    off_t len = lseek(fd, 0, SEEK_CUR);
    assert_true(len > room_bytes);
    assert_int_equal(ftruncate(fd, len - room_bytes), 0);
    close(fd);
}

static void drive_disk_full(struct shop *shop, const char *ballast)
{
    fill_disk(ballast, ROOM_BYTES);
    send_until_refused(shop);
    status_says(shop, "durability", "disk_full");
    serves_decisions(shop);
    assert_int_equal(unlink(ballast), 0);
    send_until_taken(shop);
    status_says(shop, "durability", "disk");
    knows_all(shop);
}

/* What lowers a risk works although not a byte can be written. */
static void degrade_on_a_full_disk(struct shop *shop, const char *ballast)
{
    fill_disk(ballast, 0);
    cJSON *reply = daemon_ask_nng(&shop->daemon, "mode", "{\"mode\": \"generic\"}");
    assert_true(reply_ok(reply));
    assert_string_equal(reply_text(reply, "mode"), "generic");
    assert_non_null(strstr(reply_text(reply, "warning"), "No space left"));
    cJSON_Delete(reply);
    /* The page that the audit log ends in has room for a few lines. */
    char code[64] = "";
    for (int i = 0; i < AUDIT_LINES_A_PAGE && code[0] == '\0'; i++) {
        reply = daemon_ask_nng(&shop->daemon, "person", "{\"user\": \"u1\"}");
        snprintf(code, sizeof code, "%s", reply_error_text(reply, "code"));
        cJSON_Delete(reply);
    }
    assert_string_equal(code, "disk_full");
    assert_int_equal(unlink(ballast), 0);
    reply = daemon_ask_nng(&shop->daemon, "person", "{\"user\": \"u1\"}");
    assert_true(reply_ok(reply));
    cJSON_Delete(reply);
}

static void test_a_full_disk_is_over_when_there_is_room(void **state)
{
    struct shop shop = {.acknowledged = 0};
    struct temp_dir mount_point;
    char ballast[2 * TEMP_DIR_BYTES];
    (void)state;
    if (!make_namespace()) {
        print_message("SKIPPED: no tmpfs can be mounted here (unshare: %s)\n", strerror(errno));
        skip();
    }
    temp_dir_create(&mount_point);
    assert_int_equal(mount("tmpfs", mount_point.path, "tmpfs", 0, "size=64m,mode=0700"), 0);
    setenv("TMPDIR", mount_point.path, 1);
    temp_dir_path(&mount_point, "ballast", ballast);
    /* Without a reserve, so that writes fail indeed. */
    daemon_start(&shop.daemon, "\"disk_reserve_bytes\": 0, \"decision_log_bytes_max\": 0");
    drive_disk_full(&shop, ballast);
    kill_and_restart(&shop);
    knows_all(&shop);
    drive_disk_full(&shop, ballast);
    degrade_on_a_full_disk(&shop, ballast);
    daemon_stop(&shop.daemon);
    unsetenv("TMPDIR");
    assert_int_equal(umount2(mount_point.path, MNT_DETACH), 0);
    temp_dir_remove(&mount_point);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_log_goes_on_once_it_may_be_pruned),
        cmocka_unit_test(test_a_full_disk_is_over_when_there_is_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
