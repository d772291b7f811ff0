/* SPDX-License-Identifier: Apache-2.0 */
/* bench_people - the memory of people with full histories and 20 features each, as they come to it
 * in a shop: event after event, in any order.
 *
 * usage: bench_people [PEOPLE]       (default 1000000 people)
 *
 * Of the 20, 6 are attributes, 6 decayed counters, 4 counts over 7 days, 2 ratios and 2 times
 * since. Everybody's attributes are set; then everybody, in random order, views items in VISITS
 * visits. The resident set is that of the whole process, less what it was with the empty store. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/num.h"
#include "base/pack.h"
#include "base/rand.h"
#include "featurestore/store_apply.h"
#include "featurestore/store_features.h"
#include "featurestore/store_internal.h"

enum { HISTORY_ITEMS = 50, VISITS = 5, ITEMS = 20000, BATCH = 100, BATCH_BYTES = 1 << 18 };
enum { ATTRIBUTES = 6 };

#define NOW_MS INT64_C(1700000000000)

static struct clock_manual clock_now;
static struct store *store;
static struct rand rng;
static uint64_t event_count;
static uint64_t spare_bytes_max;

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "bench_people: %s\n", what);
    exit(1);
}

static uint64_t resident_bytes(void)
{
    char line[128];
    FILE *file = fopen("/proc/self/statm", "r");
    uint64_t size = 0, resident = 0;
    if (file == NULL || fgets(line, sizeof line, file) == NULL ||
        sscanf(line, "%" SCNu64 " %" SCNu64, &size, &resident) != 2)
        die("the resident set is not known");
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void define(void)
{
    static const char *const types[] = {"view", "click", "cart_add", "purchase", "search", "share"};
    static char text[4096];
    struct definitions *definitions = NULL;
    struct err err;
    size_t used = 0;
#define PUT(...) used += (size_t)snprintf(text + used, sizeof text - used, __VA_ARGS__)
    PUT("{\"features\": {");
    for (int i = 0; i < ATTRIBUTES; i++) {
        PUT("\"user.a%d\": {\"kind\": \"attribute\", \"attribute\": \"a%d\"},", i, i);
        PUT("\"user.d%d\": {\"kind\": \"decayed\", \"events\": [\"%s\"], \"half_life\": \"7d\"},",
            i, types[i]);
        if (i < 4)
            PUT("\"user.c%d\": {\"kind\": \"count\", \"events\": [\"%s\"], \"window\": \"7d\"},", i,
                types[i]);
        if (i < 2)
            PUT("\"user.s%d\": {\"kind\": \"since\", \"events\": [\"%s\"]},", i, types[i]);
    }
    PUT("\"user.r0\": {\"kind\": \"ratio\", \"of\": \"user.c1\", \"per\": \"user.c0\"},");
    PUT("\"user.r1\": {\"kind\": \"ratio\", \"of\": \"user.c3\", \"per\": \"user.c0\"}}}");
#undef PUT
    if (definitions_parse("bench", text, used, &definitions, &err) != ERR_OK ||
        store_define_features(store, &definitions, &err) != ERR_OK)
        die(err.text);
}

/* ---- events ---------------------------------------------------------------------------------- */

static void pack_head(struct pack *pack, const char *type, uint32_t person, uint32_t keys)
{
    char id[24], user[24];
    snprintf(id, sizeof id, "e%" PRIu64, event_count++);
    snprintf(user, sizeof user, "user-%u", person);
    pack_map(pack, 3 + keys);
    pack_key(pack, "id");
    pack_str(pack, id);
    pack_key(pack, "type");
    pack_str(pack, type);
    pack_key(pack, "user");
    pack_str(pack, user);
}

static void pack_attributes(struct pack *pack, uint32_t person)
{
    pack_head(pack, "user_upsert", person, 1);
    pack_key(pack, "attributes");
    pack_map(pack, ATTRIBUTES);
    for (uint32_t i = 0; i < ATTRIBUTES; i++) {
        char name[8];
        snprintf(name, sizeof name, "a%u", i);
        pack_str(pack, name);
        pack_int(pack, (int64_t)rand_below(&rng, 100));
    }
}

