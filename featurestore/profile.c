/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/profile.h"

#include <string.h>

_Static_assert(PROFILE_LINKS_MAX <= UINT8_MAX && PROFILE_ANONS_MAX <= UINT8_MAX,
               "they are counted in a byte");
_Static_assert(EVENT_BYTES_MAX <= UINT16_MAX, "the length of attributes fits");
_Static_assert(sizeof(struct profile_link) % sizeof(int64_t) == 0, "what follows is aligned");

uint64_t profile_bytes(const struct profile_block *block)
{
    if (block == NULL)
        return 0;
    uint64_t consent_bytes =
        (block->allowed | block->denied) != 0 ? CONSENT_COUNT * sizeof(int64_t) : 0;
    return sizeof *block + consent_bytes + block->link_count * sizeof(struct profile_link) +
           block->anon_count * sizeof(uint32_t) + block->attribute_bytes;
}

static char *put(char *at, const void *from, size_t len)
{
    if (len > 0)
        memcpy(at, from, len);
    return at + len;
}

struct profile_block *profile_create(const struct profile *from, struct slabs *slabs)
{
    const struct profile_block head = {.allowed = from->allowed,
                                       .denied = from->denied,
                                       .was_shared = from->was_shared,
                                       .has_attributes = from->attributes.ptr != NULL,
                                       .link_count = (uint8_t)from->link_count,
                                       .anon_count = (uint8_t)from->anon_count,
                                       .attribute_bytes = (uint16_t)from->attributes.len};
    struct profile_block *block = slabs_alloc(slabs, profile_bytes(&head));
    if (block == NULL)
        return NULL;
    *block = head;
    char *at = (char *)block->content;
    if ((head.allowed | head.denied) != 0)
        at = put(at, from->consent_at_ms, sizeof from->consent_at_ms);
    at = put(at, from->links, head.link_count * sizeof *from->links);
    at = put(at, from->anons, head.anon_count * sizeof *from->anons);
    put(at, from->attributes.ptr, head.attribute_bytes);
    return block;
}
