/* SPDX-License-Identifier: Apache-2.0 */
/* profile - what is known of one person beside their history: an immutable block.
 *
 * A new one is made from the old one and what changes.  Threads: blocks are read by any. */
#ifndef FEATURESTORE_PROFILE_H
#define FEATURESTORE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

struct profile {
    struct text attributes; /* MessagePack map; .ptr NULL: none */
};

/* A copy of all that `from` refers to, in one block, malloc'ed; NULL when there is no memory. */
struct profile *profile_create(const struct profile *from);
uint64_t profile_bytes(const struct profile *profile);
/* Nobody needs to keep it. */
bool profile_is_empty(const struct profile *profile);

#endif
