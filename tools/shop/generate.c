/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/shop/generate.h"

#include "base/file.h"
#include "tools/shop/shop_files.h"

static void count(const struct simulation *sim, struct generated *generated)
{
    for (uint32_t i = 0; i < sim->event_count; i++) {
        enum event_type type = sim->events[i].type;
        generated->impressions += type == EVENT_impression;
        generated->views += type == EVENT_view;
        generated->cart_adds += type == EVENT_cart_add;
        generated->purchases += type == EVENT_purchase;
    }
    generated->sessions = sim->session_count;
}

static enum err_code write_days(const struct shop *shop, struct progress *progress, FILE *to,
                                struct generated *generated, struct err *err)
{
    struct simulation *sim = NULL;
    enum err_code rc = simulation_create(shop, &sim, err);
    for (uint32_t day = 0; rc == ERR_OK && day < shop->options.days; day++) {
        rc = simulate_day(sim, day, err);
        if (rc != ERR_OK)
            break;
        shop_write_events(sim, &generated->events, to);
        count(sim, generated);
        progress_show(progress, (day + 1.0) / shop->options.days, generated->events);
    }
    simulation_destroy(&sim);
    progress_end(progress);
    return rc;
}

static enum err_code write_shop(const struct shop *shop, const char *dir, struct err *err)
{
    static const struct {
        const char *name;
        void (*write)(const struct shop *shop, FILE *to);
    } files[] = {{"items.ndjson", shop_write_items}, {"truth.json", shop_write_truth}};
    enum err_code rc = ERR_OK;
    for (size_t i = 0; rc == ERR_OK && i < sizeof files / sizeof files[0]; i++) {
        FILE *file = NULL;
        rc = shop_file_open(dir, files[i].name, &file, err);
        if (rc != ERR_OK)
            break;
        files[i].write(shop, file);
        rc = shop_file_close(files[i].name, &file, err);
    }
    return rc;
}

static enum err_code write_events(const struct shop *shop, const char *dir,
                                  struct progress *progress, struct generated *generated,
                                  struct err *err)
{
    struct err later;
    FILE *file = NULL;
    enum err_code rc = shop_file_open(dir, "events.ndjson", &file, err);
    if (rc != ERR_OK)
        return rc;
    rc = write_days(shop, progress, file, generated, err);
    enum err_code closed = shop_file_close("events.ndjson", &file, rc == ERR_OK ? err : &later);
    return rc == ERR_OK ? closed : rc;
}

enum err_code generate(const struct shop_options *options, const char *dir,
                       struct progress *progress, struct generated *ret_generated, struct err *err)
{
    struct shop *shop = NULL;
    struct generated generated = {0};
    enum err_code rc = file_make_dir(dir, err);
    if (rc == ERR_OK)
        rc = shop_create(options, &shop, err);
    if (rc == ERR_OK)
        rc = write_shop(shop, dir, err);
    if (rc == ERR_OK)
        rc = write_events(shop, dir, progress, &generated, err);
    if (rc == ERR_OK) {
        generated.from_ms = shop_from_ms(shop);
        generated.to_ms = shop_to_ms(shop);
        *ret_generated = generated;
    }
    shop_destroy(&shop);
    return rc;
}
