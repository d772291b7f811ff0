/* SPDX-License-Identifier: Apache-2.0 */
/* profile - what is known about one person besides their history: an immutable block.
 *
 * A change creates a new block from the old one.  Absent parts take no space, since most people
 * have only attributes: 8 bytes, then if present 48 of consent, the links, the anonymous ids, the
 * attributes.  Threads: blocks are read by any. */
#ifndef FEATURESTORE_PROFILE_H
#define FEATURESTORE_PROFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/idmap.h"
#include "base/slabs.h"
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

/* How a profile is kept. */
struct profile_block {
    uint8_t allowed, denied;
    uint8_t was_shared;
    uint8_t has_attributes;
    uint8_t link_count, anon_count;
    uint16_t attribute_bytes;
    int64_t content[]; /* consent_at_ms where any is known, links, anons, attributes */
};

/* A copy of all that `from` refers to, in one block; NULL when there is no memory. */
struct profile_block *profile_create(const struct profile *from, struct slabs *slabs);
uint64_t profile_bytes(const struct profile_block *block); /* 0 for NULL */

/* What is in a block, which the result refers to; of NULL, which stands for nothing known. */
static inline struct profile profile_of(const struct profile_block *block)
{
    struct profile profile = {0};
    if (block == NULL)
        return profile;
    const int64_t *at = block->content;
    profile.allowed = block->allowed;
    profile.denied = block->denied;
    if ((block->allowed | block->denied) != 0) {
        memcpy(profile.consent_at_ms, at, sizeof profile.consent_at_ms);
        at += CONSENT_COUNT;
    }
    profile.links = (const struct profile_link *)at;
    profile.link_count = block->link_count;
    profile.was_shared = block->was_shared != 0;
    profile.anons = (const uint32_t *)(profile.links + block->link_count);
    profile.anon_count = block->anon_count;
    if (block->has_attributes)
        profile.attributes = (struct text){(const char *)(profile.anons + block->anon_count),
                                           block->attribute_bytes};
    return profile;
}

/* Whether nothing is known: there is no need for a block then. */
static inline bool profile_is_empty(const struct profile *profile)
{
    return (profile->allowed | profile->denied) == 0 && profile->attributes.ptr == NULL &&
           profile->link_count == 0 && !profile->was_shared && profile->anon_count == 0;
}

/* The one user whose device an anonymous id stands for; IDMAP_NONE without a link, and when there
 * are or were more users. */
static inline uint32_t profile_sole_user(const struct profile *anon)
{
    bool is_sole = anon->link_count == 1 && !anon->was_shared;
    return is_sole ? anon->links[0].user : IDMAP_NONE;
}

static inline bool profile_is_linked(const struct profile *anon)
{
    return anon->link_count > 0 || anon->was_shared;
}

#endif
