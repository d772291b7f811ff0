/* SPDX-License-Identifier: Apache-2.0 */
/* profile - what is known of one person beside their history: an immutable block.
 *
 * A new one is made from the old one and what changes.  Threads: blocks are read by any. */
#ifndef FEATURESTORE_PROFILE_H
#define FEATURESTORE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idmap.h"
#include "base/text.h"
#include "featurestore/event.h"

#define PROFILE_LINKS_MAX 8
#define PROFILE_ANONS_MAX 100

/* An anonymous id was said to be that user. */
struct profile_link {
    int64_t at_ms; /* of the event, never after its arrival */
    uint32_t user;
    uint8_t event_bytes;
    char event[EVENT_ID_BYTES_MAX]; /* its id */
};

struct profile {
    /* Bits by enum event_consent, each as the newest event said, by its own time. */
    uint8_t allowed, denied;
    int64_t consent_at_ms[CONSENT_COUNT];
    struct text attributes; /* MessagePack map; .ptr NULL: none */
    /* Of an anonymous id, in the order in which they came. */
    const struct profile_link *links;
    uint32_t link_count;
    bool was_shared; /* links to other users were forgotten */
    /* Of a user: numbers of the anonymous ids that have a link to them, in that order, too. */
    const uint32_t *anons;
    uint32_t anon_count;
};

/* A copy of all that `from` refers to, in one block, malloc'ed; NULL when there is no memory. */
struct profile *profile_create(const struct profile *from);
uint64_t profile_bytes(const struct profile *profile);

/* Whether nothing is known: there is no need for a block then. */
static inline bool profile_is_empty(const struct profile *profile)
{
    return (profile->allowed | profile->denied) == 0 && profile->attributes.ptr == NULL &&
           profile->link_count == 0 && !profile->was_shared && profile->anon_count == 0;
}

/* The one user whose device an anonymous id stands for; IDMAP_NONE without a link, and when there
 * are or were more users.  NULL is somebody of whom nothing is known. */
static inline uint32_t profile_sole_user(const struct profile *anon)
{
    bool is_sole = anon != NULL && anon->link_count == 1 && !anon->was_shared;
    return is_sole ? anon->links[0].user : IDMAP_NONE;
}

static inline bool profile_is_linked(const struct profile *anon)
{
    return anon != NULL && (anon->link_count > 0 || anon->was_shared);
}

#endif
