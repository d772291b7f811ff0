/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/simulate.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/shop/fixed.h"
#include "tools/shop/sampler.h"

#define MS_PER_S    INT64_C(1000)
#define MS_PER_HOUR (3600 * MS_PER_S)
#define MS_PER_DAY  (24 * MS_PER_HOUR)
#define S_PER_DAY   INT64_C(86400)

enum {
    DAYS_PER_VISIT = 11, /* of the average person */
    PAGES_MAX = 3,
    USER_OFFSET_SHARE = 10, /* activity falls with 1 / (rank + users / this) */
    PERCENT = 100,
};

/* Monday first. */
static const uint8_t weekday_percent[7] = {95, 85, 88, 92, 100, 125, 115};
/* January first. */
static const uint8_t month_percent[12] = {90, 85, 92, 95, 98, 95, 88, 90, 98, 105, 125, 140};
static const uint8_t hour_weight[23] = {1,  0,  0, 0, 0, 1,  3,  6,  8,  9,  9, 10,
                                        12, 10, 8, 8, 9, 11, 13, 16, 18, 14, 8};
/* Of the chance at the top of a page. */
static const uint8_t place_percent[SIMULATE_PAGE_ITEMS] = {100, 85, 73, 63, 55, 48,
                                                           42,  37, 33, 30, 27, 25};

/* One visit of one person. */
struct visit {
    struct simulation *sim;
    const struct shop_user *user;
    uint32_t user_index;
    uint32_t day_of_year;
    int64_t now_ms;
    struct shop_line cart[SIMULATE_CART_MAX];
    uint32_t cart_count;
};

/* ---- the day's record ------------------------------------------------------------------------ */

/* The array with twice the room, or NULL; *capacity changes with it. */
static void *grown(void *array, uint32_t *capacity, size_t bytes)
{
    uint32_t wanted = *capacity == 0 ? 4096 : *capacity * 2;
    void *larger = wanted < *capacity ? NULL : realloc(array, wanted * bytes);
    if (larger != NULL)
        *capacity = wanted;
    return larger;
}

