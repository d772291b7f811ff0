/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <math.h>
#include <mbedtls/sha256.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/rand.h"

static void test_xxh3_and_sha256_match_their_references(void **state)
{
    (void)state;
    /* XXH3 of nothing with seed 0, from the specification; "abc" of FIPS 180-2. */
    assert_true(hash_bytes("", 0, 0) == UINT64_C(0x2D06800538D394C2));
    assert_true(hash_bytes("abc", 3, 0) == UINT64_C(0x78AF5F94892F3950));
    assert_true(hash_bytes("abc", 3, 1) != hash_bytes("abc", 3, 0));
    assert_true(hash_text(TEXT_LITERAL("abc"), 9) == hash_bytes("abc", 3, 9));
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX_BYTES];
    sha256_of("abc", 3, digest);
    assert_string_equal(sha256_hex(digest, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    sha256_of("", 0, digest);
    assert_string_equal(sha256_hex(digest, hex),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_sha256_is_that_of_mbed_tls_for_every_length_and_alignment(void **state)
{
    enum { LENGTH_MAX = 300, LARGE_BYTES = (1 << 20) + 77 };
    struct rand rand;
    uint8_t *bytes = malloc(LARGE_BYTES + 16);
    uint8_t wanted[SHA256_BYTES], got[SHA256_BYTES];
    (void)state;
    assert_non_null(bytes);
    rand_init(&rand, 5);
    for (size_t i = 0; i < LARGE_BYTES + 16; i++)
        bytes[i] = (uint8_t)rand_u64(&rand);
    for (size_t len = 0; len <= LENGTH_MAX + 1; len++) {
        size_t bytes_len = len <= LENGTH_MAX ? len : LARGE_BYTES;
        const uint8_t *from = bytes + len % 16;
        assert_int_equal(mbedtls_sha256_ret(from, bytes_len, wanted, 0), 0);
        sha256_of(from, bytes_len, got);
        assert_memory_equal(got, wanted, SHA256_BYTES);
    }
    free(bytes);
}

static void test_xoshiro_matches_its_reference(void **state)
{
    (void)state;
    /* First outputs of the authors' xoshiro256plusplus.c for the state 1, 2, 3, 4. */
    static const uint64_t expected[] = {41943041ULL,
                                        58720359ULL,
                                        3588806011781223ULL,
                                        3591011842654386ULL,
                                        9228616714210784205ULL,
                                        9973669472204895162ULL};
    struct rand rand = {{1, 2, 3, 4}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_true(rand_u64(&rand) == expected[i]);
    /* splitmix64 of seed 0 begins with this value. */
    rand_init(&rand, 0);
    assert_true(rand.s[0] == UINT64_C(0xE220A8397B1DCDAF));
    assert_true(rand.s[1] == UINT64_C(0x6E789E6AA1B965F4));
}

static void test_random_numbers_have_their_distributions(void **state)
{
    (void)state;
    struct rand rand;
    enum { COUNT = 200000 };
    uint32_t seen[7] = {0};
    double sum = 0;
    double square_sum = 0;
    rand_init(&rand, 42);
    for (int i = 0; i < COUNT; i++) {
        double unit = rand_unit(&rand);
        assert_true(unit >= 0 && unit < 1);
        seen[rand_below(&rand, 7)]++;
        double normal = rand_normal(&rand);
        sum += normal;
        square_sum += normal * normal;
    }
    for (int i = 0; i < 7; i++)
        assert_true(fabs(seen[i] - COUNT / 7.0) < 800); /* about 5 deviations */
    assert_true(fabs(sum / COUNT) < 0.012);
    assert_true(fabs(square_sum / COUNT - 1) < 0.02);
    assert_int_equal(rand_below(&rand, 1), 0);
    for (int i = 0; i < 100; i++)
        assert_true(rand_below(&rand, UINT64_MAX) < UINT64_MAX);
    assert_true(rand_seed_system() != rand_seed_system());
}

static void test_ulids_sort_by_time_and_are_unique(void **state)
{
    (void)state;
    struct rand rand;
    char a[ULID_BYTES];
    char b[ULID_BYTES];
    rand_init(&rand, 1);
    /* The time part of the ULID specification's example. */
    ulid_make(&rand, 1469922850259, a);
    assert_memory_equal(a, "01ARZ3NDEK", 10);
    assert_int_equal(strlen(a), 26);
    assert_int_equal(strspn(a, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), 26);
    ulid_make(&rand, 1469922850259, b);
    assert_memory_equal(a, b, 10);
    assert_string_not_equal(a, b);
    ulid_make(&rand, 1469922850260, b);
    assert_true(strcmp(a, b) < 0);
    ulid_make(&rand, -5, b);
    assert_memory_equal(b, "0000000000", 10);
    ulid_make(&rand, INT64_C(0xFFFFFFFFFFFF), b);
    assert_memory_equal(b, "7ZZZZZZZZZ", 10);
    struct rand again;
    rand_init(&rand, 5);
    rand_init(&again, 5);
    assert_string_equal(ulid_make(&rand, 7, a), ulid_make(&again, 7, b));
}

static void test_the_time_of_a_ulid(void **state)
{
    (void)state;
    struct rand rand;
    char ulid[ULID_BYTES];
    int64_t ms = 0;
    static const int64_t times[] = {0, 1, 1469922850259, INT64_C(0xFFFFFFFFFFFF)};
    rand_init(&rand, 3);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        assert_true(ulid_time_ms(text_of(ulid_make(&rand, times[i], ulid)), &ms));
        assert_int_equal(ms, times[i]);
    }
    static const char *const wrong[] = {
        "",
        "01ARZ3NDEKTSV4RRFFQ69G5FA",   /* one too few */
        "01ARZ3NDEKTSV4RRFFQ69G5FAVX", /* one too many */
        "01ARZ3NDEKTSV4RRFFQ69G5FAU",  /* no U in base 32 */
        "01arz3ndektsv4rrffq69g5fav",  /* lower case */
        "81ARZ3NDEKTSV4RRFFQ69G5FAV",  /* more than 48 bits of time */
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(ulid_time_ms(text_of(wrong[i]), &ms));
    assert_false(ulid_time_ms((struct text){0}, &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_time_of_a_ulid),
        cmocka_unit_test(test_xxh3_and_sha256_match_their_references),
        cmocka_unit_test(test_sha256_is_that_of_mbed_tls_for_every_length_and_alignment),
        cmocka_unit_test(test_xoshiro_matches_its_reference),
        cmocka_unit_test(test_random_numbers_have_their_distributions),
        cmocka_unit_test(test_ulids_sort_by_time_and_are_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
