/* SPDX-License-Identifier: Apache-2.0 */
/* rand - seeded pseudo-random numbers, the same on every machine (xoshiro256++ of Blackman and
 * Vigna 2019, seeded by splitmix64), and ULIDs made from them.  Threads: one owner per struct. */
#ifndef BASE_RAND_H
#define BASE_RAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct rand {
    uint64_t s[4];
};

void rand_init(struct rand *rand, uint64_t seed);
uint64_t rand_u64(struct rand *rand);
double rand_unit(struct rand *rand);                    /* [0, 1) */
uint64_t rand_below(struct rand *rand, uint64_t bound); /* [0, bound), unbiased; bound >= 1 */
double rand_normal(struct rand *rand);                  /* mean 0, deviation 1 */

/* A seed from the operating system (getrandom). */
uint64_t rand_seed_system(void);

/* ULID: 48 bits of milliseconds, 80 random bits, Crockford base 32; 26 characters and a NUL. */
#define ULID_BYTES 27
char *ulid_make(struct rand *rand, int64_t wall_ms, char buf[ULID_BYTES]);
/* The milliseconds in it; false when the text is no ULID as ulid_make writes them. */
bool ulid_time_ms(struct text ulid, int64_t *ret_ms);

#endif
