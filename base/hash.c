/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <mbedtls/sha256.h>
#include <xxhash.h>

#include "base/background.h"
#include "base/sha256_internal.h"

enum { PIECE_BYTES = 131072 }; /* about half a millisecond, between which others get their turn */

uint64_t hash_bytes(const void *ptr, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(ptr, len, seed);
}

/* The functions of mbed TLS have no way to fail in their portable form. */
void sha256_portable_of(const uint8_t *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    mbedtls_sha256_context context;
    mbedtls_sha256_init(&context);
    int failed = mbedtls_sha256_starts_ret(&context, 0);
    while (len > 0) {
        size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        failed |= mbedtls_sha256_update_ret(&context, bytes, piece);
        bytes += piece;
        len -= piece;
        background_rest();
    }
    failed |= mbedtls_sha256_finish_ret(&context, ret_digest);
    ASSERT(failed == 0);
    mbedtls_sha256_free(&context);
}

void sha256_of(const void *ptr, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    if (sha256_ni_is_there())
        sha256_ni_of(ptr, len, ret_digest);
    else
        sha256_portable_of(ptr, len, ret_digest);
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
