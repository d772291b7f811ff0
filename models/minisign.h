/* SPDX-License-Identifier: Apache-2.0 */
/* minisign - public keys and detached signatures in the format of minisign, by libsodium.
 *
 * A signature file has four lines: an untrusted comment, which is not signed; algorithm, key id and
 * Ed25519 signature in base64; a trusted comment; and the global signature, which covers signature
 * and trusted comment.  Both algorithms are supported: "Ed" signs the bytes themselves, "ED"
 * (minisign's default) their 64-byte BLAKE2b hash.  Signatures by keys of small order are rejected.
 *
 * Everything read here is untrusted until a signature verifies.  Errors name the key or signature
 * file: ERR_CORRUPT for one that is malformed, ERR_DENIED for a signature that does not verify or
 * is by a key that was not given.
 *
 * Threads: any; no state.  Limits: MINISIGN_KEYS_MAX keys, MINISIGN_FILE_BYTES_MAX per file. */
#ifndef MODELS_MINISIGN_H
#define MODELS_MINISIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/text.h"

#define MINISIGN_KEYS_MAX       16
#define MINISIGN_FILE_BYTES_MAX ((size_t)8192)
#define MINISIGN_KEY_TEXT_BYTES 56 /* of a public key in base64 */
#define MINISIGN_ID_BYTES       17 /* 16 hexadecimal digits, as minisign shows them; terminated */
#define MINISIGN_COMMENT_BYTES  1024

struct minisign_key {
    uint8_t id[8];
    uint8_t key[32];
};

struct minisign_keys {
    uint32_t count;
    struct minisign_key key[MINISIGN_KEYS_MAX];
};

/* What a signature that holds says. */
struct minisign_proof {
    char key_id[MINISIGN_ID_BYTES];
    char trusted_comment[MINISIGN_COMMENT_BYTES]; /* UTF-8 without controls but tabs */
};

/* A key in base64, or what a file.pub of minisign holds: a comment line and the key.  `what` names
 * it in messages. */
MUST_CHECK enum err_code minisign_key_parse(const char *what, struct text text,
                                            struct minisign_key *ret_key, struct err *err);
/* Adds the key that `text` is, or that the file of that name holds.  ERR_LIMIT, ERR_EXISTS (the
 * same key id twice), or why it cannot be read. */
MUST_CHECK enum err_code minisign_keys_add(struct minisign_keys *keys, const char *text,
                                           struct err *err);
/* Whether `text` looks like a key rather than the path of one. */
bool minisign_is_key_text(const char *text);
char *minisign_key_id(const uint8_t id[8], char buf[MINISIGN_ID_BYTES]);

/* Whether `signature`, which the messages call `what`, is one over those bytes by one of the
 * keys. */
MUST_CHECK enum err_code minisign_verify(const struct minisign_keys *keys, const char *what,
                                         struct text signature, const void *bytes, size_t len,
                                         struct minisign_proof *ret_proof, struct err *err);

#endif
