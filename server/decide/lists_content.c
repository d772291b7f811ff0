/* SPDX-License-Identifier: Apache-2.0 */
/* Items that are alike by what the catalogue says of them: for each item of the catalogue the
 * CONTENT_NEIGHBORS that have the largest cosine of TF-IDF vectors (lists_corpus.h).
 *
 * An item looks at those that share its rarest terms first, POSTINGS_VISITED of them at most, so
 * that the time is bounded for catalogues of any size; what common terms would add beyond is left
 * out. */
#include <stdlib.h>

#include "server/decide/lists_corpus.h"
#include "server/decide/lists_internal.h"

#define CONTENT_NEIGHBORS 20
#define COSINE_MIN        0.05f
#define POSTINGS_VISITED  8000

/* So many of the others are looked at before the next ones: what is added up stays in a near cache,
 * however large the catalogue is. */
#define BLOCK_ITEMS 32768
_Static_assert(POSTINGS_VISITED < BLOCK_ITEMS, "what is touched has room");

/* The items that have a term, as far as they were not looked at. */
struct left {
    const uint32_t *at, *end;
    float weight;
};

struct search {
    struct left left[LIST_TERMS_MAX];
    uint32_t left_count;
    float sum[BLOCK_ITEMS]; /* all zero between two blocks */
    uint32_t touched[BLOCK_ITEMS];
    uint32_t touched_count;
    struct list_entry best[CONTENT_NEIGHBORS];
    uint32_t best_count;
};

/* Its own terms, the rarest first. */
static uint32_t own_terms(const struct list_corpus *corpus, uint32_t item,
                          uint32_t ret_term[LIST_TERMS_MAX])
{
    uint32_t count = 0;
    for (uint32_t k = corpus->first[item]; k < corpus->first[item + 1]; k++) {
        uint32_t term = corpus->term[k], at = count++;
        for (; at > 0 && corpus->frequency[ret_term[at - 1]] > corpus->frequency[term]; at--)
            ret_term[at] = ret_term[at - 1];
        ret_term[at] = term;
    }
    return count;
}

static void begin_visit(const struct list_corpus *corpus, struct search *search, uint32_t item)
{
    uint32_t term[LIST_TERMS_MAX];
    uint32_t count = own_terms(corpus, item, term);
    uint32_t left = POSTINGS_VISITED;
    search->left_count = 0;
    for (uint32_t i = 0; i < count && corpus->frequency[term[i]] <= left; i++) {
        uint32_t t = term[i];
        left -= corpus->frequency[t];
        search->left[search->left_count++] =
            (struct left){.at = corpus->posting + corpus->posting_at[t],
                          .end = corpus->posting + corpus->posting_at[t + 1],
                          .weight = corpus->idf[t] * corpus->idf[t]};
    }
}

/* The first item of the block in which something is left; false: nothing is. */
static bool next_block(const struct search *search, uint32_t *ret_first)
{
    uint32_t next = UINT32_MAX;
    for (uint32_t i = 0; i < search->left_count; i++) {
        const struct left *left = &search->left[i];
        if (left->at < left->end && *left->at < next)
            next = *left->at;
    }
    *ret_first = next - next % BLOCK_ITEMS;
    return next != UINT32_MAX;
}

static void visit_block(struct search *search, uint32_t first)
{
    uint32_t touched_count = 0;
    for (uint32_t i = 0; i < search->left_count; i++) {
        struct left *left = &search->left[i];
        for (; left->at < left->end && *left->at - first < BLOCK_ITEMS; left->at++) {
            float *sum = &search->sum[*left->at - first];
            search->touched[touched_count] = *left->at - first;
            touched_count += *sum == 0.0f;
            *sum += left->weight;
        }
    }
    search->touched_count = touched_count;
}

static bool is_better(struct list_entry a, struct list_entry b)
{
    return a.value != b.value ? a.value > b.value : a.item < b.item;
}

static void offer(struct search *search, struct list_entry entry)
{
    uint32_t at = search->best_count;
    if (at == CONTENT_NEIGHBORS) {
        if (!is_better(entry, search->best[at - 1]))
            return;
        at--;
    } else {
        search->best_count++;
    }
    for (; at > 0 && is_better(entry, search->best[at - 1]); at--)
        search->best[at] = search->best[at - 1];
    search->best[at] = entry;
}

/* The other's vector is at least as long as what both have in common, so that the cosine is at most
 * the root of the common sum, times the scale of the item: with less than this sum there is no way
 * among the best.  A little less than that, for rounding. */
static float enough_for(const struct search *search, float scale)
{
    float least = search->best_count == CONTENT_NEIGHBORS
                      ? search->best[CONTENT_NEIGHBORS - 1].value
                      : COSINE_MIN;
    return scale > 0.0f ? 0.999f * (least / scale) * (least / scale) : 0.0f;
}

static void settle_block(const struct list_corpus *corpus, struct search *search, uint32_t item,
                         uint32_t first)
{
    float scale = corpus->scale[item], enough = enough_for(search, scale);
    for (uint32_t i = 0; i < search->touched_count; i++) {
        uint32_t other = first + search->touched[i];
        float sum = search->sum[search->touched[i]];
        search->sum[search->touched[i]] = 0.0f;
        if (sum < enough || other == item)
            continue;
        float cosine = sum * scale * corpus->scale[other];
        if (cosine >= COSINE_MIN) {
            offer(search, (struct list_entry){other, cosine < 1.0f ? cosine : 1.0f});
            enough = enough_for(search, scale);
        }
    }
}

static bool add_neighbors(struct list_builder *builder, const struct list_corpus *corpus,
                          struct search *search, uint32_t item)
{
    uint32_t first = 0;
    search->best_count = 0;
    begin_visit(corpus, search, item);
    while (next_block(search, &first)) {
        visit_block(search, first);
        settle_block(corpus, search, item, first);
    }
    bool has_room = list_begin_span(builder);
    for (uint32_t i = 0; i < search->best_count && has_room; i++)
        has_room = list_add(builder, search->best[i].item, search->best[i].value);
    return has_room;
}

bool list_make_content(struct list_builder *builder)
{
    struct list_corpus corpus = {0};
    struct search *search = calloc(1, sizeof *search);
    bool has_room =
        search != NULL && list_corpus_read(builder->store, &corpus) && list_corpus_index(&corpus);
    for (uint32_t i = 0; i < corpus.item_count && has_room; i++)
        has_room = (i % LISTS_CHUNK != 0 || !list_is_stopped(builder)) &&
                   add_neighbors(builder, &corpus, search, i);
    free(search);
    list_corpus_free(&corpus);
    return has_room;
}
