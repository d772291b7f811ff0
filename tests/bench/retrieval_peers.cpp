/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/retrieval_peers.h"

#include <algorithm>
#include <memory>
#include <vector>

#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/IndexScalarQuantizer.h>
#include <hnswlib/hnswlib.h>
#include <omp.h>

struct peer {
    std::unique_ptr<faiss::IndexFlatIP> coarse;
    std::unique_ptr<faiss::IndexIVF> ivf;
    std::unique_ptr<hnswlib::InnerProductSpace> space;
    std::unique_ptr<hnswlib::HierarchicalNSW<float>> graph;
    std::vector<float> score;
    std::vector<faiss::Index::idx_t> label;
};

static const int GRAPH_LINKS = 16;
static const int GRAPH_BUILD_EFFORT = 100;

static void build_ivf(struct peer *peer, enum peer_kind kind, const float *rows, uint32_t count,
                      uint32_t dim, uint32_t lists)
{
    peer->coarse = std::make_unique<faiss::IndexFlatIP>(dim);
    if (kind == PEER_IVF_FLAT)
        peer->ivf = std::make_unique<faiss::IndexIVFFlat>(peer->coarse.get(), dim, lists,
                                                          faiss::METRIC_INNER_PRODUCT);
    else
        peer->ivf = std::make_unique<faiss::IndexIVFScalarQuantizer>(
            peer->coarse.get(), dim, lists, faiss::ScalarQuantizer::QT_8bit,
            faiss::METRIC_INNER_PRODUCT, false);
    peer->ivf->cp.max_points_per_centroid = 64; /* a sample of the size of ours */
    peer->ivf->train(count, rows);
    peer->ivf->add(count, rows);
}

static void build_graph(struct peer *peer, const float *rows, uint32_t count, uint32_t dim)
{
    peer->space = std::make_unique<hnswlib::InnerProductSpace>(dim);
    peer->graph = std::make_unique<hnswlib::HierarchicalNSW<float>>(
        peer->space.get(), count, GRAPH_LINKS, GRAPH_BUILD_EFFORT);
    for (uint32_t i = 0; i < count; i++)
        peer->graph->addPoint(rows + (size_t)i * dim, i);
}

struct peer *peer_build(enum peer_kind kind, const float *rows, uint32_t count, uint32_t dim,
                        uint32_t lists)
{
    omp_set_num_threads(1);
    auto peer = std::make_unique<struct peer>();
    if (kind == PEER_HNSW)
        build_graph(peer.get(), rows, count, dim);
    else
        build_ivf(peer.get(), kind, rows, count, dim, lists);
    return peer.release();
}

void peer_set_effort(struct peer *peer, uint32_t effort)
{
    if (peer->graph)
        peer->graph->setEf(effort);
    else
        peer->ivf->nprobe = effort;
}

uint32_t peer_effort_max(const struct peer *peer)
{
    return peer->graph ? 20000 : (uint32_t)peer->ivf->nlist;
}

uint32_t peer_search(struct peer *peer, const float *vector, uint32_t n, uint32_t *ret_row)
{
    uint32_t count = 0;
    if (peer->graph) {
        auto found = peer->graph->searchKnn(vector, n);
        for (; !found.empty(); found.pop())
            ret_row[count++] = (uint32_t)found.top().second;
        return count;
    }
    peer->score.resize(n);
    peer->label.resize(n);
    peer->ivf->search(1, vector, n, peer->score.data(), peer->label.data());
    for (uint32_t i = 0; i < n; i++) {
        if (peer->label[i] >= 0)
            ret_row[count++] = (uint32_t)peer->label[i];
    }
    return count;
}

void peer_destroy(struct peer **peer)
{
    delete *peer;
    *peer = nullptr;
}
