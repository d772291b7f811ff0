/* SPDX-License-Identifier: Apache-2.0 */
/* Records come out as they were put in, in order, across the end of the buffer and from one thread
 * to another; what does not fit is refused and leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/rand.h"
#include "server/decide/ring.h"
#include "tests/support/alloc_fail.h"

enum { CAPACITY = 256, LENGTH_FIELD = 4, THREADED_COUNT = 200000 };

static struct ring ring;

static int set_up(void **state)
{
    struct err err;
    (void)state;
    return ring_init(&ring, CAPACITY, &err) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    ring_deinit(&ring);
    return 0;
}

/* The n-th record: its length and its bytes follow from n. */
static uint32_t make(uint32_t n, uint8_t bytes[CAPACITY])
{
    uint32_t len = n * 7 % 60;
    memset(bytes, (int)(n & 0xFF), len);
    return len;
}

static void take_and_check(uint32_t n)
{
    uint8_t expected[CAPACITY], got[CAPACITY];
    uint32_t len = 0, expected_len = make(n, expected);
    assert_true(ring_peek(&ring, &len));
    assert_int_equal(len, expected_len);
    ring_take(&ring, got);
    assert_memory_equal(got, expected, len);
}

static void test_records_pass_in_order(void **state)
{
    (void)state;
    uint8_t bytes[CAPACITY];
    uint32_t len, put = 0, taken = 0;
    struct rand rand;
    rand_init(&rand, 5);
    while (put < 5000) {
        for (uint64_t n = rand_below(&rand, 6); n > 0; n--) {
            len = make(put, bytes);
            put += ring_put(&ring, bytes, len);
        }
        for (uint64_t n = rand_below(&rand, 6); n > 0 && taken < put; n--)
            take_and_check(taken++);
    }
    while (taken < put)
        take_and_check(taken++);
    assert_false(ring_peek(&ring, &len));
}

static void test_full_ring_refuses_until_there_is_room(void **state)
{
    (void)state;
    uint8_t bytes[CAPACITY] = {1};
    uint32_t len = 0;
    assert_false(ring_put(&ring, bytes, CAPACITY - LENGTH_FIELD + 1));
    assert_false(ring_peek(&ring, &len));
    assert_true(ring_put(&ring, bytes, CAPACITY - LENGTH_FIELD)); /* to the last byte */
    assert_false(ring_put(&ring, bytes, 0));
    assert_true(ring_peek(&ring, &len));
    assert_int_equal(len, CAPACITY - LENGTH_FIELD);
    ring_take(&ring, bytes);
    assert_true(ring_put(&ring, bytes, 0));
    assert_true(ring_peek(&ring, &len));
    assert_int_equal(len, 0);
}

static void *put_all(void *argument)
{
    uint8_t bytes[CAPACITY];
    (void)argument;
    for (uint32_t n = 0; n < THREADED_COUNT;) {
        uint32_t len = make(n, bytes);
        n += ring_put(&ring, bytes, len);
    }
    return NULL;
}

static void test_from_one_thread_to_another(void **state)
{
    (void)state;
    pthread_t putter;
    uint32_t len;
    assert_int_equal(pthread_create(&putter, NULL, put_all, NULL), 0);
    for (uint32_t n = 0; n < THREADED_COUNT;) {
        if (ring_peek(&ring, &len))
            take_and_check(n++);
    }
    pthread_join(putter, NULL);
    assert_false(ring_peek(&ring, &len));
}

static void test_without_memory(void **state)
{
    (void)state;
    struct ring other = {0};
    struct err err;
    alloc_fail_after(0);
    enum err_code rc = ring_init(&other, CAPACITY, &err);
    assert_true(alloc_fail_off());
    assert_int_equal(rc, ERR_NOMEM);
    ring_deinit(&other);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_records_pass_in_order),
        TEST(test_full_ring_refuses_until_there_is_room),
        TEST(test_from_one_thread_to_another),
        TEST(test_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
