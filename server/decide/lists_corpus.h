/* SPDX-License-Identifier: Apache-2.0 */
/* lists_corpus - the terms of all catalogue items and their weights, as TF-IDF with binary term
 * frequency.
 *
 * A term's weight is idf = ln(1 + items / items that have it); an item is the vector of the weights
 * of its distinct terms.
 *
 * Threads: one owner; the store is read in RCU sections of LISTS_CHUNK items each.
 * Limits: LIST_TERMS_MAX terms per item; further ones are ignored. */
#ifndef SERVER_DECIDE_LISTS_CORPUS_H
#define SERVER_DECIDE_LISTS_CORPUS_H

#include <stdbool.h>
#include <stdint.h>

#define LIST_TERMS_MAX 64 /* of one item */

struct store;

/* All terms of all items, in one array; owned. */
struct list_corpus {
    uint64_t *hash; /* hash table of terms, open addressing; 0: free */
    uint32_t *number, *frequency;
    uint32_t mask, term_count, frequency_capacity;
    uint32_t *first; /* item_count + 1 offsets into `term` */
    uint32_t *term;
    uint32_t used, capacity;
    uint32_t item_count, document_count;
    float *idf;           /* by term */
    uint32_t *posting_at; /* term_count + 1 offsets into `posting` */
    uint32_t *posting;    /* item numbers, by term */
    float *scale;         /* by item: 1 / length of its vector */
};

/* Reads into a zeroed corpus.  False, here and below: out of memory.  Call list_corpus_free in any
 * case. */
bool list_corpus_read(const struct store *store, struct list_corpus *corpus);
/* Builds the inverted index and the weights. */
bool list_corpus_index(struct list_corpus *corpus);
void list_corpus_free(struct list_corpus *corpus);

#endif
