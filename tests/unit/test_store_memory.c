/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation fails once: the event is rejected, nothing else changes, nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "featurestore/store_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/events.h"

#define NOW_MS INT64_C(1700000000000)

static const struct store_limits limits = {.items_max = 10000,
                                           .people_max = 10000,
                                           .history_items_max = 50,
                                           .queue_events_max = 2000,
                                           .dedup_events_max = 100,
                                           .prices_max = 8};
static struct clock_manual clock_now;
static struct events events;
static struct err err;

static struct store *make_store(void)
{
    struct store *store = NULL;
    clock_manual_init(&clock_now, 1, NOW_MS);
    assert_int_equal(store_create(&limits, &clock_now.clock, &store, &err), ERR_OK);
    return store;
}

static void apply(struct store *store, const char *const *json, uint32_t count)
{
    events_begin(&events);
    for (uint32_t i = 0; i < count; i++)
        events_add_json(&events, json[i]);
    size_t len = events_end(&events);
    events_apply(store, &events, len, NOW_MS);
}

static void test_creation_fails_cleanly(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct store *store = NULL;
        alloc_fail_after(n);
        enum err_code rc = store_create(&limits, &clock_now.clock, &store, &err);
        if (!alloc_fail_off()) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 10);
            store_destroy(&store);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        assert_null(store);
    }
}

/* All that readers can see of user u and the items x, y, z. */
static void describe(const struct store *store, char *text, size_t text_bytes)
{
    static const char *const ids[] = {"x", "y", "z"};
    struct history history;
    bool known = store_history(store, TEXT_LITERAL("u"), (struct text){NULL, 0}, &history);
    size_t used =
        (size_t)snprintf(text, text_bytes, "known %d count %u events %u at %lld;", known,
                         history.count, history.events, (long long)store_watermark_ms(store));
    struct text attributes = store_user_attributes(store, TEXT_LITERAL("u"));
    used += (size_t)snprintf(text + used, text_bytes - used, " attributes %u;", attributes.len);
    for (uint32_t i = 0; i < 3; i++) {
        uint32_t item = store_item_find(store, text_of(ids[i]));
        const struct item *record = item == IDMAP_NONE ? NULL : store_item(store, item);
        uint32_t views = 0;
        if (item != IDMAP_NONE)
            views = store_item_events(store, item, EVENT_CLASS_VIEW, STORE_WINDOW_1D);
        used += (size_t)snprintf(text + used, text_bytes - used, " %s views %u", ids[i], views);
        if (record != NULL)
            used += (size_t)snprintf(
                text + used, text_bytes - used, " price %lld deleted %d '%.*s'",
                (long long)record->price_minor, record->deleted, (int)record->title.len,
                record->title.ptr == NULL ? "" : record->title.ptr);
    }
}

static const char *const before[] = {
    "{\"type\":\"view\",\"user\":\"u\",\"ts\":1699999000000,\"items\":[{\"id\":\"x\"}]}",
    "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\",\"price\":5,\"title\":\"X\"}]}",
};

/* The event needs memory `least` times at least, or the loop tests nothing. */
static void fail_each_allocation_of(const char *json, uint32_t least)
{
    char expected[1024], got[1024];
    for (uint32_t n = 0;; n++) {
        struct store *store = make_store();
        apply(store, before, 2);
        describe(store, expected, sizeof expected);
        events_begin(&events);
        events_add_json(&events, json);
        size_t len = events_end(&events);
        alloc_fail_after(n);
        events_apply(store, &events, len, NOW_MS);
        bool failed = alloc_fail_off();
        if (failed) {
            assert_int_equal(store->result.rejected, 1);
            assert_int_equal(store->result.rejection[0].code, ERR_NOMEM);
            describe(store, got, sizeof got);
            assert_string_equal(got, expected);
            store_refresh_all(store); /* meets whatever was prepared in vain */
            events_apply(store, &events, len, NOW_MS);
        }
        assert_int_equal(store->result.accepted, 1);
        describe(store, got, sizeof got);
        assert_string_not_equal(got, expected);
        store_destroy(&store);
        if (!failed) {
            assert_true(n >= least);
            break;
        }
    }
}

static void test_an_event_without_memory_is_rejected_and_can_be_sent_again(void **state)
{
    (void)state;
    fail_each_allocation_of("{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"},"
                            "{\"id\":\"y\"},{\"id\":\"z\"}]}",
                            3); /* two blocks of windows and the history */
    fail_each_allocation_of("{\"type\":\"item_upsert\",\"items\":[{\"id\":\"y\",\"price\":1,"
                            "\"category\":\"c\",\"brand\":\"b\"},{\"id\":\"x\",\"title\":\"Y\"}]}",
                            6); /* two id tables begin with two blocks each */
    fail_each_allocation_of("{\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{\"a\":1}}",
                            2);
    fail_each_allocation_of("{\"type\":\"item_delete\",\"items\":[{\"id\":\"x\"},{\"id\":\"y\"}]}",
                            1);
}

