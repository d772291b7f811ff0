/* SPDX-License-Identifier: Apache-2.0 */
/* Submitted calls at their limits: what cannot be sent, many calls, many threads, no memory, no
 * descriptors, a fork. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "client/decide.h"
#include "tests/support/alloc_fail.h"
#include "tests/support/fake_peer.h"
#include "tests/support/submitted.h"

static void what_cannot_be_sent_is_told_by_the_callback(void **state)
{
    (void)state;
    static const uint8_t event_list[] = {0x90};
    struct submitted results[4] = {{0}};
    static struct fake_peer peer;
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = submitted_client(peer.url);
    assert_int_not_equal(decide_submit(client, "similar", NULL, submitted_on_reply, &results[0]),
                         0);
    assert_int_not_equal(
        decide_submit_call(client, "ping", "\xc0", 1, LONG_US, submitted_on_reply, &results[1]), 0);
    assert_int_not_equal(
        decide_submit_events(client, NULL, 0, LONG_US, submitted_on_reply, &results[2]), 0);
    assert_int_not_equal(decide_submit_events(client, event_list, sizeof event_list, LONG_US,
                                              submitted_on_reply, &results[3]),
                         0);
    submitted_process_until(client, &results[2].callback_count, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(results[i].callback_count, 1);
        assert_int_equal(results[i].status, DECIDE_INVALID);
    }
    assert_non_null(strstr(results[0].message, "seeds"));
    submitted_process_until(client, &results[3].callback_count, 1);
    assert_int_equal(results[3].status, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void there_is_a_limit_of_calls_in_progress(void **state)
{
    (void)state;
    static struct fake_peer peer;
    static struct submitted results[DECIDE_PENDING_MAX + 1];
    fake_peer_start(&peer, 0, FAKE_NEVER_ANSWERS);
    struct decide_client *client = submitted_client(peer.url);
    submitted_many(client, results, DECIDE_PENDING_MAX);
    assert_int_equal(submitted_user(client, "u", LONG_US, &results[DECIDE_PENDING_MAX]), 0);
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
    struct shared shared = {.client = submitted_client(peer.url)};
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
        struct submitted result = {0};
        struct decide_client *client = submitted_client(peer.url);
        alloc_fail_after(n);
        uint64_t ticket = submitted_user(client, "u", LONG_US, &result);
        if (ticket != 0)
            submitted_process_until(client, &result.callback_count, 1);
        failed = alloc_fail_off();
        assert_int_equal(result.callback_count, ticket == 0 ? 0 : 1);
        if (ticket != 0)
            assert_int_equal(result.status, failed ? DECIDE_NOMEM : DECIDE_OK);
        assert_true(failed || ticket != 0);
        /* And the client goes on working. */
        memset(&result, 0, sizeof result);
        assert_int_not_equal(submitted_user(client, "u", LONG_US, &result), 0);
        submitted_process_until(client, &result.callback_count, 1);
        assert_int_equal(result.status, DECIDE_OK);
        decide_client_destroy(&client);
    }
    fake_peer_stop(&peer);
}

static void without_descriptors_nothing_is_submitted(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct submitted result = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    struct decide_client *client = submitted_client(peer.url);
    struct rlimit before;
    struct rlimit none = {0};
    getrlimit(RLIMIT_NOFILE, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_NOFILE, &none);
    int fd = decide_fd(client);
    uint64_t ticket = submitted_user(client, "u", LONG_US, &result);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_equal(fd, -1);
    assert_int_equal(ticket, 0);
    assert_int_equal(decide_process(client), 0);
    /* With the descriptor, but none for a socket: the call fails, and the next one does not. */
    fd = decide_fd(client);
    setrlimit(RLIMIT_NOFILE, &none);
    ticket = submitted_user(client, "u", SHORT_US, &result);
    setrlimit(RLIMIT_NOFILE, &before);
    assert_int_not_equal(ticket, 0);
    submitted_process_until(client, &result.callback_count, 1);
    assert_int_equal(submitted_user(client, "u", LONG_US, &result) == 0, 0);
    submitted_process_until(client, &result.callback_count, 2);
    assert_int_equal(result.status, DECIDE_OK);
    assert_int_equal(decide_fd(client), fd);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

static void a_child_has_a_descriptor_of_its_own(void **state)
{
    (void)state;
    static struct fake_peer peer;
    struct submitted result = {0};
    fake_peer_start(&peer, 0, FAKE_ANSWERS);
    fake_peer_hold(&peer, true);
    struct decide_client *client = submitted_client(peer.url);
    assert_int_not_equal(submitted_user(client, "u", LONG_US, &result), 0);
    decide_process(client);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        /* What the parent submitted is the parent's; a call of one's own ends in time. */
        struct submitted own = {0};
        struct decide_request request = {.user = "u", .timeout_us = SHORT_US};
        struct pollfd pollfd = {.fd = decide_fd(client), .events = POLLIN};
        int failed = pollfd.fd < 0 ||
                     decide_submit(client, "recommend", &request, submitted_on_reply, &own) == 0;
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
    submitted_process_until(client, &result.callback_count, 1);
    assert_int_equal(result.status, DECIDE_OK);
    decide_client_destroy(&client);
    fake_peer_stop(&peer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_sent_is_told_by_the_callback),
        cmocka_unit_test(there_is_a_limit_of_calls_in_progress),
        cmocka_unit_test(threads_share_a_client),
        cmocka_unit_test(a_lack_of_memory_is_told_or_nothing_was_submitted),
        cmocka_unit_test(without_descriptors_nothing_is_submitted),
        cmocka_unit_test(a_child_has_a_descriptor_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
