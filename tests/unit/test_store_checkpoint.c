/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: written while events are applied, interrupted at every write, damaged at any byte;
 * the state after a start is always the state before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/rand.h"
#include "base/rcu.h"
#include "featurestore/store.h"
#include "tests/support/disk_fault.h"
#include "tests/support/durable_rig.h"

#define NOW_MS  DURABLE_RIG_NOW_MS
#define DAY_MS  INT64_C(86400000)
#define WAIT_NS UINT64_C(60000000000)

static struct durable_rig rig;
static struct rand rng;

static const char features[] =
    "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"},"
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 4},"
    "\"item.heat\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1d\"},"
    "\"item.price_now\": {\"kind\": \"attribute\", \"column\": \"price\"},"
    "\"brand.people\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"user\"},"
    "\"query.views\": {\"kind\": \"count\", \"events\": [\"view\"]},"
    "\"query_item.since\": {\"kind\": \"since\", \"events\": [\"view\"]},"
    "\"user_category.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": "
    "\"30d\"}";

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 5000,
                                        .people_max = 20000,
                                        .history_items_max = 30,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 1000,
                                        .prices_max = 8,
                                        .link_anons_max = 4,
                                        .link_users_max = 8,
                                        .feature_rows_max = 100000};
    rand_init(&rng, 3);
    durable_rig_create(&rig, &limits);
    durable_rig_open(&rig, features);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    durable_rig_destroy(&rig);
    return 0;
}

static void restart(struct store_recovery *ret_recovery)
{
    durable_rig_close(&rig);
    durable_rig_open(&rig, features);
    durable_rig_recover(&rig, ret_recovery);
}

static unsigned below(uint32_t bound)
{
    return (unsigned)rand_below(&rng, bound);
}

static void add_random(uint32_t count, uint32_t people)
{
    static const char *const types[] = {"view", "cart_add", "purchase"};
    for (uint32_t i = 0; i < count; i++) {
        char json[400];
        unsigned user = below(people);
        if (below(8) == 0)
            snprintf(json, sizeof json,
                     "{\"type\":\"item_upsert\",\"currency\":\"EUR\",\"items\":[{\"id\":\"i%u\","
                     "\"price\":%u,\"category\":\"c%u\",\"brand\":\"b%u\",\"title\":\"t%u\","
                     "\"attributes\":{\"color\":\"x%u\"}}]}",
                     below(1000), below(9999), below(7), below(9), below(1000), below(5));
        else if (below(10) == 0)
            snprintf(json, sizeof json,
                     "{\"type\":\"identify\",\"user\":\"p%u\",\"anon\":\"p%u\",\"undo\":%s}", user,
                     (user + below(3)) % people, below(5) == 0 ? "true" : "false");
        else
            snprintf(json, sizeof json,
                     "{\"type\":\"%s\",\"%s\":\"p%u\",\"query\":\"q%u\",\"ts\":%lld,\"items\":"
                     "[{\"id\":\"i%u\"},{\"id\":\"i%u\"}]}",
                     types[below(3)], user % 3 == 0 ? "anon" : "user", user, below(50),
                     (long long)(NOW_MS - below(20) * DAY_MS - below(86400000)), below(1000),
                     below(1000));
        events_add_json(&rig.events, json);
    }
}

static void fill(uint32_t batches, uint32_t people)
{
    for (uint32_t i = 0; i < batches; i++) {
        add_random(1000, people);
        durable_rig_submit(&rig);
    }
}

/* Nothing of what was submitted waits for its commit any more. */
static void settle(void)
{
    struct event_log_stats stats;
    (void)durable_rig_hash(&rig);
    do {
        sched_yield();
        event_log_stats(store_log(rig.store), &stats);
    } while (stats.gathered > 0);
}

/* Until that many were written, or one failed. */
static struct store_checkpoint_stats wait_for_checkpoint(uint64_t written)
{
    struct store_checkpoint_stats stats;
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    do {
        sched_yield();
        store_checkpoint_stats(rig.store, &stats);
    } while (stats.written < written && stats.failures == 0 &&
             clock_now_ns(clock_system()) < end_ns);
    return stats;
}

static uint32_t file_count(const char *path)
{
    uint32_t count = 0;
    DIR *stream = opendir(path);
    for (struct dirent *entry; stream != NULL && (entry = readdir(stream)) != NULL;)
        count += entry->d_name[0] != '.';
    if (stream != NULL)
        closedir(stream);
    return count;
}

