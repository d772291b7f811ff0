/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>

#include "featurestore/dedup.h"
#include "tests/support/alloc_fail.h"

static struct text id_of(uint32_t number, char buf[16])
{
    snprintf(buf, 16, "e%u", number);
    return text_of(buf);
}

static void test_the_newest_ids_are_remembered(void **state)
{
    (void)state;
    static const uint32_t capacities[] = {1, 2, 3, 7, 64, 1000};
    for (size_t k = 0; k < sizeof capacities / sizeof capacities[0]; k++) {
        uint32_t capacity = capacities[k];
        struct dedup *dedup = NULL;
        struct err err;
        char buf[16];
        assert_int_equal(dedup_create(capacity, &dedup, &err), ERR_OK);
        for (uint32_t i = 0; i < 5 * capacity + 3; i++) {
            assert_false(dedup_has(dedup, id_of(i, buf)));
            dedup_add(dedup, id_of(i, buf));
            /* All of the last `capacity` ids, and the one before them not. */
            if (i % 13 == 0 || capacity < 64) {
                for (uint32_t back = 0; back < capacity && back <= i; back++)
                    assert_true(dedup_has(dedup, id_of(i - back, buf)));
            }
            if (i >= capacity)
                assert_false(dedup_has(dedup, id_of(i - capacity, buf)));
        }
        dedup_destroy(&dedup);
        assert_null(dedup);
    }
}

static void test_no_capacity_remembers_nothing(void **state)
{
    (void)state;
    struct dedup *dedup = NULL;
    struct err err;
    assert_int_equal(dedup_create(0, &dedup, &err), ERR_OK);
    dedup_add(dedup, TEXT_LITERAL("e"));
    assert_false(dedup_has(dedup, TEXT_LITERAL("e")));
    dedup_destroy(&dedup);
    dedup_destroy(&dedup);
}

static void test_creation_fails_cleanly_without_memory(void **state)
{
    (void)state;
    for (uint32_t n = 0;; n++) {
        struct dedup *dedup = NULL;
        struct err err;
        alloc_fail_after(n);
        enum err_code rc = dedup_create(100, &dedup, &err);
        bool failed = alloc_fail_off();
        dedup_destroy(&dedup);
        if (!failed) {
            assert_int_equal(rc, ERR_OK);
            assert_true(n > 0);
            break;
        }
        assert_int_equal(rc, ERR_NOMEM);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_newest_ids_are_remembered),
        cmocka_unit_test(test_no_capacity_remembers_nothing),
        cmocka_unit_test(test_creation_fails_cleanly_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
