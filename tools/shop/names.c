/* SPDX-License-Identifier: Apache-2.0 */
/* What things in the shop are called. */
#include <stdio.h>

#include "tools/shop/shop.h"

enum { NOUNS = 4, ADJECTIVES = 16, COLOURS = 8 };

static const struct {
    const char *name;
    bool is_consumable;
    const char *nouns[NOUNS];
} categories[SHOP_CATEGORIES_MAX] = {
    {"kitchen", false, {"kettle", "pan", "bread knife", "bowl"}},
    {"garden", false, {"watering can", "spade", "planter", "lantern"}},
    {"coffee-and-tea", true, {"espresso beans", "green tea", "filter coffee", "chai"}},
    {"bathroom", false, {"towel", "soap dish", "bath mat", "mirror"}},
    {"toys", false, {"puzzle", "wooden train", "plush bear", "kite"}},
    {"stationery", true, {"notebook", "fountain pen", "pencil case", "calendar"}},
    {"sweets", true, {"chocolate bar", "caramels", "liquorice", "biscuits"}},
    {"lighting", false, {"desk lamp", "floor lamp", "fairy lights", "candle"}},
    {"outdoor", false, {"tent", "sleeping bag", "flask", "rucksack"}},
    {"pets", true, {"dog food", "cat litter", "chew toy", "bird seed"}},
    {"winter", false, {"scarf", "woollen hat", "gloves", "hot-water bottle"}},
    {"fitness", false, {"yoga mat", "dumbbell", "skipping rope", "foam roller"}},
    {"cosmetics", true, {"hand cream", "shampoo", "lip balm", "face mask"}},
    {"audio", false, {"headphones", "radio", "speaker", "turntable"}},
    {"bedding", false, {"pillow", "duvet", "fitted sheet", "blanket"}},
    {"cycling", false, {"bell", "helmet", "pannier", "pump"}},
};

static const char *const adjectives[ADJECTIVES] = {
    "Copper",  "Plain",   "Small",  "Large",  "Classic", "Nordic", "Folding", "Handmade",
    "Striped", "Organic", "Modern", "Rustic", "Light",   "Sturdy", "Round",   "Travel"};

static const char *const colours[COLOURS] = {"red",   "blue",  "green", "white",
                                             "black", "ochre", "grey",  "natural"};

static const char *const brands[SHOP_BRANDS] = {"Alder", "Birkwood", "Corvid",  "Dunmore",
                                                "Elbe",  "Fennick",  "Greta",   "Halden",
                                                "Ines",  "Juno",     "Kestrel", "Lumen"};

const char *shop_category_name(uint32_t category)
{
    ASSERT(category < SHOP_CATEGORIES_MAX);
    return categories[category].name;
}

bool shop_category_is_consumable(uint32_t category)
{
    ASSERT(category < SHOP_CATEGORIES_MAX);
    return categories[category].is_consumable;
}

const char *shop_brand_name(uint32_t brand)
{
    ASSERT(brand < SHOP_BRANDS);
    return brands[brand];
}

char *shop_title(const struct shop_item *item, char buf[SHOP_TITLE_BYTES])
{
    snprintf(buf, SHOP_TITLE_BYTES, "%s %s", adjectives[item->title % ADJECTIVES],
             categories[item->category].nouns[item->title / ADJECTIVES % NOUNS]);
    return buf;
}

const char *shop_colour(const struct shop_item *item)
{
    return colours[(item->title + item->brand) % COLOURS];
}
