/* SPDX-License-Identifier: Apache-2.0 */
/* Rounds of erasure: over an older log that was put back, over what a crash left, and in any order
 * of things. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rand.h"
#include "featurestore/snapshot.h"
#include "featurestore/store_erase.h"
#include "tests/support/disk_fault.h"
#include "tests/support/forget_rig.h"

static void test_an_older_log_is_erased_again(void **state)
{
    (void)state;
    char snapshot[2 * TEMP_DIR_BYTES], before[SNAPSHOT_NAME_BYTES], path[2 * TEMP_DIR_BYTES];
    struct temp_dir elsewhere;
    struct history history;
    temp_dir_create(&elsewhere);
    temp_dir_path(&elsewhere, "snapshot", snapshot);
    forget_rig_alice_lives();
    forget_rig_add(
        "{\"id\":\"s1\",\"type\":\"search\",\"anon\":\"only-searched\",\"query\":\"q\"}");
    forget_rig_commit();
    assert_int_equal(store_checkpoint(forget_rig.store, &forget_rig.err), ERR_OK);
    struct store_checkpoint_stats stats;
    do
        store_checkpoint_stats(forget_rig.store, &stats);
    while (stats.written == 0);
    assert_int_equal(snapshot_make(forget_rig.store, snapshot, &forget_rig.err), ERR_OK);
    forget_rig_bob_lives();
    forget_rig_commit();
    forget_rig_forget(ALICE, NULL);
    forget_rig_forget(NULL, "only-searched");
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search(ALICE), 0);

    for (int i = 0; i < 2; i++) { /* it may be put back more than once */
        durable_rig_close(&forget_rig);
        assert_int_equal(
            snapshot_restore(snapshot, forget_rig.dir.path, 5 + i, before, &forget_rig.err),
            ERR_OK);
        temp_dir_path(&forget_rig.dir, before, path);
        assert_int_equal(file_remove_tree(path, &forget_rig.err), ERR_OK);
        assert_true(forget_rig_search(ALICE) > 0);
        durable_rig_open(&forget_rig, forget_rig_features);
        struct store_recovery recovery;
        durable_rig_recover(&forget_rig, &recovery);
        assert_int_equal(recovery.state, STORE_RECOVERED);
        forget_rig_assert_unknown(ALICE, DEVICE);
        assert_false(store_history(forget_rig.store, text_of(BOB), NOBODY, &history));
        /* Bob comes again, and Alice, who is somebody new. */
        forget_rig_bob_lives();
        forget_rig_add("{\"type\":\"view\",\"user\":\"" ALICE "\",\"items\":[{\"id\":\"hat\"}]}");
        forget_rig_commit();
        assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
        assert_int_equal(forget_rig_search(DEVICE) + forget_rig_search("secret") +
                             forget_rig_search("only-searched"),
                         0);
        assert_true(forget_rig_search(ALICE) > 0);
        uint64_t hash = durable_rig_hash(&forget_rig);
        assert_true(forget_rig_hash_of_replay() == hash);
        forget_rig_reopen();
        assert_true(durable_rig_hash(&forget_rig) == hash);
        assert_true(store_history(forget_rig.store, text_of(ALICE), NOBODY, &history));
        assert_int_equal(durable_rig_erase(&forget_rig), ERR_NOT_FOUND);
    }
    temp_dir_remove(&elsewhere);
}

static void test_a_request_without_a_ledger_is_found_in_the_log(void **state)
{
    (void)state;
    forget_rig_alice_lives();
    forget_rig_add("{\"id\":\"secret-f\",\"type\":\"forget\",\"user\":\"" ALICE "\"}");
    forget_rig_commit();
    durable_rig_close(&forget_rig);
    assert_int_equal(unlink(forget_rig.ledger_path),
                     0); /* a snapshot on another machine has none */
    durable_rig_open(&forget_rig, forget_rig_features);
    struct store_recovery recovery;
    durable_rig_recover(&forget_rig, &recovery);
    assert_int_equal(recovery.state, STORE_RECOVERED);
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(
        forget_rig_search(ALICE) + forget_rig_search(DEVICE) + forget_rig_search("secret"), 0);
}

static void test_an_interrupted_round_begins_again(void **state)
{
    (void)state;
    forget_rig_alice_lives();
    forget_rig_bob_lives();
    forget_rig_commit();
    assert_int_equal(store_checkpoint(forget_rig.store, &forget_rig.err), ERR_OK);
    forget_rig_forget(ALICE, NULL);
    uint64_t hash = durable_rig_hash(&forget_rig);
    forget_rig_reopen(); /* before it began */
    assert_true(durable_rig_hash(&forget_rig) == hash);
    forget_rig_assert_unknown(ALICE, DEVICE);
    for (int call = DISK_FAULT_WRITE; call <= DISK_FAULT_SYNC; call++) {
        for (uint32_t n = 0; n < 40; n++) {
            disk_fault_after((enum disk_fault_call)call, n, EIO);
            enum err_code rc = durable_rig_erase(&forget_rig);
            disk_fault_off();
            forget_rig_reopen();
            forget_rig_assert_unknown(ALICE, DEVICE);
            if (rc == ERR_OK)
                break;
        }
    }
    enum err_code rc = durable_rig_erase(&forget_rig);
    assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
    assert_int_equal(
        forget_rig_search(ALICE) + forget_rig_search(DEVICE) + forget_rig_search("secret"), 0);
    hash = durable_rig_hash(&forget_rig);
    assert_true(forget_rig_hash_of_replay() == hash);
}

