/* SPDX-License-Identifier: Apache-2.0 */
/* decide-shop: the same files everywhere by the same seed, what they hold, and that the truth shows
 * in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "base/file.h"
#include "base/hash.h"
#include "featurestore/event.h"
#include "featurestore/reader.h"
#include "tests/support/temp_dir.h"
#include "tools/shop/fixed.h"
#include "tools/shop/generate.h"

#define MS_PER_DAY INT64_C(86400000)

static const struct shop_options small = {
    .users = 300, .items = 200, .days = 28, .end_day = SHOP_END_DEFAULT_DAY, .seed = 7};

static void make(const struct shop_options *options, const char *dir, struct generated *made)
{
    struct progress progress;
    struct err err;
    progress_start_on(&progress, "", "", stderr, false, clock_system());
    if (generate(options, dir, &progress, made, &err) != ERR_OK)
        fail_msg("%s", err.text);
}

static void hash_of(const char *dir, const char *name, char hex[SHA256_HEX_BYTES])
{
    char path[2 * TEMP_DIR_BYTES];
    uint8_t *bytes = NULL;
    size_t len;
    struct err err;
    uint8_t digest[SHA256_BYTES];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(file_read(path, 1 << 26, &bytes, &len, &err), ERR_OK);
    sha256_of(bytes, len, digest);
    sha256_hex(digest, hex);
    free(bytes);
}

/* ---- the same everywhere ------------------------------------------------------------------------
 */

/* The sums were taken once; they hold for every compiler and machine, or the promise is broken. */
static void test_a_seed_makes_the_same_bytes_everywhere(void **state)
{
    (void)state;
    static const struct {
        const char *name, *sha256;
    } files[] = {
        {"items.ndjson", "d20c1cd49d316d648ab1305b13dd9a44b79baa215a875f4bff33e7ce5d8e01eb"},
        {"events.ndjson", "8aebb3dcffe121f15945ec4a1b79479209fd8e5b4b7f9a120189af9c77d12e51"},
        {"truth.json", "0a79a4b425f5f9dceb05385e42306b26a527bc2afa7fd1ab59ae58c042d8ad52"},
    };
    struct temp_dir dir;
    struct generated made;
    char hex[SHA256_HEX_BYTES];
    char other[SHA256_HEX_BYTES];
    temp_dir_create(&dir);
    make(&small, dir.path, &made);
    for (size_t i = 0; i < 3; i++) {
        hash_of(dir.path, files[i].name, hex);
        assert_string_equal(hex, files[i].sha256);
    }
    struct shop_options options = small;
    options.seed = 8;
    make(&options, dir.path, &made);
    for (size_t i = 0; i < 3; i++) {
        hash_of(dir.path, files[i].name, other);
        assert_string_not_equal(other, files[i].sha256);
    }
    temp_dir_remove(&dir);
}

/* ---- what the files hold ------------------------------------------------------------------------
 */

struct tally {
    const struct shop *shop;
    uint64_t count[EVENT_TYPE_COUNT], total;
    int64_t last_ms, first_ms;
    uint64_t weekday_views[7];
    uint64_t *bought; /* by item */
    /* By affinity, in halves of an octave from -4 to 4 octaves. */
    double shown[16], expected[16];
    uint64_t viewed[16];
};

static uint32_t number_of(struct text id)
{
    char buf[16];
    assert_true(id.len > 1 && id.len < sizeof buf);
    return (uint32_t)strtoul(text_copy(id, buf, sizeof buf) + 1, NULL, 10) - 1;
}

static uint32_t bucket_of(int32_t affinity)
{
    int32_t bucket = (affinity + 64) / 8;
    return bucket < 0 ? 0 : bucket > 15 ? 15 : (uint32_t)bucket;
}

