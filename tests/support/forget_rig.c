/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/forget_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/file.h"
#include "tests/support/disk_fault.h"
#include "tests/support/file_search.h"

struct durable_rig forget_rig;

const char forget_rig_features[] =
    "\"user.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": \"7d\"},"
    "\"user.seen\": {\"kind\": \"last\", \"events\": [\"view\"], \"value\": \"item\", \"n\": 4},"
    "\"item.heat\": {\"kind\": \"decayed\", \"events\": [\"view\"], \"half_life\": \"1d\"},"
    "\"item.paid\": {\"kind\": \"sum\", \"events\": [\"purchase\"], \"value\": \"amount\"},"
    "\"slot.clicks\": {\"kind\": \"count\", \"events\": [\"click\"]},"
    "\"query.searches\": {\"kind\": \"count\", \"events\": [\"search\"]},"
    "\"query_item.clicks\": {\"kind\": \"count\", \"events\": [\"click\"]},"
    "\"user.tier\": {\"kind\": \"attribute\", \"attribute\": \"tier\"},"
    "\"user_item.views\": {\"kind\": \"count\", \"events\": [\"view\"]},"
    "\"user_category.views\": {\"kind\": \"count\", \"events\": [\"view\"], \"window\": "
    "\"30d\"}";

int forget_rig_set_up(void **state)
{
    (void)state;
    const struct store_limits limits = {.items_max = 5000,
                                        .people_max = 20000,
                                        .history_items_max = 30,
                                        .queue_events_max = 100000,
                                        .dedup_events_max = 100000,
                                        .prices_max = 8,
                                        .link_anons_max = 8,
                                        .link_users_max = 8,
                                        .feature_rows_max = 100000};
    durable_rig_create(&forget_rig, &limits);
    forget_rig.has_ledger = true;
    durable_rig_open(&forget_rig, forget_rig_features);
    return 0;
}

int forget_rig_tear_down(void **state)
{
    (void)state;
    disk_fault_off();
    durable_rig_destroy(&forget_rig);
    return 0;
}

void forget_rig_add(const char *json)
{
    events_add_json(&forget_rig.events, json);
}

/* What was added is on disk. */
void forget_rig_commit(void)
{
    struct event_log_stats stats;
    durable_rig_submit(&forget_rig);
    do {
        durable_rig_hash(&forget_rig);
        event_log_stats(store_log(forget_rig.store), &stats);
    } while (stats.gathered > 0);
    clock_manual_advance_ns(&forget_rig.clock, 1000000000);
}

uint32_t forget_rig_search(const char *text)
{
    return file_search(forget_rig.dir.path, text);
}

void forget_rig_reopen(void)
{
    struct store_recovery recovery;
    durable_rig_close(&forget_rig);
    durable_rig_open(&forget_rig, forget_rig_features);
    durable_rig_recover(&forget_rig, &recovery);
    if (recovery.state != STORE_RECOVERED)
        fail_msg("%s", forget_rig.err.text);
}

/* As it is now, by a replay of the log alone. */
uint64_t forget_rig_hash_of_replay(void)
{
    static struct durable_rig other;
    struct store_recovery recovery;
    durable_rig_create(&other, &forget_rig.limits);
    assert_int_equal(file_make_dir(other.log_dir, &forget_rig.err), ERR_OK);
    assert_int_equal(event_log_copy(store_log(forget_rig.store), other.log_dir, &forget_rig.err),
                     ERR_OK);
    durable_rig_open(&other, forget_rig_features);
    durable_rig_recover(&other, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    assert_int_equal(recovery.refused, 0);
    uint64_t hash = durable_rig_hash(&other);
    durable_rig_destroy(&other);
    return hash;
}

void forget_rig_bob_lives(void)
{
    forget_rig_add("{\"id\":\"b1\",\"type\":\"view\",\"user\":\"" BOB
                   "\",\"items\":[{\"id\":\"shoe\"}],\"consent\":{\"ads\":false}}");
    forget_rig_add("{\"id\":\"b2\",\"type\":\"purchase\",\"user\":\"" BOB
                   "\",\"items\":[{\"id\":\"hat\",\"price\":500}],\"currency\":\"EUR\"}");
}

void forget_rig_alice_lives(void)
{
    forget_rig_add(
        "{\"id\":\"a0\",\"type\":\"item_upsert\",\"items\":[{\"id\":\"shoe\",\"category\":"
        "\"feet\"}]}");
    forget_rig_add("{\"id\":\"secret-a1\",\"type\":\"view\",\"anon\":\"" DEVICE
                   "\",\"items\":[{\"id\":\"shoe\"}],\"session\":\"secret-session\"}");
    forget_rig_add("{\"id\":\"secret-a2\",\"type\":\"identify\",\"user\":\"" ALICE
                   "\",\"anon\":\"" DEVICE "\"}");
    forget_rig_add(
        "{\"id\":\"secret-a3\",\"type\":\"view\",\"user\":\"" ALICE
        "\",\"items\":[{\"id\":\"shoe\",\"note\":\"secret-note\"}],\"query\":\"secret-query\"}");
    forget_rig_add(
        "{\"id\":\"secret-a4\",\"type\":\"purchase\",\"user\":\"" ALICE
        "\",\"order\":\"secret-order\",\"items\":[{\"id\":\"shoe\",\"qty\":2,\"price\":1000}],"
        "\"currency\":\"EUR\",\"props\":{\"p\":\"secret-prop\"}}");
    forget_rig_add("{\"id\":\"secret-a5\",\"type\":\"user_upsert\",\"user\":\"" ALICE
                   "\",\"attributes\":{\"tier\":3,\"name\":\"secret-name\"}}");
    forget_rig_add("{\"id\":\"secret-a6\",\"type\":\"consent\",\"user\":\"" ALICE
                   "\",\"consent\":{\"train\":false}}");
    forget_rig_add(
        "{\"id\":\"secret-a7\",\"type\":\"impression\",\"user\":\"" ALICE
        "\",\"items\":[{\"id\":\"hat\"}],\"list\":\"home\",\"decision\":\"secret-decision\"}");
}

void forget_rig_assert_unknown(const char *user, const char *anon)
{
    struct history history;
    struct store_link link;
    assert_false(store_history(forget_rig.store, text_of(user), text_of(anon), &history));
    assert_false(store_link_at(forget_rig.store, text_of(user), NOBODY, 0, &link));
    assert_false(store_link_at(forget_rig.store, NOBODY, text_of(anon), 0, &link));
    assert_null(store_user_attributes(forget_rig.store, text_of(user)).ptr);
    assert_int_equal(store_consent(forget_rig.store, text_of(user), text_of(anon)), CONSENT_ALL);
    assert_int_equal(idmap_find(forget_rig.store->users.ids, text_of(user)), IDMAP_NONE);
    assert_int_equal(idmap_find(forget_rig.store->anons.ids, text_of(anon)), IDMAP_NONE);
}

uint64_t forget_rig_forget(const char *user, const char *anon)
{
    uint64_t request = 0;
    if (store_forget(forget_rig.store, text_of(user), text_of(anon), &request, &forget_rig.err) !=
        ERR_OK)
        fail_msg("%s", forget_rig.err.text);
    return request;
}
