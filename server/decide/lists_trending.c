/* SPDX-License-Identifier: Apache-2.0 */
/* Trending items: those in more demand within a recent window than its share of the baseline
 * predicts.
 *
 *   growth = (recent + a) / (expected + a),   expected = whole * (sum of recent / sum of whole)
 *
 * which is the posterior mean of observed over expected counts under a gamma prior around 1
 * (DuMouchel 1999, "Bayesian data mining in large frequency tables"): few events say little.  The
 * natural score is its logarithm relative to that of the best item; items that do not grow are not
 * listed. */
#include <math.h>
#include <stdlib.h>

#include "base/rcu.h"
#include "server/decide/lists_internal.h"

#define SMOOTHING    10.0f /* one purchase, or ten views */
#define TRENDING_MAX 500   /* of one group */

static int by_group(const void *left, const void *right)
{
    const struct list_growth *a = left, *b = right;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    if (a->growth != b->growth)
        return a->growth > b->growth ? -1 : 1;
    return (a->item > b->item) - (a->item < b->item);
}

/* Sets the growth of the rows of one group. */
static void measure(struct list_growth *row, uint32_t count, float smoothing)
{
    double recent = 0.0, whole = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        recent += (double)row[i].recent;
        whole += (double)row[i].whole;
    }
    float share = whole > 0.0 ? (float)(recent / whole) : 0.0f;
    for (uint32_t i = 0; i < count; i++)
        row[i].growth = (row[i].recent + smoothing) / (row[i].whole * share + smoothing);
}

static uint32_t group_end(const struct list_growth *row, uint32_t count, uint32_t first)
{
    uint32_t end = first;
    while (end < count && row[end].group == row[first].group)
        end++;
    return end;
}

uint32_t list_growth_of(struct list_growth *row, uint32_t count, float smoothing)
{
    uint32_t kept = 0;
    if (count == 0)
        return 0;
    qsort(row, count, sizeof *row, by_group);
    for (uint32_t first = 0, end = 0; first < count; first = end) {
        end = group_end(row, count, first);
        measure(row + first, end - first, smoothing);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (row[i].growth > 1.0f)
            row[kept++] = row[i];
    }
    qsort(row, kept, sizeof *row, by_group);
    return kept;
}

uint32_t list_add_growth(struct list_builder *builder, const struct list_growth *row,
                         uint32_t count)
{
    uint32_t end = group_end(row, count, 0);
    for (uint32_t i = 0; i < end && i < TRENDING_MAX; i++) {
        if (!list_add(builder, row[i].item, logf(row[i].growth) / logf(row[0].growth)))
            return 0;
    }
    return end;
}

/* ---- from the windows of the store ----------------------------------------------------------- */

/* The items with any popularity in the window; NULL: out of memory. */
static struct list_growth *gather(const struct list_builder *builder, uint32_t *ret_count)
{
    uint32_t item_count = store_item_count(builder->store), count = 0, capacity = 0;
    struct list_growth *row = malloc(sizeof *row);
    void *array = row;
    bool has_room = row != NULL;
    for (uint32_t first = 0; first < item_count && has_room; first += LISTS_CHUNK) {
        rcu_read_begin();
        for (uint32_t i = first; i < item_count && i - first < LISTS_CHUNK && has_room; i++) {
            const struct item *record = store_item(builder->store, i);
            float whole = store_item_score(builder->store, i, builder->spec->baseline);
            if (whole <= 0.0f || (record != NULL && record->deleted))
                continue;
            has_room = list_grow(&array, count, &capacity, sizeof *row);
            row = array;
            if (has_room)
                row[count++] = (struct list_growth){
                    .group = record == NULL ? IDMAP_NONE : record->category,
                    .item = i,
                    .recent = store_item_score(builder->store, i, builder->spec->window),
                    .whole = whole};
        }
        rcu_read_end();
    }
    if (!has_room) {
        free(row);
        return NULL;
    }
    *ret_count = count;
    return row;
}

/* Spans 1 on are those of the categories, by number. */
static bool add_categories(struct list_builder *builder, struct list_growth *row, uint32_t count)
{
    bool has_room = true;
    uint32_t at = 0;
    count = list_growth_of(row, count, SMOOTHING);
    rcu_read_begin();
    uint32_t category_count = store_category_count(builder->store);
    rcu_read_end();
    for (uint32_t c = 0; c < category_count && has_room; c++) {
        has_room = list_begin_span(builder);
        while (at < count && row[at].group < c)
            at++;
        if (has_room && at < count && row[at].group == c)
            has_room = list_add_growth(builder, row + at, count - at) > 0;
    }
    return has_room;
}

bool list_make_trending(struct list_builder *builder)
{
    uint32_t count = 0;
    struct list_growth *row = gather(builder, &count);
    if (row == NULL)
        return false;
    bool has_room = true;
    struct list_growth *all = malloc((count + 1) * sizeof *all);
    if (all != NULL) {
        for (uint32_t i = 0; i < count; i++) {
            all[i] = row[i];
            all[i].group = 0;
        }
        uint32_t growing = list_growth_of(all, count, SMOOTHING);
        has_room = list_begin_span(builder) &&
                   (growing == 0 || list_add_growth(builder, all, growing) > 0);
    }
    if (all == NULL)
        has_room = false;
    if (has_room && builder->spec->by == BY_CATEGORY)
        has_room = add_categories(builder, row, count);
    if (has_room && builder->spec->by == BY_SEGMENT)
        has_room = list_add_segments(builder);
    free(all);
    free(row);
    return has_room;
}
