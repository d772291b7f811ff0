/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/rand.h"
#include "server/decide/answers.h"
#include "tests/support/alloc_fail.h"

static void test_remembers_and_replaces(void **state)
{
    (void)state;
    struct answers *answers = NULL;
    uint32_t got[ANSWERS_ITEMS_MAX];
    uint32_t many[ANSWERS_ITEMS_MAX + 5];
    assert_int_equal(answers_create(100, &answers, NULL), ERR_OK);
    assert_int_equal(answers_get(answers, 5, got), 0);
    answers_put(answers, 5, 50, (const uint32_t[]){3, 1, 2}, 3);
    assert_int_equal(answers_get(answers, 5, got), 3);
    assert_int_equal(got[0], 3);
    assert_int_equal(got[2], 2);
    /* Same bucket, other key: the newer answer stays, the older one is a miss, never a mix-up. */
    answers_put(answers, 5 + 128, 51, (const uint32_t[]){9}, 1);
    assert_int_equal(answers_get(answers, 5, got), 0);
    assert_int_equal(answers_get(answers, 5 + 128, got), 1);
    for (uint32_t i = 0; i < ANSWERS_ITEMS_MAX + 5; i++)
        many[i] = i;
    answers_put(answers, 6, 60, many, ANSWERS_ITEMS_MAX + 5);
    assert_int_equal(answers_get(answers, 6, got), ANSWERS_ITEMS_MAX);
    answers_put(answers, 6, 60, many, 0);
    assert_int_equal(answers_get(answers, 6, got), 0);
    answers_destroy(&answers);
    assert_null(answers);
}

static void test_forgets_one_person(void **state)
{
    (void)state;
    struct answers *answers = NULL;
    uint32_t got[ANSWERS_ITEMS_MAX];
    assert_int_equal(answers_create(100, &answers, NULL), ERR_OK);
    for (uint32_t key = 0; key < 100; key++)
        answers_put(answers, key, key % 10, (const uint32_t[]){key}, 1);
    answers_forget(answers, 3);
    answers_forget(answers, 77); /* of whom there is nothing */
    for (uint32_t key = 0; key < 100; key++)
        assert_int_equal(answers_get(answers, key, got), key % 10 != 3);
    answers_destroy(&answers);
}

static void test_no_memory(void **state)
{
    (void)state;
    struct answers *answers = NULL;
    struct err err = {0};
    alloc_fail_after(0);
    enum err_code rc = answers_create(16, &answers, &err);
    assert_true(alloc_fail_off());
    assert_int_equal(rc, ERR_NOMEM);
    assert_null(answers);
}

struct race {
    struct answers *answers;
    uint64_t seed;
    uint32_t torn, hits;
};

/* Every answer under key k is k times the same number, so a torn copy shows. */
static void *race_run(void *arg)
{
    struct race *race = arg;
    struct rand rand;
    rand_init(&rand, race->seed);
    for (uint32_t i = 0; i < 20000; i++) {
        uint32_t key = 1 + (uint32_t)rand_below(&rand, 64);
        uint32_t item[ANSWERS_ITEMS_MAX];
        for (uint32_t k = 0; k < ANSWERS_ITEMS_MAX; k++)
            item[k] = key;
        answers_put(race->answers, key, key, item, 1 + key % ANSWERS_ITEMS_MAX);
        key = 1 + (uint32_t)rand_below(&rand, 64);
        uint32_t count = answers_get(race->answers, key, item);
        race->hits += count > 0;
        for (uint32_t k = 0; k < count; k++)
            race->torn += item[k] != key || count != 1 + key % ANSWERS_ITEMS_MAX;
    }
    return NULL;
}

static void test_threads_never_see_a_torn_answer(void **state)
{
    (void)state;
    struct answers *answers = NULL;
    pthread_t thread[4];
    struct race race[4];
    assert_int_equal(answers_create(16, &answers, NULL), ERR_OK);
    for (uint32_t i = 0; i < 4; i++) {
        race[i] = (struct race){.answers = answers, .seed = i};
        assert_int_equal(pthread_create(&thread[i], NULL, race_run, &race[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        assert_int_equal(race[i].torn, 0);
        assert_true(race[i].hits > 0);
    }
    answers_destroy(&answers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_remembers_and_replaces),
        cmocka_unit_test(test_forgets_one_person),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_threads_never_see_a_torn_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
