/* SPDX-License-Identifier: Apache-2.0 */
/* Parts that give the same for a whole decision are evaluated once, and nothing else changes:
 * random expressions over random items, with values that are unknown, beside the same expressions
 * compiled without steady parts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/rand.h"
#include "server/decide/expr.h"

enum { OF_ITEM = 1, OF_REQUEST = 2 };

static const struct {
    const char *name;
    enum expr_type type;
    uint32_t scope;
} fields[] = {
    {"item.a", EXPR_INT, OF_ITEM},       {"user.a", EXPR_INT, OF_REQUEST},
    {"item.flag", EXPR_BOOL, OF_ITEM},   {"user.flag", EXPR_BOOL, OF_REQUEST},
    {"item.name", EXPR_STRING, OF_ITEM}, {"user.name", EXPR_STRING, OF_REQUEST},
    {"item.real", EXPR_DOUBLE, OF_ITEM}, {"now", EXPR_INT, 0},
};
enum { FIELDS = sizeof fields / sizeof fields[0], ITEMS = 12, DECISIONS = 3, PLACES_MAX = 4096 };

/* What is asked: values of the item that is stood at, and of the decision. */
struct asked {
    union expr_value value[FIELDS];
    bool is_known[FIELDS];
    uint32_t reads[FIELDS];
};

static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx;
    for (uint32_t i = 0; i < FIELDS; i++) {
        if (text_is(path, fields[i].name)) {
            *ret_field =
                (struct expr_field){.type = fields[i].type, .id = i, .scope = fields[i].scope};
            return true;
        }
    }
    return false;
}

static bool read_field(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret_value)
{
    struct asked *asked = ctx;
    asked->reads[id]++;
    if (type != EXPR_ANY)
        *ret_value = asked->value[id];
    return asked->is_known[id];
}

static void move_on(struct asked *asked, struct rand *rand, bool to_decision)
{
    static const char *const names[] = {"", "a", "ab", "b"};
    for (uint32_t i = 0; i < FIELDS; i++) {
        if (fields[i].scope != OF_ITEM && !to_decision)
            continue;
        asked->is_known[i] = rand_below(rand, 4) != 0;
        switch (fields[i].type) {
        case EXPR_BOOL: asked->value[i].truth = rand_below(rand, 2) == 1; break;
        case EXPR_STRING: asked->value[i].text = text_of(names[rand_below(rand, 4)]); break;
        case EXPR_DOUBLE: asked->value[i].real = (double)rand_below(rand, 9) / 2.0 - 2.0; break;
        default: asked->value[i].integer = (int64_t)rand_below(rand, 7) - 3; break;
        }
    }
}

/* ---- random expressions ---------------------------------------------------------------------- */

struct written {
    char text[8192];
    size_t used;
};

static void put(struct written *to, const char *text)
{
    to->used += (size_t)snprintf(to->text + to->used, sizeof to->text - to->used, "%s", text);
    assert_true(to->used < sizeof to->text);
}

static void put_bool(struct rand *rand, struct written *to, uint32_t depth);

static void put_int(struct rand *rand, struct written *to, uint32_t depth)
{
    static const char *const leaves[] = {"item.a", "user.a", "now", "2", "-1", "int(item.real)"};
    static const char *const signs[] = {" + ", " - ", " * ", " / ", " % "};
    uint64_t what = rand_below(rand, depth > 0 ? 4 : 1);
    if (what < 2) {
        put(to, leaves[rand_below(rand, 6)]);
    } else if (what == 2) {
        put(to, "(");
        put_int(rand, to, depth - 1);
        put(to, signs[rand_below(rand, 5)]);
        put_int(rand, to, depth - 1);
        put(to, ")");
    } else {
        put(to, "math.greatest(size(user.name), ");
        put_int(rand, to, depth - 1);
        put(to, ")");
    }
}

static void put_bool_leaf(struct rand *rand, struct written *to, uint32_t depth)
{
    static const char *const leaves[] = {"item.flag",
                                         "user.flag",
                                         "true",
                                         "has(item.name)",
                                         "has(user.name)",
                                         "user.name in ['a', 'b']",
                                         "item.name in ['ab', 'c']",
                                         "item.name == user.name",
                                         "user.name != 'a'",
                                         "user.name.startsWith('a')",
                                         "item.real < 0.5",
                                         "now in [1, 2, 3]"};
    static const char *const relations[] = {" < ", " <= ", " == ", " != ", " >= ", " > "};
    if (rand_below(rand, 2) == 0) {
        put(to, leaves[rand_below(rand, sizeof leaves / sizeof leaves[0])]);
        return;
    }
    put_int(rand, to, depth);
    put(to, relations[rand_below(rand, 6)]);
    put_int(rand, to, depth);
}

