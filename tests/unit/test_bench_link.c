/* SPDX-License-Identifier: Apache-2.0 */
/* decide-bench finds its daemon among the addresses of a name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "tests/support/fake_peer.h"
#include "tools/bench/link.h"

static struct fake_peer peers[3];
static struct link_target target;
static struct link bench_link = {.conn.fd = -1};
static struct err err;

static void add(const struct fake_peer *peer)
{
    struct link_target one;
    assert_int_equal(link_resolve(peer->url, &one, &err), ERR_OK);
    assert_int_equal(one.count, 1);
    assert_false(one.is_settled);
    target.addresses[target.count++] = one.addresses[0];
}

static int set_up(void **state)
{
    (void)state;
    memset(&target, 0, sizeof target);
    for (size_t i = 0; i < 3; i++)
        fake_peer_start(&peers[i], 0, FAKE_ANSWERS);
    for (size_t i = 0; i < 3; i++)
        add(&peers[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    link_close(&bench_link);
    for (size_t i = 0; i < 3; i++)
        fake_peer_stop(&peers[i]);
    link_deinit(&bench_link);
    return 0;
}

static void restart(size_t index, enum fake_behaviour behaviour)
{
    uint16_t port = peers[index].port;
    fake_peer_stop(&peers[index]);
    fake_peer_start(&peers[index], port, behaviour);
}

static void the_first_one_that_greets_is_measured(void **state)
{
    (void)state;
    restart(0, FAKE_CLOSES);
    restart(1, FAKE_NEVER_GREETS);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(link_open(&bench_link, &target, &err), ERR_OK);
        assert_true(link_is_open(&bench_link));
        link_close(&bench_link);
    }
    assert_int_equal(atomic_load(&peers[0].connection_count), 1);
    assert_int_equal(atomic_load(&peers[1].connection_count), 1);
    assert_int_equal(atomic_load(&peers[2].connection_count), 3);
}

/* Another daemon of the name is another measurement. */
static void it_is_the_only_one_from_then_on(void **state)
{
    (void)state;
    assert_int_equal(link_open(&bench_link, &target, &err), ERR_OK);
    link_close(&bench_link);
    restart(0, FAKE_CLOSES);
    assert_int_equal(link_open(&bench_link, &target, &err), ERR_IO);
    assert_non_null(strstr(err.text, peers[0].url));
    assert_false(link_is_open(&bench_link));
    assert_int_equal(atomic_load(&peers[1].connection_count), 0);
    restart(0, FAKE_ANSWERS);
    assert_int_equal(link_open(&bench_link, &target, &err), ERR_OK);
}

static void none_greets(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        restart(i, FAKE_CLOSES);
    assert_int_equal(link_open(&bench_link, &target, &err), ERR_IO);
    assert_non_null(strstr(err.text, peers[2].url));
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(atomic_load(&peers[i].connection_count), 1);
    restart(1, FAKE_ANSWERS); /* it has come back */
    assert_int_equal(link_open(&bench_link, &target, &err), ERR_OK);
}

static void what_is_no_address(void **state)
{
    (void)state;
    static const char *const urls[] = {"", "x", "tcp://", "tcp://127.0.0.1",
                                       "tcp://127.0.0.1:1,tcp://127.0.0.1:2"};
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        assert_int_equal(link_resolve(urls[i], &target, &err), ERR_BAD_INPUT);
        assert_non_null(strstr(err.text, "--url"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_first_one_that_greets_is_measured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_is_the_only_one_from_then_on, set_up, tear_down),
        cmocka_unit_test_setup_teardown(none_greets, set_up, tear_down),
        cmocka_unit_test(what_is_no_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
