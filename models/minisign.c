/* SPDX-License-Identifier: Apache-2.0 */
#include "models/minisign.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/file.h"

#define UNTRUSTED_PREFIX "untrusted comment: "
#define TRUSTED_PREFIX   "trusted comment: "

_Static_assert(sizeof(((struct minisign_key *)0)->key) == crypto_sign_PUBLICKEYBYTES, "Ed25519");

/* The second line of a signature, and the line of a key, as they are after base64. */
struct signature_line {
    uint8_t algorithm[2], id[8], signature[crypto_sign_BYTES];
};
struct key_line {
    uint8_t algorithm[2], id[8], key[crypto_sign_PUBLICKEYBYTES];
};

struct signature_file {
    struct signature_line line;
    struct text trusted_comment;
    uint8_t global[crypto_sign_BYTES];
};

/* The next line without its end (LF or CR LF); absent behind the last. */
static struct text next_line(struct text *rest)
{
    struct text line = *rest;
    const char *end = rest->len == 0 ? NULL : memchr(rest->ptr, '\n', rest->len);
    if (rest->len == 0)
        return (struct text){NULL, 0};
    if (end != NULL)
        line.len = (uint32_t)(end - rest->ptr);
    uint32_t taken = line.len + (end != NULL);
    *rest = (struct text){rest->ptr + taken, rest->len - taken};
    if (line.len > 0 && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static bool take_prefix(struct text *line, struct text prefix)
{
    if (line->len < prefix.len || memcmp(line->ptr, prefix.ptr, prefix.len) != 0)
        return false;
    *line = (struct text){line->ptr + prefix.len, line->len - prefix.len};
    return true;
}

/* libsodium 1.0.18 takes some bytes above 0x7f for digits. */
static bool is_ascii(struct text line)
{
    for (uint32_t i = 0; i < line.len; i++) {
        if ((unsigned char)line.ptr[i] > 0x7f)
            return false;
    }
    return true;
}

/* Exactly so many bytes in base64 with its padding, and nothing else. */
static bool decode(struct text line, void *ret_bytes, size_t bytes)
{
    size_t got = 0;
    const char *end = NULL;
    return line.ptr != NULL && is_ascii(line) &&
           sodium_base642bin(ret_bytes, bytes, line.ptr, line.len, NULL, &got, &end,
                             sodium_base64_VARIANT_ORIGINAL) == 0 &&
           got == bytes && end == line.ptr + line.len;
}

static enum err_code start_sodium(struct err *err)
{
    return sodium_init() >= 0 ? ERR_OK : err_set(err, ERR_IO, "libsodium cannot be started");
}

char *minisign_key_id(const uint8_t id[8], char buf[MINISIGN_ID_BYTES])
{
    for (int i = 0; i < 8; i++)
        snprintf(buf + 2 * i, 3, "%02X", id[7 - i]);
    return buf;
}

/* ---- keys ------------------------------------------------------------------------------------ */

enum err_code minisign_key_parse(const char *what, struct text text, struct minisign_key *ret_key,
                                 struct err *err)
{
    struct key_line line;
    struct text rest = text;
    struct text first = next_line(&rest);
    struct text key = first;
    if (first.ptr != NULL && take_prefix(&first, TEXT_LITERAL(UNTRUSTED_PREFIX)))
        key = next_line(&rest);
    if (rest.len != 0 || !decode(key, &line, sizeof line))
        return err_set(err, ERR_CORRUPT,
                       "%s: expected a public key of minisign: %d characters of base64, with or "
                       "without a comment line before them",
                       what, MINISIGN_KEY_TEXT_BYTES);
    if (memcmp(line.algorithm, "Ed", 2) != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: expected an Ed25519 key ('Ed')", what);
    memcpy(ret_key->id, line.id, sizeof ret_key->id);
    memcpy(ret_key->key, line.key, sizeof ret_key->key);
    return ERR_OK;
}

bool minisign_is_key_text(const char *text)
{
    struct key_line line;
    return decode(text_of(text), &line, sizeof line);
}

static enum err_code read_key(const char *text, struct minisign_key *ret_key, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (minisign_is_key_text(text))
        return minisign_key_parse("the key", text_of(text), ret_key, err);
    enum err_code rc = file_read(text, MINISIGN_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc == ERR_OK)
        rc = minisign_key_parse(text, (struct text){(const char *)bytes, (uint32_t)len}, ret_key,
                                err);
    free(bytes);
    return rc;
}

enum err_code minisign_keys_add(struct minisign_keys *keys, const char *text, struct err *err)
{
    char id[MINISIGN_ID_BYTES];
    struct minisign_key key;
    enum err_code rc = read_key(text, &key, err);
    if (rc != ERR_OK)
        return rc;
    if (keys->count == MINISIGN_KEYS_MAX)
        return err_set(err, ERR_LIMIT, "expected at most %d keys", MINISIGN_KEYS_MAX);
    for (uint32_t i = 0; i < keys->count; i++) {
        if (memcmp(keys->key[i].id, key.id, sizeof key.id) == 0)
            return err_set(err, ERR_EXISTS, "the key %s is given twice",
                           minisign_key_id(key.id, id));
    }
    keys->key[keys->count++] = key;
    return ERR_OK;
}

/* ---- signatures ------------------------------------------------------------------------------ */

static bool is_shown(struct text comment)
{
    for (uint32_t i = 0; i < comment.len; i++) {
        unsigned char byte = (unsigned char)comment.ptr[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return false;
    }
    return text_is_utf8(comment.ptr, comment.len);
}

static enum err_code parse(const char *what, struct text text, struct signature_file *ret_file,
                           struct err *err)
{
    struct text rest = text;
    struct text untrusted = next_line(&rest), signature = next_line(&rest);
    struct text trusted = next_line(&rest), global = next_line(&rest);
    if (text.len > MINISIGN_FILE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: expected at most %zu bytes", what,
                       MINISIGN_FILE_BYTES_MAX);
    if (untrusted.ptr == NULL || !take_prefix(&untrusted, TEXT_LITERAL(UNTRUSTED_PREFIX)))
        return err_set(err, ERR_CORRUPT, "%s: line 1: expected '%s...'", what, UNTRUSTED_PREFIX);
    if (!decode(signature, &ret_file->line, sizeof ret_file->line))
        return err_set(err, ERR_CORRUPT, "%s: line 2: expected %zu bytes in base64", what,
                       sizeof ret_file->line);
    if (trusted.ptr == NULL || !take_prefix(&trusted, TEXT_LITERAL(TRUSTED_PREFIX)))
        return err_set(err, ERR_CORRUPT, "%s: line 3: expected '%s...'", what, TRUSTED_PREFIX);
    if (trusted.len >= MINISIGN_COMMENT_BYTES || !is_shown(trusted))
        return err_set(err, ERR_CORRUPT,
                       "%s: line 3: expected at most %d bytes of UTF-8 without controls", what,
                       MINISIGN_COMMENT_BYTES - 1);
    if (!decode(global, ret_file->global, sizeof ret_file->global) || rest.len != 0)
        return err_set(err, ERR_CORRUPT,
                       "%s: line 4: expected %zu bytes in base64 and nothing behind them", what,
                       sizeof ret_file->global);
    ret_file->trusted_comment = trusted;
    return ERR_OK;
}

static enum err_code find_key(const struct minisign_keys *keys, const char *what,
                              const uint8_t id[8], const struct minisign_key **ret_key,
                              struct err *err)
{
    char shown[MINISIGN_ID_BYTES];
    for (uint32_t i = 0; i < keys->count; i++) {
        if (memcmp(keys->key[i].id, id, sizeof keys->key[i].id) == 0) {
            *ret_key = &keys->key[i];
            return ERR_OK;
        }
    }
    return err_set(err, ERR_DENIED, "%s: signed by the key %s, which is none of the %u known", what,
                   minisign_key_id(id, shown), keys->count);
}

/* "Ed" signs the bytes, "ED" their hash. */
static bool holds(const struct signature_line *line, const struct minisign_key *key,
                  const void *bytes, size_t len)
{
    uint8_t hash[crypto_generichash_BYTES_MAX];
    if (line->algorithm[1] == 'd')
        return crypto_sign_verify_detached(line->signature, bytes, len, key->key) == 0;
    return crypto_generichash(hash, sizeof hash, bytes, len, NULL, 0) == 0 &&
           crypto_sign_verify_detached(line->signature, hash, sizeof hash, key->key) == 0;
}

static bool global_holds(const struct signature_file *file, const struct minisign_key *key)
{
    uint8_t covered[crypto_sign_BYTES + MINISIGN_COMMENT_BYTES];
    memcpy(covered, file->line.signature, crypto_sign_BYTES);
    memcpy(covered + crypto_sign_BYTES, file->trusted_comment.ptr, file->trusted_comment.len);
    return crypto_sign_verify_detached(
               file->global, covered, crypto_sign_BYTES + file->trusted_comment.len, key->key) == 0;
}

enum err_code minisign_verify(const struct minisign_keys *keys, const char *what,
                              struct text signature, const void *bytes, size_t len,
                              struct minisign_proof *ret_proof, struct err *err)
{
    char id[MINISIGN_ID_BYTES];
    struct signature_file file;
    const struct minisign_key *key = NULL;
    enum err_code rc = start_sodium(err);
    if (rc == ERR_OK)
        rc = parse(what, signature, &file, err);
    if (rc != ERR_OK)
        return rc;
    if (memcmp(file.line.algorithm, "Ed", 2) != 0 && memcmp(file.line.algorithm, "ED", 2) != 0)
        return err_set(err, ERR_UNSUPPORTED, "%s: expected a signature 'Ed' or 'ED'", what);
    rc = find_key(keys, what, file.line.id, &key, err);
    if (rc != ERR_OK)
        return rc;
    minisign_key_id(key->id, id);
    if (!holds(&file.line, key, bytes, len))
        return err_set(err, ERR_DENIED,
                       "%s: the signature by the key %s does not hold: the file was changed after "
                       "it was signed, or another one was signed",
                       what, id);
    if (!global_holds(&file, key))
        return err_set(err, ERR_DENIED,
                       "%s: the trusted comment is not the one that the key %s signed", what, id);
    memcpy(ret_proof->key_id, id, sizeof id);
    text_copy(file.trusted_comment, ret_proof->trusted_comment, sizeof ret_proof->trusted_comment);
    return ERR_OK;
}
