/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/profile.h"

#include <stdlib.h>
#include <string.h>

uint64_t profile_bytes(const struct profile *profile)
{
    return sizeof *profile + profile->link_count * sizeof *profile->links +
           profile->anon_count * sizeof *profile->anons + profile->attributes.len;
}

/* Copies `len` bytes to *at, which moves on; NULL for none. */
static const void *copy(char **at, const void *from, size_t len)
{
    char *to = *at;
    if (len == 0)
        return NULL;
    memcpy(to, from, len);
    *at += len;
    return to;
}

struct profile *profile_create(const struct profile *from)
{
    struct profile *profile = malloc(profile_bytes(from));
    if (profile == NULL)
        return NULL;
    *profile = *from;
    char *at = (char *)(profile + 1); /* what needs alignment most comes first */
    profile->links = copy(&at, from->links, from->link_count * sizeof *from->links);
    profile->anons = copy(&at, from->anons, from->anon_count * sizeof *from->anons);
    if (from->attributes.ptr != NULL)
        profile->attributes.ptr = copy(&at, from->attributes.ptr, from->attributes.len);
    return profile;
}
