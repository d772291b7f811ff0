/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <mbedtls/sha256.h>
#include <xxhash.h>

uint64_t hash_bytes(const void *ptr, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(ptr, len, seed);
}

void sha256_of(const void *ptr, size_t len, uint8_t ret_digest[SHA256_BYTES])
{
    int failed = mbedtls_sha256_ret(ptr, len, ret_digest, 0);
    ASSERT(failed == 0); /* the portable implementation has no way to fail */
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
