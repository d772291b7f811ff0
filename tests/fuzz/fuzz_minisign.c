/* SPDX-License-Identifier: Apache-2.0 */
/* A signature and a key as they come from outside.  What holds, by the one key that is known here,
 * is a signature over these bytes with a comment that may be shown. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "models/minisign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the corpus: what its good signatures are by and over. */
static const char key_text[] = "RWQHBwcHBwcHB+pKbGPinFIKvvVQexMuxfmVR3auvr57kkIe6mkURtIs";
static const char message[] = "decided\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text text = {(const char *)data, (uint32_t)size};
    struct minisign_keys keys = {.count = 0};
    struct minisign_proof proof;
    struct minisign_key key;
    struct err err;
    char id[MINISIGN_ID_BYTES];
    if (minisign_key_parse("fuzz", text, &key, &err) == ERR_OK)
        ASSERT(strlen(minisign_key_id(key.id, id)) == MINISIGN_ID_BYTES - 1);
    ASSERT(minisign_keys_add(&keys, key_text, &err) == ERR_OK);
    if (minisign_verify(&keys, "fuzz", text, message, sizeof message - 1, &proof, &err) == ERR_OK) {
        ASSERT(strcmp(proof.key_id, "0707070707070707") == 0);
        ASSERT(text_is_utf8(proof.trusted_comment, strlen(proof.trusted_comment)));
        ASSERT(strpbrk(proof.trusted_comment, "\n\r\x1b") == NULL);
    }
    return 0;
}
