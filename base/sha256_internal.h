/* SPDX-License-Identifier: Apache-2.0 */
/* sha256_internal - the two ways to compute SHA-256 between which sha256_of chooses: by the
 * instructions that x86-64 has for it, and by mbed TLS, which takes seven times as long.
 *
 * Threads: any. */
#ifndef BASE_SHA256_INTERNAL_H
#define BASE_SHA256_INTERNAL_H

#include <stdbool.h>

#include "base/hash.h"

/* Whether this processor has the instructions; sha256_ni_of may be called only then. */
bool sha256_ni_is_there(void);
void sha256_ni_of(const uint8_t *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES]);
void sha256_portable_of(const uint8_t *bytes, size_t len, uint8_t ret_digest[SHA256_BYTES]);

#endif
