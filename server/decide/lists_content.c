/* SPDX-License-Identifier: Apache-2.0 */
/* Items that are alike by what the catalogue says of them: for each item of the catalogue the
 * CONTENT_NEIGHBORS that have the largest cosine of TF-IDF vectors.  The terms of an item are the
 * words of its title, its category, its brand and its attributes (texts, members of lists of texts,
 * flags that are set); a term counts once, with idf = ln(1 + items / items that have it).
 *
 * An item looks at those that share its rarest terms first, POSTINGS_VISITED of them at most, so
 * that the time is bounded for catalogues of any size; what common terms would add beyond is left
 * out. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/rcu.h"
#include "server/decide/lists_internal.h"

#define CONTENT_NEIGHBORS 20
#define COSINE_MIN        0.05f
#define TERMS_MAX         64 /* of one item */
#define POSTINGS_VISITED  8000

/* What sort of term it is: the same word in title and brand is not the same. */
enum field { FIELD_TITLE = 1, FIELD_CATEGORY, FIELD_BRAND, FIELD_ATTRIBUTE };

struct bag {
    uint64_t term[TERMS_MAX];
    uint32_t count;
};

/* All terms of all items, in one array; owned. */
struct corpus {
    uint64_t *hash; /* of the terms found, by open addressing; 0: free */
    uint32_t *number, *frequency;
    uint32_t mask, term_count, frequency_capacity;
    uint32_t *first; /* item_count + 1: into `term` */
    uint32_t *term;
    uint32_t used, capacity;
    uint32_t item_count, document_count;
    float *idf;           /* by term */
    uint32_t *posting_at; /* by term: where its items begin; term_count + 1 */
    uint32_t *posting;    /* items */
    float *scale;         /* by item: 1 / length of its vector */
};

static void corpus_free(struct corpus *corpus)
{
    free(corpus->hash);
    free(corpus->number);
    free(corpus->frequency);
    free(corpus->first);
    free(corpus->term);
    free(corpus->idf);
    free(corpus->posting_at);
    free(corpus->posting);
    free(corpus->scale);
}

/* ---- terms of an item ------------------------------------------------------------------------ */

static void add_term(struct bag *bag, enum field field, uint64_t key, struct text word)
{
    uint64_t term = hash_text(word, key * 31 + field) | 1; /* 0 is free */
    if (word.len == 0 || bag->count == TERMS_MAX)
        return;
    for (uint32_t i = 0; i < bag->count; i++) {
        if (bag->term[i] == term)
            return;
    }
    bag->term[bag->count++] = term;
}

/* Letters and digits of ASCII, in small letters, and whatever is beyond ASCII. */
static void add_words(struct bag *bag, struct text title)
{
    char word[64];
    uint32_t len = 0;
    for (uint32_t i = 0; i <= title.len; i++) {
        char c = i < title.len ? title.ptr[i] : ' ';
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || (c & 0x80) != 0;
        if (is_letter && len < sizeof word) {
            word[len++] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
        } else if (!is_letter) {
            add_term(bag, FIELD_TITLE, 0, (struct text){word, len});
            len = 0;
        }
    }
}

static void add_attribute(struct bag *bag, uint64_t key, struct cursor *value)
{
    struct text text;
    bool is_set = false;
    uint32_t count = 0;
    switch (cursor_peek(value)) {
    case CURSOR_TEXT:
        if (cursor_text(value, &text))
            add_term(bag, FIELD_ATTRIBUTE, key, text);
        return;
    case CURSOR_BOOL:
        if (cursor_bool(value, &is_set) && is_set)
            add_term(bag, FIELD_ATTRIBUTE, key, TEXT_LITERAL("true"));
        return;
    case CURSOR_ARRAY:
        if (!cursor_array(value, &count))
            return;
        for (uint32_t i = 0; i < count; i++) {
            if (cursor_text(value, &text))
                add_term(bag, FIELD_ATTRIBUTE, key, text);
            else
                cursor_skip(value, NULL);
        }
        return;
    default: cursor_skip(value, NULL);
    }
}

static void add_attributes(struct bag *bag, struct text attributes)
{
    uint32_t count = 0;
    if (attributes.ptr == NULL)
        return;
    struct cursor cursor = cursor_of((const uint8_t *)attributes.ptr, attributes.len);
    if (!cursor_map(&cursor, &count))
        return;
    for (uint32_t i = 0; i < count; i++) {
        struct text name;
        if (!cursor_text(&cursor, &name))
            return;
        add_attribute(bag, hash_text(name, FIELD_ATTRIBUTE), &cursor);
    }
}

static void fill_bag(const struct store *store, const struct item *record, struct bag *bag)
{
    bag->count = 0;
    if (record == NULL || record->deleted)
        return;
    if (record->category != IDMAP_NONE)
        add_term(bag, FIELD_CATEGORY, 0, store_category_name(store, record->category));
    if (record->brand != IDMAP_NONE)
        add_term(bag, FIELD_BRAND, 0, store_brand_name(store, record->brand));
    add_words(bag, record->title);
    add_attributes(bag, record->attributes);
}

/* ---- the corpus ------------------------------------------------------------------------------ */

static uint32_t place_of(const struct corpus *corpus, uint64_t hash)
{
    uint32_t at = (uint32_t)(hash >> 32) & corpus->mask;
    while (corpus->hash[at] != 0 && corpus->hash[at] != hash)
        at = (at + 1) & corpus->mask;
    return at;
}

