/* SPDX-License-Identifier: Apache-2.0 */
/* hash - FNV-1a with MurmurHash3's finalizer, for choosing addresses and finding cached answers.
 * Not keyed: a user who chooses ids on purpose only affects which daemon serves them.
 * Threads: no state. */
#ifndef CLIENT_HASH_H
#define CLIENT_HASH_H

#include <stddef.h>
#include <stdint.h>

#define CLIENT_HASH_START UINT64_C(0xcbf29ce484222325)

static inline uint64_t client_hash_add(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Every bit of the result depends on every bit of the input. */
static inline uint64_t client_hash_mix(uint64_t hash)
{
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ hash >> 33;
}

static inline uint64_t client_hash(const void *bytes, size_t len)
{
    return client_hash_mix(client_hash_add(CLIENT_HASH_START, bytes, len));
}

#endif
