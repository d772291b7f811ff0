/* SPDX-License-Identifier: Apache-2.0 */
/* Submitted calls: each gets one callback, from decide_process, by its deadline. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fake_peer.h"
#include "tests/support/lateness.h"

#define LONG_US  UINT64_C(20000000) /* a time that no working call comes near to */
#define SHORT_US UINT64_C(40000)

enum { USERS = 300 };

static struct decide_client *client_of(const char *urls)
{
    struct decide_options options = decide_options_default();
    struct decide_client *client = NULL;
    char error[DECIDE_ERROR_BYTES];
    options.urls = urls;
    assert_int_equal(decide_client_create(&options, &client, error), DECIDE_OK);
    return client;
}

/* What a callback was told. */
struct result {
    uint32_t callback_count;
    enum decide_status status;
    char id[16]; /* of the first item */
    uint64_t waited_us, timeout_us;
    char message[DECIDE_ERROR_BYTES];
};

static void on_reply(struct decide_reply *reply, void *argument)
{
    struct result *result = argument;
    result->callback_count++;
    result->status = reply->status;
    result->waited_us = reply->waited_us;
    if (reply->item_count > 0)
        snprintf(result->id, sizeof result->id, "%s", reply->items[0].id);
    if (reply->error_message != NULL)
        snprintf(result->message, sizeof result->message, "%s", reply->error_message);
    decide_reply_free(reply);
}

/* Waits for the descriptor, as an event loop does. */
static void process_until(struct decide_client *client, const uint32_t *count, uint32_t wanted)
{
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    assert_true(pollfd.fd >= 0);
    while (*count < wanted) {
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        decide_process(client);
    }
}

static uint64_t submit_user(struct decide_client *client, const char *user, uint64_t timeout_us,
                            struct result *result)
{
    struct decide_request request = {.user = user, .timeout_us = timeout_us};
    result->timeout_us = timeout_us;
    return decide_submit(client, "recommend", &request, on_reply, result);
}

static void submit_many(struct decide_client *client, struct result *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char user[16]; /* the request is copied */
        snprintf(user, sizeof user, "u%u", i);
        assert_int_not_equal(submit_user(client, user, LONG_US, &results[i]), 0);
        memset(user, 'x', sizeof user);
    }
}

static void wait_for_all(struct decide_client *client, struct result *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        process_until(client, &results[i].callback_count, 1);
}

static void expect_own_answers(const struct result *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char user[16];
        snprintf(user, sizeof user, "u%u", i);
        if (results[i].status != DECIDE_OK)
            print_error("%s\n", results[i].message);
        assert_int_equal(results[i].status, DECIDE_OK);
        assert_int_equal(results[i].callback_count, 1);
        assert_string_equal(results[i].id, user);
    }
}

static void calls_share_a_connection_and_get_their_own_answers(void **state)
{
    (void)state;
    static const enum fake_behaviour behaviours[] = {FAKE_ANSWERS, FAKE_ANSWERS_IN_PAIRS,
                                                     FAKE_ANSWERS_BYTEWISE};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        static struct fake_peer peer;
        static struct result results[USERS];
        memset(results, 0, sizeof results);
        fake_peer_start(&peer, 0, behaviours[i]);
        atomic_store(&peer.answers_users, true);
        struct decide_client *client = client_of(peer.url);
        submit_many(client, results, 8);
        for (uint32_t k = 0; k < 8; k++)
            assert_int_equal(results[k].callback_count, 0); /* not before decide_process */
        wait_for_all(client, results, 8);
        expect_own_answers(results, 8);
        assert_int_equal(atomic_load(&peer.connection_count), 1);

        /* More than one connection is loaded with. */
        uint32_t count = behaviours[i] == FAKE_ANSWERS_IN_PAIRS ? 16 : USERS;
        memset(results, 0, sizeof results);
        submit_many(client, results, count);
        wait_for_all(client, results, count);
        expect_own_answers(results, count);
        assert_in_range(atomic_load(&peer.connection_count), 2, DECIDE_CONNECTIONS);
        struct decide_counters counters;
        decide_client_counters(client, &counters);
        assert_int_equal(counters.ok, 8 + count);
        assert_int_equal(counters.calls, 8 + count);
        assert_int_equal(counters.degraded, 0);
        decide_client_destroy(&client);
        fake_peer_stop(&peer);
    }
}