static void tally_items(struct tally *tally, const struct event *event)
{
    static const double place[] = {1, .85, .73, .63, .55, .48, .42, .37, .33, .30, .27, .25};
    const struct shop_user *user = &tally->shop->users[number_of(event->user)];
    for (uint32_t i = 0; i < event->item_count; i++) {
        uint32_t item = number_of(event->items[i].id);
        int32_t affinity = shop_affinity(user->taste, tally->shop->items[item].taste);
        uint32_t bucket = bucket_of(affinity);
        if (event->type == EVENT_impression) {
            assert_int_equal(event->items[i].pos, i);
            double chance = 0.08 * (double)fixed_exp2(affinity) / FIXED_ONE * place[i];
            tally->shown[bucket]++;
            tally->expected[bucket] += chance > 0.6 ? 0.6 : chance;
        }
        tally->viewed[bucket] += event->type == EVENT_view;
        if (event->type == EVENT_purchase)
            tally->bought[item] += (uint64_t)event->items[i].qty;
    }
}

static void tally_event(struct tally *tally, const struct event *event)
{
    char id[32];
    tally->total++;
    snprintf(id, sizeof id, "e7-%llu", (unsigned long long)tally->total);
    assert_true(text_is(event->id, id)); /* so they are unique */
    assert_true(event->ts_ms >= tally->last_ms);
    tally->last_ms = event->ts_ms;
    if (tally->total == 1)
        tally->first_ms = event->ts_ms;
    tally->count[event->type]++;
    if (event->type == EVENT_view)
        tally->weekday_views[(event->ts_ms / MS_PER_DAY + 3) % 7]++; /* Monday is 0 */
    tally_items(tally, event);
    if (event->type != EVENT_purchase)
        return;
    int64_t total_minor = 0;
    for (uint32_t i = 0; i < event->item_count; i++)
        total_minor += event->items[i].qty * event->items[i].price_minor;
    assert_int_equal(event->total_minor, total_minor);
}

/* Every line through the reader and the decoder, without a single error. */
static uint64_t read_all(const char *dir, const char *name, enum reader_kind kind,
                         struct tally *tally)
{
    char path[2 * TEMP_DIR_BYTES];
    struct reader *reader = NULL;
    struct arena arena;
    struct err err;
    struct text bytes;
    uint64_t count = 0;
    struct reader_options options = {.kind = kind};
    snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(reader_open(path, &options, &reader, &err), ERR_OK);
    assert_int_equal(arena_init(&arena, 1 << 17, &err), ERR_OK);
    for (;;) {
        enum reader_outcome outcome = reader_next(reader, &bytes, &err);
        if (outcome == READER_DONE)
            break;
        if (outcome != READER_EVENT)
            fail_msg("%s", err.text);
        struct cursor cursor = cursor_of((const uint8_t *)bytes.ptr, bytes.len);
        struct event event;
        arena_reset(&arena);
        if (event_decode(&cursor, SHOP_END_DEFAULT_DAY * MS_PER_DAY, &arena, &event, &err) !=
            ERR_OK)
            fail_msg("%s", err.text);
        count++;
        if (tally != NULL)
            tally_event(tally, &event);
        else
            assert_int_equal(event.type, EVENT_item_upsert);
    }
    arena_deinit(&arena);
    reader_close(&reader);
    return count;
}

static void test_files_are_accepted_and_hold_what_was_said(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct generated made;
    struct shop *shop = NULL;
    struct err err;
    temp_dir_create(&dir);
    make(&small, dir.path, &made);
    assert_int_equal(shop_create(&small, &shop, &err), ERR_OK);
    struct tally tally = {.shop = shop, .bought = calloc(small.items, sizeof(uint64_t))};
    assert_int_equal(read_all(dir.path, "items.ndjson", READER_ITEMS, NULL), small.items);
    assert_int_equal(read_all(dir.path, "events.ndjson", READER_EVENTS, &tally), made.events);
    assert_int_equal(tally.count[EVENT_impression], made.impressions);
    assert_int_equal(tally.count[EVENT_view], made.views);
    assert_int_equal(tally.count[EVENT_cart_add], made.cart_adds);
    assert_int_equal(tally.count[EVENT_purchase], made.purchases);
    assert_true(made.purchases > 50);
    assert_true(tally.first_ms >= made.from_ms && tally.first_ms < made.from_ms + MS_PER_DAY);
    assert_true(tally.last_ms < made.to_ms && tally.last_ms >= made.to_ms - MS_PER_DAY);
    assert_int_equal(made.to_ms, INT64_C(1751328000000)); /* 2025-07-01 */

    uint8_t *truth = NULL;
    size_t len;
    char path[2 * TEMP_DIR_BYTES];
    assert_int_equal(
        file_read(temp_dir_path(&dir, "truth.json", path), 1 << 24, &truth, &len, &err), ERR_OK);
    cJSON *root = cJSON_ParseWithLength((const char *)truth, len);
    assert_non_null(root);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(root, "item")), small.items);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(root, "user")), small.users);
    const cJSON *last = cJSON_GetArrayItem(cJSON_GetObjectItem(root, "user"), 299);
    const cJSON *taste = cJSON_GetArrayItem(cJSON_GetObjectItem(last, "taste"), 3);
    assert_int_equal(taste->valueint, shop->users[299].taste[3]);
    cJSON_Delete(root);
    free(truth);
    free(tally.bought);
    shop_destroy(&shop);
    temp_dir_remove(&dir);
}

