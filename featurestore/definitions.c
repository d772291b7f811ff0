/* SPDX-License-Identifier: Apache-2.0 */
#include "featurestore/definitions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/hash.h"
#include "featurestore/aggregate.h"
#include "featurestore/definitions_internal.h"

static const struct {
    const char *name;
    bool is_tiled;
    uint32_t tile_bytes;
} kinds[FEATURE_KIND_COUNT] = {
#define X(name, tiled, bytes) {#name, tiled, bytes},
    FEATURE_KINDS(X)
#undef X
};

const char *feature_key_name(enum feature_key key)
{
    static const char *const names[FEATURE_KEY_COUNT] = {
#define X(name) #name,
        FEATURE_KEYS(X)
#undef X
    };
    ASSERT(key < FEATURE_KEY_COUNT);
    return names[key];
}

const char *feature_kind_name(enum feature_kind kind)
{
    ASSERT(kind < FEATURE_KIND_COUNT);
    return kinds[kind].name;
}

bool definition_is_list_of_ids(const struct definition *definition)
{
    return definition->kind == FEATURE_KIND_last && definition->source >= VALUE_ITEM;
}

bool definition_is_tiled(const struct definition *definition)
{
    return kinds[definition->kind].is_tiled;
}

uint32_t definition_tile_bytes(const struct definition *definition)
{
    return definition->kind == FEATURE_KIND_distinct ? 1u << definition->precision
                                                     : kinds[definition->kind].tile_bytes;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct definition *)a)->name, ((const struct definition *)b)->name);
}

static int compare_to_name(const void *key, const void *definition)
{
    const struct text *name = key;
    return text_compare(*name, text_of(((const struct definition *)definition)->name));
}

const struct definition *definitions_find(const struct definitions *definitions, struct text name)
{
    if (definitions->count == 0)
        return NULL;
    return bsearch(&name, definitions->definition, definitions->count,
                   sizeof *definitions->definition, compare_to_name);
}

/* ---- the hash of what decides the state ------------------------------------------------------ */

static void put_text(struct buffer *text, const char *value)
{
    buffer_put_fmt(text, "%zu:", value == NULL ? 0 : strlen(value));
    buffer_put_str(text, value == NULL ? "" : value);
}

static void put_values(struct buffer *text, const struct definition_value *value, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        put_text(text, value[i].text);
        buffer_put_fmt(text, "=%a;", value[i].number);
    }
}

/* One text for all that decides what the state holds, in a form that two files share. */
static enum err_code hash_state(const char *name, struct definition *definition, struct err *err)
{
    struct buffer text = {0};
    buffer_put_fmt(&text, "1 %s %u %u %u %u %u %u types %" PRIx64 " custom ",
                   kinds[definition->kind].name, definition->source, definition->tile_s,
                   definition->tile_count, definition->half_life_s, definition->last_count,
                   definition->precision, definition->types);
    for (uint32_t i = 0; i < definition->lists->custom_count; i++)
        put_text(&text, definition->lists->custom[i]);
    put_text(&text, definition->property);
    for (uint32_t i = 0; i < definition->lists->condition_count; i++) {
        const struct definition_condition *condition = &definition->lists->condition[i];
        put_text(&text, condition->prop);
        buffer_put_fmt(&text, " %a %a %a %a ", condition->at_least, condition->at_most,
                       condition->above, condition->below);
        put_values(&text, condition->value, condition->value_count);
    }
    buffer_put_str(&text, "values ");
    put_values(&text, definition->lists->value, definition->lists->value_count);
    size_t len = 0;
    char *bytes = buffer_take(&text, &len);
    if (bytes == NULL)
        return err_set(err, ERR_NOMEM, "%s: no memory for the features", name);
    definition->state_hash = hash_bytes(bytes, len, 0);
    free(bytes);
    return ERR_OK;
}

static enum err_code check_room(const struct json_at *features, const struct definition *definition,
                                uint32_t block_bytes, struct err *err)
{
    if (definition->bytes <= DEFINITION_STATE_BYTES_MAX &&
        block_bytes <= DEFINITION_BLOCK_BYTES_MAX)
        return ERR_OK;
    struct json_at at = json_member(features, definition->name);
    if (definition->bytes > DEFINITION_STATE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "%s: its state takes %u bytes of at most %d", at.path,
                       definition->bytes, DEFINITION_STATE_BYTES_MAX);
    return err_set(err, ERR_LIMIT, "%s: those of the key %s take more than %d bytes", at.path,
                   feature_key_name(definition->key), DEFINITION_BLOCK_BYTES_MAX);
}

enum err_code definitions_lay_out(const struct json_at *features, struct definitions *definitions,
                                  struct err *err)
{
    qsort(definitions->definition, definitions->count, sizeof *definitions->definition,
          compare_names);
    for (uint32_t i = 0; i < definitions->count; i++) {
        struct definition *definition = &definitions->definition[i];
        uint32_t *block_bytes = &definitions->block_bytes[definition->key];
        definition->offset = *block_bytes;
        definition->bytes = aggregate_bytes(definition);
        *block_bytes += definition->bytes;
        enum err_code rc = check_room(features, definition, *block_bytes, err);
        if (rc == ERR_OK)
            rc = hash_state(features->name, definition, err);
        if (rc != ERR_OK)
            return rc;
        if (definition->bytes == 0)
            continue;
        uint64_t *layout = &definitions->layout_hash[definition->key];
        const uint64_t place[] = {definition->state_hash, definition->offset, definition->bytes};
        *layout = hash_bytes(definition->name, strlen(definition->name), *layout);
        *layout = hash_bytes(place, sizeof place, *layout);
    }
    return ERR_OK;
}

enum err_code definitions_empty(struct definitions **ret_definitions, struct err *err)
{
    static const char none[] = "{\"version\": \"none\", \"features\": {}}";
    enum err_code rc =
        definitions_parse("no features", none, sizeof none - 1, ret_definitions, err);
    if (rc == ERR_OK)
        (*ret_definitions)->sha256[0] = '\0';
    return rc;
}

void definitions_destroy(struct definitions **definitions)
{
    if (*definitions == NULL)
        return;
    cJSON_Delete((*definitions)->file);
    free((*definitions)->definition);
    free((*definitions)->lists);
    free(*definitions);
    *definitions = NULL;
}
