/* SPDX-License-Identifier: Apache-2.0 */
/* lists_corpus - the terms of all items of the catalogue, and how much each of them says.
 *
 * A term weighs idf = ln(1 + items / items that have it); an item is the vector of the weights of
 * its terms, each of which counts once.
 *
 * Threads: one owner; reading is in sections of a reader, of LISTS_CHUNK items each.
 * Limits: LIST_TERMS_MAX terms of an item, what is beyond is left out. */
#ifndef SERVER_DECIDE_LISTS_CORPUS_H
#define SERVER_DECIDE_LISTS_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#define LIST_TERMS_MAX 64 /* of one item */

struct store;

/* All terms of all items, in one array; owned. */
struct list_corpus {
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

/* Into a corpus of zeros; false without memory, as below.  What was taken so far goes with
 * list_corpus_free in any case. */
bool list_corpus_read(const struct store *store, struct list_corpus *corpus);
/* Which items have each term, and the weights of all. */
bool list_corpus_index(struct list_corpus *corpus);
void list_corpus_free(struct list_corpus *corpus);

#endif
