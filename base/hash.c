/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <nettle/sha2.h>
#include <xxhash.h>

#include "base/background.h"

enum { PIECE_BYTES = 524288 }; /* about half a millisecond, between which others get their turn */

uint64_t hash_bytes(const void *ptr, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(ptr, len, seed);
}

void sha256_of(const void *ptr, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    struct sha256_ctx context;
    const uint8_t *bytes = ptr;
    sha256_init(&context);
    while (len > 0) {
        size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        sha256_update(&context, piece, bytes);
        bytes += piece;
        len -= piece;
        background_rest();
    }
    sha256_digest(&context, SHA256_BYTES, ret_digest);
}

void sha256_of_short(const void *ptr, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, len, ptr);
    sha256_digest(&context, SHA256_BYTES, ret_digest);
}

char *sha256_hex(const uint8_t digest[SHA256_BYTES], char buf[SHA256_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < SHA256_BYTES; i++) {
        buf[2 * i] = digits[digest[i] >> 4];
        buf[2 * i + 1] = digits[digest[i] & 15];
    }
    buf[SHA256_HEX_BYTES - 1] = '\0';
    return buf;
}
