/* SPDX-License-Identifier: Apache-2.0 */
/* bench_features - what it takes to read 50 features of one user and 100 items, and what a person
 * with 20 features costs.
 *
 * usage: bench_features [PEOPLE [ITEMS]]       (default 20000 people, 20000 items)
 *
 * Of the 50, 20 are of the user and are read once, 20 of the item, and 10 of the pair of the user
 * with the item's category and of the query with the item.  The yardstick copies as many doubles
 * out of a table of rows, one row per item: what a store of finished vectors would do at best. */
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/num.h"
#include "base/rand.h"
#include "featurestore/feature_reader.h"
#include "featurestore/store_internal.h"
#include "tests/support/events.h"

enum { ROWS = 100, FEATURES = 50, OF_USER = 20, ROUNDS = 5000, CATEGORIES = 200, QUERIES = 50 };

#define NOW_MS INT64_C(1700000000000)

static struct events events;
static struct clock_manual clock_now;
static struct store *store;
static uint32_t people = 20000, items = 20000;
static struct rand rng;

static void die(const char *what)
{
    fprintf(stderr, "bench_features: %s\n", what);
    exit(1);
}

static void apply(void)
{
    size_t len = events_end(&events);
    events_apply(store, &events, len, NOW_MS);
    retire_flush(&store->retire);
    if (store->result.rejected > 0)
        die(store->result.rejection[0].message);
    events_begin(&events);
}

static void add(const char *json)
{
    events_add_json(&events, json);
    if (events.count == 1000)
        apply();
}

/* ---- definitions ----------------------------------------------------------------------------- */

static char file[16384];
static size_t file_used;
static struct feature feature[FEATURES];
static uint32_t feature_count;
static char name[FEATURES][64];

static void put(const char *key, const char *what, const char *members)
{
    snprintf(name[feature_count], sizeof name[0], "%s.f%u", key, feature_count);
    file_used += (size_t)snprintf(file + file_used, sizeof file - file_used,
                                  "%s\"%s\": {\"kind\": \"%s\", %s}", feature_count == 0 ? "" : ",",
                                  name[feature_count], what, members);
    feature_count++;
}

static void define(void)
{
    static const char *const types[] = {"view", "cart_add", "purchase", "click"};
    char members[128];
    file_used = (size_t)snprintf(file, sizeof file, "{\"features\": {");
    for (uint32_t i = 0; i < FEATURES; i++) {
        const char *key = i < OF_USER ? "user"
                          : i < 40    ? "item"
                          : i < 45    ? "user_category"
                                      : "query_item";
        switch (i % 5) {
        case 0:
        case 1:
            snprintf(members, sizeof members, "\"events\": [\"%s\"], \"half_life\": \"%ud\"",
                     types[i % 4], 1 + i % 7);
            put(key, "decayed", members);
            break;
        case 2:
        case 3:
            snprintf(members, sizeof members, "\"events\": [\"%s\"], \"window\": \"7d\"",
                     types[i % 4]);
            put(key, "count", members);
            break;
        default:
            snprintf(members, sizeof members, "\"events\": [\"%s\"]", types[i % 4]);
            put(key, "since", members);
            break;
        }
    }
    file_used += (size_t)snprintf(file + file_used, sizeof file - file_used, "}}");
    struct definitions *definitions = NULL;
    struct err err;
    if (definitions_parse("bench", file, file_used, &definitions, &err) != ERR_OK ||
        store_define_features(store, &definitions, &err) != ERR_OK)
        die(err.text);
    for (uint32_t i = 0; i < FEATURES; i++) {
        if (!feature_find(store, text_of(name[i]), &feature[i]))
            die(name[i]);
    }
}

/* ---- events ---------------------------------------------------------------------------------- */

static void load(void)
{
    static const char *const types[] = {"view", "cart_add", "purchase", "click"};
    char json[256];
    for (uint32_t i = 0; i < items; i++) {
        snprintf(json, sizeof json,
                 "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"item-%u\",\"category\":\"c%u\"}]}",
                 i, i % CATEGORIES);
        add(json);
    }
    uint32_t count = people * 20;
    uint64_t spent_ns = 0;
    for (uint32_t i = 0; i < count; i++) {
        snprintf(json, sizeof json,
                 "{\"type\":\"%s\",\"user\":\"user-%u\",\"query\":\"q%u\",\"ts\":%" PRId64
                 ",\"items\":[{\"id\":\"item-%u\"}]}",
                 types[rand_below(&rng, 4)], (uint32_t)rand_below(&rng, people),
                 (uint32_t)rand_below(&rng, QUERIES),
                 NOW_MS - INT64_C(1209600000) + INT64_C(1209600000) / count * i,
                 (uint32_t)rand_below(&rng, items));
        events_add_json(&events, json);
        if (events.count < 1000 && i + 1 < count)
            continue;
        uint64_t begin_ns = clock_now_ns(clock_system());
        apply();
        spent_ns += clock_now_ns(clock_system()) - begin_ns;
    }
    printf("events applied              %10.0f a second, each to 50 definitions\n",
           count / ((double)spent_ns / 1e9));
}

