/* SPDX-License-Identifier: Apache-2.0 */
/* In the place of retrieval_peers.cpp where faiss and hnswlib are not installed. */
#include <stddef.h>

#include "tests/bench/retrieval_peers.h"

struct peer *peer_build(enum peer_kind kind, const float *rows, uint32_t count, uint32_t dim,
                        uint32_t lists)
{
    (void)kind, (void)rows, (void)count, (void)dim, (void)lists;
    return NULL;
}

void peer_set_effort(struct peer *peer, uint32_t effort)
{
    (void)peer, (void)effort;
}

uint32_t peer_effort_max(const struct peer *peer)
{
    (void)peer;
    return 0;
}

uint32_t peer_search(struct peer *peer, const float *vector, uint32_t n, uint32_t *ret_row)
{
    (void)peer, (void)vector, (void)n, (void)ret_row;
    return 0;
}

void peer_destroy(struct peer **peer)
{
    *peer = NULL;
}
