/* SPDX-License-Identifier: Apache-2.0 */
/* signing - a key pair, and signatures in the format of minisign, for tests.
 *
 * Keys come from a seed, so that they are the same in every run.  Failures abort the program.
 * Threads: one. */
#ifndef TESTS_SUPPORT_SIGNING_H
#define TESTS_SUPPORT_SIGNING_H

#include <stdbool.h>

#include "models/minisign.h"

#define SIGNATURE_TEXT_BYTES 2048

struct signer {
    struct minisign_key public_key;
    uint8_t secret_key[64];
};

void signer_create(struct signer *signer, uint8_t seed);
/* The key alone, in base64. */
char *signer_key_text(const struct signer *signer, char buf[MINISIGN_KEY_TEXT_BYTES + 1]);
/* "ED" when `hashed`, otherwise "Ed".  Returns buf. */
char *signer_sign(const struct signer *signer, bool hashed, const void *bytes, size_t len,
                  const char *trusted_comment, char buf[SIGNATURE_TEXT_BYTES]);
/* Writes manifest.json.minisig beside the manifest in `dir`. */
void signer_sign_bundle(const struct signer *signer, const char *dir);

#endif
