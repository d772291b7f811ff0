/* SPDX-License-Identifier: Apache-2.0 */
/* sampler - draws places of an array in proportion to whole-number weights.
 * Threads: one owner. */
#ifndef TOOLS_SHOP_SAMPLER_H
#define TOOLS_SHOP_SAMPLER_H

#include <stdint.h>

#include "base/rand.h"

/* Turns weights into their running sums, in place; the last one must be above 0. */
void sampler_sum(uint64_t *weights, uint32_t count);

/* A place in proportion to its weight; `sums` as sampler_sum made them. */
uint32_t sampler_draw(const uint64_t *sums, uint32_t count, struct rand *rand);

#endif
