/* SPDX-License-Identifier: Apache-2.0 */
#include "base/rand.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"

__extension__ typedef unsigned __int128 uint128; /* pedantic C11 has no name for it */

static uint64_t splitmix64(uint64_t *state)
{
    *state += UINT64_C(0x9E3779B97F4A7C15);
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

void rand_init(struct rand *rand, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rand->s[i] = splitmix64(&seed);
}

static uint64_t rotate_left(uint64_t value, int by)
{
    return (value << by) | (value >> (64 - by));
}

uint64_t rand_u64(struct rand *rand)
{
    uint64_t *s = rand->s;
    uint64_t result = rotate_left(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double rand_unit(struct rand *rand)
{
    return (double)(rand_u64(rand) >> 11) * 0x1.0p-53;
}

/* Lemire 2019, "Fast Random Integer Generation in an Interval": rejects at most `bound` of 2^64. */
uint64_t rand_below(struct rand *rand, uint64_t bound)
{
    ASSERT(bound >= 1);
    uint128 product = (uint128)rand_u64(rand) * bound;
    if ((uint64_t)product < bound) {
        uint64_t threshold = (0 - bound) % bound;
        while ((uint64_t)product < threshold)
            product = (uint128)rand_u64(rand) * bound;
    }
    return (uint64_t)(product >> 64);
}

/* Marsaglia's polar method; the second value of each pair is not kept, so that the state is `s`
 * alone. */
double rand_normal(struct rand *rand)
{
    for (;;) {
        double x = 2 * rand_unit(rand) - 1;
        double y = 2 * rand_unit(rand) - 1;
        double square = x * x + y * y;
        if (square > 0 && square < 1)
            return x * sqrt(-2 * log(square) / square);
    }
}

uint64_t rand_seed_system(void)
{
    uint64_t seed = 0;
    ssize_t got;
    do {
        got = getrandom(&seed, sizeof seed, 0);
    } while (got < 0 && errno == EINTR);
    ASSERT(got == (ssize_t)sizeof seed); /* 8 bytes are never cut short once the pool is ready */
    return seed;
}

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"; /* of ULIDs */

char *ulid_make(struct rand *rand, int64_t wall_ms, char buf[ULID_BYTES])
{
    uint64_t time = wall_ms < 0 ? 0 : (uint64_t)wall_ms & UINT64_C(0xFFFFFFFFFFFF);
    for (int i = 9; i >= 0; i--) { /* 10 characters for 48 bits */
        buf[i] = digits[time & 31];
        time >>= 5;
    }
    for (int half = 0; half < 2; half++) { /* 8 characters for 40 bits, twice */
        uint64_t bits = rand_u64(rand) >> 24;
        for (int i = 7; i >= 0; i--) {
            buf[10 + 8 * half + i] = digits[bits & 31];
            bits >>= 5;
        }
    }
    buf[ULID_BYTES - 1] = '\0';
    return buf;
}

bool ulid_time_ms(struct text ulid, int64_t *ret_ms)
{
    uint64_t time = 0;
    if (ulid.len != ULID_BYTES - 1 || ulid.ptr[0] > '7')
        return false;
    for (uint32_t i = 0; i < ulid.len; i++) {
        const char *digit = memchr(digits, ulid.ptr[i], sizeof digits - 1);
        if (digit == NULL)
            return false;
        if (i < 10)
            time = time << 5 | (uint64_t)(digit - digits);
    }
    *ret_ms = (int64_t)time;
    return true;
}