static void put_bool(struct rand *rand, struct written *to, uint32_t depth)
{
    uint64_t what = rand_below(rand, depth > 0 ? 6 : 1);
    if (what < 2) {
        put_bool_leaf(rand, to, depth);
        return;
    }
    put(to, what == 2 ? "!(" : "(");
    put_bool(rand, to, depth - 1);
    if (what > 2) {
        put(to, what == 3 ? ") && (" : what == 4 ? ") || (" : ") ? (");
        put_bool(rand, to, depth - 1);
    }
    if (what == 5) {
        put(to, ") : (");
        put_bool(rand, to, depth - 1);
    }
    put(to, ")");
}

static struct expr *compile(const char *source, uint32_t *steady_count)
{
    const struct expr_schema schema = {
        .find = find, .varying = OF_ITEM, .steady_count = steady_count};
    struct expr *expr = NULL;
    struct err err = {0};
    if (expr_compile(text_of(source), &schema, EXPR_BOOL, &expr, &err) != ERR_OK)
        fail_msg("%s: %s", source, err.text);
    return expr;
}

static void random_expressions_give_the_same_with_steady_parts(void **state)
{
    (void)state;
    static struct written written;
    static struct expr_steady room[PLACES_MAX];
    struct asked asked = {0};
    struct rand rand;
    uint32_t seen[3] = {0}, steady_parts = 0;
    const struct expr_env plain = {.read = read_field, .ctx = &asked};
    const struct expr_env kept = {.read = read_field, .ctx = &asked, .steady = room};
    rand_init(&rand, 20261129);
    for (uint32_t i = 0; i < 4000; i++) {
        uint32_t count = 0;
        written.used = 0;
        put_bool(&rand, &written, 5);
        struct expr *whole = compile(written.text, NULL), *parted = compile(written.text, &count);
        assert_true(count <= PLACES_MAX);
        steady_parts += count;
        for (uint32_t at = 0; at < DECISIONS * ITEMS; at++) {
            if (at % ITEMS == 0)
                memset(room, 0, sizeof room);
            move_on(&asked, &rand, at % ITEMS == 0);
            enum expr_truth wanted = expr_test(whole, &plain), got = expr_test(parted, &kept);
            if (got != wanted || expr_test(parted, &plain) != wanted)
                fail_msg("%s: expected %d, got %d", written.text, (int)wanted, (int)got);
            seen[got]++;
        }
        expr_destroy(&whole);
        expr_destroy(&parted);
    }
    assert_true(steady_parts > 4000);
    for (int truth = 0; truth < 3; truth++)
        assert_true(seen[truth] > 10000);
}

static void a_steady_part_is_evaluated_once_for_a_decision(void **state)
{
    (void)state;
    enum { ITEM_A = 0, USER_A = 1, NOW = 7 };
    uint32_t count = 0;
    struct asked asked = {.is_known = {[ITEM_A] = true, [USER_A] = true}};
    struct expr_steady room[4] = {0};
    struct expr *expr = compile("user.a < 3 && now == now && item.a > 0", &count);
    assert_int_equal(count, 1); /* the two that stand together are one */
    const struct expr_env kept = {.read = read_field, .ctx = &asked, .steady = room};
    const struct expr_env plain = {.read = read_field, .ctx = &asked};
    asked.value[ITEM_A].integer = 1;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(expr_test(expr, &kept), EXPR_UNKNOWN); /* as now is */
    assert_int_equal(asked.reads[USER_A], 1);
    assert_int_equal(asked.reads[NOW], 2);
    assert_int_equal(asked.reads[ITEM_A], 5);
    asked.is_known[NOW] = true;
    memset(room, 0, sizeof room); /* the next decision */
    assert_int_equal(expr_test(expr, &kept), EXPR_TRUE);
    asked.reads[USER_A] = 0;
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(expr_test(expr, &plain), EXPR_TRUE);
    assert_int_equal(asked.reads[USER_A], 5);
    expr_destroy(&expr);
}

static void what_asks_nothing_or_the_item_is_not_steady(void **state)
{
    (void)state;
    static const char *const sources[] = {"1 < 2", "item.a > 0 && item.flag",
                                          "item.a in [1, 2] || true", "item.name == 'a'"};
    for (uint32_t i = 0; i < sizeof sources / sizeof sources[0]; i++) {
        uint32_t count = 0;
        struct expr *expr = compile(sources[i], &count);
        assert_int_equal(count, 0);
        expr_destroy(&expr);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions_give_the_same_with_steady_parts),
        cmocka_unit_test(a_steady_part_is_evaluated_once_for_a_decision),
        cmocka_unit_test(what_asks_nothing_or_the_item_is_not_steady),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
