/* SPDX-License-Identifier: Apache-2.0 */
/* Features by name. */
#include "featurestore/feature_reader.h"

#include "featurestore/store_internal.h"

static struct feature feature_of(const struct feature_tables *tables,
                                 const struct definition *definition)
{
    return (struct feature){.name = definition->name,
                            .subject = FEATURE_DEFINED,
                            .id = idmap_find(tables->names, text_of(definition->name)),
                            .key = (uint8_t)definition->key};
}

/* A name that was declared but is not in force yet has its key in front all the same. */
static bool key_of_name(struct text name, uint8_t *ret_key)
{
    for (uint32_t key = 0; key < FEATURE_KEY_COUNT; key++) {
        struct text prefix = text_of(feature_key_name((enum feature_key)key));
        if (name.len > prefix.len && name.ptr[prefix.len] == '.' &&
            memcmp(name.ptr, prefix.ptr, prefix.len) == 0) {
            *ret_key = (uint8_t)key;
            return true;
        }
    }
    return false;
}

bool feature_find(const struct store *store, struct text name, struct feature *ret_feature)
{
    const struct feature *builtin = feature_builtin(name);
    if (builtin != NULL) {
        *ret_feature = *builtin;
        return true;
    }
    uint32_t number = idmap_find(store->features->names, name);
    struct feature feature = {.subject = FEATURE_DEFINED, .id = number};
    if (number == IDMAP_NONE || !key_of_name(name, &feature.key))
        return false;
    feature.name = idmap_text(store->features->names, number).ptr;
    *ret_feature = feature;
    return true;
}

bool feature_next(const struct store *store, uint32_t *at, struct feature *ret_feature)
{
    const struct feature *builtin = feature_builtin_at(*at);
    if (builtin != NULL) {
        *ret_feature = *builtin;
        (*at)++;
        return true;
    }
    const struct definitions *definitions = feature_set_of(store->features)->definitions;
    uint32_t index = *at - feature_builtin_count();
    if (index >= definitions->count)
        return false;
    *ret_feature = feature_of(store->features, &definitions->definition[index]);
    (*at)++;
    return true;
}
