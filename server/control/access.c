/* SPDX-License-Identifier: Apache-2.0 */
#include "server/control/access.h"

#include <stdlib.h>

#include "base/file.h"

enum { TOKEN_FILE_BYTES_MAX = 4096 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static struct text trimmed(const char *bytes, size_t len)
{
    while (len > 0 && is_blank(bytes[len - 1]))
        len--;
    while (len > 0 && is_blank(bytes[0])) {
        bytes++;
        len--;
    }
    return (struct text){bytes, (uint32_t)len};
}

static enum err_code check_token(const char *path, struct text token, struct err *err)
{
    if (token.len < ACCESS_TOKEN_BYTES_MIN || token.len > ACCESS_TOKEN_BYTES_MAX)
        return err_set(err, ERR_BAD_INPUT, "'%s': expected a token of %d..%d characters, got %u",
                       path, ACCESS_TOKEN_BYTES_MIN, ACCESS_TOKEN_BYTES_MAX, token.len);
    for (uint32_t i = 0; i < token.len; i++) {
        if (token.ptr[i] <= ' ' || token.ptr[i] > '~')
            return err_set(err, ERR_BAD_INPUT, "'%s': character %u of the token is not printable",
                           path, i + 1);
    }
    return ERR_OK;
}

enum err_code access_read_token(const char *path, struct access_token *ret_token, struct err *err)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (path[0] == '\0') {
        *ret_token = (struct access_token){0};
        return ERR_OK;
    }
    enum err_code rc = file_read(path, TOKEN_FILE_BYTES_MAX, &bytes, &len, err);
    if (rc != ERR_OK)
        return rc;
    struct text token = trimmed((const char *)bytes, len);
    rc = check_token(path, token, err);
    if (rc == ERR_OK) {
        *ret_token = (struct access_token){.is_set = true};
        sha256_of(token.ptr, token.len, ret_token->digest);
    }
    free(bytes);
    return rc;
}

void access_init(struct access *access, const struct access_token *token)
{
    *access = (struct access){.token = *token};
    pthread_mutex_init(&access->lock, NULL);
}

void access_deinit(struct access *access)
{
    pthread_mutex_destroy(&access->lock);
}

void access_set(struct access *access, const struct access_token *token)
{
    pthread_mutex_lock(&access->lock);
    access->token = *token;
    pthread_mutex_unlock(&access->lock);
}

/* Every byte is looked at, whichever differ. */
static bool digests_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
    volatile uint8_t difference = 0;
    for (uint32_t i = 0; i < SHA256_BYTES; i++)
        difference = (uint8_t)(difference | (a[i] ^ b[i]));
    return difference == 0;
}

enum reply_code access_check(struct access *access, bool local, struct text token)
{
    uint8_t digest[SHA256_BYTES];
    pthread_mutex_lock(&access->lock);
    struct access_token wanted = access->token;
    pthread_mutex_unlock(&access->lock);
    if (!wanted.is_set)
        return local ? REPLY_ok : REPLY_forbidden;
    if (token.ptr == NULL)
        return REPLY_unauthorized;
    sha256_of(token.ptr, token.len, digest);
    return digests_equal(digest, wanted.digest) ? REPLY_ok : REPLY_unauthorized;
}
