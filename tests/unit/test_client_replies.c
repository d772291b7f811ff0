/* SPDX-License-Identifier: Apache-2.0 */
/* What libdecide reads is what the daemon wrote, and is refused where the daemon's own reader
 * refuses it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/pack.h"
#include "base/rand.h"
#include "client/reply.h"
#include "tests/support/alloc_fail.h"

static size_t sample_reply(uint8_t *buf, size_t capacity)
{
    struct pack pack = pack_into(buf, capacity);
    pack_map(&pack, 8);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "decision");
    pack_str(&pack, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    pack_key(&pack, "items");
    pack_array(&pack, 2);
    pack_map(&pack, 4);
    pack_key(&pack, "id");
    pack_str(&pack, "caf\xC3\xA9");
    pack_key(&pack, "score");
    pack_real32(&pack, 0.5F);
    pack_key(&pack, "price");
    pack_map(&pack, 4);
    pack_key(&pack, "amount");
    pack_int(&pack, -1999);
    pack_key(&pack, "currency");
    pack_str(&pack, "EUR");
    pack_key(&pack, "rule");
    pack_nil(&pack);
    pack_key(&pack, "bound");
    pack_str(&pack, "floor");
    pack_key(&pack, "why");
    pack_array(&pack, 0);
    pack_map(&pack, 1);
    pack_key(&pack, "id");
    pack_str(&pack, "b");
    pack_key(&pack, "level");
    pack_str(&pack, "reduced");
    pack_key(&pack, "reason");
    pack_str(&pack, "mode");
    pack_key(&pack, "policy");
    pack_str(&pack, "home@1");
    pack_key(&pack, "took_us");
    pack_int(&pack, 42);
    pack_key(&pack, "models");
    pack_array(&pack, 1);
    pack_str(&pack, "m@1");
    assert_false(pack.overflow);
    return pack.used;
}

static void a_decision_is_read_as_it_was_written(void **state)
{
    (void)state;
    uint8_t buf[512];
    size_t len = sample_reply(buf, sizeof buf);
    struct decide_reply *reply = NULL;
    assert_int_equal(client_reply_decode(buf, len, true, &reply), DECIDE_OK);
    assert_int_equal(reply->status, DECIDE_OK);
    assert_false(reply->fallback);
    assert_int_equal(reply->item_count, 2);
    const struct decide_item *item = &reply->items[0];
    assert_string_equal(item->id, "caf\xC3\xA9");
    assert_true(item->score == 0.5 && item->priced);
    assert_int_equal(item->amount_minor, -1999);
    assert_string_equal(item->currency, "EUR");
    assert_null(item->rule);
    assert_false(reply->items[1].priced);
    assert_string_equal(reply->decision, "01ARZ3NDEKTSV4RRFFQ69G5FAV");
    assert_string_equal(reply->level, "reduced");
    assert_string_equal(reply->reason, "mode");
    assert_string_equal(reply->policy, "home@1");
    assert_int_equal(reply->took_us, 42);
    assert_int_equal(reply->bytes_len, len);
    assert_memory_equal(reply->bytes, buf, len);
    assert_null(reply->error_code);
    decide_reply_free(reply);
    alloc_fail_after(0);
    assert_int_equal(client_reply_decode(buf, len, true, &reply), DECIDE_NOMEM);
    assert_true(alloc_fail_off());
    /* Without a wish for items they are no business of this reader. */
    assert_int_equal(client_reply_decode(buf, len, false, &reply), DECIDE_OK);
    assert_int_equal(reply->item_count, 0);
    decide_reply_free(reply);
}

