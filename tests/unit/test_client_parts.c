/* SPDX-License-Identifier: Apache-2.0 */
/* The order of timers, what is kept of good answers, and which questions are the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/rand.h"
#include "client/call.h"
#include "client/keys.h"
#include "client/last_good.h"
#include "client/message.h"
#include "client/timers.h"
#include "tests/support/alloc_fail.h"

#define MS CLIENT_NS_PER_MS

enum { CALLS = 200 };

static void the_earliest_timer_is_always_in_front(void **state)
{
    (void)state;
    static struct client_call calls[CALLS];
    struct client_timers timers = {0};
    struct rand rand;
    rand_init(&rand, 3);
    for (int i = 0; i < 50000; i++) {
        struct client_call *call = &calls[rand_below(&rand, CALLS)];
        if (call->timer_index == 0) {
            call->wake_ns = rand_below(&rand, 1000);
            assert_true(client_timers_add(&timers, call));
        } else if (rand_below(&rand, 2) == 0) {
            call->wake_ns = rand_below(&rand, 1000);
            client_timers_move(&timers, call);
        } else {
            client_timers_remove(&timers, call);
            assert_int_equal(call->timer_index, 0);
        }
        uint64_t earliest_ns = UINT64_MAX;
        size_t count = 0;
        for (int k = 0; k < CALLS; k++) {
            if (calls[k].timer_index == 0)
                continue;
            count++;
            assert_ptr_equal(timers.calls[calls[k].timer_index - 1], &calls[k]);
            if (calls[k].wake_ns < earliest_ns)
                earliest_ns = calls[k].wake_ns;
        }
        assert_int_equal(timers.count, count);
        assert_true(count == 0 || timers.calls[0]->wake_ns == earliest_ns);
    }
    client_timers_deinit(&timers);
    struct client_call call = {0};
    alloc_fail_after(0);
    assert_false(client_timers_add(&timers, &call));
    assert_true(alloc_fail_off());
}

static const struct decide_reply failed = {.status = DECIDE_TIMEOUT,
                                           .error_message = "tcp://127.0.0.1:1: the time ran out"};

/* A map that asks for `n` items and excludes one. */
static struct client_reader wish(uint8_t n)
{
    static uint8_t map[] = {0x82, 0xa1, 'n', 0,   0xa7, 'e',  'x', 'c',
                            'l',  'u',  'd', 'e', 0x91, 0xa2, 'i', '1'};
    map[3] = n;
    return client_reader_of(map, sizeof map);
}

static void put(struct client_last_good *cache, uint64_t key, const char *level, size_t count,
                uint64_t now_ns)
{
    struct decide_item items[8];
    static const char *const ids[] = {"i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"};
    for (size_t i = 0; i < count; i++)
        items[i] = (struct decide_item){
            .id = ids[i], .score = 8.5 - (double)i, .priced = true, .amount_minor = 100};
    struct decide_reply reply = {.level = level, .items = items, .item_count = count};
    client_last_good_put(cache, key, &reply, now_ns);
}

static bool has(struct client_last_good *cache, uint64_t key, uint64_t now_ns)
{
    struct decide_reply *reply = client_last_good_get(cache, key, wish(5), &failed, now_ns);
    decide_reply_free(reply);
    return reply != NULL;
}

static void a_last_good_answer_is_flagged_and_fits_the_request(void **state)
{
    (void)state;
    struct client_last_good cache = {0};
    assert_int_equal(client_last_good_init(&cache, 1 << 16, 1000000), DECIDE_OK);
    put(&cache, 77, "full", 6, 10 * MS);
    struct decide_reply *reply = client_last_good_get(&cache, 77, wish(3), &failed, 250 * MS);
    assert_non_null(reply);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_true(reply->fallback);
    assert_string_equal(reply->level, "last_good");
    assert_string_equal(reply->reason, "timeout");
    assert_string_equal(reply->error_message, failed.error_message);
    assert_int_equal(reply->age_us, 240000);
    assert_int_equal(reply->item_count, 3);
    static const char *const expected[] = {"i0", "i2", "i3"};
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(reply->items[i].id, expected[i]);
        assert_false(reply->items[i].priced);
    }
    assert_true(reply->items[1].score == 6.5);
    decide_reply_free(reply);

    assert_false(has(&cache, 79, 250 * MS)); /* another question */
    assert_true(has(&cache, 77, 1010 * MS));
    assert_false(has(&cache, 77, 1010 * MS + 1)); /* too old */
    put(&cache, 81, "generic", 3, 0);             /* none of these is worth keeping */
    put(&cache, 83, "full", 0, 0);
    put(&cache, 0, "full", 3, 0);
    put(&cache, 85, NULL, 3, 0);
    for (uint64_t key = 81; key <= 85; key += 2)
        assert_false(has(&cache, key, 0));
    client_last_good_deinit(&cache);
}

