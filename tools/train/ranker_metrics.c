/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/train/ranker_metrics.h"

#include <math.h>
#include <stdlib.h>

struct place {
    float score, grade;
    uint32_t shown; /* place at which it was shown */
};

static int by_score(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->shown < y->shown ? -1 : x->shown > y->shown;
}

static int by_grade(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    return x->grade > y->grade ? -1 : x->grade < y->grade;
}

static double gain_of_first(const struct place *place, uint32_t count, uint32_t k)
{
    double gain = 0.0;
    for (uint32_t i = 0; i < count && i < k; i++)
        gain += (exp2((double)place[i].grade) - 1.0) / log2((double)i + 2.0);
    return gain;
}

static struct ranker_metrics measure_one(struct place *place, uint32_t count, uint32_t k)
{
    struct ranker_metrics metrics = {0};
    uint32_t wanted = 0, found = 0;
    qsort(place, count, sizeof place[0], by_score);
    for (uint32_t i = 0; i < count; i++) {
        if (place[i].grade <= 0.0f)
            continue;
        if (wanted++ == 0)
            metrics.mrr = 1.0 / ((double)i + 1.0);
        found += i < k;
    }
    const double gain = gain_of_first(place, count, k);
    qsort(place, count, sizeof place[0], by_grade);
    metrics.ndcg = gain / gain_of_first(place, count, k);
    metrics.recall = (double)found / (double)(wanted < k ? wanted : k);
    return metrics;
}

enum err_code ranker_measure(const struct ranker_lists *lists, const float *score, uint32_t k,
                             struct ranker_metrics *ret_metrics, struct err *err)
{
    struct ranker_metrics sum = {0};
    uint64_t row = 0;
    uint32_t longest = 0;
    for (uint64_t g = 0; g < lists->count; g++)
        longest = lists->row_count[g] > longest ? lists->row_count[g] : longest;
    struct place *place = malloc((longest + 1) * sizeof place[0]);
    if (place == NULL)
        return err_set(err, ERR_NOMEM, "metrics: out of memory");
    for (uint64_t g = 0; g < lists->count; g++) {
        const uint32_t count = lists->row_count[g];
        for (uint32_t i = 0; i < count; i++, row++)
            place[i] = (struct place){score == NULL ? 0.0f : score[row], lists->grade[row], i};
        const struct ranker_metrics one = measure_one(place, count, k);
        sum.ndcg += one.ndcg;
        sum.recall += one.recall;
        sum.mrr += one.mrr;
    }
    free(place);
    *ret_metrics = (struct ranker_metrics){.ndcg = sum.ndcg / (double)lists->count,
                                           .recall = sum.recall / (double)lists->count,
                                           .mrr = sum.mrr / (double)lists->count};
    return ERR_OK;
}
