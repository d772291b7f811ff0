/* SPDX-License-Identifier: Apache-2.0 */
/* bench_retrieval - the best items by factors, beside what else could find them: one thread, the
 * same vectors (retrieval_vectors.h), in rounds that take turns, medians of the rounds.
 *
 * usage: bench_retrieval exact [ITEMS]      the best 200 of those that pass a filter of 50 %:
 *                                           every item in bytes; sgemv and selection
 *        bench_retrieval index [ITEMS [ivf]] the best 100 through an index; sgemv and selection;
 *                                           inverted files of faiss and, unless `ivf` is said, a
 *                                           graph of hnswlib, each with the least effort that
 *                                           reaches the same recall
 *        bench_retrieval bytes [ITEMS]      the best 100 through an index alone, the floats given
 *                                           back: memory, latency, recall */
#include <cblas-openblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "models/model_internal.h"
#include "tests/bench/retrieval_peers.h"
#include "tests/bench/retrieval_vectors.h"

enum { ROUNDS = 7, QUERIES = 200, SLOW_QUERIES = 20, N_MAX = 200, ARENA_BYTES = 4 << 20 };
enum { TRAINED_USERS = 1000, TRUTH_ROWS = 4096 };

static struct vectors vectors;
static struct factors factors;
static struct model model = {.kind = MODEL_factors, .as.factors = &factors};
static struct arena arena;
static float *scores;  /* of sgemv */
static uint64_t *bits; /* the filter; NULL: none */
static uint32_t n;     /* how many are wanted */
static uint32_t truth[QUERIES][N_MAX];

struct method {
    const char *name;
    uint32_t (*search)(struct method *method, const float *user, uint32_t *ret_item);
    struct peer *peer;
    uint32_t queries, effort;
    double build_s, megabytes, recall;
    double round_us[ROUNDS], round_p99_us[ROUNDS];
};

static double now_us(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec * 1e6 + (double)at.tv_nsec * 1e-3;
}

static double resident_mb(void)
{
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%llu %llu", &pages, &resident) != 2)
        resident = 0;
    if (file != NULL)
        fclose(file);
    return (double)resident * 4096 / 1e6;
}

/* The users behind those that the index was measured with. */
static const float *query(uint32_t q)
{
    return vectors.user + (size_t)(TRAINED_USERS + q) * VECTORS_DIM;
}

static bool allowed(uint32_t item)
{
    return bits == NULL || (bits[item / 64] >> (item % 64) & 1) != 0;
}

static uint32_t take(struct top *top, uint32_t *ret_item)
{
    top_sort(top);
    for (uint32_t i = 0; i < top->count; i++)
        ret_item[i] = top->slot[i].key;
    return top->count;
}

/* ---- methods --------------------------------------------------------------------------------- */

static uint32_t search_sgemv(struct method *method, const float *user, uint32_t *ret_item)
{
    (void)method;
    arena_reset(&arena);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)vectors.item_count, VECTORS_DIM, 1.0f,
                vectors.item, VECTORS_DIM, user, 1, 0.0f, scores, 1);
    struct top top = top_make(&arena, n);
    for (uint32_t i = 0; i < vectors.item_count; i++) {
        if (top_wants(&top, scores[i], i) && allowed(i))
            top_put(&top, scores[i], i);
    }
    return take(&top, ret_item);
}

static uint32_t search_ours(struct method *method, const float *user, uint32_t *ret_item)
{
    (void)method;
    struct factors_found found;
    const struct factors_query asked = {
        .user = user, .n = n, .allowed = bits, .allowed_count = vectors.item_count};
    arena_reset(&arena);
    if (!factors_top(&model, &asked, &arena, &found))
        abort();
    for (uint32_t i = 0; i < found.top.count; i++)
        ret_item[i] = found.top.slot[i].key;
    return found.top.count;
}

static uint32_t search_peer(struct method *method, const float *user, uint32_t *ret_item)
{
    return peer_search(method->peer, user, n, ret_item);
}

/* ---- measures -------------------------------------------------------------------------------- */

