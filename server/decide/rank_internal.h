/* SPDX-License-Identifier: Apache-2.0 */
/* rank_internal - a ranking while it is made.
 *
 *   rank.c        rows of features and their scores; the candidates of a decision
 *   rank_asked.c  the operation rank
 *
 * Threads: workers; all of it lies in the worker's arena. */
#ifndef SERVER_DECIDE_RANK_INTERNAL_H
#define SERVER_DECIDE_RANK_INTERNAL_H

#include "models/blend.h"
#include "models/ranker.h"
#include "server/decide/page_memo.h"
#include "server/decide/pipeline.h"

/* One item in front of the ranker. */
struct ranked {
    uint32_t item;                    /* IDMAP_NONE for an id that the store does not know */
    double caller_score;              /* NaN when not given */
    double blend_score;               /* NaN when there is none */
    uint32_t position;                /* in the history, + 1; 0 when it is not there */
    const struct request_item *asked; /* NULL outside `rank` */
};

/* A whole ranking: items come in groups, whose features are read one after the other. */
enum { GROUP_ITEMS = FEATURE_WINDOW_MAX };
_Static_assert((int)GROUP_ITEMS <= (int)PAGE_MEMO_GROUP, "a page keeps whole groups");

struct ranking {
    struct feature_reader reader;
    const struct model *ranker;
    const float *natural[POLICY_SOURCES_MAX]; /* of each of the chosen; NULL: not known yet */
    uint32_t first;                           /* of the chosen, in this group */
    uint32_t feature_count;
    uint32_t keys;  /* bits: of the features of items */
    double *shared; /* a row in which the values are that are the same for all items */
    double *kept;   /* a row of values for each item, for the log; NULL unless kept */
    double *group;  /* rows of one group, when they are not kept */
    float *plain;   /* `rank`: the score of each item before boosts */
    struct ranked ranked[GROUP_ITEMS];
    uint32_t item[GROUP_ITEMS];
    struct page_rows *page;      /* rows that slots before this one read; NULL: none are kept */
    uint32_t place[GROUP_ITEMS]; /* of each item in there */
    uint32_t unread[GROUP_ITEMS], unread_count; /* of the group: features are read of these */
    double score[GROUP_ITEMS];
    void *scratch; /* of the ranker */
};

/* NULL without a ranker or room. */
struct ranking *rank_begin(struct pipeline *p, uint32_t item_count);
/* Scores ranking->ranked[0..count), which are the items from `first` on; false when a score is none
 * that a float holds. */
bool rank_score_group(const struct pipeline *p, struct ranking *ranking, uint32_t first,
                      uint32_t count);
/* A blend, and the parts that made the score. */
void rank_use_ranker(struct pipeline *p);

static inline uint32_t rank_group_size(uint32_t left)
{
    return left < GROUP_ITEMS ? left : GROUP_ITEMS;
}

static inline const double *rank_kept_row(const double *kept, uint32_t feature_count,
                                          uint32_t index)
{
    return kept == NULL ? NULL : kept + (size_t)index * feature_count;
}

#endif
