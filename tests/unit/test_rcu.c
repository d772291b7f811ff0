/* SPDX-License-Identifier: Apache-2.0 */
/* A replaced object is freed only when nobody reads it: ASan and TSan are the judges. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/rcu.h"

struct pair {
    uint64_t value;
    uint64_t twice;
};

struct shared {
    _Atomic(struct pair *) current;
    _Atomic bool stop;
    _Atomic uint64_t reads;
    _Atomic uint64_t mistakes;
};

static void *read_on(void *arg)
{
    struct shared *shared = arg;
    while (!atomic_load(&shared->stop)) {
        rcu_read_begin();
        rcu_read_begin(); /* nests */
        const struct pair *pair = atomic_load_explicit(&shared->current, memory_order_acquire);
        if (pair->twice != 2 * pair->value)
            atomic_fetch_add(&shared->mistakes, 1);
        rcu_read_end();
        if (pair->twice != 2 * pair->value)
            atomic_fetch_add(&shared->mistakes, 1);
        rcu_read_end();
        atomic_fetch_add(&shared->reads, 1);
    }
    return NULL;
}

static struct pair *pair_of(uint64_t value)
{
    struct pair *pair = malloc(sizeof *pair);
    assert_non_null(pair);
    *pair = (struct pair){value, 2 * value};
    return pair;
}

static void readers_never_see_freed_memory(void **state)
{
    (void)state;
    static struct shared shared;
    pthread_t readers[2];
    struct pair *first = pair_of(1);
    atomic_init(&shared.current, first);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &shared), 0);
    for (uint64_t i = 2; i < 300 || atomic_load(&shared.reads) < 1000; i++) {
        struct pair *next = pair_of(i);
        struct pair *old = atomic_exchange_explicit(&shared.current, next, memory_order_acq_rel);
        rcu_wait();
        *old = (struct pair){1, 0}; /* would count as a mistake if anybody still read it */
        free(old);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&shared.mistakes), 0);
    free(atomic_load(&shared.current));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(readers_never_see_freed_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
