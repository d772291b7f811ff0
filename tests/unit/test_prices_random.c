/* SPDX-License-Identifier: Apache-2.0 */
/* Random rule sets, prices and costs up to the limits of money: the indexed evaluator gives what a
 * plain one gives that looks at every rule, and every bound holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/rand.h"
#include "models/prices_internal.h"
#include "tests/support/alloc_fail.h"

__extension__ typedef __int128 int128;

enum { RULES_MAX = 24, WORDS = 4, SETS = 400, QUERIES = 200, NONE = -1 };

/* A rule as this test made it up; sets of words are bit masks, 0: not asked. */
struct made {
    int priority;
    unsigned words[PRICE_DIMENSIONS];
    unsigned context;
    int64_t qty_min;
    bool in_euro;
    int adjust; /* 0 none, 1 percent, 2 add, 3 set */
    int64_t value;
    int64_t floor, ceiling, margin_ppm; /* NONE */
    int64_t digits, of, to;             /* of NONE */
};

static const char *const dimension_keys[] = {"items", "categories", "brands"};

static int64_t random_amount(struct rand *rand)
{
    switch (rand_below(rand, 5)) {
    case 0: return (int64_t)rand_below(rand, 3);
    case 1: return MONEY_MINOR_MAX - (int64_t)rand_below(rand, 3);
    case 2: return (int64_t)rand_below(rand, (uint64_t)MONEY_MINOR_MAX + 1);
    default: return (int64_t)rand_below(rand, 5000);
    }
}

static unsigned random_words(struct rand *rand)
{
    return rand_below(rand, 2) == 0 ? 0 : (unsigned)rand_below(rand, 1 << WORDS);
}

static void make_up(struct rand *rand, struct made *made)
{
    *made = (struct made){.priority = (int)rand_below(rand, 5) - 2,
                          .qty_min = rand_below(rand, 4) == 0 ? 3 : 0,
                          .in_euro = rand_below(rand, 3) == 0,
                          .floor = NONE,
                          .ceiling = NONE,
                          .margin_ppm = NONE,
                          .of = NONE};
    for (int d = 0; d < PRICE_DIMENSIONS; d++)
        made->words[d] = random_words(rand);
    made->context = rand_below(rand, 3) == 0 ? (unsigned)rand_below(rand, 1 << WORDS) : 0;
    made->adjust = (int)rand_below(rand, 4);
    if (made->adjust == 1)
        made->value = (int64_t)rand_below(rand, 11000001) - 1000000;
    if (made->adjust == 2)
        made->value = random_amount(rand) * (rand_below(rand, 2) == 0 ? 1 : -1);
    if (made->adjust == 3)
        made->value = random_amount(rand);
    if (made->adjust == 0 || rand_below(rand, 4) == 0)
        made->floor = random_amount(rand);
    if (rand_below(rand, 4) == 0)
        made->ceiling = random_amount(rand);
    if (rand_below(rand, 4) == 0)
        made->margin_ppm = (int64_t)rand_below(rand, rand_below(rand, 2) == 0 ? 1000000 : 300000);
    if (rand_below(rand, 4) == 0) {
        made->of = 2 + (int64_t)rand_below(rand, 200);
        made->digits = (int64_t)rand_below(rand, (uint64_t)made->of);
        made->to = (int64_t)rand_below(rand, 3);
    }
}

static void put_words(struct buffer *buffer, const char *key, unsigned words)
{
    buffer_put_fmt(buffer, "\"%s\":[", key);
    const char *separator = "";
    for (int w = 0; w < WORDS; w++) {
        if ((words & 1u << w) == 0)
            continue;
        buffer_put_fmt(buffer, "%s\"w%d\"", separator, w);
        separator = ",";
    }
    buffer_put_str(buffer, "],");
}

static void put_ppm(struct buffer *buffer, const char *key, int64_t ppm)
{
    char text[32];
    buffer_put_fmt(buffer, "\"%s\":\"%s\"", key, money_format(ppm, 4, text));
}

