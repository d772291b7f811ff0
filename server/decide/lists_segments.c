/* SPDX-License-Identifier: Apache-2.0 */
/* Trending items among people who share an attribute value, from their histories: for each item,
 * how many of them had their last event with it within the window, and within the baseline.
 * Nothing is kept between refreshes, so that people who are forgotten, or do not allow
 * `personalize`, stop counting. */
#include <stdlib.h>

#include "base/rcu.h"
#include "server/decide/lists_internal.h"

#define PEOPLE_SMOOTHING 2.0f
#define PAIRS_MAX        (1u << 22) /* of segment and item; what comes beyond is not counted */

static const uint32_t window_s[STORE_WINDOW_COUNT] = {3600, 86400, 7 * 86400, 14 * 86400,
                                                      30 * 86400};

/* Open addressing, linear probing, at most half full; `whole` 0: free. */
struct pairs {
    struct list_growth *row; /* owned */
    uint32_t count, mask;
};

static uint32_t place_of(const struct pairs *pairs, uint64_t group, uint32_t item)
{
    uint64_t mixed = (group ^ item * UINT64_C(0x9e3779b97f4a7c15)) * UINT64_C(0xbf58476d1ce4e5b9);
    uint32_t at = (uint32_t)(mixed >> 32) & pairs->mask;
    while (pairs->row[at].whole > 0.0f &&
           (pairs->row[at].group != group || pairs->row[at].item != item))
        at = (at + 1) & pairs->mask;
    return at;
}

static bool make_larger(struct pairs *pairs)
{
    uint32_t places = pairs->row == NULL ? 1024 : 2 * (pairs->mask + 1);
    struct pairs larger = {calloc(places, sizeof *larger.row), pairs->count, places - 1};
    if (larger.row == NULL)
        return false;
    for (uint32_t i = 0; pairs->row != NULL && i <= pairs->mask; i++) {
        const struct list_growth *row = &pairs->row[i];
        if (row->whole > 0.0f)
            larger.row[place_of(&larger, row->group, row->item)] = *row;
    }
    free(pairs->row);
    *pairs = larger;
    return true;
}

static bool count_pair(struct pairs *pairs, uint64_t group, uint32_t item, bool is_recent)
{
    if ((pairs->row == NULL || 2 * pairs->count > pairs->mask) && pairs->count < PAIRS_MAX / 2 &&
        !make_larger(pairs))
        return false;
    struct list_growth *row = &pairs->row[place_of(pairs, group, item)];
    if (row->whole == 0.0f) {
        if (pairs->count == PAIRS_MAX / 2)
            return true;
        *row = (struct list_growth){.group = group, .item = item};
        pairs->count++;
    }
    row->whole += 1.0f;
    row->recent += is_recent ? 1.0f : 0.0f;
    return true;
}

static bool count_person(const struct list_builder *builder, struct pairs *pairs, uint32_t user,
                         int64_t now_s)
{
    struct history history;
    struct text attributes, segment;
    uint8_t consent = 0;
    bool has_room = true;
    if (!store_user_at(builder->store, user, &history, &attributes, &consent) ||
        (consent & CONSENT_BIT(personalize)) == 0 ||
        !list_segment_of(attributes, text_of(builder->spec->name), &segment))
        return true;
    uint64_t group = list_segment_key(segment);
    for (uint32_t i = 0; i < history.count && has_room; i++) {
        int64_t age_s = now_s - history.last_s[i];
        if (age_s >= window_s[builder->spec->baseline])
            break; /* newest first */
        has_room =
            count_pair(pairs, group, history.item[i], age_s < window_s[builder->spec->window]);
    }
    return has_room;
}

static bool count_people(const struct list_builder *builder, struct pairs *pairs)
{
    uint32_t user_count = store_user_count(builder->store);
    int64_t now_s = store_watermark_ms(builder->store) / 1000;
    bool has_room = true;
    for (uint32_t first = 0; first < user_count && has_room; first += LISTS_CHUNK) {
        rcu_read_begin();
        for (uint32_t i = first; i < user_count && i - first < LISTS_CHUNK && has_room; i++)
            has_room = count_person(builder, pairs, i, now_s);
        rcu_read_end();
    }
    return has_room;
}

static uint32_t pack_rows(struct pairs *pairs)
{
    uint32_t count = 0;
    for (uint32_t i = 0; pairs->row != NULL && i <= pairs->mask; i++) {
        if (pairs->row[i].whole > 0.0f)
            pairs->row[count++] = pairs->row[i];
    }
    return count;
}

bool list_add_segments(struct list_builder *builder)
{
    struct pairs pairs = {0};
    bool has_room = count_people(builder, &pairs);
    uint32_t count = has_room ? list_growth_of(pairs.row, pack_rows(&pairs), PEOPLE_SMOOTHING) : 0;
    for (uint32_t at = 0; at < count && has_room;) {
        has_room = list_begin_segment(builder, pairs.row[at].group);
        uint32_t added = has_room ? list_add_growth(builder, pairs.row + at, count - at) : 0;
        has_room = added > 0;
        at += added;
    }
    free(pairs.row);
    return has_room;
}
