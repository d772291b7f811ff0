/* SPDX-License-Identifier: Apache-2.0 */
/* bench_store - what a person with a full history costs, and how fast events and refreshes are.
 *
 * usage: bench_store [PEOPLE [ITEMS]]       (default 200000 people, 20000 items)
 *
 * Bytes are counted three ways: by the store's own figures, by the allocator (mallinfo2) and by the
 * resident set; they should agree. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/num.h"
#include "base/rand.h"
#include "featurestore/store_internal.h"
#include "tests/support/events.h"

enum { HISTORY_ITEMS = 50, CATEGORIES = 500 };

#define NOW_MS INT64_C(1700000000000)

static struct events events;
static struct clock_manual clock_now;

static uint64_t resident_bytes(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "r");
    uint64_t size = 0, resident = 0;
    if (file == NULL || fgets(line, sizeof line, file) == NULL ||
        sscanf(line, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t allocated_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void apply(struct store *store)
{
    size_t len = events_end(&events);
    events_apply(store, &events, len, NOW_MS);
    retire_flush(&store->retire);
    if (store->result.rejected > 0) {
        fprintf(stderr, "bench_store: %s\n", store->result.rejection[0].message);
        exit(1);
    }
    events_begin(&events);
}

static void load_items(struct store *store, uint32_t items)
{
    char json[128];
    for (uint32_t i = 0; i < items; i++) {
        snprintf(json, sizeof json,
                 "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"item-%u\",\"category\":\"c%u\"}]}",
                 i, i % CATEGORIES);
        events_add_json(&events, json);
        if (events.count == 1000 || i + 1 == items)
            apply(store);
    }
}

/* Every person views HISTORY_ITEMS distinct items, in turns with others, as in a shop. */
static double load_people(struct store *store, uint32_t people, uint32_t items)
{
    static const char *const types[] = {"view", "cart_add", "purchase"};
    struct rand rand;
    uint64_t spent_ns = 0;
    rand_init(&rand, 1);
    for (uint32_t round = 0; round < HISTORY_ITEMS; round++) {
        for (uint32_t u = 0; u < people; u++) {
            char user[32], item[32];
            snprintf(user, sizeof user, "user-%u", u);
            /* A stride of its own for each round, so that no person meets an item twice. */
            snprintf(item, sizeof item, "item-%u",
                     (uint32_t)((u * UINT64_C(7919) + (uint64_t)round * (items / HISTORY_ITEMS)) %
                                items));
            events_add(&events, types[rand_below(&rand, 3)], user, item,
                       NOW_MS - (int64_t)rand_below(&rand, 86400000));
            if (events.count == 1000 || u + 1 == people) {
                uint64_t began_ns = clock_now_ns(clock_system());
                apply(store);
                spent_ns += clock_now_ns(clock_system()) - began_ns;
            }
        }
    }
    return (double)people * HISTORY_ITEMS / ((double)spent_ns / 1e9);
}

static double refresh_ms(struct store *store)
{
    uint64_t best_ns = UINT64_MAX;
    for (int i = 0; i < 5; i++) {
        uint64_t began_ns = clock_now_ns(clock_system());
        store_refresh_all(store);
        uint64_t took_ns = clock_now_ns(clock_system()) - began_ns;
        best_ns = took_ns < best_ns ? took_ns : best_ns;
        retire_flush(&store->retire);
    }
    return (double)best_ns / 1e6;
}

static uint32_t argument(int argc, char **argv, int at, uint32_t otherwise)
{
    int64_t value = otherwise;
    if (argc > at && !num_parse_int(text_of(argv[at]), HISTORY_ITEMS, 16000000, &value)) {
        fprintf(stderr, "usage: bench_store [PEOPLE [ITEMS]]\n");
        exit(2);
    }
    return (uint32_t)value;
}

int main(int argc, char **argv)
{
    uint32_t people = argument(argc, argv, 1, 200000);
    uint32_t items = argument(argc, argv, 2, 20000);
    const struct store_limits limits = {.items_max = items,
                                        .people_max = people,
                                        .history_items_max = HISTORY_ITEMS,
                                        .queue_events_max = 1000};
    struct store *store = NULL;
    struct err err;
    struct store_stats before, after;
    clock_manual_init(&clock_now, 1, NOW_MS);
    if (store_create(&limits, &clock_now.clock, &store, &err) != ERR_OK) {
        fprintf(stderr, "bench_store: %s\n", err.text);
        return 1;
    }
    events_begin(&events);
    load_items(store, items);
    store_stats(store, &before);
    uint64_t allocated = allocated_bytes();
    uint64_t resident = resident_bytes();
    double rate = load_people(store, people, items);
    store_stats(store, &after);
    uint64_t counts = after.bytes_counts - before.bytes_counts;
    uint64_t id_bytes = 0;
    for (uint32_t u = 0; u < people; u++)
        id_bytes += idmap_text(store->users.ids, u).len;
    double n = (double)people;
    printf("people %u, history entries %" PRIu64
           ", items %u in %u categories, items with counts %u\n",
           people, after.history_entries, items, CATEGORIES, store->active_count);
    printf("bytes a person beyond the id: store %.1f, allocator %.1f, resident %.1f\n",
           (double)(after.bytes_people - before.bytes_people - id_bytes) / n,
           (double)(allocated_bytes() - allocated - counts - id_bytes) / n,
           (double)(resident_bytes() - resident - counts - id_bytes) / n);
    printf("events applied a second: %.0f\n", rate);
    printf("refresh of all windows and top lists: %.1f ms\n", refresh_ms(store));
    store_destroy(&store);
    return 0;
}
