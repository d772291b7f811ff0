/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/shop_files.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"

#define MS_PER_DAY INT64_C(86400000)
#define CURRENCY   "EUR"

int64_t shop_from_ms(const struct shop *shop)
{
    return ((int64_t)shop->options.end_day - shop->options.days) * MS_PER_DAY;
}

int64_t shop_to_ms(const struct shop *shop)
{
    return (int64_t)shop->options.end_day * MS_PER_DAY;
}

enum err_code shop_file_open(const char *dir, const char *name, FILE **ret_file, struct err *err)
{
    char path[FILE_PATH_BYTES];
    enum err_code rc = file_join(dir, name, path, sizeof path, err);
    if (rc != ERR_OK)
        return rc;
    *ret_file = fopen(path, "we");
    return *ret_file == NULL ? err_set(err, ERR_IO, "cannot write '%s': %s", path, strerror(errno))
                             : ERR_OK;
}

enum err_code shop_file_close(const char *name, FILE **file, struct err *err)
{
    bool is_bad = ferror(*file) != 0;
    is_bad = fclose(*file) != 0 || is_bad;
    *file = NULL;
    return is_bad ? err_set(err, ERR_IO, "'%s' is not complete: %s", name, strerror(errno))
                  : ERR_OK;
}

void shop_write_items(const struct shop *shop, FILE *to)
{
    char title[SHOP_TITLE_BYTES];
    for (uint32_t i = 0; i < shop->options.items; i++) {
        const struct shop_item *item = &shop->items[i];
        const char *brand = shop_brand_name(item->brand);
        fprintf(to,
                "{\"id\":\"i%u\",\"title\":\"%s %s\",\"category\":\"%s\",\"brand\":\"%s\","
                "\"price\":%" PRId64 ",\"cost\":%" PRId64
                ",\"stock\":%d,\"attributes\":{\"colour\":"
                "\"%s\"},\"currency\":\"" CURRENCY "\",\"ts\":%" PRId64 "}\n",
                i + 1, brand, shop_title(item, title), shop_category_name(item->category), brand,
                item->price_minor, item->cost_minor, item->stock, shop_colour(item),
                shop_from_ms(shop));
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

/* Impressions have places, what goes into the cart has a number and a price. */
static void write_line(const struct simulation *sim, const struct shop_event *event, uint32_t index,
                       FILE *to)
{
    const struct shop_line *line = &sim->lines[event->line_first + index];
    fprintf(to, "%s{\"id\":\"i%u\"", index == 0 ? "" : ",", line->item + 1);
    if (event->type == EVENT_impression)
        fprintf(to, ",\"pos\":%u", index);
    if (event->type == EVENT_cart_add || event->type == EVENT_purchase)
        fprintf(to, ",\"qty\":%u,\"price\":%" PRId64, line->qty,
                sim->shop->items[line->item].price_minor);
    fputc('}', to);
}

static int64_t total_of(const struct simulation *sim, const struct shop_event *event)
{
    int64_t total_minor = 0;
    for (uint32_t i = 0; i < event->line_count; i++) {
        const struct shop_line *line = &sim->lines[event->line_first + i];
        total_minor += line->qty * sim->shop->items[line->item].price_minor;
    }
    return total_minor;
}

void shop_write_events(const struct simulation *sim, uint64_t *number, FILE *to)
{
    uint64_t seed = sim->shop->options.seed;
    for (uint32_t i = 0; i < sim->event_count; i++) {
        const struct shop_event *event = &sim->events[i];
        const struct shop_item *first = &sim->shop->items[sim->lines[event->line_first].item];
        (*number)++;
        fprintf(to,
                "{\"id\":\"e%" PRIu64 "-%" PRIu64 "\",\"type\":\"%s\",\"ts\":%" PRId64
                ",\"user\":\"u%u\",\"session\":\"s%" PRIu64 "\",\"items\":[",
                seed, *number, event_type_name(event->type), event->ts_ms, event->user + 1,
                event->session);
        for (uint32_t line = 0; line < event->line_count; line++)
            write_line(sim, event, line, to);
        fputc(']', to);
        if (event->type == EVENT_impression)
            fprintf(to, ",\"list\":\"%s\"", shop_category_name(first->category));
        if (event->type == EVENT_cart_add || event->type == EVENT_purchase)
            fputs(",\"currency\":\"" CURRENCY "\"", to);
        if (event->type == EVENT_purchase)
            fprintf(to, ",\"order\":\"o%" PRIu64 "-%" PRIu64 "\",\"total\":%" PRId64, seed,
                    event->session, total_of(sim, event));
        fputs("}\n", to);
    }
}

/* ---- truth ----------------------------------------------------------------------------------- */

static void write_taste(const int8_t taste[SHOP_FACTORS], FILE *to)
{
    fputs("\"taste\":[", to);
    for (int f = 0; f < SHOP_FACTORS; f++)
        fprintf(to, "%s%d", f == 0 ? "" : ",", taste[f]);
    fputs("]}", to);
}

static void write_model(const struct shop *shop, FILE *to)
{
    char from[CLOCK_ISO_BYTES];
    char behind[CLOCK_ISO_BYTES];
    const struct shop_options *options = &shop->options;
    fprintf(to,
            "{\"format\":1,\"seed\":%" PRIu64 ",\"users\":%u,\"items\":%u,\"days\":%u,\n"
            "\"from\":\"%s\",\"to\":\"%s\",\n",
            options->seed, options->users, options->items, options->days,
            clock_format_iso(shop_from_ms(shop), from), clock_format_iso(shop_to_ms(shop), behind));
    fprintf(
        to,
        "\"model\":{\n"
        "\"unit\":\"logarithms count sixteenths of an octave: 16 doubles\",\n"
        "\"affinity\":\"sum of user taste * item taste, / %d\",\n"
        "\"shown\":\"category by 2^((affinity + season) / 16), its items by 2^((popularity + "
        "trend * (day / days - 0.5)) / 16)\",\n"
        "\"view\":\"chance %.4f * 2^(affinity / 16) * place, at most %.2f\",\n"
        "\"cart_add\":\"chance %.4f * 2^((affinity / 2 - 2 * thrift * tier) / 16) of a view\",\n"
        "\"purchase\":\"chance %.4f of a cart\",\n"
        "\"again\":\"chance %.4f of a session, of the consumable bought last\"},\n",
        SHOP_AFFINITY_DIVISOR, SIMULATE_VIEW_CHANCE / 65536.0, SIMULATE_VIEW_CHANCE_MAX / 65536.0,
        SIMULATE_CART_CHANCE / 65536.0, SIMULATE_BUY_CHANCE / 65536.0,
        SIMULATE_AGAIN_CHANCE / 65536.0);
}

void shop_write_truth(const struct shop *shop, FILE *to)
{
    write_model(shop, to);
    for (uint32_t i = 0; i < shop->category_count; i++) {
        const struct shop_category *category = &shop->category[i];
        fprintf(to, "%s{\"name\":\"%s\",\"peak_month\":%u,\"consumable\":%s,",
                i == 0 ? "\"category\":[\n" : ",\n", shop_category_name(i),
                category->peak_month + 1u, category->is_consumable ? "true" : "false");
        write_taste(category->taste, to);
    }
    for (uint32_t i = 0; i < shop->options.items; i++) {
        const struct shop_item *item = &shop->items[i];
        fprintf(to,
                "%s{\"id\":\"i%u\",\"popularity\":%d,\"trend\":%d,\"tier\":%u,\"launch_day\":%u,",
                i == 0 ? "],\n\"item\":[\n" : ",\n", i + 1, item->popularity, item->trend,
                item->tier, item->launch_day);
        write_taste(item->taste, to);
    }
    for (uint32_t i = 0; i < shop->options.users; i++) {
        fprintf(to, "%s{\"id\":\"u%u\",\"thrift\":%u,", i == 0 ? "],\n\"user\":[\n" : ",\n", i + 1,
                shop->users[i].thrift);
        write_taste(shop->users[i].taste, to);
    }
    fputs("]}\n", to);
}