static void put_rule(struct buffer *buffer, const struct made *made, uint32_t index)
{
    static const char *const directions[] = {"nearest", "down", "up"};
    buffer_put_fmt(buffer, "%s{\"name\":\"r%u\",\"priority\":%d,", index == 0 ? "" : ",\n", index,
                   made->priority);
    if (made->in_euro)
        buffer_put_str(buffer, "\"currency\":\"EUR\",");
    if (made->adjust == 1) {
        buffer_put_str(buffer, "\"adjust\":{");
        put_ppm(buffer, "percent", made->value);
        buffer_put_str(buffer, "},");
    } else if (made->adjust != 0) {
        buffer_put_fmt(buffer, "\"adjust\":{\"%s\":%lld},", made->adjust == 2 ? "add" : "set",
                       (long long)made->value);
    }
    if (made->floor != NONE)
        buffer_put_fmt(buffer, "\"floor\":%lld,", (long long)made->floor);
    if (made->ceiling != NONE)
        buffer_put_fmt(buffer, "\"ceiling\":%lld,", (long long)made->ceiling);
    if (made->margin_ppm != NONE) {
        put_ppm(buffer, "margin", made->margin_ppm);
        buffer_put_char(buffer, ',');
    }
    if (made->of != NONE)
        buffer_put_fmt(buffer, "\"ending\":{\"digits\":%lld,\"of\":%lld,\"to\":\"%s\"},",
                       (long long)made->digits, (long long)made->of, directions[made->to]);
    buffer_put_str(buffer, "\"match\":{");
    for (int d = 0; d < PRICE_DIMENSIONS; d++) {
        if (made->words[d] != 0)
            put_words(buffer, dimension_keys[d], made->words[d]);
    }
    if (made->context != 0) {
        buffer_put_str(buffer, "\"context\":{");
        put_words(buffer, "c", made->context);
        buffer->used--; /* the comma */
        buffer_put_str(buffer, "},");
    }
    buffer_put_fmt(buffer, "\"qty\":{\"min\":%lld}}}", (long long)made->qty_min);
}

static struct prices *build(const struct made *made, uint32_t count)
{
    struct buffer buffer = {0};
    struct prices *prices = NULL;
    struct err err = {0};
    size_t len = 0;
    buffer_put_str(&buffer, "{\"format\":1,\"rules\":[");
    for (uint32_t i = 0; i < count; i++)
        put_rule(&buffer, &made[i], i);
    buffer_put_str(&buffer, "]}");
    char *text = buffer_take(&buffer, &len);
    if (prices_parse("rules.json", text, len, &prices, &err) != ERR_OK)
        fail_msg("%s\n%s", text, err.text);
    free(text);
    return prices;
}

struct question {
    int word[PRICE_DIMENSIONS]; /* WORDS: one that no rule has; NONE: unknown */
    int context;                /* NONE: not given */
    int64_t price, cost, qty;
    bool in_euro;
};

static bool plainly_matches(const struct made *made, const struct question *q)
{
    for (int d = 0; d < PRICE_DIMENSIONS; d++) {
        if (made->words[d] != 0 && (q->word[d] == NONE || (made->words[d] & 1u << q->word[d]) == 0))
            return false;
    }
    if (made->context != 0 && (q->context == NONE || (made->context & 1u << q->context) == 0))
        return false;
    return q->qty >= made->qty_min && (!made->in_euro || q->in_euro);
}

/* What the winning rule makes of the price. */
static int128 adjusted(const struct made *m, int64_t price)
{
    if (m->adjust != 1)
        return m->adjust == 2 ? (int128)price + m->value : m->value;
    int128 twice = (int128)price * (MONEY_PPM + m->value) * 2;
    int128 amount = (twice + MONEY_PPM) / (2 * MONEY_PPM);
    if ((twice + MONEY_PPM) % (2 * MONEY_PPM) == 0 && amount % 2 != 0)
        amount--; /* a half, rounded up to an odd number */
    return amount;
}

/* The nearest amount with the ending, outwards, the lower side first; as it was where there is none
 * between the bounds. */
static int64_t ended(const struct made *m, int64_t amount, int64_t low, int64_t high)
{
    for (int64_t step = 0; step < m->of; step++) {
        int64_t down = amount - step;
        int64_t up = amount + step;
        if (m->to != 2 && down >= low && down % m->of == m->digits)
            return down;
        if (m->to != 1 && up <= high && up % m->of == m->digits)
            return up;
    }
    return amount;
}

/* As the text of docs/bundles.md says it, step by step. */
static int64_t price_plainly(const struct made *made, uint32_t count, const struct question *q,
                             int *ret_rule)
{
    int adjust = NONE;
    int ending = NONE;
    int64_t low = 0;
    int64_t high = MONEY_MINOR_MAX;
    bool held = false;
    *ret_rule = NONE;
    for (uint32_t i = 0; i < count; i++) {
        const struct made *m = &made[i];
        if (!plainly_matches(m, q))
            continue;
        if (m->adjust != 0 && (adjust == NONE || m->priority > made[adjust].priority))
            adjust = (int)i;
        if (m->of != NONE && (ending == NONE || m->priority > made[ending].priority))
            ending = (int)i;
        if (m->floor > low)
            low = m->floor;
        if (m->ceiling != NONE && m->ceiling < high)
            high = m->ceiling;
        held |= m->margin_ppm != NONE && q->cost == INT64_MIN;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!plainly_matches(&made[i], q) || made[i].margin_ppm == NONE || q->cost == INT64_MIN)
            continue;
        /* By halving, where the evaluator divides. */
        int64_t below = -1;
        int64_t enough = MONEY_MINOR_MAX;
        while (enough - below > 1) {
            int64_t middle = below + (enough - below) / 2;
            if ((int128)(middle - q->cost) * MONEY_PPM >= (int128)made[i].margin_ppm * middle)
                enough = middle;
            else
                below = middle;
        }
        if (enough > low)
            low = enough;
    }
    if (high < low)
        high = low;
    int128 amount = q->price;
    if (adjust != NONE && !held) {
        amount = adjusted(&made[adjust], q->price);
        held = amount > MONEY_MINOR_MAX;
        *ret_rule = held ? NONE : adjust;
        amount = held ? q->price : amount;
    }
    amount = amount < low ? low : amount > high ? high : amount;
    if (ending == NONE || held)
        return (int64_t)amount;
    int64_t price = ended(&made[ending], (int64_t)amount, low, high);
    if (price != (int64_t)amount && *ret_rule == NONE)
        *ret_rule = ending;
    return price;
}

