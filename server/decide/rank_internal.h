/* SPDX-License-Identifier: Apache-2.0 */
/* rank_internal - the state of a ranking in progress.
 *
 *   rank.c        feature rows and their scores; the candidates of a decision
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
    uint32_t item;                    /* IDMAP_NONE: the store does not know the id */
    double caller_score;              /* NaN: not given */
    double blend_score;               /* NaN: none */
    uint32_t position;                /* in the history, + 1; 0: not in it */
    const struct request_item *asked; /* NULL outside `rank` */
};

/* A whole ranking.  Items are processed in groups, whose features are read together. */
enum { GROUP_ITEMS = FEATURE_WINDOW_MAX };
_Static_assert((int)GROUP_ITEMS <= (int)PAGE_MEMO_GROUP, "a page keeps whole groups");

struct ranking {
    struct feature_reader reader;
    const struct model *ranker;
    const float *natural[POLICY_SOURCES_MAX]; /* for the chosen items; NULL: not yet computed */
    uint32_t first;                           /* index of the group's first chosen item */
    uint32_t feature_count;
    uint32_t keys;  /* bit set of the keys of features that depend on the item */
    double *shared; /* a row with the values that are the same for all items */
    double *kept;   /* one row per item, for the log; NULL unless kept */
    double *group;  /* the rows of one group, if they are not kept */
    float *plain;   /* `rank`: the score of each item before boosts */
    struct ranked ranked[GROUP_ITEMS];
    uint32_t item[GROUP_ITEMS];
    struct page_rows *page;      /* rows read by earlier slots of the page; NULL: none */
    uint32_t place[GROUP_ITEMS]; /* place of each item in `page` */
    uint32_t unread[GROUP_ITEMS], unread_count; /* items of the group whose features must be read */
    double score[GROUP_ITEMS];
    void *scratch; /* for the ranker */
};

/* NULL: no ranker, or no room. */
struct ranking *rank_begin(struct pipeline *p, uint32_t item_count);
/* Scores ranking->ranked[0..count), the items from index `first` on.  False: a score is not finite
 * as a float. */
bool rank_score_group(const struct pipeline *p, struct ranking *ranking, uint32_t first,
                      uint32_t count);
/* Records the ranker, and the parts of a blend, as models that took part. */
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