/* The best of all for every query, many queries at once. */
static void find_truth(void)
{
    static float block[(size_t)QUERIES * TRUTH_ROWS];
    static struct top_slot slot[QUERIES][N_MAX];
    static struct top top[QUERIES];
    for (uint32_t q = 0; q < QUERIES; q++)
        top[q] = (struct top){.slot = slot[q], .capacity = n};
    for (uint32_t first = 0; first < vectors.item_count; first += TRUTH_ROWS) {
        uint32_t left = vectors.item_count - first;
        uint32_t rows = left < TRUTH_ROWS ? left : TRUTH_ROWS;
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, QUERIES, (int)rows, VECTORS_DIM, 1.0f,
                    query(0), VECTORS_DIM, vectors.item + (size_t)first * VECTORS_DIM, VECTORS_DIM,
                    0.0f, block, (int)rows);
        for (uint32_t q = 0; q < QUERIES; q++) {
            for (uint32_t i = 0; i < rows; i++) {
                float score = block[(size_t)q * rows + i];
                if (top_wants(&top[q], score, first + i) && allowed(first + i))
                    top_put(&top[q], score, first + i);
            }
        }
    }
    for (uint32_t q = 0; q < QUERIES; q++)
        (void)take(&top[q], truth[q]);
}

static int by_number(const void *left, const void *right)
{
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return a < b ? -1 : a > b;
}

/* The share of the best that the method finds; *ret_whole, the queries with all of them. */
static double measure_recall(struct method *method, uint32_t *ret_whole)
{
    uint64_t found = 0;
    *ret_whole = 0;
    for (uint32_t q = 0; q < QUERIES; q++) {
        uint32_t item[N_MAX], best[N_MAX], both = 0;
        uint32_t count = method->search(method, query(q), item);
        memcpy(best, truth[q], sizeof best);
        qsort(best, n, sizeof best[0], by_number);
        for (uint32_t i = 0; i < count; i++)
            both += bsearch(&item[i], best, n, sizeof best[0], by_number) != NULL;
        found += both;
        *ret_whole += both == n;
    }
    return (double)found / ((double)n * QUERIES);
}

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return a < b ? -1 : a > b;
}

static void run_round(struct method *method, uint32_t round)
{
    double took[QUERIES];
    uint32_t item[N_MAX];
    for (uint32_t q = 0; q < method->queries; q++) {
        double began = now_us();
        (void)method->search(method, query(q), item);
        took[q] = now_us() - began;
    }
    qsort(took, method->queries, sizeof took[0], by_size);
    method->round_us[round] = took[method->queries / 2];
    method->round_p99_us[round] = took[method->queries * 99 / 100];
}

static double median(const double *values)
{
    double sorted[ROUNDS];
    memcpy(sorted, values, sizeof sorted);
    qsort(sorted, ROUNDS, sizeof sorted[0], by_size);
    return sorted[ROUNDS / 2];
}

/* In turns, so that a busy machine is busy for all. */
static void run(struct method *method, uint32_t count)
{
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t m = 0; m < count; m++)
            run_round(&method[m], round);
    }
    double yardstick = median(method[0].round_us);
    printf("%-34s %10s %10s %8s %8s %8s %9s %9s\n", "method", "median us", "p99 us", "ratio",
           "recall", "effort", "build s", "MB");
    for (uint32_t m = 0; m < count; m++) {
        double us = median(method[m].round_us);
        printf("%-34s %10.1f %10.1f %8.4f %8.4f %8u %9.1f %9.1f\n", method[m].name, us,
               median(method[m].round_p99_us), us / yardstick, method[m].recall, method[m].effort,
               method[m].build_s, method[m].megabytes);
    }
}

/* ---- what is compared ------------------------------------------------------------------------ */

static void begin(uint32_t item_count, uint32_t wanted)
{
    struct err err = {0};
    model_use_one_blas_thread();
    vectors_make(&vectors, item_count, TRAINED_USERS + QUERIES, 1);
    scores = malloc(item_count * sizeof *scores);
    n = wanted;
    factors = (struct factors){.item_count = item_count,
                               .user_count = TRAINED_USERS,
                               .dim = VECTORS_DIM,
                               .item = vectors.item,
                               .user = vectors.user};
    if (scores == NULL || arena_init(&arena, ARENA_BYTES, &err) != ERR_OK)
        abort();
    printf("%u items of %d factors, the best %u, %d queries, %d rounds\n", item_count, VECTORS_DIM,
           n, QUERIES, ROUNDS);
}

static struct method build_index(double recall)
{
    struct err err = {0};
    const struct factors_index_spec spec = {factors.item, factors.item_count, factors.dim,
                                            factors.user, factors.user_count, recall};
    double began = now_us();
    if (factors_index_create(&spec, &factors.index, &err) != ERR_OK) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    factors.sieve = factors.index->lists;
    printf("index: %u lists, %u probed, recall %.4f at its build\n",
           factors.index->lists->list_count, factors.index->probes, factors.index->recall);
    return (struct method){.name = "decided, index of bytes",
                           .search = search_ours,
                           .queries = QUERIES,
                           .effort = factors.index->probes,
                           .build_s = (now_us() - began) * 1e-6,
                           .megabytes = (double)factors_index_bytes(factors.index) * 1e-6};
}

