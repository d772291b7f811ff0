/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks outlive their readers, and the owner does not wait for these. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "featurestore/retire.h"

enum { BLOCK_BYTES = 64 };

static struct slabs *slabs;
static struct retire retire;

/* A reader, and who is woken; all under the mutex. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool reads, shall_leave;
static uint32_t woken_count;

static void on_over(void *ctx)
{
    (void)ctx;
    pthread_mutex_lock(&mutex);
    woken_count++;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

static void *read_until_told(void *ctx)
{
    rcu_read_begin();
    pthread_mutex_lock(&mutex);
    reads = true;
    pthread_cond_broadcast(&changed);
    while (!shall_leave)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
    rcu_read_end();
    return ctx;
}

static void begin_reader(pthread_t *thread)
{
    reads = shall_leave = false;
    assert_int_equal(pthread_create(thread, NULL, read_until_told, NULL), 0);
    pthread_mutex_lock(&mutex);
    while (!reads)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void end_reader(pthread_t thread)
{
    pthread_mutex_lock(&mutex);
    shall_leave = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
}

static void await_woken(uint32_t count)
{
    pthread_mutex_lock(&mutex);
    while (woken_count < count)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

static void retire_one(void)
{
    void *block = slabs_alloc(slabs, BLOCK_BYTES);
    assert_non_null(block);
    memset(block, 1, BLOCK_BYTES);
    retire_block(&retire, block, BLOCK_BYTES);
}

/* A block that stays, so that the slab does, and what is spare in it can be seen. */
static void *kept;

static int set_up(void **state)
{
    (void)state;
    woken_count = 0;
    memset(&retire, 0, sizeof retire);
    if (slabs_create(&slabs, NULL) != ERR_OK || retire_init(&retire, slabs, NULL) != ERR_OK)
        return -1;
    kept = slabs_alloc(slabs, BLOCK_BYTES);
    return kept == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    retire_stop(&retire);
    retire_flush(&retire);
    retire_deinit(&retire);
    slabs_free(slabs, kept, BLOCK_BYTES);
    slabs_destroy(&slabs); /* nothing is missing */
    return 0;
}

static void test_without_the_thread_the_owner_waits(void **state)
{
    (void)state;
    retire_one();
    retire_heap(&retire, malloc(10));
    retire_block(&retire, NULL, BLOCK_BYTES);
    retire_heap(&retire, NULL);
    assert_int_equal(slabs_spare_bytes(slabs), 0);
    retire_pass(&retire);
    assert_int_equal(slabs_spare_bytes(slabs), BLOCK_BYTES);
}

static void test_the_owner_goes_on_beside_a_reader(void **state)
{
    (void)state;
    pthread_t reader;
    assert_int_equal(retire_start(&retire, on_over, NULL, NULL), ERR_OK);
    begin_reader(&reader);
    retire_one();
    retire_pass(&retire);
    for (int i = 0; i < 100; i++) {
        retire_one(); /* for the next grace period */
        retire_pass(&retire);
    }
    assert_int_equal(slabs_spare_bytes(slabs), 0);
    end_reader(reader);
    await_woken(1);
    retire_pass(&retire); /* gives back the first, and has the others waited for */
    assert_int_equal(slabs_spare_bytes(slabs), BLOCK_BYTES);
    await_woken(2);
    retire_pass(&retire);
    assert_int_equal(slabs_spare_bytes(slabs), 101 * BLOCK_BYTES);
}

static void test_a_flush_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(retire_start(&retire, on_over, NULL, NULL), ERR_OK);
    retire_one();
    retire_pass(&retire);
    retire_one();
    retire_flush(&retire);
    assert_int_equal(slabs_spare_bytes(slabs), 2 * BLOCK_BYTES);
}

static void test_what_waits_at_the_stop_is_given_back(void **state)
{
    (void)state;
    pthread_t reader;
    assert_int_equal(retire_start(&retire, on_over, NULL, NULL), ERR_OK);
    begin_reader(&reader);
    retire_one();
    retire_pass(&retire);
    retire_one();
    end_reader(reader);
    retire_stop(&retire);
    retire_stop(&retire);
    retire_flush(&retire);
    assert_int_equal(slabs_spare_bytes(slabs), 2 * BLOCK_BYTES);
}

/* More than there is room for: the owner waits for the thread, and nothing is lost. */
static void test_a_full_list_waits(void **state)
{
    (void)state;
    assert_int_equal(retire_start(&retire, on_over, NULL, NULL), ERR_OK);
    for (uint32_t i = 0; i < 5 * RETIRE_BLOCKS_MAX / 2; i++)
        retire_one();
    retire_flush(&retire);
    assert_int_equal(retire.list[0].count + retire.list[1].count, 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_without_the_thread_the_owner_waits),
        T(test_the_owner_goes_on_beside_a_reader),
        T(test_a_flush_leaves_nothing),
        T(test_what_waits_at_the_stop_is_given_back),
        T(test_a_full_list_waits),
    };
#undef T
    return cmocka_run_group_tests(tests, NULL, NULL);
}
