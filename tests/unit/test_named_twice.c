/* SPDX-License-Identifier: Apache-2.0 */
/* An item that a request names twice counts once, as it does in a history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>

#include "tests/support/decide_fixture.h"
#include "tests/support/small_models.h"

/* Who has a leads to d and g, who has b to g and d. */
static const float neighbor_weight[49] = {
    /*       a  b  c  d     e  f  g */
    /* a */ 0, 0, 0, 0.5f, 0, 0, 0.1f,
    /* b */ 0, 0, 0, 0.1f, 0, 0, 0.6f,
};

static const float user_factors[2] = {1, 1};
static const float item_factors[14] = {1,    0,    0,    1,    1,    1,    0.9f,
                                       0.1f, 0.2f, 0.3f, 0.5f, 0.5f, 0.1f, 0.8f};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture_init(&fixture);
    fixture_load_shop(&fixture);
    fixture_add_model(&fixture, small_neighbors("near", "1", "a b c d e f g", neighbor_weight));
    fixture_add_model(&fixture,
                      small_factors("taste", "1",
                                    &(struct small_factors){.users = "u",
                                                            .user_factors = user_factors,
                                                            .items = "a b c d e f g",
                                                            .item_factors = item_factors,
                                                            .dim = 2,
                                                            .regularization = 0.1,
                                                            .trained_at = "2023-11-14T00:00:00Z"}));
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    fixture_deinit(*state);
    return 0;
}

/* Both requests have the same items with the same scores. */
static void expect_same(struct fixture *fixture, const char *once, const char *twice,
                        const char *line)
{
    float score[2];
    assert_string_equal(fixture_ask(fixture, once), line);
    for (uint32_t i = 0; i < 2; i++)
        score[i] = fixture->decision.items[i].score;
    assert_string_equal(fixture_ask(fixture, twice), line);
    for (uint32_t i = 0; i < 2; i++)
        assert_float_equal(fixture->decision.items[i].score, score[i], 0.0f);
}

static void items_named_twice_count_once(void **state)
{
    struct fixture *fixture = *state;
    fixture_serve(fixture, "{\"slots\": {"
                           "\"home\": {\"sources\": [{\"source\": \"neighbors\"}]},"
                           "\"taste\": {\"sources\": [{\"source\": \"factors\"}]},"
                           "\"basket\": {\"sources\": [{\"source\": \"cart\"}]}}}");
    /* of a and b: g has 0.7, d 0.6; with a twice it would be d */
    expect_same(fixture, "{\"op\": \"recommend\", \"n\": 2, \"seeds\": [\"a\", \"b\"]}",
                "{\"op\": \"recommend\", \"n\": 2, \"seeds\": [\"a\", \"a\", \"b\", \"a\"]}",
                "full: g d");
    expect_same(fixture, "{\"op\": \"similar\", \"n\": 2, \"items\": [\"a\", \"b\"]}",
                "{\"op\": \"similar\", \"n\": 2, \"items\": [\"a\", \"b\", \"a\"]}", "full: g d");
    expect_same(
        fixture,
        "{\"op\": \"recommend\", \"slot\": \"basket\", \"n\": 2, \"cart\": [\"a\", \"b\"]}",
        "{\"op\": \"recommend\", \"slot\": \"basket\", \"n\": 2, \"cart\": [{\"id\": \"a\", "
        "\"qty\": 2}, \"b\", \"a\"]}",
        "full: g d");
    expect_same(fixture,
                "{\"op\": \"recommend\", \"slot\": \"taste\", \"n\": 2, \"seeds\": [\"a\", \"b\"]}",
                "{\"op\": \"recommend\", \"slot\": \"taste\", \"n\": 2, \"seeds\": [\"a\", \"b\", "
                "\"a\", \"a\"]}",
                "full: c d");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(items_named_twice_count_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
