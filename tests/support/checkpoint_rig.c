/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/checkpoint_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <sched.h>
#include <stdio.h>

#include "base/rcu.h"
#include "tests/support/disk_fault.h"

#define NOW_MS  DURABLE_RIG_NOW_MS
#define WAIT_NS UINT64_C(60000000000)

struct durable_rig checkpoint_rig;
struct rand checkpoint_rig_rand;

const char checkpoint_rig_features[] =
    "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"},"
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 4},"
    "\"item.heat\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1d\"},"
    "\"item.price_now\": {\"kind\": \"attribute\", \"column\": \"price\"},"
    "\"brand.people\": {\"kind\": \"distinct\", \"events\": [\"view\"], \"value\": \"user\"},"
    "\"query.views\": {\"kind\": \"count\", \"events\": [\"view\"]},"
    "\"query_item.since\": {\"kind\": \"since\", \"events\": [\"view\"]},"
    "\"user_category.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": "
    "\"30d\"}";

int checkpoint_rig_set_up(void **state)
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
    rand_init(&checkpoint_rig_rand, 3);
    durable_rig_create(&checkpoint_rig, &limits);
    durable_rig_open(&checkpoint_rig, checkpoint_rig_features);
    return 0;
}

int checkpoint_rig_tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    durable_rig_destroy(&checkpoint_rig);
    return 0;
}

void checkpoint_rig_restart(struct store_recovery *ret_recovery)
{
    durable_rig_close(&checkpoint_rig);
    durable_rig_open(&checkpoint_rig, checkpoint_rig_features);
    durable_rig_recover(&checkpoint_rig, ret_recovery);
}

static unsigned checkpoint_rig_below(uint32_t bound)
{
    return (unsigned)rand_below(&checkpoint_rig_rand, bound);
}

void checkpoint_rig_add(uint32_t count, uint32_t people)
{
    static const char *const types[] = {"view", "cart_add", "purchase"};
    for (uint32_t i = 0; i < count; i++) {
        char json[400];
        unsigned user = checkpoint_rig_below(people);
        if (checkpoint_rig_below(8) == 0)
            snprintf(json, sizeof json,
                     "{\"type\":\"item_upsert\",\"currency\":\"EUR\",\"items\":[{\"id\":\"i%u\","
                     "\"price\":%u,\"category\":\"c%u\",\"brand\":\"b%u\",\"title\":\"t%u\","
                     "\"attributes\":{\"color\":\"x%u\"}}]}",
                     checkpoint_rig_below(1000), checkpoint_rig_below(9999),
                     checkpoint_rig_below(7), checkpoint_rig_below(9), checkpoint_rig_below(1000),
                     checkpoint_rig_below(5));
        else if (checkpoint_rig_below(10) == 0)
            snprintf(json, sizeof json,
                     "{\"type\":\"identify\",\"user\":\"p%u\",\"anon\":\"p%u\",\"undo\":%s}", user,
                     (user + checkpoint_rig_below(3)) % people,
                     checkpoint_rig_below(5) == 0 ? "true" : "false");
        else
            snprintf(json, sizeof json,
                     "{\"type\":\"%s\",\"%s\":\"p%u\",\"query\":\"q%u\",\"ts\":%lld,\"items\":"
                     "[{\"id\":\"i%u\"},{\"id\":\"i%u\"}]}",
                     types[checkpoint_rig_below(3)], user % 3 == 0 ? "anon" : "user", user,
                     checkpoint_rig_below(50),
                     (long long)(NOW_MS - checkpoint_rig_below(20) * DAY_MS -
                                 checkpoint_rig_below(86400000)),
                     checkpoint_rig_below(1000), checkpoint_rig_below(1000));
        events_add_json(&checkpoint_rig.events, json);
    }
}

void checkpoint_rig_fill(uint32_t batches, uint32_t people)
{
    for (uint32_t i = 0; i < batches; i++) {
        checkpoint_rig_add(1000, people);
        durable_rig_submit(&checkpoint_rig);
    }
}

struct store_checkpoint_stats checkpoint_rig_wait(uint64_t written)
{
    struct store_checkpoint_stats stats;
    uint64_t end_ns = clock_now_ns(clock_system()) + WAIT_NS;
    do {
        sched_yield();
        store_checkpoint_stats(checkpoint_rig.store, &stats);
    } while (stats.written < written && stats.failures == 0 &&
             clock_now_ns(clock_system()) < end_ns);
    return stats;
}

uint32_t checkpoint_rig_files(const char *path)
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
static uint64_t checkpoint_rig_views(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < 300; i++) {
        char id[16];
        struct history history;
        snprintf(id, sizeof id, "p%u", i);
        rcu_read_begin();
        (void)store_history(checkpoint_rig.store, text_of(id), (struct text){0}, &history);
        sum = sum * 31 + history.events;
        for (uint32_t e = 0; e < history.count; e++)
            sum = sum * 31 + history.last_s[e] + history.classes[e] % 16 + history.days[e];
        rcu_read_end();
    }
    return sum;
}

void checkpoint_rig_check(uint64_t want_checkpoint)
{
    struct store_recovery recovery;
    uint64_t before = durable_rig_hash(&checkpoint_rig),
             sequence = durable_rig_sequence(&checkpoint_rig), seen = checkpoint_rig_views();
    checkpoint_rig_restart(&recovery);
    if (recovery.state != STORE_RECOVERED)
        fail_msg("%s", checkpoint_rig.err.text);
    assert_int_equal(recovery.checkpoint_sequence, want_checkpoint);
    assert_int_equal(durable_rig_sequence(&checkpoint_rig), sequence);
    assert_true(durable_rig_hash(&checkpoint_rig) == before);
    assert_true(checkpoint_rig_views() == seen);
}
