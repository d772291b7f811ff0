/* SPDX-License-Identifier: Apache-2.0 */
#include "base/top.h"

#include <string.h>

/* Counts in this range are sorted by radix, which has no mispredicted comparisons. */
enum { BY_DIGITS_LEAST = 128, BY_DIGITS_MOST = 1024, DIGITS = 8, DIGIT_VALUES = 256 };
enum { SCORE_DIGIT = 4, MOVES_EACH = 8 };

/* Whether `a` is worse than `b` and so belongs nearer to the root.  Branch-free: which of two
 * children is worse is unpredictable. */
static inline bool worse(const struct top_slot *a, const struct top_slot *b)
{
    return (a->score < b->score) | ((a->score == b->score) & (a->key > b->key));
}

static void sift_down(struct top_slot *slot, uint32_t count, uint32_t at)
{
    struct top_slot moving = slot[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        uint32_t other = child + (child + 1 < count);
        child += worse(&slot[other], &slot[child]);
        if (!worse(&slot[child], &moving))
            break;
        slot[at] = slot[child];
    }
    slot[at] = moving;
}

static void sift_up(struct top_slot *slot, uint32_t at)
{
    struct top_slot moving = slot[at];
    while (at > 0 && worse(&moving, &slot[(at - 1) / 2])) {
        slot[at] = slot[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    slot[at] = moving;
}

void top_put(struct top *top, float score, uint32_t key)
{
    struct top_slot entry = {score, key};
    if (top->count < top->capacity) {
        top->slot[top->count] = entry;
        sift_up(top->slot, top->count++);
    } else if (top->capacity > 0) {
        top->slot[0] = entry;
        sift_down(top->slot, top->count, 0);
    }
}

/* An integer that sorts like the slot, smaller first.  False for scores that have none: -0, which
 * must equal 0, and NaN. */
static bool to_order(const struct top_slot *slot, uint64_t *ret_order)
{
    uint32_t bits;
    memcpy(&bits, &slot->score, sizeof bits);
    if (isnan(slot->score) || bits == 1u << 31)
        return false;
    uint32_t falling = bits >> 31 != 0 ? bits : ~bits & ~(1u << 31);
    *ret_order = (uint64_t)falling << 32 | slot->key;
    return true;
}

static struct top_slot from_order(uint64_t order)
{
    struct top_slot slot = {.key = (uint32_t)order};
    uint32_t falling = (uint32_t)(order >> 32);
    uint32_t bits = falling >> 31 != 0 ? falling : ~falling & ~(1u << 31);
    memcpy(&slot.score, &bits, sizeof bits);
    return slot;
}

static inline uint32_t digit_of(uint64_t order, uint32_t digit)
{
    return order >> (8 * digit) & (DIGIT_VALUES - 1);
}

/* Stable, by one digit. */
static void sort_by_digit(const uint64_t *order, uint32_t count, uint32_t digit,
                          const uint16_t *number, uint64_t *ret_order)
{
    uint16_t next[DIGIT_VALUES];
    uint16_t sum = 0;
    for (uint32_t value = 0; value < DIGIT_VALUES; value++) {
        next[value] = sum;
        sum = (uint16_t)(sum + number[value]);
    }
    for (uint32_t i = 0; i < count; i++)
        ret_order[next[digit_of(order[i], digit)]++] = order[i];
}

/* Stable, by the digits from `digit` to the highest.  Returns which of the two arrays has the
 * result. */
static uint32_t sort_from_digit(uint64_t order[2][BY_DIGITS_MOST], uint32_t count, uint32_t digit)
{
    uint16_t number[DIGITS][DIGIT_VALUES]; /* of each value of each digit */
    uint32_t from = 0;
    memset(number[digit], 0, (DIGITS - digit) * sizeof number[0]);
    for (uint32_t i = 0; i < count; i++) {
        for (uint32_t d = digit; d < DIGITS; d++)
            number[d][digit_of(order[0][i], d)]++;
    }
    for (uint32_t d = digit; d < DIGITS; d++) {
        if (number[d][digit_of(order[from][0], d)] == count)
            continue; /* all have the same */
        sort_by_digit(order[from], count, d, number[d], order[1 - from]);
        from = 1 - from;
    }
    return from;
}

/* Sorts equal scores by key in an array sorted by score.  False if there are too many of them. */
static bool sort_ties(uint64_t *order, uint32_t count)
{
    uint32_t left = MOVES_EACH * count;
    for (uint32_t i = 1; i < count; i++) {
        uint64_t moving = order[i];
        uint32_t at = i;
        for (; at > 0 && order[at - 1] > moving; at--) {
            if (left-- == 0) {
                order[at] = moving;
                return false;
            }
            order[at] = order[at - 1];
        }
        order[at] = moving;
    }
    return true;
}

/* By the digits of the score, then ties; by all digits if there are many ties.  False: a comparison
 * sort is needed. */
static bool sort_by_digits(struct top *top)
{
    uint64_t order[2][BY_DIGITS_MOST];
    for (uint32_t i = 0; i < top->count; i++) {
        if (!to_order(&top->slot[i], &order[0][i]))
            return false;
    }
    uint32_t from = sort_from_digit(order, top->count, SCORE_DIGIT);
    if (!sort_ties(order[from], top->count)) {
        if (from != 0)
            memcpy(order[0], order[1], top->count * sizeof order[0][0]);
        from = sort_from_digit(order, top->count, 0);
    }
    for (uint32_t i = 0; i < top->count; i++)
        top->slot[i] = from_order(order[from][i]);
    return true;
}

void top_sort(struct top *top)
{
    if (top->count >= BY_DIGITS_LEAST && top->count <= BY_DIGITS_MOST && sort_by_digits(top))
        return;
    for (uint32_t end = top->count; end > 1; end--) {
        struct top_slot worst = top->slot[0];
        top->slot[0] = top->slot[end - 1];
        top->slot[end - 1] = worst;
        sift_down(top->slot, end - 1, 0);
    }
}
