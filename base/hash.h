/* SPDX-License-Identifier: Apache-2.0 */
/* hash - the keyed 64-bit hash of ids (XXH3 of libxxhash) and SHA-256 of files (Nettle, which uses
 * the processor's own instructions where it has them).
 *
 * hash_bytes is stable across runs, machines and releases: buckets and replays depend on it.
 * It does not withstand an attacker who can choose ids AND knows the seed. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

uint64_t hash_bytes(const void *ptr, size_t len, uint64_t seed);

static inline uint64_t hash_text(struct text text, uint64_t seed)
{
    return hash_bytes(text.ptr, text.len, seed);
}

#define SHA256_BYTES     32
#define SHA256_HEX_BYTES 65 /* with the terminating NUL */

void sha256_of(const void *ptr, size_t len, uint8_t ret_digest[SHA256_BYTES]);
/* The same for a few bytes: without the rests that sha256_of takes in a thread whose work may wait.
 */
void sha256_of_short(const void *ptr, size_t len, uint8_t ret_digest[SHA256_BYTES]);
char *sha256_hex(const uint8_t digest[SHA256_BYTES], char buf[SHA256_HEX_BYTES]);

#endif