static int by_size(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void deadlines_hold_against_peers_that_are_silent_or_trickle(void **state)
{
    (void)state;
    static const enum fake_behaviour behaviours[] = {FAKE_NEVER_GREETS, FAKE_NEVER_ANSWERS,
                                                     FAKE_TRICKLES};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        static struct fake_peer peer;
        static struct result results[60];
        static struct lateness machine;
        uint64_t late_us[60];
        memset(results, 0, sizeof results);
        fake_peer_start(&peer, 0, behaviours[i]);
        struct decide_client *client = client_of(peer.url);
        lateness_start(&machine);
        /* The shortest comes last. */
        for (uint32_t k = 0; k < 60; k++)
            assert_int_not_equal(
                submit_user(client, "u", SHORT_US + (60 - k) * UINT64_C(1500), &results[k]), 0);
        wait_for_all(client, results, 60);
        for (uint32_t k = 0; k < 60; k++) {
            assert_int_equal(results[k].status, DECIDE_TIMEOUT);
            assert_true(results[k].waited_us >= results[k].timeout_us);
            late_us[k] = results[k].waited_us - results[k].timeout_us;
        }
        qsort(late_us, 60, sizeof late_us[0], by_size);
        lateness_stop(&machine);
        assert_true(late_us[30] <
                    2000 + hist_quantile(&machine.late_ns, 0.9) / 100); /* in us: ten times */
        decide_client_destroy(&client);
        fake_peer_stop(&peer);
    }
}

static void what_is_lost_goes_to_the_other_address(void **state)
{
    (void)state;
    static const enum fake_behaviour behaviours[] = {FAKE_HALF_CLOSES,
                                                     FAKE_RESETS,
                                                     FAKE_CLOSES,
                                                     FAKE_ANSWERS_GARBAGE,
                                                     FAKE_GREETS_WRONG,
                                                     FAKE_ANSWERS_WRONG_ID,
                                                     FAKE_ANSWERS_HALF_AND_CLOSES};
    for (size_t i = 0; i < sizeof behaviours / sizeof behaviours[0]; i++) {
        static struct fake_peer sick;
        static struct fake_peer sound;
        static struct result results[40];
        char urls[400];
        memset(results, 0, sizeof results);
        fake_peer_start(&sick, 0, behaviours[i]);
        fake_peer_start(&sound, 0, FAKE_ANSWERS);
        atomic_store(&sound.answers_users, true);
        atomic_store(&sick.answers_users, true);
        snprintf(urls, sizeof urls, "%s,%s", sick.url, sound.url);
        struct decide_client *client = client_of(urls);
        submit_many(client, results, 40);
        wait_for_all(client, results, 40);
        expect_own_answers(results, 40);
        struct decide_counters counters;
        decide_client_counters(client, &counters);
        assert_true(counters.retries > 0);
        decide_client_destroy(&client);
        fake_peer_stop(&sick);
        fake_peer_stop(&sound);
    }
}

static void a_cancelled_call_ends_flagged_and_its_late_reply_is_skipped(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static struct result results[3];
    memset(results, 0, sizeof results);
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    atomic_store(&peer.answers_users, true);
    fake_peer_hold(&peer, true);
    struct decide_client *client = client_of(peer.url);
    uint64_t ticket = submit_user(client, "u0", LONG_US, &results[0]);
    assert_int_not_equal(submit_user(client, "u1", LONG_US, &results[1]), ticket);
    struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
    while (atomic_load(&peer.request_count) == 0) { /* until it was sent */
        assert_int_equal(poll(&pollfd, 1, 10) < 0, 0);
        decide_process(client);
    }
    assert_false(decide_cancel(client, ticket + 100));
    assert_true(decide_cancel(client, ticket));
    assert_false(decide_cancel(client, ticket));
    assert_int_equal(results[0].callback_count, 0); /* by decide_process, as every callback */
    assert_int_equal(poll(&pollfd, 1, 30000), 1);
    assert_int_equal(decide_process(client), 1);
    assert_int_equal(results[0].status, DECIDE_CANCELLED);
    assert_string_equal(decide_status_name(results[0].status), "cancelled");
    fake_peer_hold(&peer, false);
    process_until(client, &results[1].callback_count, 1);
    assert_string_equal(results[1].id, "u1");
    assert_int_equal(results[0].callback_count, 1);
    assert_false(decide_cancel(client, ticket));
    struct decide_counters counters;
    decide_client_counters(client, &counters);
    assert_int_equal(counters.cancelled, 1);
    assert_int_equal(counters.ok, 1);
    assert_int_equal(counters.connects, 1);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void destroying_completes_what_is_pending(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static struct result results[50];
    memset(results, 0, sizeof results);
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct decide_client *client = client_of(peer.url);
    submit_many(client, results, 50);
    decide_process(client);
    decide_client_destroy(&client);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(results[i].callback_count, 1);
        assert_int_equal(results[i].status, DECIDE_CANCELLED);
    }
    fake_peer_stop(&peer);
}

