/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is: one connection has much to ask, the only worker is at its first request, and
 * another connection asks.  Time is a manual clock, which each request moves on. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/transport/sp_internal.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

enum { FRAME_BYTES = 9 + 4 + 1, ASKED = 3 * SP_TURN_MESSAGES };

/* Replies with the number of the request in the order of service.  The first waits for the test. */
struct counting_service {
    struct clock_manual clock;
    uint64_t cost_ns;
    uint32_t served_count;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool entered, released;
};

static enum call_state count(void *ctx, struct worker *worker, struct call *call)
{
    (void)worker;
    struct counting_service *service = ctx;
    pthread_mutex_lock(&service->mutex);
    service->entered = true;
    pthread_cond_broadcast(&service->changed);
    while (!service->released)
        pthread_cond_wait(&service->changed, &service->mutex);
    pthread_mutex_unlock(&service->mutex);
    clock_manual_advance_ns(&service->clock, service->cost_ns);
    memcpy(call->reply, &service->served_count, sizeof service->served_count);
    service->served_count++;
    call->reply_bytes = sizeof service->served_count;
    return CALL_DONE;
}

static uint32_t order_of_next(struct sp_client *client)
{
    uint32_t id = 0, order = 0;
    assert_int_equal(sp_receive(client, &id, &order, sizeof order), sizeof order);
    return order;
}

/* How many requests of the first connection are served before the one of the second. */
static uint32_t served_before_the_other(uint64_t cost_ns)
{
    struct sp_fixture fixture;
    struct counting_service service = {.cost_ns = cost_ns};
    char ipc[600];
    uint8_t flood[ASKED * FRAME_BYTES] = {0};
    struct sp_client one, other;
    sp_fixture_init(&fixture);
    clock_manual_init(&service.clock, 1000000000, 0);
    pthread_mutex_init(&service.mutex, NULL);
    pthread_cond_init(&service.changed, NULL);
    const char *const addresses[] = {sp_fixture_ipc_url(&fixture, ipc, sizeof ipc)};
    struct sp_server_options options = sp_fixture_options(&fixture);
    options.addresses = addresses;
    options.worker_count = 1;
    options.call = count;
    options.service = &service;
    options.clock = &service.clock.clock;
    sp_fixture_start(&fixture, &options);
    assert_true(sp_open(&one, ipc) && sp_open(&other, ipc));
    for (uint32_t i = 0; i < ASKED; i++) {
        uint8_t *frame = flood + i * FRAME_BYTES;
        frame[0] = 1;
        frame[8] = 5;
        frame[9] = 0x80;
    }
    assert_true(sp_send_raw(&one, flood, sizeof flood));
    pthread_mutex_lock(&service.mutex);
    while (!service.entered)
        pthread_cond_wait(&service.changed, &service.mutex);
    assert_true(sp_send(&other, 1, "?", 1));
    service.released = true;
    pthread_cond_broadcast(&service.changed);
    pthread_mutex_unlock(&service.mutex);
    uint32_t order = order_of_next(&other);
    for (uint32_t i = 0; i < ASKED; i++) /* and none of the first connection is lost */
        assert_int_equal(order_of_next(&one), i + (i >= order));
    sp_close(&one);
    sp_close(&other);
    sp_fixture_deinit(&fixture);
    pthread_cond_destroy(&service.changed);
    pthread_mutex_destroy(&service.mutex);
    return order;
}

/* The other may come after a second turn, since it has to be found ready first. */
static void test_cheap_requests_are_served_in_turns_of_many(void **state)
{
    (void)state;
    uint32_t before = served_before_the_other(100);
    assert_in_range(before, SP_TURN_MESSAGES, 2 * SP_TURN_MESSAGES);
}

static void test_costly_requests_make_turns_short(void **state)
{
    (void)state;
    assert_in_range(served_before_the_other(SP_TURN_NS), 1, 4);
    assert_in_range(served_before_the_other(SP_TURN_NS / 4), 4, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cheap_requests_are_served_in_turns_of_many),
        cmocka_unit_test(test_costly_requests_make_turns_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
