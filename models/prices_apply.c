/* SPDX-License-Identifier: Apache-2.0 */
/* One price, in the steps of docs/bundles.md: collect what matches, adjust, bound, round to an
 * ending within the bounds.  int64 minor units and 128-bit products throughout. */
#include "models/prices_internal.h"

__extension__ typedef __int128 int128; /* pedantic C11 has no name for it */

#define NO_RANK UINT32_MAX

/* What all matching rules together ask for. */
struct found {
    uint32_t adjust_rank, ending_rank; /* the first by rank; NO_RANK: none */
    int64_t floor_minor, ceiling_minor;
    int64_t margin_ppm; /* the highest, or PRICE_NO_MARGIN */
};

struct query {
    const struct prices *prices;
    const struct price_input *input;
    uint32_t term[PRICE_DIMENSIONS];
    struct found found;
};

static uint32_t find_term(const struct prices *prices, enum price_dimension dimension,
                          struct text text)
{
    if (text.ptr == NULL || prices->term_count == 0)
        return PRICE_NO_TERM;
    uint64_t at = price_term_hash(prices->seed, dimension, text) & prices->slot_mask;
    for (; prices->slot[at] != PRICE_NO_TERM; at = (at + 1) & prices->slot_mask) {
        const struct price_term *term = &prices->term[prices->slot[at]];
        if (term->dimension == dimension && text_equal(term->text, text))
            return prices->slot[at];
    }
    return PRICE_NO_TERM;
}

