/* SPDX-License-Identifier: Apache-2.0 */
/* Similar items by catalogue data: for each item the CONTENT_NEIGHBORS others with the largest
 * cosine of TF-IDF vectors (lists_corpus.h).
 *
 * An item visits the postings of its terms, rarest first, POSTINGS_VISITED at most, so that the
 * time is bounded for catalogues of any size; contributions of common terms beyond that are
 * ignored. */
#include <stdlib.h>

#include "server/decide/lists_corpus.h"
#include "server/decide/lists_internal.h"

#define CONTENT_NEIGHBORS 20
#define COSINE_MIN        0.05f
#define POSTINGS_VISITED  8000

/* The other items are processed in blocks of this size, so that the sums of a block stay in a near
 * cache however large the catalogue is. */
#define BLOCK_ITEMS 32768
_Static_assert(POSTINGS_VISITED < BLOCK_ITEMS, "what is touched has room");

/* The unvisited part of a term's posting list. */
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

/* Sorts the item's terms, rarest first. */
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

/* The start of the next block with unvisited postings; false: there is none. */
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

/* The smallest common sum (of squared weights of shared terms) that can still be among the best.
 * The other vector is at least as long as the root of the common sum, so the cosine is at most that
 * root times the item's scale.  Slightly lowered for rounding. */
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
