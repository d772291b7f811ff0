/* SPDX-License-Identifier: Apache-2.0 */
/* keys - what two requests must have in common to go to the same daemon, or to have the same
 * answer.  Threads: no state. */
#ifndef CLIENT_KEYS_H
#define CLIENT_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/reader.h"

struct client_keys {
    uint64_t route;  /* of user, else anon, else session; 0: none of them */
    uint64_t answer; /* of all that an answer depends on, its length and exclusions left out */
};

/* `request`: a map that has been checked.  `of_answer`: whether its answer may be kept.  Else
 * `answer` is 0, and what is sent is not hashed: megabytes of a model, which nobody asks for again.
 */
struct client_keys client_keys_read(struct client_reader request, bool of_answer);

#endif
