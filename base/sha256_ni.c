/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sha256_internal.h"

#include <stdatomic.h>
#include <string.h>

#include "base/background.h"
#include "base/err.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

#define SHA_TARGET __attribute__((target("sha,sse4.1,ssse3")))

enum {
    BLOCK_BYTES = 64,
    LENGTH_BYTES = 8,
    PIECE_BLOCKS = 8192, /* half a MiB, between which others get their turn */
    LEAF_FEATURES = 7,
    EBX_SHA_BIT = 29,
    ECX_SSE41_BIT = 19,
};

enum { UNKNOWN, THERE, MISSING };

/* FIPS 180-4, 4.2.2 and 5.3.3. */
static const _Alignas(16) uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
static const uint32_t first_state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

/* In the order of the instructions: the words A B E F and C D G H, each from the highest down. */
struct state {
    __m128i abef, cdgh;
};

static bool ask_processor(void)
{
    unsigned a = 0, b = 0, c = 0, d = 0;
    bool sse41 = __get_cpuid(1, &a, &b, &c, &d) != 0 && (c >> ECX_SSE41_BIT & 1) != 0;
    return sse41 && __get_cpuid_count(LEAF_FEATURES, 0, &a, &b, &c, &d) != 0 &&
           (b >> EBX_SHA_BIT & 1) != 0;
}

bool sha256_ni_is_there(void)
{
    /* Asking costs an exit to the hypervisor.  Relaxed: whoever asks gets the same answer. */
    static _Atomic int answer = UNKNOWN;
    int known = atomic_load_explicit(&answer, memory_order_relaxed);
    if (known == UNKNOWN) {
        known = ask_processor() ? THERE : MISSING;
        atomic_store_explicit(&answer, known, memory_order_relaxed);
    }
    return known == THERE;
}

SHA_TARGET static void four_rounds(struct state *state, __m128i words, const uint32_t *constants)
{
    __m128i sum = _mm_add_epi32(words, _mm_load_si128((const __m128i *)(const void *)constants));
    state->cdgh = _mm_sha256rnds2_epu32(state->cdgh, state->abef, sum);
    state->abef = _mm_sha256rnds2_epu32(state->abef, state->cdgh, _mm_shuffle_epi32(sum, 0x0e));
}

/* The four words of the schedule that follow the sixteen in w[0..3], of which w[0] is the oldest.
 */
SHA_TARGET static __m128i next_words(const __m128i w[4])
{
    __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w[0], w[1]), _mm_alignr_epi8(w[3], w[2], 4));
    return _mm_sha256msg2_epu32(sum, w[3]);
}

SHA_TARGET static void add_blocks(struct state *state, const uint8_t *bytes, size_t block_count)
{
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    for (; block_count > 0; block_count--, bytes += BLOCK_BYTES) {
        struct state now = *state;
        __m128i w[4];
        for (int i = 0; i < 4; i++) {
            w[i] = _mm_loadu_si128((const __m128i *)(const void *)(bytes + (size_t)16 * i));
            w[i] = _mm_shuffle_epi8(w[i], big_endian);
            four_rounds(&now, w[i], round_constant + (size_t)4 * i);
        }
#pragma GCC unroll 12
        for (int i = 4; i < 16; i++) {
            __m128i next = next_words(w);
            w[0] = w[1];
            w[1] = w[2];
            w[2] = w[3];
            w[3] = next;
            four_rounds(&now, next, round_constant + (size_t)4 * i);
        }
        state->abef = _mm_add_epi32(state->abef, now.abef);
        state->cdgh = _mm_add_epi32(state->cdgh, now.cdgh);
    }
}

static struct state state_begin(void)
{
    const uint32_t *h = first_state;
    return (struct state){
        .abef = _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]),
        .cdgh = _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]),
    };
}

static void state_end(const struct state *state, uint8_t ret_digest[SHA256_BYTES])
{
    uint32_t abef[4], cdgh[4];
    memcpy(abef, &state->abef, sizeof abef);
    memcpy(cdgh, &state->cdgh, sizeof cdgh);
    const uint32_t words[8] = {abef[3], abef[2], cdgh[3], cdgh[2],
                               abef[1], abef[0], cdgh[1], cdgh[0]};
    for (int i = 0; i < 8; i++) {
        uint32_t word = __builtin_bswap32(words[i]);
        memcpy(ret_digest + (size_t)4 * i, &word, sizeof word);
    }
}

void sha256_ni_of(const uint8_t *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    struct state state = state_begin();
    uint8_t last[2 * BLOCK_BYTES] = {0};
    size_t block_count = len / BLOCK_BYTES, rest = len % BLOCK_BYTES;
    const uint8_t *at = bytes;
    while (block_count > 0) {
        size_t count = block_count < PIECE_BLOCKS ? block_count : PIECE_BLOCKS;
        add_blocks(&state, at, count);
        at += count * BLOCK_BYTES;
        block_count -= count;
        background_rest();
    }
    if (rest > 0)
        memcpy(last, at, rest);
    last[rest] = 0x80;
    size_t last_count = rest + 1 + LENGTH_BYTES <= BLOCK_BYTES ? 1 : 2;
    uint64_t bits = __builtin_bswap64((uint64_t)len * 8);
    memcpy(last + last_count * BLOCK_BYTES - LENGTH_BYTES, &bits, sizeof bits);
    add_blocks(&state, last, last_count);
    state_end(&state, ret_digest);
}

#else

bool sha256_ni_is_there(void)
{
    return false;
}

void sha256_ni_of(const uint8_t *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    (void)bytes;
    (void)len;
    (void)ret_digest;
    ASSERT(false); /* see sha256_ni_is_there */
}

#endif
