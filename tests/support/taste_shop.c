/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/taste_shop.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>

#define TASTE_SHOP_ITEMS   "a b c d e f g"
#define TASTE_SHOP_TRAINED "2023-11-14T00:00:00Z"

struct fixture taste_shop;

static const float neighbor_weight[49] = {
    /*       a     b     c     d      e     f     g */
    /* a */ 0,    0.5f, 0.3f, 0.1f,  0,    0.9f, 0,
    /* b */ 0.4f, 0,    0,    0,     0.2f, 0,    0,
    /* c */ 0,    0,    0,    0.25f, 0,    0,    0.6f,
    /* d */ 0,    0,    0,    0,     0.7f, 0,    0,
};

static const float item_factors[14] = {1, 0, 0.9f, 0,    0.8f, 0.1f, 0,
                                       1, 0, 0.9f, 0.1f, 0.8f, 0.5f, 0.5f};

static const float user_factors[2] = {0, 1};

const struct small_factors taste_shop_factors = {.users = "trained",
                                                 .user_factors = user_factors,
                                                 .items = TASTE_SHOP_ITEMS,
                                                 .item_factors = item_factors,
                                                 .dim = 2,
                                                 .regularization = 0.01,
                                                 .trained_at = TASTE_SHOP_TRAINED};

struct model *taste_shop_near(void)
{
    return small_neighbors("near", "1", TASTE_SHOP_ITEMS, neighbor_weight);
}

int taste_shop_set_up(void **state)
{
    (void)state;
    fixture_init(&taste_shop);
    fixture_load_shop(&taste_shop);
    fixture_add_model(&taste_shop, taste_shop_near());
    fixture_add_model(&taste_shop, small_factors("taste", "1", &taste_shop_factors));
    return 0;
}

int taste_shop_tear_down(void **state)
{
    (void)state;
    fixture_deinit(&taste_shop);
    return 0;
}

float taste_shop_score(const char *id)
{
    const struct decision_item *item = fixture_item(&taste_shop, id);
    assert_non_null(item);
    return item->score;
}

void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fmax(1.0, fabs(expected))))
        fail_msg("%.9g, expected %.9g", value, expected);
}
