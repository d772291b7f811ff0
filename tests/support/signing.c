/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/signing.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/bundle.h"

#define BASE64(bytes) sodium_base64_ENCODED_LEN(bytes, sodium_base64_VARIANT_ORIGINAL)

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "signing: %s\n", what);
    abort();
}

void signer_create(struct signer *signer, uint8_t seed)
{
    uint8_t bytes[crypto_sign_SEEDBYTES];
    memset(bytes, seed, sizeof bytes);
    memset(signer->public_key.id, seed, sizeof signer->public_key.id);
    if (sodium_init() < 0 ||
        crypto_sign_seed_keypair(signer->public_key.key, signer->secret_key, bytes) != 0)
        die("no key pair");
}

char *signer_key_text(const struct signer *signer, char buf[MINISIGN_KEY_TEXT_BYTES + 1])
{
    uint8_t line[2 + 8 + 32] = "Ed";
    memcpy(line + 2, signer->public_key.id, 8);
    memcpy(line + 10, signer->public_key.key, 32);
    return sodium_bin2base64(buf, MINISIGN_KEY_TEXT_BYTES + 1, line, sizeof line,
                             sodium_base64_VARIANT_ORIGINAL);
}

char *signer_sign(const struct signer *signer, bool hashed, const void *bytes, size_t len,
                  const char *trusted_comment, char buf[SIGNATURE_TEXT_BYTES])
{
    uint8_t line[2 + 8 + 64], hash[64], covered[64 + MINISIGN_COMMENT_BYTES], global[64];
    char line_text[BASE64(sizeof line)], global_text[BASE64(sizeof global)];
    size_t comment_len = strlen(trusted_comment);
    if (comment_len >= MINISIGN_COMMENT_BYTES)
        die("the comment is too long");
    memcpy(line, hashed ? "ED" : "Ed", 2);
    memcpy(line + 2, signer->public_key.id, 8);
    crypto_generichash(hash, sizeof hash, bytes, len, NULL, 0);
    crypto_sign_detached(line + 10, NULL, hashed ? hash : bytes, hashed ? sizeof hash : len,
                         signer->secret_key);
    memcpy(covered, line + 10, 64);
    memcpy(covered + 64, trusted_comment, comment_len);
    crypto_sign_detached(global, NULL, covered, 64 + comment_len, signer->secret_key);
    sodium_bin2base64(line_text, sizeof line_text, line, sizeof line,
                      sodium_base64_VARIANT_ORIGINAL);
    sodium_bin2base64(global_text, sizeof global_text, global, sizeof global,
                      sodium_base64_VARIANT_ORIGINAL);
    snprintf(buf, SIGNATURE_TEXT_BYTES, "untrusted comment: a test\n%s\ntrusted comment: %s\n%s\n",
             line_text, trusted_comment, global_text);
    return buf;
}

void signer_sign_bundle(const struct signer *signer, const char *dir)
{
    char path[FILE_PATH_BYTES], text[SIGNATURE_TEXT_BYTES];
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (file_join(dir, "manifest.json", path, sizeof path, NULL) != ERR_OK ||
        file_read(path, (size_t)1 << 20, &bytes, &len, NULL) != ERR_OK)
        die("no manifest");
    signer_sign(signer, true, bytes, len, "a bundle", text);
    free(bytes);
    if (file_join(dir, BUNDLE_SIGNATURE_NAME, path, sizeof path, NULL) != ERR_OK ||
        file_write_atomic(path, text, strlen(text), NULL) != ERR_OK)
        die("no signature");
}