static struct method sgemv(void)
{
    return (struct method){.name = "sgemv and selection",
                           .search = search_sgemv,
                           .queries = SLOW_QUERIES,
                           .recall = 1};
}

static int bench_exact(uint32_t item_count)
{
    struct rand rand;
    struct err err = {0};
    uint32_t whole = 0;
    rand_init(&rand, 2);
    begin(item_count, N_MAX);
    bits = calloc(item_count / 64 + 1, sizeof *bits);
    for (uint32_t i = 0; bits != NULL && i < item_count; i++)
        bits[i / 64] |= rand_below(&rand, 2) << (i % 64);
    struct method method[2] = {sgemv()};
    method[0].queries = QUERIES;
    double began = now_us();
    if (bits == NULL || sieve_create(factors.item, item_count, VECTORS_DIM, NULL, 1, &factors.sieve,
                                     &err) != ERR_OK)
        abort();
    method[1] = (struct method){.name = "decided, every item in bytes",
                                .search = search_ours,
                                .queries = QUERIES,
                                .build_s = (now_us() - began) * 1e-6,
                                .megabytes = (double)sieve_bytes(factors.sieve) * 1e-6};
    find_truth();
    method[1].recall = measure_recall(&method[1], &whole);
    run(method, 2);
    printf("the same %u items for %u of %d queries\n", n, whole, QUERIES);
    return 0;
}

/* The least effort with which the recall is reached. */
static void tune(struct method *method, double recall)
{
    uint32_t whole = 0;
    uint32_t low = method->peer != NULL && strstr(method->name, "hnsw") != NULL ? n : 1;
    uint32_t high = peer_effort_max(method->peer);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        peer_set_effort(method->peer, middle);
        if (measure_recall(method, &whole) >= recall)
            high = middle;
        else
            low = middle + 1;
    }
    peer_set_effort(method->peer, low);
    method->effort = low;
    method->recall = measure_recall(method, &whole);
}

static int bench_index(uint32_t item_count, bool with_graph)
{
    static const char *const names[PEER_COUNT] = {
        "faiss IVFFlat", "faiss IVF, scalar quantizer 8 bit", "hnswlib, 16 links, built with 100"};
    struct method method[2 + PEER_COUNT] = {{0}};
    uint32_t count = 2, whole = 0;
    begin(item_count, INDEX_RECALL_AT);
    method[0] = sgemv();
    method[1] = build_index(INDEX_RECALL_DEFAULT);
    find_truth();
    method[1].recall = measure_recall(&method[1], &whole);
    for (uint32_t kind = 0; kind < PEER_COUNT; kind++) {
        if (kind == PEER_HNSW && !with_graph)
            continue;
        double before_mb = resident_mb();
        double began = now_us();
        struct peer *peer = peer_build((enum peer_kind)kind, vectors.item, item_count, VECTORS_DIM,
                                       factors.index->lists->list_count);
        if (peer == NULL)
            continue;
        method[count] = (struct method){.name = names[kind],
                                        .search = search_peer,
                                        .peer = peer,
                                        .queries = QUERIES,
                                        .build_s = (now_us() - began) * 1e-6,
                                        .megabytes = resident_mb() - before_mb};
        tune(&method[count++], method[1].recall);
    }
    run(method, count);
    for (uint32_t m = 2; m < count; m++)
        printf("%s takes %.2f times as long as our index\n", method[m].name,
               median(method[m].round_us) / median(method[1].round_us));
    for (uint32_t m = 2; m < count; m++)
        peer_destroy(&method[m].peer);
    return 0;
}

static int bench_bytes(uint32_t item_count)
{
    uint32_t whole = 0;
    begin(item_count, INDEX_RECALL_AT);
    struct method method = build_index(0.92);
    find_truth();
    sieve_forget_floats(factors.index->lists);
    vectors_free_items(&vectors);
    free(scores);
    scores = NULL;
    method.recall = measure_recall(&method, &whole);
    run(&method, 1);
    printf("resident: %.0f MB, of which the index %.0f MB\n", resident_mb(), method.megabytes);
    return 0;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    uint32_t items = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 0;
    if (strcmp(mode, "exact") == 0)
        return bench_exact(items > 0 ? items : 100000);
    if (strcmp(mode, "index") == 0)
        return bench_index(items > 0 ? items : 1000000, argc <= 3 || strcmp(argv[3], "ivf") != 0);
    if (strcmp(mode, "bytes") == 0)
        return bench_bytes(items > 0 ? items : 30000000);
    fprintf(stderr, "usage: bench_retrieval exact|index|bytes [ITEMS [ivf]]\n");
    return 2;
}
