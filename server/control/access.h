/* SPDX-License-Identifier: Apache-2.0 */
/* access - who may call administration operations.
 *
 * Without a token: callers on listeners that are reachable from this machine only.  With a token:
 * callers that send it, from any address, and nobody else.  Only the SHA-256 of the token is kept,
 * and it is compared in constant time.
 *
 * Threads: access_check on any, access_set on one control thread; not for the hot path (it holds a
 * lock during a copy).  Limits: a token has 16..256 printable ASCII characters. */
#ifndef SERVER_CONTROL_ACCESS_H
#define SERVER_CONTROL_ACCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "base/text.h"
#include "server/protocol/ops.h"

#define ACCESS_TOKEN_BYTES_MIN 16
#define ACCESS_TOKEN_BYTES_MAX 256

struct access_token {
    bool is_set;
    uint8_t digest[SHA256_BYTES];
};

struct access {
    pthread_mutex_t lock;
    struct access_token token;
};

/* Reads the file; "" for no token.  Blanks and line ends around the token do not count. */
MUST_CHECK enum err_code access_read_token(const char *path, struct access_token *ret_token,
                                           struct err *err);

void access_init(struct access *access, const struct access_token *token);
void access_deinit(struct access *access); /* fine on a zeroed one */
void access_set(struct access *access, const struct access_token *token);

/* REPLY_ok, REPLY_unauthorized (the token is missing or wrong) or REPLY_forbidden (no token is
 * configured and the caller is not local).  `token.ptr` NULL: none was sent. */
enum reply_code access_check(struct access *access, bool local, struct text token);

#endif
