/* SPDX-License-Identifier: Apache-2.0 */
/* How long it takes to find what is alike by content, over a made-up catalogue: four words a title,
 * some of which are far more common than others, a thousand categories and as many brands.
 *   usage: bench_content [ITEMS] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/num.h"
#include "base/rand.h"
#include "server/decide/lists.h"
#include "tests/support/store_rig.h"

enum { ITEMS_OF_EVENT = 50, WORDS = 20000, CATEGORIES = 1000, BRANDS = 1000 };

static size_t write_item(struct rand *rand, uint32_t number, char *at, size_t room)
{
    uint32_t word[4];
    for (int i = 0; i < 4; i++)
        word[i] = (uint32_t)(WORDS * pow(rand_unit(rand), 3));
    return (size_t)snprintf(at, room,
                            "%s{\"id\": \"i%u\", \"title\": \"w%u w%u w%u w%u\", \"category\": "
                            "\"c%u\", \"brand\": \"b%u\"}",
                            number % ITEMS_OF_EVENT == 0 ? "" : ", ", number, word[0], word[1],
                            word[2], word[3], number % CATEGORIES,
                            (uint32_t)rand_below(rand, BRANDS));
}

static void fill(struct store_rig *rig, uint32_t items)
{
    static char json[ITEMS_OF_EVENT * 200 + 100];
    struct rand rand;
    rand_init(&rand, 7);
    for (uint32_t first = 0; first < items; first += ITEMS_OF_EVENT) {
        size_t used =
            (size_t)snprintf(json, sizeof json, "{\"type\": \"item_upsert\", \"items\": [");
        for (uint32_t i = first; i < first + ITEMS_OF_EVENT && i < items; i++)
            used += write_item(&rand, i, json + used, sizeof json - used);
        snprintf(json + used, sizeof json - used, "]}");
        store_rig_apply_json(rig, json);
    }
}

int main(int argc, char **argv)
{
    static const char policies[] =
        "{\"slots\": {\"alike\": {\"sources\": [{\"source\": \"content\"}]}}}";
    int64_t items = 100000;
    struct err err = {.text = ""};
    struct policy_set *set = NULL;
    struct list_set *lists = NULL;
    struct store_rig rig;
    if (argc > 1 && !num_parse_int(text_of(argv[1]), 1, 16000000, &items)) {
        fputs("usage: bench_content [ITEMS]\n", stderr);
        return 2;
    }
    const struct store_limits limits = {.items_max = (uint32_t)items,
                                        .people_max = 1,
                                        .history_items_max = 1,
                                        .queue_events_max = 2000,
                                        .prices_max = 0};
    store_rig_create(&rig, &limits);
    fill(&rig, (uint32_t)items);
    uint64_t began_ns = clock_now_ns(clock_system());
    if (policy_parse("policies", policies, sizeof policies - 1, rig.store, &set, &err) != ERR_OK ||
        lists_make(set, rig.store, (struct lists_before){NULL, false},
                   (struct list_stop){NULL, NULL}, &lists, &err) != ERR_OK) {
        fprintf(stderr, "bench_content: %s\n", err.text);
        return 1;
    }
    uint64_t took_ns = clock_now_ns(clock_system()) - began_ns;
    uint64_t entries = 0, sum = 0;
    for (uint32_t i = 0; i < (uint32_t)items; i++) {
        struct list_items alike = list_items(lists->list[0], i);
        entries += alike.count;
        for (uint32_t k = 0; k < alike.count; k++)
            sum +=
                (uint64_t)alike.entry[k].item * (k + 1) + (uint64_t)(alike.entry[k].value * 1e6f);
    }
    printf("%lld items: %.1f s, %.1f us an item, %.1f alike to each (checksum %llu)\n",
           (long long)items, (double)took_ns / 1e9, (double)took_ns / 1e3 / (double)items,
           (double)entries / (double)items, (unsigned long long)sum);
    lists_destroy(&lists);
    policy_destroy(&set);
    store_rig_destroy(&rig);
    return 0;
}
