/* SPDX-License-Identifier: Apache-2.0 */
/* A worker that stands still, whether it is the one that accepts or another: it is noticed, new
 * connections are served by others, and it takes part again when it goes on. */
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/metrics.h"
#include "tests/support/sp_client.h"
#include "tests/support/sp_fixture.h"

enum { NEW = 12, LOOK_MS = 50, WAIT_NS_PER_S = 1000000000 };

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool entered, released;
} block = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};

/* "block" does not come back until it is released. */
static enum call_state serve(void *ctx, struct worker *worker, struct call *call)
{
    if (call->request_bytes == 5 && memcmp(call->request, "block", 5) == 0) {
        pthread_mutex_lock(&block.mutex);
        block.entered = true;
        pthread_cond_broadcast(&block.changed);
        while (!block.released)
            pthread_cond_wait(&block.changed, &block.mutex);
        pthread_mutex_unlock(&block.mutex);
    }
    return text_service_call(ctx, worker, call);
}

static void block_worker_of(struct sp_client *client)
{
    block.entered = block.released = false;
    assert_true(sp_send(client, 7, "block", 5));
    pthread_mutex_lock(&block.mutex);
    while (!block.entered)
        pthread_cond_wait(&block.changed, &block.mutex);
    pthread_mutex_unlock(&block.mutex);
}

static void release(void)
{
    pthread_mutex_lock(&block.mutex);
    block.released = true;
    pthread_cond_broadcast(&block.changed);
    pthread_mutex_unlock(&block.mutex);
}

static int worker_of(struct sp_client *client)
{
    uint8_t index = UINT8_MAX;
    assert_int_equal(sp_ask(client, "worker", &index, 1), 1);
    return index;
}

/* Looks again and again, until so many stand still. */
static bool becomes_still(struct sp_server *server, uint32_t count)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + UINT64_C(20) * WAIT_NS_PER_S;
    (void)sp_server_look(server, false);
    do
        poll(NULL, 0, LOOK_MS);
    while (sp_server_look(server, true) != count && clock_now_ns(clock_system()) < end_ns);
    return clock_now_ns(clock_system()) < end_ns;
}

/* True when a new connection gets to that worker; connections stay open until then. */
static bool gets_a_connection(const char *url, int index)
{
    struct sp_client clients[NEW];
    bool found = false;
    uint32_t count = 0;
    while (count < NEW && !found) {
        assert_true(sp_open(&clients[count], url));
        found = worker_of(&clients[count++]) == index;
    }
    while (count > 0)
        sp_close(&clients[--count]);
    return found;
}

static bool is_refused(const char *url)
{
    uint64_t end_ns = clock_now_ns(clock_system()) + UINT64_C(20) * WAIT_NS_PER_S;
    struct sp_client client;
    while (clock_now_ns(clock_system()) < end_ns) {
        if (!sp_connect(&client, url))
            return true;
        sp_close(&client);
        poll(NULL, 0, 1);
    }
    return false;
}

static void start(struct sp_fixture *fixture)
{
    struct sp_server_options options = sp_fixture_options(fixture);
    options.call = serve;
    sp_fixture_start(fixture, &options);
}

static void others_serve_in_the_place_of(struct sp_fixture *fixture, int victim)
{
    struct sp_client first[2], early[NEW], late[NEW];
    char reply[16];
    uint32_t id = 0;
    start(fixture);
    const char *url = sp_fixture_url(fixture);
    for (int i = 0; i < 2; i++)
        assert_true(sp_open(&first[i], url));
    struct sp_client *stuck = worker_of(&first[0]) == victim ? &first[0] : &first[1];
    struct sp_client *fine = stuck == &first[0] ? &first[1] : &first[0];
    assert_int_equal(worker_of(stuck), victim);
    assert_int_equal(worker_of(fine), !victim);
    assert_true(becomes_still(fixture->server, 0));
    block_worker_of(stuck);
    for (int i = 0; i < NEW; i++)
        assert_true(sp_connect(&early[i], url)); /* dealt out, or waiting to be accepted */
    if (victim != 0)
        assert_true(
            sp_fixture_metric_becomes(fixture, M_CONNECTIONS_ACCEPTED, TRANSPORT_SP, 2 + NEW));
    assert_true(becomes_still(fixture->server, 1));
    for (int i = 0; i < NEW; i++) {
        assert_true(sp_handshake(&early[i]));
        assert_int_equal(worker_of(&early[i]), !victim);
        assert_true(sp_open(&late[i], url));
        assert_int_equal(worker_of(&late[i]), !victim);
    }
    release();
    assert_int_equal(sp_receive(stuck, &id, reply, sizeof reply), 5);
    assert_true(becomes_still(fixture->server, 0));
    assert_true(gets_a_connection(url, victim));
    for (int i = 0; i < NEW; i++) {
        sp_close(&early[i]);
        sp_close(&late[i]);
    }
    sp_server_refuse_new(fixture->server);
    assert_true(is_refused(url));
    assert_int_equal(worker_of(stuck), victim);
    assert_int_equal(worker_of(fine), !victim);
    sp_close(stuck);
    sp_close(fine);
}

static void test_another_stands_still(void **state)
{
    others_serve_in_the_place_of(*state, 1);
}

static void test_the_one_that_accepts_stands_still(void **state)
{
    others_serve_in_the_place_of(*state, 0);
}

/* The listening socket is closed when the last that has it in its loop lets go of it. */
static void test_new_ones_are_refused_once_it_goes_on(void **state)
{
    struct sp_fixture *fixture = *state;
    struct sp_client first[2];
    start(fixture);
    const char *url = sp_fixture_url(fixture);
    assert_true(sp_open(&first[0], url) && sp_open(&first[1], url));
    block_worker_of(worker_of(&first[0]) == 0 ? &first[0] : &first[1]);
    assert_true(becomes_still(fixture->server, 1));
    assert_true(sp_serves(url));
    sp_server_refuse_new(fixture->server);
    release();
    assert_true(is_refused(url));
    sp_close(&first[0]);
    sp_close(&first[1]);
}

/* A test that fails must not leave a worker for which the server would wait. */
static int tear_down(void **state)
{
    release();
    return sp_fixture_tear_down(state);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sp_fixture_set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_another_stands_still),
        TEST(test_the_one_that_accepts_stands_still),
        TEST(test_new_ones_are_refused_once_it_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
