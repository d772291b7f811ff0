/* SPDX-License-Identifier: Apache-2.0 */
/* retrieval_peers - what bench_retrieval is compared with, behind a face in C: inverted files of
 * faiss and graphs of hnswlib, by inner product, on one thread. */
#ifndef TESTS_BENCH_RETRIEVAL_PEERS_H
#define TESTS_BENCH_RETRIEVAL_PEERS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum peer_kind { PEER_IVF_FLAT, PEER_IVF_SQ8, PEER_HNSW, PEER_COUNT };

struct peer;

/* NULL when the library was not there at the build. */
struct peer *peer_build(enum peer_kind kind, const float *rows, uint32_t count, uint32_t dim,
                        uint32_t lists);
/* How much of it a search reads: lists probed, or the breadth of the search in a graph. */
void peer_set_effort(struct peer *peer, uint32_t effort);
uint32_t peer_effort_max(const struct peer *peer);
/* The best n, in any order; returns how many. */
uint32_t peer_search(struct peer *peer, const float *vector, uint32_t n, uint32_t *ret_row);
void peer_destroy(struct peer **peer);

#ifdef __cplusplus
}
#endif

#endif
