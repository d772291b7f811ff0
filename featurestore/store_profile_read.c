/* SPDX-License-Identifier: Apache-2.0 */
/* The readers of profiles: acquire loads of published pointers, nothing is stored. */
#include "featurestore/store_internal.h"

static const struct profile *profile_find(const struct people *people, struct text id)
{
    uint32_t number = idmap_find(people->ids, id);
    return number == IDMAP_NONE ? NULL : store_profile(people, number);
}

struct text store_user_attributes(const struct store *store, struct text user)
{
    const struct profile *profile = profile_find(&store->users, user);
    return profile == NULL ? (struct text){NULL, 0} : profile->attributes;
}
