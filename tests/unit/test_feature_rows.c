/* SPDX-License-Identifier: Apache-2.0 */
/* Pairs are found whatever their hashes have in common.  The test's thread is the writer, so it
 * needs no rcu_read_begin. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include "base/rand.h"
#include "featurestore/feature_rows.h"
#include "tests/support/alloc_fail.h"

/* Of each hash more pairs than a line has slots, and some that are not added. */
enum {
    HASHES = 60,
    ADDED = 24,
    OTHERS = 8,
    PAIRS = HASHES * ADDED,
    BLOCK_BYTES = 16,
    MANY = 400000
};

struct pair {
    uint64_t key;
    const uint8_t *block; /* NULL: the row is there, and has none */
};

static struct slabs *slabs;
static struct feature_rows *rows;
static struct pair pair[PAIRS];
static uint64_t other[HASHES * OTHERS];

/* ---- keys of a hash -------------------------------------------------------------------------- */

/* Of an odd number: each round doubles the bits that are right. */
static uint64_t inverse(uint64_t number)
{
    uint64_t found = number;
    for (uint32_t bits = 3; bits < 64; bits *= 2)
        found *= 2 - number * found;
    return found;
}

/* The way of feature_rows_spread back; as many keys have a hash as there are `low`. */
static uint64_t key_of(uint32_t hash, uint32_t low)
{
    uint64_t mixed = ((uint64_t)hash << 32 | low) * inverse(UINT64_C(0x9e3779b97f4a7c15));
    return mixed ^ mixed >> 29 ^ mixed >> 58;
}

/* Some have no bits beside the place, some all of them, so that the last line runs over into the
 * first one. */
static uint32_t hash_of(uint32_t at, struct rand *rng)
{
    switch (at % 4) {
    case 0: return at % 64;
    case 1: return UINT32_MAX - at / 4 % 16;
    default: return (uint32_t)rand_below(rng, (uint64_t)UINT32_MAX + 1);
    }
}

static void make_keys(void)
{
    struct rand rng;
    rand_init(&rng, 3);
    for (uint32_t h = 0; h < HASHES; h++) {
        uint32_t hash = hash_of(h, &rng);
        for (uint32_t i = 0; i < ADDED; i++)
            pair[i * HASHES + h] = (struct pair){.key = key_of(hash, i + 1)};
        for (uint32_t i = 0; i < OTHERS; i++)
            other[h * OTHERS + i] = key_of(hash, UINT32_MAX - i);
        assert_int_equal(feature_rows_spread(pair[h].key), hash);
    }
}

/* ---- a table --------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    struct err err;
    assert_int_equal(slabs_create(&slabs, &err), ERR_OK);
    assert_int_equal(feature_rows_create(slabs, BLOCK_BYTES, PAIRS, true, &rows, &err), ERR_OK);
    make_keys();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    feature_rows_destroy(&rows);
    slabs_destroy(&slabs);
    return 0;
}

static void give_block(uint32_t at)
{
    uint8_t *block = slabs_alloc(slabs, BLOCK_BYTES);
    assert_non_null(block);
    assert_null(feature_rows_publish(rows, feature_rows_slot(rows, at), block));
    pair[at].block = block;
}

static void add(uint32_t at)
{
    struct err err;
    uint32_t number = IDMAP_NONE;
    assert_int_equal(feature_rows_add_pair(rows, pair[at].key, &number, &err), ERR_OK);
    assert_int_equal(number, at);
}

/* NULL: it is not there. */
static const struct pair *likely(uint64_t key)
{
    const struct feature_index *index = atomic_load_explicit(&rows->index, memory_order_relaxed);
    const struct feature_pair_row *row = feature_rows_likely(rows, index, key);
    if (row != &feature_no_pair && row->key != key) {
        uint32_t number = feature_rows_find_pair(rows, key);
        row = number == IDMAP_NONE ? &feature_no_pair : feature_rows_pair_row(rows, number);
    }
    if (row == &feature_no_pair)
        return NULL;
    uint32_t number = feature_rows_find_pair(rows, key);
    assert_ptr_equal(row, feature_rows_pair_row(rows, number));
    assert_ptr_equal(atomic_load_explicit(&row->block, memory_order_relaxed), pair[number].block);
    return &pair[number];
}

static void check(uint32_t added)
{
    for (uint32_t i = 0; i < PAIRS; i++) {
        assert_int_equal(feature_rows_find_pair(rows, pair[i].key), i < added ? i : IDMAP_NONE);
        if (added > 0)
            assert_ptr_equal(likely(pair[i].key), i < added ? &pair[i] : NULL);
    }
    for (uint32_t i = 0; i < HASHES * OTHERS; i++) {
        assert_int_equal(feature_rows_find_pair(rows, other[i]), IDMAP_NONE);
        if (added > 0)
            assert_null(likely(other[i]));
    }
}

static void test_pairs_of_one_hash_are_told_apart(void **state)
{
    (void)state;
    check(0);
    for (uint32_t i = 0; i < PAIRS; i++) {
        add(i);
        if (i % 3 != 0)
            give_block(i);
        if (i % 97 == 0)
            check(i + 1);
    }
    check(PAIRS);
    /* What has lost its block hides none that looks like it. */
    for (uint32_t i = 0; i < PAIRS; i += 5) {
        if (pair[i].block == NULL)
            continue;
        assert_ptr_equal(feature_rows_clear(rows, i), pair[i].block);
        slabs_free(slabs, pair[i].block, BLOCK_BYTES);
        pair[i].block = NULL;
    }
    check(PAIRS);
    uint32_t number;
    struct err err;
    assert_int_equal(feature_rows_add_pair(rows, pair[7].key, &number, &err), ERR_OK);
    assert_int_equal(number, 7);
    assert_int_equal(feature_rows_add_pair(rows, other[0], &number, &err), ERR_LIMIT);
    check(PAIRS);
}

/* Whatever has no room, the table is as it was, and takes the pair later. */
static void test_without_memory_a_pair_is_not_added(void **state)
{
    (void)state;
    uint32_t failures = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        struct err err;
        uint32_t number = IDMAP_NONE;
        alloc_fail_after(0);
        enum err_code rc = feature_rows_add_pair(rows, pair[i].key, &number, &err);
        if (alloc_fail_off()) {
            failures++;
            assert_int_equal(rc, ERR_NOMEM);
            assert_int_equal(number, IDMAP_NONE);
            check(i);
            add(i);
        } else {
            assert_int_equal(rc, ERR_OK);
            assert_int_equal(number, i);
        }
    }
    assert_true(failures > 3);
    check(PAIRS);
}

/* Large enough for an index in huge pages. */
static void test_many_pairs_are_found(void **state)
{
    (void)state;
    struct feature_rows *many = NULL;
    struct err err;
    uint32_t number;
    assert_int_equal(feature_rows_create(slabs, BLOCK_BYTES, MANY, true, &many, &err), ERR_OK);
    for (uint32_t i = 0; i < MANY; i++)
        assert_int_equal(feature_rows_add_pair(many, (uint64_t)i << 33 | i % 7, &number, &err),
                         ERR_OK);
    for (uint32_t i = 0; i < MANY; i++) {
        assert_int_equal(feature_rows_find_pair(many, (uint64_t)i << 33 | i % 7), i);
        assert_int_equal(feature_rows_find_pair(many, (uint64_t)i << 33 | 7), IDMAP_NONE);
    }
    feature_rows_destroy(&many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pairs_of_one_hash_are_told_apart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_pairs_are_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_memory_a_pair_is_not_added, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