static void what_is_no_reply_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } cases[] = {
#define CASE(literal) {literal, sizeof(literal) - 1}
        CASE(""),
        CASE("\xC0"),
        CASE("\x80"),                     /* no ok */
        CASE("\x81\xA2ok\x01"),           /* ok is a number */
        CASE("\x81\xA2ok\xC3"),           /* no items */
        CASE("\x81\xA2ok\xC2"),           /* refused without an error */
        CASE("\x82\xA2ok\xC3\xA2ok\xC3"), /* twice */
        CASE("\x82\xA2ok\xC3\xA5items\x80"),
        CASE("\x82\xA2ok\xC3\xA5items\x91\x80"), /* an item without an id */
        CASE("\x82\xA2ok\xC3\xA5items\x91\x81\xA2id\xA2"
             "a\0"), /* a NUL inside */
        CASE("\x82\xA2ok\xC3\xA5items\x91\x82\xA2id\xA1"
             "a\xA5score\xA1x"),
        CASE("\x82\xA2ok\xC3\xA5items\x91\x82\xA2id\xA1"
             "a\xA5price\x80"),                             /* no amount */
        CASE("\x83\xA2ok\xC3\xA5items\x90\xA7took_us\xFF"), /* negative */
        CASE("\x83\xA2ok\xC3\xA5items\x90\x01\x02"),        /* a key that is a number */
        CASE("\x82\xA2ok\xC2\xA5"
             "error\x80"),
        CASE("\x82\xA2ok\xC3\xA5items\xDD\xFF\xFF\xFF\xFF"),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct decide_reply *reply = NULL;
        uint8_t *exact = malloc(cases[i].len + (cases[i].len == 0));
        memcpy(exact, cases[i].bytes, cases[i].len);
        enum decide_status status = client_reply_decode(exact, cases[i].len, true, &reply);
        if (status != DECIDE_PROTOCOL)
            print_error("case %zu\n", i);
        assert_int_equal(status, DECIDE_PROTOCOL);
        assert_null(reply);
        free(exact);
    }
    /* More items than any daemon sends. */
    uint8_t *many = malloc(16 + 6 * (CLIENT_REPLY_ITEMS_MAX + 1));
    struct pack pack = pack_into(many, 16 + 6 * (CLIENT_REPLY_ITEMS_MAX + 1));
    pack_map(&pack, 2);
    pack_key(&pack, "ok");
    pack_bool(&pack, true);
    pack_key(&pack, "items");
    pack_array(&pack, CLIENT_REPLY_ITEMS_MAX + 1);
    for (int i = 0; i <= CLIENT_REPLY_ITEMS_MAX; i++) {
        pack_map(&pack, 1);
        pack_key(&pack, "id");
        pack_str(&pack, "a");
    }
    assert_false(pack.overflow);
    struct decide_reply *reply = NULL;
    assert_int_equal(client_reply_decode(many, pack.used, true, &reply), DECIDE_PROTOCOL);
    free(many);
}

static void the_reader_agrees_with_the_daemons(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t accepted = 0;
    rand_init(&rand, 3);
    for (int round = 0; round < 50000; round++) {
        uint8_t buf[512];
        size_t len = sample_reply(buf, sizeof buf);
        for (uint64_t i = 0; i <= rand_below(&rand, 3); i++)
            buf[rand_below(&rand, len)] = (uint8_t)rand_u64(&rand);
        len -= rand_below(&rand, 4) == 0 ? rand_below(&rand, len) : 0;
        uint8_t *exact = malloc(len);
        memcpy(exact, buf, len);
        bool ours = client_reader_check(exact, len);
        /* The daemon's is stricter about texts, keys and floats; it accepts nothing that ours
         * does not. */
        if (cursor_check(exact, len, 1000, NULL) == ERR_OK) {
            assert_true(ours);
            accepted++;
        }
        struct decide_reply *reply = NULL;
        if (client_reply_decode(exact, len, true, &reply) == DECIDE_OK)
            assert_true(ours);
        decide_reply_free(reply);
        free(exact);
    }
    assert_true(accepted > 1000);
}

static void numbers_of_every_width_are_read(void **state)
{
    (void)state;
    static const int64_t values[] = {
        0,   1,    127,  128,    255,    256,       65535,     65536,     -1,       -32,
        -33, -128, -129, -32768, -32769, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        uint8_t buf[16];
        int64_t value = 0;
        double real = 0;
        struct pack pack = pack_into(buf, sizeof buf);
        pack_int(&pack, values[i]);
        assert_true(client_reader_check(buf, pack.used));
        struct client_reader reader = client_reader_of(buf, pack.used);
        struct client_reader again = reader;
        assert_true(client_read_int(&reader, &value));
        assert_true(value == values[i]);
        assert_true(reader.at == reader.end);
        assert_true(client_read_real(&again, &real));
        assert_true(real == (double)values[i]);
    }
    static const uint8_t large[] = {0xCF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
    static const uint8_t infinite[] = {0xCA, 0x7F, 0x80, 0, 0};
    struct client_reader reader = client_reader_of(large, sizeof large);
    int64_t value = 7;
    double real = 7;
    bool flag = false;
    assert_false(client_read_int(&reader, &value));
    assert_true(reader.at == large && value == 7);
    reader = client_reader_of(infinite, sizeof infinite);
    assert_false(client_read_real(&reader, &real));
    assert_false(client_read_bool(&reader, &flag));
    assert_false(client_read_nil(&reader));
    assert_true(reader.at == infinite && real == 7);
}

static void deep_nesting_ends_at_the_limit(void **state)
{
    (void)state;
    uint8_t buf[CLIENT_READER_DEPTH_MAX + 2];
    memset(buf, 0x91, sizeof buf);
    buf[CLIENT_READER_DEPTH_MAX] = 0xC0;
    assert_true(client_reader_check(buf, CLIENT_READER_DEPTH_MAX + 1));
    buf[CLIENT_READER_DEPTH_MAX] = 0x91;
    buf[CLIENT_READER_DEPTH_MAX + 1] = 0xC0;
    assert_false(client_reader_check(buf, CLIENT_READER_DEPTH_MAX + 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_decision_is_read_as_it_was_written),
        cmocka_unit_test(what_is_no_reply_is_refused),
        cmocka_unit_test(the_reader_agrees_with_the_daemons),
        cmocka_unit_test(numbers_of_every_width_are_read),
        cmocka_unit_test(deep_nesting_ends_at_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
