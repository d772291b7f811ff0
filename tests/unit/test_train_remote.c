/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/pack.h"
#include "tests/support/fake_peer.h"
#include "tools/train/remote.h"

#define PEOPLE 6 /* the last of them anonymous */

/* Everybody bought "a" and buys "a" and "b" afterwards, so new has the target b and any has both.
 */
struct shop {
    struct interactions interactions;
    struct dataset dataset;
    struct targets targets;
};

static void add(struct interactions *to, uint32_t person, const char *item, int64_t day)
{
    char id[24], who[16];
    struct event_item one = {.id = text_of(item), .qty = 1};
    struct event event = {
        .type = EVENT_purchase, .ts_ms = day * 86400000, .items = &one, .item_count = 1};
    snprintf(id, sizeof id, "%u %s %d", person, item, (int)day);
    snprintf(who, sizeof who, "p%u", person);
    event.id = text_of(id);
    *(person == PEOPLE - 1 ? &event.anon : &event.user) = text_of(who);
    assert_int_equal(interactions_add(to, &event, NULL), ERR_OK);
}

static struct shop shop_open(void)
{
    struct shop shop = {0};
    assert_int_equal(interactions_create(&shop.interactions, NULL), ERR_OK);
    for (uint32_t p = 0; p < PEOPLE; p++) {
        add(&shop.interactions, p, "a", 1);
        add(&shop.interactions, p, "a", 10);
        add(&shop.interactions, p, "b", 10);
    }
    add(&shop.interactions, PEOPLE, "b", 1); /* so that training knows b */
    assert_int_equal(
        dataset_build(&shop.interactions, (struct span){0, 5 * 86400}, &shop.dataset, NULL),
        ERR_OK);
    assert_int_equal(targets_build(&shop.interactions, (struct span){5 * 86400, DATASET_ALL},
                                   &shop.dataset, &shop.targets, NULL),
                     ERR_OK);
    return shop;
}

static void shop_close(struct shop *shop)
{
    targets_deinit(&shop->targets);
    dataset_deinit(&shop->dataset);
    interactions_destroy(&shop->interactions);
}

static enum err_code ask(const struct shop *shop, const char *url, struct evaluation *evaluation,
                         struct remote_levels *levels, struct err *err)
{
    const struct remote_options options = {
        .url = url,
        .slot = {[EVALUATE_NEW] = "front", [EVALUATE_ANY] = "front"},
        .k = 3,
        .threads = 2};
    return remote_evaluate(&options, &shop->interactions, &shop->dataset, &shop->targets,
                           evaluation, levels, err);
}

/* {"ok": true, "policy": ..., "level": ..., "reason": ..., "items": [{"id": "x"}, {"id": "b"}]} */
static void set_reply(struct fake_peer *peer, const char *policy, const char *level,
                      const char *reason)
{
    static const char *const ids[] = {"x", "b"};
    uint8_t bytes[512];
    struct pack pack = pack_into(bytes, sizeof bytes);
    pack_map(&pack, reason != NULL ? 5 : 4);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "policy");
    pack_str(&pack, policy);
    pack_key(&pack, "level");
    pack_str(&pack, level);
    if (reason != NULL) {
        pack_key(&pack, "reason");
        pack_str(&pack, reason);
    }
    pack_key(&pack, "items");
    pack_array(&pack, 2);
    for (int i = 0; i < 2; i++) {
        pack_map(&pack, 1);
        pack_key(&pack, "id");
        pack_str(&pack, ids[i]);
    }
    fake_peer_set_reply(peer, bytes, pack.used);
}