/* Of what readers see through links, which the hash of the state does not cover. */
static uint64_t views(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 300; i++) {
        char id[16];
        struct history history;
        snprintf(id, sizeof id, "p%u", i);
        rcu_read_begin();
        (void)store_history(rig.store, text_of(id), (struct text){0}, &history);
        sum = sum * 31 + history.events;
        for (uint32_t e = 0; e < history.count; e++)
            sum = sum * 31 + history.last_s[e] + history.classes[e] % 16 + history.days[e];
        rcu_read_end();
    }
    return sum;
}

static void check_restart(uint64_t want_checkpoint)
{
    struct store_recovery recovery;
    uint64_t before = durable_rig_hash(&rig), sequence = durable_rig_sequence(&rig), seen = views();
    restart(&recovery);
    if (recovery.state != STORE_RECOVERED)
        fail_msg("%s", rig.err.text);
    assert_int_equal(recovery.checkpoint_sequence, want_checkpoint);
    assert_int_equal(durable_rig_sequence(&rig), sequence);
    assert_true(durable_rig_hash(&rig) == before);
    assert_true(views() == seen);
}

static void test_start_from_a_checkpoint(void **state)
{
    (void)state;
    check_restart(0);
    fill(3, 300);
    uint64_t at = durable_rig_sequence(&rig);
    assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
    struct store_checkpoint_stats stats = wait_for_checkpoint(1);
    assert_int_equal(stats.written, 1);
    assert_int_equal(stats.sequence, at);
    check_restart(at); /* nothing behind it */
    fill(2, 300);
    check_restart(at);
    for (int i = 0; i < 3; i++) { /* the older one goes when there are two */
        fill(1, 400);
        at = durable_rig_sequence(&rig);
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        assert_int_equal(wait_for_checkpoint((uint64_t)i + 1).written, i + 1);
        assert_int_equal(file_count(rig.checkpoint_dir), 2);
    }
    check_restart(at);
    fill(1, 500);
    check_restart(at);
}

/* Rows change before, at and after their turn. */
static void test_events_while_it_is_written(void **state)
{
    (void)state;
    fill(20, 8000);
    for (uint64_t round = 1; round <= 3; round++) {
        uint64_t at = durable_rig_sequence(&rig);
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        struct store_checkpoint_stats stats;
        uint32_t batches = 0;
        do {
            add_random(100, 8000);
            durable_rig_submit(&rig);
            batches++;
            store_checkpoint_stats(rig.store, &stats);
        } while (stats.written < round && stats.failures == 0 && batches < 5000);
        assert_int_equal(stats.written, round);
        assert_int_equal(stats.sequence, at);
        assert_true(batches > 1);
    }
    uint64_t last = 0;
    struct store_checkpoint_stats stats;
    store_checkpoint_stats(rig.store, &stats);
    last = stats.sequence;
    check_restart(last);
}

static void test_it_comes_by_itself(void **state)
{
    (void)state;
    struct store_recovery recovery;
    rig.checkpoints.events = 2500;
    restart(&recovery);
    fill(5, 100);
    assert_true(wait_for_checkpoint(1).written >= 1);
    rig.checkpoints.events = UINT64_MAX;
    rig.checkpoints.interval_ms = 1000;
    restart(&recovery);
    fill(1, 100);
    (void)durable_rig_hash(&rig);
    clock_manual_advance_ns(&rig.clock, UINT64_C(2000000000));
    fill(1, 100);
    assert_int_equal(wait_for_checkpoint(1).written, 1);
}

static void test_interrupted_at_every_write(void **state)
{
    (void)state;
    fill(2, 1000);
    settle();
    uint64_t before = durable_rig_hash(&rig), at = durable_rig_sequence(&rig), failures = 0;
    for (uint32_t n = 0;; n++) {
        disk_fault_after(DISK_FAULT_WRITE, n, ENOSPC);
        enum err_code rc = store_checkpoint(rig.store, &rig.err);
        struct store_checkpoint_stats stats = {0};
        if (rc == ERR_OK)
            stats = wait_for_checkpoint(1);
        disk_fault_off();
        if (stats.written == 1)
            break;
        failures++;
        assert_true(rc == ERR_DISK_FULL || stats.failures > 0);
        assert_int_equal(store_durability(rig.store, NULL), STORE_ON_DISK);
        struct store_recovery recovery;
        restart(&recovery);
        if (recovery.state != STORE_RECOVERED)
            fail_msg("write %u: %s", n, rig.err.text);
        assert_int_equal(recovery.checkpoint_sequence, 0);
        assert_int_equal(file_count(rig.checkpoint_dir), 0); /* no piece stays behind */
        assert_true(durable_rig_hash(&rig) == before);
        assert_true(n < 100);
    }
    assert_true(failures > 3);
    check_restart(at);
}

