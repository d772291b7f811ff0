/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/shop.h"

#include <stdlib.h>

#include "tools/shop/fixed.h"

enum {
    ITEMS_PER_CATEGORY = 40, /* at least, until there are SHOP_CATEGORIES_MAX categories */
    TIERS = 4,
    ZIPF_OFFSET = 3,     /* popularity falls with 1 / (rank + this) */
    LAUNCH_PERCENT = 10, /* of the items come late */
    SOLD_OUT_PERCENT = 3,
    STOCK_MAX = 400,
    TREND_MAX = 24,
};

/* Bell-shaped within -100..100: the sum of four even numbers. */
static int32_t bell(struct rand *rand)
{
    int32_t sum = 0;
    for (int i = 0; i < 4; i++)
        sum += (int32_t)rand_below(rand, 51);
    return sum - 100;
}

static void draw_taste(struct rand *rand, int8_t taste[SHOP_FACTORS])
{
    for (int f = 0; f < SHOP_FACTORS; f++)
        taste[f] = (int8_t)bell(rand);
}

static void draw_category(struct shop *shop, uint32_t index)
{
    struct shop_category *category = &shop->category[index];
    uint64_t items = shop->options.items;
    draw_taste(&shop->rand, category->taste);
    category->peak_month = (uint8_t)rand_below(&shop->rand, 12);
    category->is_consumable = shop_category_is_consumable(index);
    category->first = (uint32_t)(items * index / shop->category_count);
    category->count = (uint32_t)(items * (index + 1) / shop->category_count) - category->first;
}

/* A price of the tier, ending with 9, and a cost of 50 to 75 percent of it. */
static void draw_price(struct rand *rand, struct shop_item *item)
{
    static const int64_t from_minor[TIERS] = {299, 899, 1999, 4999};
    static const int64_t to_minor[TIERS] = {899, 1999, 4999, 14999};
    item->tier = (uint8_t)rand_below(rand, TIERS);
    int64_t span = to_minor[item->tier] - from_minor[item->tier];
    item->price_minor =
        from_minor[item->tier] + (int64_t)rand_below(rand, (uint64_t)span) / 10 * 10;
    item->cost_minor = item->price_minor * (50 + (int64_t)rand_below(rand, 26)) / 100;
}

static void draw_item(struct shop *shop, uint32_t index, uint32_t category, uint32_t rank)
{
    struct rand *rand = &shop->rand;
    struct shop_item *item = &shop->items[index];
    for (int f = 0; f < SHOP_FACTORS; f++)
        item->taste[f] = (int8_t)((3 * shop->category[category].taste[f] + 2 * bell(rand)) / 5);
    item->category = (uint8_t)category;
    item->brand = (uint8_t)rand_below(rand, SHOP_BRANDS);
    item->title = (uint8_t)rand_below(rand, 64);
    item->popularity = (int16_t)(fixed_log2(ZIPF_OFFSET) - fixed_log2(rank + ZIPF_OFFSET));
    item->trend = (int8_t)((int32_t)rand_below(rand, 2 * TREND_MAX + 1) - TREND_MAX);
    bool is_late = rand_below(rand, 100) < LAUNCH_PERCENT;
    item->launch_day = (uint16_t)(is_late ? rand_below(rand, shop->options.days) : 0);
    bool is_sold_out = rand_below(rand, 100) < SOLD_OUT_PERCENT;
    item->stock = is_sold_out ? 0 : (int32_t)(1 + rand_below(rand, STOCK_MAX));
    draw_price(rand, item);
}

/* The ranks of popularity in random order (Fisher and Yates). */
static void draw_ranks(struct rand *rand, uint32_t *ranks, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (uint32_t)rand_below(rand, i + 1);
        ranks[i] = ranks[at];
        ranks[at] = i;
    }
}

/* People like one category most, another one somewhat, and have a will of their own. */
static void draw_user(struct shop *shop, uint32_t index)
{
    struct rand *rand = &shop->rand;
    struct shop_user *user = &shop->users[index];
    const int8_t *first = shop->category[rand_below(rand, shop->category_count)].taste;
    const int8_t *second = shop->category[rand_below(rand, shop->category_count)].taste;
    for (int f = 0; f < SHOP_FACTORS; f++)
        user->taste[f] = (int8_t)((4 * first[f] + 2 * second[f] + 3 * bell(rand)) / 9);
    user->thrift = (uint8_t)rand_below(rand, SHOP_THRIFT_MAX + 1);
}

static enum err_code draw_shop(struct shop *shop, struct err *err)
{
    const struct shop_options *options = &shop->options;
    uint32_t *ranks = calloc(options->items, sizeof *ranks);
    if (ranks == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %u items", options->items);
    for (uint32_t i = 0; i < shop->category_count; i++)
        draw_category(shop, i);
    draw_ranks(&shop->rand, ranks, options->items);
    for (uint32_t i = 0, category = 0; i < options->items; i++) {
        while (i >= shop->category[category].first + shop->category[category].count)
            category++;
        draw_item(shop, i, category, ranks[i]);
    }
    for (uint32_t i = 0; i < options->users; i++)
        draw_user(shop, i);
    free(ranks);
    return ERR_OK;
}

enum err_code shop_create(const struct shop_options *options, struct shop **ret_shop,
                          struct err *err)
{
    ASSERT(options->users >= 1 && options->items >= SHOP_ITEMS_MIN && options->days >= 1);
    struct shop *shop = calloc(1, sizeof *shop);
    if (shop == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a shop");
    enum err_code rc = ERR_OK;
    shop->options = *options;
    shop->category_count = options->items / ITEMS_PER_CATEGORY;
    if (shop->category_count < SHOP_ITEMS_MIN)
        shop->category_count = SHOP_ITEMS_MIN;
    if (shop->category_count > SHOP_CATEGORIES_MAX)
        shop->category_count = SHOP_CATEGORIES_MAX;
    shop->items = calloc(options->items, sizeof *shop->items);
    shop->users = calloc(options->users, sizeof *shop->users);
    rand_init(&shop->rand, options->seed);
    if (shop->items == NULL || shop->users == NULL)
        rc = err_set(err, ERR_NOMEM, "out of memory for %u users and %u items", options->users,
                     options->items);
    if (rc == ERR_OK)
        rc = draw_shop(shop, err);
    if (rc == ERR_OK) {
        *ret_shop = shop;
        shop = NULL;
    }
    shop_destroy(&shop);
    return rc;
}

void shop_destroy(struct shop **shop)
{
    if (*shop == NULL)
        return;
    free((*shop)->items);
    free((*shop)->users);
    free(*shop);
    *shop = NULL;
}

int32_t shop_affinity(const int8_t a[SHOP_FACTORS], const int8_t b[SHOP_FACTORS])
{
    int32_t product = 0;
    for (int f = 0; f < SHOP_FACTORS; f++)
        product += (int32_t)a[f] * b[f];
    return product / SHOP_AFFINITY_DIVISOR;
}

int32_t shop_season(const struct shop_category *category, uint32_t day_of_year)
{
    /* By months from the peak: twice the average then, half of it half a year later. */
    static const int8_t by_distance[7] = {16, 12, 6, 0, -6, -12, -16};
    uint32_t month = day_of_year * 12 / 366;
    uint32_t distance = (month + 12 - category->peak_month) % 12;
    return by_distance[distance > 6 ? 12 - distance : distance];
}