/* Each callback submits the next call and cancels one that it has submitted before. */
struct chain {
    struct decide_client *client;
    uint32_t left, callback_count, cancelled_count;
};

static void on_chain(struct decide_reply *reply, void *argument)
{
    struct chain *chain = argument;
    struct decide_request request = {.user = "u", .timeout_us = LONG_US};
    chain->callback_count++;
    chain->cancelled_count += reply->status == DECIDE_CANCELLED;
    decide_reply_free(reply);
    if (chain->left == 0)
        return;
    chain->left--;
    assert_int_not_equal(decide_submit(chain->client, "rank", NULL, on_chain, chain), 0);
    uint64_t ticket = decide_submit(chain->client, "recommend", &request, on_chain, chain);
    if (chain->left % 2 == 0)
        assert_true(decide_cancel(chain->client, ticket));
}

static void callbacks_submit_and_cancel(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct chain chain = {.client = client_of(peer.url), .left = 20};
    assert_int_not_equal(
        decide_submit_call(chain.client, "ping", NULL, 0, LONG_US, on_chain, &chain), 0);
    process_until(chain.client, &chain.callback_count, 41);
    assert_int_equal(chain.callback_count, 41);
    assert_int_equal(chain.cancelled_count, 10);
    decide_client_destroy(&chain.client);
    fake_peer_stop(&peer);
}

