/* SPDX-License-Identifier: Apache-2.0 */
/* Random expressions, each evaluated while it is written down, by the rules for what is unknown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/rand.h"
#include "server/decide/expr.h"

/* item.stock is 3; item.gone and user.gone are unknown. */
static bool find(void *ctx, struct text path, struct expr_field *ret_field)
{
    (void)ctx;
    bool is_stock = text_is(path, "item.stock");
    *ret_field = (struct expr_field){.type = text_is(path, "user.gone") ? EXPR_BOOL : EXPR_INT,
                                     .id = is_stock};
    return is_stock || text_is(path, "user.gone") || text_is(path, "item.gone");
}

static bool read_field(void *ctx, uint32_t id, enum expr_type type, union expr_value *ret)
{
    (void)ctx;
    (void)type;
    ret->integer = 3;
    return id == 1;
}

static enum expr_truth test_of(const char *source)
{
    static const struct expr_schema schema = {.find = find};
    static const struct expr_env env = {.read = read_field};
    struct expr *expr = NULL;
    struct err err = {0};
    if (expr_compile(text_of(source), &schema, EXPR_BOOL, &expr, &err) != ERR_OK)
        fail_msg("%s: %s", source, err.text);
    enum expr_truth truth = expr_test(expr, &env);
    expr_destroy(&expr);
    return truth;
}

struct written {
    char text[8192];
    size_t used;
};

static void write_text(struct written *to, const char *text)
{
    int len = snprintf(to->text + to->used, sizeof to->text - to->used, "%s", text);
    to->used += (size_t)len;
    assert_true(to->used < sizeof to->text);
}

/* A number and whether it is known, while it is written down. */
static bool random_int(struct rand *rand, struct written *to, uint32_t depth, int64_t *ret)
{
    static const char *const signs[] = {" + ", " - ", " * ", " / ", " % "};
    char number[32];
    uint32_t what = (uint32_t)rand_below(rand, depth > 0 ? 9 : 4);
    int64_t a = 0, b = 0;
    if (what < 2) {
        *ret = (int64_t)rand_below(rand, 21) - 10;
        snprintf(number, sizeof number, "%lld", (long long)*ret);
        write_text(to, number);
        return true;
    }
    if (what < 4) {
        write_text(to, what == 2 ? "item.stock" : "item.gone");
        *ret = 3;
        return what == 2;
    }
    write_text(to, "(");
    bool known = random_int(rand, to, depth - 1, &a);
    write_text(to, signs[what - 4]);
    known = random_int(rand, to, depth - 1, &b) && known;
    write_text(to, ")");
    if (what >= 7 && b == 0)
        return false;
    *ret = what == 4 ? a + b : what == 5 ? a - b : what == 6 ? a * b : what == 7 ? a / b : a % b;
    return known;
}

static enum expr_truth random_bool(struct rand *rand, struct written *to, uint32_t depth)
{
    uint32_t what = (uint32_t)rand_below(rand, depth > 0 ? 6 : 2);
    int64_t a = 0, b = 0;
    if (what == 0) {
        bool truth = rand_below(rand, 2) == 1;
        write_text(to, truth ? "true" : "user.gone");
        return truth ? EXPR_TRUE : EXPR_UNKNOWN;
    }
    if (what == 1) {
        bool known = random_int(rand, to, depth, &a);
        write_text(to, " < ");
        known = random_int(rand, to, depth, &b) && known;
        return !known ? EXPR_UNKNOWN : a < b ? EXPR_TRUE : EXPR_FALSE;
    }
    write_text(to, what == 2 ? "!(" : "(");
    enum expr_truth x = random_bool(rand, to, depth - 1);
    if (what == 2) {
        write_text(to, ")");
        return x == EXPR_UNKNOWN ? x : x == EXPR_TRUE ? EXPR_FALSE : EXPR_TRUE;
    }
    write_text(to, what == 3 ? ") && (" : what == 4 ? ") || (" : ") ? (");
    enum expr_truth y = random_bool(rand, to, depth - 1);
    enum expr_truth z = EXPR_UNKNOWN;
    if (what == 5) {
        write_text(to, ") : (");
        z = random_bool(rand, to, depth - 1);
    }
    write_text(to, ")");
    if (what == 5)
        return x == EXPR_UNKNOWN ? x : x == EXPR_TRUE ? y : z;
    enum expr_truth decides = what == 3 ? EXPR_FALSE : EXPR_TRUE;
    if (x == decides || y == decides)
        return decides;
    return x == EXPR_UNKNOWN || y == EXPR_UNKNOWN ? EXPR_UNKNOWN : x;
}

static void random_expressions_agree_with_a_plain_evaluation(void **state)
{
    (void)state;
    static struct written written;
    struct rand rand;
    uint32_t seen[3] = {0};
    rand_init(&rand, 20261127);
    for (int i = 0; i < 20000; i++) {
        written.used = 0;
        enum expr_truth wanted = random_bool(&rand, &written, 4);
        enum expr_truth got = test_of(written.text);
        if (got != wanted)
            fail_msg("%s: expected %d, got %d", written.text, (int)wanted, (int)got);
        seen[got]++;
    }
    for (int truth = 0; truth < 3; truth++)
        assert_true(seen[truth] > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_expressions_agree_with_a_plain_evaluation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