static void test_a_ledger_that_cannot_be_written_stops_the_log(void **state)
{
    (void)state;
    uint64_t request = 0;
    forget_rig_alice_lives();
    forget_rig_commit();
    for (int call = DISK_FAULT_WRITE; call <= DISK_FAULT_SYNC; call++) {
        disk_fault_after((enum disk_fault_call)call, 0, EIO);
        assert_int_equal(
            store_forget(forget_rig.store, text_of(ALICE), NOBODY, &request, &forget_rig.err),
            ERR_IO);
        assert_non_null(strstr(forget_rig.err.text, ERASE_LEDGER_NAME));
        assert_int_equal(store_durability(forget_rig.store, NULL), STORE_LOG_FAILED);
        disk_fault_off();
        durable_rig_close(&forget_rig);
        durable_rig_open(&forget_rig, forget_rig_features);
        struct store_recovery recovery;
        durable_rig_recover(&forget_rig, &recovery);
        assert_int_equal(recovery.state, STORE_RECOVERED);
    }
    disk_fault_after(DISK_FAULT_WRITE, 0, ENOSPC);
    assert_int_equal(
        store_forget(forget_rig.store, text_of(ALICE), NOBODY, &request, &forget_rig.err),
        ERR_DISK_FULL);
    assert_int_equal(store_durability(forget_rig.store, NULL), STORE_DISK_FULL);
    disk_fault_off();
    while (store_durability(forget_rig.store, NULL) != STORE_ON_DISK)
        durable_rig_hash(&forget_rig); /* it is tried again by itself */
    assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
    assert_int_equal(forget_rig_search(ALICE), 0);
}

/* ---- without memory, and without a log ------------------------------------------------------- */

/* ---- anything ------------------------------------------------------------------------------- */

static struct rand rng;

static void add_random(void)
{
    static const char *const types[] = {"view",     "click",      "purchase",
                                        "cart_add", "impression", "dislike"};
    char json[400];
    unsigned user = (unsigned)rand_below(&rng, 6), anon = (unsigned)rand_below(&rng, 6);
    const char *type = types[rand_below(&rng, 6)];
    unsigned item = (unsigned)rand_below(&rng, 9);
    long long ts = NOW_MS - (long long)rand_below(&rng, 40) * 86400000 / 3;
    switch (rand_below(&rng, 8)) {
    case 0:
        snprintf(json, sizeof json,
                 "{\"type\":\"identify\",\"user\":\"person-%u-u\",\"anon\":\"person-%u-a\","
                 "\"undo\":%s}",
                 user, anon, rand_below(&rng, 4) == 0 ? "true" : "false");
        break;
    case 1:
        snprintf(json, sizeof json,
                 "{\"type\":\"user_upsert\",\"user\":\"person-%u-u\",\"attributes\":{\"tier\":%u}}",
                 user, anon);
        break;
    case 2:
        snprintf(json, sizeof json,
                 "{\"type\":\"consent\",\"user\":\"person-%u-u\",\"anon\":\"person-%u-a\","
                 "\"consent\":{\"ads\":false},\"ts\":%lld}",
                 user, anon, ts);
        break;
    case 3:
        snprintf(json, sizeof json,
                 "{\"type\":\"%s\",\"anon\":\"person-%u-a\",\"ts\":%lld,\"items\":[{\"id\":\"i%u\","
                 "\"price\":%u}],\"list\":\"home\"}",
                 type, anon, ts, item, item * 7);
        break;
    default:
        snprintf(json, sizeof json,
                 "{\"type\":\"%s\",\"user\":\"person-%u-u\",\"anon\":\"person-%u-a\",\"ts\":%lld,"
                 "\"items\":[{\"id\":\"i%u\"},{\"id\":\"i%u\",\"qty\":2}]}",
                 type, user, anon, ts, item, (item + 1) % 9);
        break;
    }
    forget_rig_add(json);
}

static void test_any_order_of_things(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        char who[64];
        forget_rig_tear_down(NULL);
        forget_rig_set_up(NULL);
        rand_init(&rng, seed);
        forget_rig_add("{\"type\":\"item_upsert\",\"items\":[{\"id\":\"i1\",\"category\":\"c\"}]}");
        for (int turn = 0; turn < 6; turn++) {
            for (int i = 0; i < 40; i++)
                add_random();
            forget_rig_commit();
            if (rand_below(&rng, 3) == 0)
                assert_int_equal(store_checkpoint(forget_rig.store, &forget_rig.err), ERR_OK);
            bool of_user = rand_below(&rng, 3) > 0;
            snprintf(who, sizeof who, "person-%u-%c", (unsigned)rand_below(&rng, 6),
                     of_user ? 'u' : 'a');
            forget_rig_forget(of_user ? who : NULL, of_user ? NULL : who);
            uint64_t hash = durable_rig_hash(&forget_rig);
            assert_true(forget_rig_hash_of_replay() == hash);
            if (rand_below(&rng, 2) == 0) {
                assert_int_equal(durable_rig_erase(&forget_rig), ERR_OK);
                assert_int_equal(forget_rig_search(who), 0);
            }
            hash = durable_rig_hash(&forget_rig);
            assert_true(forget_rig_hash_of_replay() == hash);
            if (rand_below(&rng, 3) == 0)
                forget_rig_reopen();
            assert_true(durable_rig_hash(&forget_rig) == hash);
        }
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, forget_rig_set_up, forget_rig_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_an_older_log_is_erased_again),
        TEST(test_a_request_without_a_ledger_is_found_in_the_log),
        TEST(test_an_interrupted_round_begins_again),
        TEST(test_a_ledger_that_cannot_be_written_stops_the_log),
        TEST(test_any_order_of_things),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
