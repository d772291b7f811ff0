/* SPDX-License-Identifier: Apache-2.0 */
/* Ids get dense numbers once; readers beside the writer see an id wholly or not at all. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/idmap.h"
#include "base/rcu.h"
#include "tests/support/alloc_fail.h"

enum { IDS = 100000 };

static struct text id_of(uint32_t number, char buf[24])
{
    int len = snprintf(buf, 24, "user-%u", number * 2654435761U);
    return (struct text){buf, (uint32_t)len};
}

static void numbers_are_dense_and_stay(void **state)
{
    (void)state;
    struct idmap *map = NULL;
    struct err err;
    char buf[24];
    assert_int_equal(idmap_create(IDS, &map, &err), ERR_OK);
    for (uint32_t i = 0; i < IDS; i++) {
        uint32_t number = 0;
        bool added = false;
        assert_int_equal(idmap_add(map, id_of(i, buf), &number, &added, &err), ERR_OK);
        assert_true(added);
        assert_int_equal(number, i);
    }
    for (uint32_t i = 0; i < IDS; i++) {
        uint32_t number = 0;
        bool added = true;
        assert_int_equal(idmap_find(map, id_of(i, buf)), i);
        assert_int_equal(idmap_add(map, id_of(i, buf), &number, &added, &err), ERR_OK);
        assert_false(added);
        assert_int_equal(number, i);
        assert_true(text_equal(idmap_text(map, i), id_of(i, buf)));
    }
    assert_int_equal(idmap_count(map), IDS);
    uint32_t number = 0;
    assert_int_equal(idmap_add(map, text_of("one more"), &number, NULL, &err), ERR_LIMIT);
    assert_int_equal(idmap_find(map, text_of("one more")), IDMAP_NONE);
    /* What the header promises about size: ids and lengths, addresses, index; two steps of slack.
     */
    assert_true(idmap_bytes(map) < IDS * (15 + 8 + 11) + (2U << 20));
    idmap_destroy(&map);
    assert_null(map);
}

static void bad_ids_are_refused(void **state)
{
    (void)state;
    struct idmap *map = NULL;
    struct err err;
    uint32_t number = 0;
    char longest[ID_BYTES_MAX + 1];
    memset(longest, 'x', sizeof longest);
    assert_int_equal(idmap_create(0, &map, &err), ERR_LIMIT);
    assert_int_equal(idmap_create(10, &map, &err), ERR_OK);
    assert_int_equal(idmap_add(map, (struct text){longest, ID_BYTES_MAX}, &number, NULL, &err),
                     ERR_OK);
    assert_int_equal(idmap_find(map, (struct text){longest, ID_BYTES_MAX}), number);
    const struct text bad[] = {
        {NULL, 0}, {"", 0}, {"\xff", 1}, {"a\nb", 3}, {longest, ID_BYTES_MAX + 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(idmap_add(map, bad[i], &number, NULL, &err), ERR_BAD_INPUT);
        assert_int_equal(idmap_find(map, bad[i]), IDMAP_NONE);
    }
    assert_int_equal(idmap_count(map), 1);
    idmap_destroy(&map);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    uint32_t failures = 0;
    for (uint32_t n = 0;; n++) {
        struct idmap *map = NULL;
        struct err err;
        char buf[24];
        alloc_fail_after(n);
        enum err_code rc = idmap_create(5000, &map, &err);
        uint32_t number = 0;
        uint32_t done = 0;
        for (; rc == ERR_OK && done < 5000; done++)
            rc = idmap_add(map, id_of(done, buf), &number, NULL, &err);
        bool failed = alloc_fail_off();
        if (map != NULL && rc != ERR_OK) {
            /* The id that failed is not there, the ones before it are, and it can be tried again.
             */
            done--;
            assert_int_equal(idmap_count(map), done);
            assert_int_equal(idmap_add(map, id_of(done, buf), &number, NULL, &err), ERR_OK);
            assert_int_equal(number, done);
        }
        idmap_destroy(&map);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
        failures++;
    }
    assert_true(failures >= 6); /* map, index, page, chunk and two growths at least */
}

struct shared {
    struct idmap *map;
    _Atomic bool stop;
    _Atomic uint32_t mistakes;
};

static void *read_on(void *arg)
{
    struct shared *shared = arg;
    uint32_t at = 0;
    char buf[24];
    while (!atomic_load(&shared->stop)) {
        rcu_read_begin();
        uint32_t count = idmap_count(shared->map);
        if (count > 0) {
            at = (at + 7919) % count;
            struct text id = id_of(at, buf);
            if (!text_equal(idmap_text(shared->map, at), id))
                atomic_fetch_add(&shared->mistakes, 1);
        }
        uint32_t ahead = idmap_find(shared->map, id_of(count + 3, buf));
        if (ahead != IDMAP_NONE && ahead != count + 3)
            atomic_fetch_add(&shared->mistakes, 1);
        rcu_read_end();
    }
    return NULL;
}

static void readers_beside_the_writer(void **state)
{
    (void)state;
    struct shared shared = {0};
    struct err err;
    pthread_t readers[2];
    char buf[24];
    assert_int_equal(idmap_create(IDS, &shared.map, &err), ERR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &shared), 0);
    for (uint32_t i = 0; i < IDS / 2; i++) {
        uint32_t number = 0;
        assert_int_equal(idmap_add(shared.map, id_of(i, buf), &number, NULL, &err), ERR_OK);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&shared.mistakes), 0);
    idmap_destroy(&shared.map);
}

