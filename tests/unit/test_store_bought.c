/* SPDX-License-Identifier: Apache-2.0 */
/* A full history keeps purchases: through links, through checkpoints, and where those are of a
 * version that dropped the oldest entry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/rcu.h"
#include "featurestore/checkpoint.h"
#include "featurestore/checkpoint_internal.h"
#include "tests/support/durable_rig.h"

#define NOW_MS DURABLE_RIG_NOW_MS
#define NOBODY ((struct text){NULL, 0})

enum { LIMIT = 20, OTHERS = 5, MANY = 3000, BATCH = 500 };

static struct durable_rig rig;

static int set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 10000,
                                        .people_max = 100,
                                        .history_items_max = LIMIT,
                                        .queue_events_max = 100000,
                                        .link_anons_max = 4,
                                        .link_users_max = 2,
                                        .dedup_events_max = 100};
    durable_rig_create(&rig, &limits);
    durable_rig_open(&rig, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    durable_rig_destroy(&rig);
    return 0;
}

static void add(const char *type, const char *who, const char *id, unsigned item, int64_t ts_ms)
{
    char json[256];
    snprintf(json, sizeof json,
             "{\"type\":\"%s\",\"%s\":\"%s\",\"ts\":%lld,\"items\":[{\"id\":\"i%u\"}]}", type, who,
             id, (long long)ts_ms, item);
    events_add_json(&rig.events, json);
    if (rig.events.count == BATCH)
        durable_rig_submit(&rig);
}

/* A purchase of i0, then views of others; and somebody who bought as much. */
static void fill(void)
{
    int64_t ts_ms = NOW_MS - 10 * MANY;
    add("purchase", "user", "u", 0, ts_ms++);
    add("purchase", "anon", "a", 9000, ts_ms++);
    for (unsigned i = 1; i < MANY; i++) {
        add("view", "user", "u", i, ts_ms++);
        add(i % 2 == 0 ? "view" : "purchase", "user", "v", i, ts_ms++);
        add("view", "anon", "a", MANY + i, ts_ms++);
    }
    durable_rig_submit(&rig);
    (void)durable_rig_hash(&rig);
}

/* How many of the purchases, and of others, are kept; and whether the item is, as bought. */
struct kept {
    uint32_t purchases, others;
    bool has_item;
};

static struct kept kept_of(const char *user, const char *item)
{
    struct kept kept = {0};
    struct history history;
    rcu_read_begin();
    uint32_t number = store_item_find(rig.store, text_of(item));
    assert_true(store_history(rig.store, text_of(user), NOBODY, &history));
    for (uint32_t i = 0; i < history.count; i++) {
        bool bought = (history.classes[i] & 1u << EVENT_CLASS_PURCHASE) != 0;
        *(bought ? &kept.purchases : &kept.others) += 1;
        kept.has_item = kept.has_item || (bought && history.item[i] == number);
    }
    rcu_read_end();
    return kept;
}

static void assert_kept_of(const char *user, const char *item, uint32_t purchases, uint32_t others)
{
    struct kept kept = kept_of(user, item);
    assert_int_equal(kept.purchases, purchases);
    assert_int_equal(kept.others, others);
    assert_true(kept.has_item);
}

static void restart(enum store_recovery_state expected, struct store_recovery *ret_recovery)
{
    durable_rig_close(&rig);
    durable_rig_open(&rig, NULL);
    durable_rig_recover(&rig, ret_recovery);
    assert_int_equal(ret_recovery->state, expected);
}

static void write_checkpoint(uint64_t written)
{
    struct store_checkpoint_stats stats;
    assert_int_equal(store_checkpoint(rig.store, &rig.err), ERR_OK);
    do {
        sched_yield();
        store_checkpoint_stats(rig.store, &stats);
    } while (stats.written < written && stats.failures == 0);
    assert_int_equal(stats.failures, 0);
}

static void test_links_join_purchases_and_leave_nothing_behind(void **state)
{
    (void)state;
    fill();
    assert_kept_of("u", "i0", 1, LIMIT - 1);
    events_add_json(&rig.events, "{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\"}");
    durable_rig_submit(&rig);
    (void)durable_rig_hash(&rig);
    assert_kept_of("u", "i0", 2, LIMIT - 2);
    assert_kept_of("u", "i9000", 2, LIMIT - 2);
    events_add_json(&rig.events,
                    "{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\",\"undo\":true}");
    durable_rig_submit(&rig);
    (void)durable_rig_hash(&rig);
    struct kept kept = kept_of("u", "i9000");
    assert_true(kept.purchases == 1 && !kept.has_item);
}