static bool make_larger(struct corpus *corpus)
{
    uint32_t places = corpus->hash == NULL ? 4096 : 2 * (corpus->mask + 1);
    struct corpus larger = {.hash = calloc(places, sizeof *larger.hash),
                            .number = malloc(places * sizeof *larger.number),
                            .mask = places - 1};
    if (larger.hash == NULL || larger.number == NULL) {
        free(larger.hash);
        free(larger.number);
        return false;
    }
    for (uint32_t i = 0; corpus->hash != NULL && i <= corpus->mask; i++) {
        if (corpus->hash[i] == 0)
            continue;
        uint32_t at = place_of(&larger, corpus->hash[i]);
        larger.hash[at] = corpus->hash[i];
        larger.number[at] = corpus->number[i];
    }
    free(corpus->hash);
    free(corpus->number);
    corpus->hash = larger.hash;
    corpus->number = larger.number;
    corpus->mask = larger.mask;
    return true;
}

/* The number of the term, which one item more has; false without memory. */
static bool count_term(struct corpus *corpus, uint64_t hash, uint32_t *ret_number)
{
    if ((corpus->hash == NULL || 2 * corpus->term_count > corpus->mask) && !make_larger(corpus))
        return false;
    uint32_t at = place_of(corpus, hash);
    if (corpus->hash[at] == 0) {
        void *array = corpus->frequency;
        bool has_room = list_grow(&array, corpus->term_count, &corpus->frequency_capacity,
                                  sizeof corpus->frequency[0]);
        corpus->frequency = array;
        if (!has_room)
            return false;
        corpus->hash[at] = hash;
        corpus->number[at] = corpus->term_count;
        corpus->frequency[corpus->term_count++] = 0;
    }
    corpus->frequency[corpus->number[at]]++;
    *ret_number = corpus->number[at];
    return true;
}

static bool add_item(struct corpus *corpus, const struct bag *bag)
{
    corpus->document_count += bag->count > 0;
    for (uint32_t i = 0; i < bag->count; i++) {
        void *array = corpus->term;
        bool has_room = list_grow(&array, corpus->used, &corpus->capacity, sizeof corpus->term[0]);
        corpus->term = array;
        if (!has_room || !count_term(corpus, bag->term[i], &corpus->term[corpus->used]))
            return false;
        corpus->used++;
    }
    return true;
}

static bool read_items(const struct store *store, struct corpus *corpus)
{
    bool has_room = true;
    struct bag bag;
    corpus->item_count = store_item_count(store);
    corpus->first = malloc((corpus->item_count + 1) * sizeof corpus->first[0]);
    if (corpus->first == NULL)
        return false;
    for (uint32_t first = 0; first < corpus->item_count && has_room; first += LISTS_CHUNK) {
        rcu_read_begin();
        for (uint32_t i = first; i < corpus->item_count && i - first < LISTS_CHUNK && has_room;
             i++) {
            corpus->first[i] = corpus->used;
            fill_bag(store, store_item(store, i), &bag);
            has_room = add_item(corpus, &bag);
        }
        rcu_read_end();
    }
    corpus->first[corpus->item_count] = corpus->used;
    return has_room;
}

/* Which items have each term, and the weights of all. */
static bool index_terms(struct corpus *corpus)
{
    corpus->idf = malloc((corpus->term_count + 1) * sizeof corpus->idf[0]);
    corpus->posting_at = calloc((size_t)corpus->term_count + 2, sizeof corpus->posting_at[0]);
    corpus->posting = malloc(((size_t)corpus->used + 1) * sizeof corpus->posting[0]);
    corpus->scale = calloc((size_t)corpus->item_count + 1, sizeof corpus->scale[0]);
    if (corpus->idf == NULL || corpus->posting_at == NULL || corpus->posting == NULL ||
        corpus->scale == NULL)
        return false;
    for (uint32_t t = 0; t < corpus->term_count; t++) {
        corpus->idf[t] = log1pf((float)corpus->document_count / (float)corpus->frequency[t]);
        corpus->posting_at[t + 2] = corpus->posting_at[t + 1] + corpus->frequency[t];
    }
    for (uint32_t i = 0; i < corpus->item_count; i++) {
        float squares = 0.0f;
        for (uint32_t k = corpus->first[i]; k < corpus->first[i + 1]; k++) {
            uint32_t t = corpus->term[k];
            corpus->posting[corpus->posting_at[t + 1]++] = i; /* ends where the next begins */
            squares += corpus->idf[t] * corpus->idf[t];
        }
        corpus->scale[i] = squares > 0.0f ? 1.0f / sqrtf(squares) : 0.0f;
    }
    return true;
}

/* ---- neighbors ------------------------------------------------------------------------------- */

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
    struct left left[TERMS_MAX];
    uint32_t left_count;
    float sum[BLOCK_ITEMS]; /* all zero between two blocks */
    uint32_t touched[BLOCK_ITEMS];
    uint32_t touched_count;
    struct list_entry best[CONTENT_NEIGHBORS];
    uint32_t best_count;
};

/* Its own terms, the rarest first. */
static uint32_t own_terms(const struct corpus *corpus, uint32_t item, uint32_t ret_term[TERMS_MAX])
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

static void begin_visit(const struct corpus *corpus, struct search *search, uint32_t item)
{
    uint32_t term[TERMS_MAX];
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

static void settle_block(const struct corpus *corpus, struct search *search, uint32_t item,
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

static bool add_neighbors(struct list_builder *builder, const struct corpus *corpus,
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
    struct corpus corpus = {0};
    struct search *search = calloc(1, sizeof *search);
    bool has_room = search != NULL && read_items(builder->store, &corpus) && index_terms(&corpus);
    for (uint32_t i = 0; i < corpus.item_count && has_room; i++)
        has_room = (i % LISTS_CHUNK != 0 || !list_is_stopped(builder)) &&
                   add_neighbors(builder, &corpus, search, i);
    free(search);
    corpus_free(&corpus);
    return has_room;
}