static void pack_visit(struct pack *pack, uint32_t person, uint32_t visit)
{
    uint32_t count = HISTORY_ITEMS / VISITS;
    pack_head(pack, "view", person, 1);
    pack_key(pack, "items");
    pack_array(pack, count);
    for (uint32_t i = 0; i < count; i++) {
        char item[24];
        /* Another fifth of the catalogue each time, so that nothing is seen again. */
        snprintf(item, sizeof item, "i%u",
                 (visit * count + i) * (ITEMS / HISTORY_ITEMS) +
                     (uint32_t)rand_below(&rng, ITEMS / HISTORY_ITEMS));
        pack_map(pack, 1);
        pack_key(pack, "id");
        pack_str(pack, item);
    }
}

/* One event after the other: of person turn[i] modulo `people`, the visit turn[i] divided by
 * it, or attributes. */
static void apply_all(const uint32_t *turn, uint32_t count, uint32_t people)
{
    static uint8_t bytes[BATCH_BYTES];
    const struct event_rules rules = {.strictness = EVENT_LENIENT, .arrival_ms = NOW_MS};
    for (uint32_t first = 0; first < count; first += BATCH) {
        struct pack pack = pack_into(bytes, sizeof bytes);
        uint32_t size = count - first < BATCH ? count - first : BATCH;
        pack_array(&pack, size);
        for (uint32_t i = first; i < first + size; i++) {
            uint32_t visit = turn[i] / people;
            if (visit == VISITS)
                pack_attributes(&pack, turn[i] % people);
            else
                pack_visit(&pack, turn[i] % people, visit);
        }
        if (pack.overflow)
            die("a batch is too long");
        store_apply_batch(store, bytes, pack.used, &rules);
        retire_flush(&store->retire);
        uint64_t spare_bytes = slabs_spare_bytes(store->slabs);
        spare_bytes_max = spare_bytes > spare_bytes_max ? spare_bytes : spare_bytes_max;
        if (store->result.rejected > 0)
            die(store->result.rejection[0].message);
    }
}

static void shuffle(uint32_t *turn, uint32_t count)
{
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = (uint32_t)rand_below(&rng, i);
        uint32_t kept = turn[i - 1];
        turn[i - 1] = turn[other];
        turn[other] = kept;
    }
}

/* ---- the report ------------------------------------------------------------------------------ */

static void report(const char *what, uint64_t bytes, uint32_t people)
{
    printf("%-28s %8.3f GiB, %7.1f bytes a person\n", what, (double)bytes / (1 << 30),
           (double)bytes / people);
}

static void measure(uint32_t people, uint64_t empty_bytes)
{
    struct store_stats stats;
    uint64_t resident = resident_bytes() - empty_bytes;
    store_stats(store, &stats);
    printf("%u people, %" PRIu64 " history entries, %" PRIu64 " rows of features\n", people,
           (uint64_t)stats.history_entries, (uint64_t)stats.feature_rows);
    report("resident", resident, people);
    report("  histories, ids, profiles", stats.bytes_people, people);
    report("  features", stats.bytes_features, people);
    report("  spare", stats.bytes_spare, people);
    report("spare, at most on the way", spare_bytes_max, people);
}

int main(int argc, char **argv)
{
    uint64_t number = 1000000;
    struct err err = {.text = ""};
    if (argc > 1 && !num_parse_uint(text_of(argv[1]), &number))
        die("usage: bench_people [PEOPLE]");
    uint32_t people = (uint32_t)number;
    const struct store_limits limits = {.items_max = ITEMS,
                                        .people_max = people,
                                        .history_items_max = HISTORY_ITEMS,
                                        .queue_events_max = 1000,
                                        .dedup_events_max = 1000,
                                        .feature_rows_max = 1000};
    uint32_t turn_count = (VISITS + 1) * people;
    uint32_t *turn = malloc(turn_count * sizeof *turn);
    if (turn == NULL)
        die("out of memory");
    for (uint32_t i = 0; i < turn_count; i++)
        turn[i] = i;
    clock_manual_init(&clock_now, 1, NOW_MS);
    rand_init(&rng, 1);
    if (store_create(&limits, &clock_now.clock, &store, &err) != ERR_OK)
        die(err.text);
    define();
    uint64_t empty_bytes = resident_bytes();
    shuffle(turn, turn_count);
    apply_all(turn, turn_count, people);
    measure(people, empty_bytes);
    store_destroy(&store);
    free(turn);
    return 0;
}