static void answers_that_were_not_used_make_room_within_the_bytes(void **state)
{
    (void)state;
    struct client_last_good cache = {0};
    assert_int_equal(client_last_good_init(&cache, 1, 1000000), DECIDE_INVALID);
    assert_int_equal(client_last_good_init(&cache, 8192, 1000000), DECIDE_OK);
    put(&cache, 1, "full", 8, 0);
    for (uint64_t key = 3; key < 2001; key += 2) {
        put(&cache, key, "reduced", 8, 0);
        assert_true(has(&cache, 1, 0)); /* used all the time: it stays */
        assert_true(has(&cache, key, 0));
        assert_true(cache.bytes_used <= 8192);
    }
    assert_false(has(&cache, 3, 0));
    uint32_t kept = 0;
    for (uint64_t key = 1; key < 2001; key += 2)
        kept += has(&cache, key, 0);
    assert_in_range(kept, 20, 50);
    put(&cache, 1, "full", 1, 0); /* a newer answer replaces the older one */
    struct decide_reply *reply = client_last_good_get(&cache, 1, wish(5), &failed, 0);
    assert_int_equal(reply->item_count, 1);
    decide_reply_free(reply);
    alloc_fail_after(0);
    put(&cache, 5, "full", 8, 0);
    assert_true(alloc_fail_off());
    assert_false(has(&cache, 5, 0));
    assert_true(has(&cache, 1, 0));
    client_last_good_deinit(&cache);
    struct client_last_good off = {0};
    assert_int_equal(client_last_good_init(&off, 0, 1000000), DECIDE_OK);
    put(&off, 1, "full", 8, 0);
    assert_false(has(&off, 1, 0));
    client_last_good_deinit(&off);
}

static struct client_keys keys_of(const char *op, const struct decide_request *request)
{
    char error[DECIDE_ERROR_BYTES];
    struct client_message message;
    client_message_begin(&message, op, NULL);
    assert_int_equal(client_message_add_request(&message, op, request, error), DECIDE_OK);
    assert_int_equal(client_message_end(&message, error), DECIDE_OK);
    struct client_keys keys = client_keys_read(client_message_map(&message), true);
    struct client_keys route_alone = client_keys_read(client_message_map(&message), false);
    assert_true(route_alone.route == keys.route && route_alone.answer == 0);
    client_message_deinit(&message);
    return keys;
}

static void the_same_question_has_the_same_key(void **state)
{
    (void)state;
    static const char *const list[] = {"x", "y"};
    static const struct decide_filters filters = {.in_stock = true};
    struct client_keys one = keys_of("recommend", &(struct decide_request){.user = "u1"});
    struct client_keys same =
        keys_of("recommend",
                &(struct decide_request){
                    .user = "u1", .session = "s", .n = 7, .exclude = list, .exclude_count = 2});
    assert_true(one.answer == same.answer && one.route == same.route);
    assert_true(one.route != 0 && one.answer != 0);
    const struct client_keys others[] = {
        keys_of("recommend", &(struct decide_request){.user = "u2"}),
        keys_of("recommend", &(struct decide_request){.user = "u1", .slot = "cart"}),
        keys_of("recommend", &(struct decide_request){.user = "u1", .filters = &filters}),
        keys_of("recommend",
                &(struct decide_request){.user = "u1", .seeds = list, .seed_count = 1}),
        keys_of("similar", &(struct decide_request){.user = "u1", .seeds = list, .seed_count = 1}),
        keys_of("similar", &(struct decide_request){.user = "u1", .seeds = list, .seed_count = 2}),
        keys_of("recommend", &(struct decide_request){.anon = "u1"}),
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_true(others[i].answer != one.answer);
        for (size_t k = 0; k < i; k++)
            assert_true(others[i].answer != others[k].answer);
    }
    /* Whoever it is: user before anon before session. */
    struct client_keys anon = keys_of(
        "recommend", &(struct decide_request){.anon = "a", .session = "u1", .slot = "home"});
    assert_true(anon.route == keys_of("recommend", &(struct decide_request){.user = "a"}).route);
    struct client_keys session = keys_of("recommend", &(struct decide_request){.session = "u1"});
    assert_true(session.route == one.route);
    assert_int_equal(keys_of("recommend", &(struct decide_request){.slot = "home"}).route, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_earliest_timer_is_always_in_front),
        cmocka_unit_test(a_last_good_answer_is_flagged_and_fits_the_request),
        cmocka_unit_test(answers_that_were_not_used_make_room_within_the_bytes),
        cmocka_unit_test(the_same_question_has_the_same_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
