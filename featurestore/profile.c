/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/profile.h"

#include <stdlib.h>
#include <string.h>

uint64_t profile_bytes(const struct profile *profile)
{
    return sizeof *profile + profile->attributes.len;
}

struct profile *profile_create(const struct profile *from)
{
    struct profile *profile = malloc(profile_bytes(from));
    if (profile == NULL)
        return NULL;
    *profile = *from;
    char *at = (char *)(profile + 1);
    if (from->attributes.ptr != NULL) {
        memcpy(at, from->attributes.ptr, from->attributes.len);
        profile->attributes.ptr = at;
    }
    return profile;
}

bool profile_is_empty(const struct profile *profile)
{
    return profile->attributes.ptr == NULL;
}