/* ---- reading --------------------------------------------------------------------------------- */

static double matrix[ROWS][FEATURES];
static uint32_t chosen[ROWS];
static const uint32_t keys = 1u << KEY_item | 1u << KEY_user_category | 1u << KEY_query_item;

static void choose(void)
{
    for (uint32_t i = 0; i < ROWS; i++)
        chosen[i] = (uint32_t)rand_below(&rng, items);
}

static void gather(const char *user, const char *query)
{
    struct feature_reader reader;
    const struct feature_asker asker = {.user = text_of(user), .query = text_of(query)};
    double shared[OF_USER];
    feature_reader_begin(&reader, store, &asker);
    feature_reader_items(&reader, chosen, ROWS, keys);
    for (uint32_t f = 0; f < OF_USER; f++)
        shared[f] = feature_value(&reader, &feature[f]);
    for (uint32_t first = 0; first < ROWS; first += FEATURE_WINDOW_MAX) {
        uint32_t left = ROWS - first;
        uint32_t count = left < FEATURE_WINDOW_MAX ? left : FEATURE_WINDOW_MAX;
        feature_reader_window(&reader, first, count);
        for (uint32_t i = 0; i < count; i++)
            memcpy(matrix[first + i], shared, sizeof shared);
        for (uint32_t f = OF_USER; f < FEATURES; f++)
            feature_values(&reader, &feature[f], &matrix[first][f], FEATURES);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void report(const char *what, uint64_t *took_ns)
{
    qsort(took_ns, ROUNDS, sizeof *took_ns, by_size);
    printf("%-27s %10.1f us median, %.1f us p99, %.1f us at the least\n", what,
           (double)took_ns[ROUNDS / 2] / 1000.0, (double)took_ns[ROUNDS * 99 / 100] / 1000.0,
           (double)took_ns[0] / 1000.0);
}

static void measure(void)
{
    static uint64_t gathered_ns[ROUNDS], same_ns[ROUNDS], copied_ns[ROUNDS];
    double(*table)[FEATURES] = calloc(items, sizeof *table);
    double sum = 0.0;
    if (table == NULL)
        die("out of memory");
    for (uint32_t i = 0; i < items; i++)
        table[i][0] = i;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        char user[32], query[32];
        snprintf(user, sizeof user, "user-%u", (uint32_t)rand_below(&rng, people));
        snprintf(query, sizeof query, "q%u", (uint32_t)rand_below(&rng, QUERIES));
        choose();
        uint64_t begin_ns = clock_now_ns(clock_system());
        gather(user, query);
        uint64_t between_ns = clock_now_ns(clock_system());
        gather(user, query);
        uint64_t middle_ns = clock_now_ns(clock_system());
        sum += matrix[round % ROWS][round % FEATURES] > 0.0;
        uint64_t copy_ns = clock_now_ns(clock_system());
        for (uint32_t i = 0; i < ROWS; i++)
            memcpy(matrix[i], table[chosen[i]], sizeof matrix[i]);
        uint64_t end_ns = clock_now_ns(clock_system());
        sum += matrix[round % ROWS][0];
        gathered_ns[round] = between_ns - begin_ns;
        same_ns[round] = middle_ns - between_ns;
        copied_ns[round] = end_ns - copy_ns;
    }
    report("50 values of 100 items", gathered_ns);
    report("the same, from the cache", same_ns);
    report("yardstick: copying rows", copied_ns);
    free(table);
    if (sum < 0.0)
        die("nothing was read");
}

static void report_memory(void)
{
    const struct feature_set *set = feature_set_of(store->features);
    const struct feature_rows *users = set->rows[KEY_user];
    const struct feature_rows *pairs = set->rows[KEY_user_category];
    printf("a user of 20 features       %10.1f bytes (block %u)\n",
           (double)users->bytes / (double)users->row_count, users->block_bytes);
    printf("a pair of 5 features        %10.1f bytes (block %u), %" PRIu64 " of them\n",
           (double)pairs->bytes / (double)pairs->row_count, pairs->block_bytes,
           (uint64_t)pairs->row_count);
}

int main(int argc, char **argv)
{
    uint64_t number;
    struct err err = {.text = ""};
    if (argc > 1 && num_parse_uint(text_of(argv[1]), &number))
        people = (uint32_t)number;
    if (argc > 2 && num_parse_uint(text_of(argv[2]), &number))
        items = (uint32_t)number;
    const struct store_limits limits = {.items_max = items,
                                        .people_max = people,
                                        .history_items_max = 50,
                                        .queue_events_max = 2000,
                                        .dedup_events_max = 1000,
                                        .feature_rows_max = 10000000};
    clock_manual_init(&clock_now, 1, NOW_MS);
    rand_init(&rng, 1);
    events_begin(&events);
    if (store_create(&limits, &clock_now.clock, &store, &err) != ERR_OK)
        die(err.text);
    define();
    load();
    measure();
    report_memory();
    store_destroy(&store);
    return 0;
}