/* ---- the truth shows ----------------------------------------------------------------------------
 */

static int compare_descending(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? 1 : left > right ? -1 : 0;
}

static void assert_views_follow_affinity(const struct tally *tally)
{
    for (uint32_t i = 0; i < 16; i++) {
        if (tally->expected[i] < 200)
            continue;
        /* Views without a page (consumables bought again) come on top. */
        double ratio = (double)tally->viewed[i] / tally->expected[i];
        if (ratio < 0.9 || ratio > 1.35)
            fail_msg("affinity %u: %llu views, %.0f expected", i,
                     (unsigned long long)tally->viewed[i], tally->expected[i]);
    }
    double low_shown = 0, low_viewed = 0, high_shown = 0, high_viewed = 0;
    for (uint32_t i = 0; i < 8; i++) {
        low_shown += tally->shown[i];
        low_viewed += (double)tally->viewed[i];
    }
    for (uint32_t i = 12; i < 16; i++) {
        high_shown += tally->shown[i];
        high_viewed += (double)tally->viewed[i];
    }
    assert_true(low_shown > 1000 && high_shown > 1000);
    assert_true(high_viewed / high_shown > 5 * low_viewed / low_shown);
}

static void test_the_truth_can_be_found_in_the_events(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct generated made;
    struct shop *shop = NULL;
    struct err err;
    struct shop_options options = small;
    options.users = 1000;
    options.items = 400;
    options.days = 56;
    temp_dir_create(&dir);
    make(&options, dir.path, &made);
    assert_int_equal(shop_create(&options, &shop, &err), ERR_OK);
    struct tally tally = {.shop = shop, .bought = calloc(options.items, sizeof(uint64_t))};
    read_all(dir.path, "events.ndjson", READER_EVENTS, &tally);

    assert_views_follow_affinity(&tally);
    assert_true(tally.weekday_views[5] > tally.weekday_views[1] * 12 / 10); /* Saturday, Tuesday */

    uint64_t sold_out = 0;
    for (uint32_t i = 0; i < options.items; i++)
        sold_out += shop->items[i].stock == 0 ? tally.bought[i] : 0;
    assert_int_equal(sold_out, 0);
    uint64_t bought = 0, top_bought = 0;
    qsort(tally.bought, options.items, sizeof(uint64_t), compare_descending);
    for (uint32_t i = 0; i < options.items; i++) {
        bought += tally.bought[i];
        top_bought += i < options.items / 10 ? tally.bought[i] : 0;
    }
    assert_true(top_bought * 3 > bought); /* a tenth of the items sells more than a third */
    free(tally.bought);
    shop_destroy(&shop);
    temp_dir_remove(&dir);
}

static void test_the_smallest_shop(void **state)
{
    (void)state;
    struct temp_dir dir;
    struct generated made;
    struct shop_options options = {1, SHOP_ITEMS_MIN, 1, SHOP_END_DEFAULT_DAY, 7};
    temp_dir_create(&dir);
    for (options.seed = 0; options.seed < 20; options.seed++) {
        make(&options, dir.path, &made);
        assert_true(made.events > 0);
    }
    temp_dir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_makes_the_same_bytes_everywhere),
        cmocka_unit_test(test_files_are_accepted_and_hold_what_was_said),
        cmocka_unit_test(test_the_truth_can_be_found_in_the_events),
        cmocka_unit_test(test_the_smallest_shop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
