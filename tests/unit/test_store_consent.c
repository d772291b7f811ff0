/* SPDX-License-Identifier: Apache-2.0 */
/* What people allow: the newest word counts by its own time, and `process` keeps events out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "featurestore/store_apply.h"
#include "featurestore/store_internal.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/events.h"
#include "tests/support/temp_dir.h"

#define NOW_MS INT64_C(1700000000000)
#define NOBODY ((struct text){NULL, 0})
#define USER   TEXT_LITERAL("u")
#define ANON   TEXT_LITERAL("a")

static struct store_limits limits;
static struct clock_manual clock_now;
static struct store *store;
static struct events events;
static struct err err;

static void make_store(void)
{
    clock_manual_init(&clock_now, 1, NOW_MS);
    assert_int_equal(store_create(&limits, &clock_now.clock, &store, &err), ERR_OK);
}

static int set_up(void **state)
{
    (void)state;
    limits = (struct store_limits){.items_max = 1000,
                                   .people_max = 1000,
                                   .history_items_max = 8,
                                   .queue_events_max = 2000,
                                   .link_anons_max = 4,
                                   .link_users_max = 4};
    events_begin(&events);
    make_store();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_destroy(&store);
    return 0;
}

static const struct store_batch_result *send(const char *json)
{
    events_add_json(&events, json);
    size_t len = events_end(&events);
    events_apply(store, &events, len, NOW_MS);
    retire_flush(&store->retire);
    events_begin(&events);
    return &store->result;
}

static void accept(const char *json)
{
    const struct store_batch_result *result = send(json);
    if (result->accepted != 1)
        fail_msg("%s: %s", json, result->described > 0 ? result->rejection[0].message : "?");
}

static void refuse(const char *json)
{
    const struct store_batch_result *result = send(json);
    assert_int_equal(result->rejected, 1);
    assert_int_equal(result->rejection[0].code, ERR_DENIED);
    assert_string_equal(result->rejection[0].message,
                        "consent: this person does not allow 'process'");
}

static void say(const char *kind, const char *who, const char *consent, int64_t ts_ms)
{
    char json[300];
    snprintf(json, sizeof json, "{\"type\":\"consent\",\"%s\":\"%s\",\"ts\":%lld,\"consent\":{%s}}",
             kind, who, (long long)ts_ms, consent);
    accept(json);
}

static bool allows(struct text user, struct text anon, uint32_t bit)
{
    return (store_consent(store, user, anon) & bit) != 0;
}

static uint64_t hash(void)
{
    uint64_t sequence;
    return store_state_hash(store, &sequence);
}

static void test_the_newest_word_counts_flag_by_flag(void **state)
{
    (void)state;
    assert_int_equal(store_consent(store, USER, NOBODY), CONSENT_ALL);
    say("user", "u", "\"personalize\":false,\"train\":false", NOW_MS - 5000);
    assert_false(allows(USER, NOBODY, CONSENT_BIT(personalize)));
    assert_false(allows(USER, NOBODY, CONSENT_BIT(train)));
    assert_true(allows(USER, NOBODY, CONSENT_BIT(process)));
    uint64_t before = hash();
    say("user", "u", "\"personalize\":true", NOW_MS - 6000); /* late */
    assert_false(allows(USER, NOBODY, CONSENT_BIT(personalize)));
    assert_true(hash() == before);
    say("user", "u", "\"personalize\":true", NOW_MS - 5000); /* of equal times the last */
    assert_true(allows(USER, NOBODY, CONSENT_BIT(personalize)));
    assert_false(allows(USER, NOBODY, CONSENT_BIT(train)));
    say("user", "u", "", NOW_MS);
    assert_int_equal(store_consent(store, USER, NOBODY), CONSENT_ALL & ~CONSENT_BIT(train));
    /* It makes no history and moves no time. */
    struct history history;
    assert_false(store_history(store, USER, NOBODY, &history));
    assert_int_equal(store_watermark_ms(store), 0);
}

static void test_a_denial_of_either_id_holds(void **state)
{
    (void)state;
    say("anon", "a", "\"ads\":false", NOW_MS);
    assert_true(allows(USER, NOBODY, CONSENT_BIT(ads)));
    assert_false(allows(USER, ANON, CONSENT_BIT(ads)));
    say("user", "u", "\"ads\":true,\"train\":false", NOW_MS);
    assert_false(allows(USER, ANON, CONSENT_BIT(ads)));
    assert_true(allows(NOBODY, ANON, CONSENT_BIT(train)));
    accept("{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\"}");
    assert_false(allows(NOBODY, ANON, CONSENT_BIT(train))); /* it is the user who asks */
    accept("{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\",\"undo\":true}");
    assert_true(allows(NOBODY, ANON, CONSENT_BIT(train)));
    accept("{\"type\":\"consent\",\"user\":\"v\",\"anon\":\"b\",\"consent\":{\"share\":false}}");
    assert_false(allows(TEXT_LITERAL("v"), NOBODY, CONSENT_BIT(share)));
    assert_false(allows(NOBODY, TEXT_LITERAL("b"), CONSENT_BIT(share)));
}