static void an_erased_id_leaves_its_number_behind(void **state)
{
    (void)state;
    enum { COUNT = 3000 }; /* the index grows with erased ids in it */
    struct idmap *map = NULL;
    struct err err;
    char buf[24];
    uint32_t number = 0, id_bytes[COUNT] = {0};
    assert_int_equal(idmap_create(3 * COUNT, &map, &err), ERR_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(idmap_add(map, id_of(i, buf), &number, NULL, &err), ERR_OK);
        if (i % 3 == 0)
            id_bytes[i] = idmap_hide(map, i);
    }
    rcu_wait();
    for (uint32_t i = 0; i < COUNT; i += 3) {
        struct text text = idmap_text(map, i);
        assert_int_equal(id_bytes[i], id_of(i, buf).len);
        assert_int_equal(text.len, 0);
        assert_int_equal(idmap_hide(map, i), 0);
        idmap_wipe(map, i, id_bytes[i]);
        for (uint32_t b = 0; b < id_bytes[i]; b++)
            assert_int_equal(text.ptr[b], 0);
    }
    assert_int_equal(idmap_erased_count(map), COUNT / 3);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(idmap_find(map, id_of(i, buf)), i % 3 == 0 ? IDMAP_NONE : i);
    /* Whoever comes back is somebody new. */
    assert_int_equal(idmap_add(map, id_of(3, buf), &number, NULL, &err), ERR_OK);
    assert_int_equal(number, COUNT);
    assert_int_equal(idmap_find(map, id_of(3, buf)), COUNT);
    assert_int_equal(idmap_text(map, 3).len, 0);
    idmap_destroy(&map);
}

static void *read_one(void *arg)
{
    struct shared *shared = arg;
    char buf[24];
    struct text id = id_of(7, buf);
    while (!atomic_load(&shared->stop)) {
        rcu_read_begin();
        uint32_t number = idmap_find(shared->map, id);
        struct text text = number == IDMAP_NONE ? id : idmap_text(shared->map, number);
        /* Hidden in between, perhaps; but what has a length has its bytes. */
        if (text.len != 0 && !text_equal(text, id))
            atomic_fetch_add(&shared->mistakes, 1);
        rcu_read_end();
    }
    return NULL;
}

static void readers_beside_an_erasure(void **state)
{
    (void)state;
    struct shared shared = {0};
    struct err err;
    pthread_t readers[2];
    char buf[24];
    assert_int_equal(idmap_create(IDS, &shared.map, &err), ERR_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_one, &shared), 0);
    for (uint32_t i = 0; i < 200; i++) {
        uint32_t number = 0;
        assert_int_equal(idmap_add(shared.map, id_of(7, buf), &number, NULL, &err), ERR_OK);
        assert_int_equal(number, i);
        uint32_t id_bytes = idmap_hide(shared.map, number);
        rcu_wait();
        idmap_wipe(shared.map, number, id_bytes);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&shared.mistakes), 0);
    idmap_destroy(&shared.map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_dense_and_stay),
        cmocka_unit_test(bad_ids_are_refused),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(readers_beside_the_writer),
        cmocka_unit_test(an_erased_id_leaves_its_number_behind),
        cmocka_unit_test(readers_beside_an_erasure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
