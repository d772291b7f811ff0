/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <string.h>

#include "featurestore/profile.h"
#include "tests/support/alloc_fail.h"

static struct slabs *slabs;

static int set_up(void **state)
{
    (void)state;
    return slabs_create(&slabs, NULL) == ERR_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    slabs_destroy(&slabs);
    return 0;
}

static void assert_same(const struct profile *a, const struct profile *b)
{
    assert_int_equal(a->allowed, b->allowed);
    assert_int_equal(a->denied, b->denied);
    assert_memory_equal(a->consent_at_ms, b->consent_at_ms, sizeof a->consent_at_ms);
    assert_int_equal(a->was_shared, b->was_shared);
    assert_int_equal(a->link_count, b->link_count);
    for (uint32_t i = 0; i < a->link_count; i++)
        assert_memory_equal(&a->links[i], &b->links[i], sizeof a->links[i]);
    assert_int_equal(a->anon_count, b->anon_count);
    for (uint32_t i = 0; i < a->anon_count; i++)
        assert_int_equal(a->anons[i], b->anons[i]);
    assert_int_equal(a->attributes.ptr == NULL, b->attributes.ptr == NULL);
    assert_true(a->attributes.ptr == NULL || text_equal(a->attributes, b->attributes));
}

/* Every choice of parts, at their limits, comes out as it went in. */
static void test_a_block_holds_what_there_is(void **state)
{
    (void)state;
    static char attributes[EVENT_BYTES_MAX];
    static struct profile_link links[PROFILE_LINKS_MAX];
    static uint32_t anons[PROFILE_ANONS_MAX];
    memset(attributes, 'a', sizeof attributes);
    for (uint32_t i = 0; i < PROFILE_LINKS_MAX; i++)
        links[i] = (struct profile_link){.at_ms = INT64_C(1) << (50 + i), .user = i};
    for (uint32_t i = 0; i < PROFILE_ANONS_MAX; i++)
        anons[i] = UINT32_MAX - 1 - i;
    for (uint32_t parts = 0; parts < 32; parts++) {
        struct profile from = {.was_shared = (parts & 1) != 0};
        if ((parts & 2) != 0) {
            from.allowed = CONSENT_BIT(process);
            from.denied = CONSENT_BIT(share);
            from.consent_at_ms[CONSENT_process] = INT64_MAX;
            from.consent_at_ms[CONSENT_share] = 1;
        }
        if ((parts & 4) != 0) {
            from.links = links;
            from.link_count = PROFILE_LINKS_MAX;
        }
        if ((parts & 8) != 0) {
            from.anons = anons;
            from.anon_count = PROFILE_ANONS_MAX - parts % 2;
        }
        if ((parts & 16) != 0)
            from.attributes = (struct text){attributes, sizeof attributes - parts % 3};
        struct profile_block *block = profile_create(&from, slabs);
        assert_non_null(block);
        struct profile got = profile_of(block);
        assert_same(&got, &from);
        assert_int_equal(profile_is_empty(&got), parts == 0);
        slabs_free(slabs, block, profile_bytes(block));
    }
}

static void test_attributes_alone_take_little(void **state)
{
    (void)state;
    const struct profile from = {.attributes = TEXT_LITERAL("attributes")};
    struct profile_block *block = profile_create(&from, slabs);
    assert_non_null(block);
    assert_int_equal(profile_bytes(block), 8 + 10);
    slabs_free(slabs, block, profile_bytes(block));
    alloc_fail_after(0);
    assert_null(profile_create(&from, slabs));
    assert_true(alloc_fail_off());
}

static void test_of_nobody_nothing_is_known(void **state)
{
    (void)state;
    struct profile nobody = profile_of(NULL);
    assert_true(profile_is_empty(&nobody));
    assert_false(profile_is_linked(&nobody));
    assert_int_equal(profile_sole_user(&nobody), IDMAP_NONE);
    assert_int_equal(profile_bytes(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_block_holds_what_there_is),
        cmocka_unit_test(test_attributes_alone_take_little),
        cmocka_unit_test(test_of_nobody_nothing_is_known),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