static void test_a_first_event_needs_pages_too(void **state)
{
    (void)state;
    static const char *const json[] = {
        "{\"type\":\"purchase\",\"anon\":\"a\",\"items\":[{\"id\":\"x\"}]}"};
    for (uint32_t n = 0;; n++) {
        struct store *store = make_store();
        alloc_fail_after(n);
        events_begin(&events);
        apply(store, json, 1);
        bool failed = alloc_fail_off();
        struct history history;
        bool known = store_history(store, (struct text){0}, TEXT_LITERAL("a"), &history);
        assert_int_equal(known, !failed);
        assert_int_equal(store->result.rejected, failed);
        store_destroy(&store);
        if (!failed) {
            assert_true(n >= 6);
            break;
        }
    }
}

static void test_a_refresh_without_memory_keeps_the_old_lists(void **state)
{
    (void)state;
    static const char *const first[] = {
        "{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}"};
    static const char *const second[] = {
        "{\"type\":\"item_upsert\",\"items\":[{\"id\":\"y\",\"category\":\"c\"}]}",
        "{\"type\":\"purchase\",\"user\":\"u\",\"items\":[{\"id\":\"y\"},{\"id\":\"z\"}]}"};
    for (uint32_t n = 0;; n++) {
        struct store *store = make_store();
        apply(store, first, 1);
        store_refresh_all(store);
        apply(store, second, 2);
        alloc_fail_after(n);
        store_refresh_all(store);
        bool failed = alloc_fail_off();
        struct top_list list;
        store_top(store, STORE_WINDOW_1H, IDMAP_NONE, &list);
        bool shrink_failed = failed && list.count == 3; /* realloc to less: the list is there */
        assert_int_equal(list.count, failed && !shrink_failed ? 1 : 3);
        assert_int_equal(store->refresh.is_due, failed && !shrink_failed);
        store_refresh_all(store);
        store_top(store, STORE_WINDOW_1H, IDMAP_NONE, &list);
        assert_int_equal(list.count, 3);
        store_destroy(&store);
        if (!failed) {
            assert_true(n >= 3);
            break;
        }
    }
}

static void test_binding_and_submitting_without_memory(void **state)
{
    (void)state;
    struct store *store = make_store();
    struct text id = TEXT_LITERAL("x");
    uint32_t number = 77;
    alloc_fail_after(0);
    enum err_code rc = store_bind_items(store, &id, 1, &number, &err);
    assert_true(alloc_fail_off());
    assert_int_equal(rc, ERR_NOMEM);
    assert_int_equal(number, 77);
    assert_int_equal(store_bind_items(store, &id, 1, &number, &err), ERR_OK);
    events_begin(&events);
    size_t len = events_end(&events);
    alloc_fail_after(0);
    rc = store_submit(store, &(struct store_batch){.bytes = events.bytes, .len = len}, &err);
    assert_true(alloc_fail_off());
    assert_int_equal(rc, ERR_NOMEM);
    store_destroy(&store);
}

static void add_event_of_items(const char *user, uint32_t item_count)
{
    struct pack *pack = &events.pack;
    char item[16];
    pack_map(pack, 4);
    pack_key(pack, "id");
    pack_str(pack, user);
    pack_key(pack, "type");
    pack_str(pack, "view");
    pack_key(pack, "user");
    pack_str(pack, user);
    pack_key(pack, "items");
    pack_array(pack, item_count);
    for (uint32_t i = 0; i < item_count; i++) {
        snprintf(item, sizeof item, "i%u", i);
        pack_map(pack, 1);
        pack_key(pack, "id");
        pack_str(pack, item);
    }
    events.count++;
}

/* The promise of the header: at most 600 bytes beyond the id for a history of 50 items.  As many
 * people as one page of the id table holds, since its steps are counted whole. */
static void test_a_person_with_a_full_history_takes_at_most_600_bytes(void **state)
{
    (void)state;
    enum { PEOPLE = 65536, ITEMS = 50 };
    struct store *store = NULL;
    struct store_limits many = limits;
    many.people_max = PEOPLE;
    clock_manual_init(&clock_now, 1, NOW_MS);
    assert_int_equal(store_create(&many, &clock_now.clock, &store, &err), ERR_OK);
    struct store_stats stats;
    uint64_t id_bytes = 0;
    for (uint32_t u = 0; u < PEOPLE; u++) {
        char user[16];
        snprintf(user, sizeof user, "user-%u", u);
        id_bytes += strlen(user);
        events_begin(&events);
        add_event_of_items(user, ITEMS);
        size_t len = events_end(&events);
        events_apply(store, &events, len, NOW_MS);
        assert_int_equal(store->result.accepted, 1);
    }
    store_stats(store, &stats);
    assert_int_equal(stats.history_entries, PEOPLE * ITEMS);
    uint64_t each = (stats.bytes_people - id_bytes) / PEOPLE;
    store_destroy(&store);
    assert_in_range(each, 12 + 10 * ITEMS, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_creation_fails_cleanly),
        cmocka_unit_test(test_an_event_without_memory_is_rejected_and_can_be_sent_again),
        cmocka_unit_test(test_a_first_event_needs_pages_too),
        cmocka_unit_test(test_a_refresh_without_memory_keeps_the_old_lists),
        cmocka_unit_test(test_binding_and_submitting_without_memory),
        cmocka_unit_test(test_a_person_with_a_full_history_takes_at_most_600_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