static void ask(struct rand *rand, struct question *q)
{
    for (int d = 0; d < PRICE_DIMENSIONS; d++)
        q->word[d] = (int)rand_below(rand, WORDS + 2) - 1;
    q->context = (int)rand_below(rand, WORDS + 1) - 1;
    q->price = random_amount(rand);
    q->cost = rand_below(rand, 3) == 0 ? INT64_MIN : random_amount(rand);
    q->qty = (int64_t)rand_below(rand, 6);
    q->in_euro = rand_below(rand, 2) == 0;
}

static struct price_output answer(const struct prices *prices, const struct question *q)
{
    static const char *const words[] = {"w0", "w1", "w2", "w3", "w4"};
    struct price_context context = {.key = TEXT_LITERAL("c")};
    struct price_input input = {.price_minor = q->price, .cost_minor = q->cost, .qty = q->qty};
    struct text *texts[] = {&input.item, &input.category, &input.brand};
    for (int d = 0; d < PRICE_DIMENSIONS; d++) {
        if (q->word[d] != NONE)
            *texts[d] = text_of(words[q->word[d]]);
    }
    if (q->context != NONE) {
        context.value = text_of(words[q->context]);
        input.context = &context;
        input.context_count = 1;
    }
    if (q->in_euro)
        assert_true(currency_parse(TEXT_LITERAL("EUR"), &input.currency));
    struct price_output output;
    uint64_t before = alloc_count();
    prices_apply(prices, &input, &output);
    assert_int_equal(alloc_count(), before);
    return output;
}

static void assert_bounds_hold(const struct made *made, uint32_t count, const struct question *q,
                               int64_t amount)
{
    int64_t lowest = 0;
    int64_t highest = MONEY_MINOR_MAX;
    for (uint32_t i = 0; i < count; i++) {
        if (!plainly_matches(&made[i], q))
            continue;
        assert_true(amount >= made[i].floor);
        if (made[i].margin_ppm != NONE && q->cost != INT64_MIN) {
            bool holds =
                (int128)(amount - q->cost) * MONEY_PPM >= (int128)made[i].margin_ppm * amount;
            assert_true(holds || amount == MONEY_MINOR_MAX);
            lowest = MONEY_MINOR_MAX; /* too intricate here: compared with the plain one */
        }
        if (made[i].floor > lowest)
            lowest = made[i].floor;
        if (made[i].ceiling != NONE && made[i].ceiling < highest)
            highest = made[i].ceiling;
    }
    assert_true(amount >= 0 && amount <= MONEY_MINOR_MAX);
    if (lowest <= highest)
        assert_true(amount <= highest);
}

static void test_random_rules_agree_with_the_plain_evaluator(void **state)
{
    (void)state;
    struct rand rand;
    uint32_t moved = 0;
    rand_init(&rand, 20261123);
    for (int set = 0; set < SETS; set++) {
        struct made made[RULES_MAX];
        uint32_t count = 1 + (uint32_t)rand_below(&rand, RULES_MAX);
        for (uint32_t i = 0; i < count; i++)
            make_up(&rand, &made[i]);
        struct prices *prices = build(made, count);
        for (int n = 0; n < QUERIES; n++) {
            struct question q;
            char name[16] = "-";
            int rule = NONE;
            ask(&rand, &q);
            int64_t expected = price_plainly(made, count, &q, &rule);
            struct price_output got = answer(prices, &q);
            if (rule != NONE)
                snprintf(name, sizeof name, "r%d", rule);
            if (got.amount_minor != expected ||
                strcmp(got.rule == NULL ? "-" : got.rule, name) != 0)
                fail_msg("set %d, question %d: expected %lld by %s, got %lld by %s", set, n,
                         (long long)expected, name, (long long)got.amount_minor,
                         got.rule == NULL ? "-" : got.rule);
            assert_bounds_hold(made, count, &q, got.amount_minor);
            moved += got.bound != NULL;
        }
        prices_destroy(prices);
    }
    assert_true(moved > SETS * QUERIES / 10); /* the bounds were put to the test */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_rules_agree_with_the_plain_evaluator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
