/* SPDX-License-Identifier: Apache-2.0 */
/* keys - hashes of a request: one decides which daemon it goes to, the other under which key its
 * answer is cached.  Threads: no state. */
#ifndef CLIENT_KEYS_H
#define CLIENT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/reader.h"

struct client_keys {
    uint64_t route;  /* of user, else anon, else session; 0: none of them */
    uint64_t answer; /* of everything that an answer depends on, except `n` and `exclude` */
};

/* `request`: a checked map.  `of_answer`: whether its answer may be cached.  If not, `answer` is 0
 * and the body is not hashed: it may be megabytes of a model. */
struct client_keys client_keys_read(struct client_reader request, bool of_answer);

#endif
