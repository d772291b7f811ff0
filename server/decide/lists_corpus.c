/* SPDX-License-Identifier: Apache-2.0 */
/* The terms of an item are the words of its title, its category, its brand and its attributes
 * (texts, members of lists of texts, flags that are set); a term counts once. */
#include <math.h>
#include <stdlib.h>

#include "base/cursor.h"
#include "base/hash.h"
#include "base/rcu.h"
#include "server/decide/lists_corpus.h"
#include "server/decide/lists_internal.h"

/* The field of a term: a word in the title and the same word in the brand are different terms. */
enum field { FIELD_TITLE = 1, FIELD_CATEGORY, FIELD_BRAND, FIELD_ATTRIBUTE };

struct bag {
    uint64_t term[LIST_TERMS_MAX];
    uint32_t count;
};

void list_corpus_free(struct list_corpus *corpus)
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
    if (word.len == 0 || bag->count == LIST_TERMS_MAX)
        return;
    for (uint32_t i = 0; i < bag->count; i++) {
        if (bag->term[i] == term)
            return;
    }
    bag->term[bag->count++] = term;
}

/* A word is a run of ASCII letters and digits, lower-cased, and all non-ASCII bytes. */
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

static uint32_t place_of(const struct list_corpus *corpus, uint64_t hash)
{
    uint32_t at = (uint32_t)(hash >> 32) & corpus->mask;
    while (corpus->hash[at] != 0 && corpus->hash[at] != hash)
        at = (at + 1) & corpus->mask;
    return at;
}

static bool make_larger(struct list_corpus *corpus)
{
    uint32_t places = corpus->hash == NULL ? 4096 : 2 * (corpus->mask + 1);
    struct list_corpus larger = {.hash = calloc(places, sizeof *larger.hash),
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

/* Looks up or adds the term and raises its document frequency; false: out of memory. */
static bool count_term(struct list_corpus *corpus, uint64_t hash, uint32_t *ret_number)
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

static bool add_item(struct list_corpus *corpus, const struct bag *bag)
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

bool list_corpus_read(const struct store *store, struct list_corpus *corpus)
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

bool list_corpus_index(struct list_corpus *corpus)
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