static void test_a_start_leads_to_the_same_histories(void **state)
{
    (void)state;
    struct store_recovery recovery;
    fill();
    uint64_t hash = durable_rig_hash(&rig);
    assert_kept_of("u", "i0", 1, LIMIT - 1);
    assert_kept_of("v", "i2999", LIMIT - OTHERS, OTHERS);
    restart(STORE_RECOVERED, &recovery);
    assert_int_equal(durable_rig_hash(&rig), hash);
    write_checkpoint(1);
    restart(STORE_RECOVERED, &recovery);
    assert_true(recovery.checkpoint_sequence > 0);
    assert_int_equal(durable_rig_hash(&rig), hash);
    /* Fewer are kept than the checkpoint has: purchases stay, and what the limit guarantees. */
    rig.limits.history_items_max = 8;
    restart(STORE_RECOVERED, &recovery);
    assert_true(recovery.checkpoint_sequence > 0);
    assert_kept_of("u", "i0", 1, 7);
    assert_kept_of("v", "i2999", 6, 2);
}

/* ---- checkpoints of a version that dropped the oldest ---------------------------------------- */

/* The file says that its state came about by those rules. */
static void set_rules(uint64_t sequence, uint32_t rules)
{
    char path[4096];
    uint8_t header[CHECKPOINT_HEADER_BYTES];
    snprintf(path, sizeof path, "%s/%020llu.checkpoint", rig.checkpoint_dir,
             (unsigned long long)sequence);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fread(header, sizeof header, 1, file), 1);
    assert_true(memcmp(header + 12, &(uint32_t){CHECKPOINT_RULES}, 4) == 0);
    memcpy(header + 12, &rules, sizeof rules);
    uint64_t checksum = hash_bytes(header, 24, CHECKPOINT_SEED);
    memcpy(header + 24, &checksum, sizeof checksum);
    rewind(file);
    assert_int_equal(fwrite(header, sizeof header, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

static void test_one_by_other_rules_is_used_only_where_the_log_is_not_whole(void **state)
{
    (void)state;
    const uint32_t rules[] = {0, CHECKPOINT_RULES + 1};
    struct store_recovery recovery;
    struct event_log_stats stats;
    for (uint32_t i = 0; i < 2; i++) {
        fill();
        uint64_t hash = durable_rig_hash(&rig), sequence = durable_rig_sequence(&rig);
        write_checkpoint(1);
        restart(STORE_RECOVERED, &recovery);
        assert_int_equal(recovery.checkpoint_sequence, sequence);
        set_rules(sequence, rules[i]);
        restart(STORE_RECOVERED, &recovery); /* by the log alone */
        assert_int_equal(recovery.checkpoint_sequence, 0);
        assert_int_equal(durable_rig_hash(&rig), hash);
    }
    /* Two that cover the log, whose beginning is given up. */
    rig.log.retain_ms = 1000;
    clock_manual_advance_ns(&rig.clock, UINT64_C(3600000000000));
    restart(STORE_RECOVERED, &recovery);
    for (uint64_t i = 1; i <= 2; i++) {
        add("view", "user", "w", 1, NOW_MS);
        durable_rig_submit(&rig);
        (void)durable_rig_hash(&rig);
        write_checkpoint(i);
        clock_manual_advance_ns(&rig.clock, UINT64_C(3600000000000));
    }
    do {
        add("view", "user", "w", 1, NOW_MS);
        durable_rig_submit(&rig);
        (void)durable_rig_hash(&rig);
        event_log_stats(store_log(rig.store), &stats);
    } while (stats.first_sequence == 1);
    uint64_t hash = durable_rig_hash(&rig);
    restart(STORE_RECOVERED, &recovery);
    uint64_t sequence = recovery.checkpoint_sequence;
    assert_true(sequence > 0);
    set_rules(sequence, 0);
    restart(STORE_RECOVERED, &recovery);
    assert_int_equal(recovery.checkpoint_sequence, sequence);
    assert_int_equal(durable_rig_hash(&rig), hash);
    assert_kept_of("u", "i0", 1, LIMIT - 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_links_join_purchases_and_leave_nothing_behind),
        TEST(test_a_start_leads_to_the_same_histories),
        TEST(test_one_by_other_rules_is_used_only_where_the_log_is_not_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
