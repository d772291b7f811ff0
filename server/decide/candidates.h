/* SPDX-License-Identifier: Apache-2.0 */
/* candidates - what candidates.c and compete.c know of a source while items are being chosen.
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

#endif