static void test_lists_of_the_daemon_are_what_is_measured(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct shop shop = shop_open();
    struct evaluation evaluation = {0};
    struct remote_levels levels = {0};
    struct err err = {0};
    uint8_t request[FAKE_BYTES_MAX];
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    set_reply(&peer, "front@1", "full", NULL);
    if (ask(&shop, peer.url, &evaluation, &levels, &err) != ERR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(peer.request_count, 2 * PEOPLE);
    /* b stands second; x is an item that training does not know. */
    assert_int_equal(evaluation.mode[EVALUATE_NEW].users, PEOPLE);
    assert_true(evaluation.mode[EVALUATE_NEW].mean.recall == 1.0);
    assert_true(evaluation.mode[EVALUATE_NEW].mean.ndcg < 1.0);
    assert_true(evaluation.mode[EVALUATE_ANY].mean.recall == 0.5);
    assert_int_equal(levels.count, 1);
    assert_string_equal(levels.level[0].name, "full");
    assert_int_equal(levels.level[0].answers, 2 * PEOPLE);
    assert_int_equal(levels.short_lists, 2 * PEOPLE);
    size_t len = fake_peer_request(&peer, request);
    assert_non_null(memmem(request, len,
                           "\xa4slot\xa5"
                           "front",
                           11));
    fake_peer_stop(&peer);
    shop_close(&shop);
}

static void test_lower_levels_are_counted_by_reason(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct shop shop = shop_open();
    struct evaluation evaluation = {0};
    struct remote_levels levels = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    set_reply(&peer, "front@1", "generic", "unknown_user");
    assert_int_equal(ask(&shop, peer.url, &evaluation, &levels, NULL), ERR_OK);
    assert_int_equal(levels.count, 1);
    assert_string_equal(levels.level[0].name, "generic (unknown_user)");
    fake_peer_stop(&peer);
    shop_close(&shop);
}

static void test_an_answer_of_another_slot_is_not_measured(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static const char *const policies[] = {"home@1", "fronts@1", "front"};
    struct shop shop = shop_open();
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        struct evaluation evaluation = {0};
        struct remote_levels levels = {0};
        struct err err = {0};
        fake_peer_start(&peer, 0, FAKE_ANSWERS);
        set_reply(&peer, policies[i], "full", NULL);
        assert_int_equal(ask(&shop, peer.url, &evaluation, &levels, &err), ERR_NOT_FOUND);
        assert_non_null(strstr(err.text, "no slot 'front'"));
        fake_peer_stop(&peer);
    }
    shop_close(&shop);
}

static void test_a_call_that_fails_ends_it_and_says_whose(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct shop shop = shop_open();
    struct evaluation evaluation = {.k = 99};
    struct remote_levels levels = {.count = 99};
    struct err err = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    fake_peer_set_refusal(&peer, "not_found");
    assert_int_equal(ask(&shop, peer.url, &evaluation, &levels, &err), ERR_IO);
    assert_non_null(strstr(err.text, "recommend for 'p"));
    assert_non_null(strstr(err.text, "not_found"));
    assert_int_equal(evaluation.k, 99);
    assert_int_equal(levels.count, 99);
    fake_peer_stop(&peer);
    shop_close(&shop);
}

static void test_a_daemon_that_knows_the_test_is_refused(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct shop shop = shop_open();
    static const struct {
        int64_t watermark_ms;
        bool refused; /* otherwise it goes on, to an answer that is no recommendation */
    } cases[] = {{1999, false}, {2000, true}, {86400000, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct evaluation evaluation = {0};
        struct remote_levels levels = {0};
        struct err err = {0};
        uint8_t bytes[256];
        struct pack pack = pack_into(bytes, sizeof bytes);
        pack_map(&pack, 2);
        pack_key(&pack, "ok");
        pack_bool(&pack, true);
        pack_key(&pack, "store");
        pack_map(&pack, 1);
        pack_key(&pack, "watermark_ms");
        pack_int(&pack, cases[i].watermark_ms);
        fake_peer_start(&peer, 0, FAKE_ANSWERS);
        fake_peer_set_reply(&peer, bytes, pack.used);
        const struct remote_options options = {
            .url = peer.url,
            .slot = {[EVALUATE_NEW] = "front", [EVALUATE_ANY] = "front"},
            .split_ms = 2000,
            .k = 3,
            .threads = 1};
        enum err_code rc = remote_evaluate(&options, &shop.interactions, &shop.dataset,
                                           &shop.targets, &evaluation, &levels, &err);
        assert_int_equal(rc == ERR_BAD_INPUT, cases[i].refused);
        assert_int_not_equal(rc, ERR_OK);
        assert_non_null(strstr(err.text, cases[i].refused ? "the test begins at 1970-01-01T00:00:02"
                                                          : "recommend for"));
        fake_peer_stop(&peer);
    }
    shop_close(&shop);
}

static void test_a_url_that_cannot_be_used(void **state)
{
    (void)state;
    struct shop shop = shop_open();
    struct evaluation evaluation = {0};
    struct remote_levels levels = {0};
    struct err err = {0};
    assert_int_equal(ask(&shop, "carrier-pigeon", &evaluation, &levels, &err), ERR_BAD_INPUT);
    assert_non_null(strstr(err.text, "--url: "));
    shop_close(&shop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists_of_the_daemon_are_what_is_measured),
        cmocka_unit_test(test_lower_levels_are_counted_by_reason),
        cmocka_unit_test(test_an_answer_of_another_slot_is_not_measured),
        cmocka_unit_test(test_a_call_that_fails_ends_it_and_says_whose),
        cmocka_unit_test(test_a_daemon_that_knows_the_test_is_refused),
        cmocka_unit_test(test_a_url_that_cannot_be_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