static void what_cannot_be_sent_is_told_by_the_callback(void **state)
{
    (void)state;
    static const uint8_t event_list[] = {0x90};
    struct result results[4] = {{0}};
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = client_of(peer.url);
    assert_int_not_equal(decide_submit(client, "similar", NULL, on_reply, &results[0]), 0);
    assert_int_not_equal(
        decide_submit_call(client, "ping", "\xc0", 1, LONG_US, on_reply, &results[1]), 0);
    assert_int_not_equal(decide_submit_events(client, NULL, 0, LONG_US, on_reply, &results[2]), 0);
    assert_int_not_equal(
        decide_submit_events(client, event_list, sizeof event_list, LONG_US, on_reply, &results[3]),
        0);
    process_until(client, &results[2].callback_count, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(results[i].callback_count, 1);
        assert_int_equal(results[i].status, DECIDE_INVALID);
    }
    assert_non_null(strstr(results[0].message, "seeds"));
    process_until(client, &results[3].callback_count, 1);
    assert_int_equal(results[3].status, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void there_is_a_limit_of_calls_in_progress(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static struct result results[DECIDE_PENDING_MAX + 1];
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct decide_client *client = client_of(peer.url);
    submit_many(client, results, DECIDE_PENDING_MAX);
    assert_int_equal(submit_user(client, "u", LONG_US, &results[DECIDE_PENDING_MAX]), 0);
    decide_process(client);
    assert_true(atomic_load(&peer.connection_count) <= DECIDE_CONNECTIONS);
    decide_client_destroy(&client);
    for (int i = 0; i < DECIDE_PENDING_MAX; i++)
        assert_int_equal(results[i].callback_count, 1);
    assert_int_equal(results[DECIDE_PENDING_MAX].callback_count, 0);
    fake_peer_stop(&peer);
}

enum { THREADS = 4, CALLS_EACH = 300 };

struct shared {
    struct decide_client *client;
    _Atomic uint32_t ok_count, callback_count;
};

static void on_shared(struct decide_reply *reply, void *argument)
{
    struct shared *shared = argument;
    atomic_fetch_add(&shared->ok_count, reply->status == DECIDE_OK);
    atomic_fetch_add(&shared->callback_count, 1);
    decide_reply_free(reply);
}

/* Submits and blocks in turn, and lends a hand with the callbacks. */
static void *run_submitter(void *argument)
{
    struct shared *shared = argument;
    for (int i = 0; i < CALLS_EACH; i++) {
        struct decide_request request = {.user = "u", .timeout_us = LONG_US};
        if (decide_submit(shared->client, "recommend", &request, on_shared, shared) == 0)
            abort();
        struct decide_reply *reply = decide_recommend(shared->client, &request);
        atomic_fetch_add(&shared->ok_count, reply->status == DECIDE_OK);
        decide_reply_free(reply);
        decide_process(shared->client);
    }
    return NULL;
}

static void threads_share_a_client(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct shared shared = {.client = client_of(peer.url)};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_submitter, &shared), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct pollfd pollfd = {.fd = decide_fd(shared.client), .events = POLLIN};
    while (atomic_load(&shared.callback_count) < THREADS * CALLS_EACH) {
        assert_int_equal(poll(&pollfd, 1, 30000), 1);
        decide_process(shared.client);
    }
    assert_int_equal(atomic_load(&shared.ok_count), 2 * THREADS * CALLS_EACH);
    decide_client_destroy(&shared.client);
    fake_peer_stop(&peer);
}

static void a_lack_of_memory_is_told_or_nothing_was_submitted(void **state)
{
    (void)state;
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    bool failed = true;
    for (uint32_t n = 0; failed; n++) {
        struct result result = {0};
        struct decide_client *client = client_of(peer.url);
        alloc_fail_after(n);
        uint64_t ticket = submit_user(client, "u", LONG_US, &result);
        if (ticket != 0)
            process_until(client, &result.callback_count, 1);
        failed = alloc_fail_off();
        assert_int_equal(result.callback_count, ticket == 0 ? 0 : 1);
        if (ticket != 0)
            assert_int_equal(result.status, failed ? DECIDE_NOMEM : DECIDE_OK);
        assert_true(failed || ticket != 0);
        /* And the client goes on working. */
        memset(&result, 0, sizeof result);
        assert_int_not_equal(submit_user(client, "u", LONG_US, &result), 0);
        process_until(client, &result.callback_count, 1);
        assert_int_equal(result.status, DECIDE_OK);
        decide_client_destroy(&client);
    }
    fake_peer_stop(&peer);
}

static void without_descriptors_nothing_is_submitted(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct result result = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = client_of(peer.url);
    struct rlimit before;
    struct rlimit none = {0};
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    int fd = decide_fd(client);
    uint64_t ticket = submit_user(client, "u", LONG_US, &result);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(fd, -1);
    assert_int_equal(ticket, 0);
    assert_int_equal(decide_process(client), 0);
    /* With the descriptor, but none for a socket: the call fails, and the next one does not. */
    fd = decide_fd(client);
    setrlimit(RLIMIT_NOFILE, &none);
    ticket = submit_user(client, "u", SHORT_US, &result);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_not_equal(ticket, 0);
    process_until(client, &result.callback_count, 1);
    assert_int_equal(submit_user(client, "u", LONG_US, &result) == 0, 0);
    process_until(client, &result.callback_count, 2);
    assert_int_equal(result.status, DECIDE_OK);
    assert_int_equal(decide_fd(client), fd);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_child_has_a_descriptor_of_its_own(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct result result = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    fake_peer_hold(&peer, true);
    struct decide_client *client = client_of(peer.url);
    assert_int_not_equal(submit_user(client, "u", LONG_US, &result), 0);
    decide_process(client);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* What the parent submitted is the parent's; a call of one's own ends in time. */
        struct result own = {0};
        struct decide_request request = {.user = "u", .timeout_us = SHORT_US};
        struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
        int failed =
            pollfd.fd < 0 || decide_submit(client, "recommend", &request, on_reply, &own) == 0;
        while (!failed && own.callback_count == 0) {
            failed |= poll(&pollfd, 1, 30000) != 1;
            decide_process(client);
        }
        failed |= own.status != DECIDE_TIMEOUT || result.callback_count != 0;
        decide_client_destroy(&client);
        _exit(failed || result.callback_count != 0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    fake_peer_hold(&peer, false);
    process_until(client, &result.callback_count, 1);
    assert_int_equal(result.status, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_share_a_connection_and_get_their_own_answers),
        cmocka_unit_test(deadlines_hold_against_peers_that_are_silent_or_trickle),
        cmocka_unit_test(what_is_lost_goes_to_the_other_address),
        cmocka_unit_test(a_cancelled_call_ends_flagged_and_its_late_reply_is_skipped),
        cmocka_unit_test(destroying_completes_what_is_pending),
        cmocka_unit_test(callbacks_submit_and_cancel),
        cmocka_unit_test(what_cannot_be_sent_is_told_by_the_callback),
        cmocka_unit_test(there_is_a_limit_of_calls_in_progress),
        cmocka_unit_test(threads_share_a_client),
        cmocka_unit_test(a_lack_of_memory_is_told_or_nothing_was_submitted),
        cmocka_unit_test(without_descriptors_nothing_is_submitted),
        cmocka_unit_test(a_child_has_a_descriptor_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
