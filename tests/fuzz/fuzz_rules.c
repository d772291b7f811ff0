/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>

#include "models/prices_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Rules that were accepted keep every price within the limits and above every floor that binds all
 * items, whatever is asked. */
static void apply(const struct prices *prices, int64_t price, int64_t cost, struct text text)
{
    struct price_context context = {text, text};
    struct price_output output;
    const struct price_input input = {.item = text,
                                      .category = text,
                                      .brand = text,
                                      .price_minor = price,
                                      .cost_minor = cost,
                                      .qty = 1,
                                      .context = &context,
                                      .context_count = 1};
    prices_apply(prices, &input, &output);
    ASSERT(output.amount_minor >= 0 && output.amount_minor <= MONEY_MINOR_MAX);
    for (uint32_t i = 0; i < prices->general_count; i++) {
        const struct price_rule *rule = &prices->rule[prices->general[i]];
        bool binds = rule->currency == 0 && rule->conditions.count == 0 && rule->qty_min <= 1 &&
                     rule->qty_max >= 1;
        ASSERT(!binds || output.amount_minor >= rule->floor_minor);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct prices *prices = NULL;
    if (prices_parse("rules.json", (const char *)data, size, &prices, NULL) != ERR_OK)
        return 0;
    for (uint32_t i = 0; i <= prices->term_count && i < 64; i++) {
        struct text text =
            i < prices->term_count ? prices->term[i].text : TEXT_LITERAL("none of these");
        apply(prices, 1999, 1000, text);
        apply(prices, MONEY_MINOR_MAX, MONEY_MINOR_MAX, text);
        apply(prices, INT64_MIN, INT64_MIN, text);
        apply(prices, INT64_MAX, 0, text);
    }
    prices_destroy(prices);
    return 0;
}
