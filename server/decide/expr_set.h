/* SPDX-License-Identifier: Apache-2.0 */
/* expr_set - membership in a list of constants: a scan of few texts, a table of many, bisection of
 * numbers.  Threads: reads by any; no allocation. */
#ifndef SERVER_DECIDE_EXPR_SET_H
#define SERVER_DECIDE_EXPR_SET_H

#include "base/hash.h"
#include "server/decide/expr_internal.h"

#define EXPR_SET_SCAN_MAX 8

static inline bool expr_set_has_text(const struct expr_set *set, struct text text)
{
    if (set->slot == NULL) {
        for (uint32_t i = 0; i < set->count; i++) {
            if (text_equal(set->value[i].text, text))
                return true;
        }
        return false;
    }
    uint32_t at = (uint32_t)hash_text(text, 0) & set->mask;
    for (; set->slot[at] != 0; at = (at + 1) & set->mask) {
        if (text_equal(set->value[set->slot[at] - 1].text, text))
            return true;
    }
    return false;
}

static inline bool expr_set_has(const struct expr_set *set, union expr_value value)
{
    if (set->type == EXPR_STRING)
        return expr_set_has_text(set, value.text);
    uint32_t low = 0, high = set->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        bool is_less = set->type == EXPR_INT ? set->value[middle].integer < value.integer
                                             : set->value[middle].real < value.real;
        if (is_less)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == set->count)
        return false;
    return set->type == EXPR_INT ? set->value[low].integer == value.integer
                                 : set->value[low].real == value.real;
}

#endif
