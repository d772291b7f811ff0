/* SPDX-License-Identifier: Apache-2.0 */
/* shop - a made-up shop whose truth is known: what each person likes, what is popular and when.
 *
 * People and items have vectors of SHOP_FACTORS tastes; their product is the affinity, in
 * sixteenths of an octave (fixed.h), and decides with position and price what is viewed and bought.
 * Items have a popularity after Zipf's law, a trend over the whole time, and some come late.
 * Categories have a season and may be bought again and again.
 *
 * Everything is drawn from one seed with whole numbers, so the same parameters give the same shop
 * everywhere.  Threads: one owner; immutable once made.  truth.json (shop_files.c) describes it. */
#ifndef TOOLS_SHOP_SHOP_H
#define TOOLS_SHOP_SHOP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/rand.h"

#define SHOP_FACTORS        8
#define SHOP_CATEGORIES_MAX 16
#define SHOP_BRANDS         12
#define SHOP_USERS_MAX      5000000
#define SHOP_ITEMS_MIN      4 /* one for each category */
#define SHOP_ITEMS_MAX      1000000
#define SHOP_DAYS_MAX       1830
#define SHOP_END_DEFAULT_DAY \
    20270 /* days since the epoch: 2025-07-01, the day after the last one */

#define SHOP_AFFINITY_DIVISOR 50 /* product of two vectors to sixteenths of an octave */
#define SHOP_THRIFT_MAX       3

struct shop_options {
    uint32_t users, items, days;
    uint32_t end_day; /* days since the epoch; the shop's time ends where it begins */
    uint64_t seed;
};

struct shop_category {
    int8_t taste[SHOP_FACTORS];
    uint8_t peak_month;    /* 0..11: when it sells best */
    bool is_consumable;    /* bought again */
    uint32_t first, count; /* its items, which are neighbors in the array */
};

struct shop_item {
    int8_t taste[SHOP_FACTORS];
    uint8_t category;
    uint8_t brand;
    uint8_t title;       /* which of the category's nouns and of the adjectives */
    uint8_t tier;        /* 0 (cheap) .. 3, within the category */
    int8_t trend;        /* sixteenths of an octave over the whole time */
    int16_t popularity;  /* the same unit, 0 for the most popular */
    uint16_t launch_day; /* 0: there from the start */
    int32_t stock;
    int64_t price_minor, cost_minor;
};

struct shop_user {
    int8_t taste[SHOP_FACTORS];
    uint8_t thrift; /* 0..SHOP_THRIFT_MAX: how much the price puts off */
};

struct shop {
    struct shop_options options;
    uint32_t category_count;
    struct shop_category category[SHOP_CATEGORIES_MAX];
    struct shop_item *items; /* owned */
    struct shop_user *users; /* owned */
    struct rand rand;        /* goes on where making the shop ended */
};

MUST_CHECK enum err_code shop_create(const struct shop_options *options, struct shop **ret_shop,
                                     struct err *err);
void shop_destroy(struct shop **shop);

/* Affinity of two vectors, in sixteenths of an octave. */
int32_t shop_affinity(const int8_t a[SHOP_FACTORS], const int8_t b[SHOP_FACTORS]);

/* How much better than on average a category sells on a day of the year (0..365). */
int32_t shop_season(const struct shop_category *category, uint32_t day_of_year);

const char *shop_category_name(uint32_t category); /* "garden" */
bool shop_category_is_consumable(uint32_t category);
const char *shop_brand_name(uint32_t brand);
/* "Copper kettle"; buf holds SHOP_TITLE_BYTES. */
#define SHOP_TITLE_BYTES 64
char *shop_title(const struct shop_item *item, char buf[SHOP_TITLE_BYTES]);
const char *shop_colour(const struct shop_item *item);

#endif