static void newest_file(char *path, size_t path_bytes)
{
    char best[256] = "";
    DIR *stream = opendir(rig.checkpoint_dir);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (entry->d_name[0] != '.' && strcmp(entry->d_name, best) > 0)
            snprintf(best, sizeof best, "%s", entry->d_name);
    closedir(stream);
    snprintf(path, path_bytes, "%s/%s", rig.checkpoint_dir, best);
}

static void flip(const char *path, off_t at)
{
    uint8_t byte = 0;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void test_a_damaged_one_is_not_used(void **state)
{
    (void)state;
    struct stat info;
    char path[4096];
    uint64_t sequence[2];
    for (int i = 0; i < 2; i++) {
        fill(2, 200);
        sequence[i] = durable_rig_sequence(&rig);
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        assert_int_equal(wait_for_checkpoint((uint64_t)i + 1).written, i + 1);
    }
    fill(1, 200);
    newest_file(path, sizeof path);
    assert_int_equal(stat(path, &info), 0);
    for (int i = 0; i < 20; i++) {
        off_t at = i < 12 ? i * 4 : (off_t)rand_below(&rng, (uint64_t)info.st_size);
        flip(path, at);
        check_restart(sequence[0]); /* the older one serves */
        flip(path, at);
    }
    check_restart(sequence[1]);
    assert_int_equal(truncate(path, info.st_size - 1), 0);
    check_restart(sequence[0]);
    assert_int_equal(truncate(path, 0), 0);
    check_restart(sequence[0]);
    assert_int_equal(unlink(path), 0);
    check_restart(sequence[0]);
    newest_file(path, sizeof path);
    flip(path, 40);
    check_restart(0); /* all of the log is there */
}

static void test_the_log_is_pruned_behind_it(void **state)
{
    (void)state;
    struct event_log_stats stats;
    struct store_recovery recovery;
    char path[4096];
    rig.log.retain_ms = DAY_MS;
    rig.limits.dedup_events_max = 500;
    restart(&recovery);
    for (int i = 0; i < 4; i++) {
        fill(3, 300);
        (void)durable_rig_hash(&rig);
        assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
        assert_int_equal(wait_for_checkpoint((uint64_t)i + 1).written, i + 1);
        clock_manual_advance_ns(&rig.clock, (uint64_t)DAY_MS * 2000000);
    }
    fill(6, 300);
    (void)durable_rig_hash(&rig);
    event_log_stats(store_log(rig.store), &stats);
    assert_true(stats.first_sequence > 3000);
    assert_true(stats.first_sequence <= 9000 + 1); /* the older of two covers 9,000 */
    check_restart(12000);
    /* Without them the beginning is lost, and the daemon says so instead of serving less. */
    durable_rig_close(&rig);
    for (int i = 0; i < 2; i++) {
        newest_file(path, sizeof path);
        assert_int_equal(unlink(path), 0);
    }
    durable_rig_open(&rig, features);
    restart(&recovery);
    assert_int_equal(recovery.state, STORE_RECOVERY_FAILED);
    assert_non_null(strstr(rig.err.text, "begins at record"));
}

static void test_lowered_limits(void **state)
{
    (void)state;
    struct store_recovery recovery;
    fill(2, 400);
    (void)durable_rig_hash(&rig);
    assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
    assert_int_equal(wait_for_checkpoint(1).written, 1);
    rig.limits.history_items_max = 2; /* the newest stay */
    restart(&recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    rig.limits.people_max = 100;
    restart(&recovery);
    assert_int_equal(recovery.state, STORE_RECOVERY_FAILED);
    assert_non_null(strstr(rig.err.text, "people_max"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_start_from_a_checkpoint),
        T(test_events_while_it_is_written),
        T(test_it_comes_by_itself),
        T(test_interrupted_at_every_write),
        T(test_a_damaged_one_is_not_used),
        T(test_the_log_is_pruned_behind_it),
        T(test_lowered_limits),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
