/* SPDX-License-Identifier: Apache-2.0 */
/* candidates - what candidates.c and compete*.c share while items are being chosen.
 *
 * Threads: the pipeline's owner. */
#ifndef SERVER_DECIDE_CANDIDATES_H
#define SERVER_DECIDE_CANDIDATES_H

#include "server/decide/pipeline.h"

/* The items that a dense source may have scored: of a vector, all those of its model. */
struct summed candidates_reached(const struct pipeline *p, uint32_t s);
/* A source of factors of which the best items were found. */
bool candidates_found(const struct pipeline *p, uint32_t s);
/* How many of the best of a popularity model the source may bring. */
uint32_t candidates_model_popular(const struct pipeline *p, uint32_t s);
/* The best of the window that the source may bring. */
struct top_list candidates_popular(const struct pipeline *p, uint32_t s);

/* ---- compete.c */
/* The items that were reached compete for the places of `top`; the arrays are zero afterwards. */
void compete(struct pipeline *p, struct top *top);
/* One item by what the arrays have for it: puts it into `top` when it is eligible and its exact
 * score is wanted. */
void compete_item(const struct pipeline *p, struct top *top, uint32_t item, float blend,
                  float upper);

/* ---- compete_by_number.c */
/* The same as compete, by going through the arrays of `item_count` items from end to end: for when
 * most items were reached. */
void compete_by_number(const struct pipeline *p, struct top *top, uint32_t item_count);

#endif
