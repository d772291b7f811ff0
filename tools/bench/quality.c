/* SPDX-License-Identifier: Apache-2.0 */
#include "tools/bench/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/bench/quality_outcome.h"

enum err_code quality_init(struct quality *quality, const struct interactions *interactions,
                           const struct dataset *dataset, const struct targets *targets,
                           struct err *err)
{
    struct quality made = {.interactions = interactions,
                           .dataset = dataset,
                           .targets = targets,
                           .lock = PTHREAD_MUTEX_INITIALIZER};
    enum err_code rc = matrix_transpose(&dataset->pairs, &made.people, err);
    made.level = calloc(REMOTE_LEVELS_MAX, sizeof made.level[0]);
    made.sum = calloc((size_t)dataset->pairs.row_count + 1, sizeof made.sum[0]);
    bool ok = made.level != NULL && made.sum != NULL;
    for (int mode = 0; mode < EVALUATE_MODES; mode++) {
        made.mode[mode].shown = calloc((size_t)dataset->pairs.column_count + 1, 1);
        ok = ok && made.mode[mode].shown != NULL;
    }
    if (rc == ERR_OK && !ok)
        rc = err_set(err, ERR_NOMEM, "quality: out of memory");
    if (rc == ERR_OK)
        *quality = made;
    else
        quality_deinit(&made);
    return rc;
}

void quality_deinit(struct quality *quality)
{
    matrix_deinit(&quality->people);
    for (int mode = 0; mode < EVALUATE_MODES; mode++)
        free(quality->mode[mode].shown);
    free(quality->level);
    free(quality->sum);
    *quality = (struct quality){0};
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* 1 - the mean cosine of all pairs: with u the sum of the items' unit vectors, the cosines of all
 * pairs add up to (u u - n) / 2.  False for a list without a pair. */
static bool distance_within(struct quality *quality, const struct remote_answer *answer,
                            double *ret_distance)
{
    const struct matrix *people = &quality->people;
    double square = 0.0, n = 0.0;
    for (uint32_t i = 0; i < answer->count; i++) {
        const uint32_t item = answer->columns[i];
        if (item == DATASET_NONE)
            continue;
        n += 1.0;
        for (uint64_t p = people->offset[item]; p < people->offset[item + 1]; p++)
            quality->sum[people->column[p]] += 1.0 / sqrt(matrix_row_length(people, item));
    }
    for (uint32_t i = 0; i < answer->count; i++) {
        const uint32_t item = answer->columns[i];
        for (uint64_t p = item == DATASET_NONE ? 0 : people->offset[item];
             item != DATASET_NONE && p < people->offset[item + 1]; p++) {
            square += quality->sum[people->column[p]] * quality->sum[people->column[p]];
            quality->sum[people->column[p]] = 0.0;
        }
    }
    if (n > 1.0)
        *ret_distance = 1.0 - (square - n) / (n * (n - 1.0));
    return n > 1.0;
}

static double self_information(const struct quality *quality, uint32_t column)
{
    const double known = (double)matrix_row_length(&quality->people, column);
    return -log2(known / (double)quality->dataset->pairs.row_count);
}

/* An unexpected wealth of levels ends in the last place. */
static void note_latency(struct quality *quality, const struct remote_answer *answer)
{
    uint32_t i = 0;
    while (i < quality->level_count && strcmp(quality->level[i].name, answer->level) != 0)
        i++;
    if (i == quality->level_count && i < REMOTE_LEVELS_MAX)
        snprintf(quality->level[quality->level_count++].name, REMOTE_LEVEL_BYTES, "%s",
                 answer->level);
    if (i == REMOTE_LEVELS_MAX)
        i--;
    hist_record(&quality->level[i].latency, answer->reply->waited_us * 1000);
}

void quality_take(void *ctx, const struct remote_answer *answer)
{
    struct quality *quality = ctx;
    struct quality_mode *mode = &quality->mode[answer->mode];
    double distance = 0.0;
    pthread_mutex_lock(&quality->lock);
    const bool has_pairs = distance_within(quality, answer, &distance);
    for (uint32_t i = 0; i < answer->count; i++) {
        if (answer->columns[i] == DATASET_NONE)
            continue;
        mode->shown[answer->columns[i]] = 1;
        mode->novelty_sum += self_information(quality, answer->columns[i]);
        mode->item_count++;
    }
    mode->diversity_sum += has_pairs ? distance : 0.0;
    mode->pair_lists += has_pairs;
    note_latency(quality, answer);
    if (quality->outcomes != NULL)
        quality->outcome_count += quality_write_outcome(quality, answer);
    pthread_mutex_unlock(&quality->lock);
}

/* ---- means ----------------------------------------------------------------------------------- */

double quality_coverage(const struct quality *quality, enum evaluate_mode mode)
{
    const uint32_t columns = quality->dataset->pairs.column_count;
    uint32_t shown = 0;
    for (uint32_t column = 0; column < columns; column++)
        shown += quality->mode[mode].shown[column];
    return (double)shown / (double)columns;
}

double quality_novelty(const struct quality *quality, enum evaluate_mode mode)
{
    const struct quality_mode *one = &quality->mode[mode];
    return one->item_count > 0 ? one->novelty_sum / (double)one->item_count : (double)NAN;
}

double quality_diversity(const struct quality *quality, enum evaluate_mode mode)
{
    const struct quality_mode *one = &quality->mode[mode];
    return one->pair_lists > 0 ? one->diversity_sum / (double)one->pair_lists : (double)NAN;
}
