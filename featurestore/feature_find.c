/* SPDX-License-Identifier: Apache-2.0 */
/* Features by name. */
#include "featurestore/feature_reader.h"

#include "featurestore/features.h"
#include "featurestore/store_internal.h"

static struct feature feature_of(const struct feature_tables *tables,
                                 const struct definition *definition)
{
    return (struct feature){.name = definition->name,
                            .subject = FEATURE_DEFINED,
                            .id = idmap_find(tables->names, text_of(definition->name)),
                            .key = (uint8_t)definition->key,
                            .is_ids = definition_is_list_of_ids(definition)};
}

static bool find(const struct store *store, const struct definitions *definitions, struct text name,
                 struct feature *ret_feature)
{
    const struct feature *builtin = feature_builtin(name);
    if (builtin != NULL) {
        *ret_feature = *builtin;
        return true;
    }
    const struct definition *definition = definitions_find(definitions, name);
    if (definition != NULL)
        *ret_feature = feature_of(store->features, definition);
    return definition != NULL;
}

bool feature_find(const struct store *store, struct text name, struct feature *ret_feature)
{
    return find(store, feature_set_of(store->features)->definitions, name, ret_feature);
}

bool feature_bind(const struct store *store, struct text name, struct feature *ret_feature)
{
    const struct definitions *next = store->features->next;
    return next != NULL ? find(store, next, name, ret_feature)
                        : feature_find(store, name, ret_feature);
}

static bool next(const struct store *store, const struct definitions *definitions, uint32_t *at,
                 struct feature *ret_feature)
{
    const struct feature *builtin = feature_builtin_at(*at);
    if (builtin != NULL) {
        *ret_feature = *builtin;
        (*at)++;
        return true;
    }
    uint32_t index = *at - feature_builtin_count();
    if (index >= definitions->count)
        return false;
    *ret_feature = feature_of(store->features, &definitions->definition[index]);
    (*at)++;
    return true;
}

bool feature_next(const struct store *store, uint32_t *at, struct feature *ret_feature)
{
    return next(store, feature_set_of(store->features)->definitions, at, ret_feature);
}

bool feature_bind_next(const struct store *store, uint32_t *at, struct feature *ret_feature)
{
    const struct definitions *declared = store->features->next;
    return next(store, declared != NULL ? declared : feature_set_of(store->features)->definitions,
                at, ret_feature);
}