static void test_who_said_nothing_allows_what_is_configured(void **state)
{
    (void)state;
    store_destroy(&store);
    limits.consent_denied = CONSENT_ALL & ~CONSENT_BIT(process);
    make_store();
    assert_int_equal(store_consent(store, USER, NOBODY), CONSENT_BIT(process));
    say("user", "u", "\"personalize\":true", NOW_MS);
    assert_int_equal(store_consent(store, USER, ANON),
                     CONSENT_BIT(process) | CONSENT_BIT(personalize));
    store_destroy(&store);
    limits.consent_denied = CONSENT_ALL;
    make_store();
    refuse("{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
    accept("{\"type\":\"item_upsert\",\"items\":[{\"id\":\"x\"}]}");
    accept("{\"type\":\"view\",\"user\":\"u\",\"consent\":{\"process\":true},\"items\":[{\"id\":"
           "\"x\"}]}");
    accept("{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
}

static void test_without_process_events_are_refused(void **state)
{
    (void)state;
    say("user", "u", "\"process\":false", NOW_MS - 1000);
    assert_int_equal(store_consent(store, USER, NOBODY), 0); /* nor anything else */
    refuse("{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
    refuse("{\"type\":\"custom:quiz\",\"anon\":\"a\",\"user\":\"u\"}");
    refuse("{\"type\":\"identify\",\"user\":\"u\",\"anon\":\"a\"}");
    refuse("{\"type\":\"user_upsert\",\"user\":\"u\",\"attributes\":{}}");
    accept("{\"type\":\"view\",\"anon\":\"a\",\"items\":[{\"id\":\"x\"}]}");
    /* An event that was made before the denial allows nothing. */
    refuse(
        "{\"type\":\"view\",\"user\":\"u\",\"ts\":1699999998000,\"consent\":{\"process\":true}}");
    accept("{\"type\":\"view\",\"user\":\"u\",\"consent\":{\"process\":true,\"ads\":false},"
           "\"items\":[{\"id\":\"x\"}]}");
    struct history history;
    assert_true(store_history(store, USER, NOBODY, &history));
    assert_int_equal(history.events, 1);
    assert_false(allows(USER, NOBODY, CONSENT_BIT(ads)));
}

static void test_an_event_that_denies_process_is_a_consent_and_nothing_else(void **state)
{
    (void)state;
    struct temp_dir dir;
    uint64_t sequence;
    struct event_log_reader reader;
    struct event_record record;
    temp_dir_create(&dir);
    struct event_log_options options = {
        .dir = dir.path, .bytes_max = EVENT_LOG_BYTES_MIN, .clock = &clock_now.clock};
    const struct store_checkpoint_options none = {0};
    assert_int_equal(store_open_log(store, &options, &none, &err), ERR_OK);
    accept("{\"id\":\"w\",\"type\":\"purchase\",\"user\":\"u\",\"anon\":\"a\",\"query\":\"secret\","
           "\"consent\":{\"process\":false,\"train\":true},\"items\":[{\"id\":\"secret\"}]}");
    struct history history;
    assert_false(store_history(store, USER, NOBODY, &history));
    assert_int_equal(store_item_find(store, TEXT_LITERAL("secret")), IDMAP_NONE);
    assert_false(allows(NOBODY, ANON, CONSENT_BIT(process)));
    uint64_t before = store_state_hash(store, &sequence);
    assert_int_equal(event_log_commit(store->log, &err), ERR_OK);
    assert_int_equal(event_log_read_begin(store->log, 1, &reader, &err), ERR_OK);
    assert_int_equal(event_log_read_next(&reader, &record, &err), ERR_OK);
    assert_int_equal(record.type, EVENT_consent);
    assert_null(memmem(record.event.ptr, record.event.len, "secret", 6));
    event_log_read_end(&reader);
    store_destroy(&store);

    make_store();
    assert_int_equal(store_open_log(store, &options, &none, &err), ERR_OK);
    assert_int_equal(store_start(store, &err), ERR_OK);
    do
        (void)store_state_hash(store, &sequence);
    while (!store_is_recovered(store));
    assert_true(store_state_hash(store, &sequence) == before);
    store_stop(store);
    temp_dir_remove(&dir);
}

static void test_what_was_accepted_is_replayed_whatever_the_default_is_by_then(void **state)
{
    (void)state;
    static const uint8_t event[] = "\x83\xa2id\xa1"
                                   "e\xa4type\xa4view\xa4user\xa1u";
    const struct event_record record = {.sequence = 1,
                                        .arrival_ms = NOW_MS,
                                        .type = EVENT_view,
                                        .event = {(const char *)event, sizeof event - 1}};
    struct history history;
    store_destroy(&store);
    limits.consent_denied = CONSENT_ALL;
    make_store();
    struct event decoded;
    assert_int_equal(store_decode_record(&record, &store->arena, &decoded, &err), ERR_OK);
    assert_int_equal(store_apply_record(store, &record, &decoded, &err), ERR_OK);
    assert_true(store_history(store, USER, NOBODY, &history));
}

static void test_without_memory_nothing_changes(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        store_destroy(&store);
        make_store();
        accept("{\"type\":\"view\",\"user\":\"u\",\"items\":[{\"id\":\"x\"}]}");
        uint64_t before = hash();
        alloc_fail_after(n);
        const struct store_batch_result *result =
            send("{\"type\":\"view\",\"user\":\"u\",\"anon\":\"a\",\"consent\":{\"ads\":false},"
                 "\"items\":[{\"id\":\"y\"}]}");
        if (!alloc_fail_off()) {
            assert_int_equal(result->accepted, 1);
            assert_true(n >= 6);
            break;
        }
        assert_int_equal(result->rejection[0].code, ERR_NOMEM);
        assert_true(hash() == before);
        assert_int_equal(store_consent(store, USER, ANON), CONSENT_ALL);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_the_newest_word_counts_flag_by_flag),
        TEST(test_a_denial_of_either_id_holds),
        TEST(test_who_said_nothing_allows_what_is_configured),
        TEST(test_without_process_events_are_refused),
        TEST(test_an_event_that_denies_process_is_a_consent_and_nothing_else),
        TEST(test_what_was_accepted_is_replayed_whatever_the_default_is_by_then),
        TEST(test_without_memory_nothing_changes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
