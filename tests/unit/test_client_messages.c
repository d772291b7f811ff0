/* SPDX-License-Identifier: Apache-2.0 */
/* What libdecide writes is read back by the daemon's own decoder. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "client/message.h"
#include "client/sp.h"
#include "server/protocol/request.h"

static char error[DECIDE_ERROR_BYTES];

/* Decodes what was built, as the daemon does. */
static struct request decode(const struct client_message *message, struct arena *arena)
{
    struct request request;
    char field[REQUEST_FIELD_BYTES];
    struct err err = {0};
    struct client_reader map = client_message_map(message);
    arena_reset(arena);
    enum err_code rc =
        request_decode(map.at, (size_t)(map.end - map.at), arena, &request, field, &err);
    if (rc != ERR_OK)
        print_error("%s\n", err.text);
    assert_int_equal(rc, ERR_OK);
    return request;
}

static struct client_message build(const char *op, const struct decide_request *request)
{
    struct client_message message;
    client_message_begin(&message, op, "secret");
    assert_int_equal(client_message_add_request(&message, op, request, error), DECIDE_OK);
    assert_int_equal(client_message_end(&message, error), DECIDE_OK);
    return message;
}

static void a_request_arrives_as_it_was_meant(void **state)
{
    (void)state;
    static const char *const seeds[] = {"s1", "s2"};
    static const char *const exclude[] = {"x1"};
    static const char *const categories[] = {"c1", "c2"};
    static const struct decide_pair context[] = {{"channel", "app"}};
    static const struct decide_filters filters = {.categories = categories,
                                                  .category_count = 2,
                                                  .min_price_minor = 100,
                                                  .max_price_minor = 70000,
                                                  .in_stock = true};
    static const struct decide_request wanted = {.user = "u1",
                                                 .anon = "a1",
                                                 .session = "v1",
                                                 .slot = "home",
                                                 .currency = "EUR",
                                                 .n = 7,
                                                 .seeds = seeds,
                                                 .seed_count = 2,
                                                 .exclude = exclude,
                                                 .exclude_count = 1,
                                                 .context = context,
                                                 .context_count = 1,
                                                 .filters = &filters,
                                                 .want_price = true,
                                                 .explain = true};
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, 1 << 20, NULL), ERR_OK);
    static const char *const ops[] = {"recommend", "similar"};
    for (size_t i = 0; i < 2; i++) {
        struct client_message message = build(ops[i], &wanted);
        size_t len = 0;
        const uint8_t *frame = client_message_frame(&message, 5, i == 1, 123456, &len);
        struct sp_message sent;
        assert_int_equal(sp_parse(frame, len, i == 1, len, &sent), SP_MESSAGE);
        assert_int_equal(sent.id, 5 | SP_ID_FLAG);
        assert_int_equal(sent.frame_bytes, len);
        assert_int_equal(sp_parse(frame, len - 1, i == 1, len, &sent), SP_MORE);
        struct request got = decode(&message, &arena);
        assert_true(text_is(got.token, "secret"));
        assert_true(got.has_budget);
        assert_int_equal(got.budget_us, 123456);
        assert_true(text_is(got.user, "u1") && text_is(got.anon, "a1"));
        assert_true(text_is(got.session, "v1") && text_is(got.slot, "home"));
        assert_int_equal(got.n, 7);
        assert_int_equal(got.seeds.count, 2);
        assert_true(text_is(got.seeds.ptr[1], "s2"));
        assert_int_equal(got.exclude.count, 1);
        assert_int_equal(got.context_count, 1);
        assert_true(text_is(got.context[0].value, "app"));
        assert_int_equal(got.filters.categories.count, 2);
        assert_int_equal(got.filters.brands.count, 0);
        assert_int_equal(got.filters.min_price_minor, 100);
        assert_int_equal(got.filters.max_price_minor, 70000);
        assert_true(got.filters.in_stock && got.want_price && got.explain);
        assert_int_not_equal(got.currency, 0);
        client_message_deinit(&message);
    }
    /* who waits for longer than a daemon wants to know of is not refused */
    struct client_message message = build("recommend", &wanted);
    size_t len = 0;
    (void)client_message_frame(&message, 6, false, UINT64_MAX, &len);
    assert_int_equal(decode(&message, &arena).budget_us, 3600000000);
    client_message_deinit(&message);
    arena_deinit(&arena);
}

static void items_carry_what_their_operation_takes(void **state)
{
    (void)state;
    static const struct decide_query_item items[] = {
        {.id = "a", .has_score = true, .score = 0.5, .qty = 3, .has_price = true},
        {.id = "b"},
    };
    static const struct decide_request wanted = {.items = items, .item_count = 2};
    struct arena arena = {0};
    assert_int_equal(arena_init(&arena, 1 << 20, NULL), ERR_OK);
    struct client_message message = build("rank", &wanted);
    struct request got = decode(&message, &arena);
    assert_int_equal(got.item_count, 2);
    assert_true(got.items[0].score == 0.5);
    assert_true(got.items[1].score != got.items[1].score); /* NaN: not given */
    assert_int_equal(got.items[0].qty, 1);
    client_message_deinit(&message);
    message = build("price", &wanted);
    got = decode(&message, &arena);
    assert_int_equal(got.items[0].qty, 3);
    assert_int_equal(got.items[0].price_minor, 0); /* a price of nothing is a price */
    assert_true(got.items[1].price_minor == INT64_MIN);
    client_message_deinit(&message);
    arena_deinit(&arena);
}

static void what_cannot_be_sent_is_named(void **state)
{
    (void)state;
    static const char *const holes[] = {"a", NULL};
    static const struct decide_query_item nameless[] = {{.id = "a"}, {.qty = 1}};
    static const struct decide_pair half[] = {{"k", NULL}};
    static const struct {
        const char *op;
        struct decide_request request;
        const char *text;
    } cases[] = {
        {"recommend", {.seeds = holes, .seed_count = 2}, "seeds[1]"},
        {"recommend", {.exclude = holes, .exclude_count = 2}, "exclude[1]"},
        {"recommend", {.exclude_count = 2}, "exclude: 2 of them, but the pointer is NULL"},
        {"recommend", {.context = half, .context_count = 1}, "context[0]"},
        {"recommend", {.context_count = 3}, "context: 3"},
        {"recommend", {.exclude = holes, .exclude_count = SIZE_MAX}, "more than"},
        {"similar", {.user = "u"}, "seeds"},
        {"rank", {.user = "u"}, "items"},
        {"price", {.items = nameless, .item_count = 2}, "items[1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct client_message message;
        client_message_begin(&message, cases[i].op, NULL);
        assert_int_equal(
            client_message_add_request(&message, cases[i].op, &cases[i].request, error),
            DECIDE_INVALID);
        assert_non_null(strstr(error, cases[i].text));
        client_message_deinit(&message);
    }
    /* Too large as a whole. */
    char *large = malloc(DECIDE_REQUEST_BYTES_MAX + 1);
    memset(large, 'x', DECIDE_REQUEST_BYTES_MAX);
    large[DECIDE_REQUEST_BYTES_MAX] = '\0';
    struct client_message message;
    client_message_begin(&message, "recommend", NULL);
    struct decide_request request = {.user = large};
    assert_int_equal(client_message_add_request(&message, "recommend", &request, error), DECIDE_OK);
    assert_int_equal(client_message_end(&message, error), DECIDE_INVALID);
    assert_non_null(strstr(error, "1048576"));
    client_message_deinit(&message);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_arrives_as_it_was_meant),
        cmocka_unit_test(items_carry_what_their_operation_takes),
        cmocka_unit_test(what_cannot_be_sent_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