static bool asks_for(const uint32_t *terms, uint32_t count, uint32_t term)
{
    uint32_t low = 0;
    for (uint32_t high = count; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (terms[middle] < term)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && terms[low] == term;
}

static bool condition_holds(const struct query *q, const struct price_condition *condition)
{
    for (uint32_t i = 0; i < q->input->context_count; i++) {
        const struct price_context *given = &q->input->context[i];
        if (!text_equal(given->key, condition->key))
            continue;
        for (uint32_t v = 0; v < condition->values.count; v++) {
            if (text_equal(q->prices->value[condition->values.first + v], given->value))
                return true;
        }
    }
    return false;
}

static bool matches(const struct query *q, const struct price_rule *rule)
{
    if (rule->currency != 0 && rule->currency != q->input->currency)
        return false;
    if (q->input->qty < rule->qty_min || q->input->qty > rule->qty_max)
        return false;
    for (int d = 0; d < PRICE_DIMENSIONS; d++) {
        const struct price_span *span = &rule->terms[d];
        if (span->count > 0 &&
            (q->term[d] == PRICE_NO_TERM ||
             !asks_for(q->prices->term_of_rule + span->first, span->count, q->term[d])))
            return false;
    }
    for (uint32_t i = 0; i < rule->conditions.count; i++) {
        if (!condition_holds(q, &q->prices->condition[rule->conditions.first + i]))
            return false;
    }
    return true;
}

static void collect(struct query *q, const uint32_t *ranks, uint32_t count)
{
    struct found *found = &q->found;
    for (uint32_t i = 0; i < count; i++) {
        const struct price_rule *rule = &q->prices->rule[ranks[i]];
        if (!matches(q, rule))
            continue;
        if (rule->adjust != PRICE_KEEP && ranks[i] < found->adjust_rank)
            found->adjust_rank = ranks[i];
        if (rule->ending_of != 0 && ranks[i] < found->ending_rank)
            found->ending_rank = ranks[i];
        if (rule->floor_minor > found->floor_minor)
            found->floor_minor = rule->floor_minor;
        if (rule->ceiling_minor < found->ceiling_minor)
            found->ceiling_minor = rule->ceiling_minor;
        if (rule->margin_ppm > found->margin_ppm)
            found->margin_ppm = rule->margin_ppm;
    }
}

static void collect_all(struct query *q)
{
    const struct text texts[PRICE_DIMENSIONS] = {[PRICE_ITEM] = q->input->item,
                                                 [PRICE_CATEGORY] = q->input->category,
                                                 [PRICE_BRAND] = q->input->brand};
    q->found = (struct found){.adjust_rank = NO_RANK,
                              .ending_rank = NO_RANK,
                              .ceiling_minor = MONEY_MINOR_MAX,
                              .margin_ppm = PRICE_NO_MARGIN};
    for (int d = 0; d < PRICE_DIMENSIONS; d++)
        q->term[d] = find_term(q->prices, (enum price_dimension)d, texts[d]);
    for (int d = 0; d < PRICE_DIMENSIONS; d++) {
        if (q->term[d] == PRICE_NO_TERM)
            continue;
        const struct price_span *span = &q->prices->term[q->term[d]].postings;
        collect(q, q->prices->posting + span->first, span->count);
    }
    collect(q, q->prices->general, q->prices->general_count);
}

static int64_t bring_into(int64_t value, int64_t low, int64_t high)
{
    return value < low ? low : value > high ? high : value;
}

static bool adjust(const struct price_rule *rule, int64_t list, int64_t *ret_minor)
{
    switch (rule->adjust) {
    case PRICE_PERCENT: return money_scale(list, MONEY_PPM + rule->adjust_value, ret_minor);
    case PRICE_ADD: /* both are within the limits of money, so the sum does not overflow */
        *ret_minor = list + rule->adjust_value;
        return *ret_minor <= MONEY_MINOR_MAX;
    case PRICE_SET: *ret_minor = rule->adjust_value; return true;
    case PRICE_KEEP: break;
    }
    return false;
}

/* The lowest price p with (p - cost) / p >= margin. */
static int64_t margin_floor(int64_t cost, int64_t margin_ppm)
{
    int64_t rest_ppm = MONEY_PPM - margin_ppm;
    int128 lowest = ((int128)cost * MONEY_PPM + rest_ppm - 1) / rest_ppm;
    return lowest > MONEY_MINOR_MAX ? MONEY_MINOR_MAX : (int64_t)lowest;
}

/* The nearest price with the ending; the same price when none lies within the bounds. */
static int64_t round_to_ending(const struct price_rule *rule, int64_t price, int64_t low,
                               int64_t high)
{
    int64_t digits = rule->ending_digits;
    int64_t beyond = price >= digits ? (price - digits) % rule->ending_of : -1;
    int64_t below = price - beyond; /* when beyond >= 0 */
    int64_t above = beyond == 0 ? price : beyond < 0 ? digits : below + rule->ending_of;
    bool has_below = beyond >= 0 && below >= low && rule->ending_to != PRICE_UP;
    bool has_above = above <= high && rule->ending_to != PRICE_DOWN;
    if (has_below && (!has_above || price - below <= above - price))
        return below;
    return has_above ? above : price;
}

void prices_apply(const struct prices *prices, const struct price_input *input,
                  struct price_output *ret_output)
{
    struct query q = {.prices = prices, .input = input};
    collect_all(&q);
    const struct found *found = &q.found;
    int64_t list = bring_into(input->price_minor, 0, MONEY_MINOR_MAX);
    int64_t amount = list;
    const char *rule = NULL;
    const char *bound = NULL;

    bool has_cost = input->cost_minor >= 0 && input->cost_minor <= MONEY_MINOR_MAX;
    bool asks_margin = found->margin_ppm != PRICE_NO_MARGIN;
    bool computable = has_cost || !asks_margin; /* or else the list price stands */
    if (found->adjust_rank != NO_RANK) {
        if (!computable)
            bound = "margin";
        else
            computable = adjust(&prices->rule[found->adjust_rank], list, &amount);
        if (computable)
            rule = prices->rule[found->adjust_rank].name;
        else
            amount = list;
    }

    int64_t low_margin =
        asks_margin && has_cost ? margin_floor(input->cost_minor, found->margin_ppm) : 0;
    int64_t low = low_margin > found->floor_minor ? low_margin : found->floor_minor;
    int64_t high = found->ceiling_minor > low ? found->ceiling_minor : low;
    /* A ceiling below the lower bound gives way to it, and is not what made the price. */
    if (amount < low || (amount > high && found->ceiling_minor < low))
        bound = low_margin > found->floor_minor ? "margin" : "floor";
    else if (amount > high)
        bound = "ceiling";
    amount = bring_into(amount, low, high);

    if (found->ending_rank != NO_RANK && computable) {
        int64_t rounded = round_to_ending(&prices->rule[found->ending_rank], amount, low, high);
        if (rounded != amount && rule == NULL)
            rule = prices->rule[found->ending_rank].name;
        amount = rounded;
    }
    *ret_output = (struct price_output){.amount_minor = amount, .rule = rule, .bound = bound};
}