static enum err_code make_room(struct simulation *sim, uint32_t line_count, struct err *err)
{
    if (sim->event_count == sim->event_capacity) {
        void *events = grown(sim->events, &sim->event_capacity, sizeof *sim->events);
        if (events == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for the events of a day");
        sim->events = events;
    }
    if (sim->line_capacity - sim->line_count < line_count) {
        void *lines = grown(sim->lines, &sim->line_capacity, sizeof *sim->lines);
        if (lines == NULL)
            return err_set(err, ERR_NOMEM, "out of memory for the items of a day's events");
        sim->lines = lines;
    }
    return ERR_OK;
}

static enum err_code add_event(struct visit *visit, enum event_type type,
                               const struct shop_line *lines, uint32_t line_count, struct err *err)
{
    struct simulation *sim = visit->sim;
    enum err_code rc = make_room(sim, line_count, err);
    if (rc != ERR_OK)
        return rc;
    sim->events[sim->event_count++] = (struct shop_event){.ts_ms = visit->now_ms,
                                                          .type = type,
                                                          .user = visit->user_index,
                                                          .session = sim->session_count,
                                                          .line_first = sim->line_count,
                                                          .line_count = line_count};
    memcpy(sim->lines + sim->line_count, lines, line_count * sizeof *lines);
    sim->line_count += line_count;
    return ERR_OK;
}

/* ---- one visit --------------------------------------------------------------------------------
 */

static bool happens(struct rand *rand, uint64_t chance)
{
    return rand_below(rand, FIXED_ONE) < chance;
}

static void pass_time(struct visit *visit, uint32_t from_s, uint32_t to_s)
{
    visit->now_ms += from_s * MS_PER_S +
                     (int64_t)rand_below(&visit->sim->rand, (to_s - from_s) * (uint64_t)MS_PER_S);
}

static uint64_t view_chance(const struct visit *visit, uint32_t item, uint32_t place)
{
    const struct shop *shop = visit->sim->shop;
    int32_t affinity = shop_affinity(visit->user->taste, shop->items[item].taste);
    uint64_t chance = SIMULATE_VIEW_CHANCE * fixed_exp2(affinity) / FIXED_ONE;
    chance = chance * place_percent[place] / PERCENT;
    return chance > SIMULATE_VIEW_CHANCE_MAX ? SIMULATE_VIEW_CHANCE_MAX : chance;
}

/* Half the affinity counts once more, and each tier of the price puts the thrifty off. */
static uint64_t cart_chance(const struct visit *visit, const struct shop_item *item)
{
    int32_t affinity = shop_affinity(visit->user->taste, item->taste);
    int32_t price = visit->user->thrift * item->tier * 2;
    uint64_t chance = SIMULATE_CART_CHANCE * fixed_exp2(affinity / 2 - price) / FIXED_ONE;
    return item->stock == 0 ? 0 : chance;
}

static enum err_code view_item(struct visit *visit, uint32_t index, struct err *err)
{
    struct rand *rand = &visit->sim->rand;
    const struct shop_item *item = &visit->sim->shop->items[index];
    struct shop_line line = {index, 1};
    pass_time(visit, 4, 40);
    enum err_code rc = add_event(visit, EVENT_view, &line, 1, err);
    if (rc != ERR_OK || visit->cart_count == SIMULATE_CART_MAX ||
        !happens(rand, cart_chance(visit, item)))
        return rc;
    if (visit->sim->shop->category[item->category].is_consumable)
        line.qty = (uint16_t)(1 + rand_below(rand, 3));
    visit->cart[visit->cart_count++] = line;
    pass_time(visit, 2, 15);
    return add_event(visit, EVENT_cart_add, &line, 1, err);
}

static uint32_t choose_category(const struct visit *visit)
{
    const struct shop *shop = visit->sim->shop;
    uint64_t sums[SHOP_CATEGORIES_MAX];
    for (uint32_t i = 0; i < shop->category_count; i++) {
        const struct shop_category *category = &shop->category[i];
        sums[i] = fixed_exp2(shop_affinity(visit->user->taste, category->taste) +
                             shop_season(category, visit->day_of_year));
    }
    sampler_sum(sums, shop->category_count);
    return sampler_draw(sums, shop->category_count, &visit->sim->rand);
}

static bool is_on_page(const struct shop_line *page, uint32_t count, uint32_t item)
{
    for (uint32_t i = 0; i < count; i++) {
        if (page[i].item == item)
            return true;
    }
    return false;
}

/* Items of the category by popularity, each once; fewer when the category is small. */
static uint32_t draw_page(const struct visit *visit, struct shop_line page[SIMULATE_PAGE_ITEMS])
{
    const struct shop_category *category = &visit->sim->shop->category[choose_category(visit)];
    const uint64_t *sums = visit->sim->item_sums + category->first;
    uint32_t count = 0;
    for (int tries = 0; tries < 3 * SIMULATE_PAGE_ITEMS && count < SIMULATE_PAGE_ITEMS; tries++) {
        uint32_t item = category->first + sampler_draw(sums, category->count, &visit->sim->rand);
        if (!is_on_page(page, count, item))
            page[count++] = (struct shop_line){item, 1};
    }
    return count;
}

static enum err_code see_page(struct visit *visit, struct err *err)
{
    struct shop_line page[SIMULATE_PAGE_ITEMS];
    uint32_t count = draw_page(visit, page);
    enum err_code rc = add_event(visit, EVENT_impression, page, count, err);
    for (uint32_t i = 0; rc == ERR_OK && i < count; i++) {
        if (happens(&visit->sim->rand, view_chance(visit, page[i].item, i)))
            rc = view_item(visit, page[i].item, err);
    }
    pass_time(visit, 10, 60);
    return rc;
}

/* A consumable that ran out is bought anew, without a page that showed it. */
static enum err_code fetch_again(struct visit *visit, struct err *err)
{
    uint32_t again = visit->sim->again[visit->user_index];
    if (again == 0 || !happens(&visit->sim->rand, SIMULATE_AGAIN_CHANCE))
        return ERR_OK;
    struct shop_line line = {again - 1, (uint16_t)(1 + rand_below(&visit->sim->rand, 3))};
    enum err_code rc = add_event(visit, EVENT_view, &line, 1, err);
    pass_time(visit, 2, 15);
    visit->cart[visit->cart_count++] = line;
    return rc == ERR_OK ? add_event(visit, EVENT_cart_add, &line, 1, err) : rc;
}

static enum err_code check_out(struct visit *visit, struct err *err)
{
    if (visit->cart_count == 0 || !happens(&visit->sim->rand, SIMULATE_BUY_CHANCE))
        return ERR_OK;
    pass_time(visit, 60, 300);
    for (uint32_t i = 0; i < visit->cart_count; i++) {
        const struct shop *shop = visit->sim->shop;
        uint32_t item = visit->cart[i].item;
        if (shop->category[shop->items[item].category].is_consumable)
            visit->sim->again[visit->user_index] = item + 1;
    }
    return add_event(visit, EVENT_purchase, visit->cart, visit->cart_count, err);
}

static enum err_code one_visit(struct visit *visit, struct err *err)
{
    struct rand *rand = &visit->sim->rand;
    uint64_t page_count = 1 + rand_below(rand, PAGES_MAX);
    visit->sim->session_count++;
    enum err_code rc = fetch_again(visit, err);
    for (uint64_t i = 0; rc == ERR_OK && i < page_count; i++)
        rc = see_page(visit, err);
    return rc == ERR_OK ? check_out(visit, err) : rc;
}

/* ---- days -------------------------------------------------------------------------------------
 */

/* What each item weighs today: its popularity on its trend's way, or nothing before its launch. */
static void weigh_items(struct simulation *sim, uint32_t day)
{
    const struct shop *shop = sim->shop;
    int32_t days = (int32_t)shop->options.days;
    for (uint32_t c = 0; c < shop->category_count; c++) {
        const struct shop_category *category = &shop->category[c];
        for (uint32_t i = category->first; i < category->first + category->count; i++) {
            const struct shop_item *item = &shop->items[i];
            int32_t trend = item->trend * (2 * (int32_t)day - days) / (2 * days);
            sim->item_sums[i] = day < item->launch_day ? 0 : fixed_exp2(item->popularity + trend);
        }
        sim->item_sums[category->first] += 1; /* so that there is something to see in any case */
        sampler_sum(sim->item_sums + category->first, category->count);
    }
}

static void weigh_users(struct simulation *sim)
{
    uint32_t count = sim->shop->options.users;
    for (uint32_t i = 0; i < count; i++)
        sim->user_sums[i] = (uint64_t)FIXED_ONE * FIXED_ONE / (i + count / USER_OFFSET_SHARE + 1);
    sampler_sum(sim->user_sums, count);
}

static uint64_t visit_count(const struct simulation *sim, const struct tm *date)
{
    uint64_t average = sim->shop->options.users / DAYS_PER_VISIT + 1;
    return average * weekday_percent[(date->tm_wday + 6) % 7] * month_percent[date->tm_mon] /
               (PERCENT * PERCENT) +
           1;
}

static int compare_events(const void *a, const void *b)
{
    const struct shop_event *left = a;
    const struct shop_event *right = b;
    if (left->ts_ms != right->ts_ms)
        return left->ts_ms < right->ts_ms ? -1 : 1;
    return left->line_first < right->line_first ? -1 : 1; /* in the order of happening */
}

enum err_code simulate_day(struct simulation *sim, uint32_t day, struct err *err)
{
    const struct shop *shop = sim->shop;
    uint64_t hour_sums[sizeof hour_weight];
    int64_t since_epoch = (int64_t)shop->options.end_day - shop->options.days + day;
    time_t seconds = (time_t)(since_epoch * S_PER_DAY);
    struct tm date;
    gmtime_r(&seconds, &date);
    sim->event_count = 0;
    sim->line_count = 0;
    for (size_t i = 0; i < sizeof hour_weight; i++)
        hour_sums[i] = hour_weight[i];
    sampler_sum(hour_sums, sizeof hour_weight);
    weigh_items(sim, day);
    uint64_t visits = visit_count(sim, &date);
    for (uint64_t i = 0; i < visits; i++) {
        struct visit visit = {.sim = sim, .day_of_year = (uint32_t)date.tm_yday};
        visit.user_index = sampler_draw(sim->user_sums, shop->options.users, &sim->rand);
        visit.user = &shop->users[visit.user_index];
        /* One draw a statement: the order of draws must not be the compiler's choice. */
        visit.now_ms = since_epoch * MS_PER_DAY;
        visit.now_ms += sampler_draw(hour_sums, sizeof hour_weight, &sim->rand) * MS_PER_HOUR;
        visit.now_ms += (int64_t)rand_below(&sim->rand, MS_PER_HOUR);
        enum err_code rc = one_visit(&visit, err);
        if (rc != ERR_OK)
            return rc;
        ASSERT(visit.now_ms < (since_epoch + 1) * MS_PER_DAY);
    }
    qsort(sim->events, sim->event_count, sizeof *sim->events, compare_events);
    return ERR_OK;
}

enum err_code simulation_create(const struct shop *shop, struct simulation **ret_sim,
                                struct err *err)
{
    struct simulation *sim = calloc(1, sizeof *sim);
    if (sim == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for a simulation");
    sim->shop = shop;
    sim->rand = shop->rand;
    sim->user_sums = calloc(shop->options.users, sizeof *sim->user_sums);
    sim->item_sums = calloc(shop->options.items, sizeof *sim->item_sums);
    sim->again = calloc(shop->options.users, sizeof *sim->again);
    if (sim->user_sums == NULL || sim->item_sums == NULL || sim->again == NULL) {
        simulation_destroy(&sim);
        return err_set(err, ERR_NOMEM, "out of memory for %u users and %u items",
                       shop->options.users, shop->options.items);
    }
    weigh_users(sim);
    *ret_sim = sim;
    return ERR_OK;
}

void simulation_destroy(struct simulation **sim)
{
    if (*sim == NULL)
        return;
    free((*sim)->user_sums);
    free((*sim)->item_sums);
    free((*sim)->again);
    free((*sim)->events);
    free((*sim)->lines);
    free(*sim);
    *sim = NULL;
}
